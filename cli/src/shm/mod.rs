//! `parfork shm`: named segments.

pub mod args;
mod create;
mod data;
mod dtype;
mod list;
mod program;
mod watch;

use args::{Shm, ShmCommand};
use parfork::named::Wait;

use crate::failure::Failure;

/// Does what the verb says.
pub fn run(args: Shm) -> Result<(), Failure> {
    match args.command {
        ShmCommand::Create(args) => create::run(args),
        ShmCommand::Ls(args) => list::ls(&args),
        ShmCommand::Info(args) => list::info(&args),
        ShmCommand::Put(args) => data::put(&args),
        ShmCommand::Get(args) => data::get(&args),
        ShmCommand::Cp(args) => data::cp(&args),
        ShmCommand::Rm(args) => list::rm(&args),
        ShmCommand::Gc(args) => list::gc(&args),
        ShmCommand::Watch(args) => watch::run(&args),
    }
}

impl args::Turn {
    /// How to wait for others.
    fn wait(&self, unfinished: bool) -> Wait<'static> {
        let wait = self.deadline.map_or(Wait::new(), |time| Wait::new().deadline(time));
        if unfinished { wait.accept_torn() } else { wait }
    }
}
