//! `parfork exec`: programs as workers. They are `sh` and `awk`, which are on every system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use ndarray::{Array2, ArrayD, Ix2};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use parfork::Shared;
use parfork::formats::npy;

use crate::desk::{Desk, children, until, watched};

/// Doubles bytes: cell by cell with `dd`, as slow as it is plain. For rows of one axis.
pub(crate) const DOUBLE: &str = r#"while read -r word start end; do
    i=$start
    while [ $i -lt $end ]; do
        byte=$(od -An -tu1 -j$i -N1 $PARFORK_IN_A)
        printf "\\$(printf %03o $((byte * 2)))" | dd of=$PARFORK_OUT_B bs=1 seek=$i conv=notrunc status=none
        i=$((i + 1))
    done
    echo done $start $end
done"#;

impl Desk {
    /// The command with these words, and a script for `sh` as its program.
    pub(crate) fn exec(&self, line: &str, script: &str) -> Command {
        let mut command = self.command(&format!("exec {line} -- sh -c"));
        command.arg(script).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run_exec(&self, line: &str, script: &str) -> Output {
        watched(line, self.exec(line, script).spawn().unwrap())
    }

    pub(crate) fn exec_ok(&self, line: &str, script: &str) -> String {
        let output = self.run_exec(line, script);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "exec {line} -- {script}: {text}");
        text
    }

    /// It must fail with this code, all of these words on stderr, and no new file.
    fn exec_fails(&self, line: &str, script: &str, code: i32, words: &[&str]) -> String {
        let before = self.everything();
        let output = self.run_exec(line, script);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "exec {line} -- {script}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "exec {line} -- {script}: {text} lacks one of {words:?}");
        assert!(!text.contains("panicked") && output.stdout.is_empty(), "{text}");
        assert_eq!(self.everything(), before);
        text
    }

    pub(crate) fn bytes(&self, name: &str, length: usize) -> Vec<u8> {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 7 % 100) as u8).collect();
        npy::save(self.path(name), ArrayD::from_shape_vec(vec![length], bytes.clone()).unwrap().view()).unwrap();
        bytes
    }

    pub(crate) fn found(&self, name: &str) -> Vec<u8> {
        Shared::<u8, ndarray::IxDyn>::load(self.path(name)).unwrap().as_slice().to_vec()
    }
}

#[test]
fn a_shell_doubles_an_array() {
    let desk = Desk::new();
    let twice: Vec<u8> = desk.bytes("a.npy", 40).iter().map(|byte| byte * 2).collect();
    for (workers, schedule) in [(1, "dynamic"), (2, "static"), (8, "guided"), (2, "dynamic=3")] {
        let line = format!("--in a.npy --out b.npy -n {workers} --split rows=5 --schedule {schedule} -q");
        desk.exec_ok(&line, DOUBLE);
        assert_eq!(desk.found("b.npy"), twice, "{line}");
    }
    desk.exec_ok("--in a.npy --out b.npy -n 2 --split rows=9 --guard --verify -q", DOUBLE);
    assert_eq!(desk.found("b.npy"), twice);
}

/// `awk` through /proc/self/fd, once for each slice: rows of text in, numbers out, no word of the protocol.
#[test]
fn awk_works_on_each_slice() {
    let desk = Desk::new();
    let text: Vec<u8> = (0..60).flat_map(|row: u32| format!("{:7}\n", row * row).into_bytes()).collect();
    npy::save(desk.path("lines.npy"), Array2::from_shape_vec((60, 8), text).unwrap().view()).unwrap();
    let script = "awk 'NR > {start} && NR <= {end} { printf \"%7d\\n\", $1 + 1 }' < $PARFORK_IN_LINES |
        dd of=$PARFORK_OUT_NEXT bs=8 seek={start} conv=notrunc status=none";
    let json = "--in lines.npy --out next.npy -n 3 --split rows=7 --each --json";
    let output = desk.run_exec(json, script);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let next = String::from_utf8(desk.found("next.npy")).unwrap();
    assert!(next.lines().enumerate().all(|(row, line)| line.trim() == (row * row + 1).to_string()), "{next}");
    assert_eq!((&report["each"], &report["inputs"][0]["dtype"]), (&true.into(), &"|u1".into()));
    let workers = report["jobs"][0]["workers"].as_array().unwrap();
    let done: usize = workers.iter().map(|worker| worker["slices"].as_array().unwrap().len()).sum();
    assert_eq!(done, 9);
}

