//! A trial as chance has it: which job, and what befalls it. The same seed and number make the same plan.

use std::num::NonZeroUsize;
use std::time::Duration;

use parfork::slices::Grid;
use parfork::{Job, JobSpec, RetryPolicy, Schedule, Split};

use crate::answers::{Carry, Delivery};
use crate::deed::Deed;
use crate::engine::{Engine, Stay};
use crate::faults::faults;
use crate::page::Words;
use crate::rng::{TrialRng, mix};

/// A job and its faults.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Vec<usize>,
    pub(crate) element: Element,
    /// How many numbers a body answers.
    pub(crate) answer: usize,
    pub(crate) split: Split,
    pub(crate) schedule: Schedule,
    pub(crate) workers: usize,
    pub(crate) retries: u32,
    pub(crate) deadline: Option<Duration>,
    pub(crate) slice_deadline: Option<Duration>,
    pub(crate) body: Body,
    pub(crate) engine: Engine,
    pub(crate) guard: bool,
    /// Whether a signal asks the coordinator to stop, and does not end it.
    pub(crate) graceful: bool,
    pub(crate) progress: bool,
    /// How often workers meet before and after they write.
    pub(crate) meets: usize,
    pub(crate) delivery: Delivery,
    /// When slices hand on to the next, if they do.
    pub(crate) carry: Option<Carry>,
    /// How many steps there are, of a body that has more than one.
    pub(crate) steps: u32,
    /// How many of them a worker goes on in one place.
    pub(crate) depth: u32,
    /// How long all bodies together take, about.
    pub(crate) busy: Duration,
    pub(crate) faults: Vec<Fault>,
    /// What decides the values of cells.
    pub(crate) salt: u64,
}

/// What a body does with its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// It writes each, first what is wrong and then what is right.
    Overwrites,
    /// It adds to each, so that it matters how often it is run. Nothing is tried again.
    Adds,
    /// The same, and slices are copied before and put back.
    AddsAgain,
    /// It makes each of those around it in the step before.
    Steps,
}

impl Body {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Overwrites => "overwrites",
            Self::Adds => "adds",
            Self::AddsAgain => "adds, with undo copies",
            Self::Steps => "goes step by step",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Element {
    U8,
    I32,
    F64,
}

/// Something that befalls somebody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) deed: Deed,
    pub(crate) place: Place,
}

/// Where and when.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In the body, when this many hundredths of a slice are written; to the first `times` workers that come there.
    Slice { slice: usize, hundredths: usize, times: u64 },
    /// To the worker that comes of this fork, counted from 1, before it is anything.
    Birth { fork: u64 },
    /// From outside to any worker there is by then.
    Worker { pick: usize, after: Duration },
    /// From outside to a process that forks: replacements, or the workers of a crew; or, where there is one, the program that has forked that.
    ForkServer { pick: usize, after: Duration },
    /// From outside.
    Coordinator { after: Duration },
}

impl Plan {
    pub(crate) fn new(seed: u64, trial: u64) -> Self {
        let rng = &mut TrialRng::of(seed, trial);
        let shape = shape(rng);
        let bodies = [Body::Overwrites, Body::Overwrites, Body::Adds, Body::Adds, Body::AddsAgain, Body::Steps];
        let body = rng.one(&bodies);
        let mut plan = Self {
            element: rng.one(&[Element::U8, Element::I32, Element::F64]),
            answer: rng.one(&[0, 1, 5]),
            split: split(rng, &shape),
            schedule: schedule(rng),
            workers: match rng.within(0..100) {
                0..60 => rng.within(1..9),
                60..98 => rng.within(1..33),
                // More than one call of the kernel can wait for.
                _ => rng.within(126..200),
            },
            retries: if body == Body::Adds { 0 } else { rng.one(&[0, 0, 1, 2, 3]) },
            deadline: None,
            slice_deadline: None,
            body,
            engine: Engine::by(rng),
            guard: rng.in_a_hundred(20),
            graceful: rng.in_a_hundred(50),
            progress: rng.in_a_hundred(30),
            meets: if rng.in_a_hundred(15) { rng.within(1..6) } else { 0 },
            delivery: Delivery::AtTheEnd,
            carry: None,
            steps: if body == Body::Steps { rng.within(1..12) as u32 } else { 1 },
            depth: if body == Body::Steps { rng.one(&[1, 1, 2, 3, 8]) } else { 1 },
            busy: Duration::from_micros(rng.one(&[0, 500, 2000, 6000])),
            faults: Vec::new(),
            salt: rng.next(),
            shape,
        };
        plan.heed_engine();
        if plan.body == Body::Steps {
            (plan.guard, plan.meets, plan.schedule) = (false, 0, Schedule::Static);
        }
        if plan.meets > 0 {
            // Workers meet only if each has one slice.
            plan.workers = plan.workers.min(plan.shape[0]);
            plan.split = Split::rows().into_pieces(plan.workers);
            plan.schedule = Schedule::Static;
        }
        (plan.delivery, plan.carry) = (Delivery::of(rng, &plan), Carry::of(rng, &plan));
        plan.faults = faults(rng, &plan);
        plan.bound(rng);
        if let Engine::Crew(stay) = plan.engine {
            plan.stay(stay, rng);
        }
        plan
    }

