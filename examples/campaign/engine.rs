//! Who works.

use std::time::Duration;

use crate::rng::TrialRng;

/// Who works.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    Serial,
    Threads,
    Processes,
    /// Workers stay, to do some jobs one after the other, of which each may fail.
    Crew(Stay),
    /// Copies of this program.
    Programs,
}

/// How workers stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    pub(crate) jobs: u64,
    /// How long nothing is done between two jobs.
    pub(crate) pause: Duration,
    /// Whether the coordinator works too.
    pub(crate) coordinator_works: bool,
    /// Whether this program is started once more, to fork them.
    pub(crate) in_program: bool,
}

impl Engine {
    pub(crate) fn by(rng: &mut TrialRng) -> Self {
        match rng.within(0..100) {
            0..4 => Self::Serial,
            4..10 => Self::Threads,
            10..52 => Self::Processes,
            52..90 => Self::Crew(Stay {
                jobs: rng.within(1..6) as u64,
                pause: Duration::from_micros(rng.one(&[0, 0, 100, 1000])),
                coordinator_works: false,
                in_program: rng.in_a_hundred(30),
            }),
            _ => Self::Programs,
        }
    }

    /// As tables say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Threads => "threads",
            Self::Processes => "processes",
            Self::Crew(Stay { coordinator_works: false, in_program: false, .. }) => "a crew",
            Self::Crew(Stay { coordinator_works: true, in_program: false, .. }) => "a crew and its coordinator",
            Self::Crew(Stay { coordinator_works: false, in_program: true, .. }) => "a crew in a program",
            Self::Crew(Stay { coordinator_works: true, in_program: true, .. }) => {
                "a crew in a program and its coordinator"
            }
            Self::Programs => "programs",
        }
    }
}
