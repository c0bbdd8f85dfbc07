//! What a worker can do to anything but the arrays it was lent: with a sandbox, nothing.

use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::PathBuf;
use std::sync::Once;

use crate::error::{Error, Result};
use crate::sys::reserve::Late;
use crate::sys::sandbox::{Outputs, PreparedSandbox, Receiver, Report, Reports, Support, enter_as_program};

/// Keeps the workers of a job, once they have attached what was lent, from files, sockets, programs and other processes: for
/// decoding what strangers sent, and for foreign code.
///
/// In a sandbox a worker computes, on as many threads as it likes, reads and writes the arrays, and prints. It cannot open a file
/// (`EACCES`), and is ended, with an error that names the system call, if it makes a socket, starts a program or a process, traces
/// or signals another one, or does anything else that is not computing. It has no descriptors but those that
/// are [kept](Self::keep) for it and its standard streams, which are pipes: input is at its end, and what it prints the coordinator writes to its
/// own. A `File` that was open before the job is closed in workers. None of this can be undone in the worker, nor by a program that takes it over.
///
/// A worker is a fork of this process: it **has what this process had in its memory and its environment**, and a sandbox cannot take that from it.
/// Do not run it beside secrets, or let a program work ([`exec`](crate::exec)), which begins with nothing.
///
/// It is made of Landlock, seccomp, dropped capabilities, `no_new_privs` and limits of resources. On a kernel that lacks one of the first two the others
/// are used, which is said once on stderr, unless it is to be [strict](Self::strict).
///
/// ```
/// use parfork::{Error, Job, Sandbox, Shared};
/// let mut cells = Shared::<u8, _>::zeros(64)?;
/// let job = Job::new(&mut cells).workers(2).sandbox(Sandbox::new());
/// let Err(error) = job.run(|_, _| std::fs::read("/etc/passwd").map(drop)) else { panic!("it was read") };
/// assert!(matches!(error, Error::BodyFailed(_)));
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Sandbox<'k> {
    strict: bool,
    around_programs: bool,
    keep: Vec<BorrowedFd<'k>>,
}

impl<'k> Sandbox<'k> {
    /// As much of it as this kernel has.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a job is refused ([`Error::Sandbox`]) where the kernel lacks a part.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Leaves workers this descriptor, to be used as it is: a file to read that is open already.
    pub fn keep(mut self, descriptor: &'k impl AsFd) -> Self {
        self.keep.push(descriptor.as_fd());
        self
    }

    /// Confines the calling process, which is about to become another program, for ever: to be called in a child, just before
    /// `exec`. The program, and all that it starts, can read and run what is beneath the paths `readable` (its own file and its
    /// libraries must be there), write to `/dev/null` and what is open already, and open nothing else; it can make no sockets, nor
    /// look into other processes or change how they run. On Linux 6.12 or later it can signal only those that it has started, before that only itself.
    /// It has no capabilities, also as root.
    ///
    /// Descriptors stay as they are: mark what the program is not to have close-on-exec.
    ///
    /// # Errors
    /// [`Error::Sandbox`] as for a job; [`Error::System`] if one of the paths is not there.
    pub fn confine_program(&self, readable: &[PathBuf]) -> Result<()> {
        let support = self.support()?;
        enter_as_program(support, readable).map_err(Error::system("confine a program to its sandbox"))
    }

    /// Confines this process as workers are, for ever; it keeps its standard streams and these descriptors.
    pub(crate) fn confine_this_process(&self, keep: &[RawFd]) -> Result<()> {
        let refused = || Error::system("confine a process to its sandbox");
        // Its own descriptors are closed with all others, and not to be closed again.
        let prepared = ManuallyDrop::new(PreparedSandbox::new(self.support()?).map_err(refused())?);
        prepared.enter(keep, None).map_err(refused())
    }

    /// What workers enter.
    pub(crate) fn prepare(&self) -> Result<Confinement> {
        let refused = || Error::system("make a sandbox");
        let outputs = Outputs::new().map_err(refused())?;
        if self.around_programs {
            return Ok(Confinement { prepared: None, outputs, keep: Vec::new() });
        }
        let support = self.support()?;
        let prepared = PreparedSandbox::new(support).map_err(refused())?;
        let reports = support.reports.then(Reports::new).transpose().map_err(refused())?;
        let keep = self.keep.iter().map(AsRawFd::as_raw_fd).collect();
        Ok(Confinement { prepared: Some((prepared, reports)), outputs, keep })
    }

    /// For workers that start confined programs and are not confined themselves: what is printed goes the same way.
    pub(crate) fn around_programs(mut self) -> Self {
        self.around_programs = true;
        self
    }

    /// What this kernel can enforce, if that will do.
    pub(crate) fn support(&self) -> Result<Support> {
        let support = Support::of_this_kernel();
        let missing = match (support.landlock, support.seccomp) {
            (true, true) => None,
            (false, true) => Some("Landlock (ABI 1 or later, since Linux 5.13; see /sys/kernel/security/lsm)"),
            (true, false) => Some("seccomp filters (SECCOMP_RET_TRAP, since Linux 3.5)"),
            (false, false) => Some("either Landlock (ABI 1 or later) or seccomp filters (SECCOMP_RET_TRAP)"),
        };
        if let Some(missing) = missing {
            if self.strict {
                return Err(Error::Sandbox { missing });
            }
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                let text =
                    format!("parfork: sandbox: this kernel, or a container, lacks {missing}; going on without\n");
                // Without stderr there is nobody to tell.
                let _ = std::io::stderr().write_all(text.as_bytes());
            });
        }
        Ok(support)
    }
}

/// A sandbox that is ready to be entered.
#[derive(Debug)]
pub(crate) struct Confinement {
    /// None where only what workers start is confined.
    prepared: Option<(PreparedSandbox, Option<Reports>)>,
    outputs: Outputs,
    keep: Vec<RawFd>,
}

impl Confinement {
    /// Confines this process, worker `rank`, which also keeps these descriptors.
    pub(crate) fn enter(&self, rank: usize, more: impl IntoIterator<Item = RawFd>) -> Result<()> {
        let refused = || Error::system("confine a worker to its sandbox");
        self.outputs.take_over().map_err(refused())?;
        let Some((prepared, reports)) = &self.prepared else { return Ok(()) };
        let keep: Vec<RawFd> = self.keep.iter().copied().chain(more).collect();
        prepared.enter(&keep, reports.as_ref().map(|reports| (reports, rank))).map_err(refused())
    }

    /// Whether workers are confined, and not only what they start.
    pub(crate) fn confines_workers(&self) -> bool {
        self.prepared.is_some()
    }

    /// In the coordinator: writes what workers have printed to its own standard streams, as far as they take it now.
    pub(crate) fn forward_output(&self) {
        self.outputs.forward();
    }

    /// As [`forward_output`](Self::forward_output), all of it, when all workers are gone; what has to be waited for not when it is too `late`.
    pub(crate) fn forward_rest(&self, late: Late<'_>) {
        self.outputs.forward_rest(late);
    }

    /// In the coordinator: a worker that makes a call which is not let through, and has to be killed.
    pub(crate) fn next_report(&self, receiver: &mut Receiver) -> Option<Report> {
        self.prepared.as_ref().and_then(|(_, reports)| receiver.next(reports.as_ref()?))
    }
}
