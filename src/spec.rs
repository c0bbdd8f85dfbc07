//! A job as plain data: what can be set, each setting with its meaning.
//!
//! A setting is a line of [`settings!`], of which are made the fields of [`JobSpec`], the builder's methods ([`Job`](crate::Job)), what a
//! crew's workers are told, the refusal by engines that cannot keep it, and what records show; then it is read where it acts.

mod value;

use std::time::Duration;

use crate::slices::{Schedule, Split};
use value::SettingType;

pub use value::SettingValue;

/// Hands every setting to a macro. Each has
///
/// - its description, which is the documentation of the field and of the method;
/// - `plain`, and then the [`Default`] of its type; or `optional`, and then it is an `Option`, and its default depends on the machine,
///   the array or the kernel, or it has none;
/// - `any` engine that keeps it, or only worker `processes`, and then the others refuse it;
/// - its name, its type, and what it is called in words.
macro_rules! settings {
    ($then:ident) => {
        $then! {
            /// How many workers; by default as many as there are [`cpus`](crate::cpus), or all of a crew. Never more are made than there
            /// are slices.
            optional any workers: usize, "workers";

            /// How the array is cut; by default into rows, or as the kernel likes it best.
            optional any split: Split, "split";

            /// Where the slices of the axis that is cut end, in ascending order, the last at the axis' own end; by default they are nearly
            /// equal, or as the split says. [`by_weight`](crate::slices::by_weight) finds such ends for rows of uneven weight.
            ///
            /// ```
            /// use parfork::{Job, Shared, Split};
            /// let mut cells = Shared::<u8, _>::zeros(100)?;
            /// let job = Job::new(&mut cells).split(Split::rows()).bounds(vec![10, 15, 100]);
            /// let lengths = job.run(|_, slice| slice.len())?;
            /// assert_eq!(lengths[..], [10, 5, 85]);
            /// # Ok::<(), parfork::Error>(())
            /// ```
            plain any bounds: Vec<usize>, "bounds";

            /// How slices are given out; by default one at a time to whoever is free, and in jobs of [steps](crate::Job::steps) fixed runs.
            optional any schedule: Schedule, "schedule";

            /// How many steps are done on [`Planes`](crate::Planes), each of which reads what the one before wrote; by default 1. The
            /// answers are those of the last.
            ///
            /// A worker keeps its slices from step to step, as with [`Schedule::Static`], the only other schedule that such a job
            /// takes. After a death the steps that are done stay so; a slice that killed more workers than there are retries ends the
            /// job, for all others wait for it sooner or later.
            optional any steps: u32, "steps";

            /// How many [steps](crate::Job::steps) a worker goes on with a part of the array while that is in its cache, before it goes on
            /// to the next part; by default 1. Where arrays are larger than caches, a plate of cells then comes from memory once for so
            /// many steps.
            ///
            /// It is an order of work and changes no result. A worker needs many slices for it, of which as many as the depth and two more
            /// fit its cache, in both planes: `Split::rows().of(8)`, say.
            optional any depth: u32, "depth of steps";

            /// How often a slice is tried again after a worker process died on it. What a dead worker left undone is done by others; a
            /// slice that kills them all is set aside, all others are done, and the error names it. By default 0: the first death ends
            /// the job.
            ///
            /// A dead worker may have written part of its slice. So a job that lends outputs must say why that does not matter:
            /// [`body_overwrites`](crate::Job::body_overwrites) or [`restore_outputs`](crate::Job::restore_outputs).
            ///
            /// Nothing is tried again in jobs whose workers can [`barrier`](crate::Worker::barrier) (see
            /// [`continue_after_death`](crate::Job::continue_after_death) for those), nor when a body returns an error.
            plain any retries: u32, "retries";

            /// Whether processes that [`barrier`](crate::Worker::barrier) go on when one of them dies: it is taken off every meeting,
            /// whether it had come or not, and the others meet without it. When they have finished, the job ends with the error that
            /// names the dead ([`Error::WorkerDied`](crate::Error::WorkerDied)), and what the others wrote is in place. By default they
            /// are all told instead, and the job ends.
            ///
            /// The bodies must not need what a dead one would have written. One that returns early or with an error is not dead: that
            /// still ends the meeting for all.
            plain any continue_after_death: bool, "going on after a death";

            /// How long after the call the job ends with an error if it is not done; preparations and the gathering of answers count.
            /// Processes are killed; threads stop before their next slice; the serial engine looks at it before and after its slices
            /// alone.
            optional any deadline: Duration, "deadline";

            /// How long a worker process may take for one slice. One that takes longer is killed, whether it runs in circles, was
            /// stopped or waits in a system call; it then counts as dead. Time in which it waits for others at a
            /// [meeting](crate::Worker::barrier) does not count; the clock starts anew after each.
            ///
            /// Only for processes: nothing can end a thread in the middle of a slice.
            optional processes slice_deadline: Duration, "deadline for slices";

            /// To how many threads BLAS, OpenMP and rayon are held in each worker process; by default 1, for each worker has a CPU.
            /// 0 leaves them as they are.
            ///
            /// Sets `OMP_NUM_THREADS`, `OPENBLAS_NUM_THREADS`, `MKL_NUM_THREADS`, `BLIS_NUM_THREADS`, `NUMEXPR_NUM_THREADS`,
            /// `VECLIB_MAXIMUM_THREADS` and `RAYON_NUM_THREADS` in workers, and tells OpenBLAS, MKL, BLIS, FlexiBLAS and OpenMP where
            /// they are loaded. This process's own stay as they are.
            optional any threads_per_worker: usize, "threads of libraries in a worker";

            /// Whether each worker process is bound to a CPU: neighbours in rank to CPUs that share as little as possible (core, cache,
            /// memory), round and round if there are more workers than CPUs. By default the system moves them as it likes, which is
            /// better where others want the CPUs too.
            plain processes pin: bool, "binding to CPUs";

            /// How many bytes of memory of its own a worker process may have beyond what it began with: an allocation beyond that
            /// fails, and Rust code aborts then. What is lent does not count. What counts is what a worker asks the system for, touched
            /// or not (RLIMIT_DATA); a thread takes 2 to 8 MiB for its stack.
            ///
            /// Only for processes.
            optional processes memory_limit: u64, "limit of memory";

            /// Whether each worker process can write to nothing of what was lent but the slice it works on, while it works on it. A
            /// stray write to the rest ends that worker alone, and the error says where it was meant for.
            ///
            /// Where every slice of an output fills pages of memory alone, this is done by their protection, for some microseconds a
            /// slice. Otherwise a worker has a private copy of the pages of its slice, and its bytes are copied to the output when the
            /// body has returned: a write beyond the slice, but on its pages, is then lost without a trace.
            ///
            /// Only for processes.
            plain processes guard: bool, "guard";

            /// The number of the one slice that is run, by one worker, while all other cells stay as they are: to look again at a slice
            /// on which a job failed. There is one answer then, that slice's.
            optional any only_slice: usize, "slice that is run alone";

            /// Whether each worker reads its own memory when it is done, for the [`Report`](crate::Report). Costs some milliseconds.
            plain any measure_memory: bool, "measuring of memory";

            /// Whether a record is kept of who did what when, and of what it cost, for the [`Report`](crate::Report):
            /// [`crate::record`] has the views of it. Costs less than a hundredth of a job whose slices take 100 us or more, and some
            /// 0.1 ms after it.
            ///
            /// A job that fails returns no report: it goes [elsewhere](crate::Job::on_failure).
            #[cfg(feature = "record")]
            plain any record: bool, "record";
        }
    };
}
pub(crate) use settings;

