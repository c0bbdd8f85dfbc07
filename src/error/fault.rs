//! A fault in the user's words: what was touched, where in which array, in which function.

use std::fmt;

use crate::sys::symbol;

pub use crate::sys::fault_handler::AccessKind;

/// The fault that a worker died of: a memory access or an instruction that could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The signal that it is.
    pub signal: i32,
    /// What was done.
    pub touch: AccessKind,
    /// To which address, in the worker; `None` if that could not be one.
    pub address: Option<u64>,
    /// Where that is.
    pub place: FaultLocation,
    /// Where the instruction is, in this program as in the worker.
    pub(crate) instruction: u64,
}

impl Fault {
    /// The function that did it, with `at file:line` where the program has debug information. Looked up when asked for, and
    /// for the error's text: it takes tens of milliseconds.
    pub fn function(&self) -> Option<String> {
        symbol::at(self.instruction)
    }
}

/// Where a fault was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultLocation {
    /// In an array as the worker has it.
    Cell {
        /// The array.
        array: ArrayName,
        /// The index of the element.
        index: Vec<usize>,
        /// The slice that it belongs to; only outputs are cut.
        owner: Option<CellOwner>,
    },
    /// Beyond the end of an array.
    Past {
        /// The array.
        array: ArrayName,
        /// How many bytes beyond; 0 is the first byte that is not the array's.
        bytes: u64,
        /// What stands last in memory: `row 511`; empty if the array has no cells.
        last: String,
    },
    /// Before the start of an array.
    Before {
        /// The array.
        array: ArrayName,
        /// How many bytes before.
        bytes: u64,
    },
    /// Where the coordinator has an array, and workers have nothing.
    Coordinators {
        /// Which, if it was lent.
        array: Option<ArrayName>,
    },
    /// Beyond the end of the stack.
    Stack,
    /// In the first 64 KiB, where nothing ever is.
    Null,
    /// At an address that this CPU cannot have.
    Impossible,
    /// Anywhere else; or the fault was not one of memory.
    Elsewhere,
}

/// A lent array as errors name it: `the input`, or `input 0` if there are several. Inputs are lent with `&`, outputs with
/// `&mut`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayName {
    /// Whether it was lent to be written.
    pub output: bool,
    /// Which of the inputs, or of the outputs, in the order lent.
    pub number: usize,
    /// How many there are of its kind.
    pub of: usize,
}

/// Whose a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellOwner {
    /// The number of the slice.
    pub slice: usize,
    /// The worker that has it, or had it; `None` before anybody began it.
    pub worker: Option<usize>,
    /// Whether it is done.
    pub done: bool,
}

impl fmt::Display for ArrayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.output { "output" } else { "input" };
        if self.of == 1 { write!(f, "the {kind}") } else { write!(f, "{kind} {}", self.number) }
    }
}

impl fmt::Display for CellOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slice {}, ", self.slice)?;
        match self.worker {
            None => write!(f, "not begun yet"),
            Some(worker) if self.done => write!(f, "done by worker {worker}"),
            Some(worker) => write!(f, "held by worker {worker}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(f)?;
        match self.function() {
            Some(function) => write!(f, "; in {function}"),
            None => Ok(()),
        }
    }
}

impl Fault {
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal {
            libc::SIGILL => return write!(f, "it met an instruction that this CPU lacks"),
            libc::SIGFPE => return write!(f, "integer division by zero or overflow"),
            _ => {}
        }
        let did = match self.touch {
            AccessKind::Read => "it read",
            AccessKind::Write => "it wrote",
            AccessKind::Execute => "it jumped",
            AccessKind::Unknown => "it touched memory",
        };
        match (&self.place, self.address) {
            (FaultLocation::Cell { array, index, owner }, _) => {
                write!(f, "{did} in {array} at {index:?}")?;
                match owner {
                    Some(owner) => write!(f, ", which belongs to {owner}"),
                    None if self.touch == AccessKind::Read => Ok(()),
                    None => write!(f, ", which is only to be read"),
                }
            }
            (FaultLocation::Past { array, bytes, last }, _) => {
                match bytes {
                    0 => write!(f, "{did} right past the end of {array}")?,
                    1 => write!(f, "{did} 1 byte past the end of {array}")?,
                    _ => write!(f, "{did} {bytes} bytes past the end of {array}")?,
                }
                if last.is_empty() { Ok(()) } else { write!(f, ", after {last}") }
            }
            (FaultLocation::Before { array, bytes }, _) => {
                write!(f, "{did} {bytes} byte{} before the start of {array}", if *bytes == 1 { "" } else { "s" })
            }
            (FaultLocation::Coordinators { array }, _) => {
                write!(f, "{did} in the coordinator's own view of ")?;
                match array {
                    Some(array) => write!(f, "{array}, which workers do not have"),
                    None => write!(f, "an array that was not lent, which workers do not have"),
                }
            }
            (FaultLocation::Stack, _) => write!(f, "its stack overflowed"),
            (FaultLocation::Impossible, _) | (_, None) => write!(f, "{did} at an address that cannot exist"),
            (FaultLocation::Null, Some(address)) => write!(f, "{did} at address {address:#x}, near null"),
            (FaultLocation::Elsewhere, Some(address)) if self.signal == libc::SIGBUS => {
                write!(f, "{did} at address {address:#x}, mapped memory behind which there is nothing")
            }
            (FaultLocation::Elsewhere, Some(address)) => {
                write!(f, "{did} at address {address:#x}, which is not there or not its to use so")
            }
        }
    }

    /// What to do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self.place {
            _ if self.signal == libc::SIGILL => {
                "Run it on a CPU that has the instruction, or build what the body calls without it"
            }
            _ if self.signal == libc::SIGFPE => "Look for a division in foreign code that the body calls",
            FaultLocation::Cell { owner: None, .. } if self.touch != AccessKind::Read => {
                "Lend the array with &mut, or write to an array that is"
            }
            FaultLocation::Cell { owner: Some(_), .. } => "Write to the slice that the body is given, and to no other",
            FaultLocation::Past { .. } | FaultLocation::Before { .. } => {
                "Look for an index or a length that is wrong in unsafe or foreign code of the body"
            }
            FaultLocation::Coordinators { array: Some(_) } => "Use the view that the body is given",
            FaultLocation::Coordinators { array: None } => "Lend the array, and use the view that the body is given",
            FaultLocation::Stack => {
                "Recurse less deeply, keep large arrays on the heap, or raise the limit (ulimit -s)"
            }
            FaultLocation::Null => "Look for a null pointer in unsafe or foreign code of the body",
            _ => "Look for unsafe or foreign code in the body that touches memory it was not given",
        }
    }
}
