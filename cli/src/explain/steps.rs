//! `parfork explain steps`: a rod of 8 cells, two workers, and who waits for whom.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ndarray::{Array1, ArrayView1, ArrayViewMut1, Ix2, s};
use parfork::{Border, Job, Planes, Shared, Split};

use super::words::wrapped;
use crate::failure::Failure;

const CELLS: usize = 8;
const WORKERS: usize = 2;
const HALF: usize = CELLS / WORKERS;
const STEPS: usize = 4;

/// The worker that is late, the step it is late in, and how late it is.
const LATE: (usize, usize, Duration) = (0, 1, Duration::from_millis(20));

/// A step of a slice: each cell is half of itself and a quarter of both neighbours.
fn step(old: ArrayView1<'_, f64>, mut new: ArrayViewMut1<'_, f64>) {
    for (cell, near) in new.iter_mut().zip(old.windows(3)) {
        *cell = 0.25 * near[0] + 0.5 * near[1] + 0.25 * near[2];
    }
}

/// Warm in the middle, where the slices meet.
fn start() -> Array1<f64> {
    let mut rod = Array1::zeros(CELLS);
    rod[HALF - 1] = 256.0;
    rod
}

/// What happened: the rod, and for each worker when each step began and ended, in nanoseconds.
struct Run {
    rod: Vec<f64>,
    times: Vec<[[u64; 2]; STEPS]>,
}

/// The job, by two worker processes.
fn play() -> parfork::Result<Run> {
    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
    }
    let mut rod = Planes::from_array(&start(), 1, Border::Constant(0.0))?;
    let mut times = Shared::<u64, Ix2>::zeros((CELLS, 2 * STEPS))?;
    let job = Job::new((&mut rod, &mut times)).name("explain steps").workers(WORKERS).steps(STEPS as u32);
    let job = job.split(Split::rows().into_pieces(WORKERS));
    job.run(|w, ((old, new), mut times)| {
        let at = w.step() as usize;
        times[[0, 2 * at]] = now();
        if (w.rank(), at) == (LATE.0, LATE.1) {
            std::thread::sleep(LATE.2);
        }
        step(old, new.into_view());
        times[[0, 2 * at + 1]] = now();
    })?;
    let of_worker = |rank: usize| {
        let time = |at: usize| times.view()[[rank * HALF, at]];
        std::array::from_fn(|step| [time(2 * step), time(2 * step + 1)])
    };
    Ok(Run { rod: rod.view()?.to_vec(), times: (0..WORKERS).map(of_worker).collect() })
}

/// The rod after each number of steps, by a plain loop.
fn by_a_loop() -> Vec<Vec<f64>> {
    let mut rods = vec![start().to_vec()];
    for _ in 0..STEPS {
        rods.push(after(rods.last().expect("there is the first"), 0..CELLS));
    }
    rods
}

/// Some cells of a rod a step on.
fn after(rod: &[f64], cells: std::ops::Range<usize>) -> Vec<f64> {
    let padded = Array1::from_iter([0.0].into_iter().chain(rod.iter().copied()).chain([0.0]));
    let mut new = Array1::zeros(cells.len());
    step(padded.slice(s![cells.start..cells.end + 2]), new.view_mut());
    new.to_vec()
}

/// The same two arrays that change roles, if worker 1 waits for nobody and has done all steps before worker 0 begins the first.
fn without_waiting() -> Vec<f64> {
    let mut planes = [start().to_vec(), start().to_vec()];
    for rank in (0..WORKERS).rev() {
        for step in 0..STEPS {
            let cells = rank * HALF..(rank + 1) * HALF;
            let new = after(&planes[step % 2], cells.clone());
            planes[1 - step % 2][cells].copy_from_slice(&new);
        }
    }
    planes[STEPS % 2].clone()
}

