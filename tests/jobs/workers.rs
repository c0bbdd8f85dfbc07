//! Workers themselves: hundreds of them, what they leave in buffers, jobs of their own, and what is reported of them.

use std::io::Read;
use std::process::Stdio;

use parfork::{Engine, Job, Schedule, Shared};

use crate::support::{nothing_left, play};
use crate::{die_at, schedules};

pub(crate) fn hundreds_of_workers_do_tiny_jobs() {
    for workers in [512, 1024] {
        let mut line = Shared::<u8, _>::zeros(workers).unwrap();
        for _ in 0..3 {
            let ranks = nothing_left(|| {
                let job = Job::new(&mut line).workers(workers).schedule(Schedule::Static);
                job.run(|w, mut slice| -> parfork::Result<usize> {
                    slice[0] += 1;
                    w.barrier()?;
                    Ok(w.rank())
                })
                .unwrap()
            });
            assert!(ranks.iter().copied().eq(0..workers));
        }
        assert!(line.as_slice().iter().all(|&count| count == 3));
    }
}

pub(crate) fn unwritten_output_appears_once() {
    let mut child = play("workers::print_and_fork").stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(text, "of Rust's, of C's, and after\n");
}

pub(crate) fn print_and_fork() {
    print!("of Rust's, ");
    // SAFETY: a live string that ends in 0; it stays in C's buffer, for stdout is a pipe.
    unsafe { libc::printf(c"of C's, ".as_ptr()) };
    let mut line = Shared::<u8, _>::zeros(8).unwrap();
    parfork::fork(4, &mut line, |_, mut slice| slice[0] = 1).unwrap();
    print!("and after");
    parfork::fork(4, &mut line, |w, _| die_at(w.region().index() == 0)).unwrap_err();
    println!();
    assert_eq!(line.as_slice(), [1; 8]);
}

/// A worker is a process with one thread, so it may fork too. What it was lent is not lent on: only it writes its slice.
pub(crate) fn a_job_within_a_worker() {
    let mut outer = Shared::<u64, _>::zeros(4).unwrap();
    nothing_left(|| {
        let run = parfork::fork(2, &mut outer, |w, mut slice| -> parfork::Result<()> {
            let mut inner = Shared::<u64, _>::zeros(10)?;
            parfork::fork(3, &mut inner, |w, mut slice| slice[0] = w.region().index() as u64)?;
            slice[0] = inner.as_slice().iter().sum::<u64>() + w.region().index() as u64;
            Ok(())
        });
        run.unwrap();
    });
    assert_eq!(outer.as_slice(), [45, 46, 47, 48]);
    let mut outer = Shared::<u64, _>::zeros(1).unwrap();
    let error = nothing_left(|| {
        let run = parfork::fork(1, &mut outer, |_, slice| -> parfork::Result<()> {
            let (slice, inner) = (std::cell::RefCell::new(slice), Shared::<u64, _>::zeros(2)?);
            parfork::fork(2, &inner, |_, _| slice.borrow_mut()[0] += 1)?;
            Ok(())
        });
        run.unwrap_err()
    });
    assert!(error.to_string().contains("SIGSEGV"), "two processes wrote one slice: {error}");
}

pub(crate) fn a_report_says_who_did_what() {
    let source = Shared::<u8, _>::zeros((10, 10)).unwrap();
    for (engine, schedule) in Engine::ALL.into_iter().flat_map(|engine| schedules().map(move |s| (engine, s))) {
        let job = Job::new(&source).workers(3).schedule(schedule).runner(engine).measure_memory(true);
        let ranks = job.run(|w, _| w.rank()).unwrap();
        let report = ranks.report();
        assert_eq!((report.engine, report.spec.schedule, report.grid.slices()), (engine, Some(schedule), 10));
        assert_eq!(report.workers.len(), if engine == Engine::Serial { 1 } else { 3 });
        for (rank, worker) in report.workers.iter().enumerate() {
            assert!(worker.slices.is_sorted());
            assert!(worker.slices.iter().all(|&slice| ranks[slice] == rank), "{engine} {schedule}");
            assert_eq!(worker.addresses.len(), 1);
            assert!(worker.memory.is_some_and(|memory| memory.private > 0));
        }
        assert_eq!(report.workers.iter().map(|worker| worker.slices.len()).sum::<usize>(), 10);
        if schedule == Schedule::Static {
            let first = report.workers[0].slices.len();
            assert_eq!(first, if engine == Engine::Serial { 10 } else { 4 });
        }
    }
}
