//! What do picture filters take with a crew of two, in two processes, in two threads, and in other libraries' hands? Medians, interleaved.
//!
//! `cargo bench --bench filters` compares the engines. Given the argument `serve`, it runs what standard input asks for, of
//! any kind of picture, so that `benches/peers/run filters` can take turns with peers: those in Python, and fast_image_resize
//! with `--features peers`.
//! Method and findings in benches/README.md.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use ndarray::Ix3;
use parfork::{Crew, Engine, Job, Runner, Shared};
use parfork_workers::filter::{self, Border, Filter};
use parfork_workers::picture::Picture;

/// 4096 columns and rows of RGB in 8 bits.
const USUAL: &str = "4096x4096x3x8";
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
    let mut crew = Crew::start(WORKERS)?;
    if std::env::args().any(|argument| argument == "serve") {
        let mut fixture: Option<Fixture> = None;
        for line in std::io::stdin().lock().lines() {
            let line = line?;
            let [who, kind, filter] = line.split(' ').collect::<Vec<_>>()[..] else {
                return Err("give an engine or crew, a kind of picture, and a filter: crew 4096x4096x3x8 sobel".into());
            };
            // One picture at a time: those of 16 bits are large.
            if fixture.as_ref().is_none_or(|fixture| fixture.kind != kind) {
                fixture = None;
            }
            let fixture = match &mut fixture {
                Some(fixture) => fixture,
                none => none.insert(Fixture::new(kind)?),
            };
            println!("{}", fixture.milliseconds(&mut crew, who, filter)?);
            std::io::stdout().flush()?;
        }
        return Ok(());
    }
    let mut fixture = Fixture::new(USUAL)?;
    println!("{WORKERS} workers, {} CPUs; median of {ROUNDS} interleaved runs, ms\n", parfork::cpus());
    println!("{:<20} {:>9} {:>9} {:>9}  processes/threads  crew/threads", "filter", "threads", "processes", "crew");
    for filter in FILTERS {
        let [threads, processes, stay] = fixture.compare(&mut crew, ["threads", "processes", "crew"], filter)?;
        let [by_two, by_crew] = [processes / threads, stay / threads];
        println!("{filter:<20} {threads:>9.2} {processes:>9.2} {stay:>9.2}  {by_two:>17.2}  {by_crew:>12.2}");
    }
    Ok(())
}

/// A picture, and a result for each filter, made and touched before.
struct Fixture {
    /// Columns, rows, channels and bits, as in [`USUAL`].
    kind: String,
    picture: Picture,
    results: HashMap<String, Picture>,
    #[cfg(feature = "peers")]
    peer: Option<peer::Resizing>,
}

impl Fixture {
    fn new(kind: &str) -> Result<Self, Box<dyn Error>> {
        let sizes: Vec<usize> = kind.split('x').map(str::parse).collect::<Result<_, _>>()?;
        let [width, height, channels, bits] = sizes[..] else { return Err("a picture has four sizes".into()) };
        let mut noise = 1_u64;
        let mut value = |(y, x, c): (usize, usize, usize)| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((y * x / 64 + c * 31) as u16).wrapping_mul(256).wrapping_add((noise >> 52) as u16)
        };
        let places = (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..channels).map(move |c| (y, x, c))));
        let mut picture = blank([height, width, channels], bits)?;
        match &mut picture {
            Picture::U8(it) => it.as_mut_slice().iter_mut().zip(places).for_each(|(v, at)| *v = (value(at) >> 8) as u8),
            Picture::U16(it) => it.as_mut_slice().iter_mut().zip(places).for_each(|(v, at)| *v = value(at)),
        }
        Ok(Fixture {
            kind: kind.to_owned(),
            picture,
            results: HashMap::new(),
            #[cfg(feature = "peers")]
            peer: None,
        })
    }

    /// Medians.
    fn compare<const N: usize>(
        &mut self,
        crew: &mut Crew,
        who: [&str; N],
        filter: &str,
    ) -> Result<[f64; N], Box<dyn Error>> {
        let mut times = [const { Vec::new() }; N];
        for _ in 0..ROUNDS {
            for (who, times) in who.iter().zip(&mut times) {
                times.push(self.milliseconds(crew, who, filter)?);
            }
        }
        Ok(times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        }))
    }

    /// Runs a filter once.
    fn milliseconds(&mut self, crew: &mut Crew, who: &str, text: &str) -> Result<f64, Box<dyn Error>> {
        let filter: Filter = text.parse()?;
        if !self.results.contains_key(text) {
            let result = blank(filter.output_shape(self.picture.shape())?, self.picture.bits() as usize)?;
            self.results.insert(text.to_owned(), result);
        }
        let result = self.results.get_mut(text).ok_or("made above")?;
        #[cfg(feature = "peers")]
        if who == "fast_image_resize" {
            // Its threads stay: from here on this process cannot fork.
            let peer = match &mut self.peer {
                Some(peer) => peer,
                none => none.insert(peer::Resizing::new()?),
            };
            return peer.milliseconds(&self.picture, result);
        }
        let runner = match who {
            "crew" => Runner::Crew(crew),
            _ => who.parse::<Engine>().map_err(|error| error.to_string())?.into(),
        };
        let job = Job::default().workers(WORKERS).runner(runner);
        let began = Instant::now();
        match (&self.picture, result) {
            (Picture::U8(picture), Picture::U8(result)) => {
                filter::run(job, filter, Border::default(), picture, result)?
            }
            (Picture::U16(picture), Picture::U16(result)) => {
                filter::run(job, filter, Border::default(), picture, result)?
            }
            _ => return Err("filters keep the depth".into()),
        };
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }
}

