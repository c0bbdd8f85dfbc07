//! What slices hand on to the next: the value that each is given is what all before it come to, whoever works, and whoever dies.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parfork::{
    Answers, Border, CancelToken, CarryError, Crew, Engine, Error, Job, Planes, Schedule, Shared, Slice, Split, Worker,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::kill_me;
use crate::support::{Page, nothing_left};

const SLICES: usize = 30;

/// What is carried: what nobody comes to who leaves out a slice, or takes two in another order.
fn next(before: [u64; 3], slice: usize) -> [u64; 3] {
    [before[0] + 1, before[1].wrapping_mul(31).wrapping_add(slice as u64), before[2] ^ before[1].rotate_left(7)]
}

const FIRST: [u64; 3] = [0, 7, 9];

/// What each slice is to be given.
fn all(slices: usize) -> impl Iterator<Item = [u64; 3]> {
    (0..slices).scan(FIRST, |value, slice| Some(std::mem::replace(value, next(*value, slice))))
}

fn are_right(answers: parfork::Result<Answers<[u64; 3]>>, deaths: usize, how: &str) {
    let answers = answers.unwrap_or_else(|error| panic!("{how}: {error}"));
    assert!(answers.iter().copied().eq(all(answers.len())), "{how}: {answers:?}");
    assert_eq!(answers.report().deaths.len(), deaths, "{how}");
}

pub(crate) fn each_is_given_what_all_before_it_come_to() {
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| [1, 2, 5].map(|workers| (engine, workers))) {
        for retries in [0, if engine == Engine::Processes { 2 } else { 0 }] {
            let job = || Job::new(0..300).workers(workers).runner(engine).retries(retries);
            let how = format!("{engine} {workers} {retries}");
            let carry = |w: &Worker<'_>, _: Range<usize>| w.carry(FIRST, |before| next(before, w.region().index()));
            are_right(nothing_left(|| job().run(carry)), 0, &how);
            let nothing = job().run(|w, _| w.carry((), |()| ()).map(|()| 1)).unwrap();
            assert_eq!(nothing.sum(), 300, "{how}");
            let most = job().run(|w, _| w.carry([1_u64; 8], |before| before.map(|it| it + 1)).map(|it| it[7])).unwrap();
            assert!(most.iter().copied().eq(1..301), "{how}");
        }
    }
    let mut crew = Crew::start(3).unwrap();
    for (works, retries) in [(false, 0), (false, 2), (true, 0), (true, 2)].into_iter().cycle().take(12) {
        crew.coordinator_works(works);
        let job = Job::new(0..200).crew(&mut crew).retries(retries);
        let done = job.run_with((), |w, (), _| w.carry(FIRST, |before| next(before, w.region().index())));
        are_right(done, 0, &format!("a crew, {works}"));
    }
}

/// Sums of any cut, with the bits of a naive program that adds slice by slice.
pub(crate) fn prefix_sums_of_any_cut_are_those_of_a_naive_loop() {
    let cases = (prop::collection::vec(-1e3_f64..1e3, 0..400), 1..60_usize, 1..5_usize, 0..Engine::ALL.len());
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let tried = runner.run(&cases, |(numbers, of, workers, engine)| {
        let given = Shared::from_array(&ndarray::Array1::from(numbers.clone())).unwrap();
        let mut sums = Shared::<f64, _>::zeros(numbers.len()).unwrap();
        let job = Job::new((&given, &mut sums)).split(Split::rows().of(of)).workers(workers);
        job.runner(Engine::ALL[engine])
            .run(|w, (given, mut sums)| {
                let mine = w.slice_of(given);
                let mut sum = w.carry(0.0, |before| before + mine.iter().sum::<f64>())?;
                sums.iter_mut().zip(mine).for_each(|(to, x)| {
                    sum += x;
                    *to = sum;
                });
                Ok::<(), Error>(())
            })
            .unwrap();
        let mut before = 0.0;
        let naive = numbers.chunks(of).flat_map(|slice| {
            let begins = before;
            before += slice.iter().sum::<f64>();
            slice.iter().scan(begins, |sum, x| {
                *sum += x;
                Some(*sum)
            })
        });
        prop_assert!(naive.map(f64::to_bits).eq(sums.as_slice().iter().map(|sum| sum.to_bits())));
        Ok(())
    });
    tried.unwrap();
}

/// The error of a body, as its words; they are those of a [`CarryError`].
fn refused<R>(done: parfork::Result<Answers<R>>) -> String {
    match done {
        Err(Error::BodyFailed(failure)) => failure.reason,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was done"),
    }
}

