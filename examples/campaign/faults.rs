//! What befalls a job, as chance has it.

use std::time::Duration;

use crate::chance::Chance;
use crate::deed::Deed;
use crate::offspring::{Child, Daemon, Nest};
use crate::page::MOST_FAULTS;
use crate::plan::{Engine, Fault, Place, Plan};
use crate::scribble::Scribble;

/// What a body does or what ends it.
fn in_a_body(chance: &mut Chance, plan: &Plan) -> Deed {
    let ends = |chance: &mut Chance| loop {
        match chance.one(&Deed::IN_A_BODY) {
            Deed::Stray if !plan.guard => {}
            deed => break deed,
        }
    };
    match (plan.engine, chance.within(0..100)) {
        (Engine::Serial, 0..40) => Deed::Nest(Nest::new(chance)),
        (Engine::Serial | Engine::Threads, _) => chance.one(&Deed::IN_THE_COORDINATOR),
        (Engine::Programs, 0..25) => Deed::Fork(Child::new(chance)),
        (Engine::Programs, 25..40) => Deed::Leave(Daemon::new(chance)),
        (Engine::Programs, _) => chance.one(&Deed::IN_A_PROGRAM),
        (_, 0..35) => Deed::Scribble(Scribble::new(chance)),
        (_, 35..45) => Deed::Fork(Child::new(chance)),
        (_, 45..50) => Deed::Leave(Daemon::new(chance)),
        (_, 50..53) => Deed::Nest(Nest::new(chance)),
        _ => ends(chance),
    }
}

pub(crate) fn faults(chance: &mut Chance, plan: &Plan) -> Vec<Fault> {
    let in_slice = |chance: &mut Chance, times| {
        let (slice, hundredths) = (chance.within(0..plan.grid().slices()), chance.within(0..101));
        let deed = in_a_body(chance, plan);
        Fault { deed, place: Place::Slice { slice, hundredths, times } }
    };
    // From when the workers are made to a bit beyond the end, as a job without faults goes.
    let worker = if matches!(plan.engine, Engine::Programs) { 1500 } else { 200 };
    let end = 300 + worker * plan.workers + plan.busy.as_micros() as usize;
    let after = |chance: &mut Chance| Duration::from_micros(chance.within(0..end) as u64);
    let from_outside = |chance: &mut Chance| {
        let place = Place::Worker { pick: chance.within(0..32), after: after(chance) };
        Fault { deed: chance.one(&Deed::FROM_OUTSIDE), place }
    };
    let in_fork_server = |chance: &mut Chance| {
        let place = Place::ForkServer { after: after(chance) };
        Fault { deed: chance.one(&[Deed::Kill, Deed::Kill, Deed::Stop]), place }
    };
    let at_birth = |chance: &mut Chance| {
        let place = Place::Birth { fork: chance.within(1..plan.workers + 1) as u64 };
        Fault { deed: chance.one(&Deed::AT_BIRTH), place }
    };
    let to_the_coordinator = |chance: &mut Chance| Fault {
        deed: chance.one(&Deed::TO_THE_COORDINATOR),
        place: Place::Coordinator { after: after(chance) },
    };
    if plan.is_one_process() {
        return match chance.within(0..10) {
            0..2 => vec![],
            2..7 => vec![in_slice(chance, 1)],
            7 => vec![in_slice(chance, 1), in_slice(chance, 1)],
            _ => vec![to_the_coordinator(chance)],
        };
    }
    match chance.within(0..100) {
        0..6 => vec![],
        6..40 => vec![in_slice(chance, 1)],
        40..44 => vec![in_slice(chance, 1), in_fork_server(chance)],
        44..64 => vec![from_outside(chance)],
        64..70 => vec![at_birth(chance)],
        70..78 => {
            let times = chance.within(2..5) as u64;
            vec![in_slice(chance, times)]
        }
        78..80 => vec![in_fork_server(chance)],
        80..87 => vec![to_the_coordinator(chance)],
        _ => (0..chance.within(2..MOST_FAULTS + 1))
            .map(|_| match chance.within(0..11) {
                10 => in_fork_server(chance),
                0..5 => {
                    let times = chance.within(1..3) as u64;
                    in_slice(chance, times)
                }
                5..8 => from_outside(chance),
                8 => at_birth(chance),
                _ => to_the_coordinator(chance),
            })
            .collect(),
    }
}
