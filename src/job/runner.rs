//! Who runs a job.

use crate::crew::Crew;
use crate::engine::Engine;

/// Who runs a job: an [`Engine`] with workers of its own, or a [`Crew`], whose workers are there. Made of either.
#[derive(Debug, Default)]
pub enum Runner<'c> {
    /// The calling thread alone.
    Serial,
    /// Threads of this process.
    #[cfg(feature = "threads")]
    Threads,
    /// Processes forked for this job.
    #[default]
    Processes,
    /// Processes that stay between jobs.
    Crew(&'c mut Crew),
}

impl Runner<'_> {
    /// What it is called in reports: a crew's workers are processes.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Serial => Engine::Serial,
            #[cfg(feature = "threads")]
            Self::Threads => Engine::Threads,
            Self::Processes | Self::Crew(_) => Engine::Processes,
        }
    }

    /// Whether it is a crew.
    pub(crate) fn is_crew(&self) -> bool {
        matches!(self, Self::Crew(_))
    }
}

impl From<Engine> for Runner<'_> {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Serial => Self::Serial,
            #[cfg(feature = "threads")]
            Engine::Threads => Self::Threads,
            Engine::Processes => Self::Processes,
        }
    }
}

impl<'c> From<&'c mut Crew> for Runner<'c> {
    fn from(crew: &'c mut Crew) -> Self {
        Self::Crew(crew)
    }
}
