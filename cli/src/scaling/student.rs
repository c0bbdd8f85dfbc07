//! Student's t distribution.

/// The number that a t of `free` degrees of freedom stays below with probability `share`, which is above 0.5.
///
/// The distribution function is the finite series 26.7.3 and 26.7.4 of Abramowitz and Stegun, *Handbook of Mathematical
/// Functions*; it is inverted by bisection.
pub(super) fn quantile(share: f64, free: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while within(high, free) < 2.0 * share - 1.0 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if within(middle, free) < 2.0 * share - 1.0 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The probability that |t| is at most `t`.
fn within(t: f64, free: usize) -> f64 {
    let angle = (t / (free as f64).sqrt()).atan();
    let (sine, square) = (angle.sin(), angle.cos().powi(2));
    // Odd: cos + 2/3 cos^3 + 2*4/(3*5) cos^5 + ...; even: 1 + 1/2 cos^2 + 1*3/(2*4) cos^4 + ...
    let odd = free % 2 == 1;
    let (mut term, mut sum) = (if odd { angle.cos() } else { 1.0 }, 0.0);
    let terms = free / 2;
    for number in 1..=terms {
        sum += term;
        let step = 2.0 * number as f64;
        term *= square * if odd { step / (step + 1.0) } else { (step - 1.0) / step };
    }
    if odd { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the printed table 26.10 of the same book.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (free, share, expected) in [
            (1, 0.975, 12.706),
            (2, 0.975, 4.303),
            (3, 0.975, 3.182),
            (4, 0.975, 2.776),
            (9, 0.95, 1.833),
            (30, 0.975, 2.042),
            (120, 0.975, 1.980),
        ] {
            assert!((quantile(share, free) - expected).abs() < 6e-4, "{free} {share}: {}", quantile(share, free));
        }
    }
}
