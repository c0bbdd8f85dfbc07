//! `parfork scale` as a user types it: what it runs, keeps, tells and leaves; stopped and gone on with; and what it refuses.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use parfork_workers::picture;
use serde_json::Value;

use crate::desk::{Desk, noise, photo, until, watched};

/// Small enough to be over in a moment.
const SMALL: &str = "scale mandelbrot --sizes 60x40 --iterations 50 --workers 1,2 --repeat 5 -q";

/// A command that notes how it was called; from its third call on it waits until somebody writes to `gate`, or the gate is a plain file.
const NOTE: &str = "echo $$ $1 $PARFORK_WORKERS >> log\n[ $(wc -l < log) -lt 3 ] || exec cat gate\n";
const NOTED: &str = "scale --workers 1,2 --repeat 3 --warm-up 0 -o out exec -- sh note.sh {workers}";

fn json(desk: &Desk, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(desk.path(name)).unwrap()).unwrap()
}

fn lines(desk: &Desk, name: &str) -> Vec<String> {
    fs::read_to_string(desk.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn everything_is_left_in_the_folder_and_agrees() {
    let desk = Desk::new();
    let line = SMALL.replace(" -q", "");
    let output = desk.run(&format!("{line} --engines serial,threads,processes -o out"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.contains("25 runs, 5 of each of 5 setups"), "{told}");
    let plots = ["speedup", "efficiency", "throughput", "lost"];
    let files = plots.iter().map(|plot| format!("{plot}.svg"));
    let others = ["table.txt", "scaling.csv", "scaling.json", "index.html", "runs.jsonl"].map(str::to_owned);
    assert_eq!(names(&desk.path("out")), files.chain(others).collect());
    // The table on stdout is the one on disk.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), fs::read_to_string(desk.path("out/table.txt")).unwrap());

    let json = json(&desk, "out/scaling.json");
    assert_eq!((json["schema"].as_u64(), json["scaling"].as_str()), (Some(1), Some("strong")));
    assert!(json["others_cpus"].as_f64().is_some_and(|others| others >= 0.0));
    let series = json["series"].as_array().unwrap();
    let engines: Vec<&str> = series.iter().map(|series| series["engine"].as_str().unwrap()).collect();
    assert_eq!(engines, ["serial", "threads", "processes"]);
    let reference = median(&series[0]["points"][0]["run_seconds"]);
    assert_eq!(series[0]["points"][0]["speedup"]["value"].as_f64(), Some(1.0));
    let mut rows = lines(&desk, "out/scaling.csv").into_iter().skip(1);
    for series in series {
        assert_eq!(series["speedup_over"]["who"], "serial");
        for point in series["points"].as_array().unwrap() {
            let (workers, middle) = (point["workers"].as_f64().unwrap(), median(&point["run_seconds"]));
            assert_eq!(point["run_seconds"].as_array().unwrap().len(), 5);
            let near = |value: &Value, expected: f64| (value["value"].as_f64().unwrap() / expected - 1.0).abs() < 1e-9;
            assert!(near(&point["seconds"], middle) && near(&point["speedup"], reference / middle), "{point}");
            assert!(near(&point["efficiency"], reference / middle / workers), "{point}");
            let row = rows.next().unwrap();
            let cells: Vec<&str> = row.split(',').collect();
            assert_eq!(cells[0], series["engine"].as_str().unwrap());
            assert!((cells[8].parse::<f64>().unwrap() - middle).abs() < 1e-8, "{row}");
        }
    }
    assert_eq!(rows.next(), None);
    for plot in plots {
        let svg = fs::read_to_string(desk.path(&format!("out/{plot}.svg"))).unwrap();
        assert!(
            svg.contains("<title") && svg.contains("<desc") && !svg.contains("NaN") && !svg.contains("inf"),
            "{plot}"
        );
    }
}

fn median(times: &Value) -> f64 {
    let mut times: Vec<f64> = times.as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[test]
fn every_kernel_can_be_measured_on_made_up_and_on_given_inputs() {
    let desk = Desk::new();
    desk.save("a.npy", &noise((40, 40), 1));
    picture::save(desk.path("photo.png"), &photo(3)).unwrap();
    for job in [
        "matmul --sizes 40x30x20 --dtype f32 --split tiles=8x8",
        "matmul a.npy a.npy",
        "image --sizes 40x30 --filter gaussian:1,sobel",
        "image photo.png --filter gray",
        "mean a.npy",
        "max --sizes 70000",
        "norm --sizes 70000 --schedules static,guided",
    ] {
        let folder = job.replace([' ', '/', '.', ',', ':', '='], "_");
        desk.ok(&format!("scale {job} --workers 1,2 --engines serial,threads,processes --repeat 1 -q -o {folder}"));
        let json = json(&desk, &format!("{folder}/scaling.json"));
        let count = if job.contains("schedules") { 5 } else { 3 };
        assert_eq!(json["series"].as_array().unwrap().len(), count, "{job}");
        assert!(
            json["warnings"][0].as_str().unwrap().contains("1 run of each are too few")
                || json["warnings"].as_array().unwrap().len() > 1
        );
    }
}

#[test]
fn weak_scaling_grows_the_job_and_fits_gustafson() {
    let desk = Desk::new();
    desk.ok("scale sum --weak --sizes 100000 --workers 1,2 --engines processes --repeat 5 -q -o out");
    let json = json(&desk, "out/scaling.json");
    let series = &json["series"][0];
    let sizes: Vec<&str> =
        series["points"].as_array().unwrap().iter().map(|point| point["size"].as_str().unwrap()).collect();
    assert_eq!((sizes, series["points"][1]["work"].as_f64()), (vec!["100000", "200000"], Some(2.0)));
    assert_eq!((json["scaling"].as_str(), series["fits"][0]["law"].as_str()), (Some("weak"), Some("Gustafson's law")));
    assert_eq!(series["speedup_over"]["who"], "processes with 1 worker");
}

#[test]
fn any_command_can_be_measured() {
    let desk = Desk::new();
    fs::write(desk.path("note.sh"), NOTE).unwrap();
    fs::write(desk.path("gate"), "much output that nobody reads\n").unwrap();
    desk.ok("scale --workers 1,2,4 --sizes 7,9 --repeat 2 --warm-up 1 -q -o out exec -- sh note.sh {workers}-{size}");
    let mut calls: Vec<String> =
        lines(&desk, "log").iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    calls.sort();
    let expected = [1, 2, 4].into_iter().flat_map(|workers| [7, 9].map(|size| format!("{workers}-{size} {workers}")));
    assert_eq!(calls, expected.flat_map(|call| [call.clone(), call.clone(), call]).collect::<Vec<_>>());
    let json = json(&desk, "out/scaling.json");
    assert_eq!((json["series"].as_array().unwrap().len(), json["series"][1]["name"].as_str()), (2, Some("command 9")));
}

/// What Ctrl-C leaves, and what SIGKILL leaves: all runs that were made, no process, and a folder that the same command goes on from.
#[test]
fn stopped_it_goes_on_where_it_was() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let desk = Desk::new();
        fs::write(desk.path("note.sh"), NOTE).unwrap();
        nix::unistd::mkfifo(&desk.path("gate"), Mode::S_IRWXU).unwrap();
        let child = desk.command(NOTED).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until(|| lines(&desk, "log").len() == 3);
        desk.fails_in_folder("out", NOTED, 1, "another parfork scale is at work");
        let waits = lines(&desk, "log")[2].split_once(' ').unwrap().0.to_owned();
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let output = watched(NOTED, child);
        if signal == Signal::SIGINT {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(130), "{text}");
            assert!(
                text.contains("stopped after 2 of 6 runs") && text.contains("The same command goes on from there"),
                "{text}"
            );
        }
        // The command that was being measured ends with it.
        until(|| fs::read_to_string(format!("/proc/{waits}/stat")).map_or(true, |stat| stat.contains(") Z ")));
        let kept = lines(&desk, "out/runs.jsonl");
        assert_eq!(kept.len(), 3, "{kept:?}");
        if signal == Signal::SIGKILL {
            // As if the machine had stopped in the middle of a line.
            fs::write(desk.path("out/runs.jsonl"), format!("{}\n{{\"round\": 1, \"eng", kept.join("\n"))).unwrap();
        }
        fs::remove_file(desk.path("gate")).unwrap();
        fs::write(desk.path("gate"), "").unwrap();
        let output = desk.run(NOTED);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && text.contains("6 runs, 3 of each of 2 setups; 2 are there already"),
            "{text}"
        );
        let after = lines(&desk, "out/runs.jsonl");
        assert_eq!((after.len(), &after[..3]), (7, &kept[..]));
        assert_eq!(lines(&desk, "log").len(), 7, "two runs, the one that was stopped, and four");
        // More of them: only what is missing is run. Once more: nothing.
        desk.ok(&NOTED.replace("--repeat 3", "--repeat 4"));
        assert_eq!(lines(&desk, "log").len(), 9);
        desk.ok(NOTED);
        assert_eq!(lines(&desk, "log").len(), 9);
        assert_eq!(
            json(&desk, "out/scaling.json")["series"][0]["points"][0]["run_seconds"].as_array().unwrap().len(),
            3
        );
        assert!(!names(&desk.path("out")).contains("last-run.stderr"));
    }
}

