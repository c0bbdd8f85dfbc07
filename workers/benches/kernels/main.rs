//! How fast are the numeric kernels, beside the best that others have and beside what the machine can do? Ours, peers and
//! limits run in processes of their own, in turns.
//!
//! `cargo bench --bench kernels -- [mandelbrot] [reduce [sum|min|max|norm]...] [product [f32|f64|MxNxK]...] [sort]`; with
//! faer too: `--features peers`; with NumPy too: `benches/peers/run kernels`. Method and findings in benches/README.md.

mod contest;
mod mandelbrot;
mod product;
mod reduce;
mod sort;

use std::error::Error;
use std::time::Duration;

use parfork::{Crew, Engine, Job};

/// What runs something once and says how long it took.
type Run = Box<dyn FnMut() -> Result<Duration, Box<dyn Error>>>;

/// Workers, threads and CPUs that each contestant may use, unless it is called serial.
const WORKERS: usize = 2;

/// Of its cases those that the words name, or all.
type Section = fn(&[&str]) -> Result<(), Box<dyn Error>>;

/// Whether a case is one of those that the words name; all are if they name none.
fn wanted<'a>(words: &[&str], all: impl IntoIterator<Item = &'a str>, case: &str) -> bool {
    words.contains(&case) || !all.into_iter().any(|name| words.contains(&name))
}

const SECTIONS: [(&str, Section); 4] = [
    ("mandelbrot", mandelbrot::section),
    ("reduce", reduce::section),
    ("product", product::section),
    ("sort", sort::section),
];

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["contestant", section, case @ .., who] = &words[..] {
        return contest::answer(match *section {
            "mandelbrot" => mandelbrot::contestant(case, who)?,
            "reduce" => reduce::contestant(case, who)?,
            "sort" => sort::contestant(who)?,
            _ => product::contestant(case, who)?,
        });
    }
    println!("{WORKERS} workers, {} CPUs; in turns; ms: least / median\n", parfork::cpus());
    for (name, section) in SECTIONS {
        if words.is_empty() || words.contains(&name) {
            section(&words)?;
        }
    }
    Ok(())
}

/// Who works on ours: an engine, or a crew that was there before.
enum Hands {
    Of(Engine),
    Stay(Box<Crew>),
}

impl Hands {
    /// By the name of a contestant; `None` if it is none of ours.
    fn named(who: &str) -> parfork::Result<Option<Self>> {
        match who {
            "crew" => Ok(Some(Self::Stay(Crew::start(WORKERS)?.into()))),
            _ => Ok(who.parse().ok().map(Self::Of)),
        }
    }

    fn job(&mut self) -> Job<'_> {
        let job = Job::default().workers(WORKERS);
        match self {
            Self::Of(engine) => job.runner(*engine),
            Self::Stay(crew) => job.crew(crew),
        }
    }
}
