//! A process that does nothing but fork: replacements for workers that died, when the coordinator may have threads by then.
//!
//! It is forked when the job begins, while that is safe, sleeps, and has one thread for ever. An order is a number on the
//! board. The nursery forks the workers of the round, notes their pids and says done; the coordinator takes hold of them and
//! says so, before which none is reaped, so that a pid means what it says. From then on the nursery reaps who dies and notes
//! how it ended. Should it die itself, its workers die with it, and a pipe that they all hold open tells when the last is gone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::crowd::{Crowd, Event};
use crate::sync::{Berth, Board};
use crate::sys::child::{self, Child, Lifeline};
use crate::sys::futex;
use crate::sys::obituary::Obituary;

/// The fork server of a job, as the coordinator holds it. Dropping it ends it, and waits until all that it made are gone.
pub(crate) struct Nursery {
    board: Board,
    child: Child,
    orders: u32,
    _lifeline: Lifeline,
}

/// How long an order may take: a thousand forks of a process with gigabytes of its own, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The order to leave. Others are fewer: two for each round.
const CLOSE: u32 = u32::MAX;

/// How soon to look again for the end of a process that is about to end.
const SOON: Duration = Duration::from_millis(1);

/// How often to look whether it is still there.
const ROUND: Duration = Duration::from_millis(10);

impl Nursery {
    /// Forks it. For each order it calls `bear` with an empty crowd to be filled, and with
    /// what each of these must hold open until its end.
    ///
    /// # Safety
    /// As for [`child::spawn`].
    #[allow(unsafe_code)]
    pub(crate) unsafe fn open(board: &Board, bear: impl FnMut(&mut Crowd, BorrowedFd<'_>)) -> io::Result<Self> {
        // What the one before it was told and said is not for this one.
        // SAFETY: who had it before, if anybody, was dropped, and that waits for all that it made.
        unsafe { board.clear_post() };
        let (lifeline, held) = Lifeline::new()?;
        let life = || {
            let mut bear = bear;
            serve(board, |crowd| bear(crowd, held.as_fd()))
        };
        // SAFETY: passed on to the caller.
        let child = unsafe { child::spawn(life) }?;
        Ok(Self { board: board.clone(), child, orders: 0, _lifeline: lifeline })
    }

    /// Lets it fork the workers of a round.
    ///
    /// # Errors
    /// If it is gone, or does not answer; whoever it made is gone when it is dropped. If the system makes no more processes:
    /// the crowd is smaller than asked for then.
    pub(crate) fn bear(&mut self, workers: usize) -> io::Result<Crowd> {
        self.board.head().post.0.wanted.store(workers as u32, Ordering::Relaxed);
        self.order()?;
        let mut crowd = Crowd::new(&self.board);
        for pid in self.board.berths()[..workers].iter().map_while(|berth| berth.pid()) {
            crowd.foster(pid, self.child.pid())?;
        }
        self.order()?;
        Ok(crowd)
    }

    /// Whether the board says of orders what it should between two: else it may have taken what somebody wrote there for one,
    /// and have forked whoever was not asked for.
    pub(crate) fn is_intact(&self) -> bool {
        let post = &self.board.head().post.0;
        [&post.ordered, &post.done].into_iter().all(|word| word.load(Ordering::Acquire) == self.orders)
    }

    /// Gives the next order and waits until it is carried out.
    fn order(&mut self) -> io::Result<()> {
        let post = &self.board.head().post.0;
        if !self.is_intact() {
            return Err(written_over());
        }
        self.orders += 1;
        post.ordered.store(self.orders, Ordering::Release);
        futex::wake_all(&post.ordered);
        let until = Instant::now() + PATIENCE;
        loop {
            // Somebody may have stopped it, or may do so now.
            self.child.resume();
            let done = post.done.load(Ordering::Acquire);
            if done == self.orders {
                return Ok(());
            }
            if post.ordered.load(Ordering::Acquire) != self.orders || done != self.orders - 1 {
                return Err(written_over());
            }
            let end = post.obituary.word().load(Ordering::Acquire);
            if Obituary::says_dead(end) || self.child.ended().is_some() {
                return Err(io::Error::other("the process that was to fork them was killed"));
            }
            if Instant::now() > until {
                return Err(io::Error::other("the process that was to fork them does not answer"));
            }
            let round = Some(Instant::now() + ROUND);
            if futex::wait_any(&[(&post.done, done), (post.obituary.word(), end)], round).is_err() {
                futex::wait(&post.done, done, round);
            }
        }
    }
}

fn written_over() -> io::Error {
    io::Error::other("somebody has written over the board")
}

impl Drop for Nursery {
    /// Lets it reap whom it made and leave; what it does not reap would be left to nobody knows whom.
    fn drop(&mut self) {
        let post = &self.board.head().post.0;
        post.ordered.store(CLOSE, Ordering::Release);
        futex::wake_all(&post.ordered);
        let until = Instant::now() + PATIENCE;
        while self.child.ended().is_none() && Instant::now() < until {
            self.child.resume();
            let end = post.obituary.word().load(Ordering::Acquire);
            if Obituary::says_dead(end) {
                // Reaped when `child` is dropped.
                break;
            }
            futex::wait(post.obituary.word(), end, Some(Instant::now() + ROUND));
        }
    }
}

/// The nursery's own life.
fn serve(board: &Board, mut bear: impl FnMut(&mut Crowd)) -> i32 {
    child::name("parfork-nursery");
    let post = &board.head().post.0;
    post.obituary.sign();
    let (mut served, mut crowd) = (0, Crowd::new(board));
    // Of earlier rounds: dead, but the kernel may still be taking their memory apart.
    let mut leaving: Vec<Crowd> = Vec::new();
    loop {
        let ordered = post.ordered.load(Ordering::Acquire);
        let met = served % 2 == 0;
        if ordered == CLOSE {
            // Dropping a crowd reaps it.
            return 0;
        } else if ordered != served {
            if ordered != served + 1 {
                // Nobody orders that. Who has written over the board has a part in it; let all be replaced.
                return 1;
            }
            served = ordered;
            if served % 2 == 1 {
                leaving.push(std::mem::replace(&mut crowd, Crowd::new(board)));
                // The end of one before may have been noted just after the coordinator had made the berths new.
                board.berths().iter().for_each(Berth::forget_exit);
                bear(&mut crowd);
            }
            post.done.store(served, Ordering::Release);
            futex::wake_all(&post.done);
        } else if !met {
            futex::wait(&post.ordered, served, Some(Instant::now() + ROUND));
            // Those that were just born are at work, and one of them may have written over it.
            if post.ordered.load(Ordering::Acquire) == served && post.done.swap(served, Ordering::Release) != served {
                futex::wake_all(&post.done);
            }
        } else {
            let (ended, more) = crowd.reap();
            ended.into_iter().for_each(|(rank, exit)| board.berths()[rank].note_exit(exit));
            let soon = more.then(|| Instant::now() + SOON);
            if let Event::Died { rank } = crowd.wait(&[(&post.ordered, served)], soon) {
                crowd.note_dead(rank);
            }
        }
    }
}
