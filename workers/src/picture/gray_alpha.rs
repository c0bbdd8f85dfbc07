//! TIFF, read, where it is gray with alpha: `image` refuses it, though the decoder beneath it reads the samples.

use std::io::{BufRead, Seek};

use image::error::DecodingError;
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use tiff::TiffError;
use tiff::decoder::{Decoder, DecodingSampleType};
use tiff::tags::Tag;

/// A decoder of TIFF files with two channels side by side, the first of them gray.
pub(super) struct GrayAlpha<R: BufRead + Seek> {
    tiff: Decoder<R>,
    dimensions: (u32, u32),
    color: ColorType,
}

impl<R: BufRead + Seek> GrayAlpha<R> {
    /// `None` for everything else, damaged files too: `image` says what is wrong with those.
    pub(super) fn of(format: ImageFormat, reader: R) -> Option<Self> {
        if format != ImageFormat::Tiff {
            return None;
        }
        let mut tiff = Decoder::new(reader).ok()?;
        let tiff::ColorType::Multiband { num_samples: 2, .. } = tiff.colortype().ok()? else { return None };
        let layout = tiff.image_buffer_layout().ok().filter(|layout| layout.planes == 1)?;
        let color = match layout.sample_type? {
            DecodingSampleType::U8 => ColorType::La8,
            DecodingSampleType::U16 => ColorType::La16,
            _ => return None,
        };
        Some(Self { dimensions: tiff.dimensions().ok()?, color, tiff })
    }
}

impl<R: BufRead + Seek> ImageDecoder for GrayAlpha<R> {
    fn dimensions(&self) -> (u32, u32) {
        self.dimensions
    }

    fn color_type(&self) -> ColorType {
        self.color
    }

    fn orientation(&mut self) -> ImageResult<Orientation> {
        let tag = self.tiff.find_tag(Tag::Orientation).map_err(failed)?;
        let orientation = tag.and_then(|value| Orientation::from_exif(u8::try_from(value.into_u16().ok()?).ok()?));
        Ok(orientation.unwrap_or(Orientation::NoTransforms))
    }

    fn read_image(mut self, samples: &mut [u8]) -> ImageResult<()> {
        self.tiff.read_image_bytes(samples).map_err(failed)
    }

    fn read_image_boxed(self: Box<Self>, samples: &mut [u8]) -> ImageResult<()> {
        self.read_image(samples)
    }
}

fn failed(error: TiffError) -> ImageError {
    match error {
        TiffError::IoError(error) => ImageError::IoError(error),
        other => ImageError::Decoding(DecodingError::new(ImageFormat::Tiff.into(), other)),
    }
}
