//! Pictures decoded in a process of their own, which is in a sandbox: whatever a file makes its decoder do, it does it there.
//!
//! One process reads the header and answers with a few numbers, which are looked at before memory is made for the picture; another
//! decodes into that. Both are this program started once more ([`decoder`](super::decoder)), by a worker that watches over it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::super::source::Source;
use super::Picture;
use super::decode::{Header, blank, of_segment};
use super::decoder::Order;
use crate::error::{Cause, Error, Result};
use crate::job::Job;
use crate::lend::Lend;
use crate::process::cause_of;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::slices::Split;
use crate::sys::child::Exit;
use crate::sys::memory::Access;
use crate::sys::orphans::Orphans;
use crate::sys::program::{Heard, Program, Start};

/// The variable that says whose decoder a process is: all of its environment.
const MARK: &str = "PARFORK_DECODES_FOR";

/// Longer answers are not read to their end.
const LONGEST: usize = 64 << 10;

/// Reads a picture as [`read`](super::read()) does, in a process that is kept in a [`Sandbox`](crate::Sandbox) and has nothing of this one's
/// memory or environment: for files that strangers sent. A decoder that crashes, or wants more memory than the picture explains, ends
/// as an error. Takes a few milliseconds longer: this program is started once more, twice. So `main` has to begin with
/// [`serve_decoder`](super::serve_decoder).
///
/// Of the settings, name, deadline, request to stop, limit of memory and how strict the sandbox is count; by default the memory
/// of the decoder is limited to three times that of the picture and twice that of the file, and 320 MiB.
///
/// # Errors
/// As [`read`](super::read()), and as [`Job::run`](crate::Job::run) if there can be no worker; [`Error::Exec`] if `main` does not begin so.
pub fn read_with(settings: Settings<'_>, path: impl AsRef<Path>) -> Result<Picture> {
    if let Some(picture) = of_segment(path.as_ref()) {
        return picture;
    }
    let source = Source::open(path.as_ref())?;
    let sandbox = settings.sandbox.unwrap_or_default();
    // Refused here if it cannot be as strict as it is to be.
    sandbox.support()?;
    let sandbox = sandbox.around_programs();
    let limit = |picture: usize| 3 * picture as u64 + 2 * source.len + (320 << 20);
    let order = |picture: Option<(Header, &OwnedFd)>| Order {
        file: source.file.as_raw_fd() as u64,
        memory: settings.memory_limit.unwrap_or(limit(picture.map_or(0, |(header, _)| header.bytes()))),
        picture: picture.map(|(header, place)| (header, place.as_raw_fd() as u64)),
    };
    let settings = || Settings {
        name: settings.name.clone(),
        workers: Some(1),
        split: Some(Split::default().into_pieces(1)),
        deadline: settings.deadline,
        stop: settings.stop,
        sandbox: Some(sandbox.clone()),
        ..Settings::default()
    };
    // Dropped when the workers are gone, and with them their decoders.
    let _orphans = Orphans::adopt(MARK).map_err(Error::system("become the parent of decoders that are left behind"))?;
    let told = run(&source, &Shared::<u8, _>::zeros(1)?, settings(), order(None), &[])?;
    let header = believed(&source, told)?;
    let mut picture = blank(header)?;
    let place = match &picture {
        Picture::U8(samples) => samples.segment().backing().reopened(Access::Write),
        Picture::U16(samples) => samples.segment().backing().reopened(Access::Write),
    };
    let place = place.map_err(Error::system("open the place for a picture's samples"))?;
    let order = order(Some((header, &place)));
    match &mut picture {
        Picture::U8(samples) => run(&source, samples, settings(), order, &[place.as_fd()])?,
        Picture::U16(samples) => run(&source, samples, settings(), order, &[place.as_fd()])?,
    };
    Ok(picture)
}

/// Lets a worker start a decoder, which has the file and these descriptors, and wait for it; what it answered. What is lent is the decoder's meanwhile.
fn run<L: Lend>(
    source: &Source,
    lent: L,
    settings: Settings<'_>,
    order: Order,
    more: &[BorrowedFd<'_>],
) -> Result<[u64; 4]> {
    let arguments = order.arguments()?;
    let environment = [(MARK.into(), std::process::id().to_string().into())];
    let keep: Vec<_> = [source.file.as_fd()].iter().chain(more).copied().collect();
    let start = Start {
        program: "/proc/self/exe".as_ref(),
        arguments: &arguments,
        environment: &environment,
        clear: true,
        keep: &keep,
        memory: None,
        confine: None,
        pipes: true,
    };
    match Job::with(lent, settings).run(|_, _| decoded(&start, order.memory)) {
        Ok(answers) => Ok(answers.first().copied().unwrap_or_default()),
        Err(Error::Refused(refusal)) => Err(match refusal.reason.split_once('\0') {
            Some((what, remedy)) => source.wrong(what, remedy),
            None => source.wrong(refusal.reason, "look at what the machine has left for it"),
        }),
        Err(other) => Err(other),
    }
}

/// In a worker: starts the decoder, and waits for its end; the numbers that it answered.
fn decoded(start: &Start<'_>, memory: u64) -> std::result::Result<[u64; 4], String> {
    let lost = |error| format!("the process that decodes it cannot be started or listened to ({error})");
    let mut program = Program::start(start).map_err(lost)?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Heard::Bytes(count) = program.listen(&mut piece).map_err(lost)? {
        answer.extend(&piece[..count]);
        if answer.len() > LONGEST {
            return Err(
                "the process that decodes it does not stop talking\0it was made to do harm: fetch or export it again"
                    .to_owned(),
            );
        }
    }
    let cause = match program.wait().map_err(lost)? {
        Exit::Status(0) => None,
        // Only what was meant to confine it ends it so, and only its limit of memory lets it give up.
        Exit::Signal(libc::SIGSYS) => Some(Cause::Forbidden { call: None }),
        Exit::Signal(libc::SIGABRT) => Some(Cause::AbortedWithin { limit: memory }),
        exit => Some(cause_of(exit)),
    };
    if let Some(cause) = cause {
        return Err(format!(
            "the process that decodes it {cause}\0it is damaged, or was made to do harm: fetch or export it again"
        ));
    }
    let answer = String::from_utf8_lossy(&answer);
    let numbers =
        |text: &str| text.split(' ').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>()?.try_into().ok();
    match answer.split_once(' ') {
        Some(("done", text)) if let Some(numbers) = numbers(text) => Ok(numbers),
        Some(("wrong", words)) => Err(words.to_owned()),
        _ => Err("the process that decodes it answered nothing that makes sense\0it was made to do harm: fetch or export it again".to_owned()),
    }
}

/// What a worker has said of a picture, if there can be such a one.
fn believed(source: &Source, [height, width, channels, bits]: [u64; 4]) -> Result<Header> {
    let most = u64::from(u32::MAX);
    let can_be = (1..=most).contains(&height)
        && (1..=most).contains(&width)
        && (1..=4).contains(&channels)
        && matches!(bits, 8 | 16)
        && height
            .checked_mul(width)
            .and_then(|pixels| pixels.checked_mul(channels * bits / 8))
            .is_some_and(|bytes| bytes < 1 << 48);
    if !can_be {
        let what =
            format!("the process that reads it says {width} x {height} pixels of {channels} channels with {bits} bits");
        return Err(source.wrong(what, "it was made to do harm: fetch or export it again"));
    }
    Ok(Header { shape: [height as usize, width as usize, channels as usize], bits: bits as u32 })
}
