//! What programs make of arrays and pictures, however these are cut, and what is recorded of that.

use std::fs;

use ndarray::{Array2, Ix2};
use parfork::Shared;
use parfork::formats::npy;

use super::DOUBLE;
use crate::fixture::Fixture;

#[test]
fn a_shell_doubles_an_array() {
    let fixture = Fixture::new();
    let twice: Vec<u8> = fixture.bytes("a.npy", 40).iter().map(|byte| byte * 2).collect();
    for (workers, schedule) in [(1, "dynamic"), (2, "static"), (8, "guided"), (2, "dynamic=3")] {
        let line = format!("--in a.npy --out b.npy -n {workers} --split rows=5 --schedule {schedule} -q");
        fixture.exec_ok(&line, DOUBLE);
        assert_eq!(fixture.found("b.npy"), twice, "{line}");
    }
    fixture.exec_ok("--in a.npy --out b.npy -n 2 --split rows=9 --guard --verify -q", DOUBLE);
    assert_eq!(fixture.found("b.npy"), twice);
}

/// `awk` through /proc/self/fd, once for each slice: rows of text in, numbers out, no word of the protocol.
#[test]
fn awk_works_on_each_slice() {
    let fixture = Fixture::new();
    let text: Vec<u8> = (0..60).flat_map(|row: u32| format!("{:7}\n", row * row).into_bytes()).collect();
    npy::save(fixture.path("lines.npy"), Array2::from_shape_vec((60, 8), text).unwrap().view()).unwrap();
    let script = "awk 'NR > {start} && NR <= {end} { printf \"%7d\\n\", $1 + 1 }' < $PARFORK_IN_LINES |
        dd of=$PARFORK_OUT_NEXT bs=8 seek={start} conv=notrunc status=none";
    let json = "--in lines.npy --out next.npy -n 3 --split rows=7 --each --json";
    let output = fixture.run_exec(json, script);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let next = String::from_utf8(fixture.found("next.npy")).unwrap();
    assert!(next.lines().enumerate().all(|(row, line)| line.trim() == (row * row + 1).to_string()), "{next}");
    assert_eq!((&report["each"], &report["inputs"][0]["dtype"]), (&true.into(), &"|u1".into()));
    let workers = report["jobs"][0]["workers"].as_array().unwrap();
    let done: usize = workers.iter().map(|worker| worker["slices"].as_array().unwrap().len()).sum();
    assert_eq!(done, 9);
}

/// What programs cost is in the record, as their workers'.
#[test]
fn the_record_has_what_programs_cost() {
    let fixture = Fixture::new();
    fixture.bytes("a.npy", 4);
    // Far more CPU time than a worker that only waits.
    let script = r#"while read -r word start end; do
        awk 'BEGIN { while (i++ < 3000000) x += i }'; echo done; done; exit 0"#;
    let output = fixture
        .run_exec("--in a.npy --out b.npy -n 2 --split rows=1 --json --report run.html --trace run.json", script);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let record = &report["jobs"][0]["record"];
    let lives = record["workers"].as_array().unwrap().iter().flat_map(|worker| worker["lives"].as_array().unwrap());
    let cpu: f64 = lives.map(|life| life["usage"]["user_seconds"].as_f64().unwrap()).sum();
    assert!(cpu > 0.02, "{cpu}");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 4);
    let page = fs::read_to_string(fixture.path("run.html")).unwrap();
    assert!(page.contains("parfork exec") && page.contains("sh on 4 slices"));
    let trace: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(fixture.path("run.json")).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().is_some_and(|events| events.len() > 8));
}

/// Every way to cut, by a program that writes where it was told to: its rank's letter in each cell of its slice.
#[test]
fn every_split_covers_every_cell_once() {
    let fixture = Fixture::new();
    // Adds 1 to each byte of the ranges that it is given of an array of 12 x 20, by rows of `dd`.
    let script = r#"while read -r word a b c d; do
        case $AXIS in 0) c=0 d=20;; 1) c=$a d=$b a=0 b=12;; esac
        row=$a
        while [ $row -lt $b ]; do
            head -c $((d - c)) /dev/zero | tr '\0' x | dd of=$PARFORK_OUT_C bs=1 seek=$((row * 20 + c)) conv=notrunc status=none
            row=$((row + 1))
        done
        echo done
    done"#;
    for (split, axis) in [("rows=5", "0"), ("cols=3", "1"), ("tiles=5x7", "2"), ("axis1/4", "1")] {
        for guard in ["", "--guard"] {
            let line = format!("--out c.npy:u8:12x20 -n 2 --split {split} --env AXIS={axis} -q {guard}");
            fixture.exec_ok(&line, script);
            assert!(fixture.found("c.npy").iter().all(|&byte| byte == b'x'), "{line}");
        }
    }
}

