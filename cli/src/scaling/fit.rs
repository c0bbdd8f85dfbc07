//! Fits with intervals.

use super::solve::{Point, cost, covariance, solve};
use super::{Curve, Estimate, Law, Measured, Rng, student};

/// How deviations are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scatter {
    /// In proportion to throughput: 1 % weighs the same for every number of workers. Times scatter so.
    #[default]
    Relative,
    /// As they are, so that the largest throughputs weigh most. R's package `usl` does so.
    #[cfg(test)]
    Absolute,
}

/// How to fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// How deviations are counted.
    pub scatter: Scatter,
    /// How often repetitions are drawn again for intervals.
    pub resamples: usize,
    /// Where chance begins.
    pub seed: u64,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { scatter: Scatter::default(), resamples: 1000, seed: 1 }
    }
}

/// Where the intervals of a fit come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Basis {
    /// From the scatter of repetitions, at least 5 for every number of workers: drawn again with replacement, medians taken, fitted
    /// anew; the interval is from the 2.5th to the 97.5th of a hundred such fits.
    Repetitions {
        /// By what deviations were multiplied first (Birge 1932), because the medians lie further from the curve than
        /// repetitions scatter: 1 if they do not. Much above 1, the law is not what happens there.
        widening: f64,
    },
    /// From the deviations of the medians from the curve, by Student's t.
    Residuals,
    /// From nowhere: few repetitions, and the curve passes through every median because it has as many parameters. The intervals are
    /// all that the law allows.
    Nothing,
}

/// A law fitted to measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The curve of least squares.
    pub curve: Curve,
    /// Throughput of one worker, in jobs a second.
    pub lambda: Estimate,
    /// Contention, or the serial fraction.
    pub sigma: Estimate,
    /// Coherency; exactly 0 for laws without it.
    pub kappa: Estimate,
    /// With how many workers throughput is greatest; infinite where it never falls.
    pub peak: Estimate,
    /// Where the intervals come from.
    pub basis: Basis,
    /// How many more numbers of workers than parameters: how much there is to contradict the law.
    pub free: usize,
    /// The deviation of medians from the curve, and the standard errors of lambda, sigma and kappa that follow from it, if
    /// [`free`](Self::free) is not 0. With [`Scatter`] in absolute terms what R's `usl` prints.
    pub residual: Option<(f64, [f64; 3])>,
    /// Curves that it might also have been.
    others: Vec<Curve>,
}

/// Why a law cannot be fitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// Too few different numbers of workers.
    #[error(
        "{law} has {} parameters, and there are measurements of {}. Measure with at least {} to see whether it holds.",
        .law.parameters(), numbers(.has), .law.parameters() + 1
    )]
    TooFew {
        /// The law.
        law: Law,
        /// How many different numbers of workers there are.
        has: usize,
    },
    /// A time or an amount of work that cannot be.
    #[error(
        "the times of {workers} workers are {seconds:?} for {work} of work. All have to be above 0 and finite, and at least one is needed."
    )]
    Unsound {
        /// Of how many workers.
        workers: usize,
        /// Their work.
        work: f64,
        /// Their times.
        seconds: Vec<f64>,
    },
}

fn numbers(count: &usize) -> String {
    if *count == 1 { "1 number of workers".to_owned() } else { format!("{count} numbers of workers") }
}

/// Fits a law to the medians of what was measured, by least squares of throughput, with 95 % intervals.
///
/// Sigma stays within 0 and 1, kappa is not negative: where the data want it otherwise (more than linear speed-up, say), the
/// number is at its bound.
///
/// # Errors
/// If there are fewer different numbers of workers than the law has parameters, or a time that is not above 0 and finite.
pub fn fit(law: Law, measured: &[Measured], how: FitOptions) -> Result<Fit, FitError> {
    if let Some(wrong) = measured.iter().find(|one| !one.is_sound()) {
        let Measured { workers, work, seconds } = wrong.clone();
        return Err(FitError::Unsound { workers, work, seconds });
    }
    let mut different: Vec<usize> = measured.iter().map(|one| one.workers).collect();
    different.sort_unstable();
    different.dedup();
    let has = different.len();
    let Some(free) = has.checked_sub(law.parameters()) else { return Err(FitError::TooFew { law, has }) };
    let points: Vec<Point> = measured.iter().map(|one| point(one, one.median(), how.scatter)).collect();
    let curve = solve(law, &points);
    let residual = residual(&curve, &points);
    let mut rng = Rng::seeded(how.seed);
    let (basis, others) = if measured.iter().all(|one| one.seconds.len() >= 5) {
        let (widening, others) = again(&curve, measured, &points, free, how, &mut rng);
        (Basis::Repetitions { widening }, others)
    } else if let Some((error, _)) = residual {
        (Basis::Residuals, around(&curve, error, &points, how.resamples, &mut rng))
    } else {
        (Basis::Nothing, Vec::new())
    };
    let estimate = |number: usize| interval(&curve, number, basis, residual, points.len(), &others);
    let never = f64::INFINITY;
    let peak = match basis {
        Basis::Nothing if law == Law::Usl => Estimate { value: curve.peak().unwrap_or(never), low: 1.0, high: never },
        _ => Estimate::of(
            curve.peak().unwrap_or(never),
            others.iter().map(|other| other.peak().unwrap_or(never)).collect(),
        ),
    };
    let (lambda, sigma, kappa) = (estimate(0), estimate(1), estimate(2));
    Ok(Fit { curve, lambda, sigma, kappa, peak, basis, free, residual, others })
}

