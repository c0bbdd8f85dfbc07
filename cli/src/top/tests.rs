//! The live view as it is drawn, and what keys do to it, without a terminal.

use parfork::watch::{JobList, State, WatchedJob, WatchedWorker};
use parfork::{Engine, Schedule};
use std::time::Duration;

use super::view::{Act, View};
use crate::screen::{Key, Shown};

fn job(pid: u32, name: &str, workers: usize) -> WatchedJob {
    let worker = |rank: usize| WatchedWorker {
        rank,
        // No such processes: what they have for memory is not known.
        pid: Some(u32::MAX - 10 * pid - rank as u32),
        state: if rank == 1 { State::Stopped } else { State::Working },
        slice: Some(600 + rank),
        since: Duration::from_millis(1234),
        done: 100 * (rank + 1),
        busy: Duration::from_secs(9),
    };
    WatchedJob {
        pid,
        name: name.to_owned(),
        engine: Engine::Processes,
        schedule: Schedule::Guided,
        running: true,
        jobs: 1,
        slices: 1000,
        done: 600,
        taken: workers,
        aside: 1,
        steps: 0,
        steps_done: 0,
        elapsed: Duration::from_secs(60),
        shared: 11 << 20,
        workers: (0..workers).map(worker).collect(),
        page: u64::from(pid),
    }
}

fn view(jobs: Vec<WatchedJob>) -> View {
    let mut view = View::default();
    view.see(JobList { jobs, unreadable: Vec::new() });
    view
}

/// What a terminal shows of it.
fn drawn(view: &View, width: u16, height: u16) -> Vec<String> {
    let lines = view.lines(width.into(), height.into());
    assert_eq!(lines.len(), usize::from(height));
    let mut terminal = vt100::Parser::new(height.try_into().unwrap(), width.try_into().unwrap(), 0);
    terminal.process(Shown::default().change(&lines, (width.into(), height.into())).as_bytes());
    terminal.screen().rows(0, width).collect()
}

#[test]
fn jobs_and_workers_on_a_usual_terminal() {
    let lines = drawn(&view(vec![job(4711, "mandelbrot", 3), job(4800, "gaussian:3", 2)]), 80, 24);
    assert_eq!(lines[0], "parfork top: 2 jobs, 5 workers");
    assert!(
        lines[1].contains("PID  JOB") && lines[1].contains("PROGRESS") && lines[1].contains("LEFT"),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("> 4711  mandelbrot") && lines[2].contains("60%") && lines[2].contains("0:39"));
    assert!(lines[3].starts_with("  4800  gaussian:3"));
    assert_eq!(lines[5], "mandelbrot: 600 of 1000 slices done, 3 taken, 399 left, 1 set aside");
    assert!(lines[7].starts_with(">    0") && lines[7].contains("working") && lines[7].contains("1.23 s"));
    assert!(lines[8].starts_with("     1") && lines[8].contains("stopped"));
    assert_eq!(lines[23], "q quit  up/down worker  left/right job  s sort (rank)  k kill");
}

#[test]
fn a_narrow_terminal_has_what_matters() {
    for (width, height) in [(40, 24), (40, 8), (20, 5), (1, 1), (300, 2)] {
        let view = view(vec![job(4711, "a name that is rather long for it", 40), job(4800, "b", 2)]);
        let lines = drawn(&view, width, height);
        assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)));
        if (width, height) == (40, 24) {
            assert!(
                lines[2].starts_with("> 4711  a name that is rath~") && lines[2].ends_with("60%  0:39"),
                "{}",
                lines[2]
            );
            assert_eq!(lines[23], "q quit  arrows  s sort (rank)  k kill");
        }
    }
}

#[test]
fn the_selected_worker_is_always_in_sight() {
    let mut view = view(vec![job(4711, "many", 40)]);
    for _ in 0..60 {
        assert_eq!(view.press(Key::Down), Act::Nothing);
        let lines = drawn(&view, 80, 24);
        assert_eq!(lines.iter().filter(|line| line.starts_with('>')).count(), 2);
    }
    assert!(drawn(&view, 80, 24).iter().any(|line| line.starts_with(">   39")));
    view.press(Key::Up);
    assert!(drawn(&view, 80, 24).iter().any(|line| line.starts_with(">   38")));
}

#[test]
fn sorting_keeps_the_selection() {
    let mut view = view(vec![job(4711, "sorted", 3)]);
    view.press(Key::Down);
    view.press(Key::Letter('s'));
    let lines = drawn(&view, 80, 24);
    assert!(
        lines[6].starts_with("     2") && lines[7].starts_with(">    1") && lines[8].starts_with("     0"),
        "{lines:?}"
    );
    assert!(lines[23].contains("s sort (done)"));
}

#[test]
fn killing_asks_first() {
    let mut view = view(vec![job(4711, "one", 2), job(4800, "two", 2)]);
    view.press(Key::Tab);
    view.press(Key::Down);
    view.press(Key::Letter('k'));
    let pid = u32::MAX - 48_000 - 1;
    assert_eq!(drawn(&view, 80, 24)[23], format!("kill worker 1 (pid {pid})? y: yes, any other key: no"));
    assert_eq!(view.press(Key::Letter('q')), Act::Nothing);
    assert_eq!(drawn(&view, 80, 24)[23], "nothing was killed");
    view.press(Key::Letter('k'));
    assert_eq!(view.press(Key::Letter('y')), Act::Kill { job: 4800, rank: 1, pid });
    assert_eq!(view.press(Key::Letter('q')), Act::Leave);
}

#[test]
fn jobs_that_end_are_gone_and_nobody_is_left_to_kill() {
    let mut view = view(vec![job(4711, "one", 2)]);
    view.see(JobList { jobs: vec![job(4800, "two", 1)], unreadable: vec![(7, "it is old".to_owned())] });
    let lines = drawn(&view, 80, 24);
    assert!(
        lines[2].starts_with("> 4800") && lines.contains(&"the control page of 7 cannot be read: it is old".to_owned())
    );
    view.see(JobList::default());
    let lines = drawn(&view, 80, 24);
    assert!(lines[0] == "parfork top: no jobs" && lines[2] == "no jobs of this user run on this machine");
    view.press(Key::Letter('k'));
    assert_eq!(drawn(&view, 80, 24)[23], "there is nobody to kill");
    for key in [Key::Up, Key::Down, Key::Left, Key::Right, Key::Enter] {
        assert_eq!(view.press(key), Act::Nothing);
    }
}

#[test]
fn threads_cannot_be_killed() {
    let mut threads = job(4711, "threads", 1);
    threads.workers[0].pid = None;
    let mut view = view(vec![threads]);
    view.press(Key::Letter('k'));
    assert_eq!(drawn(&view, 80, 24)[23], "worker 0 is no process that could be killed alone");
}
