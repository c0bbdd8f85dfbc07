//! A worker's slot on the control page: what it is doing, what it cost, and its exit message.
#![allow(unsafe_code)]

use std::mem::offset_of;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::doorbell::Doorbell;
use super::end::Arrival;
use super::exit_message::ExitMessage;
use crate::shared::ShmSafe;
use crate::sys::exit::Exit;
use crate::sys::fault_handler::FaultRecord;
use crate::sys::futex;
use crate::sys::proc::Memory;
use crate::sys::robust_lock::RobustLock;

/// In a slot whose worker will take no more slices.
const LEFT: u64 = u64::MAX;

/// Words for one worker, on cache lines that no other worker writes.
#[repr(C, align(128))]
pub(crate) struct WorkerSlot {
    /// Signed at birth; written by the kernel at death.
    pub(crate) lock: RobustLock,
    /// The fault that it died of, if it did.
    pub(crate) fault: FaultRecord,
    /// The slice it works on: index + 1; 0 for none, [`LEFT`] when it will take no more.
    at: AtomicU64,
    /// Since when `at` is what it is, or since the last meeting if anybody wants to know: nanoseconds on the control page's clock.
    since: AtomicU64,
    /// How it ended, if another process than the coordinator reaped it: see [`Exit`].
    exit: AtomicU32,
    /// Nanoseconds spent in bodies.
    busy: AtomicU64,
    /// Private, shared and proportional memory in bytes, read just before its end; 0: not asked for.
    memory: [AtomicU64; 3],
    /// Its process; 0 if it is none.
    pid: AtomicU32,
    /// The CPU that it was seen on last, + 1; 0 for none.
    cpu: AtomicU32,
    /// Whether it waits for others at a meeting: 1 if it does.
    waits: AtomicU32,
    /// How many meetings it has come to. May wrap: nobody lags more than one behind.
    barriers: AtomicU32,
    /// | value | why nobody should wait for it                              |
    /// |-------|------------------------------------------------------------|
    /// | 0     | it may come                                                |
    /// | 1     | it is dead: the coordinator has seen it                    |
    /// | 2     | it waits at a meeting for so long only, or has waited so long |
    absence: AtomicU32,
    /// Rung when it has done a step of a slice that others wait for.
    pub(crate) steps: Doorbell,
    /// How many bytes of its answers the coordinator has handed on; and rung when that are more.
    pub(super) handed_on: AtomicU64,
    pub(crate) backlog: Doorbell,
    exit_message: ExitMessageBuffer,
    /// That it has come to the end of its job.
    pub(crate) arrival: Arrival,
}

/// Why nobody should wait for a worker that has neither returned nor said anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    Dead,
    Impatient,
}

// SAFETY: atomics and an RobustLock, which is made for shared use; whatever its bytes hold, the coordinator reads it only
// as an atomic word.
unsafe impl ShmSafe for WorkerSlot {}

/// Why a worker could not finish a slice, in its own words.
#[repr(C)]
struct ExitMessageBuffer {
    /// | value | text                            |
    /// |-------|---------------------------------|
    /// | 0     | none                            |
    /// | 1     | it panicked: location NUL message |
    /// | 2     | the error that the body returned |
    /// | 3     | its program ended: the exit's word, its pid and name, with spaces between them |
    /// | 4     | which slice of the control page was wrong; nothing: a crew's job |
    kind: AtomicU32,
    length: AtomicU32,
    text: [AtomicU8; ExitMessageBuffer::ROOM],
}

impl ExitMessageBuffer {
    /// Bytes of text that are kept.
    const ROOM: usize = 2000;
}

/// What another process reads of a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotSnapshot {
    at: u64,
    /// Nanoseconds on the control page's clock.
    pub(crate) since: u64,
    /// Time spent in bodies.
    pub(crate) busy: Duration,
    /// As the coordinator calls it; 0 if it is no process.
    pub(crate) pid: u32,
    /// Whether it waits for others at a meeting.
    pub(crate) waits: bool,
    pub(crate) dead: bool,
}

impl SlotSnapshot {
    /// The slice it works on, if it is one of `slices`.
    pub(crate) fn slice(&self, slices: usize) -> Option<usize> {
        (self.at as usize).checked_sub(1).filter(|&slice| slice < slices)
    }

    /// Whether it will take no more slices.
    pub(crate) fn has_left(&self) -> bool {
        self.at == LEFT
    }
}

impl WorkerSlot {
    /// How many bytes it takes to [`snapshot`](Self::snapshot).
    pub(super) const GLIMPSED: usize = offset_of!(Self, exit_message);