/// What programs cost is in the record, as their workers'.
#[test]
fn the_record_has_what_programs_cost() {
    let desk = Desk::new();
    desk.bytes("a.npy", 4);
    // Far more CPU time than a worker that only waits.
    let script = r#"while read -r word start end; do
        awk 'BEGIN { while (i++ < 3000000) x += i }'; echo done; done; exit 0"#;
    let output =
        desk.run_exec("--in a.npy --out b.npy -n 2 --split rows=1 --json --report run.html --trace run.json", script);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let record = &report["jobs"][0]["record"];
    let lives = record["workers"].as_array().unwrap().iter().flat_map(|worker| worker["lives"].as_array().unwrap());
    let cpu: f64 = lives.map(|life| life["usage"]["user_seconds"].as_f64().unwrap()).sum();
    assert!(cpu > 0.02, "{cpu}");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 4);
    let page = fs::read_to_string(desk.path("run.html")).unwrap();
    assert!(page.contains("parfork exec") && page.contains("sh on 4 slices"));
    let trace: serde_json::Value = serde_json::from_str(&fs::read_to_string(desk.path("run.json")).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().is_some_and(|events| events.len() > 8));
}

/// Every way to cut, by a program that writes where it was told to: its rank's letter in each cell of its slice.
#[test]
fn every_split_covers_every_cell_once() {
    let desk = Desk::new();
    // Adds 1 to each byte of the ranges that it is given of an array of 12 x 20, by rows of `dd`.
    let script = r#"while read -r word a b c d; do
        case $AXIS in 0) c=0 d=20;; 1) c=$a d=$b a=0 b=12;; esac
        row=$a
        while [ $row -lt $b ]; do
            head -c $((d - c)) /dev/zero | tr '\0' x | dd of=$PARFORK_OUT_C bs=1 seek=$((row * 20 + c)) conv=notrunc status=none
            row=$((row + 1))
        done
        echo done
    done"#;
    for (split, axis) in [("rows=5", "0"), ("cols=3", "1"), ("tiles=5x7", "2"), ("axis1/4", "1")] {
        for guard in ["", "--guard"] {
            let line = format!("--out c.npy:u8:12x20 -n 2 --split {split} --env AXIS={axis} -q {guard}");
            desk.exec_ok(&line, script);
            assert!(desk.found("c.npy").iter().all(|&byte| byte == b'x'), "{line}");
        }
    }
}

#[test]
fn pictures_and_orders_of_bytes_are_taken() {
    let desk = Desk::new();
    parfork_workers::picture::save(desk.path("p.png"), &crate::desk::photo(3)).unwrap();
    let copy = "dd if=$PARFORK_IN_P of=$PARFORK_OUT_Q bs=249 skip={start} seek={start} count=$(({end} - {start})) conv=notrunc status=none";
    desk.exec_ok("--in p.png --out q.png -n 2 --each -q --split rows=10", copy);
    let read = |name: &str| parfork_workers::picture::read_u8(desk.path(name)).unwrap();
    assert_eq!(read("p.png").view(), read("q.png").view());
    // Big-endian Fortran order comes as this machine's bytes, and says so.
    let mut file = b"\x93NUMPY\x01\x00\x76\x00{'descr': '>u2', 'fortran_order': True, 'shape': (2, 3), }".to_vec();
    file.resize(127, b' ');
    file.push(b'\n');
    file.extend([0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6]);
    fs::write(desk.path("big.npy"), file).unwrap();
    let script =
        "case $PARFORK_MANIFEST in *'\"dtype\":\"<u2\"'*'\"strides\":[2,4]'*'\"order\":\"F\"'*) ;; *) exit 9;; esac
        head -c 12 $PARFORK_IN_BIG | dd of=$PARFORK_OUT_C conv=notrunc status=none";
    desk.exec_ok("--in big.npy --out c.npy:u16:6 --split rows=6 --each -q", script);
    assert_eq!(Shared::<u16, ndarray::Ix1>::load(desk.path("c.npy")).unwrap().as_slice(), [1, 2, 3, 4, 5, 6]);
    for (line, words) in [
        ("--out c.npy", "no input whose type and shape"),
        ("--in big.npy --out c.png:f64", "is no picture"),
        ("--in big.npy --out c.npy:f8", "is not a type of elements"),
        ("--in big.npy --in BIG=big.npy --out c.npy", "PARFORK_..._BIG"),
        ("--in big.npy --out c.npy --engine threads", "another program needs workers that are processes"),
        ("--in big.npy --out c.npy --out d.npy:u8:5 ", "differ on axis 0"),
    ] {
        let output = desk.run_exec(line, "true");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(2 | 3)) && text.contains(words), "{line}: {text}");
    }
}

