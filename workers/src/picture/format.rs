//! The formats that pictures are written in, and what each can hold.

use std::path::Path;
use std::str::FromStr;

use super::{JpegSettings, PictureError, Sampling};
use crate::picture::wrong;
use parfork::formats::Address;
use parfork::{Error, Result};

/// A format to write; the extension of the target says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `.png`: everything, without loss.
    Png,
    /// `.jpg`, `.jpeg`: 8 bits, gray or RGB, with loss.
    Jpeg(JpegSettings),
    /// `.tif`, `.tiff`: everything, without loss or compression, up to 4 GiB.
    Tiff,
    /// `.bmp`: 8 bits, all but gray with alpha.
    Bmp,
    /// `.pgm`: gray.
    Pgm,
    /// `.ppm`: RGB.
    Ppm,
    /// `.pnm`: gray or RGB.
    Pnm,
    /// `.pam`: everything.
    Pam,
}

/// Extension, format.
const EXTENSIONS: [(&str, Format); 10] = [
    ("png", Format::Png),
    ("jpg", Format::Jpeg(JpegSettings::DEFAULT)),
    ("jpeg", Format::Jpeg(JpegSettings::DEFAULT)),
    ("tif", Format::Tiff),
    ("tiff", Format::Tiff),
    ("bmp", Format::Bmp),
    ("pgm", Format::Pgm),
    ("ppm", Format::Ppm),
    ("pnm", Format::Pnm),
    ("pam", Format::Pam),
];

impl Format {
    /// The format for a target, by its extension in any case of letters; PNG for a [stream](Address::is_stream) and a segment, whose names
    /// say none. Nothing is opened.
    ///
    /// # Errors
    /// [`Error::File`] if the extension is missing or unknown.
    pub fn for_target(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match Address::of(path) {
            Address::Standard | Address::Segment(_) => return Ok(Self::Png),
            address @ Address::File(path) if path.extension().is_none() && address.is_stream() => return Ok(Self::Png),
            Address::File(_) => {}
        }
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        extension.as_deref().and_then(of_extension).ok_or_else(|| {
            let what = match &extension {
                Some(extension) => format!("no format of pictures is known for the extension .{extension}"),
                None => "its name has no extension that says which format to write".to_owned(),
            };
            let known = EXTENSIONS.map(|(known, _)| format!(".{known}")).join(", ");
            wrong(path, what, format!("name a file that ends in one of {known}"))
        })
    }

    /// What [`from_str`](FromStr::from_str) knows.
    pub fn names() -> [&'static str; 10] {
        EXTENSIONS.map(|(extension, _)| extension)
    }

    /// The same with another quality or sampling, of those that are given.
    ///
    /// # Errors
    /// [`PictureError`] if any is and this is not JPEG.
    pub fn with_jpeg(self, quality: Option<u8>, sampling: Option<Sampling>) -> Result<Self> {
        match self {
            Self::Jpeg(settings) => Ok(Self::Jpeg(JpegSettings {
                quality: quality.unwrap_or(settings.quality),
                sampling: sampling.unwrap_or(settings.sampling),
            })),
            other if quality.is_none() && sampling.is_none() => Ok(other),
            other => Err(Error::kernel(PictureError::NoJpeg { format: other.name() })),
        }
    }

