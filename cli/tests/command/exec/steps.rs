//! Programs that do steps on an array.

use std::process::Command;

use ndarray::{Array1, Array2};
use parfork::Shared;
use parfork::formats::npy;

use crate::fixture::Fixture;

/// What is done in a step of a rod of bytes, each of which becomes the sum of both neighbours and the number of the step. Planes begin with one
/// cell of margin. `DIES` is what it does before slice 0 of step 3.
const STEP: &str = r#"
    [ $step$start != 30 ] || { DIES; }
    cells=$(dd if=$old bs=1 skip=$((start + FIRST)) count=$((end - start + 2)) status=none | od -An -v -tu1 -w1 |
        awk -v step=$step '{ c[NR] = $1 } END { for (i = 2; i < NR; i++) printf "\\%03o", (c[i - 1] + c[i + 1] + step) % 256 }')
    printf "$cells" | dd of=$new bs=1 seek=$((start + FIRST + 1)) conv=notrunc status=none"#;

/// By a program that stays: descriptors of both planes are in the environment.
fn stays() -> String {
    let roles = "old=$PARFORK_PLANE0_ROD new=$PARFORK_PLANE1_ROD; [ $((step % 2)) = 0 ] || { old=$PARFORK_PLANE1_ROD new=$PARFORK_PLANE0_ROD; }";
    let other = r#"[ "$word" = step ] || { echo "failed $word"; continue; }"#;
    format!("while read -r word step start end; do\n{other}\n{roles}\n{STEP}\necho \"done $start $end\"\ndone")
}

/// By one that is started for each step of each slice.
fn each() -> String {
    let given = r#"[ $step/$start/$end = $PARFORK_STEP/$PARFORK_START/$PARFORK_END ] || exit 9"#;
    format!("step={{step}} start={{start}} end={{end}} old=$PARFORK_OLD_ROD new=$PARFORK_NEW_ROD\n{given}\n{STEP}")
}

/// What so many steps leave, and how far the first cell that is computed is from the plane's beginning, less one. Cells beyond edges
/// are `beyond` the index, or the outermost stay as they are.
fn naive(start: &[u8], steps: u32, beyond: Option<fn(isize, isize) -> isize>) -> Vec<u8> {
    let (mut now, length) = (start.to_vec(), start.len() as isize);
    for step in 0..steps {
        let at = |i: isize| now[beyond.map_or(i, |beyond| beyond(i, length)) as usize];
        now = (0..length)
            .map(|i| match beyond {
                None if i == 0 || i + 1 == length => now[i as usize],
                _ => at(i - 1).wrapping_add(at(i + 1)).wrapping_add(step as u8),
            })
            .collect();
    }
    now
}

fn rod(fixture: &Fixture) -> Vec<u8> {
    let start: Vec<u8> = (0..24).map(|i: u8| i.wrapping_mul(37)).collect();
    npy::save(fixture.path("start.npy"), Array1::from(start.clone()).view()).unwrap();
    start
}

#[test]
fn programs_do_steps_as_a_naive_loop() {
    let fixture = Fixture::new();
    let start = rod(&fixture);
    let ring: fn(isize, isize) -> isize = |i, length| i.rem_euclid(length);
    let same: fn(isize, isize) -> isize = |i, length| i.clamp(0, length - 1);
    for (border, first, beyond) in [("wrap", "0", Some(ring)), ("replicate", "0", Some(same)), ("keep", "-1", None)] {
        for (flag, script) in [("", stays()), ("--each", each())] {
            let script = script.replace("FIRST", first).replace("DIES", ":");
            let end = if border == "keep" { 23 } else { 24 };
            let uneven = format!("-n 2 --bounds 2,3,17,{end}");
            for how in ["-n 1", "-n 3 --split rows=5", "-n 2 --split rows=2 --depth 3", &uneven] {
                let line =
                    format!("--planes rod=start.npy --out rod=end.npy --steps 6 --border {border} {how} {flag} -q");
                fixture.exec_ok(&line, &script);
                assert_eq!(fixture.found("end.npy"), naive(&start, 6, beyond), "{line}");
            }
        }
    }
}

/// A tall plate of one column, whose cells have neighbours above and below alone.
#[test]
fn a_margin_may_differ_from_axis_to_axis() {
    let fixture = Fixture::new();
    let start = rod(&fixture);
    let tall = Array2::from_shape_vec((24, 1), start.clone()).unwrap();
    npy::save(fixture.path("tall.npy"), tall.view()).unwrap();
    let script = stays().replace("FIRST", "0").replace("DIES", ":");
    fixture.exec_ok("--planes rod=tall.npy --out rod=end.npy --steps 6 --border wrap --margin 1x0 -n 2 -q", &script);
    assert_eq!(fixture.found("end.npy"), naive(&start, 6, Some(|i, length| i.rem_euclid(length))));
}

