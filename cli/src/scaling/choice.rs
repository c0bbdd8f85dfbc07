//! Which law fits best, and whether the data can tell.

use std::f64::consts::FRAC_2_PI;
use std::fmt;

use super::{Fit, Law, Measured};

/// How laws compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The laws that were compared, best first, each with its Akaike weight: how likely it is to be the one that tells new
    /// measurements best. Empty if there are too few runs to compare.
    pub weights: Vec<(Law, f64)>,
    /// How many runs were compared with the curves.
    pub runs: usize,
    /// The curves that pass through every median, whatever it is, because they have as many parameters.
    pub bound: Vec<Law>,
}

/// From which weight on the data are said to tell.
const CLEAR: f64 = 0.95;

/// Compares fits to the same measurements by the corrected Akaike criterion (Hurvich and Tsai 1989; Burnham and Anderson, *Model
/// selection and multimodel inference*, 2002), all runs but outliers taken as independent, with normal deviations in proportion to
/// the time. Laws with more parameters have to fit that much better.
pub fn choose(measured: &[Measured], fits: &[&Fit]) -> Choice {
    let (runs, within) = measured.iter().map(scatter).fold((0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let criterion = |fit: &&Fit| {
        let apart: f64 = measured.iter().map(|one| from_curve(one, fit)).sum();
        // The variance is a parameter as well.
        let (runs, numbers) = (runs as f64, fit.curve.law.parameters() as f64 + 1.0);
        // Times are not told better than to a millionth, so that a curve through all of them is not infinitely good.
        let variance = ((within + apart) / runs).max(1e-12);
        (runs > numbers + 1.0)
            .then(|| runs * variance.ln() + 2.0 * numbers + 2.0 * numbers * (numbers + 1.0) / (runs - numbers - 1.0))
    };
    let criteria: Option<Vec<f64>> = fits.iter().map(criterion).collect();
    let criteria = criteria.unwrap_or_default();
    let least = criteria.iter().copied().fold(f64::INFINITY, f64::min);
    let likelihoods: Vec<f64> = criteria.iter().map(|criterion| ((least - criterion) / 2.0).exp()).collect();
    let all: f64 = likelihoods.iter().sum();
    let laws = fits.iter().map(|fit| fit.curve.law);
    let mut weights: Vec<(Law, f64)> = laws.zip(likelihoods.iter().map(|one| one / all)).collect();
    weights.sort_by(|one, other| other.1.total_cmp(&one.1));
    let bound = fits.iter().filter(|fit| fit.free == 0).map(|fit| fit.curve.law).collect();
    Choice { weights, runs, bound }
}

/// How many repetitions do not stand apart, and the squares of their deviations from the median, in proportion.
fn scatter(measured: &Measured) -> (usize, f64) {
    let (apart, middle) = (measured.outliers(), measured.median());
    let kept = measured.seconds.iter().enumerate().filter(|(place, _)| !apart.contains(place));
    kept.fold((0, 0.0), |(count, sum), (_, time)| (count + 1, sum + (time / middle - 1.0).powi(2)))
}

/// The square of the median's deviation from the curve, for as many repetitions as there are. The median of many normal
/// repetitions scatters pi/2 times as much as their mean.
fn from_curve(measured: &Measured, fit: &Fit) -> f64 {
    let (runs, _) = scatter(measured);
    let told = measured.work / fit.curve.throughput(measured.workers as f64);
    let share = if runs < 3 { 1.0 } else { FRAC_2_PI };
    share * runs as f64 * (measured.median() / told - 1.0).powi(2)
}

impl Choice {
    /// The best law, if the data can tell that it is.
    pub fn clear(&self) -> Option<Law> {
        self.weights.first().filter(|(_, weight)| self.weights.len() > 1 && *weight >= CLEAR).map(|(law, _)| *law)
    }
}

/// One or two sentences.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = self.weights.iter().map(|(law, weight)| format!("{law} {weight:.3}")).collect();
        match (&self.weights[..], self.clear()) {
            ([], _) => {
                write!(f, "There is nothing to compare: {} runs are too few, or no law could be fitted.", self.runs)?
            }
            ([(law, _)], _) => write!(f, "{law} alone could be fitted, so there is nothing to compare it with.")?,
            (_, Some(law)) => write!(f, "{law} fits best, and the data can tell (weights: {}).", list.join(", "))?,
            ([(law, _), ..], None) => {
                write!(f, "{law} fits best, but the data cannot tell (weights: {}; {CLEAR} would).", list.join(", "))?
            }
        }
        if let [law, ..] = &self.bound[..] {
            let names: Vec<String> = self.bound.iter().map(ToString::to_string).collect();
            let passes = if self.bound.len() == 1 { "passes" } else { "pass" };
            write!(
                f,
                " {} {passes} through every median by construction: {} numbers of workers leave nothing to contradict it.",
                names.join(" and "),
                law.parameters()
            )?;
        }
        Ok(())
    }
}
