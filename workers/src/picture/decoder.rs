//! What processes do that decode one picture and have never had anything else.

use parfork::formats::InputFile;
use parfork::{Error, Result, isolated};

use super::PictureError;
use super::decode::{DecodeWarning, Header, Target, decode};

/// The task of telling of what kind a picture is.
pub(super) const LOOK: &str = "look-at-picture";

/// The task of decoding one of a kind that is known.
pub(super) const DECODE: &str = "decode-picture";

/// Lets this program decode pictures for [`read_with`](super::read_with), which starts it once more for that: to be called before anything else
/// in `main`. Returns at once, unless it was started to decode.
pub fn serve_decoder() {
    isolated::serve(LOOK, |_, source, _| look(source));
    isolated::serve(DECODE, decode_into);
}

/// What a picture is.
fn look(source: &InputFile) -> Result<[u64; 4]> {
    let mut told = DecoderArg(None);
    decode(source, &mut told)?;
    Ok(told.0.map_or([0; 4], in_numbers))
}

/// Decodes a picture that is to be so.
fn decode_into([height, width, channels, bits]: [u64; 4], source: &InputFile, room: &mut [u8]) -> Result<[u64; 4]> {
    let shape = [height, width, channels].map(|length| length as usize);
    let header = Header { shape, bits: bits as u32 };
    let warning = decode(source, &mut PictureMemory { header, room: Some(room) })?;
    Ok([warning.map_or(0, |DecodeWarning::Unended| UNENDED), 0, 0, 0])
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
struct DecoderArg(Option<Header>);

impl Target for DecoderArg {
    fn room(&mut self, header: Header) -> Result<Option<&mut [u8]>> {
        self.0 = Some(header);
        Ok(None)
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
