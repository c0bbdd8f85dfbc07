//! What is measured and written: numbers that agree wherever they stand, and pages that open.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use parfork_workers::picture;
use serde_json::Value;

use super::{NOTE, SMALL, json, lines, names};
use crate::fixture::{Fixture, noise, photo, watched};

#[test]
fn everything_is_left_in_the_folder_and_agrees() {
    let fixture = Fixture::new();
    let line = SMALL.replace(" -q", "");
    let output = fixture.run(&format!("{line} --engines serial,threads,processes -o out"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.contains("25 runs, 5 of each of 5 setups"), "{told}");
    let plots = ["speedup", "efficiency", "throughput", "lost"];
    let files = plots.iter().map(|plot| format!("{plot}.svg"));
    let others = ["table.txt", "scaling.csv", "scaling.json", "index.html", "runs.jsonl"].map(str::to_owned);
    let others = others.into_iter().chain(["hyperfine.json", "extra-p.jsonl", "bencher.json"].map(str::to_owned));
    assert_eq!(names(&fixture.path("out")), files.chain(others).collect());
    // The table on stdout is the one on disk.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), fs::read_to_string(fixture.path("out/table.txt")).unwrap());

    let json = json(&fixture, "out/scaling.json");
    assert_eq!((json["schema"].as_u64(), json["scaling"].as_str()), (Some(1), Some("strong")));
    assert!(json["others_cpus"].as_f64().is_some_and(|others| others >= 0.0));
    let series = json["series"].as_array().unwrap();
    let engines: Vec<&str> = series.iter().map(|series| series["engine"].as_str().unwrap()).collect();
    assert_eq!(engines, ["serial", "threads", "processes"]);
    let reference = median(&series[0]["points"][0]["run_seconds"]);
    assert_eq!(series[0]["points"][0]["speedup"]["value"].as_f64(), Some(1.0));
    let mut rows = lines(&fixture, "out/scaling.csv").into_iter().skip(1);
    for series in series {
        assert_eq!(series["speedup_over"]["who"], "serial");
        for point in series["points"].as_array().unwrap() {
            let (workers, middle) = (point["workers"].as_f64().unwrap(), median(&point["run_seconds"]));
            assert_eq!(point["run_seconds"].as_array().unwrap().len(), 5);
            let near = |value: &Value, expected: f64| (value["value"].as_f64().unwrap() / expected - 1.0).abs() < 1e-9;
            assert!(near(&point["seconds"], middle) && near(&point["speedup"], reference / middle), "{point}");
            assert!(near(&point["efficiency"], reference / middle / workers), "{point}");
            // Karp and Flatt's formula in another form: (p / S - 1) / (p - 1). A process has some MiB at least, as the text of this program.
            let serial_fraction = (workers * middle / reference - 1.0) / (workers - 1.0);
            let serial = &point["serial_fraction"];
            assert!(if workers == 1.0 { serial.is_null() } else { near(serial, serial_fraction) }, "{point}");
            assert!((1 << 20..1 << 32).contains(&point["peak_memory_bytes"].as_u64().unwrap()), "{point}");
            let row = rows.next().unwrap();
            let cells: Vec<&str> = row.split(',').collect();
            assert_eq!(cells[0], series["engine"].as_str().unwrap());
            assert!((cells[8].parse::<f64>().unwrap() - middle).abs() < 1e-8, "{row}");
        }
    }
    assert_eq!(rows.next(), None);
    exports_have_the_same_times(&fixture, series);
    for plot in plots {
        let svg = fs::read_to_string(fixture.path(&format!("out/{plot}.svg"))).unwrap();
        assert!(
            svg.contains("<title") && svg.contains("<desc") && !svg.contains("NaN") && !svg.contains("inf"),
            "{plot}"
        );
    }
}

/// hyperfine's JSON has a result for each point, with its times; Extra-P's a line for each run; Bencher's the median in nanoseconds.
fn exports_have_the_same_times(fixture: &Fixture, series: &[Value]) {
    let (hyperfine, bencher) = (json(fixture, "out/hyperfine.json"), json(fixture, "out/bencher.json"));
    let mut results = hyperfine["results"].as_array().unwrap().iter();
    let mut lines = lines(fixture, "out/extra-p.jsonl").into_iter();
    for (series, point) in
        series.iter().flat_map(|one| one["points"].as_array().unwrap().iter().map(move |point| (one, point)))
    {
        let (result, times) = (results.next().unwrap(), &point["run_seconds"]);
        assert_eq!(
            (&result["times"], &result["parameters"]["workers"]),
            (times, &Value::from(point["workers"].to_string()))
        );
        let all: Vec<f64> = times.as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
        assert!((result["mean"].as_f64().unwrap() / (all.iter().sum::<f64>() / 5.0) - 1.0).abs() < 1e-9, "{result}");
        for time in &all {
            let line: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
            assert_eq!((&line["params"]["workers"], &line["callpath"]), (&point["workers"], &series["name"]));
            assert_eq!((line["value"].as_f64(), line["metric"].as_str()), (Some(*time), Some("time")));
        }
        let latency = &bencher[result["command"].as_str().unwrap()]["latency"];
        assert!((latency["value"].as_f64().unwrap() / median(times) - 1e9).abs() < 10.0, "{latency}");
    }
    assert_eq!((results.next(), lines.next()), (None, None));
}

fn median(times: &Value) -> f64 {
    let mut times: Vec<f64> = times.as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[test]
fn every_kernel_can_be_measured_on_made_up_and_on_given_inputs() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((40, 40), 1));
    picture::save(fixture.path("photo.png"), &photo(3)).unwrap();
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
        fixture.ok(&format!("scale {job} --workers 1,2 --engines serial,threads,processes --repeat 1 -q -o {folder}"));
        let json = json(&fixture, &format!("{folder}/scaling.json"));
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
    let fixture = Fixture::new();
    fixture.ok("scale sum --weak --sizes 100000 --workers 1,2 --engines processes --repeat 5 -q -o out");
    let json = json(&fixture, "out/scaling.json");
    let series = &json["series"][0];
    let sizes: Vec<&str> =
        series["points"].as_array().unwrap().iter().map(|point| point["size"].as_str().unwrap()).collect();
    assert_eq!((sizes, series["points"][1]["work"].as_f64()), (vec!["100000", "200000"], Some(2.0)));
    assert_eq!((json["scaling"].as_str(), series["fits"][0]["law"].as_str()), (Some("weak"), Some("Gustafson's law")));
    assert_eq!(series["speedup_over"]["who"], "processes with 1 worker");
}

