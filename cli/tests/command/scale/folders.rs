//! The folder of runs: stopped and gone on with, not mixed with others, compared with older ones.

use std::fs;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::{NOTE, NOTED, SMALL, json, lines, names};
use crate::fixture::{Fixture, until, watched};

/// What Ctrl-C leaves, and what SIGKILL leaves: all runs that were made, no process, and a folder that the same command goes on from.
#[test]
fn stopped_it_goes_on_where_it_was() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let fixture = Fixture::new();
        fs::write(fixture.path("note.sh"), NOTE).unwrap();
        nix::unistd::mkfifo(&fixture.path("gate"), Mode::S_IRWXU).unwrap();
        let child = fixture.command(NOTED).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until(|| lines(&fixture, "log").len() == 3);
        fixture.fails_in_folder("out", NOTED, 1, "another parfork scale is at work");
        let waits = lines(&fixture, "log")[2].split_once(' ').unwrap().0.to_owned();
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
        let kept = lines(&fixture, "out/runs.jsonl");
        assert_eq!(kept.len(), 3, "{kept:?}");
        if signal == Signal::SIGKILL {
            // As if the machine had stopped in the middle of a line.
            fs::write(fixture.path("out/runs.jsonl"), format!("{}\n{{\"round\": 1, \"eng", kept.join("\n"))).unwrap();
        }
        fs::remove_file(fixture.path("gate")).unwrap();
        fs::write(fixture.path("gate"), "").unwrap();
        let output = fixture.run(NOTED);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && text.contains("6 runs, 3 of each of 2 setups; 2 are there already"),
            "{text}"
        );
        let after = lines(&fixture, "out/runs.jsonl");
        assert_eq!((after.len(), &after[..3]), (7, &kept[..]));
        assert_eq!(lines(&fixture, "log").len(), 7, "two runs, the one that was stopped, and four");
        // More of them: only what is missing is run. Once more: nothing.
        fixture.ok(&NOTED.replace("--repeat 3", "--repeat 4"));
        assert_eq!(lines(&fixture, "log").len(), 9);
        fixture.ok(NOTED);
        assert_eq!(lines(&fixture, "log").len(), 9);
        assert_eq!(
            json(&fixture, "out/scaling.json")["series"][0]["points"][0]["run_seconds"].as_array().unwrap().len(),
            3
        );
        assert!(!names(&fixture.path("out")).contains("last-run.stderr"));
    }
}

#[test]
fn runs_of_different_things_do_not_mix() {
    let fixture = Fixture::new();
    fixture.ok(&format!("{SMALL} -o out"));
    for (line, words) in [
        (SMALL.replace("--iterations 50", "--iterations 51"), "another job"),
        (SMALL.replace("mandelbrot --sizes 60x40 --iterations 50", "sum --sizes 1000"), "another job"),
        (format!("{SMALL} --weak"), "another kind of scaling"),
        (format!("{SMALL} --guard"), "other settings"),
    ] {
        fixture.fails_in_folder("out", &format!("{line} -o out"), 3, words);
    }
    let ours = fs::read_to_string(fixture.path("out/runs.jsonl")).unwrap();
    let host = json(&fixture, "out/scaling.json")["runs_of"]["machine"]["host"].to_string();
    for (theirs, words) in [
        (ours.replace(&host, "\"elsewhere\""), "another machine"),
        (ours.replacen("\"schema\":1", "\"schema\":9", 1), "line 1 of out/runs.jsonl is not what"),
        (ours.replacen("\"seconds\":", "\"second\":", 1), "line 2 of out/runs.jsonl is not what"),
        ("something else\n".to_owned(), "line 1 of out/runs.jsonl is not what"),
        ("something else".to_owned(), "line 1 of out/runs.jsonl is not what"),
    ] {
        fs::write(fixture.path("out/runs.jsonl"), theirs).unwrap();
        fixture.fails_in_folder("out", &format!("{SMALL} -o out"), 3, words);
    }
    // Other numbers of workers, sizes and engines are more of the same.
    fs::write(fixture.path("out/runs.jsonl"), &ours).unwrap();
    fixture.ok(&format!("{} --engines serial,threads,serial -o out", SMALL.replace("60x40", "60x40,30x20,60x40")));
    assert_eq!(lines(&fixture, "out/runs.jsonl").len(), 1 + 15 + 5 + 10 + 10);
}

#[test]
fn times_are_compared_with_older_ones() {
    let fixture = Fixture::new();
    fixture.ok(&format!("{SMALL} -o old"));
    let told = fixture.ok(&format!("{SMALL} -o new --compare old/scaling.json"));
    assert_eq!(told.matches(" to ").count(), 3, "{told}");
    // Ten times as long before: ten times as fast now.
    let mut slow = json(&fixture, "old/scaling.json");
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
    fs::write(fixture.path("slow.json"), slow.to_string()).unwrap();
    let told = fixture.ok(&format!("{SMALL} -o new --compare slow.json"));
    assert_eq!(told.matches("faster").count(), 3, "{told}");
    assert!(told.contains("another machine"), "{told}");
    let other = SMALL.replace("--iterations 50", "--iterations 51");
    fixture.fails_in_folder("new", &format!("{other} -o other --compare old/scaling.json"), 3, "of another job");
    for name in ["nowhere.json", "new/runs.jsonl", "new/index.html"] {
        fixture.fails_in_folder("new", &format!("{SMALL} -o new --compare {name}"), 3, name);
    }
}

/// A link to a file of somebody else's, where the runs or what they say on stderr would go.
#[test]
fn links_lead_to_no_other_file() {
    for name in ["runs.jsonl", "last-run.stderr"] {
        let fixture = Fixture::new();
        fs::create_dir(fixture.path("out")).unwrap();
        fs::write(fixture.path("precious"), "").unwrap();
        std::os::unix::fs::symlink(fixture.path("precious"), fixture.path("out").join(name)).unwrap();
        fixture.refuses(&format!("{SMALL} -o out"), 1, name);
        assert_eq!(fs::read(fixture.path("precious")).unwrap(), b"", "{name}");
        // Nor is a FIFO waited for. What is taken away at the end is taken away then too.
        let _ = fs::remove_file(fixture.path("out").join(name));
        nix::unistd::mkfifo(&fixture.path("out").join(name), Mode::S_IRWXU).unwrap();
        fixture.refuses(&format!("{SMALL} -o out"), 1, name);
    }
}
