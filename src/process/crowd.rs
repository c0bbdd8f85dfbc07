//! The workers of a one-shot job, held by the coordinator. Dropping the crowd ends and reaps them all.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::error::Cause;
use crate::sync::Board;
use crate::sys::child::{Child, Exit};
use crate::sys::futex;
use crate::sys::obituary::Obituary;

/// Why a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The word may have changed, or it is time to look.
    Changed,
    /// This worker is dead.
    Died { rank: usize },
}

/// Children in order of rank.
pub(crate) struct Crowd {
    children: Vec<Child>,
    /// Who is known to be dead.
    buried: Vec<bool>,
    /// When all were last asked for.
    asked: Cell<Instant>,
    /// When the youngest was made.
    made: Instant,
}

impl Crowd {
    /// How often to ask the system for deaths that no obituary can tell: of workers that died before they signed theirs,
    /// and of those beyond the number of words that can be waited on at once (or all, before Linux 5.16).
    const ROUND: Duration = Duration::from_millis(10);
    /// How soon after the birth of the last worker to ask first; then when as much time has passed again, and so on until
    /// rounds are as long as above. Workers sign soon after their birth but not before the coordinator first sleeps, and it
    /// does not wait on the words of those who have not: a death early in a job would be heard of at the end of the round.
    const FIRST_ROUND: Duration = Duration::from_micros(50);
    /// How often to ask for all others. The kernel writes an obituary only if the dead worker's memory still tells it where:
    /// one that has unmapped the board or scribbled on it dies unheard.
    const SLOW_ROUND: Duration = Duration::from_millis(500);

    pub(crate) fn new() -> Self {
        Self { children: Vec::new(), buried: Vec::new(), asked: Cell::new(Instant::now()), made: Instant::now() }
    }

    pub(crate) fn add(&mut self, child: Child) {
        self.children.push(child);
        self.buried.push(false);
        self.made = Instant::now();
    }

    /// Sleeps until the word changes from the value beside it, a worker dies, or `until`. May return early: look again.
    pub(crate) fn wait(&self, board: &Board, word: (&AtomicU32, u32), until: Option<Instant>) -> Event {
        let mut words = Vec::with_capacity(futex::MOST_WORDS);
        words.push(word);
        let mut rounds = false;
        let slow = self.ask_all_again();
        let living = self.children.iter().zip(board.berths()).enumerate().filter(|(rank, _)| !self.buried[*rank]);
        for (rank, (child, berth)) in living {
            let obituary = berth.obituary.word();
            let value = obituary.load(Ordering::Acquire);
            if Obituary::says_dead(value) {
                return Event::Died { rank };
            }
            let heard = Obituary::says_signed(value) && words.len() < futex::MOST_WORDS;
            if heard {
                words.push((obituary, value));
            }
            if (!heard || slow) && child.ended().is_some() {
                return Event::Died { rank };
            }
            rounds |= !heard;
        }
        let round = |rounds: bool| {
            let round = self.made.elapsed().clamp(Self::FIRST_ROUND, Self::ROUND);
            let pause = if rounds { round } else { Self::SLOW_ROUND };
            until.into_iter().chain([Instant::now() + pause]).min()
        };
        if futex::wait_any(&words, round(rounds)).is_err() {
            futex::wait(word.0, word.1, round(true));
        }
        Event::Changed
    }

    /// Whether it is time to ask for all.
    fn ask_all_again(&self) -> bool {
        let again = self.asked.get().elapsed() >= Self::SLOW_ROUND;
        if again {
            self.asked.set(Instant::now());
        }
        again
    }

    /// Ends them all. Their end is certain after this, but may take a moment.
    pub(crate) fn kill(&self) {
        self.children.iter().for_each(Child::kill);
    }

    /// Ends them all, whose work is over, and returns those that may still have to give back their memory, which can take
    /// long; they are reaped when they are dropped. None can execute another instruction, and the kernel has written all
    /// obituaries.
    pub(crate) fn leave(mut self, board: &Board) -> Vec<Child> {
        self.kill();
        let hands = std::mem::take(&mut self.children).into_iter().zip(board.berths());
        // The others are dropped here, and so reaped.
        hands.filter(|(child, berth)| is_past(child, &berth.obituary)).map(|(child, _)| child).collect()
    }

    /// Hears no more of one that is dead or as good as that, and can do nothing more; its pid and what ended it.
    pub(crate) fn bury(&mut self, rank: usize) -> (u32, Cause) {
        let child = &self.children[rank];
        // One whose obituary lies may still be alive.
        child.kill();
        let cause = match child.foretold().unwrap_or_else(|| child.wait()) {
            Exit::Status(status) => Cause::Exited { status },
            Exit::Signal(signal) => Cause::Signalled { signal },
            Exit::Unknown => Cause::Unknown,
        };
        self.buried[rank] = true;
        (child.pid(), cause)
    }
}

/// Whether one that was ended is known to be past its last instruction, with its obituary written. Waits for that, which is
/// a matter of microseconds, but not for one that has not signed.
fn is_past(child: &Child, obituary: &Obituary) -> bool {
    loop {
        let word = obituary.word().load(Ordering::Acquire);
        if Obituary::says_dead(word) {
            return child.foretold().is_some();
        }
        if !Obituary::says_signed(word) || child.ended().is_some() {
            return false;
        }
        futex::wait(obituary.word(), word, Some(Instant::now() + Crowd::FIRST_ROUND));
    }
}
