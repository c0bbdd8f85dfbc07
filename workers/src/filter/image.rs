//! A chain of filters as a kernel: of a picture that is given, or of one that looks like a photograph.

use ndarray::Ix3;

use super::{Border, FILTERS, Filter, Run, chain};
use crate::kernel::{
    Arg, ArgValues, Fact, Files, Form, InScale, Kernel, KernelError, Output, Sizes, Steps, Task, parses,
};
use crate::picture::Picture;
use parfork::{Error, Report, Shared};

/// `image`.
pub struct Image;

impl Kernel for Image {
    fn name(&self) -> &'static str {
        "image"
    }

    fn summary(&self) -> &'static str {
        "Filter a picture"
    }

    fn notes(&self) -> String {
        let list: Vec<String> = FILTERS
            .iter()
            .map(|filter| {
                let usage = match filter.parameter.strip_prefix('[') {
                    _ if filter.parameter.is_empty() => filter.name.to_owned(),
                    Some(optional) => format!("{}[:{optional}", filter.name),
                    None => format!("{}:{}", filter.name, filter.parameter),
                };
                format!("  {usage:<28}{}", filter.summary)
            })
            .collect();
        format!(
            "Filters:\n{}\n\nExamples:\n  parfork image photo.jpg -o soft.png --filter gaussian:3\n  \
             parfork image photo.jpg -o edges.png --filter gaussian:1.5,sobel -n 4 --split tiles=256x256\n  \
             parfork image photos/*.jpg -o small/ --filter resize:1200x\n  \
             parfork image photos -r -o 'png/{{parent}}-{{stem}}.png' --filter gray --newer\n\n\
             Many pictures: each worker does one at a time, {{stem}} is an input's name without its ending {{ext}}, {{name}} both, \
             {{parent}} the name of its folder. One that cannot be done is told and set aside; exit code 5 says that some were.",
            list.join("\n")
        )
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::input_picture("input", "INPUT", "Pictures to filter: PNG, JPEG, TIFF, BMP or PNM, 8 or 16 bit")
                    .many(),
                Arg::output_picture(
                    "Where the result goes; its ending says in which format. Of many pictures: FOLDER/, or a pattern with {stem}, \
                     {name}, {ext} or {parent} in it",
                ),
                Arg::chain(
                    "filter",
                    "F[,F...]",
                    "Filters in the order to apply them, each with its parameter: gaussian:3,sobel [default: none]",
                    parses::<Filter>,
                )
                .short('f')
                .optional()
                .in_scale(InScale::Default("gaussian:3")),
                Arg::text(
                    "border",
                    "BORDER",
                    "What lies beyond the border: reflect101, replicate, constant:V or wrap",
                    parses::<Border>,
                )
                .or("reflect101"),
            ]
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { usual: &[3000, 2000], lengths: &[2], form: "WxH", example: "1920x1080" }
    }

    fn grown(&self, size: &[usize], workers: usize) -> Option<(Vec<usize>, f64)> {
        Some((vec![size[0], size[1].checked_mul(workers)?], workers as f64))
    }

    fn open(&self, given: &ArgValues, files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        Chain::of(given, files.picture(given.path("input"))?)
    }

    /// Smooth shades with noise on them, as photographs have.
    fn made_up(
        &self,
        given: &ArgValues,
        size: &[usize],
        noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError> {
        let mut picture = Shared::<u8, Ix3>::zeros((size[1], size[0], 3))?;
        for (number, sample) in picture.as_mut_slice().iter_mut().enumerate() {
            let (row, col) = (number / (3 * size[0]), number % (3 * size[0]));
            let shade = 110.0 + 60.0 * (row as f64 / 97.0).sin() + 60.0 * (col as f64 / 311.0).cos();
            *sample = (shade + 20.0 * noise()) as u8;
        }
        Chain::of(given, Picture::U8(picture))
    }
}

struct Chain {
    picture: Picture,
    filters: Vec<Filter>,
    border: Border,
    /// Of the result.
    shape: [usize; 3],
}

impl Chain {
    fn of(given: &ArgValues, picture: Picture) -> Result<Box<dyn Task>, KernelError> {
        let (filters, border) = (given.list::<Filter>("filter"), given.read("border"));
        let shape = filters.iter().try_fold(picture.shape(), |shape, filter| filter.output_shape(shape));
        Ok(Box::new(Self { picture, filters, border, shape: shape.map_err(KernelError::arguments)? }))
    }

    fn names(&self) -> Vec<String> {
        self.filters.iter().map(ToString::to_string).collect()
    }
}

impl Task for Chain {
    fn line(&self) -> String {
        let [height, width, channels] = self.shape;
        let kind = ["gray", "gray+alpha", "RGB", "RGBA"][channels - 1];
        let names = if self.filters.is_empty() { "a copy".to_owned() } else { self.names().join(", ") };
        format!("{names} of {width}x{height} {kind} {}-bit", self.picture.bits())
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        vec![
            ("filters", self.names()[..].into()),
            ("border", self.border.to_string().into()),
            ("shape", self.shape[..].into()),
            ("bits", self.picture.bits().into()),
        ]
    }

    fn form(&self) -> Form {
        Form::Picture { shape: self.shape, bits: self.picture.bits() }
    }

    fn output(&self) -> Result<Output, Error> {
        Output::picture(self.shape, self.picture.bits())
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let runs = Run::split(&self.filters);
        match (&self.picture, output) {
            (Picture::U8(picture), Output::Picture(Picture::U8(result))) => {
                chain(jobs, &runs, self.border, picture, result)
            }
            (Picture::U16(picture), Output::Picture(Picture::U16(result))) => {
                chain(jobs, &runs, self.border, picture, result)
            }
            _ => unreachable!("filters keep the depth"),
        }
    }
}
