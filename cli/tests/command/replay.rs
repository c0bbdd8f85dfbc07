//! One slice alone: to look again at one on which a job failed.

use std::fs;
use std::process::{Command, Stdio};

use parfork_workers::picture;

use crate::fixture::{Fixture, children, has_worked, noise, photo, until, watched};

#[test]
fn a_death_tells_the_command_that_runs_its_slice_alone() {
    let fixture = Fixture::new();
    picture::save(fixture.path("photo.png"), &photo(3)).unwrap();
    // The second filter and the rendering take seconds.
    let (size, sigma) = if cfg!(debug_assertions) { ("600x600", 60) } else { ("4000x4000", 200) };
    let chain = format!("image photo.png -o out.png -f resize:{size},gaussian:{sigma},gray --retries 0 -n 2");
    let rendering = format!("mandelbrot -o out.png --size {size} --iterations 5000 --retries 0 -n 2");
    for line in [&chain, &rendering] {
        let child = fixture.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut victim = 0;
        until(|| {
            // Of a chain each filter has new workers: the first that is in the middle of a slice.
            victim = children(child.id(), 2)[0];
            has_worked(victim)
        });
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
        let output = watched(line, child);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        let (what, again) = text.split_once(" To run that slice alone:\n  ").expect("a command to type");
        let slice = what.split_once("while it worked on slice ").unwrap().1.split_whitespace().next().unwrap();
        assert!(!what.contains("Job::"), "{text}");
        let filters = if *line == chain { "--until " } else { "" };
        assert!(again.contains(filters) && again.ends_with(&format!(" --only-slice {slice}\n")), "{text}");
        let before = fixture.everything();
        let child = Command::new("sh").args(["-c", again]).current_dir(fixture.0.path()).stderr(Stdio::piped()).spawn();
        let output = watched(again, child.unwrap());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{again}: {told}");
        assert!(told.contains(&format!("slice {slice} alone was run, and no result was written")), "{told}");
        assert_eq!(fixture.everything(), before);
    }
}

#[test]
fn one_slice_alone_writes_nothing() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((40, 40), 1));
    picture::save(fixture.path("photo.png"), &photo(3)).unwrap();
    for line in [
        "matmul a.npy a.npy -o c.npy --split rows=10 --only-slice 3 --verify",
        "image photo.png -o out.png -f gray,sobel --split rows=20 --only-slice 2 --verify",
        "mandelbrot -o set.png --size 64x64 --split rows=8 --only-slice 7 --verify",
        "sum a.npy --only-slice 0 --verify",
    ] {
        let before = fixture.everything();
        assert_eq!(fixture.ok(line), "", "{line}");
        assert_eq!(fixture.everything(), before, "{line}");
        let json: serde_json::Value = serde_json::from_str(&fixture.ok(&format!("{line} --json"))).unwrap();
        let jobs = json["jobs"].as_array().unwrap();
        let run = |job: &serde_json::Value| job["workers"][0]["slices"].clone();
        assert_eq!(run(&jobs[jobs.len() - 1]), serde_json::json!([json["only_slice"]]), "{line}");
    }
    fixture.fails("sum a.npy --only-slice 1", 2, &["slice 1 does not exist: the job has 1"]);
    // The picture of the first filter alone.
    fixture.ok("image photo.png -o one.png -f gray,sobel --until 1 -q");
    fixture.ok("image photo.png -o same.png -f gray -q");
    assert_eq!(fs::read(fixture.path("one.png")).unwrap(), fs::read(fixture.path("same.png")).unwrap());
}

#[test]
fn neighbours_in_a_chain_share_a_job_and_leave_the_same_bits() {
    let fixture = Fixture::new();
    picture::save(fixture.path("photo.png"), &photo(3)).unwrap();
    let chain = ["invert", "gaussian:2", "gamma:2.2", "brightness:-9", "sobel", "threshold:40"];
    let line = format!("image photo.png -o out.png -f {} -n 2 --verify", chain.join(","));
    let json: serde_json::Value = serde_json::from_str(&fixture.ok(&format!("{line} --json"))).unwrap();
    assert_eq!(json["jobs"].as_array().unwrap().len(), 2, "one that ends before sobel, and one that begins with it");
    let mut last = "photo.png".to_owned();
    for (n, filter) in chain.iter().enumerate() {
        fixture.ok(&format!("image {last} -o {n}.png -f {filter} -q"));
        last = format!("{n}.png");
    }
    assert_eq!(fs::read(fixture.path("out.png")).unwrap(), fs::read(fixture.path(&last)).unwrap());
    // A slice of the first job is one of what the chain up to its end ends with.
    fixture.ok(
        "image photo.png -o out.png -f invert,gaussian:2,gamma:2.2,brightness:-9,sobel --until 4 --only-slice 0 -q",
    );
}
