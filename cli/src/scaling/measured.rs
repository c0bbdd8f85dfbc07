//! Repeated times of one number of workers: where they lie, how they scatter, and which stand apart.

use super::Rng;

/// A number with the interval that contains the truth in 95 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The best guess.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end, which may be infinite.
    pub high: f64,
}

impl Estimate {
    /// A number that is known.
    pub fn exact(value: f64) -> Self {
        Self { value, low: value, high: value }
    }

    /// A guess, and what it might have been: from the 2.5th to the 97.5th of a hundred of those, the guess included.
    pub fn of(value: f64, mut others: Vec<f64>) -> Self {
        others.sort_by(f64::total_cmp);
        let at = |share: f64| quantile(&others, share).unwrap_or(value);
        Self { value, low: at(0.025).min(value), high: at(0.975).max(value) }
    }

    /// Whether a number lies in the interval.
    #[cfg(test)]
    pub fn contains(&self, number: f64) -> bool {
        (self.low..=self.high).contains(&number)
    }
}

/// What was measured with some number of workers.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// How many workers.
    pub workers: usize,
    /// How much was done in one repetition: 1 for the same job with every number of workers, and if the job grows with
    /// them, how many times that of one.
    pub work: f64,
    /// The time of each repetition, in seconds.
    pub seconds: Vec<f64>,
}

impl Measured {
    /// Repetitions of the same job.
    pub fn new(workers: usize, seconds: Vec<f64>) -> Self {
        Self { workers, work: 1.0, seconds }
    }

    /// Repetitions of a job that is `work` times that of one worker.
    #[must_use]
    pub fn work(self, work: f64) -> Self {
        Self { work, ..self }
    }

    /// Whether there is a time, and all are above 0 and finite, and so is the work.
    pub fn is_sound(&self) -> bool {
        let sound = |number: &f64| number.is_finite() && *number > 0.0;
        self.workers > 0 && sound(&self.work) && !self.seconds.is_empty() && self.seconds.iter().all(sound)
    }

    /// The median of the times; NaN if there are none.
    pub fn median(&self) -> f64 {
        median(&self.seconds)
    }

    /// The median with an interval, by the bootstrap: repetitions but outliers are drawn again with replacement, `resamples` times.
    /// Two times or fewer say nothing of how far they may be off; the interval is then no better than their range.
    pub fn estimate(&self, rng: &mut Rng, resamples: usize) -> Estimate {
        Estimate::of(self.median(), self.medians(rng, resamples))
    }

    /// The medians of samples drawn from the repetitions that do not stand apart: of few, a sample would too often have
    /// a chance event in its middle.
    pub fn medians(&self, rng: &mut Rng, resamples: usize) -> Vec<f64> {
        let apart = self.outliers();
        let times = self.seconds.iter().enumerate().filter(|(place, _)| !apart.contains(place));
        let times: Vec<f64> = times.map(|(_, time)| *time).collect();
        let mut sample = times.clone();
        let draw = |_| {
            sample.iter_mut().for_each(|time| *time = times[rng.below(times.len())]);
            median_of(&mut sample)
        };
        (0..resamples).map(draw).collect()
    }

    /// How many times as long this takes as `other`, with an interval: both medians are drawn again.
    pub fn ratio(&self, other: &Self, rng: &mut Rng, resamples: usize) -> Estimate {
        let (ours, theirs) = (self.medians(rng, resamples), other.medians(rng, resamples));
        let ratios = ours.into_iter().zip(theirs).map(|(one, other)| one / other).collect();
        Estimate::of(self.median() / other.median(), ratios)
    }

    /// The median absolute deviation from the median, in seconds.
    pub fn mad(&self) -> f64 {
        let middle = self.median();
        median_of(&mut self.seconds.iter().map(|time| (time - middle).abs()).collect::<Vec<_>>())
    }

    /// How much the times scatter, as a share of the median: the deviation that a normal distribution with this MAD has.
    pub fn noise(&self) -> f64 {
        1.4826 * self.mad() / self.median()
    }

    /// The places of times that stand apart: more than 3.5 deviations from the median, the deviation being told from the MAD
    /// (Iglewicz and Hoaglin, *How to detect and handle outliers*, 1993). None of fewer than 5 times.
    pub fn outliers(&self) -> Vec<usize> {
        let (middle, mad) = (self.median(), self.mad());
        let apart = |time: f64| 0.6745 * (time - middle).abs() > 3.5 * mad.max(1e-4 * middle);
        let places = self.seconds.iter().enumerate().filter(|(_, time)| apart(**time)).map(|(place, _)| place);
        if self.seconds.len() < 5 { Vec::new() } else { places.collect() }
    }
}

/// The median; NaN of none.
fn median(numbers: &[f64]) -> f64 {
    median_of(&mut numbers.to_vec())
}

/// The median of numbers that are sorted on the way.
fn median_of(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    quantile(numbers, 0.5).unwrap_or(f64::NAN)
}

/// The number below which a share of the sorted numbers lies, between neighbours in proportion; infinities are not mixed.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(if below == above { below } else { below + (above - below) * place.fract() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_deviations() {
        let measured = Measured::new(1, vec![3.0, 1.0, 2.0, 2.5, 9.0]);
        assert_eq!((measured.median(), measured.mad()), (2.5, 0.5));
        assert_eq!(Measured::new(1, vec![1.0, 2.0]).median(), 1.5);
        assert!(Measured::new(1, vec![]).median().is_nan());
        assert_eq!(quantile(&[1.0, 2.0, f64::INFINITY, f64::INFINITY], 0.9), Some(f64::INFINITY));
    }

    #[test]
    fn what_stands_apart_is_found() {
        let measured = Measured::new(1, vec![1.0, 1.01, 0.99, 1.02, 0.98, 3.0, 1.0]);
        assert_eq!(measured.outliers(), [5]);
        // Equal times are no reason to call the next tick of the clock an outlier.
        assert!(Measured::new(1, vec![1.0, 1.0, 1.0, 1.0, 1.0004]).outliers().is_empty());
        assert!(Measured::new(1, vec![1.0, 1.0, 9.0]).outliers().is_empty());
    }

    #[test]
    fn intervals_shrink_with_repetitions_and_contain_the_truth() {
        let mut rng = Rng::seeded(3);
        let width = |repetitions: usize, rng: &mut Rng| {
            let times = (0..repetitions).map(|_| 1.0 + 0.05 * rng.normal()).collect();
            let estimate = Measured::new(1, times).estimate(rng, 500);
            assert!(estimate.low <= estimate.value && estimate.value <= estimate.high);
            estimate.high - estimate.low
        };
        assert!(width(10, &mut rng) > 2.0 * width(400, &mut rng));
        let contained = |_: usize| {
            let mut times = || Measured::new(1, (0..20).map(|_| 2.0 + 0.1 * rng.normal()).collect());
            let (one, other) = (times(), times());
            usize::from(one.ratio(&other, &mut rng, 300).contains(1.0))
        };
        let hits: usize = (0..400).map(contained).sum();
        assert!((364..=398).contains(&hits), "{hits} of 400");
    }

    #[test]
    fn times_that_cannot_be_are_told() {
        for times in [vec![], vec![0.0], vec![1.0, f64::NAN], vec![-1.0], vec![f64::INFINITY]] {
            assert!(!Measured::new(1, times.clone()).is_sound(), "{times:?}");
        }
        assert!(!Measured::new(0, vec![1.0]).is_sound() && Measured::new(1, vec![1.0]).work(2.0).is_sound());
    }
}
