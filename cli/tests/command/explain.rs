//! `parfork explain`: what it tells is true, and it tells something wherever it runs.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::fixture::{Fixture, watched};
use crate::terminal::Terminal;

/// The columns of addresses, by the first word of their line: A's and B's.
fn addresses(text: &str, who: &str) -> [u64; 2] {
    let line = text.lines().find(|line| line.trim_start().starts_with(who) && line.matches("0x").count() == 2).unwrap();
    let numbers: Vec<u64> =
        line.split_whitespace().filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()).collect();
    numbers.try_into().unwrap()
}

/// One line, whatever was broken to fit.
fn unbroken(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check(text: &str) {
    assert!((1..=10).all(|number| text.contains(&format!("\n{number}. "))), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (own, one, two) = (addresses(text, "coordinator"), addresses(text, "worker 0"), addresses(text, "worker 1"));
    // Workers map at addresses that are not the coordinator's, nor each other's arrays.
    for worker in [one, two] {
        assert!(BTreeSet::from([own[0], own[1], worker[0], worker[1]]).len() == 4, "{text}");
    }
    // B is A turned over.
    for row in 0..4 {
        let numbers = |of: &dyn Fn(usize) -> usize| {
            (0..4).map(|column| format!("{:>3} ", of(column))).collect::<Vec<_>>().join("|")
        };
        assert!(
            text.contains(&numbers(&|column| 4 * row + column)) && text.contains(&numbers(&|column| 4 * column + row)),
            "{text}"
        );
    }
}

#[test]
fn the_calls_are_those_of_the_run() {
    let fixture = Fixture::new();
    let text = fixture.ok("explain");
    if text.contains("told without them") {
        return eprintln!("not tested: processes may not be watched here");
    }
    check(&text);
    let whole = unbroken(&text);
    for (at, name) in ["parfork", "parfork-board"].into_iter().enumerate() {
        let made = format!("memfd_create(\"{name}\", MFD_CLOEXEC|MFD_ALLOW_SEALING)");
        assert_eq!(whole.matches(&made).count(), 2 - at, "{text}");
    }
    // What each worker says of its addresses is what the kernel gave it.
    for worker in ["worker 0", "worker 1"] {
        let [a, b] = addresses(&text, worker);
        assert!(whole.contains(&format!(" = {a:#x}")) && whole.contains(&format!(" = {b:#x}")), "{text}");
        assert!(whole.contains(&format!("mmap({a:#x}, 128, PROT_READ, MAP_SHARED|MAP_FIXED,")), "{text}");
        assert!(whole.contains(&format!("mmap({b:#x}, 128, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED,")), "{text}");
    }
    for own in addresses(&text, "coordinator") {
        assert!(whole.contains(&format!("madvise({own:#x}, 128, MADV_DONTFORK) = 0")), "{text}");
        assert!(whole.contains(&format!("munmap({own:#x}, ")), "{text}");
    }
    assert!(whole.contains("both know 52 and 68: worker 0 makes 120 of that, and worker 1 120."), "{text}");
    assert_eq!(whole.matches("clone(CLONE_CHILD_SETTID|CLONE_CHILD_CLEARTID|SIGCHLD) = ").count(), 2, "{text}");
    assert!(whole.contains("both together made no system call") && whole.contains("and the like): 0."), "{text}");
}

/// strace, where it is installed, sees the same calls; the job is then told without a watch of its own, for a process has one.
#[test]
fn strace_sees_the_same() {
    let fixture = Fixture::new();
    let seen = fixture.ok("explain");
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-o", "calls", env!("CARGO_BIN_EXE_parfork"), "explain"])
        .current_dir(fixture.0.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(child) = traced else { return eprintln!("not tested: there is no strace(1)") };
    let output = watched("explain under strace", child);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("told without them"), "{text}");
    check(&text);
    if seen.contains("told without them") {
        return eprintln!("not tested: processes may not be watched here");
    }
    // Of the calls that make arrays and board, the same ones, with numbers of their own.
    let kinds = ["memfd_create(", "ftruncate(", "F_ADD_SEALS", "fallocate("];
    let calls = |text: &str| -> Vec<String> {
        let named = |line: &str| kinds.iter().find(|kind| line.contains(**kind)).map(|kind| (*kind).to_owned());
        text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(named).collect()
    };
    let count = |calls: &[String], kind: &str| calls.iter().filter(|call| *call == kind).count();
    let traced = calls(&fixture_text(&fixture, "calls"));
    let told = calls(&seen);
    for kind in &kinds {
        assert_eq!((count(&told, kind), count(&traced, kind)), (3, 3), "{kind}");
    }
}

fn fixture_text(fixture: &Fixture, name: &str) -> String {
    std::fs::read_to_string(fixture.path(name)).unwrap()
}

/// A filter of system calls that refuses ptrace, as some containers have.
#[test]
fn where_nobody_may_watch_it_tells_without_calls() {
    let fixture = Fixture::new();
    let mut command = fixture.command("explain");
    let refuse = || {
        let statement = |code: u32, value: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k: value };
        let mut filter = [
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
            libc::sock_filter {
                jf: 1,
                ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_ptrace as u32)
            },
            statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
            statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: integers.
        let refused = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0;
        // SAFETY: integers, and a program that lives until the call is over.
        let failed = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) } != 0 || refused;
        if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: it makes system calls only.
    unsafe { command.pre_exec(refuse) };
    let Ok(child) = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() else {
        return eprintln!("not tested: no filter of system calls to be had");
    };
    let output = watched("explain without ptrace", child);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(unbroken(&text).contains("told without them: the system refused to let a process be watched"), "{text}");
    assert!(!text.contains("memfd_create") && !text.contains("system call)"), "{text}");
    check(&text);
}

