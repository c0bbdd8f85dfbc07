//! One body on three engines: the calling thread, threads, processes. The same bits from each; which is fastest, see.
//!
//! `cargo run --release --example engines`

use ndarray::Ix2;
use parfork::{Engine, Job, Shared, Slice, Split, Worker};

/// How many steps each point stays near: the Mandelbrot set, with much work in some tiles and little in others.
fn render(_: &Worker<'_>, mut tile: Slice<'_, u32, Ix2>) {
    let (top, left) = (tile.rows().start, tile.cols().start);
    for ((i, j), steps) in tile.indexed_iter_mut() {
        let (re, im) = ((left + j) as f64 / 300.0 - 2.2, (top + i) as f64 / 300.0 - 1.2);
        let (mut x, mut y) = (0.0, 0.0);
        *steps =
            (0..500).find(|_| ((x, y) = (x * x - y * y + re, 2.0 * x * y + im), x * x + y * y > 4.0).1).unwrap_or(500);
    }
}

fn main() -> parfork::Result<()> {
    let mut first = None;
    for (engine, workers) in [(Engine::Serial, 1), (Engine::Threads, 2), (Engine::Processes, 2), (Engine::Processes, 7)]
    {
        let mut plane = Shared::<u32, _>::zeros((720, 960))?;
        let job = Job::new(&mut plane).workers(workers).split(Split::tiles(48, 64)).runner(engine);
        let done = job.run(render)?;
        let report = done.report();
        let tiles: Vec<_> = report.workers.iter().map(|worker| worker.slices.len()).collect();
        println!("{engine:<9} {:>8.2?}, tiles by worker {tiles:?}", report.wall);
        assert_eq!(first.get_or_insert_with(|| plane.view().to_owned()), &plane.view());
    }
    let inside = first.unwrap().iter().filter(|&&steps| steps == 500).count();
    println!("{inside} of {} points never leave", 720 * 960);
    assert!((50_000..200_000).contains(&inside));
    Ok(())
}
