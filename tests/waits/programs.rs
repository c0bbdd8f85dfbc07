//! Programs that go on when their worker has died.

use std::fs::File;
use std::io::{BufRead, Write};
use std::os::unix::fs::FileExt;

use parfork::exec::{Array, Program, run};
use parfork::{Element, Job, Split};

use crate::support::no_children;

/// A part, which is a program: the first to come kills its worker and writes 'X' to its slice from then on; others write 'o'. It has
/// asked the kernel not to end it with its worker.
pub(crate) fn write_on() {
    let output = File::options().write(true).open(std::env::var("PARFORK_OUT_C").unwrap()).unwrap();
    let first = std::path::PathBuf::from(std::env::var("FIRST").unwrap());
    nix::sys::prctl::set_pdeathsig(None).unwrap();
    for line in std::io::stdin().lock().lines() {
        if let Ok(mut file) = File::create_new(&first) {
            writeln!(file, "{}", std::process::id()).unwrap();
            if std::env::var_os("LEAVES").is_some() {
                // SAFETY: this process has one thread. The child goes on below, in a session of its own.
                if unsafe { nix::unistd::fork() }.unwrap().is_child() {
                    nix::unistd::setsid().unwrap();
                    loop {
                        output.write_all_at(&[b'X'; 1000], 0).unwrap();
                    }
                }
            }
            nix::sys::signal::kill(nix::unistd::getppid(), nix::sys::signal::Signal::SIGKILL).unwrap();
            loop {
                output.write_all_at(&[b'X'; 1000], 0).unwrap();
            }
        }
        output.write_all_at(&[b'o'; 1000], 0).unwrap();
        println!("{}", line.unwrap().replace("slice", "done"));
    }
}

fn run_it(program: Program) {
    let job = Job::default().workers(1).retries(2).split(Split::rows().into_pieces(1));
    let output = Array::output("c", u8::DTYPE, &[1000]).unwrap();
    let (done, arrays) = run(job, &program, vec![output]).unwrap();
    assert_eq!(done.report().deaths.len(), 1);
    let others = arrays[0].as_bytes().unwrap().iter().filter(|&&byte| byte != b'o').count();
    assert_eq!(others, 0, "cells that the dead worker's program wrote after the second try");
    no_children();
}

fn program(first: &str) -> (String, std::path::PathBuf) {
    (std::env::current_exe().unwrap().display().to_string(), std::env::temp_dir().join(first))
}

pub(crate) fn a_dead_workers_program_is_ended_before_the_next_begins() {
    for round in 0..5 {
        let (name, first) = program(&format!("first{round}"));
        run_it(Program::new(name).env("PARFORK_CASE", "programs::write_on").env("FIRST", first));
    }
}

/// The mark by which processes of programs are known is in their environment, and that is theirs.
pub(crate) fn what_programs_left_is_ended_whatever_its_environment() {
    let (name, first) = program("first");
    let first = first.display();
    let script = format!(
        "exec env -i LEAVES=1 PARFORK_CASE=programs::write_on FIRST={first} PARFORK_OUT_C=$PARFORK_OUT_C {name}"
    );
    run_it(Program::new("sh").args(["-c".to_owned(), script]));
}
