//! Random numbers are of a slice, whoever works on it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use parfork::{Crew, Engine, Job, Philox, Schedule};

use crate::kill_me;
use crate::support::{Page, nothing_left};

fn first_two(mut random: Philox) -> [u64; 2] {
    [random.next_u64(), random.next_u64()]
}

pub(crate) fn numbers_are_of_a_slice_and_a_seed() {
    let known: Vec<_> = (0..40).map(|slice| first_two(Philox::new([7, 0], [0, 0, 0, slice]))).collect();
    assert_eq!(known.iter().flatten().collect::<BTreeSet<_>>().len(), 80);
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| [1, 2, 5].map(|workers| (engine, workers))) {
        for schedule in ["static", "dynamic=3", "guided"] {
            let schedule = schedule.parse::<Schedule>().unwrap();
            let (begun, kills) = (Page::new(), engine == Engine::Processes);
            let job = Job::new(0..40).workers(workers).schedule(schedule).runner(engine).retries(1);
            let thrown = nothing_left(|| {
                job.run(|w, mine| {
                    let thrown = first_two(w.random(7));
                    if kills && mine.start % 9 == 4 && begun[mine.start].fetch_add(1, Ordering::Relaxed) == 0 {
                        kill_me();
                    }
                    // Each call begins anew, and another seed is another stream.
                    assert_eq!(first_two(w.random(7)), thrown);
                    assert_ne!(first_two(w.random(8)), thrown);
                    thrown
                })
            });
            let thrown = thrown.unwrap();
            assert_eq!(thrown.report().deaths.len(), if kills { 4 } else { 0 });
            assert_eq!(thrown[..], known, "{engine} {workers} {schedule}");
        }
        let job = Job::new(0..40).workers(1).runner(engine).only_slice(31);
        assert_eq!(job.run(|w, _| first_two(w.random(7))).unwrap()[..], known[31..32]);
    }
    let thrown = Crew::start(2).unwrap().run(0..40, 7, |w, seed, _| first_two(w.random(seed)));
    assert_eq!(thrown.unwrap()[..], known);
}
