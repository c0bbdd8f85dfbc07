//! What those who wait at a meeting are told: of a stop, a death, a panic, an error, and of who comes too late.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parfork::{CancelToken, Cause, Engine, Error, Job, Schedule, Shared, Worker};

use crate::support::{Page, nothing_left};
use crate::{job, kill_me, line, wait_for_ever};

/// Also one that comes before the other worker has begun, which then never comes to the meeting.
pub(crate) fn a_stop_reaches_those_who_wait_at_a_meeting() {
    for engine in [Engine::Processes, Engine::Threads] {
        for _ in 0..100 {
            let (stop, asked) = (CancelToken::new(), Page::new());
            let mut cells = line(2);
            let job = job(&mut cells).runner(engine).cancel_token(&stop);
            // Threads ask for it themselves; for processes the coordinator does, which looks up now and then to tell progress.
            let ask = |_, _| {
                if asked[0].load(Ordering::Relaxed) > 0 {
                    stop.cancel();
                }
            };
            let job = if engine == Engine::Processes { job.progress(ask) } else { job };
            let done = nothing_left(|| {
                job.run(|w, _| {
                    asked[0].store(1, Ordering::Relaxed);
                    stop.cancel();
                    w.barrier()
                })
            });
            // Done, if both had begun by then.
            assert!(matches!(done, Ok(_) | Err(Error::Stopped { .. })), "{engine}: {done:?}");
        }
    }
}

pub(crate) fn a_death_reaches_those_who_wait_at_a_meeting() {
    for workers in [2, 8, 150] {
        for dead in [0, workers - 1] {
            let mut array = Shared::<u8, _>::zeros(workers).unwrap();
            let error = nothing_left(|| {
                let job = Job::new(&mut array).workers(workers).schedule(Schedule::Static);
                job.run(|w, _| -> parfork::Result<()> {
                    w.barrier()?;
                    if w.rank() == dead {
                        kill_me();
                    }
                    w.barrier()
                })
                .unwrap_err()
            });
            // The cause, not what the others make of it.
            let Error::WorkerDied(death) = &error else { panic!("{error:?}") };
            assert_eq!((death.rank, &death.cause), (dead, &Cause::Signalled { signal: libc::SIGKILL }), "{error}");
        }
    }
}

/// What each worker was told, on pages that outlive it; 0 for nothing, or the text's letters.
struct Told(Page);

impl Told {
    const LETTERS: usize = 400;

    fn new() -> Self {
        Self(Page::new())
    }

    fn note(&self, slot: usize, error: &Error) {
        let text = error.to_string();
        for (word, letters) in
            self.0[slot * Self::LETTERS / 8..].iter().zip(text.as_bytes()[..text.len().min(Self::LETTERS)].chunks(8))
        {
            let mut eight = [0; 8];
            eight[..letters.len()].copy_from_slice(letters);
            word.store(u64::from_le_bytes(eight), Ordering::Relaxed);
        }
    }

    fn text(&self, slot: usize) -> String {
        let words = &self.0[slot * Self::LETTERS / 8..][..Self::LETTERS / 8];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    }
}

/// Runs workers that meet three times, of which number `who` does `deed` before meeting number `when`; what the others are
/// told. The coordinator ends them as soon as it knows, but here not before its progress has been told.
fn told(workers: usize, who: usize, when: u64, deed: impl Fn() -> Result<(), String> + Sync) -> (Vec<String>, Error) {
    let (mut cells, told, deeds, news, begun) = (line(workers), Told::new(), Page::new(), Page::new(), Page::new());
    let mut looks = 0;
    let all_told = |_: usize, _: usize| {
        // The first look after the deed is most often the coordinator's waking up, before it has told anybody, so that nobody
        // can hear of it while it looks; but if it was awake, the others are ended after this look.
        looks += u32::from(deeds[0].load(Ordering::Relaxed) > 0);
        let patience = Duration::from_millis([0, 300, 5000][looks.min(2) as usize]);
        let until = std::time::Instant::now() + patience;
        while news[0].load(Ordering::Acquire) < workers as u64 - 1 && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
    };
    let error = nothing_left(|| {
        let body = |w: &Worker<'_>, _: parfork::Slice<'_, u64, ndarray::Ix1>| -> Result<(), String> {
            begun[0].fetch_add(1, Ordering::Release);
            for meeting in 0..3 {
                if w.rank() == who && meeting == when {
                    // Who has not begun with its slice by then leaves without a word.
                    while begun[0].load(Ordering::Acquire) < workers as u64 {
                        std::thread::yield_now();
                    }
                    std::thread::sleep(Duration::from_millis(10));
                    deeds[0].store(1, Ordering::Relaxed);
                    deed()?;
                }
                if let Err(error) = w.barrier() {
                    told.note(w.rank(), &error);
                    assert_eq!(w.barrier().unwrap_err().to_string(), error.to_string());
                    news[0].fetch_add(1, Ordering::Release);
                    return Err(error.to_string());
                }
            }
            Ok(())
        };
        job(&mut cells).progress(all_told).run(body).unwrap_err()
    });
    ((0..workers).filter(|&rank| rank != who).map(|rank| told.text(rank)).collect(), error)
}

