use super::*;
use proptest::prelude::*;
use std::sync::atomic::AtomicU8;

struct Frozen(Vec<u8>);

impl Bytes for Frozen {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn copy(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let there = self.0.get(at as usize..at as usize + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(there);
        Ok(())
    }
}

fn sign(name: Option<&str>) -> JobInfo<'_> {
    let began = Instant::now();
    JobInfo { name, engine: Engine::Threads, schedule: Schedule::Guided, run: 1..5, lent: 4096, began }
}

fn page() -> ControlPage {
    ControlPage::new(
        Layout { workers: 3, slices: 5, loans: 2, answer: 12, log: 0, steps: 0, meets: false, carries: 0 },
        &|| false,
    )
    .unwrap()
}

fn freeze(page: &ControlPage) -> Frozen {
    let len = page.segment().len();
    Frozen(page.segment().words::<AtomicU8>(0, len).iter().map(|byte| byte.load(Ordering::Relaxed)).collect())
}

#[test]
fn what_is_shown_is_seen() {
    let page = page();
    assert!(matches!(snapshot(&freeze(&page)), Err(Unreadable::Blank)));
    let shown = page.publish_job(&sign(Some("a job \x1b[31m of mine")));
    page.slots()[2].enter(77);
    assert_eq!(page.take(2, 4, Instant::now()), Some(false));
    assert_eq!(page.take(0, 1, Instant::now()), Some(false));
    assert!(page.finish(0, 1, false, &[0; 12], Duration::from_millis(5)).is_some());
    let seen = snapshot(&freeze(&page)).unwrap();
    assert_eq!((seen.pid, seen.name.as_str()), (std::process::id(), "a job ?[31m of mine"));
    assert_eq!((seen.engine, seen.schedule, seen.run), (Engine::Threads, Schedule::Guided, 1..5));
    assert_eq!((seen.runs, seen.jobs, seen.lent, seen.aside), (true, 1, 4096, 0));
    let [first, _, last] = seen.slots.as_slice() else { panic!("three berths") };
    assert_eq!((first.done, first.taken, first.snapshot.busy), (1, 0, Duration::from_millis(5)));
    assert_eq!((last.done, last.taken, last.snapshot.pid), (0, 1, 77));
    assert_eq!((last.snapshot.slice(5), first.snapshot.slice(5)), (Some(4), None));
    drop(shown);
    assert!(!snapshot(&freeze(&page)).unwrap().runs);
    let _shown = page.publish_job(&sign(None));
    let seen = snapshot(&freeze(&page)).unwrap();
    assert!(seen.jobs == 2 && !seen.name.is_empty());
}

#[test]
fn other_versions_and_sizes_are_refused() {
    let page = page();
    let _shown = page.publish_job(&sign(None));
    let good = freeze(&page).0;
    let with = |offset: usize, word: u64| {
        let mut bytes = good.clone();
        bytes[offset..offset + 8].copy_from_slice(&word.to_ne_bytes());
        snapshot(&Frozen(bytes))
    };
    assert!(matches!(with(offset_of!(PublicHeader, magic), MAGIC + (1 << 56)), Err(Unreadable::Version)));
    assert!(matches!(with(offset_of!(PublicHeader, sizes), 8), Err(Unreadable::Version)));
    for huge in [6, 1 << 20, 1 << 40, u64::MAX] {
        for word in 0..5 {
            let seen = with(offset_of!(PublicHeader, layout) + 8 * word, huge);
            // More than 5 slices may fit the page that the control page is on; all else cannot be.
            assert!(
                matches!(seen, Err(Unreadable::Absurd(_)) | Ok(_)) && (huge == 6 || seen.is_err()),
                "{word} {huge}"
            );
        }
    }
    assert!(matches!(with(offset_of!(PublicHeader, version), 3), Err(Unreadable::Absurd(_))));
    assert!(matches!(snapshot(&Frozen(good[..100].to_vec())), Err(Unreadable::Blank)));
}

proptest! {
    /// Whatever the bytes are, and however they are cut off.
    #[test]
    fn nonsense_is_harmless(spots in prop::collection::vec((0..2000_usize, any::<u8>()), 0..20), length in 0..30_000_usize) {
        let page = page();
        let _shown = page.publish_job(&sign(None));
        let mut bytes = freeze(&page).0;
        let len = bytes.len();
        spots.into_iter().for_each(|(at, byte)| bytes[at % len] = byte);
        bytes.truncate(length);
        let _ = snapshot(&Frozen(bytes));
    }
}
