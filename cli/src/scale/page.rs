//! index.html: one page with everything, that opens from disk and needs nothing else.

use std::fmt::Write as _;

use super::draw::{escape, style};
use super::plots::Plot;
use super::study::{Point, Series, Study};
use super::table::{range, sentences, serial_part, subtitle, time};
use crate::output;

/// Colours of the page come from the plots' inks; wide things scroll in themselves, so that the page never does sideways.
const STYLE: &str = "
:root{color-scheme:light dark}
body{margin:0 auto;max-width:60rem;padding:1rem;font:1rem/1.5 Ubuntu,system-ui,'Segoe UI',sans-serif;background:#fff;color:#1f2328}
h1{font-size:1.5rem;margin:.5rem 0;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 .3rem}
p,li{max-width:46rem}figure{margin:1.5rem 0}figure svg{width:100%;height:auto;display:block}
.scroll{overflow-x:auto}.scroll:focus-visible,a:focus-visible{outline:3px solid #0072b2;outline-offset:2px}
.plot svg{min-width:34rem}figcaption,.small{font-size:.9rem;color:#57606a}
.warn{border-left:.3rem solid #d55e00;padding:.3rem .8rem;margin:.6rem 0;background:#fff4ec}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid #d0d7de;white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{border-bottom:2px solid #8b949e}code{overflow-wrap:anywhere}a{color:#0060a0}
";

const DARK: &str = "
body{background:#16191d;color:#e6e6e6}figcaption,.small{color:#a9b1ba}.warn{background:#33231a}
th,td{border-color:#3a4149}a{color:#7cc4f5}
";

/// The page.
pub fn html(study: &Study, plots: &[Plot]) -> String {
    let title = escape(&study.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}: scaling</title>\n\
         <style>{STYLE}{}@media (prefers-color-scheme: dark){{{DARK}{}}}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p>{}</p>\n",
        style(false),
        style(true),
        capital(&escape(&subtitle(study)))
    );
    for warning in &study.warnings {
        let _ = writeln!(page, "<p class=\"warn\"><strong>Note.</strong> {}</p>", escape(warning));
    }
    let _ = writeln!(page, "<h2 id=\"laws\">What the laws say</h2>");
    for series in study.series.iter().filter(|series| !series.fits.is_empty()) {
        let _ = writeln!(
            page,
            "<h3>{} <span class=\"small\">(speed-up over {})</span></h3>\n<ul>",
            escape(&series.name),
            escape(&series.reference.1)
        );
        sentences(series).iter().for_each(|sentence| {
            let _ = writeln!(page, "<li>{}</li>", escape(sentence));
        });
        page.push_str("</ul>\n");
    }
    let _ = writeln!(page, "<h2 id=\"plots\">Plots</h2>");
    for plot in plots {
        let (name, title) = (plot.name, escape(&plot.canvas.title));
        let _ = writeln!(
            page,
            "<figure><div class=\"scroll plot\" tabindex=\"0\" role=\"group\" aria-label=\"{title}\">{}</div>\n<figcaption>{} <a href=\"{name}.svg\">SVG</a></figcaption></figure>",
            plot.canvas.svg(name),
            escape(&plot.caption)
        );
    }
    page.push_str(&table(study));
    page.push_str(&method(study));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn table(study: &Study) -> String {
    let mut table = String::from(
        "<h2 id=\"numbers\">Numbers</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Table of all numbers\">\n<table>\n<thead><tr>\
         <th scope=\"col\">Series</th><th scope=\"col\">Workers</th><th scope=\"col\">Median</th><th scope=\"col\">95 %</th>\
         <th scope=\"col\">Noise</th><th scope=\"col\">Outliers</th><th scope=\"col\">Speed-up</th><th scope=\"col\">95 %</th>\
         <th scope=\"col\">Efficiency</th><th scope=\"col\">Serial part</th><th scope=\"col\">Memory</th></tr></thead>\n<tbody>\n",
    );
    let rows = study.series.iter().flat_map(|series| series.points.iter().map(move |point| row(series, point)));
    table.extend(rows);
    table.push_str("</tbody>\n</table>\n</div>\n<p class=\"small\">");
    if study.oversubscribed() {
        let _ = write!(table, "* more workers than the {}. ", output::count(study.cpus, "CPU"));
    }
    table.push_str(
        "Noise: the deviation that a normal distribution with the same median absolute deviation has. Outliers: runs more than 3.5 such \
         deviations from the median; the median is of all, intervals are of the others. Serial part: by \
         Karp and Flatt, as if nothing else kept workers from their full speed-up. Memory: what the largest process of a run had resident, \
         shared memory that it touched included. Also as <a href=\"table.txt\">text</a>, \
         <a href=\"scaling.csv\">CSV</a> and <a href=\"scaling.json\">JSON</a>, for <a href=\"hyperfine.json\">hyperfine's</a> \
         readers, <a href=\"extra-p.jsonl\">Extra-P</a> and <a href=\"bencher.json\">Bencher</a>; every run is in <a href=\"runs.jsonl\">runs.jsonl</a>.</p>\n",
    );
    table
}

fn row(series: &Series, point: &Point) -> String {
    format!(
        "<tr><td>{}</td><td>{}{}</td><td>{}</td><td>{} to {}</td><td>{:.1} %</td><td>{} of {}</td><td>{:.2}</td><td>{}</td><td>{:.1} %</td><td>{}</td><td>{}</td></tr>\n",
        escape(&series.name),
        point.workers,
        if point.oversubscribed { "*" } else { "" },
        time(point.seconds.value),
        time(point.seconds.low),
        time(point.seconds.high),
        100.0 * point.measured.noise(),
        point.measured.outliers().len(),
        point.measured.seconds.len(),
        point.speedup.value,
        range(point.speedup),
        100.0 * point.efficiency.value,
        serial_part(point),
        output::bytes(point.peak_memory)
    )
}

fn method(study: &Study) -> String {
    let machine = &study.identity["machine"];
    let text = |key: &str| escape(&machine[key].to_string().replace('"', ""));
    format!(
        "<h2 id=\"method\">How it was measured</h2>\n\
         <p>Every run is a process of its own. Each of {} rounds makes one run of everything, in an order drawn for that round (seed {}), so \
         that what changes on the machine meanwhile falls on all alike. Runs to warm up do not count. Medians have intervals by the \
         bootstrap: runs are drawn again with replacement. Laws are fitted to medians by least squares of throughput, in proportion; \
         with 5 runs or more of each, their intervals come from fits to runs drawn again, widened where medians lie further from the \
         curve than runs scatter (Birge's ratio). Laws are compared by the corrected Akaike criterion.</p>\n\
         <p class=\"small\">Machine: {} with {} CPUs for this program, {} GiB of memory, Linux {}, host {}. parfork {}.</p>\n\
         <p class=\"small\">Job: <code>{}</code>; settings: <code>{}</code></p>\n",
        study.repeat,
        study.seed,
        text("cpu"),
        text("cpus"),
        text("memory_gib"),
        text("kernel"),
        text("host"),
        escape(&study.identity["version"].to_string().replace('"', "")),
        escape(&study.identity["job"].to_string()),
        escape(&study.identity["settings"].to_string())
    )
}
