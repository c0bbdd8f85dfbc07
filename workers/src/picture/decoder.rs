//! What processes do that decode one picture and have never had anything else.

use parfork::formats::InputFile;
use parfork::{Error, Result, isolated};

use super::PictureError;
use super::decode::{Header, Target, decode};
use super::metadata::{MOST, Metadata};
use super::warning::DecodeWarning;

/// The task of telling of what kind a picture is.
pub(super) const LOOK: &str = "look-at-picture";

/// The task of decoding one of a kind that is known.
pub(super) const DECODE: &str = "decode-picture";

/// Lets this program decode pictures for [`read_with`](super::read_with), which starts it once more for that: to be called before anything else
/// in `main`. Returns at once, unless it was started to decode.
pub fn serve_decoder() {
    isolated::serve(LOOK, |_, source, room| look(source, room));
    isolated::serve(DECODE, decode_into);
}

/// What a picture is, and what its file has beside it, if there is room for that; how much that takes is told.
fn look(source: &InputFile, room: &mut [u8]) -> Result<[u64; 4]> {
    let mut told = DecoderArg { header: None, metadata: (!room.is_empty()).then(Metadata::default) };
    decode(source, &mut told)?;
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
    Ok([height, width, channels << KIND | bits, bytes.len() as u64])
}

/// The bits of a number that say how many a sample has; those above are channels.
const KIND: u32 = 8;

/// What [`LOOK`] has told of a picture, unbelieved: height, width, channels and bits, and how many bytes its metadata takes.
pub(super) fn of_look([height, width, kind, length]: [u64; 4]) -> ([u64; 4], u64) {
    ([height, width, kind >> KIND, kind & ((1 << KIND) - 1)], length)
}

/// Decodes a picture that is to be so.
fn decode_into([height, width, channels, bits]: [u64; 4], source: &InputFile, room: &mut [u8]) -> Result<[u64; 4]> {
    let shape = [height, width, channels].map(|length| length as usize);
    let header = Header { shape, bits: bits as u32 };
    let warning = decode(source, &mut PictureMemory { header, room: Some(room) })?;
    Ok([if warning == Some(DecodeWarning::Unended) { UNENDED } else { 0 }, 0, 0, 0])
}

/// A warning as a number; all others are none.
const UNENDED: u64 = 1;

pub(super) fn warning_of([number, ..]: [u64; 4]) -> Option<DecodeWarning> {
    (number == UNENDED).then_some(DecodeWarning::Unended)
}

pub(super) fn in_numbers(Header { shape: [height, width, channels], bits }: Header) -> [u64; 4] {
    [height as u64, width as u64, channels as u64, u64::from(bits)]
}

/// Hears of what kind the picture is, and wants no more.
struct DecoderArg {
    header: Option<Header>,
    metadata: Option<Metadata>,
}

impl Target for DecoderArg {
    fn room(&mut self, header: Header) -> Result<Option<&mut [u8]>> {
        self.header = Some(header);
        Ok(None)
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