#[test]
fn pictures_and_orders_of_bytes_are_taken() {
    let fixture = Fixture::new();
    parfork_workers::picture::save(fixture.path("p.png"), &crate::fixture::photo(3)).unwrap();
    let copy = "dd if=$PARFORK_IN_P of=$PARFORK_OUT_Q bs=249 skip={start} seek={start} count=$(({end} - {start})) conv=notrunc status=none";
    fixture.exec_ok("--in p.png --out q.png -n 2 --each -q --split rows=10", copy);
    let read = |name: &str| parfork_workers::picture::read_u8(fixture.path(name)).unwrap();
    assert_eq!(read("p.png").view(), read("q.png").view());
    // Big-endian Fortran order comes as this machine's bytes, and says so.
    let mut file = b"\x93NUMPY\x01\x00\x76\x00{'descr': '>u2', 'fortran_order': True, 'shape': (2, 3), }".to_vec();
    file.resize(127, b' ');
    file.push(b'\n');
    file.extend([0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6]);
    fs::write(fixture.path("big.npy"), file).unwrap();
    let script =
        "case $PARFORK_MANIFEST in *'\"dtype\":\"<u2\"'*'\"strides\":[2,4]'*'\"order\":\"F\"'*) ;; *) exit 9;; esac
        head -c 12 $PARFORK_IN_BIG | dd of=$PARFORK_OUT_C conv=notrunc status=none";
    fixture.exec_ok("--in big.npy --out c.npy:u16:6 --split rows=6 --each -q", script);
    assert_eq!(Shared::<u16, ndarray::Ix1>::load(fixture.path("c.npy")).unwrap().as_slice(), [1, 2, 3, 4, 5, 6]);
    for (line, words) in [
        ("--out c.npy", "no input whose type and shape"),
        ("--in big.npy --out c.png:f64", "is no picture"),
        ("--in big.npy --out c.npy:f8", "is not a type of elements"),
        ("--in big.npy --in BIG=big.npy --out c.npy", "PARFORK_..._BIG"),
        ("--in big.npy --out c.npy --engine threads", "another program needs workers that are processes"),
        ("--in big.npy --out c.npy --out d.npy:u8:5 ", "differ on axis 0"),
    ] {
        let output = fixture.run_exec(line, "true");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(2 | 3)) && text.contains(words), "{line}: {text}");
    }
}

#[test]
fn scale_measures_commands_that_take_a_number_of_workers() {
    let fixture = Fixture::new();
    npy::save(fixture.path("a.npy"), Array2::<u8>::ones((40, 4)).view()).unwrap();
    let program = format!(
        "{} exec --in a.npy --out b.npy -n {{workers}} --split rows=10 --each -q -- true",
        env!("CARGO_BIN_EXE_parfork")
    );
    fixture.ok(&format!("scale -n 1,2 --repeat 2 --warm-up 0 -q -o scaling exec -- {program}"));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture.path("scaling/scaling.json")).unwrap()).unwrap();
    assert!(report.to_string().contains("exec"), "{report}");
    assert_eq!(Shared::<u8, Ix2>::load(fixture.path("b.npy")).unwrap().shape(), [40, 4]);
}

/// Slices of rows of uneven weight end where they are told to.
#[test]
fn slices_may_be_uneven() {
    let fixture = Fixture::new();
    let doubled: Vec<u8> = fixture.bytes("a.npy", 40).into_iter().map(|byte| 2 * byte).collect();
    let output = fixture.run_exec("--in a.npy --out b.npy --bounds 1,5,7,40 -n 2 --verify --json", DOUBLE);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["jobs"][0]["slices"], fixture.found("b.npy")), (&4.into(), doubled));
    let where_it_is = r#"while read -r word start end; do echo $start-$end >> places; echo done $start $end; done"#;
    fixture.exec_ok("--in a.npy --out b.npy --bounds 1,5,7,40 -n 1 -q", where_it_is);
    assert_eq!(std::fs::read_to_string(fixture.path("places")).unwrap(), "0-1\n1-5\n5-7\n7-40\n");
    std::fs::remove_file(fixture.path("b.npy")).unwrap();
    for (flags, says) in [
        ("--bounds 1,5,7,39", "bounds must ascend to 40"),
        ("--bounds 1,5,5,40", "slice 2 would be 5..5"),
        ("--bounds 0,40", "slice 0 would be 0..0"),
        ("--bounds 1,5,41", "5..41"),
        ("--bounds 1,,40", "invalid"),
        ("--bounds -1,40", "'-1'"),
    ] {
        let output = fixture.run_exec(&format!("--in a.npy --out b.npy {flags} -n 2"), DOUBLE);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(says), "{flags}: {text}");
        assert!(!fixture.path("b.npy").exists(), "{flags}");
    }
    let output = fixture.run_exec("--out b.npy:u8:4x10 --split tiles=2x5 --bounds 1,4 -n 2", DOUBLE);
    assert!(String::from_utf8_lossy(&output.stderr).contains("Cut one, as rows and cols do"));
}
