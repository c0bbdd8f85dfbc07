//! Quantities with units, as people type them.

use std::time::Duration;

/// Reads a time: a number and `us`, `ms`, `s` (if none is given), `m` or `h`.
pub fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time. Write a number and us, ms, s, m or h, as in 1.5s or 200ms.");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let time = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
    if time.is_zero() { Err("no time at all is too little. Give more than 0.".to_owned()) } else { Ok(time) }
}

/// Reads a number of bytes: a number and `K`, `M`, `G` or `T` (powers of 1024), with or without `iB` or `B` behind.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a number of bytes. Write a number and K, M, G or T, as in 512M.");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let unit = unit.strip_suffix("iB").or(unit.strip_suffix('B')).unwrap_or(unit);
    let power = match unit.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(wrong()),
    };
    let bytes = number * 1024_f64.powi(power);
    if bytes < 1.0 || bytes >= 2_f64.powi(63) { Err(wrong()) } else { Ok(bytes as u64) }
}

/// The number that a text begins with, not negative, and the rest.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let read = |text| time(text).map(|time| time.as_micros());
        assert_eq!(read("1.5s"), Ok(1_500_000));
        assert_eq!((read("2"), read("200 ms"), read("7us")), (Ok(2_000_000), Ok(200_000), Ok(7)));
        assert_eq!((read("2m"), read("0.5h")), (Ok(120_000_000), Ok(1_800_000_000)));
        for wrong in ["", "s", "1.5.2s", "-1s", "1e99", "3 days", "0s", "99999999999999999999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_of_bytes() {
        assert_eq!(
            (bytes("512M"), bytes("1.5k"), bytes("7"), bytes("2 GiB")),
            (Ok(512 << 20), Ok(1536), Ok(7), Ok(2 << 30))
        );
        for wrong in ["", "M", "-1M", "0", "3 pages", "9999999T"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
