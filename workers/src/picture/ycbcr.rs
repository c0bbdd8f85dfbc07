//! Brightness and two differences of colours, as JPEG has them (JFIF: all 256 levels are used).

/// Red, green and blue.
pub(super) fn to_rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    // In 65536ths, rounded.
    let (luma, blue, red) = ((i32::from(luma) << 16) + (1 << 15), i32::from(blue) - 128, i32::from(red) - 128);
    let rgb = [luma + 91_881 * red, luma - 22_554 * blue - 46_802 * red, luma + 116_130 * blue];
    rgb.map(|sum| (sum >> 16).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primaries_and_grays() {
        assert_eq!(to_rgb(76, 85, 255), [254, 0, 0]);
        for gray in 0..=255 {
            assert_eq!(to_rgb(gray, 128, 128), [gray; 3]);
        }
    }
}
