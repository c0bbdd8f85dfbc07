//! Makes the runs that are missing, one after the other.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use parfork::CancelToken;
use serde_json::Value;
use wait4::{ResUse, Wait4};

use super::job::Job;
use super::lost::LostTime;
use super::open::open;
use super::plan::{Plan, Setup};
use super::runs::{Outcome, Run, Runs};
use crate::cpu_time::{CpuLoad, now};
use crate::failure::Failure;
use crate::{output, screen};

/// How often a run is looked after; its time does not depend on it.
const LOOK: Duration = Duration::from_millis(50);

/// Makes them.
pub fn run(plan: &Plan, runs: &mut Runs) -> Result<(), Failure> {
    CancelToken::at_signals()?;
    // What a run leaves behind becomes a child of this process, and can be ended.
    let _ = set_child_subreaper(true);
    let _hold = CancelToken::hold();
    let rounds = plan.flags.repeat;
    let made: HashSet<(u32, Setup)> = runs.made.iter().map(|run| (run.round, run.setup.clone())).collect();
    let missing: Vec<(u32, Setup)> = (0..rounds)
        .flat_map(|round| plan.round(round).into_iter().map(move |setup| (round, setup.clone())))
        .filter(|run| !made.contains(run))
        .collect();
    let all = plan.setups.len() * rounds as usize;
    if !plan.flags.quiet {
        let resumed =
            if missing.len() < all { format!("; {} are there already", all - missing.len()) } else { String::new() };
        let setups = output::count(plan.setups.len(), "setup");
        eprintln!("{}: {all} runs, {rounds} of each of {setups}{resumed}", plan.job.title());
    }
    let mut line =
        ProgressLine { shown: false, quiet: plan.flags.quiet || !screen::can_erase(), began: Instant::now() };
    if matches!(plan.job, Job::Exec { .. }) && !missing.is_empty() {
        for setup in (0..plan.flags.warm_up).flat_map(|_| &plan.setups) {
            line.show("warming up", setup, 0, missing.len());
            once(plan, setup)?.ok_or_else(|| stopped(plan, all - missing.len(), all))?;
        }
        line.began = Instant::now();
    }
    for (done, (round, setup)) in missing.iter().enumerate() {
        line.show(plan.job.name(), setup, done, missing.len());
        let here = all - missing.len() + done;
        let before = CpuLoad::now();
        let (outcome, peak_memory) = once(plan, setup)?.ok_or_else(|| stopped(plan, here, all))?;
        let others_cpus = CpuLoad::now().others_since(&before);
        runs.keep(Run { round: *round, setup: setup.clone(), outcome, peak_memory, others_cpus })?;
    }
    Ok(())
}

fn stopped(plan: &Plan, done: usize, all: usize) -> Failure {
    let signal = CancelToken::at_signals().ok().and_then(CancelToken::signal).unwrap_or(Signal::SIGINT as i32);
    let text = format!(
        "stopped after {done} of {all} runs, which are kept in {}. The same command goes on from there.",
        plan.flags.output.join("runs.jsonl").display()
    );
    Failure::Stopped { signal, text }
}

/// One run, and the bytes that the largest of its processes had resident; none if we were asked to stop meanwhile.
fn once(plan: &Plan, setup: &Setup) -> Result<Option<(Outcome, u64)>, Failure> {
    let errors = Errors::new(&plan.flags.output)?;
    // Not the name this program has, for another one may be there by now.
    let child = Command::new("/proc/self/exe")
        .arg("measure")
        .arg(plan.order(setup)?.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors.file()?)
        .process_group(0)
        .spawn()
        .map_err(|error| Failure::job(format!("a process cannot be started for a run ({error}).")))?;
    let Some((told, ResUse { status, rusage: used }, ended)) = attend(plan, setup, child)? else { return Ok(None) };
    if !status.success() {
        return Err(failed(setup, status, &errors.text()));
    }
    let json: Value = serde_json::from_str(told.trim()).unwrap_or_default();
    let outcome = match json["began"].as_f64() {
        None => Outcome::of_json(&json),
        Some(began) => {
            let cpu_seconds = (used.utime + used.stime).as_secs_f64() - json["cpu_seconds"].as_f64().unwrap_or(0.0);
            let seconds = ended - began;
            // Nobody but the command knows what its workers did; when none of them computed something was lost.
            let rest = (seconds - cpu_seconds / setup.workers as f64).max(0.0);
            let lost = LostTime { rest, ..LostTime::default() };
            Some(Outcome { seconds, computing: None, cpu_seconds: cpu_seconds.max(0.0), lost })
        }
    };
    let odd = || Failure::job(format!("a run said {told:?} where it should have said what it took. Report this."));
    outcome.map(|outcome| Some((outcome, used.maxrss))).ok_or_else(odd)
}

