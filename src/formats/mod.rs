//! Files to shared arrays and back: [`npy`] for NumPy's arrays, and what readers and writers of other formats begin with.
//!
//! Inputs and outputs are named by an [`Address`]: a path, `-`, or `shm:NAME`. A reader opens an [`InputFile`], looks at the header,
//! checks it against the length of the file before it makes anything, and then reads or decodes the payload straight into the
//! segment of a [`Shared`](crate::Shared). A writer takes an [`OutputFile`], opened before the work, so that what is wrong with the
//! target is found then; a file appears when it is whole, or not at all ([`AtomicFile`]).
//!
//! Whatever a file holds, the end is an array, [`Error::File`](crate::Error::File) or
//! [`Error::Memory`](crate::Error::Memory).

mod address;
mod atomic_file;
mod hidden;
mod input;
mod location;
#[cfg(feature = "npy")]
pub mod npy;
mod output;
mod target;

pub use address::Address;
pub use atomic_file::AtomicFile;
pub use input::InputFile;
pub use location::Location;
pub use output::OutputFile;
