//! What processes do that decode one picture and have never had anything else.

use parfork::formats::InputFile;
use parfork::{Error, Result, isolated};

use super::PictureError;
use super::decode::{Header, Target, decode};
use super::metadata::{MOST, Metadata};
use super::warning::DecodeWarning;

/// The task of telling of what kind a picture is, and of decoding it if that was guessed.
pub(super) const LOOK: &str = "read-picture";

/// The task of decoding one of a kind that was told.
pub(super) const DECODE: &str = "decode-picture";

/// Lets this program decode pictures for [`read_with`](super::read_with), which starts it once more for that: to be called before anything else
/// in `main`. Returns at once, unless it was started to decode.
pub fn serve_decoder() {
    isolated::serve(LOOK, |[bytes, bits, beside, _], source, [picture, room]| {
        let guess = (bytes > 0).then_some((picture, bits as u32));
        look(source, guess, if beside > 0 { room } else { &mut [] })
    });
    isolated::serve(DECODE, |numbers, source, [room, _]| decode_into(numbers, source, room));
}

/// What a picture is, and what its file has beside it, if there is room for that; how much that takes is told. Where the picture is as
/// large as was guessed, it is decoded.
fn look(source: &InputFile, guess: Option<(&mut [u8], u32)>, room: &mut [u8]) -> Result<[u64; 4]> {
    let metadata = (!room.is_empty()).then(Metadata::default);
    let mut told = DecoderArg { header: None, guess, fits: false, metadata };
    let warning = decode(source, &mut told)?;
    let metadata = told.metadata.filter(|metadata| *metadata != Metadata::default());
    if let Some((what, length)) = metadata.as_ref().and_then(Metadata::too_long) {
        let what = format!("its {what} is {length} bytes long, and {MOST} are read at most");
        return Err(source.wrong(what, "Leave it out with --strip, or write the picture anew"));
    }
    let bytes = metadata.map_or_else(Vec::new, |metadata| metadata.to_bytes());
    if let Some(room) = room.get_mut(..bytes.len()) {
        room.copy_from_slice(&bytes);
    }
    let [height, width, channels, bits] = told.header.map_or([0; 4], in_numbers);
    let done = if told.fits { DONE | in_number(warning) } else { 0 };
    Ok([height, width, done << FLAGS | channels << KIND | bits, bytes.len() as u64])
}

/// The bits of a number that say how many a sample has; those above are channels, and what came of it.
const KIND: u32 = 8;
const FLAGS: u32 = 16;

/// That the picture is decoded; a bit beside those of warnings.
const DONE: u64 = 2;

/// What [`LOOK`] has told of a picture, unbelieved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Height, width, channels and bits.
    pub(super) header: [u64; 4],
    /// How many bytes its metadata takes.
    pub(super) beside: u64,
    /// Whether it is decoded; then what there is to say of the file.
    pub(super) done: Option<Option<DecodeWarning>>,
}

impl Told {
    pub(super) fn of([height, width, kind, beside]: [u64; 4]) -> Self {
        let part = |from: u32| kind >> from & ((1 << KIND) - 1);
        let done = (part(FLAGS) & DONE != 0).then(|| warning_of([part(FLAGS) & UNENDED, 0, 0, 0]));
        Self { header: [height, width, part(KIND), part(0)], beside, done }
    }
}

/// Decodes a picture that is to be so.
fn decode_into([height, width, channels, bits]: [u64; 4], source: &InputFile, room: &mut [u8]) -> Result<[u64; 4]> {
    let shape = [height, width, channels].map(|length| length as usize);
    let header = Header { shape, bits: bits as u32 };
    let warning = decode(source, &mut PictureMemory { header, room: Some(room) })?;
    Ok([in_number(warning), 0, 0, 0])
}

/// A warning as a number; all others are none.
const UNENDED: u64 = 1;

fn in_number(warning: Option<DecodeWarning>) -> u64 {
    if warning == Some(DecodeWarning::Unended) { UNENDED } else { 0 }
}

pub(super) fn warning_of([number, ..]: [u64; 4]) -> Option<DecodeWarning> {
    (number == UNENDED).then_some(DecodeWarning::Unended)
}

pub(super) fn in_numbers(Header { shape: [height, width, channels], bits }: Header) -> [u64; 4] {
    [height as u64, width as u64, channels as u64, u64::from(bits)]
}

/// Hears of what kind the picture is, and wants no more where that is not what was guessed.
struct DecoderArg<'s> {
    header: Option<Header>,
    /// Memory for a picture of as many bytes, and the bits of its samples.
    guess: Option<(&'s mut [u8], u32)>,
    /// Whether it is that large.
    fits: bool,
    metadata: Option<Metadata>,
}

impl Target for DecoderArg<'_> {
    fn room(&mut self, header: Header) -> Result<Option<&mut [u8]>> {
        self.header = Some(header);
        let is_so = |room: &[u8], bits: u32| room.len() == header.bytes() && bits == header.bits;
        let room = self.guess.as_mut().filter(|(room, bits)| is_so(room, *bits)).map(|(room, _)| &mut **room);
        self.fits = room.is_some();
        Ok(room)
    }

    fn metadata(&mut self) -> Option<&mut Metadata> {
        self.metadata.as_mut()
    }
}

/// Memory for a picture of a kind that is known.
struct PictureMemory<'s> {
    header: Header,
    room: Option<&'s mut [u8]>,
}

impl Target for PictureMemory<'_> {
    fn room(&mut self, header: Header) -> Result<Option<&mut [u8]>> {
        if header != self.header {
            return Err(Error::kernel(PictureError::Changed));
        }
        Ok(self.room.as_deref_mut())
    }
}
