//! What a crew computes.

use bytemuck::{Pod, Zeroable};
use ndarray::{Dimension, IxDyn};
use parfork::slices::Grid;
use parfork::{Crew, Error, Job, JobSpec, Schedule, Shared, Split, Worker};

use super::{is_sound, nothing_left, pids, start, with_crew};

/// What cells are made of.
trait Cell: Pod + Send + Sync + PartialEq + std::fmt::Debug {
    fn of(bits: u64) -> Self;
}

macro_rules! cells {
    ($($cell:ty)+) => {$(impl Cell for $cell {
        fn of(bits: u64) -> Self {
            (bits % 251) as Self
        }
    })+};
}

cells!(u8 i16 u32 f32 f64 i128);

/// A shape, and two arrays of it that are older than the crew: one given, one made.
type Early<T> = (Vec<usize>, Shared<T, IxDyn>, Shared<T, IxDyn>);

fn mix(value: u64) -> u64 {
    (value ^ (value >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The value at `index`.
fn value<T: Cell>(salt: u64, index: impl IntoIterator<Item = usize>, plus: &T) -> T {
    let place = index.into_iter().fold(salt, |place, at| mix(place ^ at as u64));
    T::of(place ^ u64::from(bytemuck::bytes_of(plus)[0]))
}

/// Lets a crew fill an array, and compares it with a loop.
fn check<T: Cell>(crew: &mut Crew, shape: &[usize], given: &Shared<T, IxDyn>, made: &mut Shared<T, IxDyn>, how: How) {
    let How { split, schedule, workers } = how;
    made.as_mut_slice().fill(T::of(250));
    let job =
        Job::from(JobSpec { workers, split: Some(split), schedule: Some(schedule), ..JobSpec::default() }).crew(crew);
    let salt = mix(made.len() as u64 ^ workers.unwrap_or(99) as u64);
    let answers = job.lend((given, &mut *made)).run_with(salt, |w, salt, (given, mut slice)| {
        let start: Vec<_> = (0..slice.ndim()).map(|axis| slice.range(axis).start).collect();
        for (at, cell) in slice.indexed_iter_mut() {
            let index: Vec<_> = start.iter().zip(at.slice()).map(|(start, at)| start + at).collect();
            *cell = value(salt, index.iter().copied(), &given[&index[..]]);
        }
        mix(salt ^ w.region().index() as u64)
    });
    let slices = Grid::new(split, shape).unwrap().slices() as u64;
    assert!(answers.unwrap().iter().copied().eq((0..slices).map(|slice| mix(salt ^ slice))));
    for (index, cell) in made.view().indexed_iter() {
        let right = value(salt, index.slice().iter().copied(), &given.view()[index.slice()]);
        assert_eq!(*cell, right, "{index:?} of {shape:?}, {split} {schedule}");
    }
}

#[derive(Clone, Copy)]
struct How {
    split: Split,
    schedule: Schedule,
    workers: Option<usize>,
}

fn array<T: Cell>(shape: &[usize]) -> Shared<T, IxDyn> {
    let mut array = Shared::zeros(IxDyn(shape)).unwrap();
    array.as_mut_slice().iter_mut().enumerate().for_each(|(at, cell)| *cell = T::of(mix(at as u64)));
    array
}

fn checks<T: Cell>(crew: &mut Crew, early: &mut [Early<T>]) {
    let schedules = ["static", "dynamic", "dynamic=3", "guided"].map(|name| name.parse().unwrap());
    for (shape, given, made) in early {
        let (last, mut splits) = (shape.len() - 1, vec![Split::rows(), Split::rows().into_pieces(3)]);
        splits.extend([Split::axis(last).of(7), Split::axis(last)]);
        if last > 0 {
            splits.push(Split::tiles(4, 5));
        }
        for (at, split) in splits.into_iter().enumerate() {
            let workers = (at % 2 == 1).then(|| 1 + at % crew.workers());
            let how = How { split, schedule: schedules[at % 4], workers };
            check(crew, shape, given, made, how);
            check::<T>(crew, shape, &array(shape), &mut array(shape), how);
        }
    }
}

fn early<T: Cell>() -> Vec<Early<T>> {
    let shapes = [vec![1], vec![1000], vec![40, 33], vec![1, 700], vec![5, 6, 7]];
    shapes.into_iter().map(|shape| (shape.clone(), array(&shape), array(&shape))).collect()
}

pub(crate) fn are_those_of_a_loop() {
    for workers in 1..=8 {
        let (mut bytes, mut shorts, mut words) = (early::<u8>(), early::<i16>(), early::<u32>());
        let (mut floats, mut doubles, mut huge) = (early::<f32>(), early::<f64>(), early::<i128>());
        with_crew(workers, |crew| {
            checks(crew, &mut bytes);
            checks(crew, &mut doubles);
            match workers % 4 {
                0 => checks(crew, &mut shorts),
                1 => checks(crew, &mut words),
                2 => checks(crew, &mut floats),
                _ => checks(crew, &mut huge),
            }
        });
    }
}

pub(crate) fn have_the_bits_of_jobs_without_a_crew() {
    let given = Shared::from_array(&ndarray::Array1::from_shape_fn(10_000, |at| (at as f64).sqrt())).unwrap();
    let run = |job: Job<'_>| {
        let mut made = Shared::<f64, _>::zeros(10_000).unwrap();
        let body = |w: &Worker<'_>,
                    power: f64,
                    (given, mut slice): (ndarray::ArrayView1<'_, f64>, parfork::Slice<'_, f64, _>)| {
            slice.assign(&w.slice_of(given).mapv(|cell| cell.powf(power).sin()));
            slice.sum()
        };
        let answers = job.lend((&given, &mut made)).run_with(1.7, body).unwrap();
        let bits: Vec<_> = made.as_slice().iter().map(|cell| cell.to_bits()).collect();
        (bits, answers.iter().map(|answer| answer.to_bits()).collect::<Vec<_>>(), answers.sum().to_bits())
    };
    let alone = run(Job::default().workers(2));
    for workers in [1, 2, 3, 8] {
        with_crew(workers, |crew| {
            for schedule in ["static", "dynamic", "guided"].map(|name| name.parse().unwrap()) {
                assert!(run(Job::default().schedule(schedule).crew(crew)) == alone);
            }
        });
    }
}

/// 5000 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Large {
    first: [u8; 4096],
    second: [u8; 512],
    third: [u8; 256],
    rest: [u64; 17],
}

#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Wave {
    length: f64,
    height: f32,
    number: i32,
}

