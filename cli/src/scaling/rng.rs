//! Random numbers that can be repeated.

/// Numbers that look random, of which no secret is made: good enough to draw samples with.
#[derive(Clone, Debug)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// The same seed gives the same numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number from 0 to `end`, that not included.
    ///
    /// # Panics
    /// If `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    /// A number between 0 and 1, neither of them.
    pub fn unit(&mut self) -> f64 {
        ((self.0.u64(..) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// A number of the normal distribution with mean 0 and deviation 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Puts things into an order of which all are equally likely.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        self.0.shuffle(things);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_even_and_orders_are_whole() {
        let mut rng = Rng::seeded(1);
        let mut counts = [0; 7];
        (0..70_000).for_each(|_| counts[rng.below(7)] += 1);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        let sample: Vec<f64> = (0..10_000).map(|_| rng.normal()).collect();
        let mean = sample.iter().sum::<f64>() / 1e4;
        let square = sample.iter().map(|x| x * x).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.04 && (square - 1.0).abs() < 0.05, "{mean} {square}");
        let mut order: Vec<usize> = (0..50).collect();
        rng.shuffle(&mut order);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