impl Desk {
    /// Runs a command that must fail so.
    fn refuses(&self, line: &str, code: i32, words: &str) {
        let output = self.run(line);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "parfork {line}: {text}");
        assert!(text.contains(words) && !text.contains("panicked"), "parfork {line}: {text} lacks {words}");
    }

    /// Runs one that must fail so, and change no runs in a folder.
    fn fails_in_folder(&self, folder: &str, line: &str, code: i32, words: &str) {
        let read = || fs::read_to_string(self.path(folder).join("runs.jsonl")).unwrap_or_default();
        let before = read();
        self.refuses(line, code, words);
        assert_eq!(read(), before, "parfork {line} changed runs");
    }
}

#[test]
fn runs_of_different_things_do_not_mix() {
    let desk = Desk::new();
    desk.ok(&format!("{SMALL} -o out"));
    for (line, words) in [
        (SMALL.replace("--iterations 50", "--iterations 51"), "another job"),
        (SMALL.replace("mandelbrot --sizes 60x40 --iterations 50", "sum --sizes 1000"), "another job"),
        (format!("{SMALL} --weak"), "another kind of scaling"),
        (format!("{SMALL} --guard"), "other settings"),
    ] {
        desk.fails_in_folder("out", &format!("{line} -o out"), 3, words);
    }
    let ours = fs::read_to_string(desk.path("out/runs.jsonl")).unwrap();
    let host = json(&desk, "out/scaling.json")["runs_of"]["machine"]["host"].to_string();
    for (theirs, words) in [
        (ours.replace(&host, "\"elsewhere\""), "another machine"),
        (ours.replacen("\"schema\":1", "\"schema\":9", 1), "line 1 of out/runs.jsonl is not what"),
        (ours.replacen("\"seconds\":", "\"second\":", 1), "line 2 of out/runs.jsonl is not what"),
        ("something else\n".to_owned(), "line 1 of out/runs.jsonl is not what"),
        ("something else".to_owned(), "line 1 of out/runs.jsonl is not what"),
    ] {
        fs::write(desk.path("out/runs.jsonl"), theirs).unwrap();
        desk.fails_in_folder("out", &format!("{SMALL} -o out"), 3, words);
    }
    // Other numbers of workers, sizes and engines are more of the same.
    fs::write(desk.path("out/runs.jsonl"), &ours).unwrap();
    desk.ok(&format!("{} --engines serial,threads,serial -o out", SMALL.replace("60x40", "60x40,30x20,60x40")));
    assert_eq!(lines(&desk, "out/runs.jsonl").len(), 1 + 15 + 5 + 10 + 10);
}

