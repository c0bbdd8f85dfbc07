//! Work that is counted rather than stored: a range is cut, and each worker gets its own part of it. Here the files of a folder.
//!
//! `cargo run --release --example ranges`

use std::{fs, fs::File, ops::Range, path::PathBuf, process::abort};

use parfork::{Engine, Job, Schedule, Worker};

fn main() -> parfork::Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files: Vec<_> = (0..100).map(|number| folder.path().join(format!("{number}.txt"))).collect();
    for (number, file) in files.iter().enumerate() {
        fs::write(file, "word ".repeat(number)).expect("room for a few words");
    }
    let words = |mine: Range<usize>| files[mine].iter().map(words_of).sum::<usize>();

    // The short form: as many slices as there are files, each dealt to whoever is free.
    assert_eq!(parfork::fork(3, 0..files.len(), |_, mine| words(mine))?.sum(), 99 * 100 / 2);

    for engine in Engine::ALL {
        for workers in [1, 2, 5] {
            // A file that can be made once: whoever tries the slice again finds it there.
            let first_try = || File::create_new(folder.path().join(format!("died {workers}"))).is_ok();
            let job = Job::new(0..files.len()).workers(workers).runner(engine).schedule(Schedule::Guided).retries(1);
            let counts = job.run(|_: &Worker<'_>, mine| {
                if engine == Engine::Processes && mine.contains(&42) && first_try() {
                    abort();
                }
                words(mine)
            })?;
            println!("{engine}, {workers} workers: {} deaths survived", counts.report().deaths.len());
            assert!(counts.iter().copied().eq(0..100));
        }
    }
    Ok(())
}

fn words_of(file: &PathBuf) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.split_whitespace().count())
}
