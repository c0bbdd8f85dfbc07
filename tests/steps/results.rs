//! What steps compute.

use ndarray::{Array1, Array2, ArrayD, ArrayViewD, Dimension, IxDyn, Zip};
use parfork::{Border, Crew, Engine, Job, JobSpec, Planes, Runner, Schedule, Shared, Split};

use super::support::nothing_left;

pub(super) type Edges = Vec<(usize, Border<u64>, Border<u64>)>;

/// What a cell becomes of those around it: each has another weight, so that none can be taken for another.
pub(super) fn next(near: &ArrayViewD<'_, u64>, step: u32) -> u64 {
    let sum = near
        .iter()
        .enumerate()
        .fold(u64::from(step), |sum, (at, cell)| sum.wrapping_add(cell.wrapping_mul(2 * at as u64 + 3)).rotate_left(7));
    sum ^ sum >> 29
}

/// The same steps by a loop over cells and their neighbours, each looked up by itself.
pub(super) fn naive(start: &ArrayD<u64>, edges: &Edges, steps: u32) -> ArrayD<u64> {
    let shape = start.shape().to_vec();
    let window: Vec<usize> = edges.iter().map(|edge| 2 * edge.0 + 1).collect();
    let mut now = start.clone();
    for step in 0..steps {
        let mut then = now.clone();
        for (index, cell) in then.indexed_iter_mut() {
            let index = index.slice();
            let kept = index.iter().zip(edges).zip(&shape).any(|((&at, (margin, low, high)), &length)| {
                *low == Border::Keep && at < *margin || *high == Border::Keep && at + margin >= length
            });
            if kept {
                continue;
            }
            let near = ArrayD::from_shape_fn(window.clone(), |offset| {
                let at =
                    (0..shape.len()).map(|axis| index[axis] as isize + offset[axis] as isize - edges[axis].0 as isize);
                value(&now, &at.collect::<Vec<_>>(), edges)
            });
            *cell = next(&near.view(), step);
        }
        now = then;
    }
    now
}

/// The value at an index that may be beyond the edges.
fn value(now: &ArrayD<u64>, at: &[isize], edges: &Edges) -> u64 {
    let mut inside = Vec::new();
    for ((&at, &length), (_, low, high)) in at.iter().zip(now.shape()).zip(edges) {
        let length = length as isize;
        let border = if at < 0 { low } else { high };
        let beyond = at < 0 || at >= length;
        inside.push(match border {
            _ if !beyond => at,
            Border::Constant(_) | Border::Keep => -1,
            Border::Wrap => (at + length) % length,
            Border::Replicate => at.clamp(0, length - 1),
            Border::Reflect101 if at < 0 => -at,
            Border::Reflect101 => 2 * (length - 1) - at,
        });
    }
    // Where several edges meet, the constant of the last axis counts.
    let constant = (0..at.len()).rev().find(|&axis| inside[axis] < 0);
    match constant {
        Some(axis) => match if at[axis] < 0 { edges[axis].1 } else { edges[axis].2 } {
            Border::Constant(value) => value,
            _ => panic!("a cell that is kept has no neighbours"),
        },
        None => now[&inside.iter().map(|&at| at as usize).collect::<Vec<_>>()[..]],
    }
}

pub(super) fn start(shape: &[usize]) -> ArrayD<u64> {
    let mut number = 0x9e37_79b9_u64;
    ArrayD::from_shape_simple_fn(shape, || {
        number = number.wrapping_mul(0xd129_0d32_5c9b_1e2d).wrapping_add(1);
        number >> 20
    })
}

/// The body of all of these.
pub(super) fn step(step: u32, old: &ArrayViewD<'_, u64>, new: &mut ndarray::ArrayViewMutD<'_, u64>) {
    let window: Vec<usize> = (0..old.ndim()).map(|axis| 1 + old.shape()[axis] - new.shape()[axis]).collect();
    Zip::from(new).and(old.windows(window)).for_each(|cell, near| *cell = next(&near, step));
}

pub(super) fn run(job: Job<'_>, planes: &mut Planes<u64, IxDyn>) -> parfork::Result<()> {
    job.lend(planes).run_with((), |w, (), (old, mut new)| step(w.step(), &old, &mut new)).map(drop)
}

fn edges(axes: &[(usize, Border<u64>, Border<u64>)]) -> Edges {
    axes.to_vec()
}

const WRAP: Border<u64> = Border::Wrap;
const KEEP: Border<u64> = Border::Keep;
const MIRROR: Border<u64> = Border::Reflect101;
const EDGE: Border<u64> = Border::Replicate;
const ZERO: Border<u64> = Border::Constant(5);

