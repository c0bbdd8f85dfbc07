//! Locks and generations: nobody waits for the dead, and nobody takes half of something for the whole.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ndarray::Ix1;
use parfork::named::{self, Named, Wait};
use parfork::{CancelToken, Error, SegmentErrorKind, Shared};

use crate::{Actor, name, say, say_and_wait, told};

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(50);

fn kind<T>(result: parfork::Result<T>) -> SegmentErrorKind {
    match result {
        Err(Error::Segment { kind, .. }) => kind,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("no error"),
    }
}

fn open() -> Named<u64, Ix1> {
    Named::open_mut(&told()).unwrap()
}

pub(crate) fn readers_share_and_a_writer_is_alone() {
    let name = name("shared");
    let mut one = Named::<u64, _>::create(&name).zeros(100).unwrap();
    let mut two = Named::<u64, Ix1>::open(&name).unwrap();
    let mut three = Named::<u64, Ix1>::open_mut(&name).unwrap();
    let short = Wait::new().deadline(Duration::from_millis(30));
    let first = one.read().unwrap();
    let second = two.read().unwrap();
    assert!(matches!(kind(three.write_within(short)), SegmentErrorKind::Deadline(_)));
    // Who gave up waiting keeps nobody out.
    drop(second);
    drop(two.read().unwrap());
    drop(first);
    let held = three.write().unwrap();
    assert!(matches!(kind(one.read_within(short)), SegmentErrorKind::Deadline(_)));
    assert!(matches!(kind(one.write_within(short)), SegmentErrorKind::Deadline(_)));
    drop(held);
    assert_eq!(one.read().unwrap().generation(), 0);
}

pub(crate) fn what_is_not_published_does_not_count() {
    let name = name("unpublished");
    let mut mine = Named::<u64, _>::create(&name).zeros(100).unwrap();
    // Nothing was written through this one.
    drop(mine.write().unwrap());
    drop(mine.read().unwrap());
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut held = mine.write().unwrap();
        held.view_mut()[0] = 1;
        panic!("on purpose");
    }));
    assert!(failed.is_err());
    assert_eq!(kind(mine.read()), SegmentErrorKind::Unfinished { generation: 0 });
    assert_eq!(kind(mine.write()), SegmentErrorKind::Unfinished { generation: 0 });
    assert!(named::info(&name).unwrap().unfinished);
    let mut reader = Named::<u64, Ix1>::open(&name).unwrap();
    assert_eq!(reader.read_within(Wait::new().accept_torn()).unwrap().view()[0], 1);
    assert_eq!(kind(reader.wait_past(0, Wait::new())), SegmentErrorKind::Unfinished { generation: 0 });
    let mut held = mine.write_within(Wait::new().accept_torn()).unwrap();
    held.copy_from(&Shared::from_array(&ndarray::Array1::from_elem(100, 5)).unwrap()).unwrap();
    assert_eq!(held.publish().unwrap(), 1);
    assert_eq!(reader.wait_past(0, Wait::new()).unwrap(), 1);
    assert_eq!(reader.read().unwrap().view().sum(), 500);
}

pub(crate) fn part_reader() {
    let mut segment = open();
    let _held = segment.read().unwrap();
    say_and_wait("ready");
}

/// Kills it from a thread, while this one waits for it or before it does.
fn killed_meanwhile<T>(actor: Actor, wait: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::yield_now();
            actor.kill();
        });
        wait()
    })
}

pub(crate) fn a_dead_reader_keeps_nobody_waiting() {
    let name = name("reader");
    let mut mine = Named::<u64, _>::create(&name).zeros(100).unwrap();
    for _ in 0..5 {
        let reader = Actor::ready("locks::part_reader", &name);
        let held = killed_meanwhile(reader, || mine.write_within(Wait::new().deadline(LONG)).unwrap());
        held.publish().unwrap();
    }
    assert_eq!(mine.generation(), 5);
}

pub(crate) fn part_writer() {
    let mut segment = open();
    let mut held = segment.write().unwrap();
    held.view_mut()[0] = 1;
    say_and_wait("ready");
}

pub(crate) fn a_dead_writer_keeps_nobody_waiting_and_is_known() {
    let name = name("writer");
    let mut mine = Named::<u64, _>::create(&name).zeros(100).unwrap();
    for round in 0..5 {
        let writer = Actor::ready("locks::part_writer", &name);
        let wait = Wait::new().deadline(LONG);
        let seen = match round % 3 {
            0 => kind(killed_meanwhile(writer, || mine.read_within(wait))),
            1 => kind(killed_meanwhile(writer, || mine.write_within(wait))),
            _ => kind(killed_meanwhile(writer, || mine.wait_past(round, wait))),
        };
        assert_eq!(seen, SegmentErrorKind::Unfinished { generation: round });
        let mut held = mine.write_within(wait.accept_torn()).unwrap();
        held.view_mut().fill(0);
        held.publish().unwrap();
    }
}

pub(crate) fn part_coordinator() {
    let mut segment = open();
    let mut held = segment.write().unwrap();
    parfork::fork(2, &mut held, |w, mut slice| -> () {
        slice.fill(1);
        if w.rank() == 0 {
            say("ready");
        }
        loop {
            std::hint::spin_loop();
        }
    })
    .unwrap();
}

