//! What a crew's workers have of arrays, and for how long.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use parfork::{Cause, Crew, Error, FaultLocation, Job, Schedule, Shared, Split};

use super::{children, death, each_one, fork_server, is_sound, nothing_left, start, with_crew};

/// How the mapping at an address may be used: `r--s` or `rw-s`, as a number.
fn access(address: usize) -> u32 {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        (number(start)..number(end)).contains(&address)
    });
    u32::from_le_bytes(line.unwrap().split(' ').nth(1).unwrap().as_bytes()[..4].try_into().unwrap())
}

const READ: u32 = u32::from_le_bytes(*b"r--s");
const WRITE: u32 = u32::from_le_bytes(*b"rw-s");

pub(crate) fn lent_to_read_then_to_write_then_to_read() {
    with_crew(3, |crew| {
        let mut cells = Shared::<u64, _>::zeros(3000).unwrap();
        let other = Shared::<u64, _>::zeros(3).unwrap();
        let mut addresses = Vec::new();
        for step in 1..=20_u64 {
            let job = Job::from(each_one(3)).crew(&mut *crew);
            let wrote = job.lend(&mut cells).run_with(step, |_, step, mut slice| {
                slice.iter_mut().for_each(|cell| *cell += step);
                access(slice.as_ptr() as usize)
            });
            let wrote = wrote.unwrap();
            assert_eq!(wrote[..], [WRITE; 3]);
            let job = Job::from(each_one(3)).crew(&mut *crew);
            let read = job.lend((&cells, &other)).run_with((), |w, (), (cells, _)| {
                assert_eq!(w.slice_of(cells.view()).len(), 1000);
                [access(cells.as_ptr() as usize), cells.sum() as u32]
            });
            let read = read.unwrap();
            assert!(read.iter().all(|answer| *answer == [READ, 3000 * (step * (step + 1) / 2) as u32]), "{read:?}");
            if step > 1 {
                addresses.push([&wrote, &wrote].map(|done| done.report().workers[2].addresses[0]));
                addresses.push([0, 0].map(|_| read.report().workers[2].addresses[0]));
            }
        }
        // First opened to be written, it stays where it is.
        assert!(addresses.iter().flatten().all(|address| *address == addresses[0][0]), "{addresses:x?}");
    });
    // The other way round: what was opened to be read must be opened once more.
    with_crew(2, |crew| {
        let mut cells = Shared::<u64, _>::zeros(100).unwrap();
        for step in 1..=5_u64 {
            let sums = crew.run(&cells, (), |_, (), cells| cells.sum()).unwrap();
            assert!(sums.iter().all(|sum| *sum == (step - 1) * 100));
            crew.run(&mut cells, step, |_, step, mut slice| slice.fill(step)).unwrap();
        }
    });
}

pub(crate) fn the_same_twice_in_one_job() {
    with_crew(2, |crew| {
        let cells = Shared::from_array(&ndarray::Array1::from_shape_fn(1000, |at| at as f64)).unwrap();
        for _ in 0..3 {
            let done = crew.run((&cells, &cells), (), |w, (), (one, other)| {
                assert_eq!(one.as_ptr(), other.as_ptr());
                (&w.slice_of(one) * &w.slice_of(other)).sum()
            });
            let done = done.unwrap();
            assert!(done.report().workers.iter().all(|worker| worker.addresses[0] == worker.addresses[1]));
            assert_eq!(done.sum(), (0..1000).map(|at| (at * at) as f64).sum::<f64>());
        }
    });
}

pub(crate) fn an_input_cannot_be_written() {
    with_crew(2, |crew| {
        let given = Shared::<u32, _>::zeros((10, 10)).unwrap();
        let other = Shared::<u32, _>::zeros((10, 10)).unwrap();
        let mut made = Shared::<u32, _>::zeros((10, 10)).unwrap();
        // Writable at first, so that a worker's descriptor allows writes.
        crew.run(&mut made, (), |_, (), mut slice| slice.fill(1)).unwrap();
        for _ in 0..3 {
            let job = Job::new((&other, &made)).crew(crew).split(Split::rows().of(1));
            let error = job.run_with(7_usize, |w, row, (_, made)| {
                if w.region().index() == row {
                    // SAFETY: none: the array is lent to be read, and this must end the worker.
                    unsafe { made.as_ptr().cast_mut().wrapping_add(row * 10 + 3).write_volatile(99) };
                }
            });
            let death = death(error.unwrap_err());
            assert_eq!(death.slice.unwrap().0.index(), 7);
            let Cause::Faulted(fault) = &death.cause else { panic!("{death:?}") };
            assert!(fault.to_string().contains("[7, 3]") && fault.to_string().contains("input 1"), "{fault}");
            assert!(!matches!(fault.place, FaultLocation::Elsewhere));
            assert!(made.as_slice().iter().all(|&cell| cell == 1));
            is_sound(crew);
        }
        drop(given);
    });
}