/// A picture whose memory is there.
fn blank([height, width, channels]: [usize; 3], bits: usize) -> Result<Picture, Box<dyn Error>> {
    Ok(if bits == 8 {
        let mut picture = Shared::<u8, Ix3>::zeros((height, width, channels))?;
        picture.view_mut().fill(1);
        Picture::U8(picture)
    } else {
        let mut picture = Shared::<u16, Ix3>::zeros((height, width, channels))?;
        picture.view_mut().fill(1);
        Picture::U16(picture)
    })
}

#[cfg(feature = "peers")]
mod peer {
    use super::WORKERS;
    use fast_image_resize::images::{TypedImage, TypedImageRef};
    use fast_image_resize::pixels::{U8, U8x3, U8x4, U16x3};
    use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
    use parfork_workers::picture::Picture;
    use std::error::Error;
    use std::time::Instant;

    /// Resizing on so many threads.
    pub struct Resizing {
        pool: rayon::ThreadPool,
    }

    impl Resizing {
        pub fn new() -> Result<Self, Box<dyn Error>> {
            Ok(Resizing { pool: rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()? })
        }

        /// Not for all kinds of pixels: each takes most of a minute to compile.
        pub fn milliseconds(&mut self, picture: &Picture, result: &mut Picture) -> Result<f64, Box<dyn Error>> {
            let sizes = [picture.shape(), result.shape()];
            match (picture, result) {
                (Picture::U8(picture), Picture::U8(result)) => {
                    let (from, to) = (picture.as_slice(), result.as_mut_slice());
                    match sizes[0][2] {
                        1 => self.typed::<U8>(from, to, sizes),
                        3 => self.typed::<U8x3>(from, to, sizes),
                        4 => self.typed::<U8x4>(from, to, sizes),
                        _ => Err("fast_image_resize is not asked for gray with alpha".into()),
                    }
                }
                (Picture::U16(picture), Picture::U16(result)) if sizes[0][2] == 3 => {
                    let from = bytemuck::cast_slice(picture.as_slice());
                    self.typed::<U16x3>(from, bytemuck::cast_slice_mut(result.as_mut_slice()), sizes)
                }
                _ => Err("fast_image_resize is asked for RGB alone in 16 bits".into()),
            }
        }

        fn typed<P: PixelTrait>(
            &mut self,
            from: &[u8],
            to: &mut [u8],
            sizes: [[usize; 3]; 2],
        ) -> Result<f64, Box<dyn Error>> {
            let [[height, width], [rows, cols]] = sizes.map(|[height, width, _]| [height as u32, width as u32]);
            let from = TypedImageRef::<P>::from_buffer(width, height, from)?;
            let mut to = TypedImage::<P>::from_buffer(cols, rows, to)?;
            let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
            let began = Instant::now();
            self.pool.install(|| Resizer::new().resize_typed(&from, &mut to, &options))?;
            Ok(began.elapsed().as_secs_f64() * 1e3)
        }
    }
}
