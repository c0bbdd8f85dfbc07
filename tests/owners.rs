//! What owns an array, a lock, a cache or processes is of use in the process that made it, and in its forks an error: there it is a
//! copy without anything behind it.
#![allow(unsafe_code)]

mod support;

use std::process::ExitCode;
use std::sync::Mutex;

use ndarray::Ix1;
use parfork::named::{self, Named, Wait};
use parfork::{Crew, Engine, Error, Job, Mapped, Schedule, Shared, Split, formats::npy};
use support::nothing_left;

fn main() -> ExitCode {
    support::run(
        support::cases![
            a_captured_array_cannot_be_lent_on,
            nor_be_looked_at,
            nor_be_given_back,
            nor_be_found_in_what_is_kept,
            a_captured_segment_cannot_be_locked,
            nor_a_captured_guard_be_used,
            nor_a_captured_file_be_lent,
            what_a_worker_makes_is_its_own,
            a_fork_of_ones_own_is_refused_too,
            also_one_that_libc_knows_nothing_of,
            views_in_a_fork_are_faults_and_never_other_arrays,
        ],
        &[],
    )
}

/// Runs a body in two workers.
fn in_workers(body: impl Fn() -> Result<(), String> + Sync) -> parfork::Result<()> {
    let mut cells = Shared::<u8, _>::zeros(2)?;
    let job = Job::new(&mut cells).workers(2).split(Split::rows().into_pieces(2)).schedule(Schedule::Static);
    job.run(|_, _| body()).map(drop)
}

/// What somebody who has only a copy is told.
fn refused<T>(done: parfork::Result<T>) -> Result<(), String> {
    match done {
        Err(error @ Error::NotOwner { .. }) if error.to_string().contains("Lend it to the job") => Ok(()),
        Err(other) => Err(format!("another error: {other}")),
        Ok(_) => Err("not refused".to_owned()),
    }
}

/// Whether it panics with the words of that error.
fn panics(look: impl FnOnce()) -> Result<(), String> {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)).err().ok_or("not refused")?;
    let text = panic.downcast_ref::<String>().ok_or("a panic without a text")?;
    if text.contains("Lend it to the job") { Ok(()) } else { Err(text.clone()) }
}

fn a_captured_array_cannot_be_lent_on() {
    nothing_left(|| {
        let owner = Mutex::new(Shared::<u64, _>::zeros(512).unwrap());
        in_workers(|| {
            let mut owner = owner.lock().unwrap();
            for engine in [Engine::Processes, Engine::Threads, Engine::Serial] {
                refused(Job::new(&mut *owner).runner(engine).run(|_, mut slice| slice.fill(1)))?;
                refused(Job::new(&*owner).runner(engine).run(|_, _| ()))?;
            }
            let mut own = Shared::<u64, _>::zeros(512).map_err(|error| error.to_string())?;
            refused(Job::new((&*owner, &mut own)).run(|_, _| ()))?;
            let mut crew = Crew::start(1).map_err(|error| error.to_string())?;
            refused(crew.run(&mut *owner, (), |_, (), mut slice| slice.fill(1)))
        })
        .unwrap();
        assert!(owner.into_inner().unwrap().as_slice().iter().all(|&cell| cell == 0));
    });
}

fn nor_be_looked_at() {
    nothing_left(|| {
        let owner = Mutex::new(Shared::<u64, _>::zeros((16, 32)).unwrap());
        in_workers(|| {
            let mut owner = owner.lock().unwrap();
            panics(|| _ = owner.view().sum())?;
            panics(|| _ = owner.as_slice().first())?;
            panics(|| owner.view_mut().fill(1))?;
            panics(|| owner.as_mut_slice().fill(1))?;
            // What it is can be asked.
            if owner.shape() == [16, 32] { Ok(()) } else { Err("another shape".to_owned()) }
        })
        .unwrap();
        assert_eq!(owner.into_inner().unwrap().view().sum(), 0);
    });
}

fn nor_be_given_back() {
    nothing_left(|| {
        // From now on what is dropped loses its memory at once.
        drop(Crew::start(1).unwrap());
        let made = || Shared::<u64, Ix1>::from_array(&ndarray::Array1::from_elem(100_000, 7)).unwrap();
        let owner = Mutex::new(Some(made()));
        in_workers(|| {
            drop(owner.lock().unwrap().take());
            // Nothing of its own comes to stand where views of that may point to.
            let own = Shared::<u64, Ix1>::zeros(100_000).map_err(|error| error.to_string())?;
            if own.as_slice().iter().all(|&cell| cell == 0) { Ok(()) } else { Err("not zero".to_owned()) }
        })
        .unwrap();
        assert!(owner.into_inner().unwrap().unwrap().as_slice().iter().all(|&cell| cell == 7));
    });
}