pub(crate) fn what_cannot_be_is_refused_before_the_work() {
    let no_work = |before: u64| panic!("it is given {before}");
    for engine in Engine::ALL {
        let job = || Job::new(0..9).workers(2).runner(engine);
        for schedule in ["static", "guided", "dynamic=2"].map(|name| name.parse::<Schedule>().unwrap()) {
            let text = refused(job().schedule(schedule).run(|w, _| w.carry(0, no_work)));
            assert_eq!(text, CarryError::NotInOrder { schedule }.to_string(), "{engine}");
        }
        let text = refused(job().only_slice(4).run(|w, _| w.carry(0, no_work)));
        assert_eq!(text, CarryError::OnlySlice { slice: 4 }.to_string(), "{engine}");
        let text = refused(job().run(|w, _| {
            w.carry(0, |before: u64| before + 1)?;
            w.carry(0, |before: u64| before + 1)
        }));
        assert!(text.starts_with("the body has called carry() twice for slice "), "{engine}: {text}");
        // In what is to be handed on as well.
        let text = refused(job().run(|w, _| w.carry(0, |_: u64| w.carry(0, no_work).map_or(1, |_| 2))));
        assert!(text.starts_with("the body has called carry() twice for slice "), "{engine}: {text}");
        // Whatever the body makes of the error.
        let text = refused(job().schedule(Schedule::Static).run(|w, _| w.carry(0, no_work).unwrap_or(3)));
        assert_eq!(text, CarryError::NotInOrder { schedule: Schedule::Static }.to_string(), "{engine}");
        let mut planes = Planes::from_array(&ndarray::Array1::<u8>::zeros(9), 1, Border::Keep).unwrap();
        let steps = Job::new(&mut planes).workers(2).runner(engine).steps(3);
        let text = refused(steps.run(|w, _| w.carry(0, no_work)));
        assert_eq!(text, CarryError::InSteps.to_string(), "{engine}");
    }
}

/// Others would wait for ever.
pub(crate) fn who_hands_nothing_on_is_named_by_the_next() {
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| [1, 2, 5].map(|workers| (engine, workers))) {
        let job = || Job::new(0..SLICES).workers(workers).runner(engine);
        let text = refused(nothing_left(|| {
            job().run(|w, _| match w.region().index() {
                17 => Ok(FIRST),
                slice => w.carry(FIRST, |before| next(before, slice)),
            })
        }));
        assert_eq!(text, CarryError::Missing { slice: 17 }.to_string(), "{engine} {workers}");
        // Of another length, which is no value of this one.
        let text = refused(job().run(|w, _| match w.region().index() {
            17 => w.carry(1_u32, |_| 2).map(u64::from),
            _ => w.carry(1_u64, |before| before + 1),
        }));
        assert!(text == CarryError::Missing { slice: 16 }.to_string(), "{engine} {workers}: {text}");
    }
}

/// When a worker dies on a slice.
const MOMENTS: [&str; 4] = ["before", "in", "after", "panics in"];

/// Carries on slice `slice`; at the `moment` it dies if this is its first time there.
fn carry_and_die(
    w: &Worker<'_>,
    moment: &str,
    begun: &AtomicU64,
    mut cells: Slice<'_, u64, ndarray::Ix2>,
) -> parfork::Result<[u64; 3]> {
    let slice = w.region().index();
    let dies = |here: &str| {
        if slice % 10 == 3 && moment == here && begun.fetch_add(1, Ordering::Relaxed) == 0 {
            if moment == "panics in" {
                panic!("expected, in a carry");
            }
            kill_me();
        }
    };
    cells[[0, 0]] += 1;
    dies("before");
    let given = w.carry(FIRST, |before| {
        dies("in");
        dies("panics in");
        next(before, slice)
    })?;
    cells[[0, 1]] += given[1] + 1;
    dies("after");
    Ok(given)
}

pub(crate) fn who_dies_is_replaced_and_its_slice_given_the_same() {
    for (moment, workers) in MOMENTS.into_iter().flat_map(|moment| [1, 2, 5].map(|workers| (moment, workers))) {
        for crewed in [false, true] {
            let how = format!("{moment} {workers} {crewed}");
            let begun = Page::new();
            let mut cells = Shared::<u64, _>::zeros((SLICES, 2)).unwrap();
            let done = nothing_left(|| match crewed {
                false => Job::new(&mut cells)
                    .workers(workers)
                    .retries(1)
                    .restore_outputs()
                    .run(|w, cells| carry_and_die(w, moment, &begun[w.region().index()], cells)),
                true => {
                    let mut crew = Crew::start(workers).unwrap();
                    let job = Job::new(&mut cells).crew(&mut crew).retries(1).restore_outputs();
                    let at = MOMENTS.iter().position(|it| *it == moment).unwrap();
                    job.run_with([begun[0].as_ptr() as usize, at], |w, [begun, at], cells| {
                        let begun = begun + w.region().index() * size_of::<u64>();
                        // SAFETY: the page is there for as long as the crew, and has a word for each slice.
                        let begun = unsafe { AtomicU64::from_ptr(std::ptr::with_exposed_provenance_mut(begun)) };
                        carry_and_die(w, MOMENTS[at], begun, cells)
                    })
                }
            });
            are_right(done, 3, &how);
            for (row, given) in cells.view().rows().into_iter().zip(all(SLICES)) {
                assert_eq!(row.to_vec(), [1, given[1] + 1], "{how}");
            }
        }
    }
}

