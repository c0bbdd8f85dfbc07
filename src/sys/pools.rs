//! Libraries that start threads of their own (BLAS, OpenMP, rayon) held to so many in each worker.
//!
//! Workers have a CPU each; a library that starts a thread for every CPU in every worker makes them wait for each other.
//! Libraries that are loaded later read environment variables. Those that are loaded already have read them, and are told
//! through the functions that they have for it, as threadpoolctl does from Python.
//!
//! All that takes time (looking up functions, copying the environment) is done in the coordinator before the fork, and
//! workers change nothing that a lock guards: another thread may have held it at the fork.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::ptr::null;
use std::sync::{Mutex, PoisonError};

/// What libraries read when they are loaded, or first used.
pub(crate) const VARIABLES: [&str; 7] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// Parts of the file names of libraries that have one of [`FUNCTIONS`].
const LIBRARIES: [&str; 7] = ["openblas", "libgomp", "libomp", "libiomp", "mkl_rt", "libblis", "libflexiblas"];

/// Functions that take a number of threads: an `int`, but for that of BLIS, whose `dim_t` is a `long`.
const FUNCTIONS: [&CStr; 8] = [
    c"openblas_set_num_threads",
    c"openblas_set_num_threads64_",
    c"scipy_openblas_set_num_threads",
    c"scipy_openblas_set_num_threads64_",
    c"MKL_Set_Num_Threads",
    c"omp_set_num_threads",
    c"flexiblas_set_num_threads",
    OF_BLIS,
];
const OF_BLIS: &CStr = c"bli_thread_set_num_threads";

/// OpenBLAS's own number of threads, an `int`. After a fork its function starts all threads anew only to let most of them
/// rest, 30 us each; to hold it to one it is enough to say so here.
const OF_OPENBLAS: &CStr = c"blas_cpu_number";

/// How to tell one library: addresses in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LibraryTest {
    function: usize,
    /// Whether the function takes a `long`, not an `int`.
    long: bool,
    /// Of the number itself, where that is enough for 1.
    number: Option<usize>,
}

impl LibraryTest {
    /// # Safety
    /// The addresses are those of a library that is loaded, and this process has one thread.
    unsafe fn tell(self, threads: c_int) {
        let function = std::ptr::with_exposed_provenance::<c_void>(self.function);
        match self.number {
            Some(number) if threads == 1 => {
                let number = std::ptr::with_exposed_provenance_mut::<c_int>(number);
                // SAFETY: an `int` of the library's own, by its name; nobody else runs.
                unsafe { number.write(1) };
            }
            _ if self.long => {
                // SAFETY: a function of this name has this type in every library that has it.
                let set = unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn(c_long)>(function) };
                // SAFETY: takes any number.
                unsafe { set(threads.into()) };
            }
            _ => {
                // SAFETY: as above.
                let set = unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn(c_int)>(function) };
                // SAFETY: takes any number.
                unsafe { set(threads) };
            }
        }
    }
}

/// Libraries as they were when they were last looked through.
struct LibraryList {
    /// How many were ever loaded and unloaded.
    changes: (u64, u64),
    ways: Vec<LibraryTest>,
}

static CENSUS: Mutex<Option<LibraryList>> = Mutex::new(None);

/// What a worker is to do, made ready before its birth.
pub(crate) struct Pools {
    threads: c_int,
    /// What the next member points to, besides this process's environment.
    _own: Vec<CString>,
    environment: Vec<*const c_char>,
    ways: Vec<LibraryTest>,
}

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

impl Pools {
    /// For so many threads a worker; 0 leaves everything as it is.
    ///
    /// # Safety
    /// No other thread changes the environment meanwhile: there is none, or it heeds the contract of `std::env::set_var`.
    pub(crate) unsafe fn of(threads: usize) -> Option<Self> {
        let threads = c_int::try_from(threads).unwrap_or(c_int::MAX);
        if threads == 0 {
            return None;
        }
        let assign = |name: &&str| CString::new(format!("{name}={threads}")).expect("a name and a number have no NUL");
        let own: Vec<_> = VARIABLES.iter().map(assign).collect();
        // SAFETY: passed on to the caller.
        let inherited = unsafe { environment() };
        let others = inherited.into_iter().filter(|(_, text)| !is_ours(text)).map(|(pointer, _)| pointer);
        let environment = others.chain(own.iter().map(|text| text.as_ptr())).chain([null()]).collect();
        Some(Self { threads, _own: own, environment, ways: ways() })
    }

    /// In a worker just born, for the rest of its life.
    ///
    /// # Safety
    /// This process has one thread; `self` stays where it is until it ends.
    pub(crate) unsafe fn limit(&self) {
        // SAFETY: strings and the null at their end, all of which stay; nobody else reads or writes the pointer now.
        unsafe { environ = self.environment.as_ptr() };
        for way in &self.ways {
            // SAFETY: found in a library that was loaded at the fork.
            unsafe { way.tell(self.threads) };
        }
    }
}

/// Whether an environment string assigns one of [`VARIABLES`].
fn is_ours(text: &[u8]) -> bool {
    VARIABLES.iter().any(|name| text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'=')))
}