fn nor_be_found_in_what_is_kept() {
    const LEN: usize = 3 << 20;
    nothing_left(|| {
        parfork::set_segment_cache(1 << 30);
        let mut first = Shared::<u8, _>::zeros(LEN).unwrap();
        first.as_mut_slice().fill(7);
        drop(first);
        let captured = Mutex::new(Some(Shared::<u8, _>::zeros(LEN / 2).unwrap()));
        in_workers(|| {
            parfork::set_segment_cache(1 << 30);
            drop(captured.lock().unwrap().take());
            for len in [LEN, LEN / 2] {
                let mut own = Shared::<u8, _>::empty(len).map_err(|error| error.to_string())?;
                own.as_mut_slice().fill(9);
            }
            Ok(())
        })
        .unwrap();
        let again = Shared::<u8, _>::empty(LEN).unwrap();
        assert!(again.as_slice().iter().all(|&byte| byte == 7));
        drop((again, captured));
        parfork::set_segment_cache(0);
    });
}

fn name(of: &str) -> String {
    format!("owners-{of}-{}", std::process::id())
}

fn a_captured_segment_cannot_be_locked() {
    nothing_left(|| {
        let name = name("lock");
        let handle = Mutex::new(Named::<u64, _>::create(&name).zeros(512).unwrap());
        in_workers(|| {
            let mut handle = handle.lock().unwrap();
            refused(handle.read().map(drop))?;
            refused(handle.write().map(drop))?;
            refused(handle.write_within(Wait::new().accept_torn()).map(drop))?;
            // One that it attaches is its own, and its lock too.
            let mut own = Named::<u64, Ix1>::open_mut(&name).map_err(|error| error.to_string())?;
            let mut guard = own.write().map_err(|error| error.to_string())?;
            guard.view_mut()[0] += 1;
            guard.publish().map(drop).map_err(|error| error.to_string())
        })
        .unwrap();
        assert!(named::info(&name).unwrap().locked.is_none());
        let mut handle = handle.into_inner().unwrap();
        assert_eq!((handle.generation(), handle.read().unwrap().view()[0]), (2, 2));
    });
}

fn nor_a_captured_guard_be_used() {
    nothing_left(|| {
        let name = name("guard");
        let mut handle = Named::<u64, _>::create(&name).zeros(512).unwrap();
        let before = handle.generation();
        let guard = Mutex::new(Some(handle.write().unwrap()));
        in_workers(|| {
            let mut held = guard.lock().unwrap();
            let guard = held.as_mut().unwrap();
            panics(|| _ = guard.view().sum())?;
            panics(|| guard.view_mut().fill(1))?;
            refused(guard.copy())?;
            let own = Shared::<u64, _>::zeros(512).map_err(|error| error.to_string())?;
            refused(guard.copy_from(&own))?;
            refused(Job::new(&mut *guard).run(|_, mut slice| slice.fill(1)))?;
            refused(held.take().unwrap().publish())
        })
        .unwrap();
        let guard = guard.into_inner().unwrap().unwrap();
        assert!(guard.view().iter().all(|&cell| cell == 0) && guard.generation() == before);
        // Not given back by the workers' copies.
        let mut other = Named::<u64, Ix1>::open_mut(&name).unwrap();
        assert!(other.write_within(Wait::new().deadline(std::time::Duration::ZERO)).is_err());
        drop(guard);
        // Nobody has begun to write, so that nothing is unfinished.
        drop(other.write().unwrap());
        let read = Mutex::new(other.read().unwrap());
        in_workers(|| {
            let guard = read.lock().unwrap();
            panics(|| _ = guard.view().sum())?;
            refused(guard.copy())?;
            refused(Job::new(&*guard).run(|_, _| ()))
        })
        .unwrap();
        drop(read);
    });
}

