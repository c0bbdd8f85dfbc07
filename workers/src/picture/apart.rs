//! Pictures decoded in a process of their own, which is in a sandbox: whatever a file makes its decoder do, it does it there.
//!
//! One process reads the header and answers with a few numbers, which are looked at before memory is made for the picture; another
//! decodes into that. Both are this program started once more ([`parfork::isolated`]). For files that begin as most do, memory is there
//! before, of the size that they seem to have ([`guess`]): if that is right, the first process decodes into it, and there is no other.

use std::path::Path;

use parfork::formats::InputFile;
use parfork::formats::npy::ArrayFile;
use parfork::isolated::{self, Task};
use parfork::{Error, ExecError, Hooks, JobSpec, Result, Shared};

use super::Picture;
use super::decode::{Header, blank, of_array};
use super::decoder::{DECODE, LOOK, Told, in_numbers, warning_of};
use super::guess::guess;
use super::metadata::{MOST, Metadata};
use super::warning::DecodeWarning;

/// Reads a picture as [`read`](super::read()) does, in a process that is kept in a [`Sandbox`](parfork::Sandbox) and has nothing of this one's
/// memory or environment: for files that strangers sent. A decoder that crashes, or wants more memory than the picture explains, ends
/// as an error. Takes a few milliseconds longer: this program is started once more, and of unusual files twice. So `main` has to begin with
/// [`serve_decoder`](super::serve_decoder).
///
/// Of what is set, name, deadline and limit of memory count, of the hooks the request to stop and how strict the sandbox is; by default the
/// memory of the decoder is limited to three times that of the picture and twice that of the file, and 320 MiB.
///
/// # Errors
/// As [`read`](super::read()), and as [`Job::run`](parfork::Job::run) if there can be no worker; [`parfork::Error::Exec`] if `main` does not begin so.
pub fn read_with(spec: &JobSpec, hooks: Hooks<'_>, path: impl AsRef<Path>) -> Result<Picture> {
    read_from(spec, hooks, InputFile::open(path)?, false).map(|file| file.picture)
}

/// More is never told: three parts, and how long each is.
const MOST_IN_ALL: u64 = 3 * MOST as u64 + 24;

/// What to do with a file that has its process misbehave.
const HARMFUL: &str = "it was made to do harm: fetch or export it again";

/// What was read from a file.
#[derive(Debug)]
pub struct PictureFile {
    /// The picture.
    pub picture: Picture,
    /// What else there is, if it was wanted.
    pub metadata: Metadata,
    /// What there is to say of the file.
    pub warning: Option<DecodeWarning>,
}

/// Room for what a file has beside its picture that most have enough of.
const USUAL: usize = 128 << 10;

/// As [`read_with`], of an input that is open; with what it has beside its picture if that is wanted, and what there is to say of it.
///
/// # Errors
/// As [`read_with`]; if there is more beside the picture than can be meant.
pub fn read_from(spec: &JobSpec, hooks: Hooks<'_>, source: InputFile, with_metadata: bool) -> Result<PictureFile> {
    if source.is_segment() {
        let picture = of_array(ArrayFile::of(source)?)?;
        return Ok(PictureFile { picture, metadata: Metadata::default(), warning: None });
    }
    if !isolated::serves(DECODE) {
        let call = "picture::serve_decoder()".to_owned();
        return Err(ExecError::NotServed { task: DECODE.to_owned(), call }.into());
    }
    let spec = |picture: usize| {
        let memory_limit = spec.memory_limit.or(Some(3 * picture as u64 + 2 * source.len() + (320 << 20)));
        JobSpec { memory_limit, ..spec.clone() }
    };
    let hooks = || Hooks { cancel_token: hooks.cancel_token, sandbox: hooks.sandbox.clone(), ..Hooks::default() };
    // Where there is no room for what it seems to be, that is told when it is known.
    let mut guessed = guess(&source)?.and_then(|header| Some((header, blank(header).ok()?)));
    let mut look = |room: usize| {
        let mut beside = Shared::<u8, _>::zeros(room.max(1))?;
        let (bytes, bits) = guessed.as_ref().map_or((0, 0), |(header, _)| (header.bytes(), header.bits));
        let task = Task::new(LOOK, &source).numbers([bytes as u64, bits.into(), room as u64, 0]);
        let (spec, hooks) = (spec(bytes), hooks());
        let told = match &mut guessed {
            Some((_, Picture::U8(samples))) => task.run_into_both(&spec, hooks, samples, &mut beside)?,
            Some((_, Picture::U16(samples))) => task.run_into_both(&spec, hooks, samples, &mut beside)?,
            None => task.run_into_both(&spec, hooks, &mut Shared::<u8, _>::zeros(1)?, &mut beside)?,
        };
        let told = Told::of(told);
        Ok::<_, Error>((believed(&source, told.header)?, told, beside))
    };
    let mut looked = look(if with_metadata { USUAL } else { 0 })?;
    if looked.1.beside > USUAL as u64 && looked.1.beside <= MOST_IN_ALL {
        looked = look(looked.1.beside as usize)?;
    }
    let (header, told, beside) = looked;
    let length = told.beside;
    let beside = usize::try_from(length).ok().and_then(|length| beside.as_slice().get(..length));
    let metadata = match beside {
        Some([]) => Metadata::default(),
        beside => beside.and_then(Metadata::from_bytes).ok_or_else(|| {
            let what = format!("the process that reads it says that there are {length} bytes beside the picture");
            source.wrong(what, HARMFUL)
        })?,
    };
    if let (Some(warning), Some((guess, picture))) = (told.done, guessed.take())
        && (guess.bytes(), guess.bits) == (header.bytes(), header.bits)
    {
        return Ok(PictureFile { picture: picture.of_shape(header.shape)?, metadata, warning });
    }
    let mut picture = blank(header)?;
    let task = Task::new(DECODE, &source).numbers(in_numbers(header));
    let told = match &mut picture {
        Picture::U8(samples) => task.run_into(&spec(header.bytes()), hooks(), samples)?,
        Picture::U16(samples) => task.run_into(&spec(header.bytes()), hooks(), samples)?,
    };
    Ok(PictureFile { picture, metadata, warning: warning_of(told) })
}

/// What a process has said of a picture, if there can be such a one.
fn believed(source: &InputFile, [height, width, channels, bits]: [u64; 4]) -> Result<Header> {
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
        return Err(source.wrong(what, HARMFUL));
    }
    Ok(Header { shape: [height as usize, width as usize, channels as usize], bits: bits as u32 })
}