pub(super) fn are_those_of_a_naive_loop() {
    nothing_left(|| {
        let cases: Vec<(Vec<usize>, Edges, Vec<Split>)> = vec![
            (vec![23], edges(&[(1, WRAP, WRAP)]), vec![Split::rows(), Split::rows().of(5), Split::rows().of(100)]),
            (vec![9], edges(&[(4, WRAP, WRAP)]), vec![Split::rows(), Split::rows().of(2)]),
            (vec![9], edges(&[(8, MIRROR, EDGE)]), vec![Split::rows(), Split::rows().of(4)]),
            (
                vec![12, 7],
                edges(&[(1, WRAP, WRAP), (1, WRAP, WRAP)]),
                vec![Split::rows(), Split::cols(), Split::tiles(5, 3)],
            ),
            (
                vec![12, 9],
                edges(&[(2, KEEP, KEEP), (1, KEEP, ZERO)]),
                vec![Split::rows(), Split::cols(), Split::tiles(3, 4)],
            ),
            (
                vec![11, 8],
                edges(&[(2, MIRROR, EDGE), (3, ZERO, MIRROR)]),
                vec![Split::rows().of(2), Split::tiles(4, 4)],
            ),
            (
                vec![10, 8],
                edges(&[(1, KEEP, WRAP_OR_EDGE), (2, WRAP, WRAP)]),
                vec![Split::rows().of(3), Split::tiles(2, 5)],
            ),
            (vec![10, 8], edges(&[(0, ZERO, ZERO), (2, WRAP, WRAP)]), vec![Split::rows().of(3), Split::cols().of(1)]),
            (
                vec![5, 6, 7],
                edges(&[(1, WRAP, WRAP), (1, MIRROR, KEEP), (1, EDGE, ZERO)]),
                vec![Split::rows(), Split::axis(2).of(2), Split::tiles(2, 2)],
            ),
            (vec![1, 6], edges(&[(1, EDGE, EDGE), (1, ZERO, ZERO)]), vec![Split::rows(), Split::cols().of(2)]),
            (vec![0, 6], edges(&[(1, ZERO, ZERO), (1, ZERO, ZERO)]), vec![Split::rows()]),
        ];
        for (shape, edges, splits) in cases {
            let start = start(&shape);
            let how = |split| [(1, 1), (6, 1), (6, 4), (6, 100)].map(|(steps, depth)| (split, steps, depth));
            for (split, steps, depth) in splits.into_iter().flat_map(how) {
                let right = naive(&start, &edges, steps);
                for workers in [1, 2, 5] {
                    let mut planes = Planes::with_edges(&start, &edges).unwrap();
                    let spec = JobSpec {
                        workers: Some(workers),
                        steps: Some(steps),
                        depth: Some(depth),
                        split: Some(split),
                        ..JobSpec::default()
                    };
                    run(Job::from(spec), &mut planes).unwrap();
                    assert_eq!(
                        planes.view().unwrap(),
                        right,
                        "{shape:?} {edges:?} {split} {steps} steps, depth {depth}, {workers} workers"
                    );
                }
            }
        }
    });
}

const WRAP_OR_EDGE: Border<u64> = Border::Replicate;

pub(super) fn every_engine_has_the_same_bits() {
    let edges = edges(&[(1, WRAP, WRAP), (2, MIRROR, KEEP)]);
    let start = start(&[40, 9]);
    let right = naive(&start, &edges, 20);
    let mut crew = Crew::start(3).unwrap();
    for (which, depth) in [(0, 1), (0, 3), (1, 1), (1, 3), (2, 1), (2, 3), (3, 1), (3, 3), (3, 20)] {
        for workers in [1, 2, 3] {
            let runner = match which {
                0 => Runner::Serial,
                1 => Engine::Threads.into(),
                2 => Runner::Processes,
                _ => Runner::Crew(&mut crew),
            };
            let mut planes = Planes::with_edges(&start, &edges).unwrap();
            let job = Job::default().workers(workers).split(Split::rows().of(7)).schedule(Schedule::Static);
            run(job.runner(runner).steps(20).depth(depth), &mut planes).unwrap();
            assert_eq!(planes.view().unwrap(), right, "engine {which}, depth {depth}, {workers} workers");
        }
    }
}