/// How many of our segments a worker has mapped.
fn mapped() -> u64 {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("memfd:parfork")).count() as u64
}

pub(crate) fn each_is_mapped_once() {
    with_crew(3, |crew| {
        let (mut one, mut two) = (Shared::<u8, _>::zeros(100_000).unwrap(), Shared::<u8, _>::zeros((300, 4)).unwrap());
        let large = Shared::<u8, _>::zeros(5 << 20).unwrap();
        let board = crew.run(&one, (), |_, (), _| mapped()).unwrap()[0] - 1;
        let all = |crew: &mut Crew, one: &mut Shared<u8, ndarray::Ix1>, two: &mut Shared<u8, ndarray::Ix2>| {
            let job = Job::new((&*one, &mut *two, &large)).crew(crew).schedule(Schedule::Static);
            let first = job.run_with((), |_, (), _| mapped()).unwrap();
            let job = Job::new((&*two, &mut *one)).crew(crew).schedule(Schedule::Static);
            let second = job.run_with((), |_, (), _| mapped()).unwrap();
            assert!(second.iter().all(|count| *count == board + 3), "{board} {second:?}");
            let addresses = |done: &parfork::Answers<u64>, rank: usize| done.report().workers[rank].addresses.clone();
            (0..3).map(|rank| [addresses(&first, rank), addresses(&second, rank)]).collect::<Vec<_>>()
        };
        // At first what was opened to be read is opened again to be written.
        all(crew, &mut one, &mut two);
        let before = all(crew, &mut one, &mut two);
        for _ in 0..20 {
            assert_eq!(all(crew, &mut one, &mut two), before);
        }
        for rank in &before {
            assert_eq!((rank[0][0], rank[0][1]), (rank[1][1], rank[1][0]), "the same place in both jobs");
        }
        drop(large);
        drop(two);
        // Told in the next job that is not the one before.
        let left = Job::new(&mut one).crew(crew).schedule(Schedule::Static).run_with(0_u8, |_, _, _| mapped()).unwrap();
        assert!(left.iter().all(|count| *count == board + 1), "{left:?}");
    });
}

/// Bytes that the arrays hold of which a process has descriptors.
fn held(pid: u32) -> u64 {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let ours = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        let is_ours = target.to_string_lossy().contains("memfd:parfork");
        is_ours.then(|| std::os::linux::fs::MetadataExt::st_blocks(&fs::metadata(entry.path()).unwrap()) * 512)
    };
    entries.filter_map(ours).sum()
}

pub(crate) fn a_dropped_one_gives_back_its_memory_at_once() {
    with_crew(2, |crew| {
        let small = Shared::<u8, _>::zeros(8).unwrap();
        let workers = super::pids(crew);
        let before = held(workers[0]);
        for step in 0..5_u8 {
            let mut large = Shared::<u8, _>::zeros(64 << 20).unwrap();
            crew.run(&mut large, step, |_, step, mut slice| slice.fill(step)).unwrap();
            crew.run((&large, &small), (), |_, (), (large, _)| assert_eq!(large.len(), 64 << 20)).unwrap();
            assert!(workers.iter().all(|&pid| held(pid) >= before + (64 << 20)));
            drop(large);
            for &pid in &workers {
                let left = held(pid);
                assert!(left < before + (1 << 20), "{left} bytes, {before} at first");
            }
        }
        is_sound(crew);
    });
}

/// A hundred arrays, each used and dropped, of which together there would be no room.
pub(crate) fn more_of_them_than_there_is_memory_for() {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let kib = |name| text.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().nth(1).unwrap();
    let [free, swap] = ["MemAvailable:", "SwapTotal:"].map(|name| kib(name).parse::<usize>().unwrap() << 10);
    // As much as is quick to make; half of it at a time.
    let each = (free / 64).clamp(1 << 20, 512 << 20);
    let times = ((free + swap) / each + 2).min(100);
    with_crew(2, |crew| {
        let mut last = None;
        for _ in 0..times {
            let mut array = Shared::<u8, _>::zeros(each).unwrap();
            let job = Job::new(&mut array).crew(crew).split(Split::rows().into_pieces(2));
            job.run_with((), |_, (), mut slice| slice[0] = 1).unwrap();
            last = Some(array);
        }
        assert_eq!(last.unwrap().view()[0], 1);
    });
}

/// Descriptors, mappings and resident pages that are not shared, of a process.
fn has(pid: u32) -> [usize; 3] {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let mappings = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines().count();
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages: Vec<usize> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    [descriptors, mappings, pages[1] - pages[2]]
}

