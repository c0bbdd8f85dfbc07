//! `parfork KERNEL`, the same way for all of them: one result, or one for each of many inputs.

pub mod args;
mod batch;
mod one;

pub use one::inputs;

use crate::failure::Failure;

use args::Typed;

/// Does what was typed.
pub fn run(typed: &Typed) -> Result<(), Failure> {
    match batch::Plan::of(typed)? {
        Some(plan) => batch::run(typed, &plan),
        None => one::run(typed, false)?.tell(&typed.common),
    }
}
