//! What a run leaves besides its result: the page in a real browser, the trace, the JSON, the lines on a terminal.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;

use parfork_workers::picture;
use serde_json::Value;

use crate::browser::Browser;
use crate::fixture::{Fixture, children, has_worked_for, noise, photo, until, watched};

/// Runs jobs of all kinds; their pages.
fn pages(fixture: &Fixture) -> Vec<(&'static str, PathBuf)> {
    picture::save(fixture.path("photo.png"), &photo(3)).unwrap();
    fixture.save("a.npy", &noise((200, 300), 1));
    fixture.save("b.npy", &noise((300, 100), 2));
    fixture.ok("mandelbrot -o set.png --size 240x160 -q -n 4 --split tiles=20x30 --report set.html");
    fixture.ok("image photo.png -o out.png --filter gaussian:2,sobel,resize:40x40 -q -n 3 --schedule guided --report chain.html");
    fixture.ok("matmul a.npy b.npy -o c.npy -q -n 2 --engine threads --report product.html");
    fixture.ok("sum a.npy -q --engine serial --report sum.html");
    fixture.ok("mandelbrot -o many.png --size 100x2000 -q -n 8 --split rows=1 --iterations 50 --report many.html");
    with_death(fixture);
    ["set", "chain", "product", "sum", "many", "death"].map(|name| (name, fixture.path(&format!("{name}.html")))).into()
}

