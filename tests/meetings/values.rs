//! Values that workers bring to meetings.

use parfork::{BarrierError, Crew, Engine, Error, Job, Schedule, Shared, Split};

use crate::support::nothing_left;
use crate::{job, kill_me, line};

pub(crate) fn of_all_come_in_the_order_of_ranks() {
    for (engine, workers) in
        [(Engine::Serial, 1), (Engine::Threads, 3), (Engine::Processes, 7), (Engine::Processes, 64)]
    {
        let mut cells = line(workers);
        let wrong = nothing_left(|| {
            job(&mut cells).runner(engine).run(|w, _| -> parfork::Result<u64> {
                let (mut wrong, workers) = (0, w.workers() as u64);
                for round in 0..100 {
                    let right: Vec<[u64; 3]> = (0..workers).map(|rank| [rank, round, rank * round]).collect();
                    wrong += u64::from(w.all([w.rank() as u64, round, w.rank() as u64 * round])? != right);
                    // Of any size up to 16 words, and none.
                    wrong += u64::from(w.all(w.rank() as u8)?.into_iter().map(u64::from).ne(0..workers));
                    wrong += u64::from(w.all([round; 16])? != vec![[round; 16]; workers as usize]);
                    wrong += u64::from(w.all(())?.len() as u64 != workers);
                }
                Ok(wrong)
            })
        });
        assert!(wrong.unwrap().iter().all(|&wrong| wrong == 0), "{engine}, {workers} workers");
    }
}

/// Newton's way to a root, each worker with a number of its own: all stop when the last is there.
pub(crate) fn decide_for_all_when_to_stop() {
    let mut crew = Crew::start(4).unwrap();
    for _ in 0..3 {
        let mut roots = Shared::<f64, _>::zeros(4).unwrap();
        let job = Job::new(&mut roots).crew(&mut crew).schedule(Schedule::Static).split(Split::rows().into_pieces(4));
        let rounds = job.run_with((), |w, (), mut mine| -> parfork::Result<u64> {
            let number = 10_f64.powi(3 * w.rank() as i32);
            mine[0] = number;
            for round in 1.. {
                let next = (mine[0] + number / mine[0]) / 2.0;
                let moved = (next - mine[0]).abs() / next;
                mine[0] = next;
                if w.all(moved)?.into_iter().all(|moved| moved < 1e-14) {
                    return Ok(round);
                }
            }
            Ok(0)
        });
        let rounds = rounds.unwrap();
        assert!(rounds.iter().all(|&round| round == rounds[0] && round > 5), "{:?}", &rounds[..]);
        let right = [0, 3, 6, 9].map(|power| 10_f64.powi(power).sqrt());
        assert!(roots.view().iter().zip(right).all(|(root, right)| (root - right).abs() < 1e-9 * right));
    }
}

pub(crate) fn of_the_dead_are_missed() {
    let mut cells = line(3);
    let error = nothing_left(|| {
        job(&mut cells).run(|w, _| -> parfork::Result<u64> {
            if w.rank() == 1 {
                kill_me();
            }
            Ok(w.all(w.rank() as u64)?.into_iter().sum())
        })
    });
    assert!(matches!(&error, Err(Error::WorkerDied(death)) if death.rank == 1), "{error:?}");
    // Those who go on are told who has brought nothing.
    let error = nothing_left(|| {
        job(&mut cells).continue_after_death(true).run(|w, _| -> parfork::Result<u64> {
            if w.rank() == 1 {
                kill_me();
            }
            match w.all(w.rank() as u64) {
                Err(Error::Barrier(BarrierError::NoValue { rank: 1, died: true })) => Ok(7),
                other => panic!("{other:?}"),
            }
        })
    });
    assert!(matches!(&error, Err(Error::WorkerDied(death)) if death.rank == 1), "{error:?}");
}

pub(crate) fn are_not_had_by_who_comes_without_one() {
    let mut cells = line(2);
    let told = job(&mut cells).run(|w, _| -> parfork::Result<u64> {
        if w.rank() == 1 {
            w.barrier()?;
            return Ok(0);
        }
        let error = w.all(5_u64).unwrap_err();
        Ok(u64::from(
            error.to_string().contains("worker 1 brought no value") && error.to_string().contains("call all()"),
        ))
    });
    assert_eq!(told.unwrap()[..], [1, 0]);
    // Nor is one of another size taken for it.
    let told = job(&mut cells).run(|w, _| match w.rank() {
        0 => u64::from(w.all(1_u64).is_err()),
        _ => u64::from(w.all(1_u32).is_err()),
    });
    assert_eq!(told.unwrap()[..], [1, 1]);
    // In jobs whose workers cannot meet it is the barrier's error.
    let error = Job::new(&mut cells).workers(1).run(|w, _| w.all(1_u8).map(|all| all.len())).unwrap_err().to_string();
    assert!(error.contains("can meet only if"), "{error}");
}
