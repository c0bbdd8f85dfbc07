//! Files to shared arrays and back: [`npy`] for NumPy's arrays, [`picture`] for images.
//!
//! A reader looks at the header, checks it against the length of the file before it makes anything, and then reads or
//! decodes the payload straight into the segment of a [`Shared`](crate::Shared). A writer takes a [`Landing`], opened
//! before the work, so that what is wrong with the target is found then; the file appears when it is whole, or not at all.
//!
//! Whatever a file holds, the end is an array, [`Error::File`](crate::Error::File) or
//! [`Error::Memory`](crate::Error::Memory).

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hidden;
mod landing;
pub mod npy;
pub mod picture;
mod source;
mod target;

pub use landing::Landing;