pub(crate) fn twenty_thousand_jobs_leave_nothing() {
    nothing_left(|| {
        let mut crew = start(2);
        let mut run = |times: u64| {
            let (mut one, mut two) = (Shared::<u64, _>::zeros(10).unwrap(), Shared::<u64, _>::zeros(10).unwrap());
            for step in 1..=times {
                if step % 100 == 0 {
                    (one, two) = (
                        Shared::zeros(10 + step as usize % 7).unwrap(),
                        Shared::zeros(10 + step as usize % 7).unwrap(),
                    );
                }
                let done = crew.run((&one, &mut two), step % 3, |_, step, (_, mut slice)| slice.fill(step)).unwrap();
                assert_eq!(done.report().workers.len(), 2);
            }
        };
        run(500);
        let workers = children(fork_server());
        let all =
            || workers.iter().chain([&std::process::id(), &fork_server()]).map(|&pid| has(pid)).collect::<Vec<_>>();
        let before = all();
        run(20_000);
        for (before, after) in before.iter().zip(all()) {
            assert_eq!((before[0], before[1]), (after[0], after[1]), "descriptors, mappings");
            assert!(after[2] < before[2] + 100, "{before:?}, then {after:?} pages");
        }
    });
}

static AT: AtomicUsize = AtomicUsize::new(0);

/// Notes where a worker has an array.
fn note<D: ndarray::Dimension>(crew: &mut Crew, array: &mut Shared<u8, D>) {
    let job = Job::new(array).crew(crew).split(Split::rows().into_pieces(1));
    job.run_with((), |_, (), mut slice| AT.store(slice.as_mut_ptr().expose_provenance(), Ordering::Relaxed)).unwrap();
}

/// A stray write to where an array was in an earlier job.
fn stray(offset: usize) {
    let at: *mut u8 = std::ptr::with_exposed_provenance_mut(AT.load(Ordering::Relaxed) + offset);
    // SAFETY: none; what must end the worker.
    unsafe { at.write_volatile(66) };
}

/// A stray read of the same.
fn peek() -> u64 {
    let at: *const u8 = std::ptr::with_exposed_provenance(AT.load(Ordering::Relaxed));
    // SAFETY: none; what must end the worker.
    u64::from(unsafe { at.read_volatile() })
}

fn faulted<T: std::fmt::Debug>(done: parfork::Result<T>) {
    let Err(Error::WorkerDied(death)) = done else { panic!("{done:?}") };
    let Cause::Faulted(_) = &death.cause else { panic!("{death:?}") };
}

pub(crate) fn those_of_earlier_jobs_are_closed() {
    with_crew(1, |crew| {
        for len in [1000, 3 << 20] {
            let made = || Shared::<u8, _>::zeros((8, len / 8)).unwrap();
            let (mut one, mut two) = (made(), made());
            note(crew, &mut one);
            faulted(crew.run(&mut two, (), |_, (), _| stray(0)));
            note(crew, &mut one);
            faulted(crew.run(&two, (), |_, (), _| peek()));
            note(crew, &mut one);
            // One that is lent again is open again, for as much as it is lent for.
            for step in 1..=3 {
                crew.run(&mut two, (), |_, (), mut slice| *slice += 1).unwrap();
                crew.run(&mut one, (), |_, (), mut slice| *slice += 1).unwrap();
                let job = Job::new((&one, &mut two)).crew(crew).split(Split::rows().into_pieces(4));
                job.run_with((), |w, (), (one, mut two)| two.assign(&w.slice_of(one))).unwrap();
                assert!([&one, &two].iter().all(|array| array.as_slice().iter().all(|&cell| cell == step)));
            }
            faulted(crew.run(&one, (), |_, (), _| stray(0)));
            assert!(one.as_slice().iter().all(|&cell| cell == 3));
        }
    });
}

pub(crate) fn those_that_are_copied_are_closed() {
    with_crew(1, |crew| {
        let mut cells = Shared::<u8, _>::zeros(1000).unwrap();
        note(crew, &mut cells);
        let job = Job::new(&mut cells).crew(crew).guard(true).split(Split::rows().of(100));
        faulted(job.run_with((), |w, (), mut slice| {
            slice.fill(1);
            if w.region().index() == 5 {
                stray(7);
            }
        }));
        assert!(cells.as_slice()[7] < 2);
        let job = Job::new(&mut cells).crew(crew).guard(true).split(Split::rows().of(100));
        job.run_with((), |_, (), mut slice| slice.fill(2)).unwrap();
        crew.run(&mut cells, (), |_, (), mut slice| *slice += 1).unwrap();
        assert!(cells.as_slice().iter().all(|&cell| cell == 3));
    });
}
