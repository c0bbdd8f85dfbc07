//! How long after a worker's death does its coordinator know, does the job return, does a replacement begin: with nothing,
//! 1 GiB and 4 GiB mapped in the worker.
//!
//! `cargo bench --bench notice`; method and findings in benches/README.md.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use ndarray::Ix1;
use parfork::{Job, Shared, Split};

/// What a worker has mapped besides what every process has.
#[derive(Clone, Copy, PartialEq)]
enum Mapped {
    Nothing,
    /// An array that it was lent to read, in pages as the library makes them: of 2 MiB.
    Lent,
    /// Memory of its own, in pages of 4 KiB.
    Private,
}

/// Words that coordinator, worker and killer share. Times are nanoseconds of CLOCK_MONOTONIC.
#[repr(C)]
struct Words {
    /// The worker that is ready to be killed.
    victim: AtomicU64,
    killed: AtomicU64,
    /// When the killer, who holds a pidfd of it too, found the pidfd readable.
    readable: AtomicU64,
    /// When the coordinator first called `progress` after the kill.
    told: AtomicU64,
    /// When another worker began the slice.
    replaced: AtomicU64,
}

fn main() -> parfork::Result<()> {
    let words = share_words();
    let killer = fork_killer(words);
    println!("after the SIGKILL, ms: median (min..max)\n");
    println!("| mapped in the worker | runs | coordinator knows | job returns | replacement begins | pidfd readable |");
    println!("|---|---:|---:|---:|---:|---:|");
    floor();
    for (mapped, gib, runs) in [
        (Mapped::Nothing, 0, 201),
        (Mapped::Lent, 1, 51),
        (Mapped::Lent, 4, 21),
        (Mapped::Private, 1, 21),
        (Mapped::Private, 4, 9),
    ] {
        let name = match mapped {
            Mapped::Nothing => "nothing".to_owned(),
            Mapped::Lent => format!("{gib} GiB, lent"),
            Mapped::Private => format!("{gib} GiB, private, 4 KiB pages"),
        };
        if room() < (gib as u64) << 30 | 1 << 30 {
            println!("| {name} | skipped: only {} MiB are free |||||", room() >> 20);
            continue;
        }
        measure(&name, mapped, gib << 30, runs, words)?;
    }
    // SAFETY: a child of this process, not waited for yet, so that its number is still its own.
    unsafe { libc::kill(killer, libc::SIGKILL) };
    // SAFETY: waits for that child; its status is of no interest.
    unsafe { libc::waitpid(killer, std::ptr::null_mut(), 0) };
    Ok(())
}