impl Fit {
    /// Throughput of so many workers, with an interval; also beyond those measured, where it holds if the law does.
    /// None if nothing is known of how far the curve may be off.
    pub fn throughput(&self, workers: f64) -> Option<Estimate> {
        let others: Vec<f64> = self.others.iter().map(|other| other.throughput(workers)).collect();
        (!others.is_empty()).then(|| Estimate::of(self.curve.throughput(workers), others))
    }
}

fn point(measured: &Measured, seconds: f64, scatter: Scatter) -> Point {
    let throughput = measured.work / seconds;
    let scale = if scatter == Scatter::Relative { throughput } else { 1.0 };
    Point { workers: measured.workers as f64, throughput, scale, weight: measured.seconds.len() as f64 }
}

/// The deviation of medians from the curve, and standard errors.
fn residual(curve: &Curve, points: &[Point]) -> Option<(f64, [f64; 3])> {
    let free = points.len().checked_sub(curve.law.parameters()).filter(|&free| free > 0)?;
    // Weights are told as shares, so that a number of repetitions common to all does not matter here.
    let mean = points.iter().map(|point| point.weight).sum::<f64>() / points.len() as f64;
    let variance = cost(curve, points) / mean / free as f64;
    let spread = covariance(curve, points)?;
    let error = |number: usize| (variance * mean * spread[number][number]).sqrt();
    Some((variance.sqrt(), [error(0), error(1), error(2)]))
}

/// Fits to medians of repetitions drawn again.
fn again(
    curve: &Curve,
    measured: &[Measured],
    points: &[Point],
    free: usize,
    how: FitOptions,
    rng: &mut Rng,
) -> (f64, Vec<Curve>) {
    /// No clock tells times better.
    const FINEST: f64 = 1e-7;

    let drawn: Vec<Vec<f64>> = measured.iter().map(|one| one.medians(rng, how.resamples)).collect();
    let square = |(place, one): (usize, &Measured)| {
        let (middle, drawn) = (one.median(), &drawn[place]);
        let variance = drawn.iter().map(|median| (median / middle).ln().powi(2)).sum::<f64>() / drawn.len() as f64;
        let off = (points[place].throughput / curve.throughput(points[place].workers)).ln();
        off * off / variance.max(FINEST * FINEST)
    };
    let squares: f64 = measured.iter().enumerate().map(square).sum();
    let widening = if free == 0 { 1.0 } else { (squares / free as f64).sqrt().max(1.0) };
    let others = (0..how.resamples).map(|resample| {
        let moved = |(place, one): (usize, &Measured)| {
            let middle = one.median();
            point(one, middle * (drawn[place][resample] / middle).powf(widening), how.scatter)
        };
        solve(curve.law, &measured.iter().enumerate().map(moved).collect::<Vec<_>>())
    });
    (widening, others.collect())
}

/// Curves drawn from the distribution of the parameters that the residuals leave: Student's t of several dimensions, within the bounds.
fn around(curve: &Curve, error: f64, points: &[Point], number: usize, rng: &mut Rng) -> Vec<Curve> {
    let Some(spread) = covariance(curve, points) else { return Vec::new() };
    let free = points.len() - curve.law.parameters();
    let mean = points.iter().map(|point| point.weight).sum::<f64>() / points.len() as f64;
    // Cholesky's root of the covariance; rows of parameters that the law lacks are 0.
    let mut root = [[0.0_f64; 3]; 3];
    for row in 0..3 {
        for col in 0..=row {
            let rest = spread[row][col] - (0..col).map(|k| root[row][k] * root[col][k]).sum::<f64>();
            root[row][col] = match (row == col, root[col][col] > 0.0) {
                (true, _) => rest.max(0.0).sqrt(),
                (false, true) => rest / root[col][col],
                (false, false) => 0.0,
            };
        }
    }
    let draw = |_| {
        let chi: f64 = (0..free).map(|_| rng.normal().powi(2)).sum();
        let scale = error * mean.sqrt() * (free as f64 / chi).sqrt();
        let normal = [(); 3].map(|()| rng.normal());
        let step = root.map(|row| scale * row.iter().zip(normal).map(|(one, other)| one * other).sum::<f64>());
        Curve {
            law: curve.law,
            lambda: (curve.lambda + step[0]).max(0.0),
            sigma: (curve.sigma + step[1]).clamp(0.0, 1.0),
            kappa: (curve.kappa + step[2]).max(0.0),
        }
    };
    (0..number).map(draw).collect()
}

/// The interval of lambda (0), sigma (1) or kappa (2).
fn interval(
    curve: &Curve,
    number: usize,
    basis: Basis,
    residual: Option<(f64, [f64; 3])>,
    points: usize,
    others: &[Curve],
) -> Estimate {
    let pick = |curve: &Curve| [curve.lambda, curve.sigma, curve.kappa][number];
    let (value, most) = (pick(curve), [f64::INFINITY, 1.0, f64::INFINITY][number]);
    match (basis, residual) {
        _ if number == 2 && curve.law != Law::Usl => Estimate::exact(0.0),
        (Basis::Residuals, Some((_, errors))) => {
            let reach = student::quantile(0.975, points - curve.law.parameters()) * errors[number];
            Estimate { value, low: (value - reach).max(0.0), high: (value + reach).min(most) }
        }
        (Basis::Nothing, _) => Estimate { value, low: 0.0, high: most },
        _ => Estimate::of(value, others.iter().map(pick).collect()),
    }
}
