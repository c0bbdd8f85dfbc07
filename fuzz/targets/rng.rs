//! What the targets of all packages are made of: their types, what chance makes of an input, and bytes as a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};

/// What is to be done with some bytes.
pub type Target = fn(&[u8]);

/// Inputs that make sense.
pub type Seeds = fn() -> Vec<Vec<u8>>;

/// Numbers that chance gives, from a seed.
#[derive(Clone, Debug)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// One below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    /// Changes some bytes in one to eight ways: bits, bytes, numbers at the edge of what they can be, pieces left out, put
    /// twice, moved, or taken from another input.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        const EDGES: [u64; 10] = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX / 2, u64::MAX];
        for _ in 0..=self.below(8) {
            let len = bytes.len();
            let at = if len > 0 { self.below(len) } else { 0 };
            let piece = at..at + if len > at { self.below(len - at).min(64) } else { 0 };
            match self.below(9) {
                0 if len > 0 => bytes[at] ^= 1 << self.below(8),
                1 if len > 0 => bytes[at] = self.below(256) as u8,
                2 | 3 if len > 0 => {
                    let (edge, width) = (EDGES[self.below(EDGES.len())], 1 << self.below(4));
                    let number =
                        if self.below(2) == 0 { edge.to_le_bytes() } else { (edge << (64 - 8 * width)).to_be_bytes() };
                    bytes[at..].iter_mut().zip(&number[..width]).for_each(|(byte, &new)| *byte = new);
                }
                4 => bytes.truncate(at),
                5 => drop(bytes.drain(piece)),
                6 if len < 1 << 16 => {
                    let copy = bytes[piece].to_vec();
                    let to = if len > 0 { self.below(len) } else { 0 };
                    drop(bytes.splice(to..to, copy));
                }
                7 if !other.is_empty() => {
                    let from = self.below(other.len());
                    let taken = other[from..].iter().take(piece.len().max(1)).copied();
                    drop(bytes.splice(piece, taken.collect::<Vec<_>>()));
                }
                _ => bytes.push(self.below(256) as u8),
            }
        }
    }
}

/// A file to write and read that has no name any more.
pub fn nameless() -> io::Result<File> {
    let path =
        std::env::temp_dir().join(format!("parfork-fuzz-{}-{:?}", std::process::id(), std::thread::current().id()));
    let file = OpenOptions::new().create_new(true).read(true).write(true).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

/// Makes `bytes` all that a file holds; what is read next is the first.
pub fn hold(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(bytes)?;
    file.rewind()
}

/// Runs the seeds of all targets, what was ever found, and some seconds of what chance makes of them.
#[cfg(test)]
pub fn all_are_harmless(targets: &[(&str, Target, Seeds)]) {
    /// How many inputs of each target: some seconds of an unoptimised program.
    const INPUTS: usize = 1500;
    for (name, run, seeds) in targets {
        let mut inputs = seeds();
        inputs.extend(corpus(name));
        inputs.iter().for_each(|input| run(input));
        let mut rng = Rng::new(name.len() as u64);
        for _ in 0..INPUTS {
            let mut input = inputs[rng.below(inputs.len())].clone();
            let other = rng.below(inputs.len());
            rng.mutate(&mut input, &inputs[other]);
            run(&input);
        }
    }
}

/// The files of a target's corpus: among them all that was ever found.
#[cfg(test)]
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = package.ancestors().map(|at| at.join("fuzz/corpus").join(name)).find(|folder| folder.is_dir());
    let files = folder.into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut paths: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}
