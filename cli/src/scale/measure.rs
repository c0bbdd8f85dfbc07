//! One run in a process of its own: makes or reads the input, runs the job as often as it is to warm up, and once more for its time.
//!
//! A process of its own, because a process that has had threads can no longer fork safely; and because where code and data
//! happen to lie in memory is then drawn anew for each run, instead of favouring one engine for all of them.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::{CommandExt, parent_id};
use std::process::Command;
use std::time::Duration;

use crate::scaling::Chance;
use ndarray::{Ix1, Ix2, Ix3};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use parfork::formats::npy;
use parfork::record::Part;
use parfork::{Engine, Report, Settings, Shared};
use parfork_workers::filter::{Border, Filter, Run, Sample};
use parfork_workers::mandelbrot::{self, View};
use parfork_workers::matmul::{self, Element};
use parfork_workers::picture::{self, Picture};
use parfork_workers::reduce::{self, Dtype, Op};
use serde_json::{Value, json};

use super::args::Size;
use super::job::Job;
use super::lost::Lost;
use super::runs::Outcome;
use crate::failure::Failure;
use crate::{image, output};

/// What a run is told; see `Plan::order`.
struct Order {
    job: Job,
    engine: Option<Engine>,
    workers: usize,
    size: Option<Size>,
    schedule: parfork::Schedule,
    split: Option<parfork::Split>,
    retries: u32,
    guard: bool,
    threads_per_worker: usize,
    pin: bool,
    warm_up: u64,
    parent: u64,
}

impl Order {
    fn read(text: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(text).ok()?;
        let setup = super::plan::Setup::of_json(&json)?;
        let settings = &json["settings"];
        Some(Self {
            job: Job::of_json(&json["job"])?,
            engine: setup.engine,
            workers: setup.workers,
            size: setup.size,
            schedule: setup.schedule,
            split: settings["split"].as_str().map(str::parse).transpose().ok()?,
            retries: settings["retries"].as_u64()?.try_into().ok()?,
            guard: settings["guard"].as_bool()?,
            threads_per_worker: settings["threads_per_worker"].as_u64()?.try_into().ok()?,
            pin: settings["pin"].as_bool()?,
            warm_up: settings["warm_up"].as_u64()?,
            parent: json["parent"].as_u64()?,
        })
    }

    fn settings(&self) -> Settings<'static> {
        let processes = self.engine == Some(Engine::Processes);
        Settings {
            workers: Some(self.workers),
            split: self.split,
            schedule: self.schedule,
            engine: self.engine.unwrap_or_default(),
            retries: if processes { self.retries } else { 0 },
            guard: self.guard && processes,
            threads_per_worker: Some(self.threads_per_worker),
            pin: self.pin && processes,
            record: true,
            ..Settings::default()
        }
    }

    /// The length that the job's size has there.
    fn length(&self, axis: usize) -> Result<usize, Failure> {
        let lengths = self.size.as_ref().map(|size| &size.0[..]).unwrap_or_default();
        // A single length is that of all axes.
        lengths.get(axis).or(lengths.first()).copied().ok_or_else(|| Failure::usage("a made-up input needs a size."))
    }

    /// Runs the job as often as it is to be run; the reports of the last time.
    fn measure(
        &self,
        mut job: impl FnMut(Settings<'static>) -> parfork::Result<Vec<Report>>,
    ) -> Result<Vec<Report>, Failure> {
        for _ in 0..self.warm_up {
            job(self.settings())?;
        }
        Ok(job(self.settings())?)
    }
}

/// What is to be run, if this process was started to make a run: `parfork measure ORDER`.
pub fn order(mut arguments: impl Iterator<Item = OsString>) -> Option<String> {
    let asked = arguments.nth(1)? == "measure";
    arguments.next().filter(|_| asked)?.into_string().ok()
}

/// Makes the run that `text` tells of, and prints what it took.
pub fn run(text: &str) -> Result<(), Failure> {
    let order = Order::read(text)
        .ok_or_else(|| Failure::usage("this is for parfork scale, which tells what to run. Call that instead."))?;
    // Nobody would wait for a run whose parent is gone.
    let orphaned =
        |error| Failure::job(format!("the end of parfork scale cannot be asked for ({error}). Report this."));
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(orphaned)?;
    if u64::from(parent_id()) != order.parent {
        return Err(Failure::job("parfork scale, which wanted this run, is gone."));
    }
    let reports = match &order.job {
        Job::Exec { command } => return Err(exec(&order, command)),
        Job::Mandelbrot { center, zoom, iterations } => rendering(&order, *center, *zoom, *iterations)?,
        Job::Matmul { inputs, single } => match inputs {
            Some([a, b]) if npy::Header::read(a)?.dtype.ends_with("f4") => {
                product(&order, &Shared::<f32, Ix2>::load(a)?, &Shared::load(b)?)?
            }
            Some([a, b]) => product(&order, &Shared::<f64, Ix2>::load(a)?, &Shared::load(b)?)?,
            None if *single => made_up_product::<f32>(&order, |number| number as f32)?,
            None => made_up_product::<f64>(&order, |number| number)?,
        },
        Job::Image { input, filters, border } => {
            let picture = match input {
                Some(path) => picture::read_with(Settings::default(), path)?,
                None => Picture::U8(made_up_picture(order.length(0)?, order.length(1)?)?),
            };
            match picture {
                Picture::U8(picture) => filtered(&order, &picture, filters, *border)?,
                Picture::U16(picture) => filtered(&order, &picture, filters, *border)?,
            }
        }
        Job::Reduce { op, input } => match input {
            Some(path) => {
                let (header, bytes) = npy::read_bytes(path)?;
                let dtype =
                    header.dtype.parse().map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
                reduction(&order, *op, dtype, &bytes)?
            }
            None => {
                reduction(&order, *op, "<f8".parse().expect("a type of NumPy's"), &made_up_array(order.length(0)?)?)?
            }
        },
    };
    let records = || reports.iter().filter_map(Report::record);
    let computing = records().map(|record| record.waterfall().of(Part::Computing)).sum::<Duration>().as_secs_f64();
    let seconds = reports.iter().map(|report| report.wall).sum::<Duration>().as_secs_f64();
    let cpu_seconds = cpu_seconds(UsageWho::RUSAGE_SELF) + cpu_seconds(UsageWho::RUSAGE_CHILDREN);
    let outcome = Outcome { seconds, computing: Some(computing), cpu_seconds, lost: Lost::of(&reports) };
    output::print_json(&outcome.to_json())
}

