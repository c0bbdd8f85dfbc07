//! What is given bytes from outside, one function each, for fuzzers: `fuzz/` and a test. Built for those only, as a part of the
//! crate, because most of it is nobody else's business.
//!
//! A function here takes any bytes, must end, and must not panic, read or write elsewhere, or take more memory than its input
//! explains. To add one, write it and name it in [`TARGETS`].

use std::io;

use crate::engine::Engine;
use crate::engines;
use crate::exec::{Manifest, line};
use crate::formats::{InputFile, npy};
use crate::shared::named::header::{Header, Owner, resum};
use crate::shared::{Element, Order};
use crate::slices::{Schedule, Split};
use crate::sync::{Bytes, ControlPage, JobInfo, Layout, snapshot};

#[path = "rng.rs"]
mod rng;

pub use rng::{Rng, Seeds, Target};

/// Every target: its name, what it does with bytes, and what to begin with.
pub const TARGETS: &[(&str, Target, Seeds)] = &[
    ("npy", npy, npy_seeds),
    ("control_page", control_page, control_page_seeds),
    ("event_logs", event_logs, event_logs_seeds),
    ("descriptor", descriptor, descriptor_seeds),
    ("exit_messages", exit_messages, exit_messages_seeds),
    ("segment", segment, segment_seeds),
    ("manifest", manifest, manifest_seeds),
    ("lines", lines, lines_seeds),
];

/// The header of a `.npy` file.
fn npy(bytes: &[u8]) {
    // What is empty is not opened.
    if bytes.is_empty() {
        return;
    }
    if let Ok(file) = npy::ArrayFile::of(file(bytes)) {
        let header = file.header();
        // What it promises is there.
        assert!(header.byte_len() <= bytes.len() && header.len() * header.dtype.size() == header.byte_len());
    }
}

fn npy_seeds() -> Vec<Vec<u8>> {
    let header = |text: &str| {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend([7; 96]);
        bytes
    };
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }\n",
        "{'descr': '>i2', 'fortran_order': True, 'shape': (48L,), }\n",
        "{'descr': [('x', '<f4'), ('y', '|u1', (2, 3))], 'fortran_order': False, 'shape': (), }",
    ]
    .map(header)
    .to_vec()
}

/// The target of a name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> Target {
    TARGETS.iter().find(|(known, ..)| *known == name).unwrap_or_else(|| panic!("no target {name}")).1
}

/// The bytes as a file.
fn file(bytes: &[u8]) -> InputFile {
    thread_local! {
        /// One for all, without a name.
        static FILE: std::fs::File = rng::nameless().unwrap_or_else(|error| panic!("{error}"));
    }
    let held = FILE.with(|file| rng::hold(file, bytes).and_then(|()| file.try_clone()));
    let held = held.unwrap_or_else(|error| panic!("{error}"));
    InputFile::of("any", held).unwrap_or_else(|error| panic!("{error}"))
}

struct Frozen<'b>(&'b [u8]);

impl Bytes for Frozen<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn copy(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let end = usize::try_from(at).ok().and_then(|at| Some(at..at.checked_add(into.len())?));
        into.copy_from_slice(end.and_then(|range| self.0.get(range)).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A control page as `parfork top` reads it.
fn control_page(bytes: &[u8]) {
    let _ = snapshot(&Frozen(bytes));
}

/// The header of a named segment, with its sum as it is and as it should be; the first eight bytes are the length of the file.
fn segment(bytes: &[u8]) {
    let Some((length, bytes)) = bytes.split_first_chunk() else { return };
    let length = u64::from_ne_bytes(*length);
    let mut right = bytes.to_vec();
    resum(&mut right);
    for bytes in [bytes, &right] {
        if let Ok(header) = Header::parse(bytes, length) {
            assert!(header.file_len() <= length, "{header:?}");
            assert_eq!(Header::parse(&header.to_bytes(), length), Ok(header));
        }
    }
}

fn segment_seeds() -> Vec<Vec<u8>> {
    let owner = Owner { uid: 1, pid: 2, start: 3, boot: [4; 16], pid_space: 5, time_space: 6 };
    let of = |shape: &[usize], order| {
        let header = Header::new(f64::DTYPE, shape, order, owner).expect("a shape that can be");
        [&header.file_len().to_ne_bytes()[..], &header.to_bytes()].concat()
    };
    vec![of(&[], Order::C), of(&[7], Order::C), of(&[300, 20, 1000], Order::F), of(&[0, 3], Order::C)]
}

/// What a program is told of its arrays.
fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(Manifest::parse(manifest.to_json().as_bytes()), Ok(manifest));
    }
}