fn nor_a_captured_file_be_lent() {
    nothing_left(|| {
        let path = std::env::temp_dir().join("grid.npy");
        npy::save(&path, ndarray::Array1::<f64>::ones(1000).view()).unwrap();
        let Some(file) = Mapped::<f64, Ix1>::open(&path).unwrap() else { return eprintln!("no leases here") };
        let file = Mutex::new(Some(file));
        in_workers(|| {
            let mut file = file.lock().unwrap();
            refused(Job::new(file.as_ref().unwrap()).run(|_, _| ()))?;
            // The lease stays the coordinator's.
            drop(file.take());
            Ok(())
        })
        .unwrap();
        let file = file.into_inner().unwrap().unwrap();
        assert_eq!(Job::new(&file).run(|w, view| w.slice_of(view).sum()).unwrap().sum(), 1000.0);
        drop(file);
        std::fs::remove_file(&path).unwrap();
    });
}

fn what_a_worker_makes_is_its_own() {
    nothing_left(|| {
        in_workers(|| {
            let mut own = Shared::<u64, _>::zeros(512).map_err(|error| error.to_string())?;
            let done = Job::new(&mut own).workers(2).run(|_, mut slice| slice.fill(3));
            done.map_err(|error| error.to_string())?;
            let mut crew = Crew::start(2).map_err(|error| error.to_string())?;
            crew.run(&mut own, (), |_, (), mut slice| *slice += 1).map_err(|error| error.to_string())?;
            if own.as_slice().iter().all(|&cell| cell == 4) { Ok(()) } else { Err("wrong cells".to_owned()) }
        })
        .unwrap();
    });
}

/// Whether all goes well in a child made by `fork`.
fn in_child(fork: fn() -> i32, body: impl FnOnce() -> Result<(), String>) -> i32 {
    match fork() {
        0 => {
            let done = body();
            if let Err(error) = &done {
                eprintln!("{error}");
            }
            // SAFETY: ends the child without touching its memory.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        pid => {
            let mut status = -1;
            // SAFETY: a live word for the kernel to fill.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            status
        }
    }
}

fn libc_fork() -> i32 {
    // SAFETY: this process has one thread.
    unsafe { libc::fork() }
}

fn raw_fork() -> i32 {
    // SAFETY: this process has one thread, and the child has copies of all that it has.
    unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32 }
}

/// All that a fork may try with what is its parent's.
fn tries_all(fork: fn() -> i32) {
    nothing_left(|| {
        let mut owner = Some(Shared::from_array(&ndarray::Array1::<u64>::from_elem(512, 7)).unwrap());
        let name = name("fork");
        let mut handle = Some(Named::<u64, _>::create(&name).zeros(512).unwrap());
        let mut crew = Some(Crew::start(1).unwrap());
        let status = in_child(fork, || {
            panics(|| _ = owner.as_ref().unwrap().view().sum())?;
            refused(Job::new(owner.as_mut().unwrap()).run(|_, mut slice| slice.fill(1)))?;
            refused(handle.as_mut().unwrap().write().map(drop))?;
            let mut own = Shared::<u64, _>::zeros(512).map_err(|error| error.to_string())?;
            refused(crew.as_mut().unwrap().run(&mut own, (), |_, (), mut slice| slice.fill(1)))?;
            refused(crew.as_mut().unwrap().resize(2))?;
            drop((owner.take(), handle.take(), crew.take()));
            let done = Job::new(&mut own).workers(2).run(|_, mut slice| slice.fill(5));
            done.map_err(|error| error.to_string())?;
            if own.as_slice().iter().all(|&cell| cell == 5) { Ok(()) } else { Err("wrong cells".to_owned()) }
        });
        assert_eq!(status, 0);
        let mut owner = owner.unwrap();
        assert!(owner.as_slice().iter().all(|&cell| cell == 7));
        let mut other = Named::<u64, Ix1>::open_mut(&name).unwrap();
        drop(other.write().unwrap());
        Job::new(&mut owner).run(|_, mut slice| *slice += 1).unwrap();
        assert!(owner.as_slice().iter().all(|&cell| cell == 8));
    });
}

fn a_fork_of_ones_own_is_refused_too() {
    tries_all(libc_fork);
}

fn also_one_that_libc_knows_nothing_of() {
    tries_all(raw_fork);
}

fn views_in_a_fork_are_faults_and_never_other_arrays() {
    nothing_left(|| {
        let secret = Shared::from_array(&ndarray::Array1::<u8>::from_elem(1 << 20, 7)).unwrap();
        let view = secret.as_slice();
        let status = in_child(libc_fork, || {
            // Where the first hole would be.
            let others: Vec<_> = (0..20).map(|_| Shared::<u8, _>::zeros(1 << 20).unwrap()).collect();
            let seen = std::hint::black_box(view)[1000];
            Err(format!("read {seen} beside {} others", others.len()))
        });
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{status:#x}");
    });
}
