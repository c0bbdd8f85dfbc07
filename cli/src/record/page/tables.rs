//! What a page says in tables: nothing that is drawn is only drawn.

use std::fmt::Write as _;

use super::super::units::{bytes, count, duration, percent, runs};
use parfork::{Report, SettingValue};

use super::super::{Memory, Part, Record, Usage};
use super::{Text, chip, colour};

/// Workers beyond this are only counted in tables.
const MOST_WORKERS: usize = 256;

/// Slices beyond this are only counted in the list.
const MOST_SLICES: usize = 300;

/// Which worker has which colour and which slices.
pub(super) fn legend(record: &Record<'_>, html: &mut String) {
    /// Longer lists of slices are cut.
    const MOST: usize = 48;
    let mut slices = vec![Vec::new(); record.workers.len()];
    record
        .attempts
        .iter()
        .filter(|attempt| attempt.done)
        .for_each(|attempt| slices[attempt.worker].push(attempt.slice));
    html.push_str("<ul class=\"legend\">\n");
    for (rank, slices) in slices.iter_mut().enumerate().take(32) {
        slices.sort_unstable();
        let mut list = runs(slices);
        if let Some((cut, _)) = list.char_indices().nth(MOST) {
            list.truncate(list[..cut].rfind(',').unwrap_or(cut));
            list.push_str(", ...");
        }
        let _ = writeln!(
            html,
            "<li>{} {}: <span class=\"note\">{list}</span></li>",
            chip(rank),
            count(slices.len(), "slice")
        );
    }
    if record.workers.len() > 32 {
        let _ = writeln!(html, "<li>and {} more workers</li>", record.workers.len() - 32);
    }
    html.push_str("</ul>\n");
}

/// Where the time of all workers went: each bar begins where the one above ends.
pub(super) fn waterfall(record: &Record<'_>, html: &mut String) {
    let waterfall = record.waterfall();
    let _ = writeln!(
        html,
        "<h3>Where the time went</h3>\n<p>{} of {} each make {} of workers' time.</p>\n<table class=\"fall\"><thead><tr>\
         <th>part</th><th class=\"num\">time</th><th class=\"num\">share</th><th class=\"bar\"></th><th class=\"why\">what it is</th>\
         </tr></thead><tbody>",
        count(record.workers.len(), "worker"),
        duration(record.report.wall),
        duration(waterfall.total)
    );
    let mut before = 0.0;
    for (part, time) in waterfall.parts() {
        let share = waterfall.share(part);
        // What there is none of is left out, but for what nobody can explain.
        if time.is_zero() && part != Part::Unexplained {
            continue;
        }
        let (left, width) = (before * 100.0, share * 100.0);
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{part}</th><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"bar\"><div \
             style=\"margin-left:{left:.2}%;width:{width:.2}%;--c:var(--{})\"></div></td><td class=\"why\">{}</td></tr>",
            duration(time),
            percent(share),
            colour(part),
            part.meaning()
        );
        before += share;
    }
    html.push_str("</tbody></table>\n");
    let _ = writeln!(
        html,
        "<p class=\"note\">Page faults are an estimate: {} minor faults in bodies, times {} that one took on these arrays after \
         the job, and at most the kernel's time that was counted. Before the first fork went {} of preparing, after the last \
         end {} of gathering; they are not in the total.</p>",
        (0..record.workers.len()).filter_map(|rank| record.usage(rank)).map(|usage| usage.minor_faults).sum::<u64>(),
        duration(record.fault_cost),
        duration(record.preparing),
        duration(record.gathering)
    );
}

