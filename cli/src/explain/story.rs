//! What is told of the job: steps of text, 80 columns wide, with the calls that were made in each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::calls::{Call, Event};

use super::act::{self, Facts, N, WORKERS};
use super::words::{BIRTH, CHANNELS, END, MAKING, MEMORY, WAITING, gloss, wrapped};
use crate::output;

/// All steps, each as it is printed.
pub fn tell(facts: &Facts, events: &[Event], unwatched: Option<&str>) -> Vec<String> {
    let mut explanation =
        Explanation { facts, events, glossed: BTreeSet::new(), steps: Vec::new(), page: String::new() };
    explanation.introduce(unwatched);
    explanation.made();
    explanation.filled();
    explanation.second();
    explanation.job();
    explanation.attached();
    explanation.worked();
    explanation.met();
    explanation.ended();
    explanation.gathered();
    explanation.removed();
    explanation.turn_page();
    explanation.steps
}

struct Explanation<'t> {
    facts: &'t Facts,
    events: &'t [Event],
    /// What was explained of calls already.
    glossed: BTreeSet<&'static str>,
    steps: Vec<String>,
    page: String,
}

impl Explanation<'_> {
    fn introduce(&mut self, unwatched: Option<&str>) {
        self.say(
            "One job, as it really happened: A and B are arrays of 4x4 numbers of 8 bytes, and 2 workers make B the mirror image \
             of A along its diagonal.",
        );
        match unwatched {
            None => self.say(
                "It ran a moment ago, watched call by call with ptrace. Addresses, process numbers and system calls are those of \
                 that run; such a run takes many times as long as one that nobody watches.",
            ),
            Some(reason) => self.say(&format!(
                "It ran a moment ago; addresses and process numbers are those of that run. Its system calls could not be seen, so \
                 the steps are told without them: {reason}"
            )),
        }
    }

    fn made(&mut self) {
        self.title("The coordinator makes A in shared memory");
        self.say(
            "128 bytes are asked for, and the kernel gives memory in pages of 4096. It is a file that lives in memory and has no \
             name: who has its descriptor can map it, and nobody else.",
        );
        let calls = self.of_coordinator(act::MAKE_A, act::FILL_A);
        self.show("coordinator", &calls, MEMORY);
        self.say(&format!("A is at {:#x} in the coordinator.", self.facts.own[0]));
    }

    fn filled(&mut self) {
        self.title("The coordinator writes A");
        let calls = self.of_coordinator(act::FILL_A, act::MAKE_B);
        self.say(&format!(
            "It is memory like any other: 16 numbers, {}.",
            self.count(calls.len(), "and writing them took", "to write them is a matter of the CPU alone")
        ));
        let own = self.facts.a;
        self.picture("A", &own, &|row| {
            if row == 0 { "bytes 0 to 127, written by the coordinator".into() } else { String::new() }
        });
    }

    fn second(&mut self) {
        self.title("The coordinator makes B");
        self.say("In the same way, a file of its own. It holds zeros: the kernel gives no page that still shows what was there before.");
        let calls = self.of_coordinator(act::MAKE_B, act::JOB);
        self.show("coordinator", &calls, MEMORY);
        self.say(&format!("B is at {:#x} in the coordinator.", self.facts.own[1]));
    }

    fn job(&mut self) {
        self.title("The job begins: a control page, and two forks");
        self.say(
            "The control page is a third piece of shared memory: which slice is free, taken or done, who is alive, the barriers. Then the \
             coordinator forks. A worker is a copy of it, but of A and B it finds nothing: MADV_DONTFORK has kept them out.",
        );
        let all = self.of_coordinator(act::JOB, act::GATHER);
        let forks = end_of_forks(&all);
        self.show("coordinator", &all[..forks], &[MAKING, BIRTH].concat());
        for rank in 0..WORKERS {
            self.say(&format!("worker {rank} is process {}", self.facts.workers[rank][0]));
        }
    }

    fn attached(&mut self) {
        self.title("Each worker maps what it was lent");
        self.say(
            "First it makes sure that nothing else comes to stand where the coordinator has its arrays: a stray pointer then ends \
             the worker instead of reading something else. A was lent to be read, so a write to it would be a fault. B was lent to be \
             written, in slices.",
        );
        for rank in 0..WORKERS {
            let calls = self.of_worker(rank, None, Some(act::BODY));
            match rank {
                0 => self.show("worker 0", &calls, MEMORY),
                _ => self.show_the_same(rank, &calls),
            }
        }
        let Facts { own, workers, .. } = self.facts;
        let row = |who: &str, a: String, b: String| format!("   {who:<12}{a:<18}{b}\n");
        let mut table = row("", "A is at".to_owned(), "B is at".to_owned());
        table.push_str(&row("coordinator", format!("{:#x}", own[0]), format!("{:#x}", own[1])));
        for (rank, [_, a, b]) in workers.iter().enumerate() {
            table.push_str(&row(&format!("worker {rank}"), format!("{a:#x}"), format!("{b:#x}")));
        }
        self.page.push_str(&table);
        self.say(
            "The addresses differ, for each process maps what it was lent where it likes. Behind those of A is one page of memory in all \
             processes, and behind those of B another: what one writes, the others read.",
        );
    }

    fn worked(&mut self) {
        self.title("Both work at the same time");
        let calls: usize =
            (0..WORKERS).map(|rank| self.of_worker(rank, Some(act::BODY), Some(act::WRITTEN)).len()).sum();
        self.say(&format!(
            "Each reads columns of A, which the coordinator has written, and writes its own rows of B: {}. No lock is needed, for no \
             byte belongs to two.",
            self.count(calls, "both together made", "loads and stores, and nothing that the system would be asked for")
        ));
        let b = self.facts.b;
        let half = N / WORKERS;
        self.picture("B", &b, &|row| match row % half {
            0 => {
                let (rank, bytes) = (row / half, 8 * N * half);
                let first = rank * bytes;
                format!("worker {rank}: bytes {first} to {}", first + bytes - 1)
            }
            _ => String::new(),
        });
    }

    fn met(&mut self) {
        self.title("They meet at a barrier");
        self.say(
            "Each wants the sum of all rows, and has its own. So each leaves that sum on the control page, and waits until the other has. The \
             barrier is a word there: who comes counts itself in, the last one lets all go; who has to wait looks at the word for a while and then \
             sleeps until the kernel is told to wake it (futex).",
        );
        for rank in 0..WORKERS {
            let calls = self.of_worker(rank, Some(act::WRITTEN), Some(act::MET));
            self.show(&format!("worker {rank}"), &calls, WAITING);
            if calls.is_empty() && !self.events.is_empty() {
                self.say(&format!(
                    "worker {rank} made no system call there: it had not to sleep, nor to wake anybody."
                ));
            }
        }
        let [[mine, other], _] = self.facts.sums;
        let whole = self.facts.sums.map(|sums| sums.into_iter().sum::<u64>());
        self.say(&format!(
            "After it both know {mine} and {other}: worker 0 makes {} of that, and worker 1 {}.",
            whole[0], whole[1]
        ));
    }

    fn ended(&mut self) {
        self.title("The workers are done and end");
        self.say(
            "Each has marked its slice as done on the control page and comes to a last barrier, where the coordinator waits for them, or for \
             the death of one. Then they are no longer needed: they leave, or are ended, whichever comes first.",
        );
        for rank in 0..WORKERS {
            let calls = self.of_worker(rank, Some(act::MET), None);
            self.show(&format!("worker {rank}"), &calls, &[WAITING, END].concat());
            if let Some(how) = self.end_of(rank) {
                self.say(&how);
            }
        }
        let all = self.of_coordinator(act::JOB, act::GATHER);
        let forks = end_of_forks(&all);
        self.show("coordinator", &all[forks..], &[WAITING, END].concat());
    }

    fn gathered(&mut self) {
        self.title("Gathered: the coordinator reads B");
        let calls = self.of_coordinator(act::GATHER, act::DROP);
        let moved = self.count(calls.len(), "reading took", "reading is a matter of the CPU alone");
        self.say(&format!(
            "The result is where it was written, at {:#x}; nothing has to be sent or copied ({moved}).",
            self.facts.own[1]
        ));
        let b = self.facts.b;
        self.picture("B", &b, &|row| if row == 0 { "read by the coordinator".into() } else { String::new() });
        if !self.events.is_empty() {
            let workers: BTreeSet<u32> = self.facts.workers.iter().map(|worker| worker[0] as u32).collect();
            let sent = self
                .events
                .iter()
                .filter_map(Event::call)
                .filter(|call| workers.contains(&call.pid) && CHANNELS.contains(&call.name.as_str()));
            let sent = sent.count();
            self.say(&format!(
                "Calls by which the workers could have sent bytes (write, send, splice and the like): {sent}."
            ));
        }
    }

    fn removed(&mut self) {
        self.title("Removed");
        self.say(
            "The coordinator drops A and B: unmapped, closed. Nobody else has them any more, so the kernel takes the memory back. There \
             is no name to be removed, and had the coordinator been killed instead, the same would have happened.",
        );
        let calls = self.of_coordinator(act::DROP, act::END);
        self.show("coordinator", &calls, MEMORY);
    }

    /// Begins a step.
    fn title(&mut self, title: &str) {
        self.turn_page();
        let number = self.steps.len();
        let _ = write!(self.page, "\n{number}. {title}\n");
    }

    fn turn_page(&mut self) {
        self.steps.push(std::mem::take(&mut self.page));
    }

    /// Says something, in lines that are not too long.
    fn say(&mut self, text: &str) {
        let indent = if self.steps.is_empty() { "" } else { "   " };
        self.page.push_str(&wrapped(text, indent, indent));
    }

    /// "no system call" or how many there were; without a watch what there is to say of it.
    fn count(&self, calls: usize, what: &str, unseen: &str) -> String {
        match (self.events.is_empty(), calls) {
            (true, _) => unseen.to_owned(),
            (false, 0) => format!("{what} no system call"),
            (false, calls) => format!("{what} {}", output::count(calls, "system call")),
        }
    }

    /// Calls of the coordinator between two of its marks.
    fn of_coordinator(&self, from: &str, to: &str) -> Vec<Call> {
        self.of(self.facts.coordinator as u32, Some(from), Some(to))
    }

    fn of_worker(&self, rank: usize, from: Option<&str>, to: Option<&str>) -> Vec<Call> {
        self.of(self.facts.workers[rank][0] as u32, from, to)
    }

    /// Calls of a process after one mark, or from its birth, and before another, or until its end.
    fn of(&self, pid: u32, from: Option<&str>, to: Option<&str>) -> Vec<Call> {
        let is = |event: &Event, name: Option<&str>| matches!(event, Event::Mark { text, .. } if Some(text.as_str()) == name);
        let own = self.events.iter().filter(|event| event.pid() == pid);
        let after = own.skip_while(|event| from.is_some() && !is(event, from)).skip(usize::from(from.is_some()));
        after.take_while(|event| !is(event, to)).filter_map(Event::call).cloned().collect()
    }

    /// How a worker ended.
    fn end_of(&self, rank: usize) -> Option<String> {
        let pid = self.facts.workers[rank][0] as u32;
        let leaves = self.of_worker(rank, None, None).iter().any(|call| call.name == "exit_group");
        self.events.iter().find_map(|event| match event {
            Event::Ended { pid: ended, status: Some(status), .. } if *ended == pid => {
                Some(format!("worker {rank} has left with status {status}."))
            }
            Event::Ended { pid: ended, .. } if *ended == pid && leaves => {
                Some(format!("worker {rank} was leaving when the coordinator ended it."))
            }
            Event::Ended { pid: ended, .. } if *ended == pid => {
                Some(format!("worker {rank} was ended by the coordinator before it had left."))
            }
            _ => None,
        })
    }

    /// Shows those calls that have one of these names, and counts the others.
    fn show(&mut self, who: &str, calls: &[Call], names: &[&str]) {
        if calls.is_empty() {
            return;
        }
        let _ = writeln!(self.page, "   {who}:");
        let mut others: BTreeMap<&str, usize> = BTreeMap::new();
        for same in calls.chunk_by(|one, next| one.to_string() == next.to_string()) {
            let (call, times) = (&same[0], same.len());
            // Of fcntl's many uses one is about memory.
            if !names.contains(&call.name.as_str()) || call.name == "fcntl" && !call.to_string().contains("SEALS") {
                *others.entry(&call.name).or_default() += times;
                continue;
            }
            let again = if times > 1 { format!("  ({times} times)") } else { String::new() };
            self.page.push_str(&wrapped(&format!("{call}{again}"), "     ", "         "));
            if let Some(gloss) = gloss(call, self.facts).filter(|gloss| self.glossed.insert(gloss)) {
                self.page.push_str(&wrapped(gloss, "       # ", "       # "));
            }
        }
        if !others.is_empty() {
            let list: Vec<String> = others.iter().map(|(name, many)| format!("{name} {many}")).collect();
            self.page.push_str(&wrapped(&format!("besides: {}", list.join(", ")), "     ", "       "));
        }
    }

    /// Shows of a worker's calls only those that map what was lent: the others are those of the worker before.
    fn show_the_same(&mut self, rank: usize, calls: &[Call]) {
        let shared: Vec<Call> = calls.iter().filter(|call| call.to_string().contains("MAP_SHARED")).cloned().collect();
        let (who, others) = (format!("worker {rank}"), calls.len() - shared.len());
        self.show(&who, &shared, MEMORY);
        if !shared.is_empty() {
            self.say(&format!("  and {others} others, like those of worker 0"));
        }
    }

    /// Draws an array, with a note beside each row.
    fn picture(&mut self, name: &str, cells: &[u64; N * N], note: &dyn Fn(usize) -> String) {
        let edge = "-".repeat(5 * N - 1);
        let _ = writeln!(self.page, "       +{edge}+");
        for (row, cells) in cells.chunks(N).enumerate() {
            let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>3} ")).collect();
            let label = if row == 0 { name } else { "" };
            let _ = writeln!(self.page, "{}", format!("   {label:<3} |{}| {}", cells.join("|"), note(row)).trim_end());
        }
        let _ = writeln!(self.page, "       +{edge}+");
    }
}

/// After how many of the calls all workers were forked.
fn end_of_forks(calls: &[Call]) -> usize {
    calls.iter().rposition(|call| BIRTH.contains(&call.name.as_str())).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::super::words::WIDTH;
    use super::*;

    #[test]
    fn without_a_watch_there_are_no_calls() {
        let steps = tell(&Facts::default(), &[], Some("the system refused to let a process be watched. Ask for it."));
        assert_eq!(steps.len(), 11);
        let text = steps.concat();
        assert!(
            text.contains("told without them") && !text.contains("coordinator:\n") && !text.contains("system call)")
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!((1..11).all(|number| text.contains(&format!("\n{number}. "))));
    }
}