pub(super) fn a_crew_goes_on_from_job_to_job() {
    let edges = edges(&[(1, WRAP, WRAP), (1, WRAP, WRAP)]);
    let start = start(&[33, 12]);
    let mut crew = Crew::start(2).unwrap();
    let mut planes = Planes::with_edges(&start, &edges).unwrap();
    let mut now = start;
    // An odd number, so that the planes change roles between jobs; and another job in between.
    for steps in [3, 1, 4, 3, 1] {
        run(Job::default().crew(&mut crew).steps(steps), &mut planes).unwrap();
        now = naive(&now, &edges, steps);
        assert_eq!(planes.view().unwrap(), now);
        let mut other = Shared::<u8, _>::zeros(100).unwrap();
        crew.run(&mut other, (), |_, (), mut slice| slice.fill(1)).unwrap();
        assert!(other.view().iter().all(|&cell| cell == 1));
    }
    planes.assign(&now.mapv(|cell| cell / 2)).unwrap();
    run(Job::default().crew(&mut crew).steps(2), &mut planes).unwrap();
    assert_eq!(planes.view().unwrap(), naive(&now.mapv(|cell| cell / 2), &edges, 2));
}

pub(super) fn a_coordinator_that_works_takes_part() {
    let edges = edges(&[(1, WRAP, WRAP)]);
    let start = start(&[64]);
    let mut crew = Crew::start(1).unwrap();
    crew.coordinator_works(true);
    let mut planes = Planes::with_edges(&start, &edges).unwrap();
    run(Job::default().crew(&mut crew).split(Split::rows().of(8)).steps(200), &mut planes).unwrap();
    run(Job::default().crew(&mut crew).split(Split::rows().of(2)).steps(100).depth(7), &mut planes).unwrap();
    assert_eq!(planes.view().unwrap(), naive(&naive(&start, &edges, 200), &edges, 100));
}

pub(super) fn answers_are_those_of_the_last_step() {
    let start = Array1::<f64>::zeros(40);
    let mut planes = Planes::from_array(&start, 1, Border::Wrap).unwrap();
    let job = Job::new(&mut planes).workers(2).split(Split::rows().of(10)).steps(7);
    let answers = job.run(|w, (_, new)| [w.step() as usize, new.rows().start]).unwrap();
    assert_eq!(&answers[..], [[6, 0], [6, 10], [6, 20], [6, 30]]);
    assert_eq!(answers.report().grid.slices(), 4);
}

/// Waves: two planes that need each other, and a speed for each cell.
pub(super) fn two_planes_and_an_input_go_together() {
    let (n, steps) = (30, 25);
    let speed = Array1::from_shape_fn(n, |i| 0.1 + 0.01 * i as f64);
    let high = Array1::from_shape_fn(n, |i| if i == 7 { 1.0 } else { 0.0 });
    let shared = Shared::from_array(&speed).unwrap();
    let (mut height, mut rate) = (
        Planes::from_array(&high, 1, Border::Replicate).unwrap(),
        Planes::from_array(&Array1::<f64>::zeros(n), 2, Border::Constant(0.0)).unwrap(),
    );
    let job = Job::new((&shared, &mut height, &mut rate)).workers(3).split(Split::rows().of(4)).steps(steps);
    job.run(|w, (speed, (u, mut new_u), (v, mut new_v))| {
        let speed = w.slice_of(speed);
        for i in 0..new_u.len() {
            let bend = u[i] - 2.0 * u[i + 1] + u[i + 2];
            new_v[i] = v[i + 2] + speed[i] * bend - 0.01 * (v[i] + v[i + 4]);
            new_u[i] = u[i + 1] + v[i + 2];
        }
    })
    .unwrap();
    let (mut u, mut v) = (high.to_vec(), vec![0.0; n]);
    for _ in 0..steps {
        let at = |i: isize| u[i.clamp(0, n as isize - 1) as usize];
        let of = |i: isize| if (0..n as isize).contains(&i) { v[i as usize] } else { 0.0 };
        let new: Vec<(f64, f64)> = (0..n as isize)
            .map(|i| {
                let bend = at(i - 1) - 2.0 * at(i) + at(i + 1);
                (at(i) + of(i), of(i) + speed[i as usize] * bend - 0.01 * (of(i - 2) + of(i + 2)))
            })
            .collect();
        (u, v) = new.into_iter().unzip();
    }
    assert_eq!(height.view().unwrap().to_vec(), u);
    assert_eq!(rate.view().unwrap().to_vec(), v);
}