/// Lets workers with so much mapped be killed, and tells how long things took.
fn measure(name: &str, mapped: Mapped, bytes: usize, runs: usize, words: &Words) -> parfork::Result<()> {
    let lent = Shared::<u8, Ix1>::zeros(if mapped == Mapped::Lent { bytes } else { 1 })?;
    let own = if mapped == Mapped::Private { bytes } else { 0 };
    let [mut knows, mut returns, mut begins, mut readable] = [const { Vec::new() }; 4];
    for run in 0..2 * runs {
        let retries = (run % 2) as u32;
        for word in [&words.victim, &words.killed, &words.readable, &words.told, &words.replaced] {
            word.store(0, SeqCst);
        }
        let note = |_, _| {
            if words.killed.load(SeqCst) > 0 && words.told.load(SeqCst) == 0 {
                words.told.store(now(), SeqCst);
            }
        };
        let job = Job::new(&lent).workers(1).split(Split::rows().into_pieces(1)).retries(retries).progress(note);
        let done = job.run(|_, lent| {
            if words.killed.load(SeqCst) > 0 {
                words.replaced.store(now(), SeqCst);
                return;
            }
            std::hint::black_box(lent.iter().step_by(4096).fold(0_u64, |sum, &byte| sum + u64::from(byte)));
            touch(own);
            words.victim.store(u64::from(std::process::id()), SeqCst);
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        let returned = now();
        assert_eq!(done.is_ok(), retries > 0, "the first death ends a job without retries: {done:?}");
        while words.readable.load(SeqCst) == 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
        let after = |at: u64| at.saturating_sub(words.killed.load(SeqCst)) as f64 / 1e6;
        if retries > 0 {
            begins.push(after(words.replaced.load(SeqCst)));
        } else {
            knows.push(after(words.told.load(SeqCst)));
            returns.push(after(returned));
            readable.push(after(words.readable.load(SeqCst)));
        }
    }
    let [knows, returns, begins, readable] = [knows, returns, begins, readable].map(summary);
    println!("| {name} | {runs} | {knows} | {returns} | {begins} | {readable} |");
    Ok(())
}

/// The same without this library: a child that does nothing is killed, and its pidfd polled.
fn floor() {
    let mut times = Vec::new();
    for _ in 0..201 {
        // SAFETY: the only thread there is; the child makes system calls only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            loop {
                // SAFETY: sleeps.
                unsafe { libc::pause() };
            }
        }
        std::thread::sleep(Duration::from_millis(1));
        let pidfd = pidfd(child);
        let killed = now();
        // SAFETY: a child of this process that is not waited for yet.
        unsafe { libc::kill(child, libc::SIGKILL) };
        poll(pidfd);
        times.push((now() - killed) as f64 / 1e6);
        // SAFETY: waits for that child, whose status is of no interest.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        // SAFETY: made above, not used again.
        unsafe { libc::close(pidfd) };
    }
    println!("| nothing, fork and poll alone | 201 | - | - | - | {} |", summary(times));
}

/// A process that kills each worker as soon as it is ready, and notes when.
fn fork_killer(words: &Words) -> i32 {
    // SAFETY: the only thread there is; the child uses system calls, shared words and no lock.
    let killer = unsafe { libc::fork() };
    if killer != 0 {
        return killer;
    }
    // SAFETY: no killer outlives the bench, however that ends.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    loop {
        std::thread::sleep(Duration::from_micros(200));
        let victim = words.victim.swap(0, SeqCst) as i32;
        if victim == 0 {
            continue;
        }
        let pidfd = pidfd(victim);
        words.killed.store(now(), SeqCst);
        // SAFETY: a worker that sleeps until this very signal comes.
        unsafe { libc::kill(victim, libc::SIGKILL) };
        poll(pidfd);
        words.readable.store(now(), SeqCst);
        // SAFETY: made above, not used again.
        unsafe { libc::close(pidfd) };
    }
}

fn share_words() -> &'static Words {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: new memory at an address of the kernel's choice.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Words>(), access, kind, -1, 0) };
    assert_ne!(base, libc::MAP_FAILED);
    // SAFETY: mapped just now, page-aligned and zero, never unmapped; atomics, for which all bits are values.
    unsafe { &*base.cast() }
}

/// Maps so many bytes of this process's own and writes to each page of 4 KiB.
fn touch(bytes: usize) {
    if bytes == 0 {
        return;
    }
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory at an address of the kernel's choice.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0) };
    assert_ne!(base, libc::MAP_FAILED);
    // SAFETY: the memory mapped just now, in which nothing is yet.
    unsafe { libc::madvise(base, bytes, libc::MADV_NOHUGEPAGE) };
    for page in (0..bytes).step_by(4096) {
        // SAFETY: within the memory mapped above.
        let byte = unsafe { base.cast::<u8>().add(page) };
        // SAFETY: as above; nobody else knows of it.
        unsafe { byte.write_volatile(1) };
    }
}

fn pidfd(pid: i32) -> i32 {
    // SAFETY: the call takes two integers and returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32;
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    fd
}

/// Waits until the process that `pidfd` is of has ended.
fn poll(pidfd: i32) {
    let mut poll = libc::pollfd { fd: pidfd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one live record, and its number.
    unsafe { libc::poll(&mut poll, 1, -1) };
}

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is live for the kernel to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Bytes of memory that are free.
fn room() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn summary(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    format!("{:.2} ({:.2}..{:.2})", times[times.len() / 2], times[0], times[times.len() - 1])
}
