//! Many inputs, by chance from seeds, on all targets: for the count. libFuzzer, which looks at what an input reaches, is for depth.
//!
//! `count --inputs 10000000 [--seed S] [--target NAME]`; `count --seeds FOLDER` writes the seeds to files.
//!
//! What a target panics on is kept as `found/TARGET-SEED-NUMBER`, and the run goes on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parfork::fuzzing::{Rng, Seeds, TARGETS, Target};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (mut inputs, mut seed, mut only, mut folder) = (10_000_000_usize, 1_u64, None, None);
    for pair in words.chunks(2) {
        let [word, value] = pair else { panic!("{} needs a value", pair[0]) };
        match word.as_str() {
            "--inputs" => inputs = value.parse().expect("a number of inputs"),
            "--seed" => seed = value.parse().expect("a seed"),
            "--target" => only = Some(value.clone()),
            "--seeds" => folder = Some(PathBuf::from(value)),
            _ => panic!("{word}? There are --inputs, --seed, --target and --seeds."),
        }
    }
    if let Some(folder) = folder {
        return write_seeds(&folder);
    }
    let targets: Vec<_> = all().filter(|(name, ..)| only.as_deref().is_none_or(|only| only == *name)).collect();
    assert!(!targets.is_empty(), "there is no such target");
    std::panic::set_hook(Box::new(|_| {}));
    let mut bad = 0;
    for (name, run, seeds) in &targets {
        let (count, mut rng, began) =
            (inputs / targets.len(), Rng::new(seed ^ name.len() as u64), Instant::now());
        let mut pool = seeds();
        pool.extend(corpus(name));
        let sound = pool.len();
        let (mut slowest, mut found) = (Duration::ZERO, 0);
        for number in 0..count {
            // Half of them begin with what makes sense.
            let (half, other) = (rng.below(2) * (pool.len() - sound) + sound, rng.below(pool.len()));
            let one = rng.below(half);
            let mut input = pool[one].clone();
            rng.mutate(&mut input, &pool[other]);
            let start = Instant::now();
            if std::panic::catch_unwind(|| run(&input)).is_err() {
                found += 1;
                std::fs::create_dir_all("found").expect("a folder for what is found");
                std::fs::write(format!("found/{name}-{seed}-{number}"), &input).expect("what is found is kept");
            }
            slowest = slowest.max(start.elapsed());
            // What has changed twenty times is another beginning.
            if rng.below(64) == 0 {
                let at = sound + rng.below(4096);
                if pool.len() < sound + 4096 { pool.push(input) } else { pool[at] = input }
            }
        }
        println!("{name}: {count} inputs in {:.0?}, slowest {slowest:.1?}, {found} found", began.elapsed());
        bad += found;
    }
    if bad > 0 {
        std::process::exit(1);
    }
}

/// The targets of all packages.
fn all() -> impl Iterator<Item = &'static (&'static str, Target, Seeds)> {
    TARGETS.iter().chain(parfork_workers::fuzzing::TARGETS)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read(file.path()).ok()).collect()
}

fn write_seeds(folder: &Path) {
    for (name, _, seeds) in all() {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder for a target");
        for (number, seed) in seeds().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed is written");
        }
    }
}
