//! What a crew cannot do.

use crate::sys::proc::NOT_DUMPABLE;

/// Why a crew cannot be started, or cannot run a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CrewError {
    /// The body may capture what the workers have never had.
    #[error(
        "this body may use what is around it, and a crew's workers were forked before that was there. Use Job::run_with (or \
         run_each_with, run_init_with), which hands an argument to a body that captures nothing, or leave the crew out."
    )]
    BodyCaptures,
    /// Threads of libraries or binding to CPUs, which are decided when a crew starts.
    #[error(
        "to how many threads libraries are held in a crew's workers, and whether these are bound to CPUs, is decided when it starts. Use \
         CrewBuilder, and leave it out here."
    )]
    DecidedAtStart,
    /// A sandbox, in which workers could not open what later jobs lend.
    #[error(
        "a crew's workers open the arrays of each job when they are told of it, which a sandbox forbids. Leave out the crew, or the sandbox."
    )]
    Sandbox,
    /// A program, whose worker is forked for it.
    #[error(
        "another program is started by a worker that is forked for it, and a crew's were forked before. Leave the crew out."
    )]
    Program,
    /// A mapped file, which the coordinator cannot look at.
    #[error("a mapped file cannot be lent to a crew whose coordinator works too. Read it (Shared::load).")]
    MappedFile,
    /// Going on without the dead, with a coordinator that works.
    #[error(
        "a coordinator that works cannot meanwhile take the dead off meetings. Leave out Crew::coordinator_works, or \
         Job::continue_after_death."
    )]
    CoordinatorWorks,
    /// Answers that are handed on as they come, with a coordinator that works.
    #[error(
        "a coordinator that works cannot meanwhile hand on answers. Leave out Crew::coordinator_works, or use Job::run_with."
    )]
    HandsOn,
    /// A program that would run once more instead of serving.
    #[error(
        "this program would do all its work once more if it were started to fork workers. Call parfork::serve() first in main, which then \
         takes over."
    )]
    NotServing,
    /// Another program than the one that has started it, or another build of it.
    #[error("this program was started to fork workers for another one, or for another build of this one.")]
    OtherProgram,
    /// A body in another library than this crate, which a program that is started may have elsewhere.
    #[error(
        "this body is in another library than parfork, which the program that forks the workers may have at another address, or not at \
         all. Link both into one, or use Crew::start before there are threads."
    )]
    BodyElsewhere,
    /// A process whose descriptors nobody may open.
    #[error("{NOT_DUMPABLE}.")]
    NotDumpable,
}
