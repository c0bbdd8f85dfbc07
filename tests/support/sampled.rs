//! How many cases a slow test tries: some of them by default, drawn by a seed, and all where the environment has
//! `PARFORK_TESTS=all`, as in `.ci/run`. `PARFORK_TESTS=7` and `PARFORK_TESTS=all,7` are another seed.
#![allow(dead_code, reason = "each test program uses its part of this")]

fn told() -> impl Iterator<Item = String> {
    let text = std::env::var("PARFORK_TESTS").unwrap_or_default();
    text.split(',').map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Whether all cases are to be tried.
pub(crate) fn all() -> bool {
    told().any(|word| word == "all")
}

/// What samples are drawn by; 1 by default.
pub(crate) fn seed() -> u64 {
    told().find_map(|word| word.parse().ok()).unwrap_or(1)
}

/// How many cases to try, of those that a test makes itself.
pub(crate) fn number<N>(few: N, all_of_them: N) -> N {
    if all() { all_of_them } else { few }
}

/// Draws cases, others each time.
pub(crate) struct Sampler(fastrand::Rng);

impl Sampler {
    pub(crate) fn new() -> Self {
        Self(fastrand::Rng::with_seed(seed()))
    }

    /// `few` of the cases, in their order, or all.
    pub(crate) fn some<T>(&mut self, cases: impl IntoIterator<Item = T>, few: usize) -> Vec<T> {
        let mut cases: Vec<T> = cases.into_iter().collect();
        while !all() && cases.len() > few {
            cases.remove(self.0.usize(..cases.len()));
        }
        cases
    }
}
