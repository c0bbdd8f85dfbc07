//! From event logs to a trace. An event log's bytes may be anything: times are clamped to the job and to their order, marks that make no
//! sense where they stand are passed over.

use std::time::{Duration, SystemTime};

use super::{
    Activity, ArrayRecord, Attempt, CoordinatorInterval, DeathRecord, Machine, Memory, Span, Trace, Usage,
    WorkerLifetime, WorkerRecord,
};
use crate::error::Death;
use crate::sync::{ControlPage, Event};

/// What a job knows of itself besides its event logs.
pub(crate) struct Facts<'f> {
    /// How many there are.
    pub(crate) slices: usize,
    pub(crate) started: SystemTime,
    /// When it began, on the control page's clock.
    pub(crate) began: Duration,
    pub(crate) wall: Duration,
    pub(crate) preparing: Duration,
    pub(crate) gathering: Duration,
    pub(crate) arrays: Vec<ArrayRecord>,
    pub(crate) coordinator_memory: Option<Memory>,
    pub(crate) deaths: &'f [Death],
    pub(crate) fault_cost: Duration,
}

/// A death as the coordinator's event log has it.
struct CallHeard {
    at: Duration,
    rank: usize,
    usage: Option<Usage>,
}

impl Trace {
    /// Reads the event logs of a job that has ended.
    pub(crate) fn read(page: &ControlPage, facts: Facts<'_>) -> Self {
        let read = |log: Option<crate::sync::EventLog<'_>>| log.map_or((Vec::new(), 0), |log| log.read());
        let clock = Clock { zero: facts.began, wall: facts.wall, last: Duration::ZERO };
        let (marks, mut lost_marks) = read(page.own_log());
        let (coordinator, heard) = of_coordinator(clock, &marks);
        let (mut workers, mut attempts) = (Vec::new(), Vec::new());
        for rank in 0..page.layout().workers {
            let (marks, lost) = read(page.log(rank));
            lost_marks = lost_marks.saturating_add(lost);
            let mut timeline = Timeline::new(clock, rank, facts.slices);
            marks.into_iter().for_each(|(at, mark)| timeline.read(at, mark));
            workers.push(WorkerRecord { lives: timeline.end(&heard, &mut attempts) });
        }
        attempts.sort_by_key(|attempt| (attempt.begin, attempt.worker));
        number(&mut attempts, facts.slices);
        Self {
            deaths: deaths(facts.deaths, heard, facts.wall, &workers, &attempts),
            machine: Machine::this().clone(),
            started: facts.started,
            preparing: facts.preparing,
            gathering: facts.gathering,
            arrays: facts.arrays,
            attempts,
            workers,
            coordinator,
            coordinator_pid: std::process::id(),
            coordinator_memory: facts.coordinator_memory,
            fault_cost: facts.fault_cost,
            lost_marks,
        }
    }
}

/// From the control page's clock to times since the job began, none before the last.
#[derive(Clone, Copy)]
struct Clock {
    zero: Duration,
    wall: Duration,
    last: Duration,
}

impl Clock {
    fn time(&mut self, at: Duration) -> Duration {
        self.last = at.saturating_sub(self.zero).clamp(self.last, self.wall);
        self.last
    }
}

/// What the coordinator did, without a gap, and which deaths it heard of.
fn of_coordinator(mut clock: Clock, marks: &[(Duration, Event)]) -> (Vec<CoordinatorInterval>, Vec<CallHeard>) {
    let wall = clock.wall;
    let (mut stretches, mut heard) = (Vec::<CoordinatorInterval>::new(), Vec::<CallHeard>::new());
    let mut words = [0; Usage::WORDS];
    for &(at, mark) in marks {
        let now = clock.time(at);
        let what = match mark {
            Event::Prepares => Activity::Preparing,
            Event::Forks { rank } => Activity::Forking { rank },
            Event::OpensForkServer => Activity::OpeningForkServer,
            Event::Calls => Activity::Calling,
            Event::Works => Activity::Working,
            Event::Attends => Activity::Attending,
            Event::Ends => Activity::Ending,
            Event::Dies { rank } => {
                heard.push(CallHeard { at: now, rank, usage: None });
                continue;
            }
            Event::Cost { which, value } => {
                words[which] = value;
                if let Some(last) = heard.last_mut().filter(|_| which + 1 == Usage::WORDS) {
                    last.usage = Some(Usage::of_words(words));
                }
                continue;
            }
            _ => continue,
        };
        if let Some(last) = stretches.last_mut() {
            last.end = now;
        }
        // Whatever comes before the first mark is a matter of microseconds.
        let begin = if stretches.is_empty() { Duration::ZERO } else { now };
        stretches.push(CoordinatorInterval { what, begin, end: wall });
    }
    if stretches.is_empty() {
        stretches.push(CoordinatorInterval { what: Activity::Attending, begin: Duration::ZERO, end: wall });
    }
    (stretches, heard)
}

/// A worker's event log as far as it is read.
struct Timeline {
    clock: Clock,
    rank: usize,
    slices: usize,
    lives: Vec<WorkerLifetime>,
    attempts: Vec<Attempt>,
    /// The slice that it is at, as far as it is known.
    open: Option<Attempt>,
    /// Since when it waits for others.
    waits: Option<Duration>,
    /// The faults of this life that belong to earlier slices.
    counted: u64,
    words: [u64; Usage::WORDS],
}

impl Timeline {
    fn new(clock: Clock, rank: usize, slices: usize) -> Self {
        let words = [0; Usage::WORDS];
        let (lives, attempts) = (Vec::new(), Vec::new());
        Self { clock, rank, slices, lives, attempts, open: None, waits: None, counted: 0, words }
    }

