//! Pictures of an array while steps are done on it.

use std::fs;
use std::path::PathBuf;

use ndarray::{Array3, ArrayView2};
use parfork::{Error, Shared};

use crate::kernel::{Arg, ArgValues, InScale, KernelError};
use crate::picture::{self, Picture};

/// How often there is a picture: an argument of kernels that make films.
pub(crate) const EVERY: Arg =
    Arg::text("every", "K", "A picture after each K steps, and one of the start, in the folder --frames", steps)
        .optional()
        .in_scale(InScale::Never);

/// Where the pictures go.
pub(crate) const FRAMES: Arg =
    Arg::text("frames", "DIR", "The folder of these pictures, frame-000000.png and so on; made if need be", |_| Ok(()))
        .optional()
        .in_scale(InScale::Never);

/// Whether a text is a number of steps: a [`Check`](crate::kernel::Check).
pub(crate) fn steps(text: &str) -> Result<(), String> {
    match text.parse::<u32>() {
        Ok(1..) => Ok(()),
        _ => Err(format!("it is no number of steps. Give 1 to {}.", u32::MAX)),
    }
}

/// The argument that says how many steps are done.
pub(crate) const STEPS: Arg = Arg::text("steps", "N", "How many steps", steps).in_scale(InScale::Default("100"));

/// What a film is made of.
#[derive(Clone, Debug)]
pub(crate) struct Film {
    every: u32,
    folder: PathBuf,
}

/// One flag without the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--every and --frames go together: after how many steps there is a picture, and in which folder. Give both.")]
pub struct FilmError;

impl Film {
    /// What was asked for; makes the folder.
    ///
    /// # Errors
    /// If one thing was said and not the other, or there can be no such folder.
    pub(crate) fn of(given: &ArgValues) -> Result<Option<Self>, KernelError> {
        match (given.list("every").pop(), given.all("frames").first()) {
            (None, None) => Ok(None),
            (Some(every), Some(folder)) => {
                let folder = PathBuf::from(folder);
                fs::create_dir_all(&folder).map_err(|error| Error::File {
                    path: folder.clone(),
                    what: format!("it cannot be made ({error})"),
                    remedy: "name a folder that is there, or can be".to_owned(),
                })?;
                Ok(Some(Self { every, folder }))
            }
            _ => Err(KernelError::arguments(FilmError)),
        }
    }

    /// After which step there is the next picture.
    fn after(&self, step: u32) -> u32 {
        (step / self.every + 1).saturating_mul(self.every)
    }

    /// Writes the picture of a step, if there is one of it. `colour` says what cells look like.
    ///
    /// # Errors
    /// As [`picture::save`].
    pub(crate) fn add<T, const C: usize>(
        &self,
        step: u32,
        cells: ArrayView2<'_, T>,
        colour: impl Fn(&T) -> [u8; C],
    ) -> Result<(), Error> {
        if !step.is_multiple_of(self.every) {
            return Ok(());
        }
        let (rows, cols) = cells.dim();
        let samples: Vec<u8> = cells.iter().flat_map(colour).collect();
        let picture = Array3::from_shape_vec((rows, cols, C), samples).expect("a colour for each cell");
        let name = format!("frame-{:06}.png", step / self.every);
        picture::save(self.folder.join(name), &Picture::U8(Shared::from_array(&picture)?))
    }
}

/// Does so many steps on `planes`, with a picture of the start and of each so many. `run` does steps: some are done, and these many may be; it says
/// how many are done then, and whether to go on.
///
/// # Errors
/// Those of `run` and of `picture`.
pub(crate) fn play<P>(
    film: Option<Film>,
    steps: u32,
    planes: &mut P,
    mut run: impl FnMut(&mut P, u32, u32) -> Result<(u32, bool), Error>,
    picture: impl Fn(&Film, u32, &P) -> Result<(), Error>,
) -> Result<(), Error> {
    let show = |done: u32, planes: &P| film.as_ref().map_or(Ok(()), |film| picture(film, done, planes));
    show(0, planes)?;
    let (mut done, mut goes_on) = (0, true);
    while goes_on && done < steps {
        let most = film.as_ref().map_or(steps, |film| film.after(done).min(steps));
        (done, goes_on) = run(planes, done, most)?;
        show(done, planes)?;
    }
    Ok(())
}
