//! Counts deaths by worker and by slice: which slices to run again, which to set aside, when to stop trying.

use std::collections::BTreeMap;

use super::ledger::UnfinishedSlice;
use crate::error::{Cause, ControlPageDamage, Death, Error, SliceName};
use crate::slices::Grid;

/// So many slices that nobody survives, and none that anybody ever did: it is not the slices.
const HOPELESS: usize = 8;

/// The deaths of a job so far.
pub(super) struct RetryTracker {
    retries: u32,
    /// Of each slice that was left undone by a death: how many workers died on it, and how the last one did.
    by_slice: BTreeMap<usize, (u32, Death)>,
    /// Rounds in a row in which nothing was done and no slice can be blamed.
    barren: u32,
    /// Every death, in the order they were noticed.
    deaths: Vec<Death>,
}

impl RetryTracker {
    pub(super) fn new(retries: u32) -> Self {
        Self { retries, by_slice: BTreeMap::new(), barren: 0, deaths: Vec::new() }
    }

    /// Counts the deaths of a round, after which the slices `left` were not done: each is blamed on the slice that the dead worker
    /// had.
    pub(super) fn count(&mut self, deaths: Vec<Death>, left: &[UnfinishedSlice], grid: &Grid, progress: bool) {
        let mut blamed = false;
        for death in deaths {
            let could_begin = !matches!(death.cause, Cause::Program { began: false, .. });
            let left = left.iter().find(|left| could_begin && left.on == Some(death.rank));
            let step = left.filter(|_| death.step.is_some()).map(|left| left.steps);
            let death = Death { slice: left.map(|left| SliceName(grid.region(left.slice))), step, ..death };
            if let Some(left) = left {
                blamed = true;
                let (tries, last) = self.by_slice.entry(left.slice).or_insert((0, death.clone()));
                // Another step of it is another try.
                *tries = if last.step == step { *tries + 1 } else { 1 };
                *last = Death { tries: *tries, ..death.clone() };
            }
            self.deaths.push(death);
        }
        self.barren = if progress || blamed { 0 } else { self.barren + 1 };
    }

    /// All deaths of a job that was completed in spite of them.
    pub(super) fn into_deaths(self) -> Vec<Death> {
        self.deaths
    }

    /// Whether a slice has killed more workers than it may.
    pub(super) fn is_set_aside(&self, slice: usize) -> bool {
        self.by_slice.get(&slice).is_some_and(|(tries, _)| *tries > self.retries)
    }

    /// Whether any has.
    pub(super) fn has_set_aside(&self) -> bool {
        self.by_slice.keys().any(|&slice| self.is_set_aside(slice))
    }

    /// Whether workers die without a slice to blame, again and again; or on slice after slice, when none of the job was ever `done`.
    pub(super) fn is_hopeless(&self, done: usize) -> bool {
        let aside = || self.by_slice.keys().filter(|&&slice| self.is_set_aside(slice)).count();
        self.barren > self.retries || done == 0 && aside() >= HOPELESS
    }

    /// What to say of a job that went on without the dead, of which so many slices are done: who died first, and who else.
    pub(super) fn first(mut self, done: usize) -> Error {
        if self.deaths.is_empty() {
            return self.error(done);
        }
        let first = self.deaths.remove(0);
        let others = self.deaths.iter().map(|death| death.rank).collect();
        Error::WorkerDied(Box::new(Death { done, others, ..first }))
    }

    /// What to say of a job that cannot be completed, of which so many slices are done.
    pub(super) fn error(mut self, done: usize) -> Error {
        let worst = self.by_slice.into_values().max_by_key(|(tries, _)| *tries).map(|(_, death)| death);
        match worst.or(self.deaths.pop()) {
            Some(death) => Error::WorkerDied(Box::new(Death { done, ..death })),
            None => Error::ControlPageDamaged { what: ControlPageDamage::Missing },
        }
    }
}
