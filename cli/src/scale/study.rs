//! What the runs say: medians, speed-ups, fits, lost time.

use std::collections::HashSet;

use crate::scaling::{Choice, Estimate, Fit, FitError, FitOptions, Law, Measured, Rng, choose, fit, serial_fraction};
use parfork::{Engine, cpus};
use serde_json::Value;

use super::lost::LostTime;
use super::plan::{Plan, Setup};
use super::runs::{Run, Runs};
use crate::cpu_time::DISTURBED;
use crate::output;

/// How often repetitions are drawn again for intervals.
const RESAMPLES: usize = 2000;

/// Times that scatter more are told of.
const NOISY: f64 = 0.05;

/// All that is told.
pub struct Study {
    /// The job, without sizes.
    pub title: String,
    /// Whether the job grows with the workers.
    pub weak: bool,
    /// CPUs of the machine, as far as this process may use them.
    pub cpus: usize,
    /// What the runs have in common, as it is kept.
    pub identity: Value,
    /// Runs of each setup.
    pub repeat: u32,
    /// How many CPUs other programs used while runs were made, on average.
    pub others_cpus: f64,
    /// Where chance began.
    pub seed: u64,
    /// Engines, sizes and schedules, each with all its numbers of workers.
    pub series: Vec<Series>,
    /// What a reader has to know first.
    pub warnings: Vec<String>,
}

/// One engine, size and schedule.
pub struct Series {
    /// For people: what tells it from the others.
    pub name: String,
    /// Who worked.
    pub engine: Option<Engine>,
    /// What its runs have in common; the number of workers is that of the first point.
    pub setup: Setup,
    /// Ascending in workers.
    pub points: Vec<Point>,
    /// The time that speed-up is over, and whose it is.
    pub reference: (Measured, String),
    /// The laws, fitted; none for a series of one point.
    pub fits: Vec<(Law, Result<Fit, FitError>)>,
    /// Which fits best.
    pub choice: Choice,
    /// The numbers of workers that were fitted.
    pub fitted: Vec<usize>,
}

/// One number of workers.
pub struct Point {
    /// How many workers.
    pub workers: usize,
    /// The repetitions, in the order of rounds.
    pub measured: Measured,
    /// The median.
    pub seconds: Estimate,
    /// Throughput over that of the reference.
    pub speedup: Estimate,
    /// Speed-up for each worker.
    pub efficiency: Estimate,
    /// The serial part of the job by Karp and Flatt; none of one worker, nor of a job that grows with them.
    pub serial_fraction: Option<Estimate>,
    /// The median of what the largest process of a run had resident, in bytes.
    pub peak_memory: u64,
    /// More workers than CPUs.
    pub oversubscribed: bool,
    /// Of the run in the middle: its time, and what of it was lost.
    pub middle: (f64, LostTime),
    /// Which size was run.
    pub size: Option<String>,
}

impl Study {
    /// Works it out.
    pub fn of(plan: &Plan, runs: &Runs) -> Self {
        let mut rng = Rng::seeded(plan.flags.seed);
        let mut heads: Vec<Setup> = Vec::new();
        for setup in &plan.setups {
            if !heads.iter().any(|head| alike(head, setup)) {
                heads.push(setup.clone());
            }
        }
        let naming = SetupName::of(&plan.setups);
        let series: Vec<Series> = heads.iter().map(|head| Series::of(plan, runs, head, &naming, &mut rng)).collect();
        let size = heads[0].size.as_ref().filter(|_| !naming.sizes);
        let mut study = Self {
            title: format!("{}{}", plan.job.title(), size.map_or(String::new(), |size| format!(", {size}"))),
            weak: plan.weak(),
            cpus: cpus(),
            identity: plan.identity.clone(),
            repeat: plan.flags.repeat,
            others_cpus: others(plan, runs),
            seed: plan.flags.seed,
            series,
            warnings: Vec::new(),
        };
        study.warnings = study.warn(plan.flags.fit_oversubscribed);
        study
    }

