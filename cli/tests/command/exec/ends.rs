//! Programs that end, are killed or take too long; and jobs that are stopped, which leave none.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::DOUBLE;
use crate::fixture::{Fixture, children, until, watched};

#[test]
fn programs_that_end_are_dead_workers() {
    let fixture = Fixture::new();
    fixture.bytes("a.npy", 40);
    let line = "--in a.npy --out b.npy -n 2 --split rows=10 --retries 1";
    for (script, words) in [
        ("read l; kill -9 $$", &["which was ended by signal 9 (SIGKILL: killed), while it worked on slice "][..]),
        ("read l; kill -SEGV $$", &["signal 11 (SIGSEGV"]),
        ("read l; exit 3", &["exited with status 3", "standard error"]),
        // Its child holds the pipe open; it is dead all the same, and its child goes with it.
        ("sleep 1000 & read l; exit 4", &["exited with status 4"]),
    ] {
        let text = fixture.exec_fails(line, script, 1, words);
        assert!(
            text.contains("lost its program `sh` (pid ") && text.contains("the last of 2 workers to die on it"),
            "{text}"
        );
    }
    fixture.exec_fails(&format!("{line} --each"), "exit 5", 1, &["exited with status 5"]);
    for (script, words) in [
        ("exit 0", &["exited with status 0", "--each"][..]),
        ("exec nonesuch", &["exited with status 127", "127 is what shells say"]),
        ("exec ./a.npy", &["exited with status 126", "126 is what shells say"]),
    ] {
        let text = fixture.exec_fails(line, script, 1, words);
        assert!(text.contains("before it had read what it was to do, while it worked on no slice"), "{text}");
    }
    // A job that fails leaves its record.
    let output = fixture.run_exec(&format!("{line} --report run.html"), "read l; exit 3");
    let page = fs::read_to_string(fixture.path("run.html")).unwrap();
    assert!(output.status.code() == Some(1) && page.contains("lost its program `sh`"), "{page}");
}

/// A program that never works is not tried for each of a thousand slices: one that cannot begin (a missing module, say) as often as one
/// slice would be, one that ends on each slice on a few of them. One that could not begin once is another matter.
#[test]
fn a_program_that_never_works_is_not_started_for_every_slice() {
    let fixture = Fixture::new();
    let twice: Vec<u8> = fixture.bytes("a.npy", 1000).iter().map(|byte| byte * 2).collect();
    let line = "--in a.npy --out b.npy -n 2 --split rows=1";
    let starts = || fs::read_to_string(fixture.path("starts")).unwrap().lines().count();
    for (line, script, least, most) in [
        (line.to_owned(), "echo x >> starts; exit 3", 3, 6),
        (line.to_owned(), "echo x >> starts; kill -9 $$", 3, 6),
        (line.to_owned(), "echo x >> starts; read l; exit 3", 24, 60),
        (format!("{line} --each"), "echo x >> starts; exit 3", 24, 60),
    ] {
        fs::write(fixture.path("starts"), "").unwrap();
        let output = fixture.run_exec(&line, script);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("lost its program `sh`") && text.contains("; 0 of 1000 slices were done"), "{text}");
        assert!(
            output.status.code() == Some(1) && (least..=most).contains(&starts()),
            "{script}: {} starts, {text}",
            starts()
        );
    }
    let once = format!("mkdir mark 2>/dev/null && exit 3; {DOUBLE}");
    let text = fixture.exec_ok("--in a.npy --out b.npy -n 2 --split rows=500", &once);
    assert!(text.contains("before it had read what it was to do"), "{text}");
    assert_eq!(fixture.found("b.npy"), twice);
}