    /// Leaves out what the engine does not have.
    fn heed_engine(&mut self) {
        match self.engine {
            Engine::Serial | Engine::Threads => (self.retries, self.guard) = (0, false),
            // They are told nothing of undo copies, answer nothing, and do not meet.
            Engine::Programs => {
                self.steps = 1;
                if matches!(self.body, Body::AddsAgain | Body::Steps) {
                    self.body = if self.retries > 0 { Body::Overwrites } else { Body::Adds };
                }
                (self.answer, self.meets) = (0, 0);
                self.workers = self.workers.min(8);
            }
            Engine::Processes | Engine::Crew(_) => {}
        }
        if matches!(self.engine, Engine::Serial) {
            self.meets = 0;
        }
    }

    /// Decides on deadlines: some by chance, one where nothing else would end the job.
    fn bound(&mut self, rng: &mut TrialRng) {
        let milliseconds = match rng.within(0..20) {
            0..3 => Some(10_000),
            3..6 => Some(rng.within(1..20)),
            _ => None,
        };
        self.deadline = milliseconds.map(|milliseconds| Duration::from_millis(milliseconds as u64));
        if matches!(self.engine, Engine::Serial) {
            // It looks at none.
            self.deadline = None;
        }
        // The child of a program that takes a slice from its parent and is ended with it is waited for.
        let is_program = matches!(self.engine, Engine::Programs);
        let for_ever = |deed: Deed| deed.goes_on_for_ever() || is_program && deed.lies();
        if self.faults.iter().any(|fault| for_ever(fault.deed)) && !self.is_bounded() {
            self.deadline = Some(Duration::from_millis(rng.within(100..900) as u64));
        }
        if self.faults.iter().any(|fault| fault.deed.stalls()) && !self.is_bounded() {
            match rng.in_a_hundred(50) {
                true => self.deadline = Some(Duration::from_millis(rng.within(20..60) as u64)),
                // Longer than any slice takes that does not stall, also when others want the CPU; a program is started within one.
                false => self.slice_deadline = Some(Duration::from_millis(if is_program { 1500 } else { 400 })),
            }
        }
    }

    /// Lets what befalls workers from outside do so in any of their jobs, or between two.
    fn stay(&mut self, stay: Stay, rng: &mut TrialRng) {
        for fault in &mut self.faults {
            let late = rng.within(0..stay.jobs as usize) as u32;
            match &mut fault.place {
                Place::Worker { after, .. } | Place::ForkServer { after, .. } | Place::Coordinator { after } => {
                    *after = *after * (late + 1) + stay.pause * late;
                }
                Place::Slice { .. } | Place::Birth { .. } => {}
            }
        }
        // While the coordinator works it looks at no deadline.
        let bounded = self.faults.iter().any(|fault| fault.deed.stalls() || fault.deed == Deed::Refuse);
        // Nor can it replace who dies between two steps, or before a slice that it waits for; nor does it hand on answers.
        let waits = self.body == Body::Steps || self.carry.is_some();
        let bounded = bounded || waits && self.retries > 0 || self.delivery.is_early();
        let coordinator_works = !bounded && self.workers > 1 && rng.in_a_hundred(40);
        self.engine = Engine::Crew(Stay { coordinator_works, ..stay });
    }

    pub(crate) fn crew(&self) -> Option<Stay> {
        match self.engine {
            Engine::Crew(stay) => Some(stay),
            _ => None,
        }
    }

    /// Whether bodies run in the process that asks for the job.
    pub(crate) fn is_one_process(&self) -> bool {
        matches!(self.engine, Engine::Serial | Engine::Threads)
    }

    /// The same for one of the jobs of a crew: other values.
    pub(crate) fn of_job(&self, job: u64) -> Self {
        Self { salt: if job == 0 { self.salt } else { mix(self.salt ^ mix(job)) }, ..self.clone() }
    }

