//! The program's side, for programs in Rust.
#![allow(unsafe_code)]

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::{ArrayView, ArrayViewMut, Dimension};

use super::line::{self, Cells};
use super::manifest::{Entry, Manifest};
use crate::dtype::Dtype;
use crate::error::{Error, ExecError, Result};
use crate::lend::narrow;
use crate::shared::{Attached, Backing, Element, raw_view};
use crate::slices::{Extent, Grid, Region};
use crate::sys::fork_stamp::{self, Stamp};
use crate::sys::lease::Lease;
use crate::sys::memory::{self, MapMode};

/// This program as a worker of `parfork exec`.
///
/// ```no_run
/// use ndarray::Ix2;
/// use parfork::exec::ProgramWorker;
/// let mut guest = ProgramWorker::join()?;
/// let (a, mut c) = (guest.input::<f64, Ix2>("a")?, guest.output::<f64, Ix2>("c")?);
/// guest.run(|slice| {
///     let rows = slice.range(0).unwrap_or_default();
///     c.slice(slice).assign(&(&a.view().slice(ndarray::s![rows, ..]) * 2.0));
///     Ok::<_, String>(())
/// })?;
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// A region that was made by oneself is no slice that one was given, and what was given does not last beyond the call:
/// ```compile_fail
/// # use parfork::{exec::ProgramWorker, slices::{Grid, Split}};
/// let mut guest = ProgramWorker::join()?;
/// let mut c = guest.output::<f64, ndarray::Ix1>("c")?;
/// let forged = Grid::new(Split::rows().of(100), &[1000])?.region(0);
/// guest.run(|_| { c.slice(&forged).fill(1.0); Ok::<_, String>(()) })?;
/// # Ok::<(), parfork::Error>(())
/// ```
/// ```compile_fail
/// # use parfork::exec::ProgramWorker;
/// let mut guest = ProgramWorker::join()?;
/// let mut c = guest.output::<f64, ndarray::Ix1>("c")?;
/// let mut kept = None;
/// guest.run(|slice| { kept = Some(c.slice(slice)); Ok::<_, String>(()) })?;
/// # Ok::<(), parfork::Error>(())
/// ```
/// ```compile_fail
/// # use parfork::exec::{ProgramWorker, GivenSlice};
/// let mut guest = ProgramWorker::join()?;
/// let mut kept = Vec::new();
/// guest.run(|slice| { kept.push(slice); Ok::<_, String>(()) })?;
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// Standard output is the protocol's: what the program prints there goes to standard error from [`join`](Self::join) on.
#[derive(Debug)]
pub struct ProgramWorker {
    manifest: Manifest,
    /// How the first output is cut; of planes the orders say it.
    grid: Option<Grid>,
    orders: BufReader<File>,
    answers: File,
    /// The files of the outputs that were handed out.
    taken: Vec<u64>,
    by: Stamp,
}

/// Whether this program, or the one that it was forked from, is a worker already: a second one would hand out its arrays once more.
static JOINED: AtomicBool = AtomicBool::new(false);

impl ProgramWorker {
    /// Becomes a worker: reads the manifest, takes over standard input and output.
    ///
    /// # Errors
    /// If this program was not started by `parfork exec`, or by one of another version, or with `--each`; the second time.
    pub fn join() -> Result<Self> {
        let fd = std::env::var("PARFORK_MANIFEST_FD").map_err(|_| ExecError::StartedAlone)?;
        let refused = |doing| Error::system(doing);
        let text = std::fs::read(format!("/proc/self/fd/{fd}")).map_err(refused("read the manifest"))?;
        let manifest = Manifest::parse(&text).map_err(ExecError::from)?;
        if manifest.each {
            return Err(ExecError::SingleSlice.into());
        }
        let grid = manifest.grid().filter(|_| manifest.planes.is_none());
        if JOINED.swap(true, Ordering::Relaxed) {
            return Err(ExecError::JoinedTwice.into());
        }
        let (orders, answers) = take_over().map_err(refused("take over standard input and output"))?;
        let (orders, by) = (BufReader::new(orders), fork_stamp::current());
        Ok(Self { manifest, grid, orders, answers, taken: Vec::new(), by })
    }

