//! What is refused, and how that is said.

use ndarray::{Array1, Array2, ArrayD};
use parfork::{
    Border, CancelToken, Cause, Engine, Error, Fault, FaultLocation, Job, Planes, Schedule, Shared, StepsError,
};

use super::support::nothing_left;

fn ring() -> Planes<u64, ndarray::Ix1> {
    Planes::from_array(&Array1::zeros(12), 1, Border::Wrap).unwrap()
}

pub(super) fn what_cannot_be_is_said_with_the_numbers() {
    let short =
        |length: usize, margin, border| Planes::from_array(&Array1::<u64>::zeros(length), margin, border).map(drop);
    for (length, margin, border, least) in [
        (3, 3, Border::Reflect101, "needs an axis 0 that is 4 long, and it is 3"),
        (2, 3, Border::Wrap, "that is 3 long, and it is 2"),
        (0, 1, Border::Replicate, "that is 1 long, and it is 0"),
        (5, 3, Border::Keep, "that is 6 long, and it is 5"),
        (5, usize::MAX, Border::Keep, "long, and it is 5"),
        (5, usize::MAX, Border::Reflect101, "long, and it is 5"),
    ] {
        let error = short(length, margin, border).unwrap_err().to_string();
        assert!(error.contains(least), "{error}");
    }
    let error = short(5, usize::MAX / 2, Border::Constant(0)).unwrap_err().to_string();
    assert!(error.contains("bytes"), "{error}");
    let flat = Array2::<u64>::zeros((5, 5));
    let edges = [(1, Border::Wrap, Border::Wrap), (1, Border::Wrap, Border::Keep)];
    assert!(matches!(Planes::with_edges(&flat, &edges), Err(Error::Steps(StepsError::HalfARing { axis: 1 }))));
    assert!(matches!(
        Planes::with_edges(&flat, &edges[..1]),
        Err(Error::Steps(StepsError::Axes { axes: 2, edges: 1, .. }))
    ));
    let five = ArrayD::<u8>::zeros(vec![2; 5]);
    assert!(matches!(
        Planes::from_array(&five, 1, Border::Replicate),
        Err(Error::Steps(StepsError::Axes { axes: 5, .. }))
    ));
    let mut planes = ring();
    assert!(matches!(planes.assign(&Array1::zeros(11)), Err(Error::Steps(StepsError::Content { .. }))));

    let mut other = Planes::from_array(&Array1::<u64>::zeros(12), 1, Border::Keep).unwrap();
    let error = Job::new((&mut planes, &mut other)).run(|_, _| ()).unwrap_err().to_string();
    assert!(error.contains("[0..1, ..] and [1..2, ..]"), "{error}");
    let mut longer = Shared::<u64, _>::zeros(13).unwrap();
    assert!(matches!(Job::new((&mut planes, &mut longer)).run(|_, _| ()), Err(Error::Shape(_))));
    // None of which has touched them.
    assert!(planes.view().is_ok() && other.view().is_ok());
}

pub(super) fn settings_that_are_not_kept() {
    nothing_left(|| {
        let mut cells = Shared::<u8, _>::zeros(10).unwrap();
        let error = Job::new(&mut cells).steps(3).run(|_, _| ()).unwrap_err();
        assert!(matches!(error, Error::Steps(StepsError::NoPlanes { steps: 3 })), "{error}");
        let error = Job::new(&mut cells).depth(3).run(|_, _| ()).unwrap_err().to_string();
        assert!(error.contains("depth 3 cannot be kept: no Planes are lent"), "{error}");
        let mut planes = ring();
        type Change =
            for<'p> fn(Job<'p, &'p mut Planes<u64, ndarray::Ix1>>) -> Job<'p, &'p mut Planes<u64, ndarray::Ix1>>;
        let changes: [(Change, &str); 8] = [
            (|job| job.steps(0), "0 steps"),
            (|job| job.depth(0), "depth 0 cannot be kept"),
            (|job| job.only_slice(3), "slice 3 cannot be run alone"),
            (|job| job.guard(true), "a guard cannot be kept"),
            (|job| job.retries(1).restore_outputs(), "say body_overwrites()"),
            (|job| job.schedule(Schedule::Guided), "this schedule cannot be kept"),
            (|job| job.schedule(Schedule::DYNAMIC), "this schedule cannot be kept"),
            (|job| job.continue_after_death(true), "going on without the dead"),
        ];
        for (change, says) in changes {
            let error = change(Job::new(&mut planes).steps(2)).run(|_, _| ()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let error = Job::new(&mut planes).steps(2).retries(1).run(|_, _| ()).unwrap_err();
        assert!(matches!(error, Error::RetriesForbidden { .. }), "{error}");
        let error =
            Job::new(&mut planes).workers(3).steps(2).run(|w, _| w.barrier().map(|()| 0)).unwrap_err().to_string();
        assert!(error.contains("can meet only if"), "{error}");
    });
}

pub(super) fn torn_planes_are_an_error_until_they_have_new_content() {
    nothing_left(|| {
        let mut planes = ring();
        let token = CancelToken::new();
        token.cancel();
        assert!(matches!(Job::new(&mut planes).cancel_token(&token).run(|_, _| ()), Err(Error::Stopped { .. })));
        // It had not begun.
        planes.view().unwrap();
        for engine in [Engine::Serial, Engine::Threads, Engine::Processes] {
            let result = Job::new(&mut planes).workers(2).steps(5).runner(engine).run(|w, (_, mut new)| {
                new.fill(7);
                if w.step() < 3 { Ok(0) } else { Err("enough") }
            });
            assert!(matches!(result, Err(Error::BodyFailed(_))), "{engine}");
            assert!(matches!(planes.view(), Err(Error::Steps(StepsError::Torn))));
            let error = Job::new(&mut planes).run(|_, _| ()).unwrap_err().to_string();
            assert!(error.contains("assign()"), "{error}");
            planes.assign(&Array1::from_elem(12, 1)).unwrap();
            assert_eq!(planes.view().unwrap().sum(), 12);
            Job::new(&mut planes).runner(engine).run(|_, (old, mut new)| new.fill(old[0])).unwrap();
            assert_eq!(planes.view().unwrap().sum(), 12);
        }
    });
}

/// The plane that is read can be written by nobody, not even in the cells that are the slice's own.
pub(super) fn a_stray_write_to_the_plane_that_is_read_ends_its_worker() {
    nothing_left(|| {
        let mut planes = ring();
        let error = Job::new(&mut planes).workers(2).steps(4).run(|w, (old, mut new)| {
            new.fill(0);
            if w.step() == 2 {
                // SAFETY: none: this is what foreign code may do.
                unsafe { old.as_ptr().cast_mut().wrapping_add(1).write_volatile(3) };
            }
        });
        let error = error.unwrap_err();
        let Error::WorkerDied(death) = &error else { panic!("{error}") };
        assert_eq!(death.step, Some(2));
        let Cause::Faulted(fault) = &death.cause else { panic!("{error}") };
        let Fault { place: FaultLocation::Cell { array, .. }, .. } = &**fault else { panic!("{error}") };
        assert!(!array.output, "{error}");
    });
}
