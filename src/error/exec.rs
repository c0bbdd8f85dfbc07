//! What can be wrong between a program and those who start it.

use super::{ManifestError, ProtocolError};
use crate::dtype::Dtype;

/// Why a program cannot work, or cannot be started to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// A worker that nobody has started as one.
    #[error(
        "this program is a worker and was started by itself. Run it with `parfork exec --in FILE --out FILE -- PROGRAM`."
    )]
    StartedAlone,
    /// A manifest of another version.
    #[error("the manifest cannot be understood: {0}. Use the parfork that this program was built with.")]
    Manifest(#[from] ManifestError),
    /// A worker that takes orders, started once a slice.
    #[error("this program takes orders, and was started for a single slice. Leave --each out.")]
    SingleSlice,
    /// A program that loops over slices, started to do steps.
    #[error(
        "this program was started to do steps. Loop over those, with ProgramWorker::run_steps, or give it no --planes."
    )]
    DoesSteps,
    /// A program that does steps, started for something else.
    #[error("there are no planes to do steps on. Give --planes NAME=START.npy --steps N.")]
    NoPlanes,
    /// A second worker in one program.
    #[error("this program is a worker already. Use the ProgramWorker that it has.")]
    JoinedTwice,
    /// An output that is asked for again.
    #[error("the output `{name}` was handed out already. Ask for it once.")]
    HandedOut {
        /// Its name.
        name: String,
    },
    /// An array that does not exist.
    #[error("there is no {kind} `{name}`. Name one in the command line.")]
    NoSuchArray {
        /// `input`, `output` or `plane`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// An array of another type or with other axes.
    #[error(
        "the {kind} `{name}` is of {found} with {found_axes} axes, and this program works with {wanted} and {wanted_axes}. Convert it."
    )]
    OtherType {
        /// `input` or `output`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The type of its elements.
        found: String,
        /// How many axes it has.
        found_axes: usize,
        /// The type that was asked for.
        wanted: &'static str,
        /// How many axes were asked for.
        wanted_axes: usize,
    },
    /// A constant beyond an edge that no element can be.
    #[error("no element of type {dtype} is {value}. Give a constant that one can be, as in constant:0.")]
    Constant {
        /// The constant.
        value: String,
        /// The elements' type.
        dtype: Dtype,
    },
    /// An output of programs that do steps.
    #[error("programs that do steps have no outputs but the planes, and `{name}` is one. Leave it out.")]
    OutputInSteps {
        /// Its name.
        name: String,
    },
    /// A job of no arrays.
    #[error("a program without arrays has nothing to do. Give it an input or an output.")]
    NoArrays,
    /// Two arrays whose names are the same in the environment of a program.
    #[error(
        "the arrays `{other}` and `{one}` would both be PARFORK_..._{variable} in a program's environment. Name one of them otherwise."
    )]
    SameVariable {
        /// The name of one.
        one: String,
        /// The name of another, that comes before.
        other: String,
        /// What both names become.
        variable: String,
    },
    /// Elements that not every language has.
    #[error(
        "programs cannot be handed elements of type {dtype}. Use one of at most 64 bits, or complex numbers of two such, in this \
         machine's byte order."
    )]
    Elements {
        /// Their type.
        dtype: Dtype,
    },
    /// An array that is taken as one of another type.
    #[error("an array of {} cannot become one of {}. Ask for its own type.", .found.name(), .wanted.name())]
    OtherElements {
        /// The type of its elements.
        found: Dtype,
        /// The one asked for.
        wanted: Dtype,
    },
    /// What the program's own body returned.
    #[error("{why}")]
    Body {
        /// Its error, as text.
        why: String,
    },
    /// An order that is none.
    #[error("the coordinator wrote {0}.")]
    Order(#[from] ProtocolError),
    /// What another start of this program would have to do, and does not.
    #[error("`{task}` is done by this program started once more, which would not do that. Call {call} first in main.")]
    NotServed {
        /// The name of what is done by it.
        task: String,
        /// The function that does it, as it is called.
        call: String,
    },
}
