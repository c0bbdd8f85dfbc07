//! A job as plain data: what can be set, each setting with its meaning.
//!
//! A setting is a line of [`settings!`], of which both the fields of [`JobSpec`] and the builder's methods ([`Job`](crate::Job)) are
//! made; then it is read where it acts. One that a crew's workers need is told them in `engines/crew/spec_words.rs`.

use std::time::Duration;

use crate::slices::{Schedule, Split};

/// Hands every setting to a macro: what it is, its name, its type. An `optional` one is an `Option`, and has a default that depends on
/// the machine, the array or the kernel, or none; others have the [`Default`] of their type.
macro_rules! settings {
    ($then:ident) => {
        $then! {
            /// How many workers; by default as many as there are [`cpus`](crate::cpus), or all of a crew. Never more are made than there
            /// are slices.
            optional workers: usize,

            /// How the array is cut; by default into rows, or as the kernel likes it best.
            optional split: Split,

            /// How slices are given out; by default one at a time to whoever is free.
            plain schedule: Schedule,

            /// How many steps are done on [`Planes`](crate::Planes), each of which reads what the one before wrote; by default 1. The
            /// answers are those of the last.
            ///
            /// A worker keeps its slices from step to step, as with [`Schedule::Static`], the only other schedule that such a job
            /// takes. After a death the steps that are done stay so; a slice that killed more workers than there are retries ends the
            /// job, for all others wait for it sooner or later.
            optional steps: u32,

            /// How often a slice is tried again after a worker process died on it. What a dead worker left undone is done by others; a
            /// slice that kills them all is set aside, all others are done, and the error names it. By default 0: the first death ends
            /// the job.
            ///
            /// A dead worker may have written part of its slice. So a job that lends outputs must say why that does not matter:
            /// [`body_overwrites`](crate::Job::body_overwrites) or [`restore_outputs`](crate::Job::restore_outputs).
            ///
            /// Nothing is tried again in jobs whose workers can [`barrier`](crate::Worker::barrier) (see
            /// [`continue_after_death`](crate::Job::continue_after_death) for those), nor when a body returns an error.
            plain retries: u32,

            /// Whether processes that [`barrier`](crate::Worker::barrier) go on when one of them dies: it is taken off every meeting,
            /// whether it had come or not, and the others meet without it. When they have finished, the job ends with the error that
            /// names the dead ([`Error::WorkerDied`](crate::Error::WorkerDied)), and what the others wrote is in place. By default they
            /// are all told instead, and the job ends.
            ///
            /// The bodies must not need what a dead one would have written. One that returns early or with an error is not dead: that
            /// still ends the meeting for all.
            plain continue_after_death: bool,

            /// How long after the call the job ends with an error if it is not done; preparations and the gathering of answers count.
            /// Processes are killed; threads stop before their next slice; the serial engine looks at it before and after its slices
            /// alone.
            optional deadline: Duration,

            /// How long a worker process may take for one slice. One that takes longer is killed, whether it runs in circles, was
            /// stopped or waits in a system call; it then counts as dead. Time in which it waits for others at a
            /// [meeting](crate::Worker::barrier) does not count; the clock starts anew after each.
            ///
            /// Only for processes: nothing can end a thread in the middle of a slice.
            optional slice_deadline: Duration,

            /// To how many threads BLAS, OpenMP and rayon are held in each worker process; by default 1, for each worker has a CPU.
            /// 0 leaves them as they are.
            ///
            /// Sets `OMP_NUM_THREADS`, `OPENBLAS_NUM_THREADS`, `MKL_NUM_THREADS`, `BLIS_NUM_THREADS`, `NUMEXPR_NUM_THREADS`,
            /// `VECLIB_MAXIMUM_THREADS` and `RAYON_NUM_THREADS` in workers, and tells OpenBLAS, MKL, BLIS, FlexiBLAS and OpenMP where
            /// they are loaded. This process's own stay as they are.
            optional threads_per_worker: usize,

            /// Whether each worker process is bound to a CPU: neighbours in rank to CPUs that share as little as possible (core, cache,
            /// memory), round and round if there are more workers than CPUs. By default the system moves them as it likes, which is
            /// better where others want the CPUs too.
            plain pin: bool,

            /// How many bytes of memory of its own a worker process may have beyond what it began with: an allocation beyond that
            /// fails, and Rust code aborts then. What is lent does not count. What counts is what a worker asks the system for, touched
            /// or not (RLIMIT_DATA); a thread takes 2 to 8 MiB for its stack.
            ///
            /// Only for processes.
            optional memory_limit: u64,

            /// Whether each worker process can write to nothing of what was lent but the slice it works on, while it works on it. A
            /// stray write to the rest ends that worker alone, and the error says where it was meant for.
            ///
            /// Where every slice of an output fills pages of memory alone, this is done by their protection, for some microseconds a
            /// slice. Otherwise a worker has a private copy of the pages of its slice, and its bytes are copied to the output when the
            /// body has returned: a write beyond the slice, but on its pages, is then lost without a trace.
            ///
            /// Only for processes.
            plain guard: bool,

            /// The number of the one slice that is run, by one worker, while all other cells stay as they are: to look again at a slice
            /// on which a job failed. There is one answer then, that slice's.
            optional only_slice: usize,

            /// Whether each worker reads its own memory when it is done, for the [`Report`](crate::Report). Costs some milliseconds.
            plain measure_memory: bool,

            /// Whether a record is kept of who did what when, and of what it cost, for the [`Report`](crate::Report):
            /// [`crate::record`] has the views of it. Costs less than a hundredth of a job whose slices take 100 us or more, and some
            /// 0.1 ms after it.
            ///
            /// A job that fails returns no report: it goes [elsewhere](crate::Job::on_failure).
            #[cfg(feature = "record")]
            plain record: bool,
        }
    };
}
pub(crate) use settings;

