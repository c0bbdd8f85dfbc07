//! A trial as chance has it: which job, and what befalls it. The same seed and number make the same plan.

use std::num::NonZeroUsize;
use std::time::Duration;

use parfork::slices::Grid;
use parfork::{Redo, Schedule, Settings, Split};

use crate::chance::{Chance, mix};
use crate::deed::Deed;
use crate::page::MOST_FAULTS;

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
    /// Whether the body reads what it changes, so that each slice is copied before.
    pub(crate) undo: bool,
    pub(crate) guard: bool,
    /// Whether a signal asks the coordinator to stop, and does not end it.
    pub(crate) graceful: bool,
    pub(crate) progress: bool,
    /// How often workers meet before and after they write.
    pub(crate) meets: usize,
    /// How long all bodies together take, about.
    pub(crate) busy: Duration,
    pub(crate) faults: Vec<Fault>,
    /// Whether workers stay, to do so many jobs one after the other, of which each may fail.
    pub(crate) crew: Option<Stay>,
    /// What decides the values of cells.
    pub(crate) salt: u64,
}

/// How workers stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    pub(crate) jobs: u64,
    /// How long nothing is done between two jobs.
    pub(crate) pause: Duration,
    /// Whether the coordinator works too.
    pub(crate) joins_in: bool,
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
    /// From outside to the process that forks replacements, if there is one.
    Nursery { after: Duration },
    /// From outside.
    Coordinator { after: Duration },
}

impl Plan {
    pub(crate) fn new(seed: u64, trial: u64) -> Self {
        let chance = &mut Chance::of(seed, trial);
        let shape = shape(chance);
        let mut plan = Self {
            element: chance.one(&[Element::U8, Element::I32, Element::F64]),
            answer: chance.one(&[0, 1, 5]),
            split: split(chance, &shape),
            schedule: schedule(chance),
            workers: match chance.within(0..100) {
                0..60 => chance.within(1..9),
                60..98 => chance.within(1..33),
                // More than one call of the kernel can wait for.
                _ => chance.within(126..200),
            },
            retries: chance.one(&[0, 0, 1, 2, 3]),
            deadline: None,
            slice_deadline: None,
            undo: chance.in_a_hundred(25),
            guard: chance.in_a_hundred(20),
            graceful: chance.in_a_hundred(50),
            progress: chance.in_a_hundred(30),
            meets: if chance.in_a_hundred(15) { chance.within(1..6) } else { 0 },
            busy: Duration::from_micros(chance.one(&[0, 500, 2000, 6000])),
            faults: Vec::new(),
            crew: None,
            salt: chance.next(),
            shape,
        };
        if plan.meets > 0 {
            // Workers meet only if each has one slice.
            plan.workers = plan.workers.min(plan.shape[0]);
            plan.split = Split::rows().into_pieces(plan.workers);
            plan.schedule = Schedule::Static;
        }
        plan.faults = faults(chance, &plan);
        let milliseconds = match chance.within(0..20) {
            0..3 => Some(10_000),
            3..6 => Some(chance.within(1..20)),
            _ => None,
        };
        plan.deadline = milliseconds.map(|milliseconds| Duration::from_millis(milliseconds as u64));
        if plan.faults.iter().any(|fault| fault.deed.stalls()) && !plan.is_bounded() {
            match chance.in_a_hundred(50) {
                true => plan.deadline = Some(Duration::from_millis(chance.within(20..60) as u64)),
                // Longer than any slice takes that does not stall, also when others want the CPU.
                false => plan.slice_deadline = Some(Duration::from_millis(400)),
            }
        }
        if chance.in_a_hundred(35) {
            plan.stay(chance);
        }
        plan
    }

    /// Lets workers stay, and what befalls them from outside do so in any of their jobs, or between two.
    fn stay(&mut self, chance: &mut Chance) {
        let jobs = chance.within(1..6) as u64;
        let pause = Duration::from_micros(chance.one(&[0, 0, 100, 1000]));
        for fault in &mut self.faults {
            let late = chance.within(0..jobs as usize) as u32;
            match &mut fault.place {
                Place::Worker { after, .. } | Place::Nursery { after } | Place::Coordinator { after } => {
                    *after = *after * (late + 1) + pause * late;
                }
                Place::Slice { .. } | Place::Birth { .. } => {}
            }
        }
        // What befalls a body would befall the coordinator; and while it works it looks at no deadline.
        let others_alone = self.faults.iter().all(|fault| fault.slice().is_none() && fault.deed.is_lethal());
        let joins_in = others_alone && self.workers > 1 && chance.in_a_hundred(40);
        self.crew = Some(Stay { jobs, pause, joins_in });
    }

    /// The same for one of the jobs of a crew: other values.
    pub(crate) fn of_job(&self, job: u64) -> Self {
        Self { salt: if job == 0 { self.salt } else { mix(self.salt ^ mix(job)) }, ..self.clone() }
    }

    /// The job's settings.
    pub(crate) fn settings<'p>(&self) -> Settings<'p> {
        Settings {
            workers: Some(self.workers),
            split: Some(self.split),
            schedule: self.schedule,
            retries: self.retries,
            redo: if self.undo { Redo::Undo } else { Redo::Overwrites },
            deadline: self.deadline,
            slice_deadline: self.slice_deadline,
            guard: self.guard,
            ..Settings::default()
        }
    }

    /// Whether the job goes on when this befalls a worker, with another one in its place.
    pub(crate) fn is_lethal(&self, deed: Deed) -> bool {
        deed.is_lethal() || deed.stalls() && self.slice_deadline.is_some()
    }