    fn warn(&self, fitted: bool) -> Vec<String> {
        let points = || self.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)));
        let mut warnings = Vec::new();
        warnings.extend(oversubscription(points().map(|(_, point)| point.workers).max().unwrap_or(1), fitted));
        if self.others_cpus > DISTURBED {
            warnings.push(format!(
                "Other programs used {:.1} CPUs while this was measured, on average. If they were any of the {} that this program may use, \
                 what is said of scaling is worth little: measure again when the machine is quiet.",
                self.others_cpus,
                output::count(self.cpus, "CPU")
            ));
        }
        if let Some((series, point)) =
            points().max_by(|one, other| one.1.measured.noise().total_cmp(&other.1.measured.noise()))
            && point.measured.noise() > NOISY
        {
            warnings.push(format!(
                "Times scatter: by {:.0} % for {} with {}. More runs (--repeat) help; larger sizes may, too.",
                100.0 * point.measured.noise(),
                series.name,
                output::count(point.workers, "worker")
            ));
        }
        if self.repeat < 5 {
            warnings.push(format!(
                "{} of each are too few to tell how times scatter. With 5 (--repeat 5) or more, intervals come from repetitions.",
                output::count(self.repeat as usize, "run")
            ));
        }
        if let Some((series, point)) = points().find(|(_, point)| point.efficiency.low > 1.02) {
            warnings.push(format!(
                "{} with {}: speed-up {:.2} is more than linear. The laws have no room for that; a cache that is \
                 large enough only for a share of the work is the usual reason.",
                series.name,
                output::count(point.workers, "worker"),
                point.speedup.value
            ));
        }
        warnings
    }

    /// The largest number of workers measured.
    pub fn most(&self) -> usize {
        self.series.iter().flat_map(|series| &series.points).map(|point| point.workers).max().unwrap_or(1)
    }

    /// Whether some points have more workers than there are CPUs.
    pub fn oversubscribed(&self) -> bool {
        self.most() > self.cpus
    }
}

/// What has to be said of a setup to tell it from the others.
struct SetupName {
    sizes: bool,
    schedules: bool,
}

impl SetupName {
    fn of(setups: &[Setup]) -> Self {
        let sizes: HashSet<_> = setups.iter().map(|setup| &setup.size).collect();
        let crowds = setups.iter().filter(|setup| setup.engine != Some(Engine::Serial));
        let schedules: HashSet<_> = crowds.map(|setup| setup.schedule).collect();
        Self { sizes: sizes.len() > 1, schedules: schedules.len() > 1 }
    }

    fn name(&self, setup: &Setup) -> String {
        let engine = setup.engine.map_or("command".to_owned(), |engine| engine.to_string());
        let size = setup.size.as_ref().filter(|_| self.sizes).map(ToString::to_string);
        let tells = self.schedules && setup.engine != Some(Engine::Serial);
        let schedule = tells.then(|| setup.schedule.to_string());
        [Some(engine), size, schedule].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// What is said, loudly, when there are not CPUs enough.
pub fn oversubscription(most: usize, fitted: bool) -> Option<String> {
    let cpus = cpus();
    let laws = if fitted {
        "As you ask, the laws are fitted to those runs as well, though they say how CPUs are shared and not how the job scales."
    } else {
        "Those runs are marked, and the laws are not fitted to them (--fit-oversubscribed would)."
    };
    (most > cpus).then(|| {
        format!(
            "{most} workers are more than the {} there are: beyond those, workers take turns. {laws}",
            output::count(cpus, "CPU")
        )
    })
}

/// Whether two setups differ in nothing but the number of workers.
fn alike(one: &Setup, other: &Setup) -> bool {
    (one.engine, &one.size, one.schedule) == (other.engine, &other.size, other.schedule)
}

impl Series {
    fn of(plan: &Plan, runs: &Runs, head: &Setup, naming: &SetupName, rng: &mut Rng) -> Self {
        // Speed-up is over serial runs of the same size, or else over one worker of the same series.
        let of_reference = |setup: &&Setup| setup.engine == Some(Engine::Serial) && setup.size == head.size;
        let serial = plan.setups.iter().find(of_reference);
        let one = || plan.setups.iter().find(|setup| alike(head, setup) && setup.workers == 1);
        let reference = serial.or_else(one).expect("the plan has a run of one worker for each series");
        let base = measured(plan, runs, reference);
        let base_computing = middle(runs, plan, reference).outcome.computing;
        let points: Vec<Point> = plan
            .setups
            .iter()
            .filter(|setup| alike(head, setup))
            .map(|setup| Point::of(plan, runs, setup, (setup == reference, &base, base_computing), rng))
            .collect();
        let fitted: Vec<&Point> =
            points.iter().filter(|point| plan.flags.fit_oversubscribed || !point.oversubscribed).collect();
        let (times, numbers): (Vec<Measured>, Vec<usize>) =
            fitted.iter().map(|point| (point.measured.clone(), point.workers)).unzip();
        let laws: &[Law] = match (points.len(), plan.weak()) {
            (1, _) => &[],
            (_, false) => &[Law::Amdahl, Law::Usl],
            (_, true) => &[Law::Gustafson, Law::Usl],
        };
        let how = FitOptions { resamples: RESAMPLES, seed: plan.flags.seed, ..FitOptions::default() };
        let fits: Vec<(Law, Result<Fit, FitError>)> = laws.iter().map(|&law| (law, fit(law, &times, how))).collect();
        let good: Vec<&Fit> = fits.iter().filter_map(|(_, fit)| fit.as_ref().ok()).collect();
        let choice = choose(&times, &good);
        let whose = match reference.engine {
            Some(Engine::Serial) => "serial".to_owned(),
            _ => format!("{} with 1 worker", naming.name(reference)),
        };
        let reference = (base, whose);
        Self {
            name: naming.name(head),
            engine: head.engine,
            setup: head.clone(),
            points,
            reference,
            fits,
            choice,
            fitted: numbers,
        }
    }

    /// The fit that is drawn first: the best that there is.
    pub fn best(&self) -> Option<&Fit> {
        let law = self.choice.weights.first().map(|(law, _)| *law);
        let good = || self.fits.iter().filter_map(|(_, fit)| fit.as_ref().ok());
        good().find(|fit| Some(fit.curve.law) == law).or_else(|| good().next())
    }

    /// What throughput is multiplied by to be a speed-up over the reference.
    pub fn unit(&self) -> f64 {
        self.reference.0.median() / self.reference.0.work
    }
}

/// The mean of what others used.
fn others(plan: &Plan, runs: &Runs) -> f64 {
    let used = plan.setups.iter().flat_map(|setup| repetitions(runs, plan, setup).map(|run| run.others_cpus));
    let (count, sum) = used.fold((0, 0.0), |(count, sum), one| (count + 1, sum + one));
    (sum / f64::from(count.max(1))).max(0.0)
}

/// The repetitions of a setup.
fn measured(plan: &Plan, runs: &Runs, setup: &Setup) -> Measured {
    let (_, work) = plan.grown(setup).expect("sizes were looked at when the plan was made");
    Measured::new(setup.workers, repetitions(runs, plan, setup).map(|run| run.outcome.seconds).collect()).work(work)
}

/// Those of the rounds that are asked for: there may be more from before.
fn repetitions<'r>(runs: &'r Runs, plan: &Plan, setup: &Setup) -> impl Iterator<Item = &'r Run> {
    let (repeat, setup) = (plan.flags.repeat, setup.clone());
    runs.made.iter().filter(move |run| run.round < repeat && run.setup == setup)
}

