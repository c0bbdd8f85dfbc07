//! The sum of a campaign: a row for each kind of fault.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::judge::Verdict;
use crate::watch::{End, Seen};

/// All trials so far.
#[derive(Default)]
pub(crate) struct Table {
    rows: BTreeMap<String, Row>,
    /// The same by what bodies do, and who runs them.
    bodies: BTreeMap<String, Row>,
    /// Trials in which a worker had to be continued.
    continued: u64,
}

#[derive(Clone, Default)]
struct Row {
    runs: u64,
    injected: u64,
    landed: u64,
    completed: u64,
    failed: u64,
    wrong: u64,
    hung: u64,
    left: u64,
    /// From a fault to the error, or from the coordinator's end to that of all it started; in which trial.
    after: Vec<(Duration, u64)>,
    /// The longest trial.
    wall: (Duration, u64),
}

impl Table {
    /// Counts a trial.
    pub(crate) fn count(&mut self, seen: &Seen) {
        self.continued += u64::from(seen.continued);
        let body = format!("{}, {}", seen.plan.engine.name(), seen.plan.body.name());
        for row in [self.rows.entry(seen.plan.kind()).or_default(), self.bodies.entry(body).or_default()] {
            row.count(seen);
        }
    }

    pub(crate) fn runs(&self) -> u64 {
        self.rows.values().map(|row| row.runs).sum()
    }

    /// How many trials are lost: wrong, hung, or with something left behind.
    pub(crate) fn lost(&self) -> u64 {
        self.rows.values().map(|row| row.wrong + row.hung + row.left).sum()
    }
}

/// Markdown.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (first, rows) in [("fault", &self.rows), ("engine and body", &self.bodies)] {
            writeln!(
                f,
                "| {first} | runs | injected | landed | completed, right | failed, as it should | wrong | hung | left behind | \
                 noticed after, ms: median | worst (trial) | longest, ms (trial) |"
            )?;
            writeln!(f, "|---|{}", "---:|".repeat(11))?;
            let mut all = Row::default();
            for (kind, row) in rows {
                row.write(kind, f)?;
                all.add(row);
            }
            all.write("**all**", f)?;
            writeln!(f)?;
        }
        let continued = self.continued;
        writeln!(
            f,
            "Trials in which a worker was stopped at birth, its coordinator ended, and it had to be continued: {continued}."
        )
    }
}

impl Row {
    fn count(&mut self, seen: &Seen) {
        self.runs += 1;
        self.injected += seen.plan.faults.len() as u64;
        self.landed += seen.landed;
        self.wall = self.wall.max((seen.wall, seen.number));
        let (column, after) = match seen.end {
            End::Judged(Verdict::Completed) => (&mut self.completed, None),
            End::Judged(Verdict::Failed { after }) => (&mut self.failed, after),
            End::Orphaned { after } => (&mut self.failed, after),
            End::Judged(Verdict::Wrong(_)) => (&mut self.wrong, None),
            End::Judged(Verdict::Left(_)) => (&mut self.left, None),
            End::Hung(_) => (&mut self.hung, None),
        };
        *column += 1;
        self.after.extend(after.map(|after| (after, seen.number)));
    }

    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.injected += other.injected;
        self.landed += other.landed;
        self.completed += other.completed;
        self.failed += other.failed;
        self.wrong += other.wrong;
        self.hung += other.hung;
        self.left += other.left;
        self.after.extend(&other.after);
        self.wall = self.wall.max(other.wall);
    }

    fn write(&self, kind: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut after = self.after.clone();
        after.sort();
        let milliseconds = |span: Duration| format!("{:.2}", span.as_secs_f64() * 1e3);
        let median = after.get(after.len() / 2).map_or_else(|| "-".to_owned(), |(span, _)| milliseconds(*span));
        let told = |(span, trial): &(Duration, u64)| format!("{} (#{trial})", milliseconds(*span));
        let worst = after.last().map_or_else(|| "-".to_owned(), told);
        let numbers =
            [self.runs, self.injected, self.landed, self.completed, self.failed, self.wrong, self.hung, self.left];
        let numbers = numbers.map(|number| number.to_string()).join(" | ");
        writeln!(f, "| {kind} | {numbers} | {median} | {worst} | {} |", told(&self.wall))
    }
}