    /// The job, with nothing lent.
    pub(crate) fn job<'p>(&self) -> Job<'p> {
        Job::from(JobSpec {
            workers: Some(self.workers),
            split: Some(self.split),
            schedule: Some(self.schedule),
            retries: self.retries,
            retry_policy: match self.body {
                Body::Overwrites | Body::Steps => RetryPolicy::BodyOverwrites,
                Body::Adds => RetryPolicy::Forbid,
                Body::AddsAgain => RetryPolicy::RestoreOutputs,
            },
            deadline: self.deadline,
            slice_deadline: self.slice_deadline,
            guard: self.guard,
            ..JobSpec::default()
        })
        .runner(match self.engine {
            Engine::Serial => parfork::Engine::Serial,
            Engine::Threads => parfork::Engine::Threads,
            Engine::Processes | Engine::Crew(_) | Engine::Programs => parfork::Engine::Processes,
        })
    }

    /// Whether the job goes on when this befalls a worker, with another one in its place.
    pub(crate) fn is_lethal(&self, deed: Deed) -> bool {
        // A program that panics tells so, as one that gives up.
        let tells = matches!(self.engine, Engine::Programs) && deed == Deed::Panic;
        deed.is_lethal() && !tells || deed.stalls() && self.slice_deadline.is_some()
    }

    /// Whether the job ends soon though a worker stands still for ever.
    fn is_bounded(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline < Duration::from_secs(1))
    }

    /// How often what workers and coordinator share was lied in.
    pub(crate) fn lied(&self, words: &Words) -> u64 {
        let lies = self.faults.iter().enumerate().filter(|(_, fault)| fault.deed.lies());
        lies.map(|(number, _)| words.landed(number)).sum()
    }

    /// In which step a fault that waits in a slice does so.
    pub(crate) fn step_of(&self, fault: usize) -> u32 {
        (7 * fault as u32 + 3) % self.steps
    }

    pub(crate) fn grid(&self) -> Grid {
        Grid::new(self.split, &self.shape).expect("rng cuts only axes that there are")
    }

    /// How many workers may die on a slice before the job must fail. None if workers meet: they cannot do so again.
    pub(crate) fn lives(&self) -> u64 {
        if self.meets > 0 { 0 } else { u64::from(self.retries) }
    }

    /// What this trial is about, as a row of the table.
    pub(crate) fn kind(&self) -> String {
        let what = self.what();
        // All kinds of deeds in one row.
        let what_at_all = what.split(':').next().unwrap_or_default();
        match self.engine {
            Engine::Processes => what,
            _ => format!("{}, {what_at_all}", self.engine.name()),
        }
    }

    fn what(&self) -> String {
        match self.faults[..] {
            [] => "nothing".to_owned(),
            [Fault { deed: deed @ Deed::Scribble(_), .. }] => format!("scribbles: {}", deed.name()),
            [Fault { deed: deed @ (Deed::Fork(_) | Deed::Leave(_) | Deed::Nest(_)), .. }] => {
                format!("a body starts: {}", deed.name())
            }
            [Fault { place: Place::Slice { times: 2.., .. }, .. }] => "in a row on the same slice".to_owned(),
            [Fault { deed, place: Place::Slice { .. } }] => format!("in a body: {}", deed.name()),
            [Fault { deed, place: Place::Birth { .. } }] => format!("before it attaches: {}", deed.name()),
            [Fault { deed, place: Place::Worker { .. } }] => format!("from outside: {}", deed.signal_name()),
            [Fault { deed, place: Place::ForkServer { .. } }] => format!("the fork server: {}", deed.signal_name()),
            [Fault { deed: Deed::Terminate, place: Place::Coordinator { .. } }] if self.graceful => {
                "the coordinator: SIGTERM, with a Stop".to_owned()
            }
            [Fault { deed, place: Place::Coordinator { .. } }] => format!("the coordinator: {}", deed.name()),
            _ => "several at once".to_owned(),
        }
    }
}

fn shape(rng: &mut TrialRng) -> Vec<usize> {
    match rng.within(0..4) {
        0 => vec![rng.within(1..2001)],
        1 => vec![rng.within(1..50)],
        2 => vec![rng.within(1..2001), rng.within(1..4)],
        _ => vec![rng.within(1..60), rng.within(1..40)],
    }
}

fn split(rng: &mut TrialRng, shape: &[usize]) -> Split {
    let (axis, part) = (rng.within(0..shape.len()), rng.within(1..40));
    match rng.within(0..5) {
        0 => Split::axis(axis),
        1 => Split::axis(axis).of(part),
        2 | 3 => Split::axis(axis).into_pieces(part),
        _ if shape.len() == 2 => Split::tiles(part, rng.within(1..40)),
        _ => Split::rows(),
    }
}

fn schedule(rng: &mut TrialRng) -> Schedule {
    let chunk = NonZeroUsize::new(rng.within(2..20)).unwrap_or(NonZeroUsize::MIN);
    rng.one(&[Schedule::Static, Schedule::DYNAMIC, Schedule::Dynamic { chunk }, Schedule::Guided])
}
