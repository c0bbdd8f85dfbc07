//! The short forms of a job.

use bytemuck::Pod;

use crate::answer::{Answer, Answers};
use crate::crew::Crew;
use crate::engines::{Body, run_alone};
use crate::error::Result;
use crate::job::Job;
use crate::lend::Lend;
use crate::worker::Worker;

/// Forks `workers` processes which run `body` once for each slice of what is lent, and waits for them.
///
/// The body may borrow anything from its surroundings: each worker has a copy of this process as it is now, and what a body
/// changes there stays there. What comes back is what it writes to its slices of `&mut` arrays, and what it returns. Arrays
/// are cut into rows and dealt one slice at a time; a [`Job`] can be told otherwise, and can also run on threads.
///
/// ```
/// use parfork::Shared;
/// let photo = Shared::from_array(&ndarray::Array2::<u8>::from_elem((480, 640), 200))?;
/// let mut bright = Shared::<f32, _>::zeros_like(&photo)?;
/// let gain = 1.5;
/// parfork::fork(4, (&photo, &mut bright), |w, (photo, mut slice)| {
///     slice.zip_mut_with(&w.slice_of(photo), |out, &p| *out = f32::from(p) * gain);
/// })?;
/// assert!(bright.view().iter().all(|&value| value == 300.0));
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// Writing to what was lent to read does not compile:
/// ```compile_fail
/// # use parfork::Shared;
/// let photo = Shared::<u8, _>::zeros((480, 640))?;
/// parfork::fork(4, &photo, |w, mut photo| photo[[0, 0]] = 1)?;
/// # Ok::<(), parfork::Error>(())
/// ```
/// nor does keeping a slice beyond the loan, or lending the same array twice:
/// ```compile_fail
/// # use parfork::Shared;
/// let mut photo = Shared::<u8, _>::zeros((480, 640))?;
/// parfork::fork(4, (&photo, &mut photo), |_, (all, slice)| ())?;
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// # Errors
/// If this process has other threads; if processes cannot be made; if a worker dies, panics or its body returns an error: the
/// error then says which worker, on which slice, why. Outputs of a failed job are incomplete. No process is left in any case.
pub fn fork<L, R, K>(workers: usize, lent: L, body: impl Fn(&Worker<'_>, L::Part<'_>) -> R) -> Result<Answers<R::Value>>
where
    L: Lend,
    R: Answer<K>,
{
    let body = Body::<L, R, K, _>::new(body);
    let job = Job::new(lent).workers(workers);
    job.run_as::<R, K>(None, None, &mut |work, supervision, _| run_alone(work, &body, supervision))
}

impl Crew {
    /// Lets the crew's workers run `body` once for each slice of what is lent, handing it `argument`, and waits for them. The
    /// short form of [`Job::run_with`] on a crew.
    ///
    /// # Errors
    /// As [`fork`]; what an ended job leaves is the same, and the crew can be used on.
    pub fn run<L: Lend, A: Pod + Sync, R: Answer<K>, K>(
        &mut self,
        lent: L,
        argument: A,
        body: fn(&Worker<'_>, A, L::Part<'_>) -> R,
    ) -> Result<Answers<R::Value>> {
        Job::new(lent).crew(self).run_with(argument, body)
    }
}
