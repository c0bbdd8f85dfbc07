//! Contestants: each a process that runs one thing once whenever it is told to, so that pools of threads of one are not in
//! the way of another's fork, and all take turns in the same seconds.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use parfork_workers::simd::Level;

use super::Run;

/// The life of a contestant: one run for each line that comes, answered with its milliseconds.
pub fn answer(mut run: Run) -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lines() {
        line?;
        println!("{}", run()?.as_secs_f64() * 1e3);
    }
    Ok(())
}

/// A name for `who` at each level of vector instructions that this CPU has.
pub fn at_levels(who: &str) -> Vec<String> {
    let levels = Level::ALL.iter().filter(|&&level| level <= Level::of_cpu());
    levels.map(|level| format!("{who}@{level}")).collect()
}

/// Times `work`.
pub fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}

/// Who takes part in a contest.
struct Contestant {
    name: String,
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    times: Vec<f64>,
}

impl Contestant {
    fn start(name: &str, mut command: Command) -> Result<Self, Box<dyn Error>> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, from) = (process.stdin.take().ok_or("no stdin")?, process.stdout.take().ok_or("no stdout")?);
        Ok(Self { name: name.to_owned(), process, to, from: BufReader::new(from), times: Vec::new() })
    }

    fn run(&mut self) -> Result<f64, Box<dyn Error>> {
        self.to.write_all(b"\n")?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(line.trim().parse().map_err(|_| format!("{} said: {line:?}", self.name))?)
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a contestant took, in milliseconds.
#[derive(Clone, Copy)]
pub struct Times {
    pub least: f64,
    pub median: f64,
}

/// Those who did one thing, in the order of their turns.
pub struct Outcome(Vec<(String, Vec<f64>)>);

/// Lets contestants of this program, and those that `PARFORK_BENCH_PEERS` tells, take turns `rounds` times, after one that
/// does not count.
///
/// A name that ends in `@` and a level of vector instructions is held to that level. That variable holds a line for each further peer: name, tab, a shell command, to which the section and the case are added.
pub fn contest(section: &str, case: &[&str], who: &[&str], rounds: usize) -> Result<Outcome, Box<dyn Error>> {
    let mut all = Vec::new();
    for name in who {
        let (who, level) = name.split_once('@').map_or((*name, None), |(who, level)| (who, Some(level)));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["contestant", section]).args(case).arg(who).envs(level.map(|level| ("PARFORK_SIMD", level)));
        all.push(Contestant::start(name, command)?);
    }
    let peers = std::env::var("PARFORK_BENCH_PEERS").unwrap_or_default();
    for (name, shell) in peers.lines().filter_map(|line| line.split_once('\t')) {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec {shell} {section} {}", case.join(" ")));
        all.push(Contestant::start(name, command)?);
    }
    // Who does not do this case says so at its first turn.
    all.retain_mut(|contestant| contestant.run().is_ok());
    for round in 0..rounds {
        let count = all.len();
        // Everyone follows everyone else as often.
        for turn in 0..count {
            let contestant = &mut all[if round % 2 == 0 { turn } else { count - 1 - turn }];
            let time = contestant.run()?;
            contestant.times.push(time);
        }
    }
    Ok(Outcome(all.iter_mut().map(|it| (it.name.clone(), std::mem::take(&mut it.times))).collect()))
}

impl Outcome {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn rounds(&self, name: &str) -> Option<&[f64]> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, times)| &times[..])
    }

    pub fn times(&self, name: &str) -> Option<Times> {
        let mut times = self.rounds(name)?.to_vec();
        times.sort_by(f64::total_cmp);
        Some(Times { least: *times.first()?, median: times[times.len() / 2] })
    }

    /// The time of `one` over that of `other`: the ratio of the least times, and the median of the rounds' ratios. Neighbours
    /// on the machine slow down a round as a whole, and a single run more than another.
    pub fn ratio(&self, one: &str, other: &str) -> Option<Times> {
        let mut ratios: Vec<f64> = self.rounds(one)?.iter().zip(self.rounds(other)?).map(|(x, y)| x / y).collect();
        ratios.sort_by(f64::total_cmp);
        let least = self.times(one)?.least / self.times(other)?.least;
        Some(Times { least, median: *ratios.get(ratios.len() / 2)? })
    }

    /// A line for each of ours: its time over that of the fastest of `peers`, and the most that it is to be.
    pub fn judge(&self, ours: &[String], peers: impl Fn(&str) -> bool, goal: f64) {
        let least = |name: &&str| self.times(name).map_or(f64::INFINITY, |times| times.least);
        let best = self.names().filter(|name| peers(name)).min_by(|one, other| least(one).total_cmp(&least(other)));
        for (ours, best) in ours.iter().filter_map(|ours| Some((ours, best?))) {
            if let Some(ratio) = self.ratio(ours, best) {
                println!("    {ours} takes {:.3} / {:.3} x {best}; goal {goal}", ratio.least, ratio.median);
            }
        }
    }

    /// A line for each contestant: its times, and ours over its: above 1 we take longer.
    pub fn print(&self, case: &str, ours: &str, also: impl Fn(Times) -> String) {
        println!("{case}");
        for name in self.names() {
            if let (Some(times), Some(ratio)) = (self.times(name), self.ratio(ours, name)) {
                println!(
                    "    {name:<28} {:>9.2} / {:>9.2}   ours takes {:>6.3} / {:>6.3} x   {}",
                    times.least,
                    times.median,
                    ratio.least,
                    ratio.median,
                    also(times)
                );
            }
        }
    }
}
