//! What a worker did from the beginning of a job to its end, without gaps: its own marks where there are any, and between them
//! what the coordinator and the other workers were at.

use std::fmt;
use std::time::Duration;

use super::{Activity, Record, Span, WorkerLifetime};

/// What the time of a worker goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// In bodies, on slices that it finished; what follows in this list is not in it.
    Computing,
    /// In bodies, in the kernel, to get at pages for the first time: how many faults there were times what one takes.
    PageFaults,
    /// In bodies, but not on a CPU: others had it, or the body slept.
    OffCpu,
    /// In bodies, waiting for others at meetings.
    Meetings,
    /// From when the coordinator begins to make workers until a worker asks for slices: forking those before it, its birth,
    /// attaching what was lent.
    StartUp,
    /// While the coordinator does what only it can: before workers are made, and between rounds.
    Serial,
    /// It has no more slices, and others have.
    Imbalance,
    /// Nobody has slices any more, and not all have come to the end, or the coordinator has not heard of it.
    Barrier,
    /// Workers are ended and reaped.
    End,
    /// On slices that it did not finish, because it died or the job failed, and until somebody has its place.
    ThrownAway,
    /// It looks at its own memory and cost, because the job was asked to.
    Measuring,
    /// No mark says what it did.
    Unexplained,
}

impl Part {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Computing,
        Self::PageFaults,
        Self::OffCpu,
        Self::Meetings,
        Self::StartUp,
        Self::Serial,
        Self::Imbalance,
        Self::Barrier,
        Self::End,
        Self::ThrownAway,
        Self::Measuring,
        Self::Unexplained,
    ];

    /// What it means, in a line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Computing => "in the body, on a CPU",
            Self::PageFaults => "first touches of pages in the body: faults times what one takes",
            Self::OffCpu => "in the body, while others had the CPU, or asleep",
            Self::Meetings => "in the body, for others to come",
            Self::StartUp => "workers are made, born, and attach what was lent",
            Self::Serial => "the coordinator alone can go on",
            Self::Imbalance => "no slices left, but others still at theirs",
            Self::Barrier => "all slices done, until the coordinator knows",
            Self::End => "workers are ended and reaped",
            Self::ThrownAway => {
                "work that was not finished, for a death or because the job failed, and places left empty"
            }
            Self::Measuring => "reading its own memory and cost for this record",
            Self::Unexplained => "no mark says what",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Computing => "computing",
            Self::PageFaults => "page faults",
            Self::OffCpu => "off the CPU",
            Self::Meetings => "meetings",
            Self::StartUp => "start-up",
            Self::Serial => "coordinator alone",
            Self::Imbalance => "imbalance",
            Self::Barrier => "end barrier",
            Self::End => "end and reaping",
            Self::ThrownAway => "thrown away",
            Self::Measuring => "measuring",
            Self::Unexplained => "unexplained",
        })
    }
}

/// Some time of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The beginning.
    pub begin: Duration,
    /// The end.
    pub end: Duration,
    /// What it went into. Time in bodies is [`Part::Computing`] here, also what of it went into faults or was off the CPU, for
    /// that is known only as a sum.
    pub part: Part,
    /// Where in [`Trace::attempts`](super::Trace::attempts) the slice is, if it was at one.
    pub attempt: Option<usize>,
}

/// What all were at, from the beginning to the end without gaps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    begin: Duration,
    end: Duration,
    what: PhaseKind,
    round: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PhaseKind {
    /// The coordinator does what only it can.
    Serial,
    /// It makes workers.
    Making,
    /// Somebody is at a slice, or will be.
    Working,
    /// Nobody is any more.
    Meeting,
    /// It ends its workers.
    Ending,
}

/// The phases of a job. The end of the work in a round is the end of its last slice.
pub(super) fn phases(record: &Record<'_>) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    let mut round = 0;
    let starts: Vec<Duration> =
        record.coordinator.iter().filter(|it| it.what == Activity::Preparing).map(|it| it.begin).collect();
    let last_of = |round: usize| {
        let begin = starts.get(round).copied().unwrap_or_default();
        let end = starts.get(round + 1).copied().unwrap_or(record.report.wall);
        let ends = record.attempts.iter().map(|attempt| attempt.end);
        ends.filter(|&at| at > begin && at <= end).max().unwrap_or(begin)
    };
    let mut works_end = last_of(0);
    for (at, stretch) in record.coordinator.iter().enumerate() {
        if stretch.what == Activity::Preparing && at > 0 {
            round += 1;
            works_end = last_of(round);
        }
        let mut push = |begin: Duration, end: Duration, what| {
            if begin < end {
                phases.push(Phase { begin, end, what, round });
            }
        };
        let more_rounds = record.coordinator[at..].iter().skip(1).any(|later| later.what == Activity::Preparing);
        match stretch.what {
            Activity::Preparing => push(stretch.begin, stretch.end, PhaseKind::Serial),
            Activity::Forking { .. } | Activity::OpeningForkServer | Activity::Calling => {
                push(stretch.begin, stretch.end, PhaseKind::Making)
            }
            Activity::Ending if more_rounds => push(stretch.begin, stretch.end, PhaseKind::Serial),
            Activity::Ending => push(stretch.begin, stretch.end, PhaseKind::Ending),
            Activity::Working | Activity::Attending => {
                let middle = works_end.clamp(stretch.begin, stretch.end);
                push(stretch.begin, middle, PhaseKind::Working);
                push(middle, stretch.end, PhaseKind::Meeting);
            }
        }
    }
    phases
}

