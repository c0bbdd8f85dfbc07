//! Where workers have arrays, and how much memory that takes.

use parfork::{Job, Memory, Schedule, Shared, Split};

pub(crate) fn forks_have_what_is_shared_with_them() {
    let mut shared = Shared::from_array(&ndarray::Array1::from_elem(5000, 7_u8)).unwrap();
    shared.share_with_forks().unwrap();
    let withheld = Shared::<u8, _>::zeros(5000).unwrap();
    let ends = |of: &Shared<u8, ndarray::Ix1>, how: &dyn Fn(*mut u8) -> i32| {
        let first = of.as_ptr();
        // SAFETY: this process has one thread.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let status = how(first);
            // SAFETY: no preconditions.
            unsafe { libc::_exit(status) };
        }
        let mut status = 0;
        // SAFETY: a child of this process's, and a number to fill in.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        status
    };
    // SAFETY: as many bytes are there, and this process waits.
    let read_and_write = |first: *mut u8| unsafe { i32::from(std::ptr::replace(first.wrapping_add(4999), 8)) };
    assert_eq!(libc::WEXITSTATUS(ends(&shared, &read_and_write)), 7);
    assert_eq!(shared.as_slice()[4999], 8);
    assert_eq!(libc::WTERMSIG(ends(&withheld, &read_and_write)), libc::SIGSEGV);
    // It is this process's all the same.
    let refused = |_| i32::from(std::panic::catch_unwind(|| shared.view().len()).is_err());
    assert_eq!(libc::WEXITSTATUS(ends(&shared, &refused)), 1);
    assert_eq!(parfork::fork(2, &mut shared, |_, mut slice| slice.fill(9)).map(drop).ok(), Some(()));
    assert!(shared.as_slice().iter().all(|&byte| byte == 9));
}

pub(crate) fn four_workers_share_the_memory_of_one_input() {
    const BYTES: usize = 256 << 20;
    let source = Shared::<u8, _>::zeros(BYTES).unwrap();
    let job = Job::new(&source).workers(4).split(Split::rows().into_pieces(4)).schedule(Schedule::Static);
    let answers = job
        .measure_memory(true)
        .run(|w, source| -> parfork::Result<[u64; 2]> {
            // Every worker touches every page.
            let sum: u64 = source.iter().step_by(4096).map(|&byte| u64::from(byte)).sum();
            w.barrier()?;
            let coordinator = if w.rank() == 0 { proportional(nix::unistd::getppid().as_raw()) } else { 0 };
            let mine = Memory::of_this_process().unwrap().proportional;
            w.barrier()?;
            Ok([mine + coordinator, sum])
        })
        .unwrap();
    let all: u64 = answers.iter().map(|[memory, _]| memory).sum();
    let most = (BYTES as u64) * 105 / 100 + (16 << 20);
    assert!((BYTES as u64..most).contains(&all), "{all} bytes for {BYTES}");
    for worker in &answers.report().workers {
        let memory = worker.memory.unwrap();
        assert!(memory.private < 8 << 20, "{memory:?}");
        assert!(memory.shared >= BYTES as u64, "{memory:?}");
    }
}

fn proportional(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

pub(crate) fn workers_have_arrays_at_other_addresses() {
    for length in [100, 3 << 20] {
        let source = Shared::<u8, _>::zeros(length).unwrap();
        let mut output = Shared::<u8, _>::zeros(length).unwrap();
        let own = [source.as_slice().as_ptr().addr(), output.as_slice().as_ptr().addr()];
        let job =
            Job::new((&source, &mut output)).workers(3).split(Split::rows().into_pieces(3)).schedule(Schedule::Static);
        let seen = job.run(|_, (source, slice)| [source.as_ptr().addr(), slice.as_ptr().addr()]).unwrap();
        let report = seen.report();
        assert_eq!(report.addresses, own);
        assert_eq!(report.workers.len(), 3);
        let mut all: Vec<usize> = report.workers.iter().flat_map(|worker| worker.addresses.clone()).collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|two| two[0] < two[1]), "{all:x?}");
        for (rank, (worker, [read, written])) in report.workers.iter().zip(seen.iter()).enumerate() {
            assert!(worker.addresses.iter().all(|address| !own.contains(address)), "worker {rank}");
            assert_eq!(worker.addresses[0], *read);
            assert!((worker.addresses[1]..worker.addresses[1] + length).contains(written));
        }
    }
}

pub(crate) fn elements_of_any_alignment_are_aligned() {
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C, align(65536))]
    struct Coarse([[u8; 256]; 256]);
    // An error would do as well: no array, no misaligned element.
    if let Ok(mut coarse) = Shared::<Coarse, _>::zeros(3) {
        assert_eq!(coarse.as_slice().as_ptr().addr() % align_of::<Coarse>(), 0);
        let run = parfork::fork(2, &mut coarse, |_, slice| slice.as_ptr().addr() as u64).unwrap();
        assert!(run.iter().all(|address| address % align_of::<Coarse>() as u64 == 0));
    }
}