pub(crate) fn workers_do_not_keep_the_lock_of_a_dead_coordinator() {
    let name = name("coordinator");
    let mut mine = Named::<u64, _>::create(&name).zeros(2).unwrap();
    let coordinator = Actor::ready("locks::part_coordinator", &name);
    let wait = Wait::new().deadline(LONG).accept_torn();
    let held = killed_meanwhile(coordinator, || mine.write_within(wait).unwrap());
    held.publish().unwrap();
}

/// How often the ball goes to and fro.
const TURNS: u64 = 300;

/// Waits for odd generations and makes the next ones.
pub(crate) fn part_partner() {
    let mut segment = open();
    say("ready");
    play_turns(&mut segment, 1);
}

fn play_turns(segment: &mut Named<u64, Ix1>, first: u64) {
    for turn in (first..2 * TURNS).step_by(2) {
        if turn > 0 {
            assert_eq!(segment.wait_past(turn - 1, Wait::new().deadline(LONG)).unwrap(), turn);
        }
        let mut held = segment.write().unwrap();
        assert!(held.view().iter().all(|&cell| cell == turn), "turn {turn}");
        held.view_mut().fill(turn + 1);
        assert_eq!(held.publish().unwrap(), turn + 1);
    }
}

pub(crate) fn two_processes_take_turns() {
    let name = name("turns");
    let mut mine = Named::<u64, _>::create(&name).zeros(1000).unwrap();
    let partner = Actor::ready("locks::part_partner", &name);
    play_turns(&mut mine, 0);
    assert_eq!(mine.wait_past(2 * TURNS - 1, Wait::new().deadline(LONG).wait_for_new_writers()).unwrap(), 2 * TURNS);
    partner.end();
}

/// Attaches to write, and leaves.
pub(crate) fn part_visitor() {
    let _segment = open();
    say_and_wait("ready");
}

pub(crate) fn part_remover() {
    named::remove(&told()).unwrap();
}

pub(crate) fn nobody_waits_for_those_who_are_gone() {
    let name = name("gone");
    let mine = Named::<u64, _>::create(&name).keep(true).zeros(10).unwrap();
    let deserted = SegmentErrorKind::Deserted { generation: 0 };
    // Killed while one waits.
    let visitor = Actor::ready("locks::part_visitor", &name);
    assert_eq!(kind(killed_meanwhile(visitor, || mine.wait_past(0, Wait::new().deadline(LONG)))), deserted);
    // Gone before one waits.
    let seen = Named::<u64, Ix1>::open(&name).unwrap();
    Actor::ready("locks::part_visitor", &name).end();
    assert_eq!(kind(mine.wait_past(0, Wait::new().deadline(LONG))), deserted);
    let short = Wait::new().deadline(Duration::from_millis(30));
    assert!(matches!(kind(mine.wait_past(0, short.wait_for_new_writers())), SegmentErrorKind::Deadline(_)));
    // Who is attached and writes nothing is waited for.
    assert!(matches!(kind(seen.wait_past(0, short)), SegmentErrorKind::Deadline(_)));
    let remover = Actor::new("locks::part_remover", &name);
    assert_eq!(kind(seen.wait_past(0, Wait::new().deadline(LONG).wait_for_new_writers())), SegmentErrorKind::Removed);
    remover.end();
}

/// Asks for the lock to write, which others have to read.
pub(crate) fn part_waiting_writer() {
    let mut segment = open();
    say("ready");
    segment.write_within(Wait::new().deadline(LONG)).unwrap().publish().unwrap();
    say_and_wait("written");
}

pub(crate) fn a_waiting_writer_is_not_overtaken() {
    let name = name("queue");
    let mut one = Named::<u64, _>::create(&name).zeros(10).unwrap();
    let mut two = Named::<u64, Ix1>::open(&name).unwrap();
    let seen = Named::<u64, Ix1>::open(&name).unwrap();
    let mut writer = Actor::new("locks::part_waiting_writer", &name);
    assert_eq!(writer.says(), "ready");
    // Two readers who always overlap would keep it out for ever, did they not queue behind it: then they are refused for a while.
    let short = Wait::new().deadline(Duration::from_millis(5));
    let mut first = one.read_within(short);
    while seen.generation() == 0 {
        let second = two.read_within(short);
        drop(first);
        first = one.read_within(short);
        drop(second);
    }
    drop(first);
    assert_eq!(writer.says(), "written");
    writer.end();
}

pub(crate) fn a_request_to_stop_ends_a_wait() {
    static STOP: CancelToken = CancelToken::new();
    static BEGUN: AtomicBool = AtomicBool::new(false);
    let name = name("stop");
    let mine = Named::<u64, _>::create(&name).zeros(10).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !BEGUN.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            STOP.cancel();
        });
        BEGUN.store(true, Ordering::Release);
        assert_eq!(kind(mine.wait_past(0, Wait::new().deadline(LONG).cancel_token(&STOP))), SegmentErrorKind::Stopped);
    });
}
