//! Programs that do steps, by the client for Rust.

use ndarray::{Array1, Ix1, Ix2, IxDyn, Zip};
use parfork::exec::{self, Array, Program, ProgramPlanes, ProgramWorker};
use parfork::{Border, Error, ExecError, Job, Shared, Split};

use super::results::{Edges, naive, start, step};
use super::support::nothing_left;

/// A part, which is a program: the rule of all tests here. The first that comes to step 7 of the rows from 4 on dies if it has to.
pub(super) fn rule() {
    let mut guest = ProgramWorker::join().unwrap();
    let mut plate = guest.planes::<u64, IxDyn>("plate").unwrap();
    let dies = std::env::var_os("DIES");
    let done = guest.run_steps(|order| {
        let (old, mut new) = plate.step(order);
        let is_there = (order.number(), order.cells()[0].start) == (7, 4);
        if is_there && dies.as_ref().is_some_and(|dies| std::fs::create_dir(dies).is_ok()) {
            new.fill(u64::MAX);
            std::process::abort();
        }
        step(order.number(), &old, &mut new);
        Ok::<_, String>(())
    });
    done.unwrap();
}

fn program(case: &str) -> Program {
    Program::new(std::env::current_exe().unwrap()).env("PARFORK_CASE", case)
}

/// Steps of a plate by a program; what is left.
fn run(job: Job<'_>, program: &Program, shape: &[usize], border: Border<f64>) -> parfork::Result<(Vec<u64>, usize)> {
    let plate = Array::input_of("plate", Shared::from_array(&start(shape))?)?;
    let planes = vec![ProgramPlanes::new(&plate, 1, border)?];
    let (done, _, planes) = exec::run_steps(job.steps(20).retries(1), program, Vec::new(), planes)?;
    let after = planes.into_iter().next().unwrap().into_array()?;
    let after = after.as_bytes().unwrap().as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect();
    Ok((after, done.report().deaths.len()))
}

fn right(shape: &[usize], border: Border<u64>) -> Vec<u64> {
    let edges: Edges = shape.iter().map(|_| (1, border, border)).collect();
    naive(&start(shape), &edges, 20).iter().copied().collect()
}

pub(super) fn do_what_a_body_does() {
    for (shape, split) in [
        (&[23][..], Split::rows().of(3)),
        (&[12, 7], Split::tiles(5, 3)),
        (&[12, 7], Split::cols()),
        (&[6, 5, 7], Split::blocks(&[4, 2, 3])),
    ] {
        for (border, same) in [
            (Border::Keep, Border::Keep),
            (Border::Wrap, Border::Wrap),
            (Border::Replicate, Border::Replicate),
            (Border::Constant(5.0), Border::Constant(5)),
        ] {
            for depth in [1, 4] {
                let job = Job::default().workers(3).split(split).depth(depth);
                let (after, deaths) = nothing_left(|| run(job, &program("programs::rule"), shape, border)).unwrap();
                assert!(after == right(shape, same) && deaths == 0, "{shape:?} {split} {border:?} {depth}");
            }
        }
    }
}

pub(super) fn die_as_a_body_does() {
    for depth in [1, 4] {
        let folder = std::env::temp_dir().join(format!("dies{depth}"));
        let program = program("programs::rule").env("DIES", &folder);
        let job = Job::default().workers(2).split(Split::rows().of(4)).depth(depth);
        let (after, deaths) = run(job, &program, &[12, 7], Border::Wrap).unwrap();
        assert!(after == right(&[12, 7], Border::Wrap) && deaths == 1 && folder.exists(), "{deaths} deaths");
    }
}

