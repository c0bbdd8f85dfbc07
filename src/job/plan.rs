//! What a job comes to, before anything is made for it: its slices, its workers, and whether its settings can be kept.

use std::ops::Range;

use super::cpus;
use crate::engine::{Engine, MOST_WORKERS};
use crate::engines::{OutputProtection, WorkerPool};
use crate::error::{CrewError, Error, Result, StepsError};
use crate::hooks::Hooks;
use crate::lend::{Loan, cut};
use crate::slices::{Grid, Schedule};
use crate::spec::{JobSpec, RetryPolicy};
use crate::sys::memory::Access;
use crate::sys::reserve::Late;

/// What a job comes to.
pub(super) struct Plan {
    pub(super) grid: Grid,
    /// The numbers of the slices that are run.
    pub(super) run: Range<usize>,
    pub(super) workers: usize,
    /// How often each slice is worked on, if planes are lent; else 0.
    pub(super) steps: u32,
    /// Whether every worker has one slice, so that all can meet.
    pub(super) meets: bool,
    /// How many places there are for what slices hand on: two in turn, or one each if they may be tried again.
    pub(super) carries: usize,
}

impl Plan {
    /// Cuts what is lent. In `spec` the number of workers, the split and the schedule are decided then.
    ///
    /// # Errors
    /// If the array cannot be cut as asked, or a setting cannot be kept.
    pub(super) fn new(
        spec: &mut JobSpec,
        engine: Engine,
        hooks: &Hooks<'_>,
        (loans, ranges): (&[Loan<'_>], &[Range<usize>]),
        pool: Option<&WorkerPool>,
    ) -> Result<Self> {
        let (usual, most) = pool.map_or((cpus(), MOST_WORKERS), |pool| (pool.ranks(), pool.ranks()));
        let asked = spec.workers.unwrap_or(usual);
        if asked == 0 || asked > most {
            return Err(Error::Workers { asked, most });
        }
        loans.iter().try_for_each(|loan| loan.backing.own())?;
        let grid = cut(*spec.split.get_or_insert_default(), &spec.bounds, loans, ranges)?;
        check(spec, engine, hooks, loans, pool)?;
        let steps = steps(spec, loans, pool)?;
        let slices = grid.slices();
        if let Some(slice) = spec.only_slice.filter(|&slice| slice >= slices) {
            return Err(Error::NoSuchSlice { slice, slices });
        }
        let run = spec.only_slice.map_or(0..slices, |slice| slice..slice + 1);
        let workers = if engine == Engine::Serial { 1 } else { asked.min(run.len()).max(1) };
        spec.workers = Some(workers);
        let usual = if steps > 0 { Schedule::Static } else { Schedule::default() };
        let schedule = *spec.schedule.get_or_insert(usual);
        let meets = steps == 0 && schedule == Schedule::Static && run.len() == workers;
        let is_in_order = steps == 0 && schedule == Schedule::DYNAMIC && spec.only_slice.is_none();
        let carries = match is_in_order {
            false => 0,
            true if engine == Engine::Processes && spec.retries > 0 => slices,
            true => slices.min(2),
        };
        Ok(Self { grid, run, workers, steps, meets, carries })
    }

    /// How outputs are looked after.
    ///
    /// # Errors
    /// If there is no memory for copies of them, or it is `late` before these are there.
    pub(super) fn protection(
        &self,
        spec: &JobSpec,
        engine: Engine,
        loans: &[Loan<'_>],
        late: Late<'_>,
    ) -> Result<OutputProtection> {
        let undo = engine == Engine::Processes && spec.retries > 0 && spec.retry_policy == RetryPolicy::RestoreOutputs;
        OutputProtection::new(loans, &self.grid, undo, spec.guard, late)
    }
}

/// How often each slice is worked on, if planes are lent; else 0.
///
/// # Errors
/// If that cannot be, or other settings cannot be kept then.
fn steps(spec: &JobSpec, loans: &[Loan<'_>], pool: Option<&WorkerPool>) -> Result<u32> {
    if loans.iter().all(|loan| loan.margins.is_none()) {
        let alone =
            spec.depth.map(|depth| StepsError::Depth { depth, why: "no Planes are lent, and so there are no steps" });
        let alone = spec.steps.map(|steps| StepsError::NoPlanes { steps }).or(alone);
        return alone.map_or(Ok(0), |error| Err(error.into()));
    }
    let steps = spec.steps.unwrap_or(1);
    let restores = spec.retries > 0 && spec.retry_policy == RetryPolicy::RestoreOutputs;
    let is_in_another_order = spec.schedule.is_some_and(|schedule| schedule != Schedule::Static);
    let refused = [
        (spec.guard, "a guard", "the cells that a slice reads are on pages with those that others write"),
        (
            restores,
            "copies of what was there before",
            "a step writes over what the one before the last has left; say body_overwrites()",
        ),
        (
            is_in_another_order,
            "this schedule",
            "a worker keeps its slices from step to step, as a static schedule has it",
        ),
        (spec.continue_after_death, "going on without the dead", "others need what they would have written"),
        (
            spec.retries > 0 && pool.is_some_and(WorkerPool::coordinator_works),
            "retries on a crew whose coordinator works",
            "it cannot wait for a slice and replace who died on it",
        ),
    ];
    match refused.into_iter().find(|(asked, ..)| *asked) {
        _ if steps == 0 => Err(StepsError::None.into()),
        _ if spec.depth == Some(0) => Err(StepsError::Depth { depth: 0, why: "1 is one step after the other" }.into()),
        Some((_, what, why)) => Err(StepsError::Setting { what, why }.into()),
        None => spec.only_slice.map_or(Ok(steps), |slice| Err(StepsError::OnlySlice { slice }.into())),
    }
}

/// Refuses settings that cannot be kept.
fn check(
    spec: &JobSpec,
    engine: Engine,
    hooks: &Hooks<'_>,
    loans: &[Loan<'_>],
    pool: Option<&WorkerPool>,
) -> Result<()> {
    let is_away = loans.iter().any(|loan| loan.base.is_none());
    let coordinator_works = pool.is_some_and(WorkerPool::coordinator_works);
    if is_away && coordinator_works {
        return Err(CrewError::MappedFile.into());
    }
    if spec.continue_after_death && coordinator_works {
        return Err(CrewError::CoordinatorWorks.into());
    }
    let needs_processes = match (is_away, hooks.sandbox()) {
        (true, _) => Some("a mapped file"),
        (false, Some(_)) => Some("a sandbox"),
        (false, None) => spec.only_for_processes(),
    };
    match needs_processes {
        Some(what) if engine != Engine::Processes => Err(Error::Engine { what, engine }),
        _ if engine == Engine::Processes
            && spec.retries > 0
            && spec.retry_policy == RetryPolicy::Forbid
            && loans.iter().any(|loan| loan.access == Access::Write) =>
        {
            Err(Error::RetriesForbidden { retries: spec.retries })
        }
        _ => Ok(()),
    }
}
