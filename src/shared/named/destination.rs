//! A segment that an array is to go to as a whole: made if there is none of the name, filled if there is.

use std::fs::File;
use std::os::unix::fs::FileExt;

use ndarray::{ArrayView, Ix1, IxDyn, ShapeBuilder};

use super::guard::WriteGuard;
use super::header::{Header, Owner};
use super::name::Name;
use super::segment_folder::SegmentFolder;
use super::wait::Wait;
use super::{Named, create, open_file};
use crate::dtype::Dtype;
use crate::error::{Error, Result, SegmentErrorKind};
use crate::shared::{Order, Shared, is_element};
use crate::sys::file::user;
use crate::sys::lock::Lock;

/// An array as bytes: what its elements are, and how they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a> {
    pub(crate) dtype: Dtype,
    pub(crate) shape: &'a [usize],
    pub(crate) order: Order,
}

/// Where an array is to go.
#[derive(Debug)]
pub(crate) struct Destination {
    name: Name,
    /// The segment that is there.
    there: Option<(File, Header)>,
}

impl Destination {
    /// Looks whether there is a segment of this name, and whether this user may fill it, or make it.
    ///
    /// # Errors
    /// If not, with the reason.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let name = Name::read(name)?;
        let found = SegmentFolder::find(name.user, name.group)?.map(|place| open_file(&place, &name, true)).transpose();
        let there = match found {
            Err(Error::Segment { kind: SegmentErrorKind::Absent, .. }) => None,
            other => other?,
        };
        if there.is_none() && name.user != user() {
            return Err(name.error(SegmentErrorKind::Absent));
        }
        Ok(Self { name, there })
    }

    /// The file of the segment that is there.
    pub(crate) fn file(&self) -> Option<&File> {
        self.there.as_ref().map(|(file, _)| file)
    }

    /// Whose it is, shared with whom, called what.
    pub(crate) fn key(&self) -> String {
        let Name { user, group, .. } = &self.name;
        format!("{user}:{}/{}", group.map_or(String::new(), |group| group.to_string()), self.name.file().display())
    }

    /// Whether such an array can go there, and there is room for it.
    ///
    /// # Errors
    /// If not, with what is there.
    pub(crate) fn takes(&self, elements: Elements<'_>) -> Result<()> {
        let (dtype, shape) = (elements.dtype.to_native(), elements.shape);
        if let Some((_, header)) = &self.there {
            if (header.dtype, &header.shape[..]) != (dtype, shape) {
                let (found, shape, new_shape) = (header.dtype, header.shape.clone(), shape.to_vec());
                return Err(self.name.error(SegmentErrorKind::DoesNotFit { found, shape, new: dtype, new_shape }));
            }
            return Ok(());
        }
        if !is_element(dtype) {
            return Err(self.name.error(SegmentErrorKind::Elements { dtype }));
        }
        let header = self.new_header(elements)?;
        let place = SegmentFolder::find(self.name.user, self.name.group)?;
        create::check_room(place.and_then(|place| place.room()), &header, &|| {
            create::what(&self.name, shape, dtype.size())
        })
    }

    fn new_header(&self, Elements { dtype, shape, order }: Elements<'_>) -> Result<Header> {
        create::header(&self.name, dtype.to_native(), shape, order, Owner::this()?)
    }

    /// Puts the array there: whole, or not at all if a segment has to be made for it.
    ///
    /// # Errors
    /// As [`takes`](Self::takes); and if there is too little room, or the file was cut off.
    pub(crate) fn fill(self, elements: Elements<'_>, bytes: &[u8]) -> Result<()> {
        self.takes(elements)?;
        let Elements { dtype, shape, order } = elements;
        let size = dtype.size();
        let swapped = if dtype.is_swapped() { Some(swapped(bytes, size)?) } else { None };
        let bytes = swapped.as_ref().map_or(bytes, Shared::as_slice);
        let Some((file, header)) = self.there else {
            let mut header = self.new_header(elements)?;
            header.kept = true;
            return create::put(&self.name, false, header, Some(bytes), &|| create::what(&self.name, shape, size))
                .map(drop);
        };
        let turned = if header.order == order { None } else { Some(turned(bytes, size, shape, order)?) };
        let bytes = turned.as_ref().map_or(bytes, Shared::as_slice);
        let data_at = header.data_at;
        // The elements are not looked at: the type says nothing of them.
        let named = Named::<u8, Ix1>::map(self.name, header, file, true)?;
        named.acquire(Lock::Alone, Wait::new().accept_torn())?;
        let guard = WriteGuard::new(&named);
        guard.begin();
        named.file.write_all_at(bytes, data_at).map_err(Error::system("write to a segment"))?;
        guard.publish().map(drop)
    }
}

/// The same elements, each with its bytes the other way round.
fn swapped(bytes: &[u8], size: usize) -> Result<Shared<u8, Ix1>> {
    let mut swapped = Shared::<u8, Ix1>::zeros(bytes.len())?;
    swapped.as_mut_slice().copy_from_slice(bytes);
    swapped.as_mut_slice().chunks_exact_mut(size).for_each(<[u8]>::reverse);
    Ok(swapped)
}

/// The same array with its elements in the other order.
fn turned(bytes: &[u8], size: usize, shape: &[usize], order: Order) -> Result<Shared<u8, Ix1>> {
    let mut turned = Shared::<u8, Ix1>::zeros(bytes.len())?;
    let numbers: Vec<usize> = (0..bytes.len() / size).collect();
    let fortran = order == Order::F;
    let from = ArrayView::from_shape(IxDyn(shape).set_f(fortran), &numbers);
    let from = from.expect("as many bytes as the shape has");
    let all = turned.as_mut_slice().chunks_exact_mut(size);
    // The elements of an array come in C order; those of its transpose, in Fortran's.
    let in_order: Box<dyn Iterator<Item = &usize>> =
        if fortran { Box::new(from.iter()) } else { Box::new(from.t().into_iter()) };
    all.zip(in_order).for_each(|(to, &number)| to.copy_from_slice(&bytes[number * size..][..size]));
    Ok(turned)
}
