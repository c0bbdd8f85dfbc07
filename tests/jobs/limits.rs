//! What cannot be cut or has too many workers is refused, and what the system's limits allow is told.

use parfork::{Engine, Error, Job, Schedule, ShapeError, Shared, Split};

use crate::die_at;
use crate::support::nothing_left;

pub(crate) fn outputs_that_cannot_be_cut_alike_are_refused() {
    let source = Shared::<u8, _>::zeros((3, 99)).unwrap();
    let mut a = Shared::<u8, _>::zeros((9, 4)).unwrap();
    let mut b = Shared::<u8, _>::zeros((8, 4)).unwrap();
    for engine in Engine::ALL {
        let refused = nothing_left(|| Job::new((&source, &mut a, &mut b)).runner(engine).run(|_, _| ()).unwrap_err());
        assert_eq!(
            refused.to_string(),
            "two outputs or ranges of shapes [9, 4] and [8, 4] differ on axis 0, which the split `rows` cuts. \
             Make them equally long there, or cut another axis."
        );
        // Along columns they are alike.
        Job::new((&source, &mut a, &mut b)).split(Split::cols()).runner(engine).run(|_, _| ()).unwrap();
    }
    let mut line = Shared::<u8, _>::zeros(9).unwrap();
    let refused = Job::new((&mut a, &mut line)).split(Split::tiles(2, 2)).run(|_, _| ()).unwrap_err();
    assert!(refused.to_string().contains("[9, 4] and [9] differ on axis 1"), "{refused}");
    let Error::Shape(ShapeError::Outputs { first, other, axis: 1, .. }) = refused else { panic!("{refused}") };
    assert_eq!((first, other), (vec![9, 4], vec![9]));
}

pub(crate) fn what_is_wrong_with_a_shape_can_be_matched_on() {
    let array = || Shared::<u32, _>::zeros((4, 6)).unwrap();
    let Err(Error::Shape(ShapeError::Elements { from, to })) = array().into_shape((5, 5)) else { panic!("25 cells") };
    assert_eq!((from, to), (vec![4, 6], vec![5, 5]));
    let Err(Error::Shape(ShapeError::TooLarge { shape, element: 4 })) = Shared::<u32, _>::zeros((1 << 40, 1 << 40))
    else {
        panic!("2^82 bytes")
    };
    assert_eq!(shape, [1 << 40, 1 << 40]);
}

pub(crate) fn what_cannot_be_cut_is_refused() {
    let mut line = Shared::<u8, _>::zeros(9).unwrap();
    for (split, text) in [
        (Split::cols(), "cuts axis 1, but the array has 1 (shape [9])"),
        (Split::tiles(3, 3), "cuts axis 1"),
        (Split::rows().of(0), "slices of length 0"),
        (Split::rows().into_pieces(0), "slices of length 0"),
    ] {
        let refused = nothing_left(|| Job::new(&mut line).split(split).run(|_, _| ()).unwrap_err().to_string());
        assert!(refused.contains(text), "{refused}");
    }
    // Elements of no bytes, so that the array has none either.
    let mut wide = Shared::<(), _>::zeros((1 << 15, 1 << 15)).unwrap();
    let refused = Job::new(&mut wide).split(Split::tiles(1, 1)).run(|_, _| ()).unwrap_err().to_string();
    assert!(refused.contains("more than 268435456 slices"), "{refused}");
}

pub(crate) fn a_table_of_slices_that_is_too_large_is_refused_with_the_numbers() {
    // Elements of no bytes, in as many slices as there can be, each with 8 KiB to say: 2 TiB.
    let wide = Shared::<(), _>::zeros((1 << 14, 1 << 14)).unwrap();
    for engine in Engine::ALL {
        let job = Job::new(&wide).split(Split::tiles(1, 1)).workers(2).runner(engine);
        let refused = nothing_left(|| job.run(|_, _| [0_u64; 1024]).unwrap_err());
        let Error::TooManySlices { slices, answer, workers, room, limited } = refused else { panic!("{refused}") };
        let all = if engine == Engine::Serial { 1 } else { 2 };
        assert_eq!((slices, answer, workers, room, limited), (1 << 28, 8192, all, 1 << 40, false));
        assert!(refused.to_string().contains("Cut into fewer slices"), "{refused}");
    }
}

pub(crate) fn too_few_and_too_many_workers_are_refused() {
    let mut line = Shared::<u8, _>::zeros(5).unwrap();
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| [0, 1025, usize::MAX].map(|n| (engine, n))) {
        let refused = nothing_left(|| Job::new(&mut line).workers(workers).runner(engine).run(|_, _| ()).unwrap_err());
        assert!(matches!(refused, Error::Workers { asked, most: 1024 } if asked == workers), "{refused:?}");
        let text = format!("{workers} workers were asked for, and a job takes 1 to 1024. Ask for a number in between.");
        assert_eq!(refused.to_string(), text);
    }
    parfork::fork(parfork::MOST_WORKERS, &mut line, |_, mut slice| slice.fill(1)).unwrap();
    assert_eq!(line.as_slice(), [1; 5]);
}

pub(crate) fn a_limit_of_processes_is_an_error_with_numbers() {
    use nix::sys::resource::{Resource, setrlimit};
    let mut line = Shared::<u8, _>::zeros(64).unwrap();
    // Root is above this limit. A number of its own, so that nobody else's processes count.
    let nobody = 1_000_000_000 + std::process::id();
    // SAFETY: integers only.
    if unsafe { libc::getuid() } == 0 {
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setresuid(nobody, nobody, nobody) }, 0);
    }
    setrlimit(Resource::RLIMIT_NPROC, 20, 20).unwrap();
    let error = nothing_left(|| Job::new(&mut line).workers(64).run(|_, _| ()).unwrap_err());
    let Error::Fork { started, asked: 64, limit: Some(20), ref source } = error else { panic!("{error:?}") };
    assert!(started < 20 && source.raw_os_error() == Some(libc::EAGAIN), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("the system made only {started} of 64 worker processes (")), "{text}");
    assert!(
        text.ends_with("the limit of processes for this user is 20). Ask for fewer workers or raise the limit."),
        "{text}"
    );
    if started > 1 {
        Job::new(&mut line).workers(started).run(|_, mut slice| slice[0] = 1).unwrap();
        assert_eq!(line.as_slice(), [1; 64]);
    }
}

pub(crate) fn a_limit_of_descriptors_is_no_limit_of_workers() {
    use nix::sys::resource::{Resource, setrlimit};
    let mut line = Shared::<u8, _>::zeros(64).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 20, 20).unwrap();
    nothing_left(|| Job::new(&mut line).workers(64).run(|_, mut slice| slice[0] = 1).unwrap());
    assert_eq!(line.as_slice(), [1; 64]);
    let job = Job::new(&mut line).workers(64).schedule(Schedule::Static);
    let error = nothing_left(|| job.run(|w, _| die_at(w.rank() == 63)).unwrap_err());
    assert!(matches!(&error, Error::WorkerDied(death) if death.rank == 63), "{error}");
}
