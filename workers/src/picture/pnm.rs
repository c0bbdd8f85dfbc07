//! PGM, PPM and PAM, written: a few words, then the samples.
//!
//! `image` writes PAM where 16 bits are asked for, whatever the extension says.

use std::io::{self, Write};

use super::Picture;

/// Which of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// PGM for one channel, PPM for three.
    Classic,
    /// PAM, for any.
    Any,
}

pub(super) fn encode(out: &mut impl Write, picture: &Picture, kind: Kind) -> io::Result<()> {
    let [height, width, channels] = picture.shape();
    let most = (1_u32 << picture.bits()) - 1;
    match (kind, channels) {
        (Kind::Classic, 1) => write!(out, "P5\n{width} {height}\n{most}\n")?,
        (Kind::Classic, _) => write!(out, "P6\n{width} {height}\n{most}\n")?,
        (Kind::Any, _) => {
            let tuple = ["GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA"][channels - 1];
            write!(out, "P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {most}\n")?;
            write!(out, "TUPLTYPE {tuple}\nENDHDR\n")?;
        }
    }
    match picture {
        Picture::U8(samples) => out.write_all(samples.as_slice()),
        Picture::U16(samples) => {
            let mut piece = Vec::with_capacity(1 << 16);
            for some in samples.as_slice().chunks(1 << 15) {
                piece.clear();
                piece.extend(some.iter().flat_map(|sample| sample.to_be_bytes()));
                out.write_all(&piece)?;
            }
            Ok(())
        }
    }
}
