//! Stencils as a kernel, `stencil`.

use std::cell::{Cell, RefCell};

use ndarray::{Dimension, Ix1, Ix2, Ix3};
use parfork::formats::npy::ArrayFile;
use parfork::{Border, DtypeKind, Error, Report, Shared};

use super::rule::check_input;
use super::{Real, Rule, StencilError, StencilPlanes, further, naive, run};
use crate::bands;
use crate::film::{self, Film};
use crate::kernel::{
    Arg, ArgValues, Fact, Files, Form, InScale, Kernel, KernelError, Output, Sizes, Step, Steps, Task, parses,
};

/// `stencil`.
pub struct Stencil;

/// Whether a text is how little a cell may move: a [`Check`](crate::kernel::Check).
fn distance(text: &str) -> Result<(), String> {
    match text.parse::<f64>() {
        Ok(0.0..) => Ok(()),
        _ => Err("it is no distance. Give a number of 0 or more, as in 1e-6.".to_owned()),
    }
}

impl Kernel for Stencil {
    fn name(&self) -> &'static str {
        "stencil"
    }

    fn summary(&self) -> &'static str {
        "Do steps on an array: each cell from its neighbours"
    }

    fn notes(&self) -> String {
        "Examples:
  parfork stencil plate.npy -o after.npy --weights heat:0.25 --steps 1000 --verify
  parfork stencil plate.npy -o rest.npy --weights heat:0.25 --steps 1000000 --until 1e-6
  parfork stencil plate.npy -o after.npy --weights blur.npy --steps 300 --border wrap --every 10 --frames film

f32 and f64, one to three axes. Weights are an array of as many axes and odd sides, whose middle lies on the cell; those of 0 are left
out. heat:A is the cell plus A times what its neighbours are more than it: A is at most 0.5, 0.25 or 0.166 for 1, 2 or 3 axes.

Borders: keep (the outermost cells stay as they are), wrap, reflect101 (SciPy's mirror), replicate (nearest), constant:V.

--until looks after 16 steps and then when an eighth more are done, and says how many that were. Frames are of arrays with two axes,
black where the start is least and white where it is most."
            .to_owned()
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::input_array("input", "INPUT", "The array before the first step (.npy)"),
                Arg::output_array("Where the array goes that the last step leaves (.npy)"),
                Arg::text("weights", "W", "What a cell becomes: heat:A, or an array of weights (.npy)", |_| Ok(()))
                    .in_scale(InScale::Default("heat:0.25")),
                film::STEPS,
                bands::DEPTH,
                Arg::text("border", "BORDER", "What is beyond the edges", parses::<Border<f64>>).or("keep"),
                Arg::text("until", "X", "Stop early, when no cell moved more than X in a step", distance)
                    .optional()
                    .in_scale(InScale::Never),
                film::EVERY,
                film::FRAMES,
            ]
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { usual: &[2048, 2048], lengths: &[2], form: "MxN", example: "4096x1024" }
    }

    fn open(&self, given: &ArgValues, _files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        let path = given.path("input");
        let file = ArrayFile::open(path)?;
        let (dtype, axes) = (file.header().dtype, file.header().shape.len());
        check_input(path, dtype, axes)?;
        match ((dtype.kind(), dtype.size()), axes) {
            ((DtypeKind::Float, 4), 1) => task::<f32, Ix1>(file.load()?, given),
            ((DtypeKind::Float, 4), 2) => task::<f32, Ix2>(file.load()?, given),
            ((DtypeKind::Float, 4), _) => task::<f32, Ix3>(file.load()?, given),
            (_, 1) => task::<f64, Ix1>(file.load()?, given),
            (_, 2) => task::<f64, Ix2>(file.load()?, given),
            _ => task::<f64, Ix3>(file.load()?, given),
        }
    }

    fn made_up(
        &self,
        given: &ArgValues,
        size: &[usize],
        noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError> {
        let mut start = Shared::<f64, Ix2>::zeros((size[0], size[1]))?;
        start.as_mut_slice().iter_mut().for_each(|cell| *cell = noise());
        task(start, given)
    }
}

fn task<T: Real, D: Dimension + 'static>(start: Shared<T, D>, given: &ArgValues) -> Result<Box<dyn Task>, KernelError> {
    let name: String = given.read("weights");
    let rule = Rule::of(&name)?;
    rule.weights(start.shape().len()).map_err(|error| KernelError::arguments(error.to_string()))?;
    if !given.all("frames").is_empty() && start.shape().len() != 2 {
        return Err(KernelError::arguments(StencilError::Film { axes: start.shape().len() }));
    }
    let film = Film::of(given)?;
    Ok(Box::new(StencilTask {
        start,
        name,
        rule,
        border: given.read("border"),
        steps: given.read("steps"),
        depth: given.list("depth").pop(),
        until: given.list("until").pop(),
        film: RefCell::new(film),
        done: Cell::default(),
    }))
}

