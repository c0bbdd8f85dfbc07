//! Arrays that programs step on: planes whose elements are known by their size alone.
#![allow(unsafe_code)]

use bytemuck::Pod;
use ndarray::{ArrayView, IxDyn, ShapeBuilder};

use super::array::{Array, Contents, in_memory};
use super::planes_told::PlanesEntry;
use crate::dtype::{Dtype, DtypeKind};
use crate::error::{Error, ExecError, Result};
use crate::lend::{Lend, Loan, MappedLoans};
use crate::planes::{Border, Planes};
use crate::shared::{Backing, Order, Shared};
use crate::slices::Region;

/// An array that programs do [steps](crate::Job::steps) on, in two copies that change roles: see [`Planes`].
///
/// ```no_run
/// use parfork::exec::{self, Array, Program, ProgramPlanes};
/// use parfork::{Border, Job};
/// let plate = ProgramPlanes::new(&Array::input("plate", "plate.npy")?, 1, Border::Wrap)?;
/// let program = Program::new("python3").args(["heat.py"]);
/// let (_, _, planes) = exec::run_steps(Job::default().steps(100), &program, Vec::new(), vec![plate])?;
/// let after = planes.into_iter().next().map(ProgramPlanes::into_array);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct ProgramPlanes {
    name: String,
    dtype: Dtype,
    planes: OfSize,
}

/// Planes by the size of their elements.
#[derive(Debug)]
enum OfSize {
    One(Planes<[u8; 1], IxDyn>),
    Two(Planes<[u8; 2], IxDyn>),
    Four(Planes<[u8; 4], IxDyn>),
    Eight(Planes<[u8; 8], IxDyn>),
    Sixteen(Planes<[u8; 16], IxDyn>),
}

/// The same for each size.
macro_rules! of_size {
    ($planes:expr, $name:ident => $do:expr) => {
        match $planes {
            OfSize::One($name) => $do,
            OfSize::Two($name) => $do,
            OfSize::Four($name) => $do,
            OfSize::Eight($name) => $do,
            OfSize::Sixteen($name) => $do,
        }
    };
}

impl ProgramPlanes {
    /// A copy of an array, of which slices read `margin` cells further on each side of each axis, and `border` beyond its edges.
    ///
    /// # Errors
    /// As [`Planes::from_array`]; also if the border is a constant that no element can be.
    pub fn new(start: &Array, margin: usize, border: Border<f64>) -> Result<Self> {
        Self::with_margins(start, &vec![margin; start.shape().len()], border)
    }

    /// The same, with a margin for each axis.
    ///
    /// # Errors
    /// As [`new`](Self::new); also if there is not one for each axis.
    pub fn with_margins(start: &Array, margins: &[usize], border: Border<f64>) -> Result<Self> {
        let (name, dtype, shape) = (start.name().to_owned(), start.dtype(), start.shape().to_vec());
        let constant = match border {
            Border::Constant(value) => element(dtype, value)
                .ok_or_else(|| Error::from(ExecError::Constant { value: value.to_string(), dtype }))?,
            _ => [0; 16],
        };
        let read;
        let bytes = match start.contents() {
            Contents::Memory(bytes) => bytes.as_slice(),
            Contents::File(mapped) => {
                read = in_memory(mapped)?;
                read.as_slice()
            }
        };
        fn of<const N: usize>(
            bytes: &[u8],
            (shape, is_fortran): (&[usize], bool),
            margins: &[usize],
            border: Border<f64>,
            constant: [u8; 16],
        ) -> Result<Planes<[u8; N], IxDyn>>
        where
            [u8; N]: Pod,
        {
            let border = match border {
                Border::Keep => Border::Keep,
                Border::Constant(_) => Border::Constant(std::array::from_fn(|at| constant[at])),
                Border::Reflect101 => Border::Reflect101,
                Border::Replicate => Border::Replicate,
                Border::Wrap => Border::Wrap,
            };
            let cells = ArrayView::from_shape(IxDyn(shape).set_f(is_fortran), bytes.as_chunks::<N>().0);
            let edges: Vec<_> = margins.iter().map(|&margin| (margin, border, border)).collect();
            Planes::with_edges(&cells.expect("as many bytes as the array has"), &edges)
        }
        let shape = (&shape[..], start.extent().first_is_fastest);
        let planes = match dtype.size() {
            1 => OfSize::One(of(bytes, shape, margins, border, constant)?),
            2 => OfSize::Two(of(bytes, shape, margins, border, constant)?),
            4 => OfSize::Four(of(bytes, shape, margins, border, constant)?),
            8 => OfSize::Eight(of(bytes, shape, margins, border, constant)?),
            16 => OfSize::Sixteen(of(bytes, shape, margins, border, constant)?),
            _ => return Err(ExecError::Elements { dtype }.into()),
        };
        Ok(Self { name, dtype, planes })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The lengths of its axes, without what is beyond edges.
    pub fn shape(&self) -> Vec<usize> {
        of_size!(&self.planes, planes => planes.shape())
    }

    /// The array as the last step left it.
    ///
    /// # Errors
    /// As [`Planes::view`], or if there is too little memory.
    pub fn into_array(self) -> Result<Array> {
        let (shape, size) = (self.shape(), self.dtype.size());
        let length = shape.iter().product::<usize>() * size;
        let bytes = of_size!(&self.planes, planes => Shared::from_array(&planes.view()?)?.into_elements(length)?);
        Ok(Array::new(self.name, true, self.dtype, shape, Order::C, Contents::Memory(bytes)))
    }

    pub(super) fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        let dtype = self.dtype.name();
        let first = list.len();
        of_size!(&self.planes, planes => planes.lend(list));
        list[first..].iter_mut().for_each(|loan| loan.dtype = dtype);
    }