/// The type of a setting's field.
macro_rules! setting_type {
    (optional $type:ty) => { Option<$type> };
    (plain $type:ty) => { $type };
}

macro_rules! define_spec {
    ($($(#[$meta:meta])* $kind:ident $name:ident: $type:ty,)*) => {
        /// What can be set for a job, as plain data; [`Job`](crate::Job)'s methods set it one by one. Who runs the job is a
        /// [`Runner`](crate::Runner), and what this process adds to it are [`Hooks`](crate::Hooks).
        ///
        /// ```
        /// use parfork::{Job, JobSpec, Shared, Split};
        /// let spec = JobSpec { workers: Some(2), split: Some(Split::cols()), ..JobSpec::default() };
        /// let mut cells = Shared::<u8, _>::zeros((9, 9))?;
        /// let done = Job::with(&mut cells, spec).run(|_, mut slice| slice.fill(7))?;
        /// assert_eq!(done.report().grid.slices(), 9);
        /// # Ok::<(), parfork::Error>(())
        /// ```
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
        pub struct JobSpec {
            /// What to call the job to those who look at what runs ([`watch`](crate::watch), `parfork top`), in 64 bytes; by default the
            /// name of the program.
            pub name: Option<String>,
            /// What makes it safe to try a slice again.
            pub retry_policy: RetryPolicy,
            $($(#[$meta])* pub $name: setting_type!($kind $type),)*
        }
    };
}

settings!(define_spec);

/// What a second try at a slice finds in it, for a worker that died may have written part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum RetryPolicy {
    /// Nobody has said whether that matters, so slices of outputs are not tried again.
    #[default]
    Forbid,
    /// Whatever the dead worker left: the body writes every cell before it reads it.
    BodyOverwrites,
    /// What was there before the job: each slice is copied before the body gets it, and put back before the next try.
    RestoreOutputs,
}

#[cfg(all(test, feature = "serde", feature = "record"))]
mod tests {
    use super::*;

    #[test]
    fn a_spec_crosses_as_json() {
        let spec = JobSpec {
            name: Some("a job".to_owned()),
            workers: Some(3),
            split: Some(Split::tiles(5, 7).halo(2)),
            schedule: Schedule::Guided,
            retries: 2,
            retry_policy: RetryPolicy::RestoreOutputs,
            deadline: Some(Duration::from_millis(1500)),
            guard: true,
            only_slice: Some(4),
            record: true,
            ..JobSpec::default()
        };
        for spec in [spec, JobSpec::default()] {
            let text = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<JobSpec>(&text).unwrap(), spec, "{text}");
        }
        // What is not said has its default, and what does not exist is refused.
        let some: JobSpec = serde_json::from_str(r#"{"workers": 2, "schedule": {"dynamic": {"chunk": 3}}}"#).unwrap();
        assert_eq!((some.workers, some.schedule.to_string()), (Some(2), "dynamic=3".to_owned()));
        assert!(serde_json::from_str::<JobSpec>(r#"{"wokers": 2}"#).is_err());
        assert!(serde_json::from_str::<JobSpec>(r#"{"schedule": {"dynamic": {"chunk": 0}}}"#).is_err());
    }
}
