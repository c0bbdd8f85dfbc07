//! What a picture cannot be, or a format cannot hold.

use parfork::Dtype;

use super::{Format, Sampling};

/// Why a picture cannot be written, or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// An array whose last axis is no channels.
    #[error("{channels} channels are no picture. Use 1 to 4, as the last axis.")]
    NoPicture {
        /// The length of that axis.
        channels: usize,
    },
    /// An array that is no picture.
    #[error(
        "an array of shape {shape:?} of {} is no picture. Pictures are rows x columns x 1 to 4 channels of u8 or u16; everything else \
         goes to .npy.",
        .dtype.name()
    )]
    OtherArray {
        /// The type of its elements.
        dtype: Dtype,
        /// The lengths of its axes.
        shape: Vec<usize>,
    },
    /// Channels that the format does not have.
    #[error("{format} does not hold {what} ({channels} channels). Name a .png, .tiff or .{other}.")]
    Channels {
        /// The format.
        format: &'static str,
        /// What such a picture is called.
        what: &'static str,
        /// How many channels it has.
        channels: usize,
        /// The format of the PNM family that holds it.
        other: &'static str,
    },
    /// More bits than the format has.
    #[error("{format} holds {most} bits a sample, not {bits}. Name a .png, .tiff or .pam.")]
    Bits {
        /// The format.
        format: &'static str,
        /// How many it has at most.
        most: u32,
        /// How many there are.
        bits: u32,
    },
    /// No pixels.
    #[error("{width} x {height} pixels are no picture. Use one pixel at least.")]
    Empty {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// More rows or columns than the format can count.
    #[error("{format} holds {most} pixels a side, not {width} x {height}. Name a .png, or make it smaller.")]
    Side {
        /// The format.
        format: &'static str,
        /// How many it can count.
        most: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// More bytes than the format can count.
    #[error("{format} holds {most} bytes, not {bytes}. Name a .png or .pam.")]
    Bytes {
        /// The format.
        format: &'static str,
        /// How many it can count.
        most: usize,
        /// How many there are.
        bytes: usize,
    },
    /// A name that no format has.
    #[error("{name} is no format. Use {}.", Format::names().join(", "))]
    UnknownFormat {
        /// The name.
        name: String,
    },
    /// A name that no sampling has.
    #[error("{name} is no sampling of colours. Use {}.", Sampling::NAMES.join(", "))]
    UnknownSampling {
        /// The name.
        name: String,
    },
    /// Settings of JPEG for another format.
    #[error("{format} has neither a quality nor a sampling of colours. Name a .jpg, or leave them out.")]
    NoJpeg {
        /// The format.
        format: &'static str,
    },
    /// A file that was another one when its header was read.
    #[error("the file has changed while it was read. Read it again.")]
    Changed,
}