    /// Which worker it is, from 0.
    pub fn rank(&self) -> usize {
        self.manifest.rank
    }

    /// How many workers there are.
    pub fn size(&self) -> usize {
        self.manifest.size
    }

    /// All that it was told.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// An array to read.
    ///
    /// # Errors
    /// If there is none of that name, type and number of axes.
    pub fn input<T: Element, D: Dimension>(&self, name: &str) -> Result<Input<T, D>> {
        let entry = self.entry::<T, D>(name, false)?;
        Ok(Input { mapped: Mapped::new(entry)?, types: PhantomData })
    }

    /// An array to write, slice by slice. Each is handed out once.
    ///
    /// # Errors
    /// As [`input`](Self::input); also the second time.
    pub fn output<T: Element, D: Dimension>(&mut self, name: &str) -> Result<Output<T, D>> {
        let mapped = Mapped::new(self.entry::<T, D>(name, true)?)?;
        self.take(name, [&mapped])?;
        Ok(Output { mapped, types: PhantomData })
    }

    /// Hands out what is to be written, once.
    pub(super) fn take<const N: usize>(&mut self, name: &str, mapped: [&Mapped; N]) -> Result<()> {
        for mapped in mapped {
            if self.taken.contains(&mapped.inode) {
                return Err(ExecError::HandedOut { name: name.to_owned() }.into());
            }
            self.taken.push(mapped.inode);
        }
        Ok(())
    }

    fn entry<T: Element, D: Dimension>(&self, name: &str, output: bool) -> Result<&Entry> {
        let kind = if output { "output" } else { "input" };
        let entry = self.manifest.arrays.iter().find(|entry| entry.name == name && entry.output == output);
        let entry = entry.ok_or_else(|| ExecError::NoSuchArray { kind, name: name.to_owned() })?;
        check_type::<T, D>(kind, name, entry.dtype, entry.shape.len())?;
        Ok(entry)
    }

    /// Calls `body` for slice after slice, until there are no more. When it returns, the slice is done; its error, or its panic, says
    /// that the slice cannot be done, which ends the job with that text.
    ///
    /// # Errors
    /// What `body` returned, as text; if the coordinator is gone; in a fork of this program, which was given nothing.
    pub fn run<E: Display>(&mut self, mut body: impl FnMut(&GivenSlice<'_>) -> Result<(), E>) -> Result<()> {
        if self.grid.is_none() {
            self.fail(&ExecError::DoesSteps.to_string())?;
            return Err(ExecError::DoesSteps.into());
        }
        while let Some(order) = self.next()? {
            let region = self.region(&order).map_err(ExecError::from)?;
            self.do_one(&line::cells(&region), || body(&GivenSlice { region, given: PhantomData }))?;
        }
        Ok(())
    }

    /// Lets a body do what was ordered, and answers that these cells are done.
    pub(super) fn do_one<E: Display>(&mut self, cells: &Cells, body: impl FnOnce() -> Result<(), E>) -> Result<()> {
        let panicked = PanicReporter(self);
        let done = body();
        std::mem::forget(panicked);
        match done {
            Ok(()) => self.say(&line::order(cells).replacen("slice", "done", 1)),
            Err(error) => {
                let why = error.to_string();
                self.fail(&why)?;
                Err(ExecError::Body { why }.into())
            }
        }
    }

    /// Says that the slice cannot be done.
    pub(super) fn fail(&mut self, why: &str) -> Result<()> {
        let why: String = why.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(500).collect();
        self.say(&format!("failed {why}\n"))
    }

    fn own(&self) -> Result<()> {
        if self.by.is_current() { Ok(()) } else { Err(Error::NotOwner { what: "this worker of `parfork exec`" }) }
    }

    fn say(&mut self, line: &str) -> Result<()> {
        self.own()?;
        self.answers.write_all(line.as_bytes()).map_err(Error::system("answer the coordinator"))
    }

    /// The next order, without its newline.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>> {
        self.own()?;
        let mut order = Vec::new();
        self.orders.read_until(b'\n', &mut order).map_err(Error::system("hear the coordinator"))?;
        Ok((order.pop() == Some(b'\n')).then_some(order))
    }

