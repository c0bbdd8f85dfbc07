//! The types of elements that files, named segments and shared arrays have in common.

use bytemuck::Pod;

mod sealed {
    pub trait Sealed {}
}

/// A number that .npy files and named segments hold: `u8` to `u64`, `i8` to `i64`, `f32`, `f64`.
pub trait Element: Pod + sealed::Sealed {
    /// NumPy's letter for the kind: `u` unsigned, `i` signed, `f` float.
    const KIND: char;

    /// The same bytes in opposite order.
    fn swapped(self) -> Self;
}

macro_rules! elements {
    ($kind:literal: $($integer:ty),*) => {$(
        impl sealed::Sealed for $integer {}
        impl Element for $integer {
            const KIND: char = $kind;
            fn swapped(self) -> Self {
                self.swap_bytes()
            }
        }
    )*};
    ($($float:ty),*) => {$(
        impl sealed::Sealed for $float {}
        impl Element for $float {
            const KIND: char = 'f';
            fn swapped(self) -> Self {
                Self::from_bits(self.to_bits().swap_bytes())
            }
        }
    )*};
}

elements!('u': u8, u16, u32, u64);
elements!('i': i8, i16, i32, i64);
elements!(f32, f64);

/// NumPy's name for `T` on this machine, as `<f8`.
pub(crate) fn dtype<T: Element>() -> String {
    let order = match size_of::<T>() {
        1 => '|',
        _ if cfg!(target_endian = "little") => '<',
        _ => '>',
    };
    format!("{order}{}{}", T::KIND, size_of::<T>())
}
