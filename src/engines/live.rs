//! A worker's life in a process of its own, from birth to the status it leaves with.

use std::mem::ManuallyDrop;

use super::desk::Desk;
use super::work::{Round, Stopped, Work, note_panic};
use crate::answer::Answer;
use crate::error::{Error, Result};
use crate::lend::Lend;
use crate::shared::Withheld;
use crate::sync::Words;
use crate::sys::{child, limits};
use crate::worker::Worker;

/// Signs, attaches, labours, meets the coordinator. `withheld` are the addresses that this process must keep empty, if its
/// parent has not seen to that.
pub(super) fn live<L: Lend, R: Answer, B: Fn(&Worker<'_>, L::Part) -> R>(
    work: &Work<'_, L, B>,
    round: &Round,
    rank: usize,
    withheld: Option<Withheld>,
) -> i32 {
    let berth = &work.board.berths()[rank];
    berth.enter(std::process::id());
    berth.obituary.sign();
    child::name(&format!("parfork-w{rank}"));
    keep_panics_quiet();
    let desk = match prepare(work, withheld) {
        // Never unmapped: a thread that the body left running may still look at a view.
        Ok(desk) => ManuallyDrop::new(desk),
        Err(error) => {
            berth.say(&Words::Refused { reason: error.to_string() });
            work.board.give_up(Some(rank));
            return 1;
        }
    };
    // SAFETY: attached just now with the access each loan asks for, until the process ends; each rank is born once.
    #[allow(unsafe_code)]
    let done = unsafe { work.labour(round, rank, &desk) };
    match done {
        Err(Stopped) => 1,
        Ok(()) => {
            let participants = round.dealer.workers as u32 + 1;
            work.board.head().end.meet(participants, work.patience).map_or(1, |()| 0)
        }
    }
}

/// Maps what was lent, and nothing else of the coordinator's arrays; limits the memory that may be added to that.
fn prepare<'w, L: Lend, B>(work: &Work<'w, L, B>, withheld: Option<Withheld>) -> Result<Desk<'w>> {
    withheld
        .map_or(Ok(()), Withheld::blockade)
        .map_err(Error::system("keep a worker away from arrays it was not lent"))?;
    let desk = Desk::attach(work.lent, work.care)?;
    if let Some(limit) = work.memory_limit {
        let private = limit.saturating_add(work.care.private_bytes(&work.loans()) as u64);
        limits::limit_private_memory(private).map_err(Error::system("limit a worker's memory"))?;
    }
    Ok(desk)
}

/// Lets a panic of the worker's own thread be told by the coordinator, in its error, instead of on stderr here. The hook
/// that was inherited keeps its say for other threads; it is never dropped, for it is not this process's to drop.
fn keep_panics_quiet() {
    // With abort nobody will catch the panic, so stderr is all there is. A thread that panics already (the job runs in a
    // destructor) must leave the hook as it is.
    if cfg!(panic = "abort") || std::thread::panicking() {
        return;
    }
    let inherited = std::panic::take_hook();
    let worker = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == worker {
            note_panic(info.location().map(ToString::to_string).unwrap_or_default());
        } else {
            inherited(info);
        }
    }));
}
