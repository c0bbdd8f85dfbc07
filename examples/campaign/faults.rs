//! What befalls a job, as chance has it.

use std::time::Duration;

use crate::deed::Deed;
use crate::engine::Engine;
use crate::offspring::{Child, Daemon, Nest};
use crate::page::MOST_FAULTS;
use crate::plan::{Fault, Place, Plan};
use crate::rng::TrialRng;
use crate::scribble::Scribble;

/// What a body does or what ends it.
fn in_a_body(rng: &mut TrialRng, plan: &Plan) -> Deed {
    let ends = |rng: &mut TrialRng| loop {
        match rng.one(&Deed::IN_A_BODY) {
            Deed::Stray if !plan.guard => {}
            deed => break deed,
        }
    };
    match (plan.engine, rng.within(0..100)) {
        (Engine::Serial, 0..40) => Deed::Nest(Nest::new(rng)),
        (Engine::Serial | Engine::Threads, _) => rng.one(&Deed::IN_THE_COORDINATOR),
        (Engine::Programs, 0..25) => Deed::Fork(Child::new(rng)),
        (Engine::Programs, 25..40) => Deed::Leave(Daemon::new(rng)),
        (Engine::Programs, _) => rng.one(&Deed::IN_A_PROGRAM),
        (_, 0..35) => Deed::Scribble(Scribble::new(rng, plan.carry.is_some())),
        (_, 35..45) => Deed::Fork(Child::new(rng)),
        (_, 45..50) => Deed::Leave(Daemon::new(rng)),
        (_, 50..53) => Deed::Nest(Nest::new(rng)),
        _ => ends(rng),
    }
}

pub(crate) fn faults(rng: &mut TrialRng, plan: &Plan) -> Vec<Fault> {
    let in_slice = |rng: &mut TrialRng, times| {
        let (slice, hundredths) = (rng.within(0..plan.grid().slices()), rng.within(0..101));
        let deed = in_a_body(rng, plan);
        Fault { deed, place: Place::Slice { slice, hundredths, times } }
    };
    // From when the workers are made to a bit beyond the end, as a job without faults goes.
    let worker = if matches!(plan.engine, Engine::Programs) { 1500 } else { 200 };
    let end = 300 + worker * plan.workers + plan.busy.as_micros() as usize;
    let after = |rng: &mut TrialRng| Duration::from_micros(rng.within(0..end) as u64);
    let from_outside = |rng: &mut TrialRng| {
        let place = Place::Worker { pick: rng.within(0..32), after: after(rng) };
        Fault { deed: rng.one(&Deed::FROM_OUTSIDE), place }
    };
    let in_fork_server = |rng: &mut TrialRng| {
        let place = Place::ForkServer { pick: rng.within(0..2), after: after(rng) };
        Fault { deed: rng.one(&[Deed::Kill, Deed::Kill, Deed::Stop]), place }
    };
    let at_birth = |rng: &mut TrialRng| {
        let place = Place::Birth { fork: rng.within(1..plan.workers + 1) as u64 };
        Fault { deed: rng.one(&Deed::AT_BIRTH), place }
    };
    let to_the_coordinator = |rng: &mut TrialRng| Fault {
        deed: rng.one(&Deed::TO_THE_COORDINATOR),
        place: Place::Coordinator { after: after(rng) },
    };
    if plan.is_one_process() {
        return match rng.within(0..10) {
            0..2 => vec![],
            2..7 => vec![in_slice(rng, 1)],
            7 => vec![in_slice(rng, 1), in_slice(rng, 1)],
            _ => vec![to_the_coordinator(rng)],
        };
    }
    match rng.within(0..100) {
        0..6 => vec![],
        6..40 => vec![in_slice(rng, 1)],
        40..44 => vec![in_slice(rng, 1), in_fork_server(rng)],
        44..64 => vec![from_outside(rng)],
        64..70 => vec![at_birth(rng)],
        70..78 => {
            let times = rng.within(2..5) as u64;
            vec![in_slice(rng, times)]
        }
        78..80 => vec![in_fork_server(rng)],
        80..87 => vec![to_the_coordinator(rng)],
        _ => (0..rng.within(2..MOST_FAULTS + 1))
            .map(|_| match rng.within(0..11) {
                10 => in_fork_server(rng),
                0..5 => {
                    let times = rng.within(1..3) as u64;
                    in_slice(rng, times)
                }
                5..8 => from_outside(rng),
                8 => at_birth(rng),
                _ => to_the_coordinator(rng),
            })
            .collect(),
    }
}