fn echo<A: Pod + Sync + PartialEq>(crew: &mut Crew, argument: A) {
    let cells = Shared::<u8, _>::zeros(17).unwrap();
    let answers = crew.run(&cells, argument, |_, argument, _| Ok::<A, String>(argument)).unwrap();
    assert_eq!(answers.len(), 17);
    assert!(answers.iter().all(|answer| *answer == argument));
}

pub(crate) fn arguments_and_answers_of_any_size_arrive_whole() {
    assert_eq!(size_of::<Large>(), 5000);
    with_crew(3, |crew| {
        let mut large = Large { first: [1; 4096], second: [2; 512], third: [3; 256], rest: [4; 17] };
        for round in 0..50_u8 {
            echo(crew, ());
            echo(crew, round);
            (large.first[4095], large.rest[16]) = (round, u64::from(round));
            echo(crew, large);
            echo(crew, Wave { length: f64::from(round), height: -0.5, number: -7 });
            echo(crew, u128::MAX - u128::from(round));
            echo(crew, [round; 31]);
            echo(crew, [u16::from(round); 3]);
        }
    });
}

pub(crate) fn boards_grow_and_shrink() {
    with_crew(3, |crew| {
        for slices in [1, 5, 100, 3, 20_000, 7, 200_000, 1, 20_000] {
            let cells = Shared::<u8, _>::zeros(slices).unwrap();
            let each = || Job::default().split(Split::rows().of(1)).schedule(Schedule::Guided);
            let job = each().crew(&mut *crew).lend(&cells);
            let short = job.run_with(3_u64, |w, three, _| w.region().index() as u64 * three).unwrap();
            assert!(short.iter().copied().eq((0..slices as u64).map(|slice| slice * 3)));
            let job = each().crew(&mut *crew).lend(&cells);
            let long = job.run_with((), |w, (), _| [w.region().index() as u64; 20]).unwrap();
            assert!(long.iter().copied().eq((0..slices as u64).map(|slice| [slice; 20])));
        }
    });
}

