//! Libraries that start threads of their own: in workers they are held to what the job says, in the coordinator to nothing.
#![allow(unsafe_code)]

mod support;

use std::ffi::{CString, c_int};
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;

use parfork::{Engine, Job, Shared};
use support::{Page, cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            workers_find_the_variables_set,
            other_engines_change_no_variable,
            a_body_may_set_variables,
            rayon_has_one_thread_in_a_worker,
            libraries_that_are_loaded_are_told,
        ],
        cases![],
    )
}

const VARIABLES: [&str; 7] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
];

fn set(name: &str, value: &str) {
    // SAFETY: each case has a process of its own, with one thread.
    unsafe { std::env::set_var(name, value) };
}

/// What the worker of a job sees of a variable, in each case as a number (1000: it is not there).
fn seen(threads: Option<usize>, engine: Engine) -> Vec<u64> {
    let mut array = Shared::<u64, _>::zeros(VARIABLES.len()).unwrap();
    nothing_left(|| {
        let mut job = Job::new(&mut array).workers(2).runner(engine);
        if let Some(threads) = threads {
            job = job.threads_per_worker(threads);
        }
        job.run(|w, mut slice| {
            let value = std::env::var(VARIABLES[w.region().index()]);
            slice[0] = value.map_or(1000, |value| value.parse().unwrap());
            assert_eq!(std::env::var("PARFORK_OTHER").unwrap(), "left alone");
        })
        .unwrap();
    });
    array.as_slice().to_vec()
}

fn workers_find_the_variables_set() {
    set("PARFORK_OTHER", "left alone");
    set("OMP_NUM_THREADS", "7");
    let before: Vec<_> = std::env::vars_os().collect();
    assert_eq!(seen(None, Engine::Processes), [1; 7]);
    assert_eq!(seen(Some(3), Engine::Processes), [3; 7]);
    assert_eq!(seen(Some(0), Engine::Processes), [7, 1000, 1000, 1000, 1000, 1000, 1000]);
    assert_eq!(std::env::vars_os().collect::<Vec<_>>(), before);
}

fn other_engines_change_no_variable() {
    set("PARFORK_OTHER", "left alone");
    set("OMP_NUM_THREADS", "7");
    for engine in [Engine::Serial, Engine::Threads] {
        assert_eq!(seen(None, engine), [7, 1000, 1000, 1000, 1000, 1000, 1000]);
    }
}

fn a_body_may_set_variables() {
    let mut array = Shared::<u64, _>::zeros(50).unwrap();
    let run = parfork::fork(2, &mut array, |w, mut slice| {
        let number = w.region().index();
        set(&format!("PARFORK_{number}"), &"x".repeat(number));
        set("OMP_NUM_THREADS", "5");
        // SAFETY: a worker has one thread.
        unsafe { std::env::remove_var("MKL_NUM_THREADS") };
        assert!(std::env::var("MKL_NUM_THREADS").is_err() && std::env::var("OMP_NUM_THREADS").unwrap() == "5");
        slice[0] = std::env::var(format!("PARFORK_{number}")).unwrap().len() as u64;
    });
    run.unwrap();
    assert!(array.as_slice().iter().copied().eq(0..50));
}

fn rayon_has_one_thread_in_a_worker() {
    let mut array = Shared::<u64, _>::zeros(4).unwrap();
    parfork::fork(2, &mut array, |_, mut slice| slice[0] = rayon::current_num_threads() as u64).unwrap();
    assert_eq!(array.as_slice(), [1; 4]);
    let job = Job::new(&mut array).workers(2).threads_per_worker(3);
    job.run(|_, mut slice| slice[0] = rayon::current_num_threads() as u64).unwrap();
    assert_eq!(array.as_slice(), [3; 4]);
}

/// Libraries that note what they are told, loaded as Python loads those of its modules: for nobody else to see.
fn libraries_that_are_loaded_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str, code: &str| {
        let (source, library) = (folder.path().join(format!("{name}.c")), folder.path().join(format!("{name}.so")));
        std::fs::write(&source, code).unwrap();
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
        if !made.as_ref().is_ok_and(|status| status.success()) {
            eprintln!("not tested: there is no C compiler ({made:?})");
            return None;
        }
        let path = CString::new(library.into_os_string().into_encoded_bytes()).unwrap();
        // SAFETY: a library without code that runs when it is loaded.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null());
        Some(library.expose_provenance())
    };
    let told = |library: usize, name: &str| {
        let (library, name) = (std::ptr::with_exposed_provenance_mut(library), CString::new(name).unwrap());
        // SAFETY: an open library and a string.
        let number = unsafe { libc::dlsym(library, name.as_ptr()) }.cast::<c_int>();
        // SAFETY: an `int` of the library's.
        u64::from(unsafe { number.read_volatile() } as u32)
    };
    // A job before any of them is loaded.
    let mut array = Shared::<u64, _>::zeros(2).unwrap();
    parfork::fork(2, &mut array, |_, _| ()).unwrap();
    let int = "int told = 64; void omp_set_num_threads(int number) { told = number; }";
    let long = "long told = 64; void bli_thread_set_num_threads(long number) { told = number; }";
    // As OpenBLAS: the function starts threads first, and then does what can be done without.
    let openblas = "int blas_cpu_number = 64; int told = 64;
        void scipy_openblas_set_num_threads64_(int number) { blas_cpu_number = number; told = number; }";
    let Some(gomp) = load("libgomp-test", int) else { return };
    let (Some(blis), Some(openblas)) = (load("libblis-test", long), load("libscipy_openblas64_-test", openblas)) else {
        return;
    };
    let all = || [told(gomp, "told"), told(blis, "told"), told(openblas, "blas_cpu_number"), told(openblas, "told")];
    for (threads, expected) in [(1, [1, 1, 1, 64]), (5, [5, 5, 5, 5]), (0, [64; 4])] {
        let page = Page::new();
        nothing_left(|| {
            let job = Job::new(&mut array).workers(2).threads_per_worker(threads);
            job.run(|_, _| {
                all().iter().zip(page.iter()).for_each(|(&number, word)| word.store(number, Ordering::Relaxed))
            })
            .unwrap();
        });
        assert_eq!([0, 1, 2, 3].map(|at: usize| page[at].load(Ordering::Relaxed)), expected, "{threads} threads");
        assert_eq!(all(), [64; 4]);
    }
}