#[test]
fn what_a_dead_program_left_is_done_by_others() {
    let fixture = Fixture::new();
    let twice: Vec<u8> = fixture.bytes("a.npy", 40).iter().map(|byte| byte * 2).collect();
    // The first that comes to slice 20 leaves a mark and dies; whoever comes next finds it.
    let first_dies =
        DOUBLE.replacen("i=$start", "[ $start = 20 ] && mkdir mark 2>/dev/null && kill -9 $$; i=$start", 1);
    let text = fixture.exec_ok("--in a.npy --out b.npy -n 2 --split rows=10", &first_dies);
    assert!(text.contains("lost its program `sh`") && text.contains("; others did its work"), "{text}");
    assert_eq!(fixture.found("b.npy"), twice);
    // One that dies each time is set aside, all others are done, and the line that is printed runs it again.
    fs::remove_file(fixture.path("b.npy")).unwrap();
    let dies = DOUBLE.replacen("i=$start", "[ $start = 20 ] && exit 7; i=$start", 1);
    let text = fixture.exec_fails(
        "--in a.npy --out b.npy -n 2 --split rows=10",
        &dies,
        1,
        &["3 of 4 slices were done", "slice 2 [20..30, ..], the last of 3"],
    );
    let (_, again) = text.split_once(" To run that slice alone:\n  ").expect("a command to type");
    assert!(again.contains(" --only-slice 2 -- sh -c "), "{again}");
    let child = Command::new("sh").args(["-c", again]).current_dir(fixture.0.path()).stderr(Stdio::piped()).spawn();
    let output = watched(again, child.unwrap());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("exited with status 7"), "{told}");
    fixture.exec_ok("--in a.npy --out b.npy -n 2 --split rows=10 --only-slice 1", &dies);
    assert!(!fixture.path("b.npy").exists());
}

#[test]
fn deadlines_end_programs() {
    let fixture = Fixture::new();
    fixture.bytes("a.npy", 40);
    // What it starts says where it is, so that its end can be seen.
    let script = "sh -c 'echo $$ > inner; exec sleep 1000' & echo $$ > outer; wait";
    for (flag, words) in [
        ("--deadline 1s", "after its deadline of 1s"),
        ("--slice-deadline 1s", "and was killed; it was waiting for a program that it had started"),
    ] {
        let output =
            fixture.run_exec(&format!("--in a.npy --out b.npy -n 1 --split rows=40 --retries 0 {flag}"), script);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && text.contains(words), "{text}");
        for file in ["inner", "outer"] {
            // On a machine that is busy the time may be over before it is written.
            let pid = fs::read_to_string(fixture.path(file)).ok().and_then(|pid| pid.trim().parse().ok());
            if let Some(pid) = pid {
                until(|| gone(pid));
            }
            let _ = fs::remove_file(fixture.path(file));
        }
    }
}

/// Some programs that start others ignore how these end, and what they start inherits that.
#[test]
#[allow(unsafe_code)]
fn ends_of_children_that_were_ignored_are_told() {
    let fixture = Fixture::new();
    let run = |flags: &str, script: &str| {
        let mut command = fixture.exec(&format!("--out b.npy:u8:4 -n 2 {flags}"), script);
        let ignore = || {
            // SAFETY: ignored, for a signal of a process that has just been made.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            Ok(())
        };
        // SAFETY: it makes a system call only.
        let output = watched(flags, unsafe { command.pre_exec(ignore) }.spawn().unwrap());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = run("--each", "exit 0");
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run("--retries 0", "exit 3");
    assert!(code == Some(1) && text.contains("exited with status 3"), "{text}");
}

/// Whether a process is there no more, or is nothing but its status.
fn gone(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// The programs of a job: its workers' children.
fn programs(coordinator: u32, number: usize) -> Vec<u32> {
    let list = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut found = Vec::new();
    until(|| {
        let workers = children(coordinator, number);
        found = workers
            .iter()
            .flat_map(|pid| list(pid).split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        found.len() == number
    });
    found.iter().map(|pid| pid.parse().unwrap()).collect()
}

fn waiting(fixture: &Fixture) -> Child {
    fixture.bytes("a.npy", 40);
    let mut command = fixture.exec("--in a.npy --out b.npy -n 2 --split rows=20", "read l; exec sleep 1000");
    command.process_group(0).spawn().unwrap()
}

#[test]
fn ctrl_c_and_sigkill_leave_no_program() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let fixture = Fixture::new();
        let child = waiting(&fixture);
        let (pid, running) = (Pid::from_raw(child.id() as i32), programs(child.id(), 2));
        match signal {
            // The terminal sends it to the whole group.
            Signal::SIGINT => killpg(pid, signal).unwrap(),
            _ => kill(pid, signal).unwrap(),
        }
        let output = watched("stopped", child);
        if signal == Signal::SIGINT {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(130), "{text}");
            assert!(text.contains("stopped by SIGINT") && text.lines().count() == 1, "{text}");
        }
        until(|| running.iter().all(|&pid| gone(pid)));
        assert!(!fixture.path("b.npy").exists());
    }
}