    /// Whether the job ends soon though a worker stands still for ever.
    fn is_bounded(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline < Duration::from_secs(1))
    }

    pub(crate) fn grid(&self) -> Grid {
        Grid::new(self.split, &self.shape).expect("chance cuts only axes that there are")
    }

    /// How many workers may die on a slice before the job must fail. None if workers could meet: they cannot do so again.
    pub(crate) fn lives(&self) -> u64 {
        let slices = self.grid().slices();
        let in_step = self.schedule == Schedule::Static && slices == self.workers.min(slices);
        if in_step { 0 } else { u64::from(self.retries) }
    }

    /// What this trial is about, as a row of the table.
    pub(crate) fn kind(&self) -> String {
        let what = self.what();
        match self.crew {
            // All kinds of deeds in one row.
            Some(_) => format!("a crew, {}", what.split(':').next().unwrap_or_default()),
            None => what,
        }
    }

    fn what(&self) -> String {
        match self.faults[..] {
            [] => "nothing".to_owned(),
            [Fault { place: Place::Slice { times: 2.., .. }, .. }] => "in a row on the same slice".to_owned(),
            [Fault { deed, place: Place::Slice { .. } }] => format!("in a body: {}", deed.name()),
            [Fault { deed, place: Place::Birth { .. } }] => format!("before it attaches: {}", deed.name()),
            [Fault { deed, place: Place::Worker { .. } }] => format!("from outside: {}", deed.signal_name()),
            [Fault { deed, place: Place::Nursery { .. } }] => format!("the fork server: {}", deed.signal_name()),
            [Fault { deed: Deed::Terminate, place: Place::Coordinator { .. } }] if self.graceful => {
                "the coordinator: SIGTERM, with a Stop".to_owned()
            }
            [Fault { deed, place: Place::Coordinator { .. } }] => format!("the coordinator: {}", deed.name()),
            _ => "several at once".to_owned(),
        }
    }
}

fn shape(chance: &mut Chance) -> Vec<usize> {
    match chance.within(0..4) {
        0 => vec![chance.within(1..2001)],
        1 => vec![chance.within(1..50)],
        2 => vec![chance.within(1..2001), chance.within(1..4)],
        _ => vec![chance.within(1..60), chance.within(1..40)],
    }
}

fn split(chance: &mut Chance, shape: &[usize]) -> Split {
    let (axis, part) = (chance.within(0..shape.len()), chance.within(1..40));
    match chance.within(0..5) {
        0 => Split::axis(axis),
        1 => Split::axis(axis).of(part),
        2 | 3 => Split::axis(axis).into_pieces(part),
        _ if shape.len() == 2 => Split::tiles(part, chance.within(1..40)),
        _ => Split::rows(),
    }
}

fn schedule(chance: &mut Chance) -> Schedule {
    let chunk = NonZeroUsize::new(chance.within(2..20)).unwrap_or(NonZeroUsize::MIN);
    chance.one(&[Schedule::Static, Schedule::DYNAMIC, Schedule::Dynamic { chunk }, Schedule::Guided])
}

fn faults(chance: &mut Chance, plan: &Plan) -> Vec<Fault> {
    let in_slice = |chance: &mut Chance, times| {
        let (slice, hundredths) = (chance.within(0..plan.grid().slices()), chance.within(0..101));
        let deed = loop {
            match chance.one(&Deed::IN_A_BODY) {
                Deed::Stray if !plan.guard => {}
                deed => break deed,
            }
        };
        Fault { deed, place: Place::Slice { slice, hundredths, times } }
    };
    // From when the workers are made to a bit beyond the end, as a job without faults goes.
    let end = 300 + 200 * plan.workers + plan.busy.as_micros() as usize;
    let after = |chance: &mut Chance| Duration::from_micros(chance.within(0..end) as u64);
    let from_outside = |chance: &mut Chance| {
        let place = Place::Worker { pick: chance.within(0..32), after: after(chance) };
        Fault { deed: chance.one(&Deed::FROM_OUTSIDE), place }
    };
    let in_nursery = |chance: &mut Chance| {
        let place = Place::Nursery { after: after(chance) };
        Fault { deed: chance.one(&[Deed::Kill, Deed::Kill, Deed::Stop]), place }
    };
    let at_birth = |chance: &mut Chance| {
        let place = Place::Birth { fork: chance.within(1..plan.workers + 1) as u64 };
        Fault { deed: chance.one(&Deed::AT_BIRTH), place }
    };
    match chance.within(0..100) {
        0..6 => vec![],
        6..40 => vec![in_slice(chance, 1)],
        40..44 => vec![in_slice(chance, 1), in_nursery(chance)],
        44..64 => vec![from_outside(chance)],
        64..70 => vec![at_birth(chance)],
        70..78 => {
            let times = chance.within(2..5) as u64;
            vec![in_slice(chance, times)]
        }
        78..80 => vec![in_nursery(chance)],
        80..87 => {
            let place = Place::Coordinator { after: after(chance) };
            vec![Fault { deed: chance.one(&Deed::TO_THE_COORDINATOR), place }]
        }
        _ => (0..chance.within(2..MOST_FAULTS + 1))
            .map(|_| match chance.within(0..11) {
                10 => in_nursery(chance),
                0..5 => {
                    let times = chance.within(1..3) as u64;
                    in_slice(chance, times)
                }
                5..8 => from_outside(chance),
                8 => at_birth(chance),
                _ => Fault {
                    deed: chance.one(&Deed::TO_THE_COORDINATOR),
                    place: Place::Coordinator { after: after(chance) },
                },
            })
            .collect(),
    }
}
