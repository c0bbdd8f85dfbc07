//! What does a slice cost when another program does it? The same empty slices by a closure and by programs in each language.
//!
//! `cargo bench --bench exec`; method and findings in benches/README.md. Needs python3 with NumPy and a C compiler, and says what it
//! left out where they are not there.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ndarray::Ix1;
use parfork::exec::{self, Array, Program, ProgramWorker};
use parfork::{Element, Job, Shared, Split};

/// Runs of each; they take turns.
const ROUNDS: usize = 7;

const WORKERS: [usize; 2] = [1, 2];

/// How a job of so many slices is run by so many workers; what it took.
type Way<'w> = Box<dyn FnMut(usize, usize) -> Result<Duration, Box<dyn Error>> + 'w>;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::var_os("PARFORK_MANIFEST_FD").is_some() {
        return Ok(guest()?);
    }
    let folder = std::env::temp_dir().join(format!("parfork-bench-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let done = measure(&folder);
    fs::remove_dir_all(&folder)?;
    done
}

/// A worker in Rust that does nothing.
fn guest() -> parfork::Result<()> {
    let mut guest = ProgramWorker::join()?;
    let mut cells = guest.output::<u8, Ix1>("cells")?;
    guest.run(|slice| {
        cells.slice(slice).fill(1);
        Ok::<_, String>(())
    })
}

fn measure(folder: &Path) -> Result<(), Box<dyn Error>> {
    println!("{} CPUs; medians of {ROUNDS} rounds in which all take turns\n", parfork::cpus());
    println!("| who does the slice | workers | start, ms | a slice, us |");
    println!("|---|---:|---:|---:|");
    let shell = "while read -r line; do echo done; done";
    let mut ways: Vec<(&str, usize, Way<'_>)> = vec![
        ("a closure (forked workers)", 20_000, Box::new(closure)),
        ("a program in Rust (`ProgramWorker`)", 20_000, program(Program::new(std::env::current_exe()?), false)),
    ];
    match c_worker(folder) {
        Some(path) => {
            ways.push(("a program in C (`parfork.h`)", 20_000, program(Program::new(&path), false)));
            ways.push(("the same, `--guard`", 20_000, program(Program::new(&path), true)));
            ways.push(("the same, `--each`", 400, program(Program::new(path).each(true), false)));
        }
        None => println!("| C: not measured, there is no `cc` | | | |"),
    }
    match python_worker(folder) {
        Some(path) => {
            ways.push((
                "a program in Python (`parfork.py`)",
                20_000,
                program(Program::new("python3").args([&path]), false),
            ));
            ways.push(("the same, `--each`", 20, program(Program::new("python3").args([path]).each(true), false)));
        }
        None => println!("| Python: not measured, there is no `python3` with NumPy | | | |"),
    }
    ways.push(("a shell (`read`, `echo done`)", 20_000, program(Program::new("sh").args(["-c", shell]), false)));
    ways.push(("a shell, `--each` (`true`)", 400, program(Program::new("sh").args(["-c", "true"]).each(true), false)));
    for workers in WORKERS {
        let mut times = vec![(Vec::new(), Vec::new()); ways.len()];
        for _ in 0..ROUNDS {
            for ((_, slices, way), (starts, alls)) in ways.iter_mut().zip(&mut times) {
                starts.push(way(workers, workers)?);
                alls.push(way(*slices, workers)?);
            }
        }
        for ((name, slices, _), (starts, alls)) in ways.iter().zip(times) {
            let (start, all) = (median(starts), median(alls));
            // What a worker spends on one of its slices.
            let each = all.saturating_sub(start) * workers as u32 / (*slices - workers) as u32;
            let (start, each) = (start.as_secs_f64() * 1e3, each.as_secs_f64() * 1e6);
            println!("| {name} | {workers} | {start:.2} | {each:.2} |");
        }
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn closure(slices: usize, workers: usize) -> Result<Duration, Box<dyn Error>> {
    let mut cells = Shared::<u8, Ix1>::zeros(slices)?;
    let job = Job::new(&mut cells).workers(workers).split(Split::rows().of(1));
    Ok(job.run(|_, mut slice| slice.fill(1))?.report().wall)
}

fn program<'w>(program: Program, guard: bool) -> Way<'w> {
    Box::new(move |slices, workers| {
        let cells = Array::output("cells", u8::DTYPE, &[slices])?;
        let job = Job::default().workers(workers).split(Split::rows().of(1)).guard(guard);
        Ok(exec::run(job, &program, vec![cells])?.0.report().wall)
    })
}

/// Runs something quietly; whether it succeeded.
fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn c_worker(folder: &Path) -> Option<PathBuf> {
    let (source, program) = (folder.join("worker.c"), folder.join("worker"));
    let text = r#"#include "parfork.h"
        int main(void) {
            parfork_worker w;
            parfork_slice s;
            if (parfork_join(&w) != 0) return parfork_complain(&w);
            const parfork_array *cells = parfork_find(&w, "cells", "u8");
            while (cells && parfork_next(&w, &s)) ((char *)cells->data)[s.start[0]] = 1;
            return parfork_leave(&w);
        }"#;
    fs::write(&source, text).ok()?;
    fs::write(folder.join("parfork.h"), include_str!("../cli/clients/parfork.h")).ok()?;
    succeeds(Command::new("cc").arg("-O2").arg("-o").args([&program, &source])).then_some(program)
}

fn python_worker(folder: &Path) -> Option<PathBuf> {
    let program = folder.join("worker.py");
    let text = "import parfork\ncells = parfork.outputs['cells']\nfor part in parfork.slices():\n    cells[part] = 1\n";
    fs::write(&program, text).ok()?;
    fs::write(folder.join("parfork.py"), include_str!("../cli/clients/parfork.py")).ok()?;
    succeeds(Command::new("python3").args(["-c", "import numpy"])).then_some(program)
}