/// This process's environment as C has it: pointers, and what they point to.
///
/// # Safety
/// Nobody changes it as long as the result is used.
unsafe fn environment() -> Vec<(*const c_char, &'static [u8])> {
    // SAFETY: nobody changes it, says the caller.
    let first = unsafe { environ };
    if first.is_null() {
        return Vec::new();
    }
    let strings = (0..).map_while(|at| {
        // SAFETY: a null pointer ends the array, and the walk along it.
        let place = unsafe { first.add(at) };
        // SAFETY: as above.
        let string = unsafe { *place };
        // SAFETY: a string with a NUL at its end, by the meaning of `environ`.
        (!string.is_null()).then(|| (string, unsafe { CStr::from_ptr(string) }.to_bytes()))
    });
    strings.collect()
}

/// How to tell the libraries that are loaded now; looked up anew only when libraries have come or gone.
fn ways() -> Vec<LibraryTest> {
    let mut census = CENSUS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut walk =
        LibraryWalk { known: census.as_ref().map(|census| census.changes), changes: (0, 0), names: Vec::new() };
    // SAFETY: the callback is for this type of data, which lives as long as the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut walk).cast()) };
    if walk.known != Some(walk.changes) {
        *census = Some(LibraryList { changes: walk.changes, ways: look_up(&walk.names) });
    }
    census.as_ref().map(|census| census.ways.clone()).unwrap_or_default()
}

/// One walk along the libraries that are loaded.
struct LibraryWalk {
    known: Option<(u64, u64)>,
    changes: (u64, u64),
    /// Paths of those that may be told.
    names: Vec<CString>,
}

extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, walk: *mut c_void) -> c_int {
    // SAFETY: `ways` gives this type, and the loader gives it back.
    let walk = unsafe { &mut *walk.cast::<LibraryWalk>() };
    // SAFETY: the loader's record, for the call.
    let info = unsafe { &*info };
    walk.changes = (info.dlpi_adds, info.dlpi_subs);
    if walk.known == Some(walk.changes) {
        return 1;
    }
    if !info.dlpi_name.is_null() {
        // SAFETY: the loader's string, for the call.
        let name = unsafe { CStr::from_ptr(info.dlpi_name) };
        let text = name.to_string_lossy();
        let file = text.rsplit('/').next().unwrap_or_default();
        if LIBRARIES.iter().any(|library| file.contains(library)) {
            walk.names.push(name.to_owned());
        }
    }
    0
}

/// Looks for the functions in these libraries, and among what all libraries share (a program may hold one itself).
fn look_up(names: &[CString]) -> Vec<LibraryTest> {
    let mut ways = ways_in(libc::RTLD_DEFAULT);
    for name in names {
        // SAFETY: a path; with NOLOAD nothing is loaded, so no code of the library runs.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
        if !library.is_null() {
            ways.extend(ways_in(library));
            // SAFETY: opened above; whoever had it loaded still has.
            unsafe { libc::dlclose(library) };
        }
    }
    let mut different: Vec<LibraryTest> = Vec::new();
    for way in ways {
        if !different.contains(&way) {
            different.push(way);
        }
    }
    different
}

fn ways_in(library: *mut c_void) -> Vec<LibraryTest> {
    // SAFETY: an open library (or the constant for all) and a string.
    let find = |name: &CStr| unsafe { libc::dlsym(library, name.as_ptr()) };
    let address = |name| Some(find(name).expose_provenance()).filter(|&address| address != 0);
    let number = address(OF_OPENBLAS);
    let is_openblas = |name: &CStr| name.to_bytes().windows(8).any(|part| part == b"openblas");
    let ways = FUNCTIONS.into_iter().filter_map(|name| {
        let number = number.filter(|_| is_openblas(name));
        Some(LibraryTest { function: address(name)?, long: name == OF_BLIS, number })
    });
    ways.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_variables_are_replaced() {
        assert!(is_ours(b"OMP_NUM_THREADS=8") && is_ours(b"RAYON_NUM_THREADS="));
        assert!(!is_ours(b"OMP_NUM_THREADS_X=8") && !is_ours(b"OMP_NUM_THREADS") && !is_ours(b"X=OMP_NUM_THREADS=1"));
    }

    #[test]
    fn an_environment_is_made_ready() {
        // SAFETY: no test of this crate's own changes the environment.
        assert!(unsafe { Pools::of(0) }.is_none());
        // SAFETY: as above.
        let pools = unsafe { Pools::of(3) }.unwrap();
        let (last, strings) = pools.environment.split_last().unwrap();
        assert!(last.is_null());
        // SAFETY: strings that live as long as `pools` and the environment.
        let texts: Vec<_> = strings.iter().map(|&string| unsafe { CStr::from_ptr(string) }).collect();
        let count = |text: &CStr| texts.iter().filter(|other| **other == text).count();
        assert_eq!((count(c"OMP_NUM_THREADS=3"), count(c"RAYON_NUM_THREADS=3")), (1, 1));
        assert_eq!(
            texts.len(),
            std::env::vars_os().filter(|(name, _)| !VARIABLES.iter().any(|v| name == v)).count() + 7
        );
    }

    #[test]
    fn libraries_are_looked_through_once() {
        let (one, two) = (ways(), ways());
        assert_eq!(one, two);
        assert!(CENSUS.lock().unwrap().as_ref().is_some_and(|census| census.changes.0 > 0));
    }
}