#[test]
fn a_killed_program_is_replaced_and_told() {
    let fixture = Fixture::new();
    let bytes = fixture.bytes("a.npy", 40);
    // Waits until the test has killed one of them.
    let script = r#"while read -r word start end; do
        until [ -e go ]; do sleep 0.01; done
        dd if=$PARFORK_IN_A of=$PARFORK_OUT_B bs=1 skip=$((PARFORK_OFFSET_A + start)) seek=$start count=$((end - start)) conv=notrunc status=none
        echo done $start $end
    done"#;
    let run = || fixture.exec("--in a.npy --out b.npy -n 2 --split rows=10", script).spawn().unwrap();
    let goes_on = |child, told: &str| {
        fs::write(fixture.path("go"), "").unwrap();
        let output = watched("with a killed program", child);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains(told), "{text}");
        assert_eq!(fixture.found("b.npy"), bytes);
        fs::remove_file(fixture.path("go")).unwrap();
    };
    let child = run();
    let victim = programs(child.id(), 2)[0];
    kill(Pid::from_raw(victim as i32), Signal::SIGKILL).unwrap();
    goes_on(child, &format!("lost its program `sh` (pid {victim}), which was ended by signal 9"));
    // The worker itself: its program goes with it.
    let child = run();
    let (running, worker) = (programs(child.id(), 2), children(child.id(), 2)[0]);
    kill(Pid::from_raw(worker as i32), Signal::SIGKILL).unwrap();
    goes_on(child, &format!("(pid {worker}) was ended by signal 9"));
    until(|| running.iter().all(|&pid| gone(pid)));
}

/// All slices are done, or so it has said: whether they are, its end tells.
#[test]
fn programs_that_end_badly_after_their_last_slice_are_no_success() {
    let fixture = Fixture::new();
    fixture.bytes("a.npy", 40);
    let line = "--in a.npy --out b.npy -n 2 --split rows=10";
    let told = "after it had said that all of its slices were done";
    for (end, words) in [("kill -9 $$", "signal 9 (SIGKILL"), ("exit 3", "exited with status 3")] {
        let script = format!("while read l; do echo done; done; {end}");
        fixture.exec_fails(line, &script, 1, &["gave up", words, told]);
    }
    fixture.exec_ok(line, "while read l; do echo done; done; sleep 0.1; exit 0");
    let text = fixture.exec_ok(line, "while read l; do echo done; done; exec sleep 1000");
    assert!(text.contains("stayed for more than 5 s after its last slice, and is ended"), "{text}");
}

/// As multiprocessing in Python does it: a process that waits until all others are gone, and removes what they have left.
#[test]
fn who_tidies_up_behind_a_program_has_time_for_it() {
    let fixture = Fixture::new();
    fixture.bytes("a.npy", 40);
    let line = "--in a.npy --out b.npy -n 1 --split rows=10";
    // It is known by its name, which it has from when it says that it is there.
    fs::write(fixture.path("resource_tracker"), ": > there$1; read x; : > tidied$1").unwrap();
    let begin =
        "mkfifo $$; sh ./resource_tracker $$ < $$ & exec 9> $$; until [ -e there$$ ]; do sleep 0.01; done; read l;";
    let count = |name: &str| {
        let names = fs::read_dir(fixture.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|it| it.to_str().unwrap().starts_with(name)).count()
    };
    let mut before = 0;
    for (end, words) in [
        ("exit 3", "exited with status 3"),
        ("kill -9 $$", "signal 9 (SIGKILL"),
        ("echo failed no; exit 1", "gave up on slice"),
        ("echo failed no; exec sleep 1000", "gave up on slice"),
    ] {
        let output = fixture.run_exec(line, &format!("{begin} {end}"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && text.contains(words), "{end}: {text}");
        assert!(count("there") > before && count("tidied") == count("there"), "{end}: {text}");
        before = count("there");
    }
}

#[test]
fn a_program_has_no_terminal_and_one_that_is_stopped_is_told() {
    let fixture = Fixture::new();
    fixture.bytes("a.npy", 40);
    let line = "--in a.npy --out b.npy -n 1 --split rows=40";
    fixture.exec_ok(line, "while read l; do if (: < /dev/tty) 2>/dev/null; then echo failed; else echo done; fi; done");
    let mut child = fixture.exec(line, "while read l; do kill -STOP $$; echo done; done").spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let stop = said.by_ref().map(Result::unwrap).find(|line| line.contains("is stopped")).expect("it is told");
    let pid = stop.rsplit_once("kill -CONT ").unwrap().1.parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
    assert!(watched("stopped for a while", child).status.success());
}
