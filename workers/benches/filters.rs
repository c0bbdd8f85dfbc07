//! What do picture filters take with a crew of two, in two processes, in two threads, and in other libraries' hands? Medians, interleaved.
//!
//! `cargo bench --bench filters` compares the engines. Given the argument `serve`, it runs what standard input asks for, so
//! that `benches/peers/run filters` can take turns with peers: those in Python, and fast_image_resize with `--features peers`.
//! Method and findings in benches/README.md.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use ndarray::{Array3, Ix3};
use parfork::{Crew, Engine, Job, Runner, Shared};
use parfork_workers::filter::{self, Border, Filter};

const SIDE: usize = 4096;
const WORKERS: usize = 2;

/// Runs of each. They take turns, so that a noisy moment hits all alike.
const ROUNDS: usize = 15;

const FILTERS: [&str; 13] = [
    "gaussian:3",
    "sobel",
    "sharpen",
    "resize:2048x2048",
    "gray",
    "contrast:1.5",
    "gamma:2.2",
    "invert",
    "brightness:20",
    "threshold:128",
    "box:4",
    "rotate:90",
    "flip:horizontal",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut desk = Desk::new()?;
    if std::env::args().any(|argument| argument == "serve") {
        for line in std::io::stdin().lock().lines() {
            let line = line?;
            let (who, filter) =
                line.split_once(' ').ok_or("give an engine or crew, and a filter, as in: processes sobel")?;
            println!("{}", desk.milliseconds(who, filter)?);
            std::io::stdout().flush()?;
        }
        return Ok(());
    }
    println!("{WORKERS} workers, {} CPUs; median of {ROUNDS} interleaved runs, ms\n", parfork::cpus());
    println!("{:<20} {:>9} {:>9} {:>9}  processes/threads  crew/threads", "filter", "threads", "processes", "crew");
    for filter in FILTERS {
        let [threads, processes, crew] = desk.compare(["threads", "processes", "crew"], filter)?;
        let [forked, stay] = [processes / threads, crew / threads];
        println!("{filter:<20} {threads:>9.2} {processes:>9.2} {crew:>9.2}  {forked:>17.2}  {stay:>12.2}");
    }
    Ok(())
}

/// The picture, and a result for each filter, made and touched before.
struct Desk {
    crew: Crew,
    picture: Shared<u8, Ix3>,
    results: HashMap<String, Shared<u8, Ix3>>,
    #[cfg(feature = "peers")]
    peer: Option<peer::Resizing>,
}

impl Desk {
    fn new() -> Result<Self, Box<dyn Error>> {
        let mut noise = 1_u64;
        let picture = Array3::from_shape_fn((SIDE, SIDE, 3), |(y, x, c)| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((y * x / 64 + c * 31) as u8).wrapping_add((noise >> 60) as u8)
        });
        Ok(Desk {
            crew: Crew::start(WORKERS)?,
            #[cfg(feature = "peers")]
            peer: None,
            picture: Shared::from_array(&picture)?,
            results: HashMap::new(),
        })
    }

    /// Medians.
    fn compare<const N: usize>(&mut self, who: [&str; N], filter: &str) -> Result<[f64; N], Box<dyn Error>> {
        let mut times = [const { Vec::new() }; N];
        for _ in 0..ROUNDS {
            for (who, times) in who.iter().zip(&mut times) {
                times.push(self.milliseconds(who, filter)?);
            }
        }
        Ok(times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        }))
    }

    /// Runs a filter once.
    fn milliseconds(&mut self, who: &str, text: &str) -> Result<f64, Box<dyn Error>> {
        #[cfg(feature = "peers")]
        if who == "fast_image_resize" {
            // Its threads stay: from here on this process cannot fork.
            if self.peer.is_none() {
                self.peer = Some(peer::Resizing::new(self.picture.as_slice())?);
            }
            return self.peer.as_mut().ok_or("made above")?.milliseconds();
        }
        let filter: Filter = text.parse()?;
        let runner = match who {
            "crew" => Runner::Crew(&mut self.crew),
            _ => who.parse::<Engine>().map_err(|error| error.to_string())?.into(),
        };
        if !self.results.contains_key(text) {
            let mut result = Shared::zeros(filter.output_shape([SIDE, SIDE, 3])?)?;
            result.view_mut().fill(1);
            self.results.insert(text.to_owned(), result);
        }
        let result = self.results.get_mut(text).ok_or("made above")?;
        let job = Job::default().workers(WORKERS).runner(runner);
        let began = Instant::now();
        filter::run(job, filter, Border::default(), &self.picture, result)?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }
}

#[cfg(feature = "peers")]
mod peer {
    use super::{SIDE, WORKERS};
    use fast_image_resize::images::{Image, ImageRef};
    use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
    use std::error::Error;
    use std::time::Instant;

    /// To half the size, on so many threads.
    pub struct Resizing {
        picture: Vec<u8>,
        result: Image<'static>,
        pool: rayon::ThreadPool,
    }

    impl Resizing {
        pub fn new(picture: &[u8]) -> Result<Self, Box<dyn Error>> {
            Ok(Resizing {
                picture: picture.to_vec(),
                result: Image::new(SIDE as u32 / 2, SIDE as u32 / 2, PixelType::U8x3),
                pool: rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?,
            })
        }

        pub fn milliseconds(&mut self) -> Result<f64, Box<dyn Error>> {
            let picture = ImageRef::new(SIDE as u32, SIDE as u32, &self.picture, PixelType::U8x3)?;
            let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
            let began = Instant::now();
            self.pool.install(|| Resizer::new().resize(&picture, &mut self.result, &options))?;
            Ok(began.elapsed().as_secs_f64() * 1e3)
        }
    }
}