#[test]
fn whatever_breaks_the_protocol_is_told() {
    let desk = Desk::new();
    desk.bytes("a.npy", 40);
    let line = "--in a.npy --out b.npy -n 2 --split rows=10";
    for (script, words) in [
        (
            "read l; echo garbage; read l",
            &["the program `sh` wrote \"garbage\" where `done` or `failed WHY` was expected, in answer to `slice "][..],
        ),
        ("cat", &["wrote \"slice "]),
        ("read l; printf '\\001\\377\\033[31mx\\n'; read l", &["wrote \"\\x01\\xff\\x1b[31mx\""]),
        ("read l; head -c 5000 /dev/zero; read l", &["a line of more than 4096 bytes", "\\x00\\x00"]),
        ("read l; printf don", &["wrote \"don\" and ended before the line's end"]),
        (
            "read l; printf don; exec >&-; read l",
            &["wrote \"don\" and closed its standard output before the line's end"],
        ),
        ("exec >&-; read l; read l", &["has closed its standard output and goes on", "slice "]),
        (
            "read l; exec <&-; echo done; exec sleep 1000",
            &["has closed its standard input and goes on, so that it cannot be given `slice "],
        ),
        ("read l; echo done 0 5; read l", &["wrote \"done 0 5\" where `done ", "0` was expected"]),
        ("read l; echo 'failed no such column'; read l", &["gave up on slice ", ": no such column"]),
        ("read l; echo failed; read l", &["failed and did not say why"]),
        ("read l; printf 'done\\ndone\\n'; read l; read l", &["wrote \"done\" before it was given a slice"]),
    ] {
        let text = desk.exec_fails(line, script, 1, words);
        assert!(text.starts_with("parfork: worker ") && text.contains(" gave up on slice "), "{text}");
    }
    for (program, words) in [
        ("nonesuch", "`nonesuch` cannot be started: there is no such program"),
        ("./a.npy", "`./a.npy` cannot be started: it may not be executed; chmod +x"),
    ] {
        desk.fails(&format!("exec {line} -- {program}"), 1, &["gave up on slice", words]);
    }
}

#[test]
fn programs_that_end_are_dead_workers() {
    let desk = Desk::new();
    desk.bytes("a.npy", 40);
    let line = "--in a.npy --out b.npy -n 2 --split rows=10 --retries 1";
    for (script, words) in [
        ("read l; kill -9 $$", &["which was ended by signal 9 (SIGKILL: killed), while it worked on slice "][..]),
        ("read l; kill -SEGV $$", &["signal 11 (SIGSEGV"]),
        ("read l; exit 3", &["exited with status 3", "standard error"]),
        ("exit 0", &["exited with status 0", "--each"]),
        ("exec nonesuch", &["exited with status 127", "127 is what shells say"]),
        ("exec ./a.npy", &["exited with status 126", "126 is what shells say"]),
        // Its child holds the pipe open; it is dead all the same, and its child goes with it.
        ("sleep 1000 & read l; exit 4", &["exited with status 4"]),
    ] {
        let text = desk.exec_fails(line, script, 1, words);
        assert!(
            text.contains("lost its program `sh` (pid ") && text.contains("the last of 2 workers to die on it"),
            "{text}"
        );
    }
    desk.exec_fails(&format!("{line} --each"), "exit 5", 1, &["exited with status 5"]);
    // A job that fails leaves its record.
    let output = desk.run_exec(&format!("{line} --report run.html"), "read l; exit 3");
    let page = fs::read_to_string(desk.path("run.html")).unwrap();
    assert!(output.status.code() == Some(1) && page.contains("lost its program `sh`"), "{page}");
}

#[test]
fn what_a_dead_program_left_is_done_by_others() {
    let desk = Desk::new();
    let twice: Vec<u8> = desk.bytes("a.npy", 40).iter().map(|byte| byte * 2).collect();
    // The first that comes to slice 20 leaves a mark and dies; whoever comes next finds it.
    let first_dies =
        DOUBLE.replacen("i=$start", "[ $start = 20 ] && mkdir mark 2>/dev/null && kill -9 $$; i=$start", 1);
    let text = desk.exec_ok("--in a.npy --out b.npy -n 2 --split rows=10", &first_dies);
    assert!(text.contains("lost its program `sh`") && text.contains("; others did its work"), "{text}");
    assert_eq!(desk.found("b.npy"), twice);
    // One that dies each time is set aside, all others are done, and the line that is printed runs it again.
    fs::remove_file(desk.path("b.npy")).unwrap();
    let dies = DOUBLE.replacen("i=$start", "[ $start = 20 ] && exit 7; i=$start", 1);
    let text = desk.exec_fails(
        "--in a.npy --out b.npy -n 2 --split rows=10",
        &dies,
        1,
        &["3 of 4 slices were done", "slice 2 [20..30, ..], the last of 3"],
    );
    let (_, again) = text.split_once(" To run that slice alone:\n  ").expect("a command to type");
    assert!(again.contains(" --only-slice 2 -- sh -c "), "{again}");
    let child = Command::new("sh").args(["-c", again]).current_dir(desk.0.path()).stderr(Stdio::piped()).spawn();
    let output = watched(again, child.unwrap());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("exited with status 7"), "{told}");
    desk.exec_ok("--in a.npy --out b.npy -n 2 --split rows=10 --only-slice 1", &dies);
    assert!(!desk.path("b.npy").exists());
}

