//! Between jobs, and at the end.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use parfork::{Crew, Error, Shared};

use super::support::{Watched, play};
use super::{children, fork_server, is_sound, nothing_left, pids, start, with_crew};

/// The state of a process, and the time that it has had, in ticks of 10 ms.
fn state(pid: u32) -> (char, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words: Vec<_> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (words[0].chars().next().unwrap(), words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap())
}

pub(crate) fn idle_workers_sleep() {
    for workers in [1, 6] {
        with_crew(workers, |crew| {
            is_sound(crew);
            let all: Vec<_> = pids(crew).into_iter().chain([fork_server()]).collect();
            std::thread::sleep(Duration::from_millis(200));
            let before: Vec<_> = all.iter().map(|&pid| state(pid)).collect();
            std::thread::sleep(Duration::from_secs(1));
            let after: Vec<_> = all.iter().map(|&pid| state(pid)).collect();
            assert!(after.iter().all(|(state, _)| *state == 'S'), "{after:?}");
            assert!(before.iter().zip(&after).all(|(before, after)| after.1 <= before.1 + 2), "{before:?} {after:?}");
            is_sound(crew);
        });
    }
}

/// Prints who is there, and waits for its end.
pub(crate) fn be_killed() {
    let mut crew = start(4);
    let workers = pids(&mut crew);
    let all: Vec<_> = workers.into_iter().chain([fork_server()]).map(|pid| pid.to_string()).collect();
    println!("{}", all.join(" "));
    // In a job, or between two.
    if std::env::var_os("PARFORK_BUSY").is_some() {
        let cells = Shared::<u8, _>::zeros(4).unwrap();
        let _ = crew.run(&cells, (), |_, (), _| std::thread::sleep(Duration::from_secs(100)));
    }
    std::thread::sleep(Duration::from_secs(100));
}

pub(crate) fn all_go_with_the_coordinator() {
    for busy in [false, true] {
        let mut command = play("ends::be_killed");
        if busy {
            command.env("PARFORK_BUSY", "1");
        }
        let mut coordinator = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(coordinator.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let all: Vec<_> = line.split_whitespace().map(|pid| Watched::new(pid.parse().unwrap()).unwrap()).collect();
        assert_eq!(all.len(), 5);
        std::thread::sleep(Duration::from_millis(20));
        coordinator.kill().unwrap();
        coordinator.wait().unwrap();
        assert!(all.iter().all(|process| process.ends_within(Duration::from_secs(60))));
    }
}

pub(crate) fn a_fork_of_the_coordinator_cannot_use_its_crew() {
    nothing_left(|| {
        let mut crew = start(2);
        let (before, cells) = (pids(&mut crew), Shared::<u64, _>::zeros(20).unwrap());
        // SAFETY: this process has one thread; the child leaves by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let run = crew.run(&cells, (), |_, (), _| ());
            let refused =
                matches!(run, Err(Error::NotOwner { .. })) && matches!(crew.resize(3), Err(Error::NotOwner { .. }));
            drop(crew);
            drop(cells);
            // Its own would be its own.
            let own = nothing_left(|| {
                Crew::start(1).is_ok_and(|mut crew| {
                    is_sound(&mut crew);
                    true
                })
            });
            // SAFETY: ends the process without touching its memory.
            unsafe { libc::_exit(if refused && own { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: the call writes one int.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        is_sound(&mut crew);
        assert_eq!(pids(&mut crew), before);
        assert!(cells.as_slice().iter().all(|&cell| cell == 0));
    });
}

pub(crate) fn whoever_is_dismissed_is_gone() {
    nothing_left(|| {
        for workers in [1, 3, 50] {
            let mut crew = start(workers);
            let all: Vec<_> = pids(&mut crew).into_iter().chain([fork_server()]).collect();
            crew.dismiss();
            assert!(all.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()));
            assert_eq!(children(std::process::id()), Vec::<u32>::new());
        }
        // Two at a time, one of which is dropped while the other works on.
        let (mut one, other) = (start(2), start(3));
        drop(other);
        is_sound(&mut one);
        // One that was never used.
        drop(start(2));
    });
}