fn rendering(order: &Order, center: (f64, f64), zoom: f64, iterations: u32) -> Result<Vec<Report>, Failure> {
    let size = (order.length(0)?, order.length(1)?);
    let view = View::new(center, zoom, size, iterations).map_err(Failure::usage)?;
    let mut picture = Shared::<u8, Ix3>::zeros((size.1, size.0, 3))?;
    order.measure(|settings| Ok(vec![mandelbrot::run(settings, &view, &mut picture)?.report().clone()]))
}

fn product<T: Element>(order: &Order, a: &Shared<T, Ix2>, b: &Shared<T, Ix2>) -> Result<Vec<Report>, Failure> {
    let mut c = Shared::<T, Ix2>::zeros((a.view().nrows(), b.view().ncols()))?;
    order.measure(|settings| Ok(vec![matmul::run(settings, a, b, &mut c)?.report().clone()]))
}

fn made_up_product<T: Element>(order: &Order, number: impl Fn(f64) -> T) -> Result<Vec<Report>, Failure> {
    let mut chance = Chance::seeded(1);
    let mut noise = |shape: (usize, usize)| {
        let mut array = Shared::<T, Ix2>::zeros(shape)?;
        array.as_mut_slice().iter_mut().for_each(|cell| *cell = number(chance.unit() - 0.5));
        Ok::<_, parfork::Error>(array)
    };
    let (m, k, n) = (order.length(0)?, order.length(1)?, order.length(2)?);
    let (a, b) = (noise((m, k))?, noise((k, n))?);
    product(order, &a, &b)
}

fn filtered<S: Sample>(
    order: &Order,
    picture: &Shared<S, Ix3>,
    filters: &[Filter],
    border: Border,
) -> Result<Vec<Report>, Failure> {
    let runs = Run::split(filters);
    // One job for each run of filters, with the same settings.
    order.measure(|_| Ok(image::chain(|_, _| order.settings(), &runs, border, picture)?.1))
}

/// Smooth shades with noise on them, as photographs have.
fn made_up_picture(width: usize, height: usize) -> Result<Shared<u8, Ix3>, Failure> {
    let mut picture = Shared::<u8, Ix3>::zeros((height, width, 3))?;
    let mut chance = Chance::seeded(1);
    for (number, sample) in picture.as_mut_slice().iter_mut().enumerate() {
        let (row, col) = (number / (3 * width), number % (3 * width));
        let shade = 110.0 + 60.0 * (row as f64 / 97.0).sin() + 60.0 * (col as f64 / 311.0).cos();
        *sample = (shade + 20.0 * chance.unit()) as u8;
    }
    Ok(picture)
}

fn reduction(order: &Order, op: Op, dtype: Dtype, bytes: &Shared<u8, Ix1>) -> Result<Vec<Report>, Failure> {
    order.measure(|settings| Ok(vec![reduce::run(settings, op, dtype, bytes)?.1.report().clone()]))
}

fn made_up_array(length: usize) -> Result<Shared<u8, Ix1>, Failure> {
    let bytes = length.checked_mul(8).ok_or_else(|| Failure::usage(format!("{length} elements are too many.")))?;
    let mut array = Shared::<u8, Ix1>::zeros(bytes)?;
    let mut chance = Chance::seeded(1);
    array.as_mut_slice().chunks_exact_mut(8).for_each(|cell| cell.copy_from_slice(&chance.unit().to_le_bytes()));
    Ok(array)
}

/// CPU time so far.
pub fn cpu_seconds(who: UsageWho) -> f64 {
    let seconds = |usage: nix::sys::resource::Usage| {
        (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
    };
    getrusage(who).map_or(0.0, seconds)
}

/// The time on the clock that all processes share.
pub fn now() -> f64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0.0, |time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// Says when it begins, and becomes the command; the failure if it cannot.
fn exec(order: &Order, command: &[String]) -> Failure {
    let (workers, size) = (order.workers.to_string(), order.size.as_ref().map(ToString::to_string).unwrap_or_default());
    let words: Vec<String> =
        command.iter().map(|word| word.replace("{workers}", &workers).replace("{size}", &size)).collect();
    let nowhere = match File::options().write(true).open("/dev/null") {
        Ok(file) => file,
        Err(error) => return Failure::job(format!("/dev/null cannot be opened ({error}).")),
    };
    let mut line = std::io::stdout().lock();
    let began = json!({ "began": now(), "cpu_seconds": cpu_seconds(UsageWho::RUSAGE_SELF) });
    if let Err(error) = writeln!(line, "{began}").and_then(|()| line.flush()) {
        return error.into();
    }
    let error = match nix::unistd::dup2_stdout(&nowhere) {
        Ok(()) => Command::new(&words[0]).args(&words[1..]).env("PARFORK_WORKERS", workers).exec(),
        Err(error) => error.into(),
    };
    Failure::input(format!(
        "{} cannot be run in {} ({error}). Look at its name.",
        words[0],
        env::current_dir().unwrap_or_default().display()
    ))
}