#[test]
fn a_rule_that_is_broken_fails_with_the_numbers() {
    let desk = Desk::new();
    desk.ok(&format!("{SMALL} -o out --fail-if seconds@1<0 --fail-if efficiency@2/processes>1000"));
    let output = desk.run(&format!("{SMALL} -o out --fail-if seconds@2>0 --fail-if efficiency@2<=1000"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("seconds with 2 workers is 0.") && text.contains("for processes, and --fail-if has seconds@2>0."),
        "{text}"
    );
    assert!(text.contains("efficiency with 2 workers is ") && text.contains("(95 %: "), "{text}");
    desk.fails_in_folder("out", &format!("{SMALL} -o out --fail-if speedup@3<1"), 2, "no such runs are made");
    desk.fails_in_folder("out", &format!("{SMALL} -o out --fail-if speed@2<1"), 2, "as in efficiency@2<0.9");
}

#[test]
fn times_are_compared_with_older_ones() {
    let desk = Desk::new();
    desk.ok(&format!("{SMALL} -o old"));
    let told = desk.ok(&format!("{SMALL} -o new --compare old/scaling.json"));
    assert_eq!(told.matches(" to ").count(), 3, "{told}");
    // Ten times as long before: ten times as fast now.
    let mut slow = json(&desk, "old/scaling.json");
    for series in slow["series"].as_array_mut().unwrap() {
        for time in series["points"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .flat_map(|point| point["run_seconds"].as_array_mut().unwrap())
        {
            *time = (time.as_f64().unwrap() * 1000.0).into();
        }
    }
    slow["runs_of"]["machine"]["host"] = "elsewhere".into();
    fs::write(desk.path("slow.json"), slow.to_string()).unwrap();
    let told = desk.ok(&format!("{SMALL} -o new --compare slow.json"));
    assert_eq!(told.matches("faster").count(), 3, "{told}");
    assert!(told.contains("another machine"), "{told}");
    let other = SMALL.replace("--iterations 50", "--iterations 51");
    desk.fails_in_folder("new", &format!("{other} -o other --compare old/scaling.json"), 3, "of another job");
    for name in ["nowhere.json", "new/runs.jsonl", "new/index.html"] {
        desk.fails_in_folder("new", &format!("{SMALL} -o new --compare {name}"), 3, name);
    }
}

#[test]
fn more_workers_than_cpus_are_said_and_kept_out_of_fits() {
    let desk = Desk::new();
    let cpus = parfork::cpus();
    let line = SMALL.replace("1,2", &format!("1,{}", 4 * cpus));
    let output = desk.run(&format!("{line} -o out"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success()
            && text.contains(&format!("warning: {} workers are more than the {cpus} CPU", 4 * cpus)),
        "{text}"
    );
    let out = json(&desk, "out/scaling.json");
    let processes = &out["series"][1];
    assert_eq!(processes["fitted_workers"], serde_json::json!([1]));
    assert_eq!(processes["points"][1]["oversubscribed"], true);
    assert!(processes["fits"][0]["error"].as_str().unwrap().contains("2 parameters"), "{processes}");
    desk.ok(&format!("{line} -o out --fit-oversubscribed"));
    assert_eq!(json(&desk, "out/scaling.json")["series"][1]["fitted_workers"], serde_json::json!([1, 4 * cpus]));
}

#[test]
fn what_cannot_be_run_is_refused() {
    let desk = Desk::new();
    desk.save("a.npy", &noise((3, 3), 1));
    for (line, code, words) in [
        ("scale", 2, "JOB"),
        ("scale frobnicate", 2, "frobnicate"),
        ("scale sum --workers 0", 2, "1 to 1024"),
        ("scale sum --workers 2,4 --engines processes", 2, "Add 1 to --workers, or serial to --engines"),
        ("scale --workers 2 exec -- true", 2, "Add 1 to --workers."),
        ("scale sum --sizes 3x4", 2, "a number of elements"),
        ("scale matmul --sizes 3x4", 2, "N or MxKxN"),
        ("scale image --sizes 34", 2, "WxH"),
        ("scale mandelbrot --sizes 0x4", 2, "above 0"),
        ("scale sum a.npy --sizes 34", 2, "an input has its size"),
        ("scale sum a.npy --weak", 2, "does not grow"),
        ("scale sum --weak --strong", 2, "cannot be used with"),
        ("scale matmul a.npy", 2, "<B>"),
        ("scale sum b.npy", 3, "b.npy cannot be read"),
        ("scale --repeat 0 sum", 2, "--repeat"),
        ("scale --deadline soon sum", 2, "not a time"),
        ("scale --engines threads exec -- true", 2, "a command has none"),
        ("scale --sizes 3 exec -- true", 2, "no {size}"),
        ("scale exec -- true {size}", 2, "Add --sizes"),
        ("scale --weak exec -- true", 2, "grows with the workers"),
        ("scale exec", 2, "COMMAND"),
        ("scale sum -o a.npy", 1, "cannot be made"),
        ("measure nonsense", 2, "Call that instead"),
    ] {
        desk.fails(line, code, &[words]);
    }
    for (line, code, words) in [
        ("scale --workers 1 -q -o out exec -- ./nothing", 3, "./nothing cannot be run"),
        ("scale --workers 1 -q -o out2 exec -- sh -c false", 1, "failed (exit status: 1). It said nothing."),
        ("scale image a.npy --workers 1 -q -o out3", 3, "a.npy"),
        ("scale sum --split diagonals -q -o out4", 2, "rows=64"),
        ("scale mandelbrot --sizes 9x9 --zoom 0 -q -o out5 --workers 1", 2, "zoom"),
    ] {
        desk.refuses(line, code, words);
    }
    nix::unistd::mkfifo(&desk.path("gate"), Mode::S_IRWXU).unwrap();
    let line = "scale --workers 1 -q --deadline 50ms -o late exec -- cat gate";
    desk.refuses(line, 1, "did not end within 50ms and was killed");
    // No run was made there, so nothing keeps another job out.
    desk.ok("scale sum --sizes 10 --workers 1 --repeat 1 -q -o late");
}

/// In a real browser, where there is one: nothing is fetched, nothing is wider than a telephone, and something is to be seen.
#[test]
fn the_page_opens_in_a_browser() {
    let desk = Desk::new();
    desk.ok(&format!("{} --engines serial,threads,processes -o out", SMALL));
    let page = fs::read_to_string(desk.path("out/index.html")).unwrap();
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    assert!(
        !addresses.contains("http") && !addresses.contains("<script") && !addresses.contains("url("),
        "it needs nothing else"
    );
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| found(name)) else {
        return eprintln!("not tested: there is no chromium");
    };
    // The page tells its own width, and what of it is wider.
    let tell = "<script>document.body.dataset.wide = [document.documentElement.scrollWidth, window.innerWidth, \
                document.querySelectorAll('svg').length, document.querySelectorAll('td').length].join(' ')</script></body>";
    fs::write(desk.path("probe.html"), page.replace("</body>", tell)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=500,900"])
            .args(arguments);
        command.arg(format!("--user-data-dir={}", desk.path("profile").display()));
        command.arg(format!("file://{}", desk.path("probe.html").display()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        String::from_utf8_lossy(&watched("in the browser", child).stdout).into_owned()
    };
    let dom = run(&["--dump-dom"]);
    let told =
        dom.split("data-wide=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("the page was not shown");
    let numbers: Vec<usize> = told.split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(numbers[0] <= numbers[1], "{} pixels wide in a window of {}", numbers[0], numbers[1]);
    assert_eq!(&numbers[2..], [4, 5 * 9]);
    run(&["--screenshot=shot.png", &format!("--screenshot={}", desk.path("shot.png").display())]);
    let shot = picture::read(desk.path("shot.png")).unwrap();
    let picture::Picture::U8(pixels) = shot else { panic!("a screenshot has 8 bits") };
    let colours: BTreeSet<&[u8]> = pixels.as_slice().chunks_exact(pixels.shape()[2]).collect();
    assert!(colours.len() > 20, "{} colours", colours.len());
}

fn found(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}
