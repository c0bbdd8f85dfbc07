//! A decoder that is killed, one that hangs, a worker that is killed, Ctrl-C.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parfork_workers::picture;

use super::names;
use crate::fixture::{Fixture, children, until, watched};

/// Four pictures that take a while to decode, and small ones.
fn fixture() -> Fixture {
    let fixture = super::fixture(3);
    for number in 4..8 {
        picture::save(fixture.path(&format!("in/{number:02}.png")), &super::picture(number, [900, 1000, 1])).unwrap();
    }
    fixture
}

/// The children of a process.
fn children_of(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Stops a process below this one that decodes a picture, once there is one; which it is.
fn stopped_decoder(coordinator: u32) -> Pid {
    let mut found = None;
    until(|| {
        let below = |pids: Vec<u32>| pids.into_iter().flat_map(children_of).collect::<Vec<u32>>();
        let decodes = |pid: &u32| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.windows(12).any(|part| part == b"read-picture"))
        };
        let is_stopped = |pid: Pid| {
            until(|| fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| !stat.contains(") R")));
            fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T"))
        };
        let pids = below(below(children_of(coordinator)));
        let pids = pids.into_iter().filter(decodes).map(|pid| Pid::from_raw(pid as i32));
        found = pids.filter(|&pid| kill(pid, Signal::SIGSTOP).is_ok()).find(|&pid| is_stopped(pid));
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_decoder_that_is_killed_or_hangs_takes_one_picture_with_it() {
    for (more, words) in
        [("", "the process that reads it was ended by signal 9"), ("--slice-deadline 3s", "after its deadline of 3s")]
    {
        let fixture = fixture();
        let line = format!("image in -r -o out/ -f invert -n 2 {more}");
        let child = fixture.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let decoder = stopped_decoder(child.id());
        if more.is_empty() {
            kill(decoder, Signal::SIGKILL).unwrap();
        }
        let output = watched(&line, child);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{text}");
        assert!(text.matches(" is set aside: ").count() == 1 && text.contains(words), "{text}");
        assert!(text.contains("6 of 7 pictures by 2 processes in ") && text.contains("; 1 set aside"), "{text}");
        assert_eq!(names(&fixture.path("out")).len(), 6);
    }
}

#[test]
fn a_decoder_that_wants_too_much_memory_takes_one_picture_with_it() {
    let fixture = super::fixture(4);
    // TIFF is decoded into memory of the decoder's own.
    let large = picture::Picture::U8(parfork::Shared::zeros((3000, 4000, 3)).unwrap());
    picture::save(fixture.path("in/large.tif"), &large).unwrap();
    let output = fixture.run("image in -r -o out/ -f resize:10% -n 2 --mem-limit 24M");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("large.tif is set aside: ") && text.contains("4 of 5 pictures"), "{text}");
    let output = fixture.run("image in/large.tif -o small.png -f resize:10% --mem-limit 1K");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.lines().count() == 1 && text.starts_with("parfork: in/large.tif: "), "{text}");
}

#[test]
fn the_picture_of_a_worker_that_is_killed_is_done_by_another() {
    let fixture = fixture();
    let line = "image in -r -o out/ -f gaussian:4 -n 2 -q";
    let child = fixture.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let victim = children(child.id(), 2)[0];
    kill(Pid::from_raw(victim as i32), Signal::SIGKILL).unwrap();
    let output = watched(line, child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(names(&fixture.path("out")).len(), 7);
    fixture.ok("image in/04.png -o alone.png -f gaussian:4 -q");
    assert!(fs::read(fixture.path("alone.png")).unwrap() == fs::read(fixture.path("out/04.png")).unwrap());
    // One that is killed each time.
    let line = "image in -r -o none/ -f gaussian:4 -n 1 --retries 0";
    let child = fixture.command(line).stderr(Stdio::piped()).spawn().unwrap();
    kill(Pid::from_raw(children(child.id(), 1)[0] as i32), Signal::SIGKILL).unwrap();
    let output = watched(line, child);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(5) && text.contains("is set aside: worker 0 (pid"), "{text}");
}

/// What is there is whole, and nothing else is, nor anybody at work.
#[test]
fn a_stopped_run_leaves_whole_pictures_and_nothing_else() {
    for (signal, more) in
        [(Signal::SIGINT, "-n 2"), (Signal::SIGTERM, "-n 1"), (Signal::SIGINT, "-n 9"), (Signal::SIGKILL, "-n 2")]
    {
        let fixture = fixture();
        let line = format!("image in -r -o out/ -f invert {more}");
        let child = fixture.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        let workers = if more == "-n 9" { Vec::new() } else { children(child.id(), more[3..].parse().unwrap()) };
        // It cannot be over before it is asked to stop.
        let held = (more != "-n 9").then(|| stopped_decoder(child.id()));
        if held.is_none() {
            until(|| {
                Path::new(&format!("/proc/{pid}/task/{pid}/children")).exists() && !children_of(child.id()).is_empty()
            });
        }
        kill(pid, signal).unwrap();
        let output = watched(&line, child);
        let text = String::from_utf8_lossy(&output.stderr);
        if signal != Signal::SIGKILL {
            assert_eq!(output.status.code(), Some(128 + signal as i32), "{text}");
            assert!(held.is_none() || text.contains("of 7 pictures done"), "{text}");
        }
        until(|| {
            workers.iter().chain(&held.map(|pid| pid.as_raw() as u32)).all(|pid| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
                stat.map_or(true, |stat| stat.contains(") Z"))
            })
        });
        let made = names(&fixture.path("out"));
        assert!(made.len() < 7 && made.iter().all(|name| !name.starts_with('.')), "{made:?}");
        for name in made {
            fixture.ok(&format!("image out/{name} -o again-{name} -f invert -q"));
        }
    }
}
