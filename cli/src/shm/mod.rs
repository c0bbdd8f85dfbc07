//! `parfork shm`: named segments.

pub mod args;
mod create;
mod data;
mod dtype;
mod list;
mod program;
mod watch;

use args::{Shm, Verb};
use parfork::named::Wait;

use crate::failure::Failure;

/// Does what the verb says.
pub fn run(args: Shm) -> Result<(), Failure> {
    match args.verb {
        Verb::Create(args) => create::run(args),
        Verb::Ls(args) => list::ls(&args),
        Verb::Info(args) => list::info(&args),
        Verb::Put(args) => data::put(&args),
        Verb::Get(args) => data::get(&args),
        Verb::Cp(args) => data::cp(&args),
        Verb::Rm(args) => list::rm(&args),
        Verb::Gc(args) => list::gc(&args),
        Verb::Watch(args) => watch::run(&args),
    }
}

impl args::Turn {
    /// How to wait for others.
    fn wait(&self, unfinished: bool) -> Wait<'static> {
        let wait = self.deadline.map_or(Wait::new(), |time| Wait::new().deadline(time));
        if unfinished { wait.accept_torn() } else { wait }
    }
}
