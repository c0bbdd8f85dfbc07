//! Quantities with units, as people type them.

use std::time::Duration;

/// Reads a time: numbers with `us`, `ms`, `s`, `m`, `h` or `d`, each unit smaller than the one before it, as in `1h30m`; or one number
/// of seconds.
pub fn time(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a time. Write numbers with us, ms, s, m, h or d, as in 1.5s, 200ms or 1h30m.");
    let (mut seconds, mut rest, mut last) = (0.0, text, f64::INFINITY);
    while !rest.is_empty() {
        let (number, behind) = split(rest).ok_or_else(wrong)?;
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let unit = match &behind[..end] {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "" if last == f64::INFINITY && behind.is_empty() => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(wrong()),
        };
        if unit >= last {
            return Err(wrong());
        }
        (seconds, rest, last) = (seconds + number * unit, behind[end..].trim_start(), unit);
    }
    if last == f64::INFINITY {
        return Err(wrong());
    }
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
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
        assert_eq!((read("1h30m"), read(" 1h 30 min 1.5s ")), (Ok(5_400_000_000), Ok(5_401_500_000)));
        assert_eq!((read("2d"), read("1s500ms")), (Ok(172_800_000_000), Ok(1_500_000)));
        let wrong = ["", " ", "s", "1.5.2s", "-1s", "1e99", "3 days", "0s", "99999999999999999999h"];
        for wrong in wrong.into_iter().chain(["1h30", "30m1h", "1h1h", "1h,30m", "1h-5m", "1hs"]) {
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