    /// The extension that it is best known by.
    pub fn extension(self) -> &'static str {
        EXTENSIONS.iter().find(|(_, format)| format.name() == self.name()).map_or("", |(extension, _)| extension)
    }

    /// Whether pictures of so many channels (1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha) and bits a sample (8 or 16)
    /// can be written in this format.
    ///
    /// # Errors
    /// [`PictureError`] with the formats to use instead.
    pub fn accepts(self, channels: usize, bits: u32) -> Result<()> {
        let (most_channels, most_bits) = match self {
            Self::Png | Self::Tiff | Self::Pam => (&[1, 2, 3, 4][..], 16),
            Self::Jpeg(_) => (&[1, 3][..], 8),
            Self::Bmp => (&[1, 3, 4][..], 8),
            Self::Pgm => (&[1][..], 16),
            Self::Ppm => (&[3][..], 16),
            Self::Pnm => (&[1, 3][..], 16),
        };
        let what = match channels {
            1 => "gray",
            2 => "gray with alpha",
            3 => "RGB",
            4 => "RGB with alpha",
            _ => return Err(Error::kernel(PictureError::NoPicture { channels })),
        };
        if !most_channels.contains(&channels) {
            let other = ["pgm", "pam", "ppm", "pam"][channels - 1];
            return Err(Error::kernel(PictureError::Channels { format: self.name(), what, channels, other }));
        }
        if bits > most_bits {
            return Err(Error::kernel(PictureError::Bits { format: self.name(), most: most_bits, bits }));
        }
        Ok(())
    }

    /// Whether a picture of this height, width and channels can be written: as [`accepts`](Self::accepts), and its size.
    ///
    /// # Errors
    /// [`PictureError`], with the numbers.
    pub fn holds(self, [height, width, channels]: [usize; 3], bits: u32) -> Result<()> {
        self.accepts(channels, bits)?;
        if height == 0 || width == 0 {
            return Err(Error::kernel(PictureError::Empty { height, width }));
        }
        let most = match self {
            Self::Jpeg(_) | Self::Bmp => usize::from(u16::MAX),
            // The decoders' limit; PNG itself ends at 2^31.
            _ => i32::MAX as usize,
        };
        if height > most || width > most {
            return Err(Error::kernel(PictureError::Side { format: self.name(), most, height, width }));
        }
        let bytes = (height * width).saturating_mul(channels * bits as usize / 8);
        let most = match self {
            // Offsets have 32 bits; 1 MiB is more than all else in the file.
            Self::Tiff | Self::Bmp => u32::MAX as usize - (1 << 20),
            _ => usize::MAX,
        };
        if bytes > most {
            return Err(Error::kernel(PictureError::Bytes { format: self.name(), most, bytes }));
        }
        Ok(())
    }

    /// Whether it holds EXIF, an ICC profile and XMP.
    pub(super) fn has_metadata(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg(_) | Self::Tiff)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg(_) => "JPEG",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
            Self::Pgm => "PGM",
            Self::Ppm => "PPM",
            Self::Pnm => "PNM",
            Self::Pam => "PAM",
        }
    }
}

fn of_extension(extension: &str) -> Option<Format> {
    EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|(_, format)| *format)
}

/// By an extension: `jpg`.
impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        of_extension(text).ok_or_else(|| Error::kernel(PictureError::UnknownFormat { name: text.to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_says_the_format() {
        for (name, format) in
            [("a.png", Format::Png), ("B.JPG", Format::Jpeg(JpegSettings::DEFAULT)), ("x.y/c.tiff", Format::Tiff)]
        {
            assert_eq!(Format::for_target(name).unwrap(), format);
        }
        for name in ["a.gif", "png", ".png", ""] {
            assert!(Format::for_target(name).is_err(), "{name}");
        }
        assert!(Format::for_target("a.webp").unwrap_err().to_string().contains(".webp"));
    }

    #[test]
    fn what_a_format_cannot_hold_is_told_with_what_can() {
        let jpeg = Format::Jpeg(JpegSettings::DEFAULT);
        for (format, shape, bits, reason) in [
            (Format::Ppm, [1, 1, 1], 8, "does not hold gray (1 channels). Name a .png, .tiff or .pgm"),
            (jpeg, [1, 1, 4], 8, "does not hold RGB with alpha (4 channels). Name"),
            (jpeg, [1, 1, 3], 16, "8 bits a sample, not 16"),
            (Format::Bmp, [1, 1, 2], 8, "gray with alpha"),
            (Format::Pgm, [1, 1, 3], 8, ".ppm"),
            (Format::Png, [1, 1, 5], 8, "1 to 4"),
            (Format::Png, [0, 7, 3], 8, "7 x 0 pixels"),
            (jpeg, [1, 65536, 3], 8, "65536 x 1"),
            (Format::Tiff, [40_000, 40_000, 3], 8, "4800000000"),
        ] {
            let error = format.holds(shape, bits).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(Format::Png.holds([100, 100, 2], 16).is_ok());
    }
}
