//! Conway's Life as a kernel, `life`.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ndarray::{Array2, ArrayView2, Axis, Ix2, ShapeBuilder, s};
use parfork::formats::InputFile;
use parfork::formats::npy::ArrayFile;
use parfork::{Border, Dtype, DtypeKind, Element, Error, Order, Planes, Report, Shared};

use super::{rle, run};
use crate::bands;
use crate::film::{self, Film};
use crate::kernel::{
    Arg, ArgValues, Fact, Files, Form, InScale, Kernel, KernelError, Output, Sizes, Step, Steps, Task, parses,
};
use crate::picture::Picture;

/// `life`.
pub struct Life;

/// An input that is no board of cells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifeError {
    /// An array of another type, or with other axes.
    #[error(
        "{} has elements {dtype} and shape {shape:?}, and cells are bool or u8 on 2 axes. Convert it with NumPy: (a > 0).", .path.display()
    )]
    Array {
        /// The file.
        path: PathBuf,
        /// Its type.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A picture that is not gray.
    #[error(
        "{} has {channels} channels of {bits} bits, and life takes gray pictures of 8 bits. Convert it: parfork image IN -o OUT --filter gray.",
        .path.display()
    )]
    Picture {
        /// The file.
        path: PathBuf,
        /// Its channels.
        channels: usize,
        /// Bits of a sample.
        bits: u32,
    },
    /// A text that is no pattern.
    #[error("{} is no pattern in run length encoding: {what}. Look at the file.", .path.display())]
    Pattern {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A board smaller than what is to lie on it.
    #[error("a board of {board:?} rows and columns is too small for {cells:?}. Give a larger one, or none.")]
    TooSmall {
        /// Its rows and columns.
        board: [usize; 2],
        /// Those of the input.
        cells: [usize; 2],
    },
}

/// Rows and columns: `200x300`.
#[derive(Clone, Copy)]
struct BoardSize([usize; 2]);

impl FromStr for BoardSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lengths = text.split_once('x').and_then(|(rows, cols)| Some([rows.parse().ok()?, cols.parse().ok()?]));
        lengths.map(Self).ok_or_else(|| "it is no board. Give rows and columns, as in 200x300.".to_owned())
    }
}