    /// The slice that an order names.
    fn region(&self, order: &[u8]) -> Result<Region, line::ProtocolError> {
        let cells: Cells = line::parse_order(order)?;
        let region = self.grid.as_ref().and_then(|grid| {
            let mut first = vec![0; grid.shape().len()];
            grid.cut_axes().zip(&cells).for_each(|(axis, range)| first[axis] = range.start);
            grid.slice_of(&first).map(|slice| grid.region(slice))
        });
        let known = region.filter(|region| line::cells(region) == cells);
        known.ok_or_else(|| line::ProtocolError { read: order.to_owned(), expected: "a slice of the job".to_owned() })
    }
}

/// Refuses an array of other elements or axes than are asked for.
pub(super) fn check_type<T: Element, D: Dimension>(
    kind: &'static str,
    name: &str,
    dtype: Dtype,
    axes: usize,
) -> Result<()> {
    let (wanted, wanted_axes) = (T::DTYPE, D::NDIM.unwrap_or(axes));
    if wanted == dtype && wanted_axes == axes {
        return Ok(());
    }
    let (name, found, found_axes) = (name.to_owned(), dtype.name().to_owned(), axes);
    let wanted = std::any::type_name::<T>();
    Err(ExecError::OtherType { kind, name, found, found_axes, wanted, wanted_axes }.into())
}

/// A slice that this program was given, for the call of [`ProgramWorker::run`]'s body: what it takes to write to it. Nobody else can make one.
#[derive(Debug)]
pub struct GivenSlice<'g> {
    region: Region,
    given: PhantomData<&'g mut ProgramWorker>,
}

impl Deref for GivenSlice<'_> {
    type Target = Region;

    fn deref(&self) -> &Region {
        &self.region
    }
}

/// Dropped only by unwinding.
struct PanicReporter<'g>(&'g mut ProgramWorker);

impl Drop for PanicReporter<'_> {
    fn drop(&mut self) {
        // If nobody hears it, nobody waits for it either.
        let _ = self.0.fail("it panicked; what it said of that is on standard error");
    }
}

/// An array to read.
#[derive(Debug)]
pub struct Input<T, D> {
    mapped: Mapped,
    types: PhantomData<(T, D)>,
}

impl<T: Element, D: Dimension> Input<T, D> {
    /// All of it.
    ///
    /// # Panics
    /// In a fork of this program, which does not have it.
    pub fn view(&self) -> ArrayView<'_, T, D> {
        // SAFETY: such an array, checked by `ProgramWorker::entry` and `Mapped::new`, is mapped there as long as `self` lives.
        let view = unsafe { raw_view(self.mapped.base(), self.mapped.extent()) };
        // SAFETY: nobody can write to it: `Mapped::new` has seen the seal, or has the lease.
        unsafe { view.deref_into_view() }
    }
}

/// An array to write.
#[derive(Debug)]
pub struct Output<T, D> {
    mapped: Mapped,
    types: PhantomData<(T, D)>,
}

impl<T: Element, D: Dimension> Output<T, D> {
    /// The cells of the slice that this program has now.
    ///
    /// # Panics
    /// In a fork of this program, which was given nothing.
    pub fn slice<'s>(&'s mut self, slice: &'s GivenSlice<'_>) -> ArrayViewMut<'s, T, D> {
        // SAFETY: as in `Input::view`.
        let view = unsafe { raw_view(self.mapped.base(), self.mapped.extent()) };
        // SAFETY: slices are disjoint; this one was given to this program alone, by the one `ProgramWorker` that there is, and is not done
        // before the call that it was handed to has returned. Of this array there is no other `Output` here, and `&mut self` keeps
        // other views of this one away.
        unsafe { narrow(view, slice).deref_into_view_mut() }
    }
}