#[test]
fn any_command_can_be_measured() {
    let fixture = Fixture::new();
    fs::write(fixture.path("note.sh"), NOTE).unwrap();
    fs::write(fixture.path("gate"), "much output that nobody reads\n").unwrap();
    fixture
        .ok("scale --workers 1,2,4 --sizes 7,9 --repeat 2 --warm-up 1 -q -o out exec -- sh note.sh {workers}-{size}");
    let mut calls: Vec<String> =
        lines(&fixture, "log").iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    calls.sort();
    let expected = [1, 2, 4].into_iter().flat_map(|workers| [7, 9].map(|size| format!("{workers}-{size} {workers}")));
    assert_eq!(calls, expected.flat_map(|call| [call.clone(), call.clone(), call]).collect::<Vec<_>>());
    let json = json(&fixture, "out/scaling.json");
    assert_eq!((json["series"].as_array().unwrap().len(), json["series"][1]["name"].as_str()), (2, Some("command 9")));
}

#[test]
fn more_workers_than_cpus_are_said_and_kept_out_of_fits() {
    let fixture = Fixture::new();
    let cpus = parfork::cpus();
    let line = SMALL.replace("1,2", &format!("1,{}", 4 * cpus));
    let output = fixture.run(&format!("{line} -o out"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success()
            && text.contains(&format!("warning: {} workers are more than the {cpus} CPU", 4 * cpus)),
        "{text}"
    );
    let out = json(&fixture, "out/scaling.json");
    let processes = &out["series"][1];
    assert_eq!(processes["fitted_workers"], serde_json::json!([1]));
    assert_eq!(processes["points"][1]["oversubscribed"], true);
    assert!(processes["fits"][0]["error"].as_str().unwrap().contains("2 parameters"), "{processes}");
    fixture.ok(&format!("{line} -o out --fit-oversubscribed"));
    assert_eq!(json(&fixture, "out/scaling.json")["series"][1]["fitted_workers"], serde_json::json!([1, 4 * cpus]));
}

/// In a real browser, where there is one: nothing is fetched, nothing is wider than a telephone, and something is to be seen.
#[test]
fn the_page_opens_in_a_browser() {
    let fixture = Fixture::new();
    fixture.ok(&format!("{} --engines serial,threads,processes -o out", SMALL));
    let page = fs::read_to_string(fixture.path("out/index.html")).unwrap();
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
    fs::write(fixture.path("probe.html"), page.replace("</body>", tell)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=500,900"])
            .args(arguments);
        command.arg(format!("--user-data-dir={}", fixture.path("profile").display()));
        command.arg(format!("file://{}", fixture.path("probe.html").display()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        String::from_utf8_lossy(&watched("in the browser", child).stdout).into_owned()
    };
    let dom = run(&["--dump-dom"]);
    let told =
        dom.split("data-wide=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("the page was not shown");
    let numbers: Vec<usize> = told.split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(numbers[0] <= numbers[1], "{} pixels wide in a window of {}", numbers[0], numbers[1]);
    assert_eq!(&numbers[2..], [4, 5 * 11]);
    run(&["--screenshot=shot.png", &format!("--screenshot={}", fixture.path("shot.png").display())]);
    let shot = picture::read(fixture.path("shot.png")).unwrap();
    let picture::Picture::U8(pixels) = shot else { panic!("a screenshot has 8 bits") };
    let colours: BTreeSet<&[u8]> = pixels.as_slice().chunks_exact(pixels.shape()[2]).collect();
    assert!(colours.len() > 20, "{} colours", colours.len());
}

fn found(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}