/// Waits for a run's end: what it printed, how it ended and what it used, and when. None if we were asked to stop, and it was killed.
fn attend(plan: &Plan, setup: &Setup, mut child: Child) -> Result<Option<(String, ResUse, f64)>, Failure> {
    let pid = Pid::from_raw(child.id() as i32);
    let (tell, told) = mpsc::channel();
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut text = String::new();
            let read = child.stdout.take().map_or(Ok(0), |mut out| out.read_to_string(&mut text));
            let ended = wait(&mut child).and_then(|used| read.map(|_| (used, now())));
            let _ = tell.send(ended.map(|(used, ended)| (text, used, ended)));
        });
        let mut late = false;
        loop {
            match told.recv_timeout(LOOK) {
                Ok(ended) => {
                    let ended =
                        ended.map_err(|error| Failure::job(format!("a run cannot be waited for ({error}).")))?;
                    if late || CancelToken::at_signals()?.is_cancelled() {
                        end_left();
                    }
                    let limit = plan.flags.deadline.unwrap_or_default();
                    return match late {
                        true => Err(Failure::job(format!(
                            "a run with {} did not end within {limit:?} and was killed. Give more with --deadline.",
                            words(setup)
                        ))),
                        // Ctrl-C on a terminal goes to both of us, so that its end says nothing then.
                        false => {
                            Ok(Some(ended).filter(|_| !CancelToken::at_signals().is_ok_and(CancelToken::is_cancelled)))
                        }
                    };
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::job("a run cannot be waited for.")),
                Err(RecvTimeoutError::Timeout) => {
                    late |= plan.flags.deadline.is_some_and(|limit| began.elapsed() > limit);
                    if late || CancelToken::at_signals()?.is_cancelled() {
                        let _ = killpg(pid, Signal::SIGKILL);
                    }
                }
            }
        }
    })
}

/// Waits for a child, through signals.
fn wait(child: &mut Child) -> io::Result<ResUse> {
    loop {
        match child.wait4() {
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            ended => return ended,
        }
    }
}

/// Ends and reaps all children of this process, in any order, and theirs, which come next: a run that was killed has left them.
fn end_left() {
    let children = || {
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        lists.flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()).collect()
    };
    // No tree of processes is so deep that more rounds are needed.
    for _ in 0..100 {
        let here: Vec<i32> = children();
        if here.is_empty() {
            return;
        }
        for &pid in &here {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        for &pid in here.iter().rev() {
            let _ = waitpid(Pid::from_raw(pid), None);
        }
    }
}

fn failed(setup: &Setup, status: ExitStatus, errors: &str) -> Failure {
    let last: Vec<&str> = errors.lines().rev().take(5).collect();
    let said: Vec<&str> = last.into_iter().rev().map(|line| line.strip_prefix("parfork: ").unwrap_or(line)).collect();
    let said = if said.is_empty() { "It said nothing.".to_owned() } else { format!("It said:\n{}", said.join("\n")) };
    let text = format!("a run with {} failed ({status}). {said}", words(setup));
    match status.code() {
        Some(2) => Failure::usage(text),
        Some(3) => Failure::input(text),
        _ => Failure::job(text),
    }
}

fn words(setup: &Setup) -> String {
    let size = setup.size.as_ref().map_or(String::new(), |size| format!(", size {size}"));
    format!("{} ({}{size})", output::count(setup.workers, "worker"), setup.engine_name())
}

/// What a run says on stderr; the file is gone with this.
struct Errors(std::path::PathBuf);

impl Errors {
    fn new(folder: &Path) -> Result<Self, Failure> {
        let errors = Self(folder.join("last-run.stderr"));
        errors.file().map(|_| errors)
    }

    fn file(&self) -> Result<File, Failure> {
        open(File::options().write(true).create(true).truncate(true), &self.0)
            .map_err(|error| Failure::job(format!("{} cannot be written ({error}).", self.0.display())))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.0).unwrap_or_default()).into_owned()
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// How far it is, on a terminal.
struct ProgressLine {
    shown: bool,
    quiet: bool,
    began: Instant,
}

impl ProgressLine {
    fn show(&mut self, what: &str, setup: &Setup, done: usize, all: usize) {
        if self.quiet {
            return;
        }
        let left = match done {
            0 => String::new(),
            _ => {
                let each = self.began.elapsed().as_secs_f64() / done as f64;
                format!(", {} left", output::duration(Duration::from_secs_f64(each * (all - done) as f64)))
            }
        };
        let filled = "#".repeat(20 * done / all.max(1));
        let _ = write!(std::io::stderr(), "\r{what} [{filled:<20}] {done} of {all} runs{left}: {}\x1b[K", words(setup));
        self.shown = true;
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