/// A part, which is a program: waves, on two planes, of what an input says of each place.
pub(super) fn rule_of_two() {
    let mut guest = ProgramWorker::join().unwrap();
    let speed = guest.input::<f64, Ix1>("speed").unwrap();
    let mut high = guest.planes::<f64, Ix1>("high").unwrap();
    let mut fast = guest.planes::<f64, Ix1>("fast").unwrap();
    for (name, error) in [("fast", guest.planes::<f64, Ix1>("fast")), ("low", guest.planes::<f64, Ix1>("low"))] {
        let error = error.unwrap_err();
        assert!(matches!(
            &error,
            Error::Exec(ExecError::HandedOut { name: n } | ExecError::NoSuchArray { name: n, .. }) if n == name
        ));
    }
    assert!(matches!(guest.planes::<f32, Ix1>("high"), Err(Error::Exec(ExecError::OtherType { .. }))));
    assert!(matches!(guest.planes::<f64, Ix2>("high"), Err(Error::Exec(ExecError::OtherType { .. }))));
    let done = guest.run_steps(|order| {
        let ((high, mut next_high), (fast, mut next_fast)) = (high.step(order), fast.step(order));
        let speed = speed.view();
        let speed = speed.slice(ndarray::s![order.cells()[0].clone()]);
        Zip::from(&mut next_fast).and(high.windows(3)).and(fast.windows(3)).and(speed).for_each(
            |to, high, fast, speed| {
                *to = fast[1] + speed * (high[0] - 2.0 * high[1] + high[2]);
            },
        );
        Zip::from(&mut next_high)
            .and(high.windows(3))
            .and(fast.windows(3))
            .for_each(|to, high, fast| *to = high[1] + fast[1]);
        Ok::<_, String>(())
    });
    done.unwrap();
}

/// A part, which is a program that was started for something else than it is made for.
pub(super) fn other() {
    let mut guest = ProgramWorker::join().unwrap();
    let done = match guest.manifest().planes.is_some() {
        true => guest.run(|_| Err("it was given a slice")),
        false => guest.run_steps(|_| Err("it was given a step")),
    };
    assert!(matches!(done, Err(Error::Exec(ExecError::DoesSteps | ExecError::NoPlanes))), "{done:?}");
}

pub(super) fn that_ask_for_something_else_are_told() {
    let refused = run(Job::default().workers(2), &program("programs::other"), &[8, 3], Border::Keep).unwrap_err();
    assert!(refused.to_string().contains("started to do steps"), "{refused}");
    let output = Array::output("c", "u8".parse().unwrap(), &[8]).unwrap();
    let refused = exec::run(Job::default().workers(2), &program("programs::other"), vec![output]).unwrap_err();
    assert!(refused.to_string().contains("there are no planes to do steps on"), "{refused}");
}

pub(super) fn have_two_planes_and_an_input() {
    let wave = |name: &str, at: usize| {
        let cells = Array1::from_shape_fn(40, |cell| f64::from(u8::from(cell == at)));
        Array::input_of(name, Shared::from_array(&cells).unwrap()).unwrap()
    };
    let speed = Array1::from_shape_fn(40, |cell| 0.1 + 0.01 * cell as f64);
    let planes =
        [("high", 7), ("fast", 99)].map(|(name, at)| ProgramPlanes::new(&wave(name, at), 1, Border::Wrap).unwrap());
    let inputs = vec![Array::input_of("speed", Shared::from_array(&speed).unwrap()).unwrap()];
    let job = Job::default().workers(3).steps(25).split(Split::rows().of(7));
    let (_, _, planes) = exec::run_steps(job, &program("programs::rule_of_two"), inputs, planes.into()).unwrap();
    let (mut high, mut fast) = (Array1::zeros(40), Array1::<f64>::zeros(40));
    high[7] = 1.0;
    for _ in 0..25 {
        let at = |cell: usize| high[cell % 40];
        let next = Array1::from_shape_fn(40, |cell| {
            fast[cell] + speed[cell] * (at(cell + 39) - 2.0 * at(cell) + at(cell + 1))
        });
        high = &high + &fast;
        fast = next;
    }
    for (planes, right) in planes.into_iter().zip([high, fast]) {
        let after = planes.into_array().unwrap();
        assert_eq!(after.as_bytes().unwrap(), bytemuck::cast_slice::<f64, u8>(right.as_slice().unwrap()));
    }
}