pub(crate) fn a_table_of_slices_that_is_too_large_is_refused_with_the_numbers() {
    let lines = Shared::<(), _>::zeros(1 << 20).unwrap();
    let refused = |most: usize| {
        with_crew(2, |crew| {
            let job = Job::new(&lines).split(Split::rows().of(1)).crew(crew);
            let refused = job.run_with((), |_, (), _| [0_u64; 128]).unwrap_err();
            let Error::TooManySlices { slices, answer, workers, room, .. } = refused else { panic!("{refused}") };
            assert_eq!((slices, answer, workers, room), (1 << 20, 1024, 2, most));
            is_sound(crew);
            refused.to_string()
        })
    };
    let text = refused(1 << 30);
    assert!(!text.contains("ulimit"), "{text}");
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_FSIZE, 64 << 20, 64 << 20).unwrap();
    let text = refused(64 << 20);
    assert!(text.contains("under this process's limit of file sizes (ulimit -f)"), "{text}");
}

/// Who has nothing to do in a job may be so late that it reads what the next one is while that is written.
pub(crate) fn idle_members_disturb_nobody() {
    with_crew(8, |crew| {
        let mut all = Shared::<u64, _>::zeros(8).unwrap();
        let mut few = Shared::<u64, _>::zeros(3).unwrap();
        let before = pids(crew);
        for step in 1..=6000_u64 {
            let slices = [1, 8, 1, 2, 8, 5, 3, 1][step as usize % 8];
            let split = Split::rows().into_pieces(slices);
            let schedule = if step % 3 == 0 { Schedule::Static } else { Schedule::DYNAMIC };
            let job = Job::new(&mut all).split(split).schedule(schedule).crew(crew);
            let who = job.run_with([step, slices as u64], |w, [step, slices], mut slice| {
                assert!(w.workers() as u64 <= slices);
                slice.fill(step);
                step
            });
            assert_eq!(who.unwrap().into_vec(), vec![step; slices]);
            assert_eq!(all.as_slice(), [step; 8]);
            if step % 5 == 0 {
                crew.run(&mut few, step as f64, |_, step, mut slice| slice.fill(step as u64 + 1)).unwrap();
                assert_eq!(few.as_slice(), [step + 1; 3]);
            }
        }
        assert_eq!(pids(crew), before, "nobody had to be replaced");
    });
}

pub(crate) fn hundreds_of_workers_do_job_after_job() {
    with_crew(256, |crew| {
        let before = pids(crew);
        let mut cells = Shared::<u64, _>::zeros(1000).unwrap();
        for step in 0..20_u64 {
            crew.run(&mut cells, step, |w, step, mut slice| {
                assert_eq!(w.workers(), 256);
                slice.iter_mut().for_each(|cell| *cell += step);
            })
            .unwrap();
        }
        assert!(cells.as_slice().iter().all(|&cell| cell == 190));
        assert_eq!(pids(crew), before);
        is_sound(crew);
    });
}

pub(crate) fn a_smaller_or_larger_crew_does_the_same() {
    nothing_left(|| {
        let mut crew = start(2);
        for workers in [2, 8, 1, 3, 40, 2, 5] {
            crew.resize(workers).unwrap();
            assert_eq!((crew.workers(), pids(&mut crew).len()), (workers, workers));
            is_sound(&mut crew);
        }
        for wrong in [0, parfork::MOST_WORKERS + 1] {
            assert!(matches!(crew.resize(wrong), Err(parfork::Error::Workers { asked, .. }) if asked == wrong));
        }
        is_sound(&mut crew);
        crew.dismiss();
    });
}