/// Whether a text is a border of cells that live or do not: a [`Check`](crate::kernel::Check).
fn border(text: &str) -> Result<(), String> {
    match text.parse::<Border<u8>>() {
        Ok(Border::Constant(2..)) => Err("a cell is dead or alive. Write constant:0 or constant:1.".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

impl Kernel for Life {
    fn name(&self) -> &'static str {
        "life"
    }

    fn summary(&self) -> &'static str {
        "Play the Game of Life"
    }

    fn notes(&self) -> String {
        "Examples:
  parfork life glider.rle -o after.png --board 200x300 --steps 100 --border wrap
  parfork life cells.npy -o after.npy --steps 1000 -n 4 --verify
  parfork life photo.png -o after.png --steps 500 --every 5 --frames film

Cells are an array of bool or u8 (alive: not 0), a gray picture (alive: 128 or more), or a pattern in run length encoding (.rle). The
result is a picture, black and white, if its name ends as one's does; else an array of bool or u8."
            .to_owned()
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::input_array("input", "INPUT", "The first generation (.npy, .rle, or a picture)"),
                Arg::output_either("Where the last generation goes (.npy or a picture)"),
                film::STEPS,
                bands::DEPTH,
                Arg::text(
                    "border",
                    "BORDER",
                    "What is beyond the edges: keep, wrap, reflect101, replicate, constant:0 or 1",
                    border,
                )
                .or("constant:0"),
                Arg::text(
                    "board",
                    "MxN",
                    "Rows and columns of a larger board, in whose middle the input lies",
                    parses::<BoardSize>,
                )
                .optional()
                .in_scale(InScale::Never),
                film::EVERY,
                film::FRAMES,
            ]
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { usual: &[4096, 4096], lengths: &[2], form: "MxN", example: "4096x1024" }
    }

    fn open(&self, given: &ArgValues, files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        let path = given.path("input");
        let (dtype, mut cells) = read(path, files)?;
        if let Some(BoardSize(board)) = given.list("board").pop() {
            cells = laid_on(board, &cells)?;
        }
        let film = RefCell::new(Film::of(given)?);
        let as_picture = given.all("output").first().is_some_and(|path| Arg::is_picture(Path::new(path)));
        Ok(Box::new(LifeTask { film, as_picture, ..LifeTask::of(dtype, cells, given) }))
    }

    fn made_up(
        &self,
        given: &ArgValues,
        size: &[usize],
        noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError> {
        // As all arrays: too little memory is an error with the numbers.
        let mut cells = Shared::<u8, Ix2>::zeros((size[0], size[1]))?;
        cells.as_mut_slice().iter_mut().for_each(|cell| *cell = u8::from(noise() < 0.3));
        Ok(Box::new(LifeTask::of(u8::DTYPE, cells, given)))
    }
}

/// The cells of an input, 0 or 1, and the type that the result has.
fn read(path: &Path, files: &Files<'_>) -> Result<(Dtype, Shared<u8, Ix2>), KernelError> {
    let input = InputFile::open(path)?;
    if input.is_array()? {
        let (header, bytes) = ArrayFile::of(input)?.load_bytes()?;
        let (dtype, shape) = (header.dtype, header.shape);
        let &[rows, cols] = &shape[..] else {
            return Err(KernelError::input(LifeError::Array { path: path.to_owned(), dtype, shape }));
        };
        if dtype.size() != 1 || !matches!(dtype.kind(), DtypeKind::Bool | DtypeKind::Uint) {
            return Err(KernelError::input(LifeError::Array { path: path.to_owned(), dtype, shape }));
        }
        let cells = ArrayView2::from_shape((rows, cols).set_f(header.order == Order::F), bytes.as_slice());
        let cells = cells.expect("as many bytes as the header says");
        return Ok((dtype, living(cells, |cell| cell != 0)?));
    }
    if matches!(input.head(1)?.first(), Some(b'#' | b'x')) {
        let text = String::from_utf8_lossy(&input.head(input.len())?).into_owned();
        let wrong = |what| KernelError::input(LifeError::Pattern { path: path.to_owned(), what });
        return Ok((u8::DTYPE, Shared::from_array(&rle::pattern(&text).map_err(wrong)?)?));
    }
    match files.picture_of(input)? {
        Picture::U8(samples) if samples.shape()[2] == 1 => {
            Ok((u8::DTYPE, living(samples.view().index_axis(Axis(2), 0), |sample| sample >= 128)?))
        }
        other => {
            let (path, channels, bits) = (path.to_owned(), other.channels(), other.bits());
            Err(KernelError::input(LifeError::Picture { path, channels, bits }))
        }
    }
}

/// Cells that live where `is_alive` says so.
fn living(from: ArrayView2<'_, u8>, is_alive: impl Fn(u8) -> bool) -> Result<Shared<u8, Ix2>, Error> {
    let mut cells = Shared::zeros(from.dim())?;
    cells.view_mut().zip_mut_with(&from, |cell, &value| *cell = u8::from(is_alive(value)));
    Ok(cells)
}

/// Cells in the middle of a board.
fn laid_on(board: [usize; 2], cells: &Shared<u8, Ix2>) -> Result<Shared<u8, Ix2>, KernelError> {
    let (rows, cols) = cells.view().dim();
    if board[0] < rows || board[1] < cols {
        return Err(KernelError::arguments(LifeError::TooSmall { board, cells: [rows, cols] }));
    }
    let mut shared = Shared::<u8, Ix2>::zeros(board)?;
    let (top, left) = ((board[0] - rows) / 2, (board[1] - cols) / 2);
    shared.view_mut().slice_mut(s![top..top + rows, left..left + cols]).assign(&cells.view());
    Ok(shared)
}

/// Generations of a board.
struct LifeTask {
    /// Of an array that is the result.
    dtype: Dtype,
    cells: Shared<u8, Ix2>,
    border: Border<u8>,
    steps: u32,
    depth: Option<u32>,
    as_picture: bool,
    /// Until it has been made.
    film: RefCell<Option<Film>>,
    /// How many cells live in the end.
    living: Cell<u64>,
}

impl LifeTask {
    fn of(dtype: Dtype, cells: Shared<u8, Ix2>, given: &ArgValues) -> Self {
        let (border, steps, depth) = (given.read("border"), given.read("steps"), given.list("depth").pop());
        Self {
            dtype,
            cells,
            border,
            steps,
            depth,
            as_picture: false,
            film: RefCell::default(),
            living: Cell::default(),
        }
    }
}

impl Task for LifeTask {
    fn line(&self) -> String {
        let ((rows, cols), Self { border, steps, .. }) = (self.cells.view().dim(), self);
        format!("life on {rows}x{cols}, border {border}, {steps} generations, {} cells alive", self.living.get())
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        vec![
            ("shape", self.cells.shape().into()),
            ("border", self.border.to_string().into()),
            ("steps", self.steps.into()),
            ("alive", (self.living.get() as usize).into()),
        ]
    }

    fn form(&self) -> Form {
        let (rows, cols) = self.cells.view().dim();
        match self.as_picture {
            true => Form::Picture { shape: [rows, cols, 1], bits: 8 },
            false => Form::Array { dtype: self.dtype, shape: vec![rows, cols] },
        }
    }

    fn output(&self) -> Result<Output, Error> {
        let (rows, cols) = self.cells.view().dim();
        match self.as_picture {
            true => Output::picture([rows, cols, 1], 8),
            false => Output::array::<u8, Ix2>((rows, cols)),
        }
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let mut planes = Planes::from_array(&self.cells.view(), 1, self.border)?;
        let mut reports = Vec::new();
        let steps = |planes: &mut Planes<u8, Ix2>, done: u32, end: u32| {
            let mut job = jobs(Step { name: "life", last: end == self.steps, begun: 0 });
            job.spec_mut().depth = self.depth;
            let answers = run(job, planes, end - done)?;
            reports.push(answers.report().clone());
            self.living.set(answers.sum());
            Ok((end, true))
        };
        let picture =
            |film: &Film, step: u32, planes: &Planes<u8, Ix2>| film.add(step, planes.view()?, |&cell| [255 * cell]);
        film::play(self.film.take(), self.steps, &mut planes, steps, picture)?;
        match output {
            Output::Picture(Picture::U8(samples)) => {
                let mut samples = samples.view_mut();
                samples.index_axis_mut(Axis(2), 0).assign(&planes.view()?.mapv(|cell| 255 * cell));
            }
            array => array.array_mut::<u8, Ix2>().view_mut().assign(&planes.view()?),
        }
        Ok(reports)
    }

    /// The rules as they are told.
    fn reference(&self, output: &Output) -> Option<Result<String, String>> {
        let mut now = self.cells.view().to_owned();
        for _ in 0..self.steps {
            now = naive(&now, self.border);
        }
        let found = output.bytes().0.iter().map(|&cell| u8::from(cell != 0));
        Some(match found.zip(&now).position(|(found, &right)| found != right) {
            Some(at) => Err(format!("cell {at} is not what the rules make of it")),
            None => Ok(format!("all of {} cells as a naive loop leaves them", now.len())),
        })
    }
}

/// The next generation, cell by cell.
fn naive(now: &Array2<u8>, border: Border<u8>) -> Array2<u8> {
    let (rows, cols) = now.dim();
    let find = |at: isize, length: usize| {
        let last = length as isize - 1;
        match border {
            _ if (0..=last).contains(&at) => Some(at as usize),
            Border::Wrap => Some(at.rem_euclid(length as isize) as usize),
            Border::Replicate => Some(at.clamp(0, last) as usize),
            Border::Reflect101 => Some(if at < 0 { -at } else { 2 * last - at } as usize),
            Border::Constant(_) | Border::Keep => None,
        }
    };
    let beyond = if let Border::Constant(value) = border { value } else { 0 };
    Array2::from_shape_fn((rows, cols), |(i, j)| {
        if border == Border::Keep && (i == 0 || j == 0 || i + 1 == rows || j + 1 == cols) {
            return now[[i, j]];
        }
        let offsets = (-1..=1).flat_map(|down| (-1..=1).map(move |across| (down, across))).filter(|&off| off != (0, 0));
        let places = offsets.map(|(down, across)| find(i as isize + down, rows).zip(find(j as isize + across, cols)));
        let near: u32 = places.map(|place| u32::from(place.map_or(beyond, |place| now[place]))).sum();
        match (near, now[[i, j]]) {
            (3, _) | (2, 1) => 1,
            _ => 0,
        }
    })
}
