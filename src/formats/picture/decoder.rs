//! A process that decodes one picture and has never had anything else: this program, started once more.
//!
//! A fork has all that the coordinator had in its memory and its environment, and code that has taken a decoder over can read that. So the
//! decoder is executed anew, with no environment, the file, and the place for the samples; it confines itself before it looks at the file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::source::Source;
use super::decode::{Header, Target, decode};
use crate::error::{Error, Result};
use crate::sandbox::Sandbox;
use crate::sys::limits;
use crate::sys::memory::{Inheritance, Keeping, Mapping, reopen};

/// The first argument of a program that is started to decode.
const DECODE: &str = "parfork-decode-picture";

/// Whether this program decodes if it is started so.
static SERVES: AtomicBool = AtomicBool::new(false);

/// Lets this program decode pictures for [`read_with`](super::read_with), which starts it once more for that: to be called before anything else
/// in `main`. Returns at once, unless it was started to decode.
pub fn serve_decoder() {
    SERVES.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != DECODE) {
        return;
    }
    let told = Order::parse(arguments).and_then(|order| order.carry_out().map_err(|error| in_words(&error)));
    let (kind, text) = match told {
        Ok([height, width, channels, bits]) => ("done", format!("{height} {width} {channels} {bits}")),
        Err(words) => ("wrong", words),
    };
    // Whoever has started this process hears of its end if it cannot be told.
    let _ = std::io::stdout().write_all(format!("{kind} {text}").as_bytes());
    std::process::exit(0);
}

/// What a decoder is told to do, by its arguments: all numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// The file's descriptor.
    pub(super) file: u64,
    /// Bytes of memory that it may take.
    pub(super) memory: u64,
    /// What the picture is and the descriptor of the place for it, if it is not only to be looked at.
    pub(super) picture: Option<(Header, u64)>,
}

impl Order {
    /// The arguments that say so.
    ///
    /// # Errors
    /// If this program would not do it.
    pub(super) fn arguments(&self) -> Result<Vec<OsString>> {
        if !SERVES.load(Ordering::Relaxed) {
            return Err(Error::Exec(
                "pictures are decoded by this program started once more, which would not do that. Call \
                 picture::serve_decoder() first in main, or read with picture::read."
                    .to_owned(),
            ));
        }
        let mut numbers = vec![self.file, self.memory];
        if let Some((Header { shape: [height, width, channels], bits }, place)) = self.picture {
            numbers.extend([place, height as u64, width as u64, channels as u64, u64::from(bits)]);
        }
        Ok([DECODE.into()].into_iter().chain(numbers.iter().map(|number| number.to_string().into())).collect())
    }

    fn parse(arguments: impl Iterator<Item = OsString>) -> std::result::Result<Self, String> {
        let number = |argument: OsString| argument.to_str()?.parse::<u64>().ok();
        let numbers = arguments.map(number).collect::<Option<Vec<_>>>();
        match numbers.as_deref() {
            Some(&[file, memory]) => Ok(Self { file, memory, picture: None }),
            Some(&[file, memory, place, height, width, channels, bits]) => {
                let shape = [height, width, channels].map(|length| length as usize);
                Ok(Self { file, memory, picture: Some((Header { shape, bits: bits as u32 }, place)) })
            }
            _ => Err("a decoder is started by parfork and not by hand".to_owned()),
        }
    }

    /// Confines this process, then decodes; what the picture is.
    fn carry_out(self) -> Result<[u64; 4]> {
        let open =
            |fd, write| reopen(std::process::id(), fd, write).map_err(Error::system("open what is to be decoded"));
        let file = File::from(open(self.file, false)?);
        let len = file.metadata().map_err(Error::system("look at what is to be decoded"))?.len();
        let source = Source { path: PathBuf::new(), file, len, room: limits::memory_room() };
        let mut place = match self.picture {
            Some((header, fd)) => {
                let mapped = Place::new(&open(fd, true)?, header.bytes());
                Some((header, mapped.map_err(Error::system("map the place for the samples"))?))
            }
            None => None,
        };
        limits::limit_private_memory(Some(self.memory)).map_err(Error::system("limit a decoder's memory"))?;
        limits::limit_addresses(self.memory).map_err(Error::system("limit a decoder's addresses"))?;
        Sandbox::new().confine_this_process(&[source.file.as_raw_fd()])?;
        match &mut place {
            Some((header, place)) => {
                decode(&source, &mut Room { header: *header, room: Some(place.as_mut_slice()) })?;
                Ok([0; 4])
            }
            None => {
                let mut told = Told(None);
                decode(&source, &mut told)?;
                Ok(told.0.map_or([0; 4], in_numbers))
            }
        }
    }
}

/// The place for a picture's samples: shared memory that this process alone writes for as long as it lives.
struct Place(Mapping);

impl Place {
    /// The first `len` bytes of a file that the coordinator has made for them, and does not look into until this process has ended.
    fn new(fd: &OwnedFd, len: usize) -> io::Result<Self> {
        Mapping::new(fd, len, Keeping::SharedToWrite, Inheritance::Withheld).map(Self)
    }

    #[allow(unsafe_code)]
    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as many bytes are mapped, for as long as this is borrowed; the coordinator lends them to this process until its end.
        unsafe { std::slice::from_raw_parts_mut(self.0.base().as_ptr(), self.0.len()) }
    }
}

/// An error as a decoder tells it: what is wrong and what to do, where it is one of the file.
fn in_words(error: &Error) -> String {
    match error {
        Error::File { what, remedy, .. } => format!("{what}\0{remedy}"),
        other => other.to_string(),
    }
}

fn in_numbers(Header { shape: [height, width, channels], bits }: Header) -> [u64; 4] {
    [height as u64, width as u64, channels as u64, u64::from(bits)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_what_its_arguments_say_and_nothing_else_is_one() {
        SERVES.store(true, Ordering::Relaxed);
        let header = Header { shape: [3, 4, 2], bits: 16 };
        for picture in [None, Some((header, 9))] {
            let order = Order { file: 7, memory: 1 << 40, picture };
            let arguments = order.arguments().unwrap();
            assert_eq!(arguments[0], DECODE);
            assert_eq!(Order::parse(arguments.into_iter().skip(1)), Ok(order));
        }
        for wrong in [&[][..], &["7"], &["7", "x"], &["7", "8", "9"]] {
            assert!(Order::parse(wrong.iter().map(OsString::from)).is_err(), "{wrong:?}");
        }
    }
}
