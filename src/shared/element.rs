//! The types of elements that files, named segments and shared arrays have in common.

use bytemuck::Pod;

use crate::dtype::{Dtype, DtypeKind};

mod sealed {
    pub trait Sealed {}
}

/// A number that .npy files and named segments hold: `u8` to `u64`, `i8` to `i64`, `f32`, `f64`.
pub trait Element: Pod + sealed::Sealed {
    /// The type, in this machine's byte order.
    const DTYPE: Dtype;

    /// The same bytes in opposite order.
    fn swapped(self) -> Self;
}

macro_rules! elements {
    ($kind:ident: $($integer:ty),*) => {$(
        impl sealed::Sealed for $integer {}
        impl Element for $integer {
            const DTYPE: Dtype = Dtype::native(DtypeKind::$kind, size_of::<Self>());
            fn swapped(self) -> Self {
                self.swap_bytes()
            }
        }
    )*};
    ($($float:ty),*) => {$(
        impl sealed::Sealed for $float {}
        impl Element for $float {
            const DTYPE: Dtype = Dtype::native(DtypeKind::Float, size_of::<Self>());
            fn swapped(self) -> Self {
                Self::from_bits(self.to_bits().swap_bytes())
            }
        }
    )*};
}

elements!(Uint: u8, u16, u32, u64);
elements!(Int: i8, i16, i32, i64);
elements!(f32, f64);

/// Whether there is an [`Element`] of this type, in either byte order.
pub(crate) const fn is_element(dtype: Dtype) -> bool {
    matches!((dtype.kind(), dtype.size()), (DtypeKind::Int | DtypeKind::Uint, _) | (DtypeKind::Float, 4 | 8))
}
