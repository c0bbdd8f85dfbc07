//! `parfork top`: what it says of jobs that run, what its keys do to them, and the terminal afterwards.
#![allow(unsafe_code)]

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::fixture::{Fixture, children, has_worked, until, watched};
use crate::terminal::Terminal;

/// A job that goes on for as long as a test may want, and is done soon once it is let.
fn line(name: &str) -> String {
    let steps = if cfg!(debug_assertions) { 8000 } else { 300_000 };
    format!("mandelbrot -o {name} --size 200x200 --center=-0.75,0.1 --zoom 8 --iterations {steps} -n 2 --retries 2")
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

/// A job whose two workers have begun and were stopped, so that nothing changes until somebody changes it.
fn stopped_job(fixture: &Fixture, line: &str) -> (Child, Vec<u32>) {
    let job = fixture.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let workers = children(job.id(), 2);
    for &worker in &workers {
        until(|| has_worked(worker));
        send(worker, Signal::SIGSTOP);
    }
    let is_stopped = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ");
    until(|| workers.iter().all(is_stopped));
    (job, workers)
}

/// What `top` says of the job of one coordinator; others may run too.
fn report(fixture: &Fixture, pid: u32) -> Option<Value> {
    let report: Value = serde_json::from_str(&fixture.ok("top --once --json")).unwrap();
    assert_eq!((&report["schema"], &report["command"]), (&1.into(), &"top".into()));
    report["jobs"].as_array().unwrap().iter().find(|job| job["pid"] == pid).cloned()
}

#[test]
fn a_job_is_told_as_it_is() {
    let fixture = Fixture::new();
    let (job, workers) = stopped_job(&fixture, &line("a.png"));
    let told = report(&fixture, job.id()).unwrap();
    // 200 rows, 8 to a slice; three bytes a pixel, on whole pages.
    for (key, value) in [("name", "mandelbrot"), ("engine", "processes"), ("schedule", "dynamic")] {
        assert_eq!(told[key], value);
    }
    assert_eq!((&told["running"], &told["slices"], &told["lent_bytes"]), (&true.into(), &25.into(), &120_000.into()));
    let of_workers = told["workers"].as_array().unwrap();
    let pids: Vec<u64> = of_workers.iter().map(|worker| worker["pid"].as_u64().unwrap()).collect();
    assert!(pids.iter().map(|&pid| pid as u32).eq(workers.iter().copied()));
    let mut slices = Vec::new();
    for (rank, worker) in of_workers.iter().enumerate() {
        assert_eq!((&worker["rank"], &worker["state"]), (&rank.into(), &"stopped".into()));
        assert!(
            worker["memory"]["private_bytes"].as_u64().unwrap() > 0 && worker["at_it_seconds"].as_f64().unwrap() > 0.0
        );
        slices.extend(worker["slice"].as_u64());
    }
    let count = |key: &str| told[key].as_u64().unwrap();
    assert_eq!(count("done") + count("left"), 25);
    // One that is stopped just as it begins is not in the journal yet.
    assert!(count("taken") as usize <= slices.len());
    assert_eq!(count("done"), of_workers.iter().map(|worker| worker["done"].as_u64().unwrap()).sum::<u64>());
    assert!(slices.iter().all(|&slice| slice < 25));
    let table = fixture.ok("top --once");
    assert!(table.contains(&format!("workers of mandelbrot (pid {})", job.id())), "{table}");
    assert!(workers.iter().all(|pid| table.contains(&pid.to_string())), "{table}");
    // And nothing has happened to it.
    workers.iter().for_each(|&worker| send(worker, Signal::SIGCONT));
    let pid = job.id();
    let output = watched("watched", job);
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("others did its work"));
    assert_eq!(report(&fixture, pid), None);
}