#[test]
fn steps_wait_for_enter() {
    let fixture = Fixture::new();
    let stage = Terminal::run(fixture.command("explain --step"), 100, 80);
    for step in 0..10 {
        let next = format!("{}. ", step + 1);
        stage.shows(|screen| screen.trim_end().ends_with("[Enter: go on]"));
        assert!(step == 9 || !stage.text().lines().any(|line| line.starts_with(&next)));
        stage.press("\r");
        stage.shows(|screen| screen.lines().any(|line| line.starts_with(&next)));
    }
    assert!(stage.end().success());
}

#[test]
fn of_steps_it_tells_who_waited_and_what_comes_out_if_nobody_does() {
    let fixture = Fixture::new();
    let text = fixture.ok("explain steps");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let numbers = |line: &str| -> Vec<f64> {
        line.split_whitespace().filter_map(|word| word.trim_end_matches('*').parse().ok()).collect()
    };
    let table = text.lines().skip_while(|line| !line.contains("worker 0 begins")).skip(1).take(4).map(numbers);
    let table: Vec<Vec<f64>> = table.collect();
    for (before, step) in table.iter().zip(&table[1..]) {
        // Begins, ends and waited: of worker 0 from 1 on, of worker 1 from 4 on.
        assert!(step[1] >= before[5] && step[4] >= before[2], "a worker began before its neighbour was done: {text}");
    }
    assert!(table[1][2] - table[1][1] >= 20.0, "{text}");
    // That is worker 1 before step 3, if the machine has not kept one waiting for longer.
    let longest = table.iter().flat_map(|step| [step[3], step[6]]).fold(0.0, f64::max);
    let who = (1..4).flat_map(|step| [(0, step, table[step][3]), (1, step, table[step][6])]);
    let told = |(worker, step): (usize, usize)| {
        unbroken(&text).contains(&format!("Worker {worker} waited longest before step {}", step + 1))
    };
    assert!(who.filter(|&(.., waited)| waited == longest).any(|(worker, step, _)| told((worker, step))), "{text}");
    let rods = text.lines().filter(|line| line.starts_with("   step ")).map(numbers);
    let rods: Vec<Vec<f64>> = rods.filter(|numbers| numbers.len() == 9).collect();
    assert_eq!(rods[4][1..], [8.0, 28.0, 56.0, 70.0, 56.0, 28.0, 8.0, 1.0], "{text}");
    assert!(text.contains('*'), "{text}");
}
