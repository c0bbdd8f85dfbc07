//! What does a step cost over the loop that it is? Heat on a plate, by a crew of 2 and steps, one after the other and eight along diagonals,
//! beside a job for each step whose arrays change roles, beside rayon, and beside copying as many bytes; interleaved, medians.
//!
//! `cargo bench --bench steps`; beside numba, OpenMP and MPI: `benches/peers/run steps`. Findings in benches/README.md.

use std::io::{BufRead, BufReader, Write};
use std::mem::swap;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use parfork::{Border, Crew, Job, Planes, Schedule, Shared, Split};
use rayon::prelude::*;

/// Times that each takes its turn.
const ROUNDS: usize = 9;

/// Rows of a slice, where eight steps go along diagonals.
const ROWS: usize = 8;

/// One step of the cells that are in `new`.
fn heat(old: ArrayView2<'_, f64>, mut new: ArrayViewMut2<'_, f64>) {
    for (i, mut row) in new.axis_iter_mut(Axis(0)).enumerate() {
        let [above, own, below] = [i, i + 1, i + 2].map(|row| old.row(row).to_slice().expect("rows without gaps"));
        let cells = row.as_slice_mut().expect("rows without gaps");
        let near = own.windows(3).zip(&above[1..]).zip(&below[1..]);
        for (cell, ((own, above), below)) in cells.iter_mut().zip(near) {
            *cell = 0.25 * (above + below + own[0] + own[2]);
        }
    }
}

fn main() -> parfork::Result<()> {
    println!("{} CPUs; us a step, median (least) of {ROUNDS} interleaved turns, 2 workers\n", parfork::cpus());
    let others = std::env::var("PARFORK_BENCH_PEERS").unwrap_or_default();
    let others: Vec<(&str, &str)> = others.lines().filter_map(|line| line.split_once('\t')).collect();
    let names: String = others.iter().map(|(name, _)| format!(" {name} |")).collect();
    println!("| plate | steps | depth 8 | job a step | rayon | the loop, half of the rows | copying |{names}");
    println!("|---|---:|---:|---:|---:|---:|---:|{}", "---:|".repeat(others.len()));
    let mut crew = Crew::start(2)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    for (n, steps) in [(128, 2000), (512, 400), (1024, 100), (4096, 16)] {
        let start = Array2::from_shape_fn((n, n), |(i, j)| (i * j % 17) as f64);
        let mut planes = Planes::from_array(&start, 1, Border::Keep)?;
        let mut shared = [Shared::from_array(&start)?, Shared::from_array(&start)?];
        let mut owned = [start.clone(), start.clone()];
        let mut times = vec![Vec::new(); 6 + others.len()];
        let mut peers: Vec<Peer> = others.iter().map(|(_, shell)| Peer::start(shell, n, steps)).collect();
        for _ in 0..ROUNDS {
            let bands = Split::rows().into_pieces(2);
            for (at, (depth, split)) in [(1, bands), (8, Split::rows().of(ROWS))].into_iter().enumerate() {
                times[at].push(time(steps, || {
                    let job = Job::new(&mut planes).crew(&mut crew).split(split).steps(steps).depth(depth);
                    job.run_with((), |_, (), (old, new)| heat(old, new.into_view())).map(drop)
                })?);
            }
            times[2].push(time(steps, || {
                for _ in 0..steps {
                    let [old, new] = &mut shared;
                    let job = Job::new((&*old, &mut *new)).crew(&mut crew).split(bands).schedule(Schedule::Static);
                    job.run_with((), |_, (), (old, new)| {
                        let (rows, last, last_col) = (new.rows(), old.nrows() - 1, old.ncols() - 1);
                        let (first, end) = (rows.start.max(1), rows.end.min(last));
                        let mut inner = new.into_view();
                        heat(
                            old.slice(s![first - 1..end + 1, ..]),
                            inner.slice_mut(s![first - rows.start..end - rows.start, 1..last_col]),
                        );
                    })?;
                    swap(old, new);
                }
                Ok(())
            })?);
            times[3].push(time(steps, || {
                for _ in 0..steps {
                    let [old, new] = &mut owned;
                    let half = n / 2;
                    let (up, down) = new.view_mut().split_at(Axis(0), half);
                    let parts = [
                        (old.slice(s![..half + 1, ..]), up.slice_move(s![1.., 1..n - 1])),
                        (old.slice(s![half - 1.., ..]), down.slice_move(s![..half - 1, 1..n - 1])),
                    ];
                    pool.install(|| parts.into_par_iter().for_each(|(old, new)| heat(old, new)));
                    swap(old, new);
                }
                Ok(())
            })?);
            times[4].push(time(steps, || {
                for _ in 0..steps {
                    let [old, new] = &mut owned;
                    heat(old.slice(s![..n / 2 + 1, ..]), new.slice_mut(s![1..n / 2, 1..n - 1]));
                    swap(old, new);
                }
                Ok(())
            })?);
            times[5].push(time(steps, || {
                for _ in 0..steps {
                    let [old, new] = &mut owned;
                    let cells = (n * n).div_ceil(2);
                    let (old, new) = (old.as_slice().expect("whole"), new.as_slice_mut().expect("whole"));
                    pool.install(|| {
                        new.par_chunks_mut(cells)
                            .zip(old.par_chunks(cells))
                            .for_each(|(new, old)| new.copy_from_slice(old))
                    });
                }
                Ok(())
            })?);
            for (times, peer) in times[6..].iter_mut().zip(&mut peers) {
                times.push(peer.step());
            }
        }
        assert!(planes.view()?.iter().all(|cell| cell.is_finite()));
        let cells: Vec<String> = times.iter_mut().map(|times| cell(times)).collect();
        let cells = cells.join(" | ");
        println!("| {n} x {n} | {cells} |");
    }
    Ok(())
}

/// Another program that does the same: some steps for each line that it reads, whose microseconds it writes.
struct Peer {
    process: Child,
    from: BufReader<ChildStdout>,
}

impl Peer {
    fn start(shell: &str, n: usize, steps: u32) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec {shell} {n} {steps}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a shell");
        let from = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut peer = Self { process, from };
        peer.step();
        peer
    }

    fn step(&mut self) -> f64 {
        let mut line = String::new();
        self.process.stdin.as_mut().expect("it is piped").write_all(b"\n").expect("it reads");
        self.from.read_line(&mut line).expect("it writes");
        line.trim().parse().expect("microseconds")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // At the end of its input it leaves.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Microseconds a step.
fn time(steps: u32, run: impl FnOnce() -> parfork::Result<()>) -> parfork::Result<f64> {
    let began = Instant::now();
    run()?;
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(steps))
}

fn cell(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    format!("{:.1} ({:.1})", times[times.len() / 2], times[0])
}
