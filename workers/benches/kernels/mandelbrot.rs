//! The Mandelbrot set: counts beside the plain loop on rayon's threads, and how well uneven rows are shared.

use std::error::Error;

use ndarray::Ix2;
use parfork::{Schedule, Shared, Slice, Split};
use parfork_workers::mandelbrot::{self, View};
use rayon::prelude::*;

use super::contest::{at_levels, contest, timed};
use super::{Hands, Run, WORKERS};

/// The part of the plane, both from -2 to 0.5 on the real axis: symmetric around it, or from -1.25 i to 0.25 i, where nearly all
/// work is in one half of the rows.
#[derive(Clone, Copy)]
struct Window {
    middle: f64,
    height: usize,
}

const WIDTH: usize = 4096;
const LEFT: f64 = -2.0;
const RIGHT: f64 = 0.5;
const ITERATIONS: u32 = 256;

impl Window {
    fn named(name: &str) -> Self {
        match name {
            "symmetric" => Self { middle: 0.0, height: 4096 },
            _ => Self { middle: -0.5, height: 2458 },
        }
    }

    fn view(self) -> Result<View, Box<dyn Error>> {
        let zoom = 3.5 / (RIGHT - LEFT);
        Ok(View::new(((LEFT + RIGHT) / 2.0, self.middle), zoom, (WIDTH, self.height), ITERATIONS)?)
    }

    /// What one writes without thinking of vectors, each row a task of rayon's.
    fn plain(self, counts: &mut [u32]) {
        let pixel = (RIGHT - LEFT) / WIDTH as f64;
        counts.par_chunks_mut(WIDTH).enumerate().for_each(|(row, counts)| {
            let im = self.middle - (row as f64 + 0.5 - self.height as f64 / 2.0) * pixel;
            for (col, count) in counts.iter_mut().enumerate() {
                let re = LEFT + (col as f64 + 0.5) * pixel;
                let (mut x, mut y, mut steps) = (0.0, 0.0, 0);
                while steps < ITERATIONS {
                    let (xx, yy) = (x * x, y * y);
                    if xx + yy > 4.0 {
                        break;
                    }
                    y = 2.0 * x * y + im;
                    x = xx - yy + re;
                    steps += 1;
                }
                *count = steps;
            }
        });
    }
}

pub fn section(_: &[&str]) -> Result<(), Box<dyn Error>> {
    for window in ["symmetric", "skewed"] {
        let ours = at_levels("processes");
        let others = ["processes", "threads", "serial", "processes-static", "rayon-plain-loop"];
        let counts: Vec<&str> = ours.iter().map(String::as_str).chain(others).collect();
        let picture = ["processes", "threads", "serial", "crew"];
        for (what, who, rounds) in [("counts", &counts[..], 7), ("picture", &picture[..], 15)] {
            let outcome = contest("mandelbrot", &[what, window], who, rounds)?;
            let size = format!("{WIDTH}x{}", Window::named(window).height);
            outcome.print(&format!("mandelbrot, {what}, {window}, {size}"), "processes", |_| String::new());
            outcome.judge(&ours, |name| name == "rayon-plain-loop", 0.1);
            for who in ["processes", "threads", "processes-static", "crew"] {
                if let Some(share) = outcome.ratio("serial", who) {
                    let ideal = WORKERS as f64;
                    println!("    {who}: {:.3} / {:.3} of the ideal speed", share.least / ideal, share.median / ideal);
                }
            }
        }
    }
    Ok(())
}

pub fn contestant(case: &[&str], who: &str) -> Result<Run, Box<dyn Error>> {
    let window = Window::named(case[1]);
    let (view, height) = (window.view()?, window.height);
    if who == "rayon-plain-loop" {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?;
        let mut counts = vec![0; height * WIDTH];
        return Ok(Box::new(move || Ok(timed(|| pool.install(|| window.plain(&mut counts))).1)));
    }
    let (who, schedule) = match who.strip_suffix("-static") {
        Some(who) => (who, Schedule::Static),
        None => (who, Schedule::default()),
    };
    let mut hands = Hands::named(who)?.ok_or("no such contestant")?;
    if case[0] == "picture" {
        let mut picture = Shared::zeros((height, WIDTH, 3))?;
        return Ok(Box::new(move || {
            let (done, time) = timed(|| mandelbrot::run(hands.job().schedule(schedule), &view, &mut picture));
            done?;
            Ok(time)
        }));
    }
    let mut counts = Shared::<u32, Ix2>::zeros((height, WIDTH))?;
    Ok(Box::new(move || {
        let job = hands.job().schedule(schedule).lend(&mut counts).split(Split::rows().of(8));
        let body =
            |slice: Slice<u32, Ix2>| mandelbrot::iterations(&view, slice.rows(), slice.cols(), slice.into_view());
        let (done, time) = timed(|| job.run(|_, slice| body(slice)));
        done?;
        Ok(time)
    }))
}