/// Runs it and tells of it, step by step.
pub fn tell() -> Result<Vec<String>, Failure> {
    let (run, right, wrong) = (play()?, by_a_loop(), without_waiting());
    if run.rod != right[STEPS] {
        return Err(Failure::job("the workers left another rod than a plain loop. Run it again, and report it."));
    }
    let mut pages = vec![wrapped(
        "Four steps on a rod of 8 cells, as they really happened: in each step a cell becomes half of itself and a quarter of each of its \
         neighbours, and beyond both ends it is 0. Worker 0 has cells 0 to 3, worker 1 has cells 4 to 7.",
        "",
        "",
    )];
    let mut page = title(&pages, "Two arrays that change roles, and a margin");
    page += &say(
        "The rod is there twice: a step reads one array and writes the other, the next step the other way round. Worker 0 also reads cell 4, \
         which worker 1 writes, and worker 1 also reads cell 3: the margin, one cell on each side.",
    );
    page += "\n       cell        0     1     2     3  |  4     5     6     7\n       worker 0   own   own   own   own | read\n       worker 1                    read | own   own   own   own\n\n";
    pages.push(page);

    let mut page = title(&pages, "Who waits for whom");
    let (late, at, by) = LATE;
    page += &say(&format!(
        "A worker begins a step when the other has done the one before; that is all the waiting there is, and no barrier. In this run \
         worker {late} was made to sleep for {} ms in step {}. Milliseconds since the first began:",
        by.as_millis(),
        at + 1
    ));
    page += &table(&run);
    let [waited, longest] = most_waited(&run);
    page += &say(&format!(
        "Worker {} waited longest before step {}: its own step {longest} was done, and that of worker {} was not, whose cell it reads, and who still \
         read one that it would have written over. A worker that has only slices far away would have gone on.",
        waited,
        longest + 1,
        1 - waited
    ));
    pages.push(page);

    let mut page = title(&pages, "What came out");
    page += &say("After each step, by a plain loop; the last line is, to the last bit, what the two workers left.");
    page.push('\n');
    for (steps, rod) in right.iter().enumerate() {
        page += &line(&format!("step {steps}"), rod, &[]);
    }
    pages.push(page);

    let mut page = title(&pages, "What would have come out if nobody waited");
    let differing: Vec<usize> = (0..CELLS).filter(|&cell| wrong[cell] != right[STEPS][cell]).collect();
    page += &say(&format!(
        "The same arrays and the same rule, but worker 1 does all four steps before worker 0 begins. It reads cell 3 as it was at the \
         start, again and again; then worker 0 reads what became of cell 4 much later. {} of 8 cells are wrong (*):",
        differing.len()
    ));
    page.push('\n');
    page += &line("right", &right[STEPS], &[]);
    page += &line("so", &wrong, &differing);
    let [right, wrong] = [&right[STEPS], &wrong].map(|rod| rod.iter().sum::<f64>());
    page += &say(&format!(
        "The rod would hold {wrong:.0} of warmth instead of {right:.0}. Who goes on too early is not stopped by anything, and it comes out otherwise at \
         each run: so the library owns the waiting, and a body cannot forget it."
    ));
    pages.push(page);
    Ok(pages)
}

fn title(pages: &[String], title: &str) -> String {
    format!("\n{}. {title}\n", pages.len())
}

fn say(text: &str) -> String {
    wrapped(text, "   ", "   ")
}

/// Cells of a rod, with a star at some.
fn line(name: &str, rod: &[f64], marked: &[usize]) -> String {
    let cell = |(at, value): (usize, &f64)| {
        format!("{:>7}{}", (value * 10.0).round() / 10.0, if marked.contains(&at) { '*' } else { ' ' })
    };
    format!("   {name:<7}{}\n", rod.iter().enumerate().map(cell).collect::<String>()).replace(" \n", "\n")
}

/// Milliseconds between two times.
fn ms(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}

/// How long each worker waited before a step, since it had done the one before.
fn waited(run: &Run, rank: usize, step: usize) -> f64 {
    step.checked_sub(1).map_or(0.0, |before| ms(run.times[rank][before][1], run.times[rank][step][0]))
}

/// The worker that waited longest, and how many steps it had done then.
fn most_waited(run: &Run) -> [usize; 2] {
    let all = (0..WORKERS).flat_map(|rank| (1..STEPS).map(move |step| [rank, step]));
    all.max_by(|one, other| waited(run, one[0], one[1]).total_cmp(&waited(run, other[0], other[1]))).expect("some")
}

fn table(run: &Run) -> String {
    let first = run.times.iter().map(|steps| steps[0][0]).min().unwrap_or(0);
    let mut table = "\n   step   worker 0 begins     ends   waited   worker 1 begins     ends   waited\n".to_owned();
    for step in 0..STEPS {
        let _ = write!(table, "   {:>4}", step + 1);
        for rank in 0..WORKERS {
            let [began, ended] = run.times[rank][step];
            let _ =
                write!(table, "{:>18.2}{:>9.2}{:>9.2}", ms(first, began), ms(first, ended), waited(run, rank, step));
        }
        table.push('\n');
    }
    table + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_keeps_the_warmth_that_has_not_left_and_who_does_not_wait_does_not() {
        // numpy.convolve([0, 0, 0, 256, 0, 0, 0, 0], [0.25, 0.5, 0.25], 'same'), four times
        let right = by_a_loop();
        assert_eq!(right[STEPS], [8.0, 28.0, 56.0, 70.0, 56.0, 28.0, 8.0, 1.0]);
        assert_ne!(without_waiting(), right[STEPS]);
    }
}
