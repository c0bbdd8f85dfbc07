//! A job that programs do.

use super::array::Array;
use super::array_list::{ArrayList, cut};
use super::manifest::variable;
use super::planes::ProgramPlanes;
use super::program::Program;
use super::sandbox_paths::sandbox_paths;
use super::supervisor::{MARK, Supervisor};
use crate::answer::Answers;
use crate::engine::Engine;
use crate::engines::Programs;
use crate::error::{CrewError, Error, ExecError, Result};
use crate::job::{Job, cpus};
use crate::slices::{Grid, Split};
use crate::sys::subreaper::Subreaper;

/// Runs a job whose slices are done by copies of a program, one for each worker. The first output decides what the slices are, or
/// the first array if there is none; other outputs must be as long on the axes that are cut.
///
/// Returns the report, and the arrays with what the programs wrote. A slice that is tried again after a death may hold part of
/// what the dead program wrote: programs write every cell of a slice before they read it.
///
/// # Errors
/// As [`Job::run`]. A program that says `failed` is a body that returns an error ([`Error::BodyFailed`]), and so is one that breaks the
/// protocol; a program that ends before its slice is done is a death ([`Cause::Program`](crate::Cause::Program)).
pub fn run(job: Job<'_>, program: &Program, arrays: Vec<Array>) -> Result<(Answers<()>, Vec<Array>)> {
    let (done, arrays, _) = run_steps(job, program, arrays, Vec::new())?;
    Ok((done, arrays))
}

/// As [`run`], for programs that do [steps](Job::steps) on planes, and may have inputs beside: what is cut are the planes. A program is told the step with each
/// slice; one that is started [anew](Program::each) for each slice is started for each step of it.
///
/// # Errors
/// As [`run`]; also if there are outputs.
pub fn run_steps(
    job: Job<'_>,
    program: &Program,
    mut arrays: Vec<Array>,
    planes: Vec<ProgramPlanes>,
) -> Result<(Answers<()>, Vec<Array>, Vec<ProgramPlanes>)> {
    let (mut spec, runner, hooks) = job.into_parts();
    if runner.engine() != Engine::Processes {
        return Err(Error::Engine { what: "another program", engine: runner.engine() });
    }
    if runner.is_crew() {
        return Err(CrewError::Program.into());
    }
    if arrays.is_empty() && planes.is_empty() {
        return Err(ExecError::NoArrays.into());
    }
    if let Some(output) = arrays.iter().find(|array| array.is_output() && !planes.is_empty()) {
        return Err(ExecError::OutputInSteps { name: output.name().to_owned() }.into());
    }
    for (number, array) in arrays.iter().enumerate() {
        if let Some(other) = arrays[..number].iter().find(|other| variable(other.name()) == variable(array.name())) {
            let (one, other) = (array.name().to_owned(), other.name().to_owned());
            return Err(ExecError::SameVariable { variable: variable(&one), one, other }.into());
        }
    }
    let split = *spec.split.get_or_insert_with(|| match planes.is_empty() {
        true => usual_split(cut(&arrays)),
        // With the fewest neighbours.
        false => Split::rows().into_pieces(spec.workers.unwrap_or_else(cpus)),
    });
    // What cannot be cut is refused by the plan.
    let grid = match planes.is_empty() {
        true => Grid::new(split, cut(&arrays).shape())
            .and_then(|grid| grid.with_bounds(&spec.bounds))
            .ok()
            .filter(|_| spec.only_slice.is_none()),
        false => None,
    };
    for array in &mut arrays {
        let is_run = |region| array.extent().runs(&region).count() <= 1;
        let by_slices = grid.as_ref().is_some_and(|grid| grid.regions().all(is_run));
        array.write_by_slices(by_slices);
    }
    if program.each {
        // Who knows nothing of us takes an array for a file that begins with it.
        arrays = arrays.into_iter().map(Array::into_memory).collect::<Result<_>>()?;
    }
    let confine = match hooks.sandbox() {
        Some(sandbox) => {
            Some((sandbox.support()?, sandbox_paths(&program.name, &program.arguments, &program.readable)))
        }
        None => None,
    };
    // It is for the programs: workers have to start them.
    let hooks = hooks.sandbox_around_programs();
    let array_list = ArrayList::new(arrays, planes);
    let orphans = Subreaper::adopt(MARK).map_err(Error::system("become the parent of what programs leave behind"))?;
    let supervisor = Supervisor::new(program, &array_list, &spec, confine, &orphans);
    let job = Job::with(&array_list, spec.clone()).body_overwrites().runner(runner).hooks(hooks);
    let done = job.run_programs(|worker, mut share| supervisor.work(worker, &mut share), &supervisor);
    // All workers are gone, and with them their programs.
    let left = supervisor.end_left();
    drop(supervisor);
    let arrays = array_list.into_arrays();
    let steps = spec.steps.unwrap_or(1);
    if !left.is_empty() {
        return Err(Error::Remaining { processes: left, error: done.err().map(Box::new) });
    }
    let (done, (arrays, mut planes)) = (done?, arrays?);
    planes.iter_mut().for_each(|planes| planes.finish(steps));
    Ok((done, arrays, planes))
}

/// How an array is cut unless that is said: by rows, as for a closure but into fewer pieces where they would be small. An order and its
/// answer take some 50 us; and of slices of some MiB most of the memory can be given back when they are done.
fn usual_split(array: &Array) -> Split {
    const PIECE: usize = 4 << 20;
    const FEWEST: usize = 128;
    Split::rows().into_pieces((array.backing().len() / PIECE).clamp(FEWEST, Split::PIECES))
}
