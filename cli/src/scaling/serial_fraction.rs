//! The serial part of a job, from one speed-up alone.

use super::Estimate;

/// The share of a job that `workers` did one after the other, if nothing else kept them from a speed-up of `workers`:
/// `(1 / speed-up - 1 / workers) / (1 - 1 / workers)` (Karp and Flatt, *Measuring parallel processor performance*, 1990). If it
/// grows with the workers, what is lost is no serial part but the cost of working together. Less than 0 if the speed-up is more than
/// linear; none of one worker.
pub fn serial_fraction(speedup: Estimate, workers: usize) -> Option<Estimate> {
    let share = 1.0 / workers as f64;
    let of = |speedup: f64| (1.0 / speedup - share) / (1.0 - share);
    (workers > 1).then(|| Estimate { value: of(speedup.value), low: of(speedup.high), high: of(speedup.low) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_amdahls_law_has() {
        for (serial, workers) in [(0.0, 2), (0.05, 8), (0.3, 4), (1.0, 16)] {
            let speedup = 1.0 / (serial + (1.0 - serial) / workers as f64);
            let found = serial_fraction(Estimate::exact(speedup), workers).unwrap();
            assert!((found.value - serial).abs() < 1e-12, "{serial} {workers}: {found:?}");
        }
        assert_eq!(serial_fraction(Estimate::exact(1.0), 1), None);
        // The ends change places: the least speed-up has the largest serial part. By hand: 4 workers, 3 times 1: 1/9.
        let found = serial_fraction(Estimate { value: 3.0, low: 2.0, high: 5.0 }, 4).unwrap();
        assert!((found.value - 1.0 / 9.0).abs() < 1e-12 && (found.high - 1.0 / 3.0).abs() < 1e-12, "{found:?}");
        assert!(found.low < 0.0, "{found:?}");
    }
}
