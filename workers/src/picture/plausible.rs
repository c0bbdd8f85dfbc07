//! Whether a file can hold a picture as large as it says, told before memory is made for it.
//!
//! Every format has a most that one byte of a file can stand for; a file below that is damaged or meant to do harm. The
//! bounds are far above what any real picture reaches, so that none is refused.

use image::{ExtendedColorType, ImageFormat};

/// The least bytes that a file must have to hold a picture, to the knowledge of its `head`: at least 54 bytes, if it has
/// as many.
pub(super) fn least_file(format: ImageFormat, head: &[u8], original: ExtendedColorType, of: ClaimedShape) -> u64 {
    let pixels = of.width * of.height;
    match format {
        // Deflate makes at most 1032 bytes of one. Rows are packed: depth and colour type stand in the first chunk.
        ImageFormat::Png => {
            let depth = head.get(24).map_or(1, |&depth| u64::from(depth));
            let channels = match head.get(25) {
                Some(2) => 3,
                Some(4) => 2,
                Some(6) => 4,
                _ => 1,
            };
            of.width.saturating_mul(depth * channels).div_ceil(8).saturating_mul(of.height) / 1032
        }
        // A block of 8 x 8 costs a bit at least; with the oddest subsampling a block stands for 128 pixels. Twice that.
        ImageFormat::Jpeg => pixels / 2048,
        // A blank row of fax costs one bit, whatever its length; the best of the other compressions reaches 1 : 2730.
        ImageFormat::Tiff if original == ExtendedColorType::L1 => pixels >> 20,
        ImageFormat::Tiff => pixels.saturating_mul(u64::from(original.bits_per_pixel())) / (8 * 4096),
        // Rows are packed and padded to 4 bytes, unless run-length coded: two bytes end a row of up to 65535 pixels.
        ImageFormat::Bmp => {
            let field = |at: usize| head.get(at).map_or(0, |&byte| u64::from(byte));
            let (headers, depth, compression) = (field(14), field(28), field(30));
            let run_length = headers >= 40 && matches!(compression, 1 | 2);
            let depth = if headers < 40 { 1 } else { depth };
            if run_length { pixels >> 15 } else { (4 * (of.width * depth).div_ceil(32)).saturating_mul(of.height) }
        }
        // Bits, bytes, or decimal numbers with a space between them.
        ImageFormat::Pnm => match head.get(1) {
            Some(b'4') => of.width.div_ceil(8) * of.height,
            Some(b'1') => pixels,
            Some(b'2' | b'3') => pixels.saturating_mul(2 * of.channels).saturating_sub(1),
            _ => of.bytes(),
        },
        _ => 0,
    }
}

/// What a file says of its picture; the axes are below 2^32.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimedShape {
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) channels: u64,
    pub(super) bits: u64,
}

impl ClaimedShape {
    /// Bytes of the decoded picture, as far as can be counted.
    pub(super) fn bytes(self) -> u64 {
        (self.width * self.height).saturating_mul(self.channels * self.bits / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn least(format: ImageFormat, head: &[u8], side: u64) -> u64 {
        let claim = ClaimedShape { width: side, height: side, channels: 1, bits: 8 };
        least_file(format, head, ExtendedColorType::L8, claim)
    }

    #[test]
    fn a_hundred_thousand_squared_needs_megabytes_in_any_format() {
        let formats = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::Pnm];
        for format in formats {
            assert!(least(format, b"", 100_000) > 1 << 20, "{format:?}");
            assert!(least(format, b"", u64::from(u32::MAX)) > 1 << 40, "{format:?}");
            assert!(least(format, b"", 1) <= 4, "{format:?}");
        }
    }

    #[test]
    fn packed_and_coded_rows_need_less() {
        let mut bmp = [0_u8; 54];
        (bmp[14], bmp[28]) = (40, 1);
        assert_eq!(least(ImageFormat::Bmp, &bmp, 1000), 128_000);
        bmp[30] = 1;
        assert_eq!(least(ImageFormat::Bmp, &bmp, 1000), 30);
        assert_eq!(least(ImageFormat::Pnm, b"P4", 1000), 125_000);
        assert_eq!(least(ImageFormat::Pnm, b"P2", 1000), 1_999_999);
        assert_eq!(least(ImageFormat::Pnm, b"P5", 1000), 1_000_000);
    }
}
