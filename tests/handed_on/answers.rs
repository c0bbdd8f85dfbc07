//! Answers of any length: `Vec` and `String`.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parfork::{Answers, ControlPageDamage, Crew, Engine, Error, Job, Split, Worker};

use crate::kill_me;
use crate::support::{Page, nothing_left};

const SLICES: usize = 40;

/// The answer of a slice: none, a few, or more bytes than a worker takes room for at a time.
fn list(slice: usize) -> Vec<u64> {
    let length = [0, 1, 17, 900, 9000][slice % 5] + slice;
    (0..length as u64).map(|n| (n * n) ^ slice as u64).collect()
}

fn are_right(answers: parfork::Result<Answers<Vec<u64>>>, deaths: usize, how: &str) {
    let answers = answers.unwrap_or_else(|error| panic!("{how}: {error}"));
    assert!(answers.iter().cloned().eq((0..SLICES).map(list)), "{how}");
    assert_eq!(answers.report().deaths.len(), deaths, "{how}");
}

pub(crate) fn of_any_length_arrive_whole() {
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| [1, 2, 5].map(|workers| (engine, workers))) {
        for schedule in ["static", "dynamic=3", "guided"] {
            let job = || Job::new(0..SLICES).workers(workers).runner(engine).schedule(schedule.parse().unwrap());
            let how = format!("{engine} {workers} {schedule}");
            are_right(nothing_left(|| job().run(|_, mine| list(mine.start))), 0, &how);
            are_right(job().run(|_, mine| Ok::<_, String>(list(mine.start))), 0, &how);
            let words = job().run(|_, mine| "ö".repeat(mine.start)).unwrap();
            assert!(words.iter().enumerate().all(|(slice, word)| word.chars().count() == slice), "{how}");
            let words = job().run(|_, mine: Range<usize>| Ok::<_, Error>(mine.start.to_string())).unwrap();
            assert!(words.concat().starts_with("012345"), "{how}");
            let nothing = job().run(|_, mine| vec![(); mine.start * 1000]).unwrap();
            assert!(nothing.iter().enumerate().all(|(slice, list)| list.len() == slice * 1000), "{how}");
            let body = |_: &Worker<'_>, mine: Range<usize>| if mine.start == 9 { Err("nine") } else { Ok(vec![0_u8]) };
            assert!(job().run(body).unwrap_err().to_string().contains("nine"), "{how}");
            let alone = job().only_slice(4).run(|_, mine| list(mine.start)).unwrap();
            assert_eq!(alone[..], [list(4)], "{how}");
        }
        let none = Job::new(3..3).workers(workers).runner(engine).run(|_, _| String::new()).unwrap();
        assert!(none.is_empty());
    }
}

pub(crate) fn those_of_dead_workers_are_kept() {
    for (workers, schedule) in [1, 2, 5].into_iter().flat_map(|n| ["static", "dynamic=3", "guided"].map(|s| (n, s))) {
        let begun = Page::new();
        let job = Job::new(0..SLICES).workers(workers).schedule(schedule.parse().unwrap()).retries(2);
        let done = nothing_left(|| {
            job.run(|_, mine| {
                if begun[mine.start].fetch_add(1, Ordering::Relaxed) < 2 && mine.start % 10 == 7 {
                    kill_me();
                }
                list(mine.start)
            })
        });
        are_right(done, 8, &format!("{workers} {schedule}"));
        let tries = (0..SLICES).map(|slice| begun[slice].load(Ordering::Relaxed));
        assert!(
            tries.enumerate().all(|(slice, tries)| tries == if slice % 10 == 7 { 3 } else { 1 }),
            "{workers} {schedule}"
        );
    }
}

pub(crate) fn a_crew_hands_them_on() {
    let words = Page::new();
    let mut crew = Crew::start(2).unwrap();
    nothing_left_of(&mut crew, |crew| {
        for turn in 0..20 {
            are_right(crew.run(0..SLICES, (), |_, (), mine| list(mine.start)), 0, "a crew");
            let sum = crew.run(0..SLICES, turn, |_, turn, mine| mine.start * turn).unwrap().sum();
            assert_eq!(sum, turn * SLICES * (SLICES - 1) / 2);
            words[0].store(0, Ordering::Relaxed);
            let job = Job::new(0..SLICES).crew(crew).retries(1);
            let done = job.run_with(words[0].as_ptr() as usize, |_, word, mine| {
                // SAFETY: the word is there for as long as the crew.
                let begun = unsafe { AtomicU64::from_ptr(std::ptr::with_exposed_provenance_mut(word)) };
                if mine.start == 20 && begun.fetch_add(1, Ordering::Relaxed) == 0 {
                    kill_me();
                }
                list(mine.start)
            });
            are_right(done, 1, "a crew with a death");
        }
    });
}

/// As `nothing_left`, for jobs of a crew, whose workers stay.
fn nothing_left_of(crew: &mut Crew, jobs: impl FnOnce(&mut Crew)) {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    crew.run(0..1, (), |_, (), _| String::new()).unwrap();
    let before = open();
    jobs(crew);
    crew.run(0..1, (), |_, (), _| String::new()).unwrap();
    assert_eq!(open(), before);
}

/// The limit of file lengths stands for that of memory: a test must not take half of a machine's.
pub(crate) fn what_there_is_no_room_for_is_an_error_with_numbers() {
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 8 << 20, hard).unwrap();
    for engine in Engine::ALL {
        let job = || Job::new(0..4).workers(2).runner(engine).retries(1);
        let refused = nothing_left(|| job().run(|_, mine| vec![0_u8; mine.start * (5 << 20)]).unwrap_err());
        let text = refused.to_string();
        assert!(matches!(refused, Error::BodyFailed(_)), "{engine}: {text}");
        assert!(text.contains("its answer of") && text.contains("may have 8388608 bytes together"), "{engine}: {text}");
        assert_eq!(job().run(|_, _| vec![0_u8; 2 << 20]).unwrap().concat().len(), 8 << 20);
    }
}

/// Who writes over what another has handed on, through the descriptor that it has for its own, makes no wrong answer right.
pub(crate) fn what_was_written_over_is_damage() {
    for (retries, length) in [0, 1].into_iter().flat_map(|retries| [10_usize, 100_000].map(|length| (retries, length)))
    {
        let job = Job::new(0..2).workers(1).split(Split::rows().of(1)).retries(retries);
        let done = nothing_left(|| {
            job.run(|_, mine| {
                if mine.start == 1 {
                    let parts = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
                    let files = parts
                        .filter(|path| fs::read_link(path).is_ok_and(|to| to.starts_with("/memfd:parfork (deleted)")));
                    let files: Vec<_> =
                        files.filter_map(|path| fs::File::options().write(true).open(path).ok()).collect();
                    assert_eq!(files.len(), 1);
                    files[0].write_at(&[1], length as u64 - 1).unwrap();
                }
                vec![0_u8; length]
            })
        });
        let done = done.map(Answers::into_vec);
        let what = ControlPageDamage::Slice { slice: 0 };
        assert!(matches!(&done, Err(Error::ControlPageDamaged { what: it }) if *it == what), "{done:?}");
    }
}
