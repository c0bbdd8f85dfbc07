//! Pictures decoded by a worker in a sandbox: whatever a file makes its decoder do, it does it there.
//!
//! One worker reads the header and answers with a few numbers, which are looked at before memory is made for the picture; another
//! decodes into that. Both have the file's open descriptor, the place for the samples, and nothing else.

use std::path::Path;

use ndarray::Ix3;

use super::super::source::Source;
use super::Picture;
use super::decode::{Header, Target, blank, decode, of_segment};
use crate::error::{Error, Result};
use crate::job::Job;
use crate::lend::{Lend, Slice};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::slices::Split;

/// Reads a picture as [`read`](super::read()) does, in a worker that is kept in a [`Sandbox`](crate::Sandbox): for files that strangers sent. A
/// decoder that crashes, or wants more memory than the picture explains, ends as an error. Takes some 0.1 ms longer for each of
/// two forks.
///
/// Of the settings, name, deadline, request to stop, limit of memory and how strict the sandbox is count; by default the memory
/// of the decoder is limited to three times that of the picture and twice that of the file, and 320 MiB.
///
/// # Errors
/// As [`read`](super::read()), and as [`Job::run`](crate::Job::run) if there can be no worker.
pub fn read_with(settings: Settings<'_>, path: impl AsRef<Path>) -> Result<Picture> {
    if let Some(picture) = of_segment(path.as_ref()) {
        return picture;
    }
    let source = Source::open(path.as_ref())?;
    let sandbox = settings.sandbox.unwrap_or_default().keep(&source.file);
    let limit = |picture: usize| 3 * picture as u64 + 2 * source.len + (320 << 20);
    let orders = |picture: usize| Settings {
        name: settings.name.clone(),
        workers: Some(1),
        split: Some(Split::default().into_pieces(1)),
        deadline: settings.deadline,
        stop: settings.stop,
        sandbox: Some(sandbox.clone()),
        memory_limit: settings.memory_limit.or(Some(limit(picture))),
        ..Settings::default()
    };
    let told = run(&source, &Shared::<u8, _>::zeros(1)?, orders(0), |_| {
        let mut told = Told(None);
        decode(&source, &mut told).map(|()| told.0.map_or([0; 4], in_numbers))
    })?;
    let header = believed(&source, told)?;
    let mut picture = blank(header)?;
    match &mut picture {
        Picture::U8(samples) => run(&source, samples, orders(header.bytes()), |mut slice: Slice<'_, u8, Ix3>| {
            decode(&source, &mut Room { header, room: slice.as_slice_mut() }).map(|()| [0; 4])
        })?,
        Picture::U16(samples) => run(&source, samples, orders(header.bytes()), |mut slice: Slice<'_, u16, Ix3>| {
            decode(&source, &mut Room { header, room: slice.as_slice_mut().map(bytemuck::cast_slice_mut) })
                .map(|()| [0; 4])
        })?,
    };
    Ok(picture)
}

/// Lets a worker do something with the file; what it answered.
fn run<L: Lend>(
    source: &Source,
    lent: L,
    settings: Settings<'_>,
    work: impl Fn(L::Part<'_>) -> Result<[u64; 4]> + Sync,
) -> Result<[u64; 4]> {
    let done = Job::with(lent, settings).run(|_, part| work(part).map_err(|error| in_words(&error)));
    match done {
        Ok(answers) => Ok(answers.first().copied().unwrap_or_default()),
        Err(Error::Refused(refusal)) => Err(match refusal.reason.split_once('\0') {
            Some((what, remedy)) => source.wrong(what, remedy),
            None => source.wrong(refusal.reason, "look at what the machine has left for it"),
        }),
        Err(Error::WorkerDied(death)) => {
            let what = format!("the process that decodes it {}", death.cause);
            Err(source.wrong(what, "it is damaged, or was made to do harm: fetch or export it again"))
        }
        Err(other) => Err(other),
    }
}

/// An error as a worker tells it: what is wrong and what to do, where it is one of the file.
fn in_words(error: &Error) -> String {
    match error {
        Error::File { what, remedy, .. } => format!("{what}\0{remedy}"),
        other => other.to_string(),
    }
}

fn in_numbers(Header { shape: [height, width, channels], bits }: Header) -> [u64; 4] {
    [height as u64, width as u64, channels as u64, u64::from(bits)]
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

/// Hears of what kind the picture is, and wants no more.
struct Told(Option<Header>);

impl Target for Told {
    fn room(&mut self, header: Header) -> Result<Option<&mut [u8]>> {
        self.0 = Some(header);
        Ok(None)
    }
}

/// Memory for a picture of a kind that is known.
struct Room<'s> {
    header: Header,
    room: Option<&'s mut [u8]>,
}

impl Target for Room<'_> {
    fn room(&mut self, header: Header) -> Result<Option<&mut [u8]>> {
        if header != self.header {
            return Err(Error::Shape("the file has changed while it was read. Read it again.".to_owned()));
        }
        Ok(self.room.as_deref_mut())
    }
}