#[test]
fn deadlines_end_programs() {
    let desk = Desk::new();
    desk.bytes("a.npy", 40);
    // What it starts says where it is, so that its end can be seen.
    let script = "sh -c 'echo $$ > inner; exec sleep 1000' & echo $$ > outer; wait";
    for (flag, words) in [
        ("--deadline 1s", "after its deadline of 1s"),
        ("--slice-deadline 1s", "and was killed; it was waiting for a program that it had started"),
    ] {
        let output = desk.run_exec(&format!("--in a.npy --out b.npy -n 1 --split rows=40 --retries 0 {flag}"), script);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && text.contains(words), "{text}");
        for file in ["inner", "outer"] {
            // On a machine that is busy the time may be over before it is written.
            let pid = fs::read_to_string(desk.path(file)).ok().and_then(|pid| pid.trim().parse().ok());
            if let Some(pid) = pid {
                until(|| gone(pid));
            }
            let _ = fs::remove_file(desk.path(file));
        }
    }
}

/// Some programs that start others ignore how these end, and what they start inherits that.
#[test]
#[allow(unsafe_code)]
fn ends_of_children_that_were_ignored_are_told() {
    let desk = Desk::new();
    let run = |flags: &str, script: &str| {
        let mut command = desk.exec(&format!("--out b.npy:u8:4 -n 2 {flags}"), script);
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

fn waiting(desk: &Desk) -> Child {
    desk.bytes("a.npy", 40);
    let mut command = desk.exec("--in a.npy --out b.npy -n 2 --split rows=20", "read l; exec sleep 1000");
    command.process_group(0).spawn().unwrap()
}

#[test]
fn ctrl_c_and_sigkill_leave_no_program() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let desk = Desk::new();
        let child = waiting(&desk);
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
        assert!(!desk.path("b.npy").exists());
    }
}

