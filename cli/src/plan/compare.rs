//! The schedules side by side: the same slices dealt to the same virtual workers in each way.

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use parfork::Schedule;
use parfork::slices::{Balance, PlannedSlice, plan};
use serde_json::{Value, json};

/// What all schedules make of some work.
pub struct Comparison {
    /// What is dealt, in words.
    pub what: String,
    /// In what costs are counted.
    pub unit: &'static str,
    pub costs: Vec<f64>,
    pub workers: usize,
    pub trials: Vec<Trial>,
}

/// What one schedule makes of it.
pub struct Trial {
    pub schedule: Schedule,
    pub planned: Vec<PlannedSlice>,
    pub balance: Balance,
}

impl Comparison {
    /// Deals by each schedule; the chunk of the one that has one is that of `asked`, if it has one that is more than a slice,
    /// or else what gives each worker some four of them.
    pub fn of(what: String, unit: &'static str, costs: Vec<f64>, workers: usize, asked: Schedule) -> Self {
        let usual = NonZeroUsize::new(costs.len() / (4 * workers)).filter(|chunk| chunk.get() > 1);
        let chunk = match asked {
            Schedule::Dynamic { chunk } if chunk.get() > 1 => chunk,
            _ => usual.unwrap_or(NonZeroUsize::MIN.saturating_add(1)),
        };
        let schedules = [Schedule::Static, Schedule::DYNAMIC, Schedule::Dynamic { chunk }, Schedule::Guided];
        let trial = |schedule| {
            let planned = plan(schedule, &costs, workers);
            Trial { schedule, balance: Balance::of(&planned, workers), planned }
        };
        let trials = schedules.map(trial).into();
        Self { what, unit, costs, workers, trials }
    }

    /// When the slowest is done.
    pub fn end(&self) -> f64 {
        self.trials.iter().map(|trial| trial.balance.makespan).fold(0.0, f64::max)
    }

    /// As a table.
    pub fn table(&self) -> String {
        let total: f64 = self.costs.iter().sum();
        let longest = self.costs.iter().copied().fold(0.0, f64::max);
        let shortest = self.costs.iter().copied().fold(longest, f64::min);
        let mut text = format!(
            "{}\nall slices together cost {} {unit}, the cheapest {}, the dearest {}\n\n",
            self.what,
            number(total),
            number(shortest),
            number(longest),
            unit = self.unit
        );
        text.push_str("schedule        makespan  x ideal  efficiency   asked  idle at the end\n");
        for Trial { schedule, balance, .. } in &self.trials {
            let Balance { makespan, efficiency, runs, .. } = *balance;
            let _ = writeln!(
                text,
                "{:<14} {:>9} {:>8} {:>10.1}% {runs:>7}  {:>14.1}%",
                schedule.to_string(),
                number(makespan),
                times(balance),
                100.0 * efficiency,
                100.0 * (1.0 - efficiency),
            );
        }
        let ideal = self.trials.first().map_or(0.0, |trial| trial.balance.ideal);
        let _ = writeln!(
            text,
            "\nideal: {} (an equal share of all work, or the dearest slice if that is more)\n\
             a simulation: all workers are equally fast, and to ask for slices takes no time",
            number(ideal)
        );
        text
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let trial = |trial: &Trial| {
            let Balance { makespan, ideal, efficiency, runs } = trial.balance;
            let mut busy = vec![0.0; self.workers];
            trial.planned.iter().for_each(|one| busy[one.rank] += one.end - one.start);
            json!({
                "schedule": trial.schedule.to_string(),
                "makespan": makespan,
                "ideal": ideal,
                "efficiency": efficiency,
                "runs": runs,
                "busy": busy,
            })
        };
        json!({
            "simulation": true,
            "workers": self.workers,
            "costs": self.costs,
            "schedules": self.trials.iter().map(trial).collect::<Vec<_>>(),
        })
    }
}

/// How many times as long as the ideal it takes.
pub fn times(balance: &Balance) -> String {
    format!("{:.2}", if balance.ideal > 0.0 { balance.makespan / balance.ideal } else { 1.0 })
}

/// A number in a few digits.
fn number(number: f64) -> String {
    match number {
        n if n >= 1e7 => format!("{n:.3e}"),
        n if n >= 100.0 || n.fract() == 0.0 => format!("{n:.0}"),
        n => format!("{n:.2}"),
    }
}
