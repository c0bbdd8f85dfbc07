//! Numbers as people read them.

use std::time::Duration;

/// A time in a unit that suits it, with three digits.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        0.0 => return "0 s".to_owned(),
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let decimals = (2 - value.max(1.0).log10().floor() as i32).max(0) as usize;
    format!("{value:.decimals$} {unit}")
}

/// A number of bytes in a binary unit that suits it.
pub fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (bytes.max(1).ilog2() / 10).min(4);
    let value = bytes as f64 / f64::from(power * 10).exp2();
    if power == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[power as usize]) }
}

/// Ascending numbers as runs: `0-3,7`.
pub fn runs(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let text: Vec<String> = runs
        .map(|run| if let [one] = run { one.to_string() } else { format!("{}-{}", run[0], run[run.len() - 1]) })
        .collect();
    text.join(",")
}

/// A count and its noun: `1 slice`, `2 slices`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = match noun {
        _ if number == 1 => "",
        noun if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{number} {noun}{plural}")
}

/// A share as percent: none as 0, and a little as that.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        little if little < 0.1 => "< 0.1 %".to_owned(),
        some if some < 9.95 => format!("{some:.1} %"),
        much => format!("{much:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            (count(1, "process"), count(2, "process"), count(0, "slice")),
            ("1 process".into(), "2 processes".into(), "0 slices".into())
        );
        assert_eq!(runs(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(runs(&[]), "");
        assert_eq!(duration(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(duration(Duration::from_secs(123)), "123 s");
        assert_eq!(duration(Duration::from_nanos(1500)), "1.50 us");
        assert_eq!((bytes(512).as_str(), bytes(1536).as_str()), ("512 B", "1.5 KiB"));
        assert_eq!((percent(0.0), percent(0.0004), percent(0.05), percent(0.712)).3, "71 %");
        assert_eq!((percent(0.0004).as_str(), percent(0.05).as_str()), ("< 0.1 %", "5.0 %"));
    }
}
