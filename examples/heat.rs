//! Heat on a plate: 300 steps, each of which reads what the one before wrote, by workers of which one dies. `cargo run --example heat`

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Zip, s};
use parfork::{Border, Crew, Engine, Job, Planes, Runner, Split};

/// Each cell becomes the mean of its four neighbours; how far the one moved that moved most.
fn step(old: ArrayView2<'_, f64>, new: ArrayViewMut2<'_, f64>) -> f64 {
    Zip::from(new).and(old.windows((3, 3))).fold(0.0, |most, cell, near| {
        *cell = 0.25 * (near[[0, 1]] + near[[1, 0]] + near[[1, 2]] + near[[2, 1]]);
        (*cell - near[[1, 1]]).abs().max(most)
    })
}

fn folder(number: u32) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("parfork-heat-{number}"))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = Array2::from_shape_fn((64, 48), |(i, j)| if i == 0 { 100.0 } else { (i * j) as f64 / 64.0 });
    let mut right = start.clone();
    assert!((0..300).map(|_| step(right.clone().view(), right.slice_mut(s![1..-1, 1..-1]))).sum::<f64>() > 0.0);
    let mut crew = Crew::start(5)?;
    for workers in [1, 2, 5] {
        for runner in [Runner::Serial, Engine::Threads.into(), Runner::Processes, Runner::Crew(&mut crew)] {
            let (number, dies) = (std::process::id(), matches!(runner, Runner::Processes | Runner::Crew(_)));
            dies.then(|| std::fs::create_dir(folder(number))).transpose()?;
            let mut plate = Planes::from_array(&start, 1, Border::Keep)?;
            let job = Job::new(&mut plate).runner(runner).workers(workers).split(Split::rows().of(8)).steps(300);
            let moved = job.retries(1).body_overwrites().run_with(number, |w, number, (old, new)| {
                // Who can remove it is the first to come so far.
                let dies = w.step() == 150 && std::fs::remove_dir(folder(number)).is_ok();
                let _ = dies.then(|| std::process::abort());
                step(old, new.into_view())
            })?;
            assert!(plate.view()? == right && (moved.report().deaths.len() == 1) == dies);
        }
    }
    Ok(())
}