/// Each worker's time, cost and memory.
pub(super) fn workers(record: &Record<'_>, html: &mut String) {
    html.push_str(
        "<h3>Workers</h3>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Table of workers\">\n<table><thead><tr>\
         <th>worker</th><th>process</th><th>time</th><th class=\"num\">computing</th><th class=\"num\">user</th>\
         <th class=\"num\">system</th><th class=\"num\">faults</th><th class=\"num\">went to sleep</th><th class=\"num\">lost its CPU</th>\
         <th class=\"num\">private</th><th class=\"num\">shared</th><th class=\"num\">peak resident</th></tr></thead><tbody>\n",
    );
    for (rank, share) in record.shares().iter().enumerate().take(MOST_WORKERS) {
        let worker = &record.workers[rank];
        let pids: Vec<String> = worker.lives.iter().map(|life| life.pid.to_string()).collect();
        let mut bar = String::new();
        for (part, _) in share.parts().filter(|(_, time)| !time.is_zero()) {
            let (width, colour, name) = (share.share(part) * 100.0, colour(part), part);
            let _ = write!(
                bar,
                "<i style=\"width:{width:.2}%;--c:var(--{colour})\" title=\"{name} {}\"></i>",
                percent(width / 100.0)
            );
        }
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td class=\"num\">{}</td><td><span class=\"stack\">{bar}</span></td><td class=\"num\">{}</td>{}{}</tr>",
            chip(rank),
            if pids.is_empty() { "-".to_owned() } else { pids.join(", then ") },
            percent(share.share(Part::Computing)),
            costs(record.usage(rank)),
            memory(record.report.workers[rank].memory, record.usage(rank)),
        );
    }
    let _ = writeln!(
        html,
        "<tr><td>coordinator</td><td class=\"num\">{}</td><td></td><td></td>{}{}</tr>",
        record.coordinator_pid,
        "<td></td>".repeat(5),
        memory(record.coordinator_memory, None),
    );
    html.push_str("</tbody></table>\n</div>\n");
    if record.workers.len() > MOST_WORKERS {
        let _ = writeln!(html, "<p class=\"note\">And {} more workers.</p>", record.workers.len() - MOST_WORKERS);
    }
    html.push_str(
        "<p class=\"note\">Private: pages that no other process has; shared: those that others have too, the lent arrays \
         among them. Both at the end of the work, where it was asked for. Peak: the most that was in RAM at once, shared pages \
         included.</p>\n",
    );
}

fn costs(usage: Option<Usage>) -> String {
    let Some(usage) = usage else { return "<td class=\"num\">-</td>".repeat(5) };
    let cells = [
        duration(usage.user),
        duration(usage.system),
        (usage.minor_faults + usage.major_faults).to_string(),
        usage.voluntary_switches.to_string(),
        usage.involuntary_switches.to_string(),
    ];
    cells.map(|cell| format!("<td class=\"num\">{cell}</td>")).concat()
}

fn memory(memory: Option<Memory>, usage: Option<Usage>) -> String {
    let peak = usage.map(|usage| usage.peak_resident).filter(|&peak| peak > 0);
    let cells = [memory.map(|memory| memory.private), memory.map(|memory| memory.shared), peak];
    cells.map(|cell| format!("<td class=\"num\">{}</td>", cell.map_or("-".to_owned(), bytes))).concat()
}

