//! Many trials, some at a time.

use std::io;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::judge::Verdict;
use crate::program;
use crate::table::Table;
use crate::trial;
use crate::watch::{End, TRIAL, watch};

/// Which trials to play.
pub(crate) struct Campaign {
    pub(crate) seed: u64,
    pub(crate) trials: std::ops::Range<u64>,
    /// After how many minutes no more are begun.
    pub(crate) minutes: Option<u64>,
    /// How many at a time.
    pub(crate) jobs: usize,
}

/// If this process is the coordinator of a trial, plays it.
pub(crate) fn play_if_told() -> Option<ExitCode> {
    let told = std::env::var(TRIAL).ok()?;
    let numbers: Vec<_> = told.split(':').filter_map(|number| number.parse().ok()).collect();
    let [seed, number, _] = numbers[..] else { panic!("{TRIAL}={told} names no trial") };
    trial::serve_if_told(seed, number);
    Some(program::work_if_told(seed, number).unwrap_or_else(|| trial::play(seed, number)))
}

impl Campaign {
    /// Plays all; tells each that is lost, and how to play it again, on standard error.
    pub(crate) fn run(&self) -> io::Result<Table> {
        let (table, next) = (Mutex::new(Table::default()), AtomicU64::new(self.trials.start));
        let (began, minutes) = (Instant::now(), self.minutes.map(|minutes| Duration::from_secs(60 * minutes)));
        std::thread::scope(|threads| {
            let work = || -> io::Result<()> {
                let folder = tempfile::tempdir()?;
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= self.trials.end || minutes.is_some_and(|minutes| began.elapsed() >= minutes) {
                        return Ok(());
                    }
                    let seen = watch(self.seed, number, folder.path())?;
                    let mut table = table.lock().expect("no thread panics with the table");
                    table.count(&seen);
                    if let End::Hung(what) | End::Judged(Verdict::Wrong(what) | Verdict::Left(what)) = &seen.end {
                        eprintln!("\nlost: --seed {} --only {number}\n{seen:?}\n{what}\n", self.seed);
                    }
                    if table.runs().is_multiple_of(100) {
                        let minutes = began.elapsed().as_secs_f64() / 60.0;
                        eprintln!("{} trials in {minutes:.1} minutes, {} lost", table.runs(), table.lost());
                    }
                }
            };
            let hands: Vec<_> = (0..self.jobs).map(|_| threads.spawn(work)).collect();
            hands.into_iter().try_for_each(|hand| hand.join().expect("a thread of the campaign"))
        })?;
        Ok(table.into_inner().expect("no thread panics with the table"))
    }
}