/// While one is at work on a slice that it has handed on, others go on; it dies, and whoever takes it up is given what it was given.
pub(crate) fn a_death_long_after_is_no_matter_for_those_who_went_on() {
    let begun = Page::new();
    let done = nothing_left(|| {
        Job::new(0..SLICES).workers(3).retries(1).run(|w, _| {
            let slice = w.region().index();
            let given = w.carry(FIRST, |before| next(before, slice))?;
            if slice == 2 && begun[2].fetch_add(1, Ordering::Relaxed) == 0 {
                while begun[0].load(Ordering::Relaxed) < 20 {
                    std::hint::spin_loop();
                }
                kill_me();
            }
            begun[0].fetch_add(1, Ordering::Relaxed);
            Ok::<_, Error>(given)
        })
    });
    are_right(done, 1, "long after");
}

pub(crate) fn who_hands_on_another_value_the_second_time_is_refused() {
    let begun = Page::new();
    let job = Job::new(0..SLICES).workers(2).retries(1);
    let text = refused(nothing_left(|| {
        job.run(|w, _| {
            let time = if w.region().index() == 4 { begun[0].fetch_add(1, Ordering::Relaxed) } else { 0 };
            let given = w.carry(0.0_f64, |before| before + 1.0 + time as f64 * 1e-9)?;
            if w.region().index() == 4 && time == 0 {
                kill_me();
            }
            Ok::<_, Error>(given)
        })
    }));
    assert_eq!(text, CarryError::Changed { slice: 4 }.to_string());
}

pub(crate) fn a_slice_that_kills_all_is_named_and_nobody_waits_for_it() {
    for (workers, retries, after) in [(1, 1, false), (2, 0, false), (2, 1, false), (5, 2, true), (5, 2, false)] {
        let done = nothing_left(|| {
            Job::new(0..SLICES).workers(workers).retries(retries).run(|w, _| {
                let slice = w.region().index();
                if slice == 7 && !after {
                    kill_me();
                }
                let given = w.carry(FIRST, |before| next(before, slice));
                if slice == 7 {
                    kill_me();
                }
                given
            })
        });
        let Err(Error::WorkerDied(death)) = &done else { panic!("{workers} {retries}: {done:?}") };
        assert_eq!(death.slice.map(|slice| slice.0.index()), Some(7), "{death}");
        assert_eq!(death.tries, retries + 1, "{death}");
    }
}

pub(crate) fn deadlines_stops_and_errors_end_those_who_wait() {
    let waits = |w: &Worker<'_>, _: Range<usize>| {
        if w.region().index() == 5 {
            loop {
                std::hint::spin_loop();
            }
        }
        w.carry(0, |before| before + 1)
    };
    for retries in [0, 1] {
        let job = || Job::new(0..SLICES).workers(4).retries(retries);
        let late = nothing_left(|| job().deadline(Duration::from_millis(60)).run(waits).unwrap_err());
        assert!(matches!(late, Error::Deadline { .. }), "{late}");
        // Of all who wait and the one that they wait for, that one is late.
        let late = nothing_left(|| job().slice_deadline(Duration::from_millis(200)).run(waits).unwrap_err());
        let Error::WorkerDied(death) = late else { panic!("{late}") };
        assert_eq!(death.slice.map(|slice| slice.0.index()), Some(5), "{death}");
    }
    for engine in [Engine::Threads, Engine::Processes] {
        let stop = CancelToken::new();
        let page = Page::new();
        let stopped = nothing_left(|| {
            std::thread::scope(|threads| {
                let canceller = (engine == Engine::Threads).then(|| {
                    threads.spawn(|| {
                        while page[0].load(Ordering::Relaxed) == 0 {
                            std::hint::spin_loop();
                        }
                        stop.cancel();
                        page[1].store(1, Ordering::Relaxed);
                    })
                });
                let job = Job::new(0..SLICES).workers(4).runner(engine).cancel_token(&stop);
                let job = job.deadline(Duration::from_millis(if engine == Engine::Threads { 60_000 } else { 60 }));
                let done = job.run(|w, _| {
                    if w.region().index() == 5 {
                        page[0].store(1, Ordering::Relaxed);
                        while page[1].load(Ordering::Relaxed) == 0 {
                            std::hint::spin_loop();
                        }
                    }
                    w.carry(0, |before| before + 1)
                });
                canceller.into_iter().for_each(|canceller| canceller.join().unwrap());
                done
            })
        });
        assert!(matches!(stopped, Err(Error::Stopped { .. } | Error::Deadline { .. })), "{engine}: {stopped:?}");
        let fails = |w: &Worker<'_>, _: Range<usize>| match w.region().index() {
            5 => Err(Error::kernel("five")),
            _ => w.carry(0, |before| before + 1),
        };
        assert_eq!(refused(nothing_left(|| Job::new(0..SLICES).workers(4).runner(engine).run(fails))), "five");
    }
}