/// The run whose time is in the middle.
fn middle<'r>(runs: &'r Runs, plan: &Plan, setup: &Setup) -> &'r Run {
    let mut all: Vec<&Run> = repetitions(runs, plan, setup).collect();
    all.sort_by(|one, other| one.outcome.seconds.total_cmp(&other.outcome.seconds));
    all[(all.len() - 1) / 2]
}

impl Point {
    fn of(
        plan: &Plan,
        runs: &Runs,
        setup: &Setup,
        (own, base, base_computing): (bool, &Measured, Option<f64>),
        rng: &mut Rng,
    ) -> Self {
        let measured = measured(plan, runs, setup);
        let (work, workers) = (measured.work / base.work, setup.workers as f64);
        let scale = |estimate: Estimate, by: f64| Estimate {
            value: estimate.value * by,
            low: estimate.low * by,
            high: estimate.high * by,
        };
        let speedup = if own { Estimate::exact(1.0) } else { scale(base.ratio(&measured, rng, RESAMPLES), work) };
        let run = middle(runs, plan, setup);
        let mut lost = run.outcome.lost;
        if let Some((computing, least)) = run.outcome.computing.zip(base_computing) {
            lost.slower = ((computing - least * work) / workers).max(0.0);
        }
        let (size, _) = plan.grown(setup).expect("sizes were looked at when the plan was made");
        let mut peaks: Vec<u64> = repetitions(runs, plan, setup).map(|run| run.peak_memory).collect();
        peaks.sort_unstable();
        Self {
            workers: setup.workers,
            seconds: measured.estimate(rng, RESAMPLES),
            speedup,
            efficiency: scale(speedup, 1.0 / workers),
            serial_fraction: serial_fraction(speedup, setup.workers).filter(|_| !plan.weak()),
            peak_memory: peaks[(peaks.len() - 1) / 2],
            oversubscribed: setup.workers > cpus(),
            middle: (run.outcome.seconds, lost),
            measured,
            size: size.map(|size| size.to_string()),
        }
    }
}