fn names_one(texts: &[String], who: usize, words: &str) {
    let start = format!("the workers cannot meet, because worker {who} will not come: it");
    assert!(texts.iter().all(|text| text.starts_with(&start) && text.contains(words)), "{texts:?}");
}

pub(crate) fn each_who_waits_is_told_who_died() {
    for workers in [2, 7, 20] {
        for (who, when) in [(0, 0), (workers - 1, 0), (workers / 2, 1), (workers - 1, 2)] {
            let (texts, error) = told(workers, who, when, || {
                kill_me();
                Ok(())
            });
            names_one(&texts, who, &format!("died on slice {who}"));
            let Error::WorkerDied(death) = &error else { panic!("{error:?}") };
            assert_eq!((death.rank, &death.cause), (who, &Cause::Signalled { signal: libc::SIGKILL }));
        }
    }
}

pub(crate) fn each_who_waits_is_told_of_a_panic_and_of_an_error() {
    let (texts, error) = told(5, 3, 1, || panic!("expected at a meeting"));
    names_one(&texts, 3, "panicked on slice 3: expected at a meeting");
    assert!(matches!(error, Error::WorkerDied(death) if death.rank == 3));
    let (texts, error) = told(5, 2, 1, || Err("no more".to_owned()));
    names_one(&texts, 2, "gave up on slice 2: no more");
    assert!(matches!(error, Error::BodyFailed(refusal) if refusal.rank == 2));
}

pub(crate) fn who_comes_too_late_is_named() {
    for (workers, late) in [(2, vec![1]), (5, vec![1, 3]), (64, (10..30).collect())] {
        let mut cells = line(workers);
        let error = nothing_left(|| {
            let body = |w: &Worker<'_>, _: parfork::Slice<'_, u64, ndarray::Ix1>| -> parfork::Result<()> {
                w.barrier_timeout(Duration::from_secs(30))?;
                if late.contains(&w.rank()) {
                    wait_for_ever();
                }
                // One whose patience ends first, the others would wait for ever.
                if w.rank() == 0 {
                    w.barrier_timeout(Duration::from_secs(2))
                } else {
                    w.barrier().map_err(|error| {
                        assert!(error.to_string().contains("worker 0 would not wait any longer"), "{error}");
                        wait_for_ever();
                        error
                    })
                }
            };
            job(&mut cells).run(body).unwrap_err()
        });
        let Error::BodyFailed(refusal) = &error else { panic!("{error:?}") };
        assert_eq!(refusal.rank, 0, "{error}");
        let came = format!("{} of {workers} came within 2s", workers - late.len());
        let who = match late.len() {
            1 => "worker 1 did not".to_owned(),
            2 => "workers 1, 3 did not".to_owned(),
            many => format!("workers 10, 11, 12, 13, 14, 15, 16, 17 and {} more did not", many - 8),
        };
        assert!(refusal.reason.contains(&came) && refusal.reason.contains(&who), "{error}");
    }
}

pub(crate) fn time_that_is_not_up_changes_nothing() {
    for (engine, workers) in
        [Engine::Processes, Engine::Threads].into_iter().flat_map(|e| [1, 2, 8, 100].map(|n| (e, n)))
    {
        let mut cells = line(workers);
        let run = job(&mut cells).runner(engine).run(|w, _| -> parfork::Result<()> {
            for round in 0..30 {
                w.barrier_timeout([Duration::from_secs(60), Duration::MAX][round % 2])?;
                w.barrier()?;
            }
            Ok(())
        });
        run.unwrap();
    }
}

pub(crate) fn time_that_is_up_is_for_threads_too() {
    let (mut cells, gave_up) = (line(3), AtomicBool::new(false));
    let run = job(&mut cells).runner(Engine::Threads).run(|w, _| -> parfork::Result<()> {
        while w.rank() == 2 && !gave_up.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        let met = w.barrier_timeout(if w.rank() == 0 { Duration::from_millis(10) } else { Duration::MAX });
        gave_up.store(true, Ordering::Relaxed);
        met
    });
    let text = run.unwrap_err().to_string();
    assert!(text.contains("came within 10ms") || text.contains("would not wait any longer"), "{text}");
}