pub(super) fn many_workers_on_few_cpus_come_to_the_end() {
    let edges = edges(&[(1, WRAP, WRAP)]);
    let start = start(&[32]);
    let mut planes = Planes::with_edges(&start, &edges).unwrap();
    run(Job::default().workers(32).steps(200), &mut planes).unwrap();
    run(Job::default().workers(13).steps(60).depth(5), &mut planes).unwrap();
    assert_eq!(planes.view().unwrap(), naive(&naive(&start, &edges, 200), &edges, 60));
}

pub(super) fn progress_counts_steps() {
    let cells = start(&[40]);
    for engine in [Engine::Serial, Engine::Threads, Engine::Processes] {
        let mut planes = Planes::with_edges(&cells, &edges(&[(1, WRAP, WRAP)])).unwrap();
        let mut told = Vec::new();
        let job = Job::default().workers(2).split(Split::rows().of(10)).steps(50).runner(engine);
        run(job.progress(|done, of| told.push((done, of))), &mut planes).unwrap();
        assert!(told.is_sorted() && told.iter().all(|&(done, of)| done <= of && of == 200), "{engine}: {told:?}");
        assert_eq!(told.last(), Some(&(200, 200)), "{engine}");
    }
}

/// Of the first eight steps each slice is there, with its number; of others only what there was room for.
#[cfg(feature = "record")]
pub(super) fn records_name_the_step() {
    let cells = start(&[64]);
    let mut planes = Planes::with_edges(&cells, &edges(&[(1, WRAP, WRAP)])).unwrap();
    let job = Job::default().workers(2).split(Split::rows().of(1)).steps(200).record(true).lend(&mut planes);
    let answers = job.run_with((), |w, (), (old, mut new)| step(w.step(), &old, &mut new)).unwrap();
    let record = answers.report().record().unwrap();
    for (slice, number) in (0..64).flat_map(|slice| (0..8).map(move |number| (slice, number))) {
        let mut found = record.attempts.iter().filter(|it| (it.slice, it.step) == (slice, number));
        assert!(found.next().is_some_and(|it| it.done && it.number == 1), "step {number} of slice {slice}");
        assert_eq!(found.next(), None);
    }
    assert!(record.lost_marks > 0, "200 steps are more than there is room for");
}

#[cfg(not(feature = "record"))]
pub(super) fn records_name_the_step() {}

pub(super) fn uneven_slices_and_blocks_are_steps_too() {
    let edges = edges(&[(2, WRAP, WRAP), (1, KEEP, EDGE)]);
    let cells = start(&[17, 12]);
    let right = naive(&cells, &edges, 9);
    let mut crew = Crew::start(3).unwrap();
    for (split, bounds) in [
        (Split::rows(), vec![1, 2, 9, 17]),
        (Split::rows(), vec![17]),
        // Column 0 is kept, and no slice's.
        (Split::cols(), vec![2, 3, 12]),
    ] {
        let mut planes = Planes::with_edges(&cells, &edges).unwrap();
        run(Job::default().crew(&mut crew).split(split).bounds(bounds).steps(9), &mut planes).unwrap();
        assert_eq!(planes.view().unwrap(), right, "{split}");
    }
    let edges = vec![(1, WRAP, WRAP), (1, MIRROR, KEEP), (2, EDGE, ZERO)];
    let cells = start(&[5, 6, 7]);
    for blocks in [Split::blocks(&[2, 3, 4]), Split::blocks(&[0, 2, 3]), Split::blocks(&[1, 1, 1])] {
        let mut planes = Planes::with_edges(&cells, &edges).unwrap();
        run(Job::default().crew(&mut crew).split(blocks).steps(5), &mut planes).unwrap();
        assert_eq!(planes.view().unwrap(), naive(&cells, &edges, 5), "{blocks}");
    }
    let mut planes = Planes::with_edges(&cells, &edges).unwrap();
    for (bounds, says) in
        [(vec![1, 1, 5], "slice 1 would be 1..1"), (vec![1, 4], "to 5"), (vec![1, 6], "slice 1 would be 1..6")]
    {
        let error = run(Job::default().bounds(bounds).steps(2), &mut planes).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

pub(super) fn a_body_knows_its_step() {
    let mut planes = Planes::from_array(&Array2::<u32>::zeros((6, 4)), 1, Border::Keep).unwrap();
    let job = Job::new(&mut planes).workers(2).split(Split::rows().of(1)).steps(5);
    job.run(|w, (_, mut new)| {
        assert_eq!((new.dim(), new.cols()), ((1, 2), 1..3));
        let row = new.rows().start as u32;
        new.fill(10 * w.step() + row);
    })
    .unwrap();
    assert_eq!(planes.view().unwrap().column(1).to_vec(), [0, 41, 42, 43, 44, 0]);
}
