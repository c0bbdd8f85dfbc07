//! A rendering as a kernel.

use std::str::FromStr;

use super::{View, cost, run};
use crate::kernel::{
    Arg, ArgValues, Fact, Files, Form, InScale, Kernel, KernelError, Output, Sizes, Step, Steps, Task, parses, real,
    whole,
};
use crate::picture::Picture;
use parfork::slices::Grid;
use parfork::{Error, Report};

/// `mandelbrot`.
pub struct Mandelbrot;

impl Kernel for Mandelbrot {
    fn name(&self) -> &'static str {
        "mandelbrot"
    }

    fn summary(&self) -> &'static str {
        "Render the Mandelbrot set"
    }

    fn notes(&self) -> String {
        "Examples:
  parfork mandelbrot -o set.png
  parfork mandelbrot -o seahorses.png --size 1920x1080 --center=-0.743643,0.131825 --zoom 800 --iterations 2000"
            .to_owned()
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::output_picture("Where the picture goes; its ending says in which format"),
                Arg::text("size", "WxH", "Width and height in pixels", parses::<Size>)
                    .or("1200x800")
                    .in_scale(InScale::Never),
                Arg::signed("center", "RE,IM", "The number in the middle of the picture", parses::<Complex>)
                    .or("-0.75,0"),
                Arg::text("zoom", "Z", "How much larger than the whole set", real).or("1"),
                Arg::text("iterations", "K", "When to take a point for a member of the set", whole::<u32>)
                    .or("1000")
                    .in_scale(InScale::Default("2000")),
            ]
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { usual: &[2400, 1600], lengths: &[2], form: "WxH", example: "1920x1080" }
    }

    /// The same view, sampled more finely: so all parts of it keep their share of the work.
    fn grown(&self, size: &[usize], workers: usize) -> Option<(Vec<usize>, f64)> {
        let pixels = |size: &[usize]| size.iter().map(|&length| length as f64).product::<f64>();
        let fine = |&length: &usize| (length as f64 * (workers as f64).sqrt()).round() as usize;
        let fine: Vec<usize> = size.iter().map(fine).collect();
        fine[0].checked_mul(fine[1])?;
        let work = pixels(&fine) / pixels(size);
        Some((fine, work))
    }

    fn cost(&self, grid: &Grid) -> Vec<f64> {
        cost::steps(grid)
    }

    fn cost_unit(&self) -> &'static str {
        "steps"
    }

    fn open(&self, given: &ArgValues, _files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        let Size(width, height) = given.read("size");
        Rendering::of(given, (width, height))
    }

    fn made_up(
        &self,
        given: &ArgValues,
        size: &[usize],
        _noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError> {
        Rendering::of(given, (size[0], size[1]))
    }
}

struct Size(usize, usize);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts =
            text.split_once('x').and_then(|(width, height)| Some(Self(width.parse().ok()?, height.parse().ok()?)));
        parts.ok_or("a size is width x height in pixels. Write it as in 1920x1080.")
    }
}

struct Complex(f64, f64);

impl FromStr for Complex {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts =
            text.split_once(',').and_then(|(re, im)| Some(Self(re.trim().parse().ok()?, im.trim().parse().ok()?)));
        parts.ok_or("a complex number is two numbers with a comma between them. Write it as in -0.75,0.1.")
    }
}

struct Rendering(View);

impl Rendering {
    fn of(given: &ArgValues, size: (usize, usize)) -> Result<Box<dyn Task>, KernelError> {
        let Complex(re, im) = given.read("center");
        let view = View::new((re, im), given.read("zoom"), size, given.read("iterations"));
        Ok(Box::new(Self(view.map_err(KernelError::arguments)?)))
    }

    fn shape(&self) -> [usize; 3] {
        [self.0.height, self.0.width, 3]
    }
}

impl Task for Rendering {
    fn line(&self) -> String {
        let View { width, height, iterations, .. } = self.0;
        format!("Mandelbrot set, {width}x{height}, {iterations} iterations")
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        let View { center: (re, im), zoom, iterations, .. } = self.0;
        vec![
            ("shape", self.shape()[..].into()),
            ("center", [re, im][..].into()),
            ("zoom", zoom.into()),
            ("iterations", iterations.into()),
        ]
    }

    fn form(&self) -> Form {
        Form::Picture { shape: self.shape(), bits: 8 }
    }

    fn output(&self) -> Result<Output, Error> {
        Output::picture(self.shape(), 8)
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let Output::Picture(Picture::U8(picture)) = output else { unreachable!("a rendering has 8 bits") };
        let done = run(jobs(Step::only("mandelbrot")), &self.0, picture)?;
        Ok(vec![done.report().clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renderings_grow_on_both_sides() {
        assert_eq!(Mandelbrot.grown(&[300, 200], 4), Some((vec![600, 400], 4.0)));
        let (fine, work) = Mandelbrot.grown(&[300, 200], 2).unwrap();
        assert_eq!((fine, (work - 2.0).abs() < 0.01), (vec![424, 283], true));
        assert_eq!(Mandelbrot.grown(&[usize::MAX, 2], 2), None);
    }
}
