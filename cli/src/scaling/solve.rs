//! Least squares for the three laws: Levenberg and Marquardt's method, held within the bounds sigma in 0..=1 and kappa >= 0.

use super::{Curve, Law};

/// One number of workers, as the fit sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) workers: f64,
    pub(super) throughput: f64,
    /// By what a deviation is divided: the throughput itself if deviations are told in proportion.
    pub(super) scale: f64,
    /// How many repetitions stand behind it.
    pub(super) weight: f64,
}

impl Point {
    /// Observed less told by the curve, so that squares may be added.
    pub(super) fn deviation(&self, curve: &Curve) -> f64 {
        self.weight.sqrt() * (self.throughput - curve.throughput(self.workers)) / self.scale
    }

    /// How the curve moves here with each of its numbers, in the unit of deviations.
    fn slopes(&self, curve: &Curve) -> [f64; 3] {
        curve.slopes(self.workers).map(|slope| self.weight.sqrt() * slope / self.scale)
    }
}

/// The sum of squared deviations.
pub(super) fn cost(curve: &Curve, points: &[Point]) -> f64 {
    points.iter().map(|point| point.deviation(curve).powi(2)).sum()
}

/// The curve of least squares. Points are of at least as many numbers of workers as the law has parameters.
pub(super) fn solve(law: Law, points: &[Point]) -> Curve {
    let mut curve = start(law, points);
    let (mut least, mut damping) = (cost(&curve, points), 1e-3);
    for _ in 0..200 {
        let (square, right) = normal(&curve, points);
        // A number at its bound that wants to go beyond it stays.
        let kept = |number: usize| match number {
            1 => (curve.sigma <= 0.0 && right[1] < 0.0) || (curve.sigma >= 1.0 && right[1] > 0.0),
            2 => law != Law::Usl || (curve.kappa <= 0.0 && right[2] < 0.0),
            _ => false,
        };
        let free = [0, 1, 2].map(|number| !kept(number));
        let mut damped = square;
        (0..3).for_each(|number| damped[number][number] *= 1.0 + damping);
        let Some(step) = eliminate(damped, right, free) else { break };
        let next = Curve {
            law,
            lambda: (curve.lambda + step[0]).max(curve.lambda / 10.0),
            sigma: (curve.sigma + step[1]).clamp(0.0, 1.0),
            kappa: (curve.kappa + step[2]).max(0.0),
        };
        let now = cost(&next, points);
        if now < least {
            let gain = (least - now) / least;
            (curve, least, damping) = (next, now, damping / 5.0);
            if gain < 1e-15 {
                break;
            }
        } else {
            damping *= 5.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    curve
}

/// Where to begin. Workers over throughput are a straight line in 1, p - 1 and p (p - 1) for Amdahl's law and the USL, so a
/// linear fit is close.
fn start(law: Law, points: &[Point]) -> Curve {
    let best = points.iter().map(|point| point.throughput / point.workers).fold(0.0, f64::max);
    let simple = Curve { law, lambda: best, sigma: 0.01, kappa: if law == Law::Usl { 1e-4 } else { 0.0 } };
    if law == Law::Gustafson {
        return simple;
    }
    let mut free = [true, true, law == Law::Usl];
    loop {
        let (mut square, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
        for point in points {
            let height = point.workers / point.throughput;
            let others = point.workers - 1.0;
            // A deviation of throughput is one of its inverse, times the square.
            let weight = point.weight * (point.throughput / (point.scale * height)).powi(2);
            add(&mut square, &mut right, [1.0, others, point.workers * others], height, weight);
        }
        let Some([one, contention, coherency]) = eliminate(square, right, free) else { return simple };
        let (sigma, kappa) = (contention / one, coherency / one);
        if one <= 0.0 || !(one.is_finite() && sigma.is_finite() && kappa.is_finite()) {
            return simple;
        }
        match (sigma < 0.0, kappa < 0.0) {
            (_, true) if free[2] => free[2] = false,
            (true, _) if free[1] => free[1] = false,
            _ => return Curve { law, lambda: 1.0 / one, sigma: sigma.clamp(0.0, 1.0), kappa: kappa.max(0.0) },
        }
    }
}

/// Of all points, the products of slopes with each other, and with the deviations.
fn normal(curve: &Curve, points: &[Point]) -> ([[f64; 3]; 3], [f64; 3]) {
    let (mut square, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
    for point in points {
        add(&mut square, &mut right, point.slopes(curve), point.deviation(curve), 1.0);
    }
    (square, right)
}

fn add(square: &mut [[f64; 3]; 3], right: &mut [f64; 3], slopes: [f64; 3], height: f64, weight: f64) {
    for (row, one) in slopes.into_iter().enumerate() {
        right[row] += weight * one * height;
        for (col, other) in slopes.into_iter().enumerate() {
            square[row][col] += weight * one * other;
        }
    }
}

/// Solves the equations for the numbers that are free; the others are 0. None if they have no single solution.
fn eliminate(square: [[f64; 3]; 3], right: [f64; 3], free: [bool; 3]) -> Option<[f64; 3]> {
    let numbers: Vec<usize> = (0..3).filter(|&number| free[number]).collect();
    // Sigma and kappa differ by powers of ten: each is told in its own unit.
    let unit = |number: usize| square[number][number].sqrt();
    if numbers.iter().any(|&number| unit(number) == 0.0 || !unit(number).is_finite()) {
        return None;
    }
    let size = numbers.len();
    let mut rows: Vec<Vec<f64>> = numbers
        .iter()
        .map(|&row| {
            let left = numbers.iter().map(|&col| square[row][col] / (unit(row) * unit(col)));
            left.chain([right[row] / unit(row)]).collect()
        })
        .collect();
    for pivot in 0..size {
        let largest =
            (pivot..size).max_by(|&one, &other| rows[one][pivot].abs().total_cmp(&rows[other][pivot].abs()))?;
        rows.swap(pivot, largest);
        if rows[pivot][pivot].abs() < 1e-13 {
            return None;
        }
        for row in (0..size).filter(|&row| row != pivot) {
            let factor = rows[row][pivot] / rows[pivot][pivot];
            (pivot..=size).for_each(|col| rows[row][col] -= factor * rows[pivot][col]);
        }
    }
    let mut solution = [0.0; 3];
    for (place, &number) in numbers.iter().enumerate() {
        solution[number] = rows[place][size] / rows[place][place] / unit(number);
    }
    Some(solution)
}

/// The covariance of lambda, sigma and kappa for deviations of variance 1, as if no bound held; 0 for what the law lacks.
/// None if the points cannot tell them apart.
pub(super) fn covariance(curve: &Curve, points: &[Point]) -> Option<[[f64; 3]; 3]> {
    let (square, _) = normal(curve, points);
    let free = [true, true, curve.law == Law::Usl];
    let column = |number: usize| {
        let mut one = [0.0; 3];
        one[number] = 1.0;
        if free[number] { eliminate(square, one, free) } else { Some([0.0; 3]) }
    };
    Some([column(0)?, column(1)?, column(2)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(curve: Curve, workers: &[f64]) -> Vec<Point> {
        let point = |&workers: &f64| {
            let throughput = curve.throughput(workers);
            Point { workers, throughput, scale: throughput, weight: 1.0 }
        };
        workers.iter().map(point).collect()
    }

    #[test]
    fn what_was_planted_is_found() {
        for law in [Law::Amdahl, Law::Gustafson, Law::Usl] {
            for sigma in [0.0, 0.001, 0.03, 0.4, 0.9, 1.0] {
                for kappa in [0.0, 1e-6, 1e-3, 0.05, 2.0] {
                    let kappa = if law == Law::Usl { kappa } else { 0.0 };
                    let truth = Curve { law, lambda: 123.0, sigma, kappa };
                    let found = solve(law, &points(truth, &[1.0, 2.0, 4.0, 8.0, 24.0]));
                    let near = |one: f64, other: f64| (one - other).abs() <= 1e-5 * other + 1e-7;
                    let all = near(found.lambda, 123.0) && near(found.sigma, sigma) && near(found.kappa, kappa);
                    assert!(all, "{truth:?} {found:?}");
                }
            }
        }
    }

    /// No step in any direction that the bounds allow makes it better.
    #[test]
    fn the_bounds_hold_and_the_rest_is_least() {
        let linear = Curve { law: Law::Usl, lambda: 10.0, sigma: 0.0, kappa: 0.0 };
        for bend in [0.3, -0.3, -2.0, 5.0] {
            let mut points = points(linear, &[1.0, 2.0, 4.0, 8.0]);
            for point in &mut points {
                point.throughput *= point.workers.powf(bend);
                point.scale = point.throughput;
            }
            for law in [Law::Amdahl, Law::Gustafson, Law::Usl] {
                let found = solve(law, &points);
                assert!((0.0..=1.0).contains(&found.sigma) && found.kappa >= 0.0 && found.lambda > 0.0, "{found:?}");
                let least = cost(&found, &points);
                for (lambda, sigma, kappa) in [(1e-4, 0.0, 0.0), (0.0, 1e-4, 0.0), (0.0, 0.0, 1e-4)] {
                    for way in [1.0, -1.0] {
                        let kappa = if law == Law::Usl { way * kappa } else { 0.0 };
                        let other = Curve {
                            law,
                            lambda: found.lambda * (1.0 + way * lambda),
                            sigma: (found.sigma + way * sigma).clamp(0.0, 1.0),
                            kappa: (found.kappa + kappa).max(0.0),
                        };
                        assert!(cost(&other, &points) >= least * (1.0 - 1e-9), "{bend} {found:?} {other:?}");
                    }
                }
            }
        }
    }
}
