//! An array to read, whatever holds it.
#![allow(unsafe_code)]

use ndarray::{ArrayView, Dimension};

use super::{Lend, Loan, MappedLoans};
#[cfg(feature = "npy")]
use crate::shared::Mapped;
#[cfg(feature = "named")]
use crate::shared::named::ReadGuard;
use crate::shared::{Element, Shared};
use crate::slices::Region;

/// An array to read, whatever holds it: what kernels take. Made of `&Shared`, of a reader's [guard](crate::named::ReadGuard) of a
/// named segment, or of a [`Mapped`] file.
#[derive(Debug)]
pub enum Input<'a, T: Element, D: Dimension> {
    /// In this process's memory.
    Shared(&'a Shared<T, D>),
    /// In a named segment.
    #[cfg(feature = "named")]
    Named(&'a ReadGuard<'a, T, D>),
    /// In a file.
    #[cfg(feature = "npy")]
    Mapped(&'a Mapped<T, D>),
}

impl<T: Element, D: Dimension> Input<'_, T, D> {
    /// The lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Shared(array) => array.shape(),
            #[cfg(feature = "named")]
            Self::Named(guard) => guard.shape(),
            #[cfg(feature = "npy")]
            Self::Mapped(mapped) => mapped.shape(),
        }
    }
}

impl<'a, T: Element, D: Dimension> From<&'a Shared<T, D>> for Input<'a, T, D> {
    fn from(array: &'a Shared<T, D>) -> Self {
        Self::Shared(array)
    }
}

#[cfg(feature = "named")]
impl<'a, T: Element, D: Dimension> From<&'a ReadGuard<'a, T, D>> for Input<'a, T, D> {
    fn from(guard: &'a ReadGuard<'a, T, D>) -> Self {
        Self::Named(guard)
    }
}

#[cfg(feature = "npy")]
impl<'a, T: Element, D: Dimension> From<&'a Mapped<T, D>> for Input<'a, T, D> {
    fn from(mapped: &'a Mapped<T, D>) -> Self {
        Self::Mapped(mapped)
    }
}

// SAFETY: as for what it is made of, all of which have the same parts.
unsafe impl<T: Element + Send + Sync, D: Dimension> Lend for Input<'_, T, D> {
    type Part<'c> = ArrayView<'c, T, D>;

    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        match self {
            Self::Shared(array) => array.loans(list),
            #[cfg(feature = "named")]
            Self::Named(guard) => guard.loans(list),
            #[cfg(feature = "npy")]
            Self::Mapped(mapped) => mapped.loans(list),
        }
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) -> Self::Part<'c> {
        // SAFETY: passed on to the caller.
        unsafe { <&Shared<T, D>>::part(mapped_loans, region, step) }
    }
}
