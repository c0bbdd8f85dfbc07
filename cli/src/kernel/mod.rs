//! `parfork KERNEL`, the same way for all of them: one result, or one for each of many inputs.

pub mod args;
mod batch;
mod one;

pub use one::inputs;

use std::ffi::OsString;

use crate::failure::Failure;

use args::Typed;

/// Does what was typed.
pub fn run(typed: &Typed) -> Result<(), Failure> {
    if let Some(arg) = typed.kernel.args().iter().find(|arg| arg.many && typed.many.is_none()) {
        let names = typed.given.all(arg.name);
        if names.len() > 1 {
            return each(typed, arg.name, names);
        }
    }
    match batch::Plan::of(typed)? {
        Some(plan) => batch::run(typed, &plan),
        None => one::run(typed, false)?.tell(&typed.common),
    }
}

/// A number of each of several arrays, one after the other, each by all workers.
fn each(typed: &Typed, arg: &'static str, names: &[OsString]) -> Result<(), Failure> {
    let common = &typed.common;
    let has_output = typed.kernel.args().iter().any(|arg| arg.is_output() && !typed.given.all(arg.name).is_empty());
    if has_output || common.report.is_some() || common.trace.is_some() {
        let text = "-o, --report and --trace are one file, of one array. Give several arrays without, or each alone.";
        return Err(Failure::usage(text));
    }
    for name in names {
        let mut given = typed.given.clone();
        given.enter(arg, vec![name.clone()]);
        let (kernel, format, jpeg) = (typed.kernel, typed.format, typed.jpeg);
        let alone = Typed {
            kernel,
            given,
            format,
            jpeg,
            strip: typed.strip,
            is_named: true,
            many: None,
            common: common.clone(),
        };
        one::run(&alone, false)?.tell(common)?;
    }
    Ok(())
}
