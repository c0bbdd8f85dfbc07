//! 100,000 small jobs, one after the other, in one process: memory and descriptors stay as they are.
//!
//! `cargo run --release --example soak`

use std::fs;
use std::time::Instant;

use parfork::Shared;

/// Descriptors, bytes of memory that are resident and KiB of data that are mapped.
fn holds() -> (usize, usize, usize) {
    let statm = fs::read_to_string("/proc/self/statm").expect("its own numbers");
    let resident: usize = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    let status = fs::read_to_string("/proc/self/status").expect("its own status");
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).expect("a line of data");
    let data = data.trim().trim_end_matches(" kB").parse().expect("a number");
    (fs::read_dir("/proc/self/fd").expect("its own descriptors").count(), resident * 4096, data)
}

fn main() -> parfork::Result<()> {
    let jobs: u64 = std::env::args().nth(1).and_then(|number| number.parse().ok()).unwrap_or(100_000);
    let mut cells = Shared::<u64, _>::zeros(64)?;
    let (mut warm, mut began) = (holds(), Instant::now());
    for job in 0..jobs {
        if job == jobs / 10 {
            (warm, began) = (holds(), Instant::now());
        }
        let done = parfork::fork(2, &mut cells, |w, mut slice| {
            slice.fill(job + w.region().index() as u64);
            1_u64
        })?;
        assert_eq!((done.sum(), cells.as_slice()[63]), (64, job + 63));
    }
    let (rate, end) = ((jobs - jobs / 10) as f64 / began.elapsed().as_secs_f64(), holds());
    println!("{jobs} jobs, {rate:.0} a second; descriptors, resident bytes, KiB of data: {warm:?}, at the end {end:?}");
    assert_eq!((warm.0, warm.2), (end.0, end.2), "descriptors and data are as many as before");
    assert!(end.1 <= warm.1 + (1 << 20), "what is resident does not grow");
    Ok(())
}
