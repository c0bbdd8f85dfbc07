//! The laws, with numbers.

use std::fmt;

/// A law of how throughput grows with workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Law {
    /// Amdahl 1967: a part of the job is done by one worker alone.
    Amdahl,
    /// Gustafson 1988: the job grows with the workers, its serial part does not.
    Gustafson,
    /// Gunther's Universal Scalability Law, 1993: workers wait for each other (contention) and have to agree (coherency).
    Usl,
}

impl Law {
    /// How many numbers it has.
    pub fn parameters(self) -> usize {
        if self == Self::Usl { 3 } else { 2 }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Amdahl => "Amdahl's law",
            Self::Gustafson => "Gustafson's law",
            Self::Usl => "USL",
        })
    }
}

/// A law with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    /// Which law.
    pub law: Law,
    /// Throughput of one worker, in jobs a second.
    pub lambda: f64,
    /// Contention, or the serial fraction: 0 to 1.
    pub sigma: f64,
    /// Coherency: 0 or more, and 0 for all but the USL.
    pub kappa: f64,
}

impl Curve {
    /// Throughput of so many workers, in jobs a second.
    pub fn throughput(&self, workers: f64) -> f64 {
        self.lambda * self.speedup(workers)
    }

    /// Throughput of so many workers over that of one.
    pub fn speedup(&self, workers: f64) -> f64 {
        let others = workers - 1.0;
        match self.law {
            Law::Gustafson => workers - self.sigma * others,
            Law::Amdahl | Law::Usl => workers / (1.0 + self.sigma * others + self.kappa * workers * others),
        }
    }

    /// With how many workers throughput is greatest, if it ever falls again: `sqrt((1 - sigma) / kappa)`, at least 1.
    pub fn peak(&self) -> Option<f64> {
        (self.kappa > 0.0).then(|| ((1.0 - self.sigma) / self.kappa).sqrt().max(1.0))
    }

    /// The speed-up that no number of workers exceeds, if there is one: that at the peak, or else `1 / sigma`.
    pub fn limit(&self) -> Option<f64> {
        match (self.peak(), self.law) {
            (Some(peak), _) => Some(self.speedup(peak)),
            (None, Law::Gustafson) => None,
            (None, _) => (self.sigma > 0.0).then(|| 1.0 / self.sigma),
        }
    }

    /// How throughput changes with lambda, sigma and kappa.
    pub(super) fn slopes(&self, workers: f64) -> [f64; 3] {
        let (others, speedup) = (workers - 1.0, self.speedup(workers));
        match self.law {
            Law::Gustafson => [speedup, -self.lambda * others, 0.0],
            Law::Amdahl | Law::Usl => {
                let steep = -self.lambda * speedup * speedup * others;
                [speedup, steep / workers, steep]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laws_are_what_the_books_say() {
        let amdahl = Curve { law: Law::Amdahl, lambda: 2.0, sigma: 0.1, kappa: 0.0 };
        assert!((amdahl.speedup(4.0) - 1.0 / (0.1 + 0.9 / 4.0)).abs() < 1e-12);
        assert!((amdahl.throughput(1.0) - 2.0).abs() < 1e-12);
        assert_eq!((amdahl.peak(), amdahl.limit()), (None, Some(10.0)));
        let gustafson = Curve { law: Law::Gustafson, ..amdahl };
        assert!((gustafson.speedup(10.0) - (0.1 + 0.9 * 10.0)).abs() < 1e-12);
        assert_eq!(gustafson.limit(), None);
        let usl = Curve { law: Law::Usl, kappa: 0.01, ..amdahl };
        let peak = usl.peak().unwrap();
        assert!((peak - 90.0_f64.sqrt()).abs() < 1e-12);
        assert!(usl.speedup(peak) > usl.speedup(peak * 1.01) && usl.speedup(peak) > usl.speedup(peak / 1.01));
        assert_eq!(Curve { sigma: 1.0, kappa: 3.0, ..usl }.peak(), Some(1.0));
    }

    #[test]
    fn slopes_are_those_of_small_steps() {
        for law in [Law::Amdahl, Law::Gustafson, Law::Usl] {
            let curve = Curve { law, lambda: 3.0, sigma: 0.07, kappa: if law == Law::Usl { 0.002 } else { 0.0 } };
            let step = 1e-7;
            let moved = [
                Curve { lambda: 3.0 + step, ..curve },
                Curve { sigma: 0.07 + step, ..curve },
                Curve { kappa: curve.kappa + step, ..curve },
            ];
            for (number, moved) in moved.iter().enumerate().take(law.parameters()) {
                let slope = (moved.throughput(9.0) - curve.throughput(9.0)) / step;
                let told = curve.slopes(9.0)[number];
                assert!((slope - told).abs() < 1e-4 * told.abs(), "{law} {number}: {slope} {told}");
            }
        }
    }
}