    fn read(&mut self, at: Duration, mark: Event) {
        let now = self.clock.time(at);
        match mark {
            Event::Born { pid } => {
                self.give_up();
                self.lives.push(WorkerLifetime { pid, born: now, ..WorkerLifetime::default() });
                self.counted = 0;
            }
            Event::Takes { slice } if slice < self.slices => {
                self.give_up();
                let worker = self.rank;
                let (begin, end) = (now, self.clock.wall);
                let meetings = Vec::new();
                self.open =
                    Some(Attempt { slice, step: 0, worker, number: 1, begin, end, done: false, faults: 0, meetings });
            }
            Event::Finishes { slice } => {
                if let Some(attempt) = self.open.take_if(|open| open.slice == slice) {
                    self.attempts.push(Attempt { end: now, done: true, ..attempt });
                    self.waits = None;
                }
            }
            Event::Faults { minor } => {
                if let Some(last) = self.attempts.last_mut() {
                    last.faults = last.faults.saturating_add(minor.saturating_sub(self.counted));
                    self.counted = minor;
                }
            }
            Event::Meets => self.waits = self.open.is_some().then_some(now),
            Event::Met => {
                if let (Some(begin), Some(open)) = (self.waits.take(), &mut self.open) {
                    open.meetings.push(Span { begin, end: now });
                }
            }
            Event::Cost { which, value } => {
                self.words[which] = value;
                if which + 1 == Usage::WORDS {
                    let usage = Usage::of_words(self.words);
                    self.live(|life| life.usage = Some(usage));
                }
            }
            Event::Begins => self.live(|life| life.began = Some(now)),
            Event::Leaves => self.live(|life| life.left = Some(now)),
            Event::Measures => self.live(|life| life.measured = Some(Span { begin: now, end: now })),
            Event::Measured => self.live(|life| life.measured.iter_mut().for_each(|span| span.end = now)),
            _ => {}
        }
    }

    fn live(&mut self, note: impl FnOnce(&mut WorkerLifetime)) {
        if let Some(life) = self.lives.last_mut() {
            note(life);
        }
    }

    /// Nothing more will be heard of what it is at.
    fn give_up(&mut self) {
        self.waits = None;
        self.attempts.extend(self.open.take());
    }

    /// All lives, and into `attempts` all slices, with the ends that the coordinator has `heard` of.
    fn end(mut self, heard: &[CallHeard], attempts: &mut Vec<Attempt>) -> Vec<WorkerLifetime> {
        self.give_up();
        let mine: Vec<&CallHeard> = heard.iter().filter(|death| death.rank == self.rank).collect();
        for at in 0..self.lives.len() {
            let next = self.lives.get(at + 1).map(|next| next.born);
            let life = &mut self.lives[at];
            let ends_it = |death: &&&CallHeard| death.at >= life.born && next.is_none_or(|next| death.at <= next);
            if let Some(death) = mine.iter().find(ends_it) {
                life.died = Some(death.at);
                life.usage = life.usage.or(death.usage);
            }
        }
        let mut next = self.clock.wall;
        for attempt in self.attempts.iter_mut().rev() {
            if !attempt.done {
                let death = mine.iter().map(|death| death.at).find(|&at| at >= attempt.begin);
                attempt.end = death.unwrap_or(next).min(next);
            }
            next = attempt.begin;
        }
        attempts.append(&mut self.attempts);
        self.lives
    }
}

/// Numbers the attempts at each slice, and its steps: what was finished is not tried again.
fn number(attempts: &mut [Attempt], slices: usize) {
    let mut so_far = vec![(0, 0); slices];
    for attempt in attempts {
        let (steps, tries) = &mut so_far[attempt.slice];
        (attempt.step, attempt.number) = (*steps, *tries + 1);
        (*steps, *tries) = if attempt.done { (*steps + 1, 0) } else { (*steps, *tries + 1) };
    }
}

/// The deaths, with when each was heard of. A job that failed has told only of the one that it failed for; of the others it is known
/// who, when and where.
fn deaths(
    told: &[Death],
    mut heard: Vec<CallHeard>,
    wall: Duration,
    workers: &[WorkerRecord],
    attempts: &[Attempt],
) -> Vec<DeathRecord> {
    let pid = |heard: &CallHeard| {
        let lives = workers.get(heard.rank).map_or(&[][..], |worker| &worker.lives);
        lives.iter().find(|life| life.died == Some(heard.at)).map_or(0, |life| life.pid)
    };
    let record = |death: &Death| {
        let same = heard.iter().position(|heard| (heard.rank, pid(heard)) == (death.rank, death.pid));
        let found = same.or_else(|| heard.iter().position(|heard| heard.rank == death.rank));
        let at = found.map_or(wall, |found| heard.remove(found).at);
        let slice = death.slice.map(|slice| slice.0.index());
        DeathRecord { at, worker: death.rank, pid: death.pid, slice, cause: death.cause.to_string() }
    };
    let mut deaths: Vec<DeathRecord> = told.iter().map(record).collect();
    deaths.extend(heard.iter().map(|heard| {
        let mut its = attempts.iter().filter(|attempt| attempt.worker == heard.rank && !attempt.done);
        let slice = its.find(|attempt| attempt.end == heard.at).map(|attempt| attempt.slice);
        DeathRecord { at: heard.at, worker: heard.rank, pid: pid(heard), slice, cause: "died".to_owned() }
    }));
    deaths.sort_by_key(|death| death.at);
    deaths
}
