//! How the speed of a job changes with the number of workers: medians with intervals, and the laws that are fitted to them.
//!
//! | law | throughput of `p` workers | for |
//! |---|---|---|
//! | Amdahl | `lambda p / (1 + sigma (p - 1))` | the same job for every `p`; sigma is its serial fraction |
//! | Gustafson | `lambda (p - sigma (p - 1))` | a job that grows with `p`; sigma is the serial fraction of the time that one takes |
//! | USL | `lambda p / (1 + sigma (p - 1) + kappa p (p - 1))` | both; sigma is contention, kappa the cost of coherency |
//!
//! USL is Gunther's Universal Scalability Law; with `kappa` = 0 it is Amdahl's. `lambda` is the throughput of one worker, in jobs
//! a second. Throughput is fitted, by least squares, each number of workers weighing as much as it has repetitions.
//!
//! Pure arithmetic. What is random (drawing repetitions again) is seeded, so that the same times give the same intervals.
//!
//! ```
//! use crate::scaling::{FitOptions, Law, Measured, fit};
//! // Seconds of a job of which 5 % is serial, told exactly: 1, 0.525, 0.2875, 0.16875.
//! let times = [1.0, 0.525, 0.2875, 0.16875];
//! let measured: Vec<_> = [1, 2, 4, 8].into_iter().zip(times).map(|(p, t)| Measured::new(p, vec![t; 5])).collect();
//! let amdahl = fit(Law::Amdahl, &measured, FitOptions::default())?;
//! assert!((amdahl.sigma.value - 0.05).abs() < 1e-9);
//! assert!((amdahl.curve.speedup(32.0) - 12.55).abs() < 0.01);
//! # Ok::<(), crate::scaling::FitError>(())
//! ```

mod choice;
mod curve;
mod fit;
mod measured;
mod rng;
mod serial_fraction;
mod solve;
mod student;
#[cfg(test)]
mod tests;

pub use choice::{Choice, choose};
pub use curve::{Curve, Law};
#[cfg(test)]
pub use fit::Scatter;
pub use fit::{Basis, Fit, FitError, FitOptions, fit};
pub use measured::{Estimate, Measured};
pub use rng::Rng;
pub use serial_fraction::serial_fraction;