/// Steps on an array.
struct StencilTask<T, D> {
    start: Shared<T, D>,
    /// What the rule was given as.
    name: String,
    rule: Rule,
    border: Border<f64>,
    steps: u32,
    depth: Option<u32>,
    until: Option<f64>,
    /// Until it has been made.
    film: RefCell<Option<Film>>,
    /// How many steps were done, and how far the cell moved in the last that moved furthest.
    done: Cell<(u32, f64)>,
}

/// After how many steps it is looked whether cells still move.
fn next_look(done: u32) -> u32 {
    done.saturating_add((done / 8).max(16))
}

impl<T: Real, D: Dimension + 'static> Task for StencilTask<T, D> {
    fn line(&self) -> String {
        let lengths: Vec<String> = self.start.shape().iter().map(ToString::to_string).collect();
        let (steps, moved) = self.done.get();
        let (shape, dtype, name, border) = (lengths.join("x"), T::DTYPE, &self.name, self.border);
        let steps = if steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") };
        format!("stencil {name} of {shape} {dtype}, border {border}, {steps}, moved {moved:.3e} in the last")
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        let (steps, moved) = self.done.get();
        vec![
            ("dtype", T::DTYPE.to_string().into()),
            ("shape", self.start.shape().into()),
            ("weights", self.name.clone().into()),
            ("border", self.border.to_string().into()),
            ("steps", steps.into()),
            ("moved", moved.into()),
        ]
    }

    fn form(&self) -> Form {
        Form::array::<T>(self.start.shape())
    }

    fn output(&self) -> Result<Output, Error> {
        Output::array::<T, D>(self.start.raw_dim())
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let mut plate = StencilPlanes::new(&self.start.view(), &self.rule, self.border)?;
        let (least, most) = self.start.view().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &cell| {
            let cell: f64 = cell.into();
            (least.min(cell), most.max(cell))
        });
        let picture = |film: &Film, step: u32, plate: &StencilPlanes<T, D>| {
            let cells = plate.view()?.into_dimensionality::<Ix2>().expect("films are of two axes");
            film.add(step, cells, |&cell| glow((cell.into() - least) / (most - least)))
        };
        let (mut look, mut reports) = (next_look(0), Vec::new());
        let steps = |plate: &mut StencilPlanes<T, D>, done: u32, most: u32| {
            let end = self.until.map_or(most, |_| look.min(most));
            let mut job = jobs(Step { name: "stencil", last: end == self.steps, begun: 0 });
            job.spec_mut().depth = self.depth;
            let answers = run(job, plate, end - done)?;
            reports.push(answers.report().clone());
            let moved = answers.fold(0.0, further);
            self.done.set((end, moved));
            match self.until {
                Some(_) if moved.is_nan() => Err(Error::kernel(StencilError::NaN { steps: end })),
                Some(until) if end == look => {
                    look = next_look(end);
                    Ok((end, moved > until))
                }
                _ => Ok((end, true)),
            }
        };
        film::play(self.film.take(), self.steps, &mut plate, steps, picture)?;
        output.array_mut::<T, D>().view_mut().assign(&plate.view()?);
        Ok(reports)
    }

    /// The definition, cell by cell.
    fn reference(&self, output: &Output) -> Option<Result<String, String>> {
        let (steps, _) = self.done.get();
        let right = naive::steps(self.start.view().into_dyn().to_owned(), &self.rule, self.border, steps);
        let cells: &[T] = bytemuck::cast_slice(output.bytes().0);
        let same = |(one, other): (&T, &T)| one == other || one.is_nan() && other.is_nan();
        Some(match cells.iter().zip(&right).position(|pair| !same(pair)) {
            Some(at) => Err(format!("element {at} is {} and a naive loop leaves {}", cells[at], right.iter().nth(at)?)),
            None => Ok(format!("all of {} cells as a naive loop leaves them", right.len())),
        })
    }
}

/// The colour of something so warm, from 0 to 1: black, red, yellow, white.
fn glow(warmth: f64) -> [u8; 3] {
    [0.0, 1.0, 2.0].map(|from| ((3.0 * warmth - from).clamp(0.0, 1.0) * 255.0).round() as u8)
}
