//! How fast are the numeric kernels, beside the best that others have and beside what the machine can do? Ours, peers and
//! limits run in processes of their own, in turns.
//!
//! `cargo bench --bench kernels -- [mandelbrot] [reduce] [product]`; with faer too: `--features peers`; with NumPy too:
//! `benches/peers/run kernels`. Method and findings in benches/README.md.

mod contest;
mod mandelbrot;
mod product;
mod reduce;

use std::error::Error;
use std::time::Duration;

/// What runs something once and says how long it took.
type Run = Box<dyn FnMut() -> Result<Duration, Box<dyn Error>>>;

/// Workers, threads and CPUs that each contestant may use, unless it is called serial.
const WORKERS: usize = 2;

type Section = fn() -> Result<(), Box<dyn Error>>;

const SECTIONS: [(&str, Section); 3] =
    [("mandelbrot", mandelbrot::section), ("reduce", reduce::section), ("product", product::section)];

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["contestant", section, case @ .., who] = &words[..] {
        return contest::answer(match *section {
            "mandelbrot" => mandelbrot::contestant(case, who)?,
            "reduce" => reduce::contestant(case, who)?,
            _ => product::contestant(case, who)?,
        });
    }
    println!("{WORKERS} workers, {} CPUs; in turns; ms: least / median\n", parfork::cpus());
    for (name, section) in SECTIONS {
        if words.is_empty() || words.contains(&name) {
            section()?;
        }
    }
    Ok(())
}

/// The settings of ours.
fn settings(engine: parfork::Engine) -> parfork::Settings<'static> {
    parfork::Settings { workers: Some(WORKERS), engine, ..parfork::Settings::default() }
}
