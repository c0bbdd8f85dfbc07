#![allow(unsafe_code)]

use super::*;

const SLICES: usize = 5;

fn page() -> ControlPage {
    ControlPage::new(
        Layout { workers: 3, slices: SLICES, loans: 2, answer: 12, log: 64, steps: 0, meets: false, carries: 0 },
        &|| false,
    )
    .unwrap()
}

fn states(page: &ControlPage) -> [SliceState; SLICES] {
    std::array::from_fn(|slice| page.state(slice).1)
}

#[test]
fn the_journal_goes_from_free_to_taken_to_saved_to_done() {
    let page = page();
    assert_eq!(states(&page), [SliceState::Free; SLICES]);
    assert_eq!(page.take(2, 4, Instant::now()), Some(false));
    assert_eq!((page.state(4).1, page.slots()[2].at(SLICES)), (SliceState::Taken { rank: 2 }, Some(4)));
    assert_eq!(page.take(1, 4, Instant::now()), None, "it is not free");
    assert!(page.note_saved(2, 4) && !page.note_saved(2, 4) && !page.note_saved(1, 3));
    assert_eq!(page.finish(2, 4, false, b"twelve bytes", Duration::ZERO), None, "it is saved");
    let word = page.finish(2, 4, true, b"twelve bytes", Duration::from_nanos(7)).unwrap();
    let mut answer = [0; 12];
    assert_eq!(page.read_answer(4, &mut answer), (word, SliceState::Done { rank: 2 }));
    assert_eq!((&answer, page.done(), page.slots()[2].at(SLICES)), (b"twelve bytes", 1, None));
    assert_eq!(page.free(), [0, 1, 2, 3]);
}

#[test]
fn what_is_to_be_put_back_first_is_saved_as_soon_as_it_is_taken() {
    let page = page();
    // SAFETY: there are no workers.
    unsafe { page.enter(3, SliceState::Restore) };
    assert_eq!(page.take(0, 3, Instant::now()), Some(true));
    assert_eq!(page.state(3).1, SliceState::Saved { rank: 0 });
    assert!(page.finish(0, 3, true, &[0; 12], Duration::ZERO).is_some());
}

/// Any bit of the word or the answer, zeros, ones, another slice's word, another job's.
#[test]
fn what_was_not_written_by_who_knows_the_key_is_damage() {
    let page = page();
    let words = [SliceState::Free, SliceState::Restore, SliceState::Aside, SliceState::Taken { rank: 1 }];
    for (slice, state) in words.into_iter().enumerate() {
        // SAFETY: there are no workers.
        unsafe { page.enter(slice, state) };
    }
    assert_eq!(page.take(1, 4, Instant::now()), Some(false));
    page.finish(1, 4, false, b"twelve bytes", Duration::ZERO).unwrap();
    let right = states(&page);
    let slice_table = page.slice_table();
    for (slice, right) in right.into_iter().enumerate() {
        let word = slice_table.states[slice].load(Ordering::Relaxed);
        let mut lies: Vec<u64> = (0..64).map(|bit| word ^ 1 << bit).collect();
        lies.extend([0, u64::MAX, slice_table.states[(slice + 1) % SLICES].load(Ordering::Relaxed)]);
        for lie in lies {
            slice_table.states[slice].store(lie, Ordering::Relaxed);
            assert_eq!(page.state(slice).1, SliceState::Damaged, "{lie:x} in place of {right:?}");
            assert_eq!(page.take(2, slice, Instant::now()), None);
        }
        slice_table.states[slice].store(word, Ordering::Relaxed);
    }
    for bit in 0..128 {
        let word = &slice_table.answers[4 * 2 + bit / 64];
        word.fetch_xor(1 << (bit % 64), Ordering::Relaxed);
        assert_eq!(page.state(4).1, SliceState::Damaged);
        word.fetch_xor(1 << (bit % 64), Ordering::Relaxed);
    }
    assert_eq!(states(&page), right);
    page.keys().set_job(super::super::JobTag { call: 1, tag: 0 });
    assert_eq!(states(&page), [SliceState::Damaged; SLICES], "of the job before");
}

#[test]
fn a_bill_is_read_as_it_was_written_or_is_damage() {
    let page = ControlPage::for_many(2).unwrap();
    let words = [3, 0, u64::MAX, 7];
    let tag = page.post_descriptor(5, &words, &|| false).unwrap();
    let read = || page.descriptor().map(|posted| posted.map(|posted| (posted.version, posted.words, posted.tag)));
    let right = Some((5, words.to_vec(), tag));
    assert_eq!(read().ok(), Some(right.clone()));
    let place = page.segment().words::<AtomicU64>(page.room(), words.len());
    for bit in 0..64 * words.len() {
        place[bit / 64].fetch_xor(1 << (bit % 64), Ordering::Relaxed);
        assert!(read().is_err(), "bit {bit}");
        place[bit / 64].fetch_xor(1 << (bit % 64), Ordering::Relaxed);
    }
    assert_eq!(read().ok(), Some(right));
}