/// An array's bytes as this process has them.
#[derive(Debug)]
pub(super) struct Mapped {
    memory: Attached,
    /// What keeps others from writing to the file that it is in, if it is in one. The coordinator has a lease of it too, and ends this
    /// program when somebody wants it.
    _lease: Option<Lease>,
    /// Which file it is.
    inode: u64,
    shape: Vec<usize>,
    first_is_fastest: bool,
    element: usize,
}

impl Mapped {
    /// # Errors
    /// If there are not as many bytes, they could become fewer, or others could write to what is to be read.
    pub(super) fn new(entry: &Entry) -> Result<Self> {
        let mapped = || {
            let fd: OwnedFd = memory::reopen(std::process::id(), entry.fd.into(), entry.output)?;
            let is_safe = memory::keeps_its_length(&fd) && (entry.output || memory::is_sealed(&fd));
            let lease = match is_safe || entry.output {
                true => None,
                false => Some(Lease::take(fd.try_clone()?.into())?),
            };
            let len = nix::sys::stat::fstat(&fd)?.st_size as usize;
            let is_there = len >= entry.offset + entry.bytes().max(1);
            let is_aligned = entry.offset.is_multiple_of(entry.dtype.part_size());
            if !is_there || !is_aligned || !is_safe && lease.is_none() {
                return Err(io::Error::other("it is not what the manifest says"));
            }
            Ok((memory::inode_of(&fd)?, lease, Backing::named(fd, entry.offset, entry.bytes().max(1))))
        };
        let (inode, _lease, backing) = mapped().map_err(Error::system("map an array that this program was given"))?;
        let memory = backing.attach(if entry.output { MapMode::SharedToWrite } else { MapMode::SharedToRead })?;
        let (shape, element) = (entry.shape.clone(), entry.dtype.size());
        Ok(Self { memory, _lease, inode, shape, first_is_fastest: entry.first_is_fastest, element })
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        assert!(self.memory.is_here(), "{}", Error::NotOwner { what: "this array" });
        self.memory.base()
    }

    pub(super) fn extent(&self) -> Extent<'_> {
        Extent { shape: &self.shape, first_is_fastest: self.first_is_fastest, element: self.element, at: 0 }
    }
}

/// Standard input and output, which are the protocol's from now on: what others read and print here has nothing to do with it.
fn take_over() -> io::Result<(File, File)> {
    let orders = io::stdin().as_fd().try_clone_to_owned()?;
    let answers = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok((orders.into(), answers.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::manifest::Manifest;
    use crate::slices::Split;

    #[test]
    fn orders_name_slices_of_the_grid() {
        let manifest = Manifest {
            rank: 0,
            size: 1,
            coordinator: 1,
            each: false,
            split: Split::tiles(5, 7),
            bounds: Vec::new(),
            shape: vec![10, 20],
            mine: None,
            planes: None,
            arrays: Vec::new(),
        };
        let nowhere = || File::open("/dev/null").unwrap();
        let (grid, by, orders) = (manifest.grid().unwrap(), fork_stamp::current(), BufReader::new(nowhere()));
        let guest = ProgramWorker { manifest, grid: Some(grid), orders, answers: nowhere(), taken: Vec::new(), by };
        assert_eq!(guest.region(b"slice 5 10 7 14").unwrap().index(), 4);
        for other in
            ["slice 5 10", "slice 5 10 7 15", "slice 4 10 7 14", "slice 10 15 0 7", "slice 5 10 7 14 0 1", "done"]
        {
            assert!(guest.region(other.as_bytes()).is_err(), "{other}");
        }
    }
}
