//! Which vector instructions kernels use: chosen here, once in each process.
//!
//! | level      | instructions                       | CPUs                                                     |
//! |------------|------------------------------------|----------------------------------------------------------|
//! | `baseline` | those of every CPU (SSE2)          | all                                                      |
//! | `v3`       | AVX2, FMA, BMI                     | x86-64 since Haswell (2013) and Zen (2017)               |
//! | `v4`       | AVX-512 F, BW, CD, DQ, VL          | x86-64 servers since Skylake-X (2017), Zen 4 (2022)      |
//! | `neon`     | NEON                               | aarch64                                                  |
//!
//! Results have the same bits at every level. The environment variable `PARFORK_SIMD` names one below the CPU's own, to test and to
//! measure it. Matrix products alone do not heed it: the library that computes them looks at the CPU itself.
//!
//! ```
//! use parfork_workers::simd::Level;
//! assert!(Level::current()? <= Level::of_cpu());
//! # Ok::<(), parfork_workers::simd::LevelError>(())
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use pulp::Arch;

/// The environment variable that lowers the level.
const VARIABLE: &str = "PARFORK_SIMD";

/// A set of vector instructions; the greater has all of the less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What every CPU of this kind has.
    Baseline,
    /// AVX2, FMA and BMI.
    #[cfg(target_arch = "x86_64")]
    V3,
    /// AVX-512 F, BW, CD, DQ and VL; where the CPU has them VBMI, VBMI2 and VNNI as well.
    #[cfg(target_arch = "x86_64")]
    V4,
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Level {
    /// All levels of this kind of CPU, ascending.
    pub const ALL: &[Self] = &[
        Self::Baseline,
        #[cfg(target_arch = "x86_64")]
        Self::V3,
        #[cfg(target_arch = "x86_64")]
        Self::V4,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
    ];

    /// The highest that this CPU has.
    pub fn of_cpu() -> Self {
        match Arch::new() {
            #[cfg(target_arch = "x86_64")]
            Arch::V3(_) => Self::V3,
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => Self::V4,
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => Self::Neon,
            _ => Self::Baseline,
        }
    }

    /// The one that kernels use in this process: what the environment asked for when it was first looked at, else the CPU's.
    ///
    /// # Errors
    /// If the environment asks for what is no level, or not this CPU's. Kernels use the CPU's own then.
    pub fn current() -> Result<Self, LevelError> {
        static CURRENT: OnceLock<Result<Level, LevelError>> = OnceLock::new();
        let current = CURRENT.get_or_init(|| match std::env::var_os(VARIABLE) {
            None => Ok(Self::of_cpu()),
            Some(text) => text.to_string_lossy().parse(),
        });
        current.clone()
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Self::V3 => "v3",
            #[cfg(target_arch = "x86_64")]
            Self::V4 => "v4",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
        })
    }
}

/// A text that names no level of this CPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}={asked} is no level of vector instructions that this CPU has. Set it to {}, or not at all.", listed(*.most))]
pub struct LevelError {
    asked: String,
    most: Level,
}

fn listed(most: Level) -> String {
    let levels = Level::ALL.iter().filter(|&&level| level <= most);
    levels.map(Level::to_string).collect::<Vec<_>>().join(" or ")
}

/// Reads the name of a level that this CPU has.
impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let most = Self::of_cpu();
        let level = Self::ALL.iter().copied().filter(|&level| level <= most).find(|level| level.to_string() == text);
        level.ok_or_else(|| LevelError { asked: text.to_owned(), most })
    }
}

/// The instructions of the current level.
pub(crate) fn arch() -> Arch {
    match Level::current() {
        Ok(Level::Baseline) => Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok(Level::V3) => pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3),
        _ => Arch::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_named_and_those_beyond_the_cpu_refused() {
        let most = Level::of_cpu();
        for &level in Level::ALL {
            assert_eq!(level.to_string().parse().ok(), (level <= most).then_some(level));
        }
        let refused = "v5".parse::<Level>().unwrap_err().to_string();
        assert!(refused.starts_with("PARFORK_SIMD=v5 is no level") && refused.contains("baseline"), "{refused}");
    }
}