    pub(super) fn begin(&self) -> Result<()> {
        of_size!(&self.planes, planes => planes.begin())
    }

    pub(super) fn finish(&mut self, steps: u32) {
        of_size!(&mut self.planes, planes => planes.finish(steps));
    }

    /// The memory of both, first the one that is read in step 0.
    pub(super) fn backings(&self) -> [&Backing; 2] {
        of_size!(&self.planes, planes => planes.in_turn().map(|plane| plane.segment().backing()))
    }

    /// What a program is told of it that has these descriptors.
    pub(super) fn entry(&self, fds: [u32; 2]) -> PlanesEntry {
        let (stored, margins) =
            of_size!(&self.planes, planes => (planes.in_turn()[0].shape().to_vec(), *planes.margins()));
        let axes = 0..stored.len();
        PlanesEntry {
            name: self.name.clone(),
            fds,
            dtype: self.dtype,
            margin: axes.clone().map(|axis| margins.cells(axis)).collect(),
            padding: axes.map(|axis| margins.padding(axis)).collect(),
            shape: stored,
        }
    }
}

/// Lets what mirrors the cells of a slice follow, in the planes whose four loans come next.
///
/// # Safety
/// As for [`Lend::mirror`].
pub(super) unsafe fn mirror(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) {
    let size = mapped_loans.arrays.as_slice().first().map_or(0, |loan| loan.extent.element);
    let mirror = match size {
        1 => <&mut Planes<[u8; 1], IxDyn> as Lend>::mirror,
        2 => <&mut Planes<[u8; 2], IxDyn> as Lend>::mirror,
        4 => <&mut Planes<[u8; 4], IxDyn> as Lend>::mirror,
        8 => <&mut Planes<[u8; 8], IxDyn> as Lend>::mirror,
        16 => <&mut Planes<[u8; 16], IxDyn> as Lend>::mirror,
        _ => unreachable!("planes have elements of these sizes"),
    };
    // SAFETY: passed on to the caller; of planes whose elements have that size.
    unsafe { mirror(mapped_loans, region, step) }
}

/// A number as the bytes of an element; `None` if it is none.
fn element(dtype: Dtype, value: f64) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut put = |number: &[u8]| bytes[..number.len()].copy_from_slice(number);
    match (dtype.kind(), dtype.size()) {
        (DtypeKind::Float | DtypeKind::Complex, 8 | 16) if dtype.part_size() == 8 => put(&value.to_ne_bytes()),
        (DtypeKind::Float | DtypeKind::Complex, _) if dtype.part_size() == 4 => put(&(value as f32).to_ne_bytes()),
        (DtypeKind::Float, _) => return (value == 0.0).then_some(bytes),
        (kind, size) => {
            let bits = 8 * size as u32 - u32::from(kind == DtypeKind::Int);
            let most = if kind == DtypeKind::Bool { 1.0 } else { 2_f64.powi(bits as i32) - 1.0 };
            let least = if kind == DtypeKind::Int { -2_f64.powi(bits as i32) } else { 0.0 };
            if value.fract() != 0.0 || !(least..=most).contains(&value) {
                return None;
            }
            put(&(value as i128).to_le_bytes()[..size]);
            if cfg!(target_endian = "big") {
                bytes[..size].reverse();
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Element;

    #[test]
    fn constants_are_elements_or_refused() {
        let start = |dtype, value: f64| {
            element(dtype, value).map(|bytes| u64::from_ne_bytes(std::array::from_fn(|at| bytes[at])))
        };
        assert_eq!(start(f64::DTYPE, -1.5), Some((-1.5_f64).to_bits()));
        assert_eq!(start(f32::DTYPE, 2.0), Some(u64::from(2.0_f32.to_bits())));
        assert_eq!((start(u8::DTYPE, 255.0), start(u8::DTYPE, 256.0)), (Some(255), None));
        assert_eq!((start(i8::DTYPE, -128.0), start(i8::DTYPE, 128.0)), (Some(128), None));
        assert_eq!((start(i32::DTYPE, 0.5), start(u32::DTYPE, f64::NAN)), (None, None));
        let [bool, half, complex] = ["?", "e", "F"].map(|name| name.parse::<Dtype>().unwrap());
        assert_eq!(
            (start(bool, 1.0), start(bool, 2.0), start(half, 0.0), start(half, 1.0)),
            (Some(1), None, Some(0), None)
        );
        assert_eq!(start(complex, 1.0), Some(u64::from(1.0_f32.to_bits())));
    }
}