/// A program that dies in a step is started anew, and does the rest from there.
#[test]
fn a_program_that_dies_in_a_step_costs_nothing_but_time() {
    for (flag, script) in [("", stays()), ("--each", each())] {
        let fixture = Fixture::new();
        let start = rod(&fixture);
        let dies = format!("mkdir {} 2>&- && kill -9 $$", fixture.path("died").display());
        let dies = script.replace("FIRST", "0").replace("DIES", &dies);
        let line = format!("--steps 6 --border wrap -n 2 --split rows=6 {flag}");
        let output =
            fixture.run_exec(&format!("--planes rod=start.npy --out rod=end.npy --retries 1 --json {line}"), &dies);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["jobs"][0]["deaths"].as_array().unwrap().len(), 1, "{report}");
        assert_eq!(fixture.found("end.npy"), naive(&start, 6, Some(|i, length| i.rem_euclid(length))));
        fixture.exec_fails(
            &format!("--planes rod=start.npy --out rod=other.npy --retries 0 {line}"),
            &script.replace("FIRST", "0").replace("DIES", "kill -9 $$"),
            1,
            &["step 3 of slice 0", "steps of 4 slices were done"],
        );
        assert!(!fixture.path("other.npy").exists());
    }
}

/// The client for C, by the example: as a loop has it.
#[test]
fn a_program_in_c_does_steps() {
    let fixture = Fixture::new();
    let header = fixture.ok("exec --client c");
    std::fs::write(fixture.path("parfork.h"), header).unwrap();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/exec/heat.c");
    let strict = "-std=c99 -Wall -Wextra -Wpedantic -Werror -O1 -I. -o heat";
    // What links this test, too.
    let built = Command::new("cc").args(strict.split(' ')).arg(example).current_dir(fixture.0.path()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut right = Array2::from_shape_fn((23, 17), |(i, j)| (i * 31 + j * 7) as f64 % 13.0);
    npy::save(fixture.path("hot.npy"), right.view()).unwrap();
    for _ in 0..20 {
        let old = right.clone();
        let near = |i: usize, j: usize| old[[i - 1, j]] + old[[i + 1, j]] + old[[i, j - 1]] + old[[i, j + 1]];
        (1..22).for_each(|i| (1..16).for_each(|j| right[[i, j]] = 0.25 * near(i, j)));
    }
    for how in ["-n 1", "-n 3 --split rows=5", "-n 2 --split tiles=6x4 --depth 3", "-n 2 --split rows=11 --each"] {
        let line = format!("exec --planes plate=hot.npy --out plate=after.npy --steps 20 -q {how} -- ./heat");
        fixture.ok(&line);
        let after = Shared::<f64, ndarray::Ix2>::load(fixture.path("after.npy")).unwrap();
        assert!(after.view() == right, "{line}");
    }
    npy::save(fixture.path("hot.npy"), Array2::<f32>::zeros((8, 8)).view()).unwrap();
    for (line, says) in [
        ("--planes plate=hot.npy --out plate=b.npy --steps 2", "heat works on rows and columns of f64"),
        ("--in hot.npy --out b.npy", "there are no planes to do steps on"),
    ] {
        let output = fixture.run(&format!("exec {line} -- ./heat"));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(says), "{text}");
    }
}

#[test]
fn what_cannot_be_stepped_on_is_refused() {
    let fixture = Fixture::new();
    rod(&fixture);
    fixture.bytes("a.npy", 24);
    let planes = "--planes rod=start.npy --steps 2";
    for (line, says) in [
        ("--planes rod=start.npy --out rod=b.npy".to_owned(), "--steps"),
        ("--in a.npy --out b.npy --steps 2".to_owned(), "--planes"),
        (format!("{planes} -q"), "goes nowhere. Say where, as in --out rod=after.npy"),
        (format!("{planes} --out rod=b.npy --out c.npy"), "there are no planes c"),
        (format!("{planes} --out rod=b.npy:f64"), "has the type and shape of the planes rod"),
        (format!("{planes} --out rod=b.npy --border constant:256"), "no element of type |u1 is 256"),
        (format!("{planes} --out rod=b.npy --margin 30 --border wrap"), "a margin 30 wide"),
        (format!("{planes} --out rod=b.npy --margin 1x0"), "1x0 is for 2 axes, and the array has 1"),
        (format!("{planes} --out rod=b.npy --margin x"), "as in 2, or 2x0"),
        (format!("{planes} --out rod=b.npy --bounds 5,25"), "bounds must ascend to 23"),
        (format!("{planes} --out rod=b.npy --bounds 5,3,23"), "slice 1 would be 5..3"),
        (format!("{planes} --out rod=b.npy --bounds 5;23"), "invalid"),
        (format!("{planes} --out rod=b.npy --guard"), "a guard cannot be kept"),
        (format!("{planes} --out rod=b.npy --schedule dynamic"), "this schedule cannot be kept"),
        ("--planes rod=start.npy --steps 0 --out rod=b.npy".to_owned(), "0 steps were asked for"),
    ] {
        let output = fixture.run_exec(&line, "cat");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(says), "{line}: {text}");
        assert!(!fixture.path("b.npy").exists(), "{line}");
    }
}
