//! How the command ends when it cannot go on: full disks, closed pipes, signals, killed workers.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use crate::fixture::{Fixture, children, has_worked, noise, until, watched};

/// A rendering that takes for ever.
const ENDLESS: &str = "mandelbrot -o set.png --size 4000x4000 --center=-0.1,0 --zoom 50 --iterations 1000000 -n 2";

/// A 64 KiB file system of the test's own, in a mount namespace, where the system lets us make one.
#[test]
fn a_full_disk_leaves_the_older_file() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((300, 300), 1));
    fs::create_dir(fixture.path("disk")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64k none disk && printf old > disk/c.npy && {{ {} matmul a.npy a.npy -o disk/c.npy; echo code $?; cat disk/c.npy; ls -A disk; }}",
        env!("CARGO_BIN_EXE_parfork")
    );
    let unshare = Command::new("unshare")
        .args(["-rm", "sh", "-c", &script])
        .current_dir(fixture.0.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(child) = unshare else { return eprintln!("not tested: there is no unshare(1)") };
    let output = watched("on a full disk", child);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if out.is_empty() {
        return eprintln!("not tested: no mount namespace to be had: {err}");
    }
    assert_eq!(out, "code 1\noldc.npy\n", "{err}");
    assert!(err.contains("720") && err.contains("no room"), "{err}");
}

#[test]
fn nobody_reading_stdout_is_no_disaster() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((20, 20), 1));
    for line in ["sum a.npy -q", "plan 1000x1000 --split tiles=10x10", "man", "sum a.npy --json"] {
        let mut child = fixture.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = watched(line, child);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn an_interrupted_job_leaves_nothing() {
    for signal in
        [nix::sys::signal::Signal::SIGINT, nix::sys::signal::Signal::SIGTERM, nix::sys::signal::Signal::SIGKILL]
    {
        let fixture = Fixture::new();
        fs::write(fixture.path("set.png"), "older").unwrap();
        let child = fixture.command(ENDLESS).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let workers = children(pid, 2);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal).unwrap();
        let output = watched(ENDLESS, child);
        let stopped = format!("stopped by {signal} with ");
        match signal {
            nix::sys::signal::Signal::SIGKILL => assert_eq!(output.status.signal(), Some(signal as i32)),
            _ => {
                assert_eq!(output.status.code(), Some(128 + signal as i32));
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(text.contains(&stopped), "{text}");
            }
        }
        assert_eq!(fixture.everything(), [(fixture.path("set.png"), b"older".to_vec())], "{signal}");
        // They are killed with their coordinator; give the kernel the time it takes, but not for ever.
        let gone =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
        until(|| workers.iter().all(gone));
    }
}

#[test]
fn a_killed_worker_is_replaced_and_told() {
    let fixture = Fixture::new();
    // Long enough to be killed in the middle of.
    let steps = if cfg!(debug_assertions) { 8000 } else { 300_000 };
    let line = |name: &str| {
        format!("mandelbrot -o {name} --size 200x200 --center=-0.75,0.1 --zoom 8 --iterations {steps} -n 2")
    };
    let child = fixture.command(&line("a.png")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let victim = children(child.id(), 2)[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    let output = watched("with a killed worker", child);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains(&format!("(pid {victim}) was ended by signal 9")), "{text}");
    fixture.ok(&line("b.png"));
    assert_eq!(fs::read(fixture.path("a.png")).unwrap(), fs::read(fixture.path("b.png")).unwrap());
    let child = fixture.command(&format!("{} --retries 0", line("c.png"))).stderr(Stdio::piped()).spawn().unwrap();
    let victim = children(child.id(), 2)[1];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    let output = watched("with a killed worker and no retries", child);
    assert_eq!(output.status.code(), Some(1));
    assert!(!fixture.path("c.png").exists());
}

/// Ctrl-C on a terminal goes to coordinator and workers alike.
#[test]
fn a_signal_to_all_at_once_is_the_coordinators_to_act_on() {
    for (signal, name) in [(libc::SIGINT, "SIGINT"), (libc::SIGHUP, "SIGHUP"), (libc::SIGTERM, "SIGTERM")] {
        let fixture = Fixture::new();
        let mut command = fixture.command(ENDLESS);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
        children(child.id(), 2);
        nix::sys::signal::killpg(pid_of(&child), nix::sys::signal::Signal::try_from(signal).unwrap()).unwrap();
        let output = watched(ENDLESS, child);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(128 + signal), "{text}");
        assert!(text.contains(&format!("stopped by {name}")) && text.lines().count() == 1, "{text}");
        assert!(fixture.everything().is_empty());
    }
}

#[test]
fn signals_that_were_ignored_stay_ignored() {
    let fixture = Fixture::new();
    // Long enough to be caught at it on a busy machine.
    let steps = if cfg!(debug_assertions) { 100_000 } else { 2_000_000 };
    let line = format!("mandelbrot -o set.png --size 60x60 --center=-0.1,0 --zoom 50 --iterations {steps} -n 2 -q");
    let mut shell = Command::new("sh");
    let script = format!("trap '' HUP; exec {} {line}", env!("CARGO_BIN_EXE_parfork"));
    let child = shell.args(["-c", &script]).current_dir(fixture.0.path()).stderr(Stdio::piped()).spawn().unwrap();
    children(child.id(), 2);
    nix::sys::signal::kill(pid_of(&child), nix::sys::signal::Signal::SIGHUP).unwrap();
    let output = watched(&line, child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fixture.path("set.png").exists());
}

/// A stopped worker is resumed by nobody; the coordinator kills it when its time is over.
#[test]
fn a_stopped_worker_is_killed_and_replaced() {
    let fixture = Fixture::new();
    let steps = if cfg!(debug_assertions) { 8000 } else { 300_000 };
    let line = format!("mandelbrot -o a.png --size 200x200 --center=-0.75,0.1 --zoom 8 --iterations {steps} -n 2");
    let bounded = format!("{line} --slice-deadline 5s");
    let child = fixture.command(&bounded).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let victim = children(child.id(), 2)[1];
    until(|| has_worked(victim));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim as i32), nix::sys::signal::Signal::SIGSTOP).unwrap();
    let output = watched(&bounded, child);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("and was killed; it was stopped"), "{text}");
}

#[test]
fn a_deadline_ends_the_job() {
    let fixture = Fixture::new();
    fixture.fails(&format!("{ENDLESS} --deadline 200ms"), 1, &["after its deadline of 200ms", "slices done"]);
    fixture.fails(&format!("{ENDLESS} --deadline soon"), 2, &["`soon` is not a time"]);
    fixture.fails(
        &format!("{ENDLESS} --slice-deadline 1s --engine threads"),
        2,
        &["a deadline for slices needs workers"],
    );
}

#[test]
fn a_worker_without_memory_is_told() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((600, 600), 1));
    fixture.save("b.npy", &noise((600, 600), 2));
    let output = fixture.run("matmul a.npy b.npy -o c.npy -n 2 --mem-limit 4K --retries 0");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("it may have 4096 bytes beyond what it began with") && !fixture.path("c.npy").exists(),
        "{text}"
    );
    fixture.ok("matmul a.npy b.npy -o c.npy -n 2 --mem-limit 64M --guard --verify");
}

fn pid_of(child: &std::process::Child) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(child.id() as i32)
}
