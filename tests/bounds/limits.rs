//! Limits of memory and CPUs, and what only processes can keep to.

use std::sync::atomic::Ordering;

use parfork::{Cause, CrewBuilder, Engine, Error, Job, Schedule, Shared, Split};

use crate::LONG;
use crate::support::{Page, nothing_left};

/// The CPUs that the calling process may use, as bits.
fn my_cpus() -> u64 {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
    (0..64).filter(|&cpu| set.is_set(cpu).unwrap()).map(|cpu| 1 << cpu).sum()
}

pub(crate) fn pinned_workers_have_a_cpu_each() {
    let all = my_cpus();
    let cpus = all.count_ones() as usize;
    let one_each = |said: &[u64]| {
        assert!(said.iter().all(|cpus| cpus.count_ones() == 1 && cpus & all != 0), "{said:?} of {all}");
        // Nobody shares while there are others.
        assert_eq!(
            said[..cpus.min(said.len())].iter().fold(0, |set, cpu| set | cpu).count_ones() as usize,
            cpus.min(said.len())
        );
    };
    let line = Shared::<u8, _>::zeros(5).unwrap();
    let job = || Job::new(&line).workers(5).split(Split::rows().into_pieces(5)).schedule(Schedule::Static);
    one_each(&job().pin(true).run(|_, _| my_cpus()).unwrap());
    assert!(job().run(|_, _| my_cpus()).unwrap().iter().all(|&cpus| cpus == all));
    let mut crew = CrewBuilder::new().workers(5).pin(true).start().unwrap();
    one_each(&job().crew(&mut crew).run_with((), |_, (), _| my_cpus()).unwrap());
    assert_eq!(my_cpus(), all);
    let refused = job().runner(Engine::Threads).pin(true).run(|_, _| ()).unwrap_err();
    assert!(matches!(refused, Error::Engine { .. }), "{refused}");
}

pub(crate) fn a_worker_beyond_its_memory_aborts_alone() {
    let tries = Page::new();
    let mut cells = Shared::<u64, _>::zeros(8).unwrap();
    let job = Job::new(&mut cells).workers(2).retries(1).body_overwrites().memory_limit(64 << 20);
    let done = nothing_left(|| {
        job.run(|w, mut slice| {
            let greedy = w.region().index() == 3 && tries[0].fetch_add(1, Ordering::Relaxed) == 0;
            let hoard = vec![1_u8; if greedy { 256 << 20 } else { 16 << 20 }];
            slice.fill(hoard.iter().rev().take(1).map(|&one| u64::from(one)).sum());
        })
    })
    .unwrap();
    assert!(cells.as_slice().iter().all(|&cell| cell == 1));
    let [death] = &done.report().deaths[..] else { panic!("{:?}", done.report().deaths) };
    assert_eq!(death.cause, Cause::AbortedWithin { limit: 64 << 20 });
    assert!(death.to_string().contains("it may have 67108864 bytes beyond"), "{death}");
}

pub(crate) fn what_is_lent_does_not_count_as_a_workers_memory() {
    let source = Shared::<u8, _>::zeros((64, 1 << 20)).unwrap();
    let mut result = Shared::<u8, _>::zeros((64, (1 << 20) - 1)).unwrap();
    for guard in [false, true] {
        let job = Job::new((&source, &mut result)).workers(2).memory_limit(8 << 20).guard(guard);
        job.run(|_, (_, mut slice)| slice.fill(3)).unwrap();
        assert!(result.as_slice().iter().all(|&cell| cell == 3));
        result.as_mut_slice().fill(0);
    }
}

pub(crate) fn what_only_processes_can_keep_is_refused() {
    for engine in [Engine::Threads, Engine::Serial] {
        let mut cells = Shared::<u64, _>::zeros(8).unwrap();
        let job = || Job::default().workers(2).runner(engine);
        for (set, what) in [
            (job().slice_deadline(LONG), "a deadline for slices"),
            (job().memory_limit(1 << 30), "a limit of memory"),
            (job().guard(true), "a guard"),
        ] {
            let error = set.lend(&mut cells).run(|_, _| ()).unwrap_err().to_string();
            let expected = format!("{what} needs workers that are processes, and the engine is {engine}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