#[test]
fn a_killed_program_is_replaced_and_told() {
    let desk = Desk::new();
    let bytes = desk.bytes("a.npy", 40);
    // Waits until the test has killed one of them.
    let script = r#"while read -r word start end; do
        until [ -e go ]; do sleep 0.01; done
        dd if=$PARFORK_IN_A of=$PARFORK_OUT_B bs=1 skip=$start seek=$start count=$((end - start)) conv=notrunc status=none
        echo done $start $end
    done"#;
    let run = || desk.exec("--in a.npy --out b.npy -n 2 --split rows=10", script).spawn().unwrap();
    let goes_on = |child, told: &str| {
        fs::write(desk.path("go"), "").unwrap();
        let output = watched("with a killed program", child);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains(told), "{text}");
        assert_eq!(desk.found("b.npy"), bytes);
        fs::remove_file(desk.path("go")).unwrap();
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

#[test]
fn a_program_has_what_it_needs_and_nothing_else() {
    let desk = Desk::new();
    desk.bytes("a.npy", 4);
    // A descriptor that the shell leaves open, and a variable.
    let parfork = env!("CARGO_BIN_EXE_parfork");
    let list = "for fd in /proc/self/fd/*; do readlink $fd; done > fds; env > env";
    fs::write(desk.path("list"), format!("#!/bin/sh\n{list}\n")).unwrap();
    fs::set_permissions(desk.path("list"), fs::Permissions::from_mode(0o755)).unwrap();
    let run = |flags: &str| {
        let script = format!(
            "exec 7</dev/zero; SECRET=1 KEPT=2 {parfork} exec --in a.npy --out b.npy --split rows=4 --each -q {flags} -- ./list"
        );
        let child = Command::new("sh").args(["-c", &script]).current_dir(desk.0.path()).stderr(Stdio::piped()).spawn();
        let output = watched(flags, child.unwrap());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read = |name: &str| fs::read_to_string(desk.path(name)).unwrap();
        let fds: Vec<String> = read("fds").lines().map(str::to_owned).collect();
        (fds, read("env").lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let (fds, env) = run("");
    let count = |what: &str| fds.iter().filter(|fd| fd.starts_with(what)).count();
    // The arrays and the manifest; standard streams; the shell's own script, and the folder that it lists.
    assert_eq!((count("/memfd:parfork (deleted)"), count("/memfd:parfork-manifest")), (2, 1), "{fds:?}");
    assert_eq!((count("/memfd:"), count("/dev/zero"), count("anon_inode")), (3, 0, 0), "{fds:?}");
    assert!(env.contains(&"SECRET=1".to_owned()) && env.contains(&"OMP_NUM_THREADS=1".to_owned()), "{env:?}");
    let (_, env) = run("--clear-env --env KEPT --env NEW=a=b");
    let ours = |line: &&String| {
        ["PARFORK_", "KEPT=2", "NEW=a=b", "OMP_NUM_THREADS=1"].iter().any(|start| line.starts_with(start))
    };
    assert_eq!(env.iter().filter(ours).filter(|line| !line.starts_with("PARFORK_")).count(), 3, "{env:?}");
    assert!(!env.iter().any(|line| line.starts_with("SECRET") || line.starts_with("HOME")), "{env:?}");
    for name in [
        "RANK=0",
        "SIZE=1",
        "IN_A=/proc/self/fd/",
        "OUT_B=/proc/self/fd/",
        "MANIFEST={",
        "MANIFEST_FD=",
        "START=0",
        "END=4",
        "SLICE=0",
    ] {
        assert!(env.iter().any(|line| line.starts_with(&format!("PARFORK_{name}"))), "{name} in {env:?}");
    }
}

#[test]
fn inputs_cannot_be_written_and_a_guard_keeps_programs_to_their_slice() {
    let desk = Desk::new();
    let bytes = desk.bytes("a.npy", 40);
    // Not even by opening it anew; nor can the manifest.
    let spoil = "printf x 2>/dev/null 1<>/proc/self/fd/$PARFORK_MANIFEST_FD && exit 7; printf xxxx 2>/dev/null 1<>$PARFORK_IN_A && exit 8; dd if=/dev/zero of=$PARFORK_IN_A count=1 conv=notrunc 2>/dev/null && exit 9; exit 0";
    desk.exec_ok("--in a.npy --out b.npy --split rows=40 --each -q", spoil);
    assert_eq!(desk.found("a.npy"), bytes);
    // A slice's own letter, everywhere.
    let everywhere = r#"while read -r word start end; do
        head -c 40 /dev/zero | tr '\0' $(printf "\\$(printf %03o $((65 + start / 10)))") | dd of=$PARFORK_OUT_B conv=notrunc status=none
        echo done
    done"#;
    desk.exec_ok("--out b.npy:u8:40 -n 2 --split rows=10 --guard -q", everywhere);
    assert_eq!(desk.found("b.npy"), b"AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDD");
}

#[test]
fn a_program_without_memory_is_told() {
    let desk = Desk::new();
    desk.bytes("a.npy", 4);
    // A string that doubles until there is no room for it.
    let script = "awk 'BEGIN { s = \"x\"; while (length(s) < 2 ^ 30) s = s s; exit 0 }' 2>/dev/null || exit 6";
    let line = "--in a.npy --out b.npy --split rows=4 --each --retries 0";
    desk.exec_fails(&format!("{line} --mem-limit 64M"), script, 1, &["exited with status 6"]);
}

#[test]
fn clients_are_printed() {
    let desk = Desk::new();
    for (language, file) in [("python", "parfork.py"), ("c", "parfork.h")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(file);
        assert_eq!(desk.ok(&format!("exec --client {language}")), fs::read_to_string(path).unwrap());
    }
    desk.fails("exec --in a.npy", 2, &["PROGRAM"]);
}

#[test]
fn scale_measures_commands_that_take_a_number_of_workers() {
    let desk = Desk::new();
    npy::save(desk.path("a.npy"), Array2::<u8>::ones((40, 4)).view()).unwrap();
    let program = format!(
        "{} exec --in a.npy --out b.npy -n {{workers}} --split rows=10 --each -q -- true",
        env!("CARGO_BIN_EXE_parfork")
    );
    desk.ok(&format!("scale -n 1,2 --repeat 2 --warm-up 0 -q -o scaling exec -- {program}"));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(desk.path("scaling/scaling.json")).unwrap()).unwrap();
    assert!(report.to_string().contains("exec"), "{report}");
    assert_eq!(Shared::<u8, Ix2>::load(desk.path("b.npy")).unwrap().shape(), [40, 4]);
}