/// The same segment at different addresses.
pub(super) fn addresses(record: &Record<'_>, html: &mut String) {
    html.push_str(
        "<h3>One memory, many addresses</h3>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Table of addresses\">\n\
         <table><thead><tr><th>array</th><th>segment</th><th class=\"num\">bytes</th><th>coordinator</th>",
    );
    let shown = record.workers.len().min(16);
    for rank in 0..shown {
        let _ = write!(html, "<th>worker {}</th>", chip(rank));
    }
    html.push_str("</tr></thead><tbody>\n");
    for (number, array) in record.arrays.iter().enumerate() {
        let shape: Vec<String> = array.shape.iter().map(ToString::to_string).collect();
        let kind = if array.output { "output" } else { "input" };
        let _ = write!(
            html,
            "<tr><td>{kind} {} {}</td><td class=\"num\">inode {}</td><td class=\"num\">{}</td><td><code>{:#x}</code></td>",
            Text(&shape.join("x")),
            Text(array.dtype),
            array.segment,
            bytes(array.bytes as u64),
            record.report.addresses[number]
        );
        for rank in 0..shown {
            match record.report.workers[rank].addresses[number] {
                0 => html.push_str("<td>-</td>"),
                at => {
                    let _ = write!(html, "<td><code>{at:#x}</code></td>");
                }
            }
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table>\n</div>\n");
    html.push_str(
        "<p class=\"note\">A row is one segment of memory. Each process that was lent it has mapped it at an address of its own; \
         the bytes are the same.</p>\n",
    );
    if record.workers.len() > shown {
        let _ = writeln!(html, "<p class=\"note\">And in {} more workers.</p>", record.workers.len() - shown);
    }
}

/// Who died, and what was tried again.
pub(super) fn deaths(record: &Record<'_>, html: &mut String) {
    html.push_str("<h3>Deaths and retries</h3>\n");
    if record.deaths.is_empty() {
        html.push_str("<p>No worker died, and nothing was tried again.</p>\n");
        return;
    }
    html.push_str("<ul class=\"deaths\">\n");
    for death in &record.deaths {
        let on = death.slice.map_or("between slices".to_owned(), |slice| {
            let after = |attempt: &&super::super::Attempt| attempt.slice == slice && attempt.done;
            let by = record.attempts.iter().find(after).map_or("nobody did it after that".to_owned(), |attempt| {
                let (worker, time) = (attempt.worker, duration(attempt.end.saturating_sub(death.at)));
                format!("worker {worker} had done it {time} later, in attempt {}", attempt.number)
            });
            format!("on slice {slice} {}; {by}", record.report.grid.region(slice))
        });
        let _ = writeln!(
            html,
            "<li>{} <strong>worker {}</strong> (pid {}) {} {}. The coordinator heard of it at {}.</li>",
            chip(death.worker),
            death.worker,
            death.pid,
            Text(&death.cause),
            Text(&on),
            duration(death.at)
        );
    }
    html.push_str("</ul>\n");
}

/// Every slice, where they are not too many.
pub(super) fn slices(record: &Record<'_>, html: &mut String) {
    let _ = write!(
        html,
        "<details><summary>All slices</summary>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Table of \
         slices\">\n<table><thead><tr><th class=\"num\">slice</th><th>cells</th><th>worker</th><th class=\"num\">attempt</th>\
         <th class=\"num\">began</th><th class=\"num\">took</th><th class=\"num\">faults</th></tr></thead><tbody>\n"
    );
    for attempt in record.attempts.iter().take(MOST_SLICES) {
        let died = if attempt.done { "" } else { ", died on it" };
        let _ = writeln!(
            html,
            "<tr><td class=\"num\">{}</td><td>{}</td><td>{}{died}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>\
             <td class=\"num\">{}</td><td class=\"num\">{}</td></tr>",
            attempt.slice,
            record.report.grid.region(attempt.slice),
            chip(attempt.worker),
            attempt.number,
            duration(attempt.begin),
            duration(attempt.time()),
            attempt.faults
        );
    }
    html.push_str("</tbody></table>\n</div>\n");
    if let Some(more @ 1..) = record.attempts.len().checked_sub(MOST_SLICES) {
        let _ = writeln!(html, "<p class=\"note\">And {more} more, in the JSON and in the trace.</p>");
    }
    html.push_str("</details>\n");
}

/// What was asked for, and of which machine.
pub(super) fn settings(record: &Record<'_>, html: &mut String) {
    let (Report { spec, engine, crew, .. }, machine) = (record.report, &record.machine);
    let mut facts = vec![("engine", format!("{engine}{}", if *crew { ", of a crew" } else { "" }))];
    facts.extend(spec.settings().into_iter().map(|setting| (setting.title, value(&setting.value))));
    let cpu = if machine.cpu.is_empty() { "unknown" } else { &machine.cpu };
    facts.push(("CPUs", format!("{} that can be used, {cpu}", machine.cpus)));
    facts.push(("memory", format!("{}, pages of {}", bytes(machine.memory), bytes(machine.page as u64))));
    facts.push(("kernel", machine.kernel.clone()));
    html.push_str("<h3>Settings and machine</h3>\n<dl>\n");
    for (name, value) in facts {
        let _ = writeln!(html, "<dt>{name}</dt><dd>{}</dd>", Text(&value));
    }
    html.push_str("</dl>\n");
}

fn value(value: &SettingValue) -> String {
    let shown = match value {
        SettingValue::Flag(is_set) => Some(if *is_set { "yes" } else { "no" }.to_owned()),
        SettingValue::Number(number) => number.map(|number| number.to_string()),
        SettingValue::Bytes(number) => number.map(bytes),
        SettingValue::Time(time) => time.map(duration),
        SettingValue::Choice(choice) => choice.clone(),
    };
    shown.unwrap_or_else(|| "not set".to_owned())
}