/// The type of a setting's field.
macro_rules! setting_type {
    (optional $type:ty) => { Option<$type> };
    (plain $type:ty) => { $type };
}

/// Whether a setting is for worker processes alone.
macro_rules! is_for_processes {
    (processes) => {
        true
    };
    (any) => {
        false
    };
}

macro_rules! define_spec {
    ($($(#[doc = $text:literal])* $(#[cfg($built:meta)])?
        $kind:ident $engines:ident $name:ident: $type:ty, $title:literal;)*) => {
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
            $($(#[doc = $text])* $(#[cfg($built)])? pub $name: setting_type!($kind $type),)*
        }

        impl JobSpec {
            /// All settings but the name and the retry policy, for those who show them.
            pub fn settings(&self) -> Vec<Setting> {
                vec![$($(#[cfg($built)])? Setting {
                    name: stringify!($name),
                    title: $title,
                    value: SettingType::value(Some(&self.$name)),
                },)*]
            }

            /// The first of those settings that only worker processes can keep and that is not as it is by default.
            pub(crate) fn only_for_processes(&self) -> Option<&'static str> {
                let default = Self::default();
                $($(#[cfg($built)])? if is_for_processes!($engines) && self.$name != default.$name {
                    return Some(concat!("a ", $title));
                })*
                None
            }

            /// Appends those settings as words, for processes that were forked before the job was known.
            pub(crate) fn write(&self, words: &mut Vec<u64>) {
                $($(#[cfg($built)])? SettingType::write(&self.$name, words);)*
            }

            /// Reads what [`write`](Self::write) wrote; `None` if it is not that.
            pub(crate) fn read(words: &mut impl Iterator<Item = u64>) -> Option<Self> {
                Some(Self {
                    $($(#[cfg($built)])? $name: SettingType::read(words)?,)*
                    ..Self::default()
                })
            }
        }
    };
}

settings!(define_spec);

/// One setting of a job, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The field of [`JobSpec`].
    pub name: &'static str,
    /// What it is called in words.
    pub title: &'static str,
    /// What it is set to.
    pub value: SettingValue,
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Specs in each of which other settings are set.
    fn specs() -> [JobSpec; 4] {
        [
            JobSpec::default(),
            JobSpec {
                workers: Some(3),
                steps: Some(7),
                depth: Some(8),
                bounds: vec![3, 9],
                retries: 2,
                only_slice: Some(4),
                threads_per_worker: Some(0),
                ..JobSpec::default()
            },
            JobSpec {
                split: Some(Split::tiles(5, 7).halo(2)),
                deadline: Some(Duration::from_millis(1500)),
                memory_limit: Some(0),
                guard: true,
                measure_memory: true,
                ..JobSpec::default()
            },
            JobSpec {
                schedule: Some(Schedule::Guided),
                slice_deadline: Some(Duration::from_nanos(1)),
                continue_after_death: true,
                pin: true,
                #[cfg(feature = "record")]
                record: true,
                ..JobSpec::default()
            },
        ]
    }

    #[test]
    fn each_setting_crosses_as_words() {
        let set: std::collections::BTreeSet<_> = specs()
            .iter()
            .flat_map(|spec| {
                spec.settings().into_iter().filter(|setting| !JobSpec::default().settings().contains(setting))
            })
            .map(|setting| setting.name)
            .collect();
        assert_eq!(set.len(), JobSpec::default().settings().len(), "of the settings only {set:?} are tried");
        for spec in specs() {
            let mut words = Vec::new();
            spec.write(&mut words);
            assert_eq!(JobSpec::read(&mut words.iter().copied()), Some(spec));
            words.pop();
            assert_eq!(JobSpec::read(&mut words.into_iter()), None);
        }
        let mut words = Vec::new();
        JobSpec { slice_deadline: Some(Duration::MAX), ..JobSpec::default() }.write(&mut words);
        assert!(JobSpec::read(&mut words.into_iter()).unwrap().slice_deadline.is_some());
        assert_eq!(JobSpec::read(&mut [9; 100].into_iter()), None);
    }

    #[test]
    fn what_only_processes_keep_is_found() {
        assert_eq!(
            specs().map(|spec| spec.only_for_processes()),
            [None, None, Some("a limit of memory"), Some("a deadline for slices")]
        );
    }

    #[cfg(all(feature = "serde", feature = "record"))]
    #[test]
    fn a_spec_crosses_as_json() {
        let named =
            JobSpec { name: Some("a job".to_owned()), retry_policy: RetryPolicy::RestoreOutputs, ..JobSpec::default() };
        for spec in specs().into_iter().chain([named]) {
            let text = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<JobSpec>(&text).unwrap(), spec, "{text}");
        }
        // What is not said has its default, and what does not exist is refused.
        let some: JobSpec = serde_json::from_str(r#"{"workers": 2, "schedule": {"dynamic": {"chunk": 3}}}"#).unwrap();
        assert_eq!((some.workers, some.schedule.unwrap().to_string()), (Some(2), "dynamic=3".to_owned()));
        assert!(serde_json::from_str::<JobSpec>(r#"{"wokers": 2}"#).is_err());
        assert!(serde_json::from_str::<JobSpec>(r#"{"schedule": {"dynamic": {"chunk": 0}}}"#).is_err());
    }
}