#[test]
fn jobs_of_others_are_not_told() {
    let fixture = Fixture::new();
    let mut command = fixture.command("mandelbrot -o /dev/null/no.png");
    // SAFETY: a system call.
    if unsafe { libc::geteuid() } != 0 {
        return eprintln!("not tested: only root can be somebody else");
    }
    drop(command);
    fs::set_permissions(fixture.0.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    command = fixture.command(&line("a.png"));
    let Ok(mut job) = command.uid(65534).gid(65534).stderr(Stdio::piped()).spawn() else {
        return eprintln!("not tested: nobody else can run the command where it is");
    };
    let workers = children(job.id(), 2);
    workers.iter().for_each(|&worker| send(worker, Signal::SIGSTOP));
    assert_eq!(report(&fixture, job.id()), None);
    job.kill().unwrap();
    watched("killed", job);
}

/// Selects the job of a coordinator, whatever others there are.
fn select(top: &Terminal, pid: u32) {
    let is_selected = |screen: &str| {
        screen.lines().filter(|line| line.starts_with('>')).take(1).any(|line| line.contains(&format!("{pid}  ")))
    };
    press_until(top, "\t", is_selected);
}

/// Presses a key, and again whenever the screen has changed and is not yet as it should be: other jobs come and go, and keys wait in
/// line.
fn press_until(top: &Terminal, key: &str, what: impl Fn(&str) -> bool) {
    let mut before = String::new();
    top.shows(|screen| {
        let is = what(screen);
        if !is && screen.contains("q quit") && screen != before {
            before = screen.to_owned();
            top.press(key);
        }
        is
    });
}

#[test]
fn a_worker_killed_by_key_is_replaced() {
    let fixture = Fixture::new();
    let (job, workers) = stopped_job(&fixture, &line("a.png"));
    let top = Terminal::run(fixture.command("top"), 24, 80);
    select(&top, job.id());
    top.shows(|screen| screen.matches("stopped").count() == 2);
    // Down, kill, no; kill, yes.
    press_until(&top, "\x1b[B", |screen| screen.lines().filter(|line| line.starts_with(">    1")).count() == 1);
    top.press("k");
    top.shows(|screen| screen.contains(&format!("kill worker 1 (pid {})? y: yes", workers[1])));
    top.press("n");
    top.shows(|screen| screen.contains("nothing was killed"));
    top.press("ky");
    top.shows(|screen| screen.contains(&format!("worker 1 (pid {}) was killed", workers[1])));
    send(workers[0], Signal::SIGCONT);
    let output = watched("with a worker that top has killed", job);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains(&format!("(pid {}) was ended by signal 9", workers[1])), "{text}");
    fixture.ok(&line("b.png"));
    assert_eq!(fs::read(fixture.path("a.png")).unwrap(), fs::read(fixture.path("b.png")).unwrap());
    top.press("q");
    assert!(top.end().success());
}

#[test]
fn the_terminal_is_given_back() {
    let fixture = Fixture::new();
    for (rows, columns) in [(24, 80), (24, 40), (5, 20)] {
        let top = Terminal::run(fixture.command("top"), rows, columns);
        top.shows(|screen| screen.contains("parfork top") && screen.contains("q quit"));
        // Ctrl-C, which is a key there.
        top.press("\x03");
        assert!(top.end().success());
    }
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let top = Terminal::run(fixture.command("top"), 24, 80);
        top.shows(|screen| screen.contains("parfork top") && screen.contains("q quit"));
        send(top.pid(), signal);
        assert_eq!(top.end().code(), Some(128 + signal as i32));
    }
}

/// Also by who has asked that hanging up be ignored.
#[test]
fn a_closed_terminal_ends_it() {
    let fixture = Fixture::new();
    for ignores in [false, true] {
        let mut command = fixture.command("top");
        let ignore = move || {
            if ignores {
                // SAFETY: of a process that is about to run the command.
                unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
            }
            Ok(())
        };
        // SAFETY: it makes a system call only.
        unsafe { command.pre_exec(ignore) };
        let top = Terminal::run(command, 24, 80);
        top.shows(|screen| screen.contains("parfork top"));
        let code = top.close().code();
        assert_eq!(code, Some(129));
    }
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let fixture = Fixture::new();
    fixture.fails("top", 2, &["no terminal", "--once"]);
    fixture.fails("top --json", 2, &["--once"]);
}
