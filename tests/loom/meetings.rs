//! Whether anybody has met: a worker dies before it comes to a meeting, on the way, or after, and another comes too. Nobody meets who would
//! have to meet the dead one's replacement again, and if nobody has met there is one.

use std::sync::{Arc, Mutex};

use crate::atomic::{AtomicU64, step};
use crate::first_meeting::FirstMeeting;
use crate::{Model, at_every_step, explore, models, spawn, spawn_watched};

pub const MODELS: &[Model] = models![who_comes_first_decides_for_all, all_meet_if_nobody_dies];

/// What is on a control page; and what workers and coordinator found.
#[derive(Default)]
struct Place {
    word: AtomicU64,
    /// Whether each of those who came could meet.
    met: Mutex<Vec<bool>>,
    /// Whether the coordinator lets another do what the dead one was to do.
    replaces: Mutex<Option<bool>>,
}

impl Place {
    fn first_meeting(&self) -> FirstMeeting<'_> {
        FirstMeeting { word: &self.word, key: 42 }
    }

    fn work(&self) {
        step();
        let can_meet = self.first_meeting().come().expect("nobody has written over it");
        self.met.lock().unwrap().push(can_meet);
        step();
    }
}

fn who_comes_first_decides_for_all() {
    at_every_step(None, |steps| {
        let place = Arc::new(Place::default());
        place.first_meeting().open();
        let [doomed, retiring, other] = [place.clone(), place.clone(), place.clone()];
        let retire = move || *retiring.replaces.lock().unwrap() = Some(retiring.first_meeting().close());
        let doomed = spawn_watched(Some(steps), move || doomed.work(), retire);
        let other = spawn(None, move || other.work());
        let (died, _) = (doomed.join().unwrap(), other.join().unwrap());
        let (met, replaces) = (place.met.lock().unwrap().clone(), *place.replaces.lock().unwrap());
        match replaces {
            None => assert_eq!((died, &met[..]), (false, &[true, true][..])),
            // The next round is theirs, and all meet there.
            Some(true) => {
                assert!(met.iter().all(|met| !met), "{met:?}");
                place.first_meeting().open();
                assert_eq!([(); 2].map(|()| place.first_meeting().come()), [Some(true); 2]);
            }
            Some(false) => assert!(met.iter().all(|&met| met), "{met:?}"),
        }
        died
    });
}

fn all_meet_if_nobody_dies() {
    explore(None, || {
        let place = Arc::new(Place::default());
        place.first_meeting().open();
        let workers = [place.clone(), place.clone()].map(|place| spawn(None, move || place.work()));
        workers.into_iter().for_each(|worker| assert!(!worker.join().unwrap()));
        assert_eq!(*place.met.lock().unwrap(), [true, true]);
    });
}