    /// Reads a slot of which there are only bytes.
    pub(super) fn snapshot(bytes: &[u8; Self::GLIMPSED]) -> SlotSnapshot {
        let word = |offset: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[offset + i]));
        let half = |offset: usize| u32::from_ne_bytes(std::array::from_fn(|i| bytes[offset + i]));
        SlotSnapshot {
            at: word(offset_of!(Self, at)),
            since: word(offset_of!(Self, since)),
            busy: Duration::from_nanos(word(offset_of!(Self, busy))),
            pid: half(offset_of!(Self, pid)),
            waits: half(offset_of!(Self, waits)) != 0,
            dead: half(offset_of!(Self, absence)) == 1,
        }
    }

    /// Notes that it begins a slice, at this time of the control page's clock.
    pub(super) fn begin(&self, slice: usize, now: Duration) {
        self.since.store(now.as_nanos() as u64, Ordering::Relaxed);
        // Release: who sees the slice sees since when.
        self.at.store(slice as u64 + 1, Ordering::Release);
    }

    /// Notes that it has ended the slice it began, which took `busy`.
    pub(super) fn end(&self, busy: Duration) {
        // Nobody else writes these.
        let add = |word: &AtomicU64| {
            word.store(word.load(Ordering::Relaxed).wrapping_add(busy.as_nanos() as u64), Ordering::Relaxed);
        };
        add(&self.busy);
        add(&self.since);
        self.at.store(0, Ordering::Release);
    }

    /// Notes that it will take no more slices.
    pub(crate) fn leave(&self) {
        self.at.store(LEFT, Ordering::Release);
    }

    /// Since when it has been at what it is at, on the control page's clock; `None` if it waits for others, or will take no more
    /// slices.
    pub(crate) fn since(&self) -> Option<Duration> {
        let busy = self.at.load(Ordering::Acquire) != LEFT && self.waits.load(Ordering::Acquire) == 0;
        busy.then(|| Duration::from_nanos(self.since.load(Ordering::Relaxed)))
    }

    /// A number that changes with whatever it does between slices and meetings.
    pub(crate) fn doing(&self) -> u64 {
        let words = (&self.at, &self.barriers, &self.waits);
        let (at, meetings) = (words.0.load(Ordering::Acquire), words.1.load(Ordering::Acquire));
        at.wrapping_mul(31).wrapping_add(u64::from(meetings)).wrapping_mul(31)
            ^ u64::from(words.2.load(Ordering::Acquire))
    }

    /// Notes that it waits for others from now on.
    pub(crate) fn pause_clock(&self) {
        self.waits.store(1, Ordering::Release);
    }

    /// Notes that it goes on with its slice, at this time of the control page's clock if anybody wants to know.
    pub(crate) fn resume_clock(&self, now: Option<Duration>) {
        if let Some(now) = now {
            self.since.store(now.as_nanos() as u64, Ordering::Relaxed);
        }
        // Release: who sees that it does not wait sees since when.
        self.waits.store(0, Ordering::Release);
    }

    /// The slice it works on, if it is one of `slices`.
    pub(crate) fn at(&self, slices: usize) -> Option<usize> {
        let at = self.at.load(Ordering::Acquire) as usize;
        at.checked_sub(1).filter(|&slice| slice < slices)
    }

    /// Notes which process it is.
    pub(crate) fn enter(&self, pid: u32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    /// Which process it is, if it is one; a number that a worker may have written over.
    pub(crate) fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|&pid| pid != 0)
    }

    /// Notes that it comes to its next meeting; the number of that.
    pub(crate) fn arrive_at_barrier(&self) -> u32 {
        self.barriers.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// How many meetings it has come to.
    pub(crate) fn barriers(&self) -> u32 {
        self.barriers.load(Ordering::Relaxed)
    }

    /// Notes why nobody should wait for it, or that it may come.
    pub(crate) fn set_absent(&self, absence: Option<Absence>) {
        let value = match absence {
            None => 0,
            Some(Absence::Dead) => 1,
            Some(Absence::Impatient) => 2,
        };
        // Release: whoever is told of it by the barrier also finds this.
        self.absence.store(value, Ordering::Release);
    }

    /// Why nobody should wait for it, if that was noted.
    pub(crate) fn absence(&self) -> Option<Absence> {
        match self.absence.load(Ordering::Acquire) {
            1 => Some(Absence::Dead),
            2 => Some(Absence::Impatient),
            _ => None,
        }
    }

    /// Time spent in bodies.
    pub(crate) fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }

    pub(crate) fn note_memory(&self, memory: Memory) {
        for (word, bytes) in self.memory.iter().zip([memory.private, memory.shared, memory.proportional]) {
            word.store(bytes, Ordering::Relaxed);
        }
    }

    /// Its memory, if it was asked to note it.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let [private, shared, proportional] = self.memory.each_ref().map(|word| word.load(Ordering::Relaxed));
        (private > 0).then_some(Memory { private, shared, proportional })
    }

    /// Leaves last words, cut to what there is room for; the first ones stay.
    pub(crate) fn send_exit_message(&self, words: &ExitMessage) {
        if self.exit_message.kind.load(Ordering::Relaxed) != 0 {
            return;
        }
        let (kind, text) = words.written();
        for (word, byte) in self.exit_message.text.iter().zip(text.bytes()) {
            word.store(byte, Ordering::Relaxed);
        }
        self.exit_message.length.store(text.len().min(ExitMessageBuffer::ROOM) as u32, Ordering::Relaxed);
        // Release: who reads the kind reads the text.
        self.exit_message.kind.store(kind, Ordering::Release);
    }

    /// Notes how it ended, and wakes who waits for that.
    pub(crate) fn note_exit(&self, exit: Exit) {
        self.exit.store(exit.word(), Ordering::Release);
        futex::wake_all(&self.exit);
    }

    /// How it ended, if that was noted.
    pub(crate) fn exit(&self) -> Option<Exit> {
        Exit::of(self.exit.load(Ordering::Acquire))
    }

    /// Notes the CPU that it is on.
    pub(crate) fn note_cpu(&self, cpu: usize) {
        self.cpu.store(cpu as u32 + 1, Ordering::Relaxed);
    }

    /// The CPU that it was seen on last.
    pub(crate) fn cpu(&self) -> Option<usize> {
        self.cpu.load(Ordering::Relaxed).checked_sub(1).map(|cpu| cpu as usize)
    }

    /// Takes back what was noted, which was of another worker. Only for who notes.
    pub(crate) fn forget_exit(&self) {
        self.exit.store(0, Ordering::Release);
    }

    /// The word to sleep on until [`exit`](Self::exit) is noted, and its value until then.
    pub(crate) fn exit_word(&self) -> (&AtomicU32, u32) {
        (&self.exit, 0)
    }

    /// Notes that its worker begins with another job, at this time of the control page's clock if anybody wants to know.
    pub(crate) fn begin_job(&self, now: Option<Duration>) {
        self.since.store(now.map_or(0, |now| now.as_nanos() as u64), Ordering::Relaxed);
        for word in [&self.at, &self.busy, &self.memory[0]] {
            word.store(0, Ordering::Relaxed);
        }
        // A worker that has said something does not come so far; the coordinator's words of an earlier job may be there.
        for word in [&self.waits, &self.barriers, &self.absence, &self.exit_message.kind] {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Makes room for another worker of this rank, which begins now; the time spent in bodies adds up.
    pub(super) fn forget(&self, now: Duration) {
        self.since.store(now.as_nanos() as u64, Ordering::Relaxed);
        self.at.store(0, Ordering::Relaxed);
        self.handed_on.store(0, Ordering::Relaxed);
        let words =
            [&self.exit, &self.pid, &self.cpu, &self.waits, &self.barriers, &self.absence, &self.exit_message.kind];
        for word in words {
            word.store(0, Ordering::Relaxed);
        }
        self.fault.forget();
        self.arrival.clear();
    }

    /// Its last words.
    pub(crate) fn exit_message(&self) -> Option<ExitMessage> {
        let kind = self.exit_message.kind.load(Ordering::Acquire);
        let length = (self.exit_message.length.load(Ordering::Relaxed) as usize).min(ExitMessageBuffer::ROOM);
        let bytes: Vec<u8> = self.exit_message.text[..length].iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
        ExitMessage::read(kind, &String::from_utf8_lossy(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Segment;

    fn slots() -> Segment {
        Segment::for_control_page(2 * size_of::<WorkerSlot>(), &|| false).unwrap()
    }

    #[test]
    fn last_words_are_kept_cut_and_the_first() {
        let segment = slots();
        let [one, two] = segment.words::<WorkerSlot>(0, 2) else { panic!("two berths") };
        assert_eq!(one.exit_message(), None);
        one.send_exit_message(&ExitMessage::Panicked { message: "a\0b".into(), location: "f.rs:1:2".into() });
        one.send_exit_message(&ExitMessage::BodyFailed { reason: "later".into() });
        assert_eq!(
            one.exit_message(),
            Some(ExitMessage::Panicked { message: "a\0b".into(), location: "f.rs:1:2".into() })
        );
        two.send_exit_message(&ExitMessage::BodyFailed { reason: "ü".repeat(5000) });
        assert!(
            matches!(two.exit_message(), Some(ExitMessage::BodyFailed { reason }) if reason.starts_with("üü") && reason.len() <= 2003)
        );
    }

    #[test]
    fn nonsense_is_harmless() {
        let segment = slots();
        let slot = &segment.words::<WorkerSlot>(0, 1)[0];
        slot.at.store(u64::MAX, Ordering::Relaxed);
        slot.exit_message.kind.store(1, Ordering::Relaxed);
        slot.exit_message.length.store(u32::MAX, Ordering::Relaxed);
        assert_eq!(slot.at(5), None);
        assert!(slot.exit_message().is_some());
    }
}