/// A run one of whose workers is killed.
fn with_death(fixture: &Fixture) {
    let steps = if cfg!(debug_assertions) { 20_000 } else { 300_000 };
    let line = format!(
        "mandelbrot -o death.png --size 200x200 --center=-0.75,0.1 --zoom 8 --iterations {steps} -n 2 --report death.html \
         --trace death.json"
    );
    let child = fixture.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let victim = children(child.id(), 2)[0];
    // In a debug build a tenth of a second may go by before its first slice.
    until(|| has_worked_for(victim, 25));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    let output = watched(&line, child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let html = fs::read_to_string(fixture.path("death.html")).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(html.contains(&format!("(pid {victim}) was ended by signal 9")) && html.contains("in attempt 2"), "{told}");
}

#[test]
fn pages_stand_up_in_a_browser() {
    let Some(browser) = Browser::start() else { return };
    let fixture = Fixture::new();
    for (name, page) in pages(&fixture) {
        assert!(fs::metadata(&page).unwrap().len() < 2 << 20, "{name} is too large");
        for (width, dark, scripts) in
            [(360, false, true), (360, true, false), (1200, false, false), (1200, true, true), (800, false, true)]
        {
            let what = format!("{name}, {width} wide, dark: {dark}, scripts: {scripts}");
            browser.dress(width, dark, scripts);
            let visit = browser.visit(&page);
            assert!(visit.errors.is_empty(), "{what}: {visit:?}");
            let own = format!("file://{}", page.display());
            let is_own = |url: &String| *url == own || url.starts_with("data:");
            assert!(visit.requests.iter().all(is_own), "{what}: {visit:?}");
            let wide = browser.value("document.documentElement.scrollWidth");
            assert!(wide.as_u64().unwrap() <= u64::from(width), "{what}: {wide} wide");
            let tools = browser.value("getComputedStyle(document.querySelector('.tools')).display");
            assert_eq!(tools, if scripts { "flex" } else { "none" }, "{what}");
            let ground = browser.value("getComputedStyle(document.body).backgroundColor");
            assert_eq!(ground, if dark { "rgb(21, 24, 27)" } else { "rgb(251, 251, 250)" }, "{what}");
            let drawn = browser.value("[...document.querySelectorAll('.lanes svg rect')].filter(it => it.getBoundingClientRect().width > 0).length");
            assert!(drawn.as_u64().unwrap() > 4, "{what}: {drawn} pieces");
            let small = "[...document.querySelectorAll('p, td, th, li, dd, .name')].filter(it => parseFloat(getComputedStyle(it).fontSize) < 12).length";
            assert_eq!(browser.value(small), 0, "{what}: text too small to read");
            browser.picture(&format!(
                "{name}-{width}-{}{}",
                if dark { "dark" } else { "light" },
                if scripts { "" } else { "-noscript" }
            ));
        }
    }
}

#[test]
fn a_page_is_used_by_keyboard() {
    let Some(browser) = Browser::start() else { return };
    let fixture = Fixture::new();
    fixture.ok("mandelbrot -o set.png --size 240x160 -q -n 2 --report set.html");
    browser.dress(1200, false, true);
    browser.visit(&fixture.path("set.html"));
    let mut reached = BTreeMap::new();
    for _ in 0..30 {
        browser.press("Tab", 9);
        let name = browser
            .value("document.activeElement.tagName + ' ' + (document.activeElement.textContent || '').slice(0, 8)");
        *reached.entry(name.as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    for wanted in ["A Skip to", "BUTTON Zoom in", "BUTTON All", "svg", "SUMMARY All slic"] {
        assert!(reached.keys().any(|name| name.starts_with(wanted)), "{wanted} is not reached: {reached:?}");
    }
    let box_of = "document.querySelector('.lanes svg').getAttribute('viewBox')";
    assert_eq!(browser.value(box_of), "0 0 1000 20");
    browser.value("document.querySelectorAll('.lanes svg')[1].focus()");
    browser.press("+", 187);
    assert_eq!(browser.value(box_of), "250 0 500 20");
    browser.press("ArrowRight", 39);
    let told = browser.value("document.querySelector('.tools output').textContent");
    assert!(told.as_str().unwrap().contains(" at "), "{told}");
    browser.value("document.querySelector('[data-act=all]').click()");
    assert_eq!(browser.value(box_of), "0 0 1000 20");
}

#[test]
fn a_trace_has_a_track_for_each_and_its_slices_nest() {
    let fixture = Fixture::new();
    with_death(&fixture);
    let trace: Value = serde_json::from_slice(&fs::read(fixture.path("death.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let names: Vec<&str> =
        events.iter().filter(|it| it["name"] == "thread_name").map(|it| it["args"]["name"].as_str().unwrap()).collect();
    assert!(
        names[0].starts_with("coordinator") && names[1].starts_with("worker 0") && names[2].starts_with("worker 1"),
        "{names:?}"
    );
    assert!(events.iter().any(|it| it["ph"] == "i" && it["name"] == "death"));
    let mut tracks: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
    for event in events.iter().filter(|it| it["ph"] == "X") {
        let (begin, time) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
        let track = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        tracks.entry(track).or_default().push((begin, begin + time));
    }
    for (track, mut spans) in tracks {
        spans.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.total_cmp(&one.1)));
        let mut open: Vec<(f64, f64)> = Vec::new();
        for span in spans {
            // A thousandth of a microsecond is lost in a decimal number.
            open.retain(|outer| outer.1 > span.0 + 2e-3);
            assert!(open.iter().all(|outer| span.1 <= outer.1 + 2e-3), "{track:?}: {span:?} in {open:?}");
            open.push(span);
        }
    }
    let ends = |phase: &str| {
        let mut ids: Vec<u64> =
            events.iter().filter(|it| it["ph"] == phase).map(|it| it["id"].as_u64().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    assert!(!ends("s").is_empty() && ends("s") == ends("f") && ends("s").windows(2).all(|two| two[0] < two[1]));
}

#[test]
fn reports_for_programs_have_the_record() {
    let fixture = Fixture::new();
    fixture.save("x.npy", &noise((300, 1000), 5));
    for engine in ["processes", "threads", "serial"] {
        let run: Value =
            serde_json::from_str(&fixture.ok(&format!("sum x.npy --json -n 2 --engine {engine}"))).unwrap();
        assert_eq!(run["schema"], "parfork/1");
        let record = &run["jobs"][0]["record"];
        let sum: f64 = record["waterfall"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "total_seconds")
            .map(|(_, time)| time.as_f64().unwrap())
            .sum();
        let (total, wall) =
            (record["waterfall"]["total_seconds"].as_f64().unwrap(), record["wall_seconds"].as_f64().unwrap());
        assert!((sum - total).abs() < 1e-6 && wall == run["jobs"][0]["wall_seconds"].as_f64().unwrap(), "{engine}");
        let attempts = record["attempts"].as_array().unwrap();
        assert_eq!(attempts.len() as u64, run["jobs"][0]["slices"].as_u64().unwrap(), "{engine}");
        assert_eq!(record["options"]["engine"], engine);
        assert_documented(&run);
    }
    assert_documented(&serde_json::from_str(&fixture.ok("plan 10x10 -n 2 --json")).unwrap());
}

/// However the job is run, of a worker's time no more than a twentieth of the wall time is left without a cause.
#[test]
fn lost_time_is_explained() {
    let fixture = Fixture::new();
    for flags in
        ["-n 2", "-n 4 --schedule guided", "-n 3 --schedule static --guard", "-n 2 --engine threads", "--engine serial"]
    {
        let run: Value =
            serde_json::from_str(&fixture.ok(&format!("mandelbrot -o set.png --size 300x200 --json {flags}"))).unwrap();
        let record = &run["jobs"][0]["record"];
        let unexplained = record["waterfall"]["unexplained_seconds"].as_f64().unwrap();
        let wall = record["wall_seconds"].as_f64().unwrap();
        assert!(unexplained <= 0.05 * wall, "{flags}: {unexplained} of {wall} seconds have no cause");
        assert!(record["waterfall"]["computing_seconds"].as_f64().unwrap() > 0.0, "{flags}");
    }
}

/// Every field of a report for programs is in docs/json.md.
fn assert_documented(value: &Value) {
    let document = include_str!("../../../docs/json.md");
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                assert!(document.contains(&format!("`{key}`")), "docs/json.md does not tell of {key}");
                assert_documented(value);
            }
        }
        Value::Array(values) => values.iter().for_each(assert_documented),
        _ => {}
    }
}

/// Runs a command whose stderr is a terminal; what it shows there.
fn on_terminal(fixture: &Fixture, line: &str) -> String {
    let (mut ours, mut theirs) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: two live integers to be filled, and null where nothing is asked for or given.
    let made = unsafe { libc::openpty(&mut ours, &mut theirs, none, none.cast(), none.cast()) };
    assert_eq!(made, 0);
    // SAFETY: made just now, for us alone.
    let ours = unsafe { OwnedFd::from_raw_fd(ours) };
    // SAFETY: as above.
    let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
    let child = fixture.command(line).stdout(Stdio::null()).stderr(theirs).spawn().unwrap();
    // Read while it runs; the end comes as an error when the last who has the terminal is gone.
    let reader = std::thread::spawn(move || {
        let (mut text, mut bytes, mut terminal) = (Vec::new(), [0; 4096], fs::File::from(ours));
        while let Ok(length @ 1..) = terminal.read(&mut bytes) {
            text.extend_from_slice(&bytes[..length]);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    assert!(watched(line, child).status.success(), "{line}");
    reader.join().unwrap()
}

#[test]
fn a_terminal_is_told_who_did_what() {
    let fixture = Fixture::new();
    let line = "mandelbrot -o set.png --size 400x300 -n 3";
    let text = on_terminal(&fixture, line);
    for rank in 0..3 {
        assert!(text.contains(&format!("worker {rank} |")), "{text}");
    }
    assert!(text.contains(" busy, ") || text.contains(" faulting, "), "{text}");
    assert!(!on_terminal(&fixture, &format!("{line} -q")).contains("worker"));
    // Nobody sits behind a pipe.
    let output = fixture.run(line);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("worker 0 |"));
}

#[test]
fn a_job_that_fails_leaves_its_views() {
    let fixture = Fixture::new();
    let line = "mandelbrot -o endless.png --size 4000x4000 --center=-0.1,0 --zoom 50 --iterations 1000000 -n 2 --deadline 300ms \
                --report why.html --trace why.json";
    let output = fixture.run(line);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("after its deadline of 300ms"), "{text}");
    let html = fs::read_to_string(fixture.path("why.html")).unwrap();
    assert!(html.contains("This job failed:") && html.contains("after its deadline of 300ms"));
    let trace: Value = serde_json::from_str(&fs::read_to_string(fixture.path("why.json")).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().is_some_and(|events| !events.is_empty()));
    assert!(!fixture.path("endless.png").exists());
    // What is wrong before the job begins leaves none.
    fixture.fails("sum nowhere.npy --report none.html", 3, &["nowhere.npy"]);
    assert!(!fixture.path("none.html").exists());
}

#[test]
fn views_that_cannot_be_written_are_found_before_the_work() {
    let fixture = Fixture::new();
    fixture.save("x.npy", &noise((30, 10), 5));
    for flag in ["--report", "--trace"] {
        fixture.fails(&format!("sum x.npy {flag} nowhere/out"), 1, &["nowhere"]);
        fixture.fails(&format!("mandelbrot -o set.png {flag} nowhere/out"), 1, &["nowhere"]);
    }
    // A job that fails leaves no page.
    fixture.fails("matmul x.npy x.npy -o y.npy --report out.html", 3, &["do not multiply"]);
}
