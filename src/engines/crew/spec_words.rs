//! What a crew's workers need of a job's settings, as words: the one place that a setting is added to if workers act on it. All others
//! have their defaults there.

use std::time::Duration;

use crate::slices::{Schedule, Split};
use crate::spec::JobSpec;

/// How many words there are.
pub(super) const WORDS: usize = 4 + 1 + 1 + 2 + 2 + 3;

/// The words of these settings.
pub(super) fn write(spec: &JobSpec) -> [u64; WORDS] {
    let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let [kind, one, two, halo] = spec.split.unwrap_or_default().words();
    let [has_deadline, deadline] = optional(spec.slice_deadline.map(nanos));
    let [has_limit, limit] = optional(spec.memory_limit);
    let [guard, continues, measures] = [spec.guard, spec.continue_after_death, spec.measure_memory].map(u64::from);
    let steps = u64::from(spec.steps.unwrap_or(0));
    [
        kind,
        one,
        two,
        halo,
        spec.schedule.word(),
        steps,
        has_deadline,
        deadline,
        has_limit,
        limit,
        guard,
        continues,
        measures,
    ]
}

/// The settings that [`write()`] wrote; `None` if these are none.
pub(super) fn read(words: [u64; WORDS]) -> Option<JobSpec> {
    let [kind, one, two, halo, schedule, steps, has_deadline, deadline, has_limit, limit, guard, continues, measures] =
        words;
    Some(JobSpec {
        split: Some(Split::of_words([kind, one, two, halo])?),
        schedule: Schedule::of_word(schedule),
        steps: if steps == 0 { None } else { Some(u32::try_from(steps).ok()?) },
        slice_deadline: (has_deadline != 0).then(|| Duration::from_nanos(deadline)),
        memory_limit: (has_limit != 0).then_some(limit),
        guard: guard != 0,
        continue_after_death: continues != 0,
        measure_memory: measures != 0,
        ..JobSpec::default()
    })
}

fn optional(number: Option<u64>) -> [u64; 2] {
    [u64::from(number.is_some()), number.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_read_what_was_written_of_each_setting() {
        let none = JobSpec { split: Some(Split::rows()), ..JobSpec::default() };
        let specs = [
            none.clone(),
            JobSpec { split: Some(Split::tiles(3, 5).halo(2)), ..none.clone() },
            JobSpec { schedule: Schedule::Guided, ..none.clone() },
            JobSpec { steps: Some(7), ..none.clone() },
            JobSpec { slice_deadline: Some(Duration::from_millis(1500)), ..none.clone() },
            JobSpec { memory_limit: Some(0), ..none.clone() },
            JobSpec { guard: true, ..none.clone() },
            JobSpec { continue_after_death: true, ..none.clone() },
            JobSpec { measure_memory: true, ..none },
        ];
        for spec in specs {
            assert_eq!(read(write(&spec)), Some(spec));
        }
        let long = JobSpec { slice_deadline: Some(Duration::MAX), ..JobSpec::default() };
        assert!(read(write(&long)).unwrap().slice_deadline.is_some());
        assert_eq!(read([9; WORDS]), None);
    }
}
