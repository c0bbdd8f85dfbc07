//! One direction of a plot.

/// From which number to which, evenly or doubling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    doubling: bool,
}

impl Axis {
    /// Even, from 0 to some way beyond `high`, so that the last tick is the end.
    pub fn even(high: f64) -> Self {
        let step = step(high);
        Self { low: 0.0, high: (high / step).ceil() * step, doubling: false }
    }

    /// Even, from 0 to just beyond `high`.
    pub fn up_to(high: f64) -> Self {
        Self { low: 0.0, high: 1.03 * high, doubling: false }
    }

    /// Each power of two as far from the last; with some room at both ends, for what is drawn around the first and the last number.
    pub fn doubling(low: f64, high: f64) -> Self {
        const ROOM: f64 = 1.09;
        Self { low: low / ROOM, high: high.max(2.0 * low) * ROOM, doubling: true }
    }

    /// The last number.
    pub fn high(&self) -> f64 {
        self.high
    }

    /// Where a number is: 0 at the beginning, 1 at the end, and kept within.
    pub fn share(&self, number: f64) -> f64 {
        let share = if self.doubling {
            (number / self.low).log2() / (self.high / self.low).log2()
        } else {
            (number - self.low) / (self.high - self.low)
        };
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    /// The number at a share of the way.
    pub fn number(&self, share: f64) -> f64 {
        if self.doubling {
            self.low * (self.high / self.low).powf(share)
        } else {
            self.low + share * (self.high - self.low)
        }
    }

    /// Numbers to be marked, not more than a dozen, with their words.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let numbers: Vec<f64> = if self.doubling {
            let (low, high) = (self.low.log2().ceil() as i32, self.high.log2().floor() as i32);
            let every = ((high - low) / 12 + 1) as usize;
            let powers = (low..=high).step_by(every).map(|power| f64::from(power).exp2());
            // Of few, also those in between that are whole: 3, 6, 12.
            let more = |&power: &f64| high - low < 4 && power >= 2.0 && 1.5 * power <= self.high;
            powers.flat_map(|power| [power].into_iter().chain(Some(1.5 * power).filter(|_| more(&power)))).collect()
        } else {
            let step = step(self.high);
            (0..=(self.high / step + 1e-9) as usize).map(|number| number as f64 * step).collect()
        };
        numbers.into_iter().map(|number| (number, words(number))).collect()
    }
}

/// 1, 2 or 5 times a power of ten, so that there are 3 to 8 steps.
fn step(high: f64) -> f64 {
    let rough = (high / 7.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= rough * 0.999).unwrap_or(10.0);
    times * power
}

/// As few digits as tell it from its neighbours.
fn words(number: f64) -> String {
    if number != 0.0 && number < 1.0 / 64.0 && number.log2().fract() == 0.0 {
        return format!("1/{}", 1.0 / number);
    }
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(axis: Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, words)| words).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(told(Axis::even(1.13)), ["0", "0.2", "0.4", "0.6", "0.8", "1", "1.2"]);
        assert_eq!(told(Axis::even(87.0)), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(told(Axis::doubling(1.0, 32.0)), ["1", "2", "4", "8", "16", "32"]);
        assert_eq!(told(Axis::doubling(0.25, 1.0)), ["0.25", "0.5", "1"]);
        assert!(told(Axis::doubling(1.0, 1e6)).len() <= 12 && told(Axis::even(1e-9)).len() < 12);
        assert!(told(Axis::doubling(1.0, 1.0)).len() == 2);
        assert_eq!(told(Axis::doubling(0.97, 7.5)), ["1", "2", "3", "4", "6", "8"]);
        assert_eq!(told(Axis::up_to(32.0)), ["0", "5", "10", "15", "20", "25", "30"]);
    }

    #[test]
    fn places_and_numbers_are_each_others_inverse() {
        for axis in [Axis::even(7.0), Axis::doubling(0.5, 64.0)] {
            for share in [0.0, 0.3, 1.0] {
                assert!((axis.share(axis.number(share)) - share).abs() < 1e-12);
            }
            assert_eq!((axis.share(-1.0), axis.share(1e9)), (0.0, 1.0));
        }
    }
}