fn manifest_seeds() -> Vec<Vec<u8>> {
    let text = r#"{"schema":"parfork-manifest/2","protocol":"lines/1","rank":1,"size":3,"coordinator":4711,"slices":{"split":"tiles=5x7","shape":[10,20],"axes":[0,1],"count":6,"mine":[2,4]},"arrays":[{"name":"A","fd":7,"access":"read","dtype":"<f8","type":"f64","shape":[10,20],"strides":[160,8],"offset":0,"order":"C"}]}"#;
    let steps = r#"{"schema":"parfork-manifest/2","protocol":"steps/1","rank":0,"size":2,"coordinator":4711,"slices":{"split":"rows=2","bounds":[],"shape":[12,20],"axes":[0,1],"count":5,"mine":[0,3]},"arrays":[],"planes":[{"name":"plate","fds":[8,9],"dtype":"<f4","type":"f32","itemsize":4,"shape":[12,20],"strides":[80,4],"bytes":960,"margin":[1,2],"padding":[0,0]}],"steps":30}"#;
    vec![text.as_bytes().to_vec(), steps.as_bytes().to_vec()]
}

/// What programs and their workers say to each other.
fn lines(bytes: &[u8]) {
    let _ = (line::parse_answer(bytes), line::parse_answer_to(bytes, &[3..9, 0..4]));
    if let Ok(cells) = line::parse_order(bytes) {
        assert_eq!(line::parse_order(line::order(&cells).trim_end().as_bytes()), Ok(cells));
    }
    if let Ok((step, cells)) = line::parse_step_order(bytes) {
        assert_eq!(line::parse_step_order(line::step_order(step, &cells).trim_end().as_bytes()), Ok((step, cells)));
    }
}

fn lines_seeds() -> Vec<Vec<u8>> {
    ["slice 512 640", "slice 3 9 0 4", "step 7 3 9", "done", "done 3 9 0 4", "failed ValueError: no (a.py:3)", "failed"]
        .map(|text| text.as_bytes().to_vec())
        .into()
}

const LAYOUT: Layout =
    Layout { workers: 3, slices: 5, loans: 1, answer: 8, log: 64, steps: 0, meets: false, carries: 2 };

/// A control page on which something has been done, and its bytes.
fn used_page() -> (ControlPage, Vec<u8>) {
    let page = ControlPage::new(LAYOUT, &|| false).unwrap_or_else(|error| panic!("{error}"));
    let (began, name) = (std::time::Instant::now(), Some("a job"));
    let (engine, schedule) = (Engine::Processes, Schedule::Guided);
    let shown = page.publish_job(&JobInfo { name, engine, schedule, run: 0..5, lent: 4096, began });
    for (rank, slice) in [(0, 0), (1, 1), (2, 2), (0, 3)] {
        page.note(rank, crate::sync::Event::Takes { slice });
        page.take(rank, slice, began);
        page.finish(rank, slice, false, &[7; 8], began.elapsed());
        page.note(rank, crate::sync::Event::Finishes { slice });
    }
    page.slots()[1]
        .send_exit_message(&crate::sync::ExitMessage::Panicked { message: "a".into(), location: "b".into() });
    std::mem::forget(shown);
    let bytes = page.bytes();
    (page, bytes)
}

fn control_page_seeds() -> Vec<Vec<u8>> {
    vec![used_page().1]
}

/// A control page that a worker has written over, as its coordinator reads it after the job: slice table, slots, and the event logs with all that
/// is made of them.
fn event_logs(bytes: &[u8]) {
    thread_local! {
        static PAGE: ControlPage = used_page().0;
    }
    PAGE.with(|page| {
        page.overwrite(bytes);
        let _ = (page.done(), page.free(), page.descriptor().is_ok(), page.is_header_damaged());
        for slot in page.slots() {
            let _ = (slot.exit_message(), slot.at(5), slot.exit(), slot.since(), slot.memory(), slot.fault.of(11));
        }
        let report = crate::record::of_any(page);
        let record = report.record().unwrap_or_else(|| unreachable!("it has a trace"));
        assert!(
            record.timelines().len()
                + serde_json::to_string(&record).expect("keys are text").len()
                + record.summary(80).len()
                > 0
        );
    });
}

fn event_logs_seeds() -> Vec<Vec<u8>> {
    control_page_seeds()
}

/// A descriptor as a crew's worker reads it.
fn descriptor(bytes: &[u8]) {
    let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    engines::read_bill(&words);
}

fn descriptor_seeds() -> Vec<Vec<u8>> {
    let small = |count: u64| (0..count).flat_map(|word| (word % 5).to_le_bytes()).collect();
    vec![small(40), small(80), vec![0; 400]]
}

/// What is typed or told as text: splits, schedules, engines.
fn exit_messages(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = text.parse::<Split>().map(|split| split.to_string().parse::<Split>().map(|again| assert_eq!(again, split)));
    let _ = text.parse::<Schedule>().map(|schedule| assert_eq!(schedule.to_string().parse(), Ok(schedule)));
    let _ = text.parse::<Engine>();
}

fn exit_messages_seeds() -> Vec<Vec<u8>> {
    let words = ["rows", "cols=64", "tiles=16x32", "dynamic=7", "guided"];
    words.into_iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[cfg(test)]
#[test]
fn seeds_and_what_chance_makes_of_them_are_harmless() {
    rng::all_are_harmless(TARGETS);
}