pub(super) fn timeline(record: &Record<'_>, rank: usize) -> Vec<Interval> {
    timeline_of(record, rank, &phases(record), &attempts_of(record, rank))
}

/// Where in the record the attempts of a rank are, in order.
fn attempts_of(record: &Record<'_>, rank: usize) -> Vec<usize> {
    (0..record.attempts.len()).filter(|&at| record.attempts[at].worker == rank).collect()
}

/// The lanes of all ranks.
pub(super) fn timelines(record: &Record<'_>) -> Vec<Vec<Interval>> {
    let phases = phases(record);
    let mut attempts = vec![Vec::new(); record.workers.len()];
    for (at, attempt) in record.attempts.iter().enumerate() {
        attempts[attempt.worker].push(at);
    }
    attempts.iter().enumerate().map(|(rank, attempts)| timeline_of(record, rank, &phases, attempts)).collect()
}

fn timeline_of(record: &Record<'_>, rank: usize, phases: &[Phase], attempts: &[usize]) -> Vec<Interval> {
    let lives = &record.workers[rank].lives;
    let mut timeline = Builder { phases, lives, at: Duration::ZERO, pieces: Vec::new() };
    // What its own marks say, in order: births, slices, measuring.
    let mut own: Vec<Interval> = Vec::new();
    for life in lives {
        if let Some(began) = life.began {
            own.push(Interval { begin: life.born, end: began, part: Part::StartUp, attempt: None });
        }
        if let Some(Span { begin, end }) = life.measured {
            own.push(Interval { begin, end, part: Part::Measuring, attempt: None });
        }
    }
    for &at in attempts {
        let attempt = &record.attempts[at];
        let piece = |begin, end, part| Interval { begin, end, part, attempt: Some(at) };
        if !attempt.done {
            own.push(piece(attempt.begin, attempt.end, Part::ThrownAway));
            continue;
        }
        let mut begin = attempt.begin;
        for meeting in &attempt.meetings {
            own.push(piece(begin, meeting.begin, Part::Computing));
            own.push(piece(meeting.begin, meeting.end, Part::Meetings));
            begin = meeting.end;
        }
        own.push(piece(begin, attempt.end, Part::Computing));
    }
    own.sort_by_key(|piece| (piece.begin, piece.end));
    for piece in own {
        timeline.gap_until(piece.begin);
        timeline.push(piece.end, piece.part, piece.attempt);
    }
    timeline.gap_until(record.report.wall);
    timeline.pieces
}

struct Builder<'r> {
    phases: &'r [Phase],
    lives: &'r [WorkerLifetime],
    /// How far it has got.
    at: Duration,
    pieces: Vec<Interval>,
}

impl Builder<'_> {
    fn push(&mut self, end: Duration, part: Part, attempt: Option<usize>) {
        if end <= self.at {
            return;
        }
        match self.pieces.last_mut() {
            Some(last) if last.part == part && attempt.is_none() && last.attempt.is_none() => last.end = end,
            _ => self.pieces.push(Interval { begin: self.at, end, part, attempt }),
        }
        self.at = end;
    }

    /// Fills the time until then, of which no mark of its own tells.
    fn gap_until(&mut self, end: Duration) {
        if self.at >= end {
            return;
        }
        let marks = self.lives.iter().flat_map(|life| [Some(life.born), life.left, life.died]).flatten();
        let edges = self.phases.iter().flat_map(|phase| [phase.begin, phase.end]);
        let mut cuts: Vec<Duration> = marks.chain(edges).filter(|&cut| cut > self.at && cut < end).collect();
        cuts.sort();
        cuts.dedup();
        cuts.push(end);
        for cut in cuts {
            let phase = self.phases.partition_point(|phase| phase.end <= self.at);
            let part = self.phases.get(phase).map_or(Part::Unexplained, |phase| self.between_marks(phase));
            self.push(cut, part, None);
        }
    }

    /// What a worker does at a time for which it has no mark.
    fn between_marks(&self, phase: &Phase) -> Part {
        let at = self.at;
        // The births of a round come after its phases begin, and before those of the next.
        let in_round = |life: &&WorkerLifetime| self.round_of(life.born) == phase.round;
        let (lived, unborn): (Vec<&WorkerLifetime>, Vec<&WorkerLifetime>) =
            self.lives.iter().filter(in_round).partition(|it| it.born <= at);
        let idle = match phase.what {
            PhaseKind::Serial => Part::Serial,
            PhaseKind::Making | PhaseKind::Working => Part::Imbalance,
            PhaseKind::Meeting => Part::Barrier,
            PhaseKind::Ending => Part::End,
        };
        match lived.last() {
            Some(life) if life.died.is_some_and(|died| died <= at) => match phase.what {
                PhaseKind::Ending => Part::End,
                _ => Part::ThrownAway,
            },
            Some(life) if life.left.is_some_and(|left| left <= at) => idle,
            Some(_) => Part::Unexplained,
            None => match phase.what {
                PhaseKind::Making | PhaseKind::Working | PhaseKind::Meeting if !unborn.is_empty() => Part::StartUp,
                PhaseKind::Making if self.lives.is_empty() => Part::StartUp,
                _ => idle,
            },
        }
    }

    fn round_of(&self, at: Duration) -> usize {
        let phase = self.phases.partition_point(|phase| phase.end <= at);
        self.phases.get(phase).or(self.phases.last()).map_or(0, |phase| phase.round)
    }
}
