//! What is true of every kernel in the list, and what `transpose` makes of all that .npy files hold.

use std::fs;

use parfork_workers::KERNELS;
use parfork_workers::kernel::{InScale, Kind};
use serde_json::Value;

use crate::fixture::{Fixture, noise};

/// Bytes of a .npy file, by the description of the format.
pub(crate) fn npy(descr: &str, fortran: bool, shape: [usize; 2], payload: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let [m, n] = shape;
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({m}, {n}), }}");
    header.push_str(&" ".repeat(127 - 10 - header.len()));
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16 + 1).to_le_bytes());
    file.extend(format!("{header}\n").bytes());
    file.extend(payload);
    file
}

#[test]
fn every_kernel_is_in_all_that_is_made_from_the_list() {
    let fixture = Fixture::new();
    let (help, man, scale) = (fixture.ok("--help"), fixture.ok("man").replace('\\', ""), fixture.ok("scale --help"));
    let shells =
        ["bash", "zsh", "fish", "elvish", "powershell"].map(|shell| fixture.ok(&format!("completions {shell}")));
    let listed = |help: &str, name: &str, what: &str| {
        let mut lines = help.lines().filter_map(|line| line.trim().split_once(' '));
        lines.any(|(first, rest)| first == name && rest.trim().starts_with(what.split(' ').next().unwrap()))
    };
    assert!(KERNELS.iter().any(|kernel| kernel.name() == "transpose"));
    for (at, kernel) in KERNELS.iter().enumerate() {
        let (name, summary) = (kernel.name(), kernel.summary());
        assert_eq!(parfork_workers::kernel(name), Some(*kernel));
        assert!(KERNELS[..at].iter().all(|other| other.name() != name), "{name} is there twice");
        assert!(listed(&help, name, summary) && listed(&scale, name, summary), "{name}: {help}{scale}");
        let section = man.split(&format!(".SH PARFORK {}\n", name.to_uppercase())).nth(1).expect(name);
        let section = section.split(".SH PARFORK").next().unwrap();
        let (own, measured) = (fixture.ok(&format!("{name} --help")), fixture.ok(&format!("scale {name} --help")));
        assert!(own.starts_with(summary) && section.contains(summary), "{name}: {own}{section}");
        assert!(own.contains("Example") && own.contains("--verify") && section.contains("--verify"), "{name}: {own}");
        for arg in kernel.args() {
            let typed = if arg.is_input() { format!("<{}>", arg.value) } else { format!("--{} <", arg.name) };
            let flag = if arg.is_input() { arg.value.to_owned() } else { format!("--{}", arg.name) };
            let help = arg.help.split(' ').next().unwrap();
            let is_there = |text: &str, what: &str| text.contains(what) && text.contains(help);
            assert_eq!(is_there(&own, &typed), arg.in_scale != InScale::Only, "{name} {flag}: {own}");
            assert_eq!(is_there(section, &flag), arg.in_scale != InScale::Only, "{name} {flag}: {section}");
            let measurable = measured.contains(&if arg.is_input() { format!("[{}]", arg.value) } else { typed });
            // `scale` has an output of its own, a folder.
            assert!(arg.is_output() || measurable == (arg.in_scale != InScale::Never), "{name} {flag}: {measured}");
        }
        assert!(shells.iter().all(|completions| completions.contains(name)), "{name}");
        let plan: Value = serde_json::from_str(&fixture.ok(&format!("plan 60x40 -n 2 --cost {name} --json"))).unwrap();
        assert_eq!((plan["cost"].as_str(), plan["comparison"]["costs"].as_array().unwrap().len()), (Some(name), 60));
    }
    fixture.fails("plan 6x4 --cost hard", 2, &["`hard` is no cost", "transpose"]);
}

/// A kernel with a made-up input can be measured, and so can one with the inputs that it is given.
#[test]
fn every_kernel_can_be_measured() {
    let fixture = Fixture::new();
    for kernel in KERNELS {
        let size = vec!["40"; kernel.sizes().lengths[0]].join("x");
        let line = format!("scale {} --sizes {size} --workers 1,2 --repeat 1 -q -o {0}", kernel.name());
        fixture.ok(&line);
        let text = fs::read_to_string(fixture.path(&format!("{}/scaling.json", kernel.name()))).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["series"].as_array().unwrap().len(), 2, "{}", kernel.name());
        let chain = kernel.args().iter().any(|arg| matches!(arg.kind, Kind::Chain(_)));
        assert_eq!(fixture.ok(&format!("{} --help", kernel.name())).contains("--until <N>"), chain);
    }
    fixture.save("a.npy", &noise((30, 40), 1));
    fixture.ok("scale transpose a.npy --workers 1,2 --engines serial,threads,processes --repeat 1 -q -o given");
    for size in ["4000000000x4000000000", "3000000x3000000"] {
        let output = fixture.run(&format!("scale transpose --sizes {size} --workers 1 -q -o large{size}"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains("bytes") && !text.contains("panicked"), "{text}");
    }
    fixture.fails("scale transpose --sizes 30", 2, &["30 is not a size of transpose. Write MxN, as in 4096x1024."]);
}

#[test]
fn transposes_are_what_a_naive_loop_makes_in_every_type_shape_order_and_cut() {
    let fixture = Fixture::new();
    let types = [
        ("|b1", 1),
        ("|u1", 1),
        ("<f2", 2),
        (">i2", 2),
        ("<f4", 4),
        (">f8", 8),
        ("<i8", 8),
        ("<f16", 16),
        ("<c16", 16),
        ("<c32", 32),
    ];
    let flags = [
        "-n 2",
        "-n 1 --engine serial --split rows",
        "-n 3 --engine threads --split tiles=7x5",
        "-n 5 --split cols=3 --schedule guided",
        "-n 2 --split rows=10 --schedule static --guard --sandbox",
    ];
    let shapes = [[1, 1], [0, 5], [5, 0], [0, 0], [1, 300], [300, 1], [67, 129], [130, 64]];
    for (turn, [m, n]) in shapes.into_iter().enumerate() {
        for (descr, size) in types {
            let fortran = (turn + size) % 2 == 1;
            let payload: Vec<u8> = (0..m * n * size).map(|at| (at * 31 + at / 251) as u8).collect();
            let mut expected = Vec::new();
            for j in 0..n {
                for i in 0..m {
                    let at = size * if fortran { j * m + i } else { i * n + j };
                    expected.extend(&payload[at..at + size]);
                }
            }
            fs::write(fixture.path("a.npy"), npy(descr, fortran, [m, n], &payload)).unwrap();
            // Every cut of the larger ones, and of the others one.
            let flags = if m * n > 300 && size == 8 { &flags[..] } else { &flags[(turn + size) % flags.len()..][..1] };
            for flags in flags {
                let line = format!("transpose a.npy -o b.npy --verify {flags}");
                let output = fixture.run(&line);
                let told = String::from_utf8_lossy(&output.stderr);
                let compared = format!("same bits as serial, all of {} elements where the definition puts them", m * n);
                assert!(output.status.success() && told.contains(&compared), "{line} {descr} {m}x{n}: {told}");
                let found = fs::read(fixture.path("b.npy")).unwrap();
                assert!(found.ends_with(&expected), "{line} {descr} {m}x{n} {fortran}");
                let header = &found[..found.len() - expected.len()];
                let header = (String::from_utf8_lossy(header).into_owned(), header.len());
                let head = format!("'descr': '{descr}', 'fortran_order': False, 'shape': ({n}, {m}), ");
                assert!(header.0.contains(&head) && header.0.ends_with('\n') && header.1 == 128, "{line}: {header:?}");
            }
        }
    }
}

#[test]
fn a_transpose_is_of_a_matrix_and_is_told_to_programs() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((30, 40), 1));
    let json: Value = serde_json::from_str(&fixture.ok("transpose a.npy -o b.npy --json --verify -n 2")).unwrap();
    assert_eq!(
        (&json["command"], &json["input"], &json["output"]),
        (&"transpose".into(), &"a.npy".into(), &"b.npy".into())
    );
    assert_eq!((&json["dtype"], &json["shape"]), (&"<f8".into(), &serde_json::json!([30, 40])));
    assert_eq!((&json["verified"], &json["jobs"][0]["shape"]), (&true.into(), &serde_json::json!([40, 30])));
    // Twice is nothing at all.
    fixture.ok("transpose b.npy -o c.npy -q -n 3");
    assert_eq!(fs::read(fixture.path("c.npy")).unwrap(), fs::read(fixture.path("a.npy")).unwrap());
    fixture.ok("transpose a.npy -o a.npy -q");
    assert_eq!(fs::read(fixture.path("a.npy")).unwrap(), fs::read(fixture.path("b.npy")).unwrap());
    fixture.save("line.npy", &ndarray::Array1::zeros(5));
    fixture.save("cube.npy", &ndarray::Array3::zeros((2, 3, 4)));
    fixture.fails("transpose line.npy -o d.npy", 3, &["line.npy has 1 axes (shape [5])", "a.reshape(m, n)"]);
    fixture.fails("transpose cube.npy -o d.npy", 3, &["cube.npy has 3 axes (shape [2, 3, 4])"]);
    fixture.fails("transpose none.npy -o d.npy", 3, &["no such file"]);
    fixture.fails("transpose a.npy", 2, &["--output"]);
    // Nothing times nothing is more than there can be.
    for (name, shape) in [("tall", [1 << 40, 0]), ("wide", [0, 1 << 40])] {
        fs::write(fixture.path(name), npy("<f8", false, shape, &[])).unwrap();
    }
    fixture.fails("matmul tall wide -o d.npy", 3, &["[1099511627776, 1099511627776]"]);
    fixture.ok("transpose tall -o flat.npy --verify -q");
    assert_eq!(fs::metadata(fixture.path("flat.npy")).unwrap().len(), 128);
    fixture.fails("transpose a.npy -o nowhere/d.npy", 1, &["no folder nowhere"]);
    assert_eq!(fixture.ok("transpose a.npy -o d.npy --split rows=10 --only-slice 1 --verify"), "");
    assert!(!fixture.path("d.npy").exists());
}

#[test]
fn verification_says_what_was_compared() {
    let fixture = Fixture::new();
    fixture.save("a.npy", &noise((40, 40), 1));
    let told = |line: &str| {
        let output = fixture.run(line);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {text}");
        text
    };
    let product = told("matmul a.npy a.npy -o c.npy --verify");
    assert!(product.contains("same bits as serial, 1600 of 1600 elements within rounding of the sums"), "{product}");
    // A slice alone is no whole result.
    let slice = told("matmul a.npy a.npy -o c.npy --verify --split rows=10 --only-slice 1");
    assert!(slice.contains("same bits as serial;"), "{slice}");
    assert!(told("mean a.npy --verify").trim_end().ends_with("same bits as serial"));
    assert!(!told("mean a.npy").contains("same bits"));
}

#[test]
fn sorted_are_all_types_either_byte_order_and_lines_in_any_order() {
    let fixture = Fixture::new();
    let bits = |line: &str| {
        fixture.ok(&format!("sort {line} -o b.npy --verify -q"));
        fs::read(fixture.path("b.npy")).unwrap()
    };
    let payload: Vec<u8> = (0..48_u32).map(|at| (at * at * 59 + 13) as u8).collect();
    for (descr, size) in [("|b1", 1), ("|i1", 1), ("|u1", 1), ("i2", 2), ("f2", 2), ("u4", 4), ("f4", 4), ("f8", 8)] {
        let orders = if size == 1 { &[""][..] } else { &["<", ">"] };
        for order in orders {
            let descr = format!("{order}{descr}");
            fs::write(fixture.path("a.npy"), npy(&descr, false, [3, 16 / size], &payload)).unwrap();
            let sorted = bits("a.npy -n 3");
            // The same lines with the elements of each column side by side.
            let columns = (0..16 / size).flat_map(|col| (0..3).map(move |row| row * 16 + col * size));
            let columns: Vec<u8> = columns.flat_map(|at| payload[at..at + size].to_vec()).collect();
            fs::write(fixture.path("f.npy"), npy(&descr, true, [3, 16 / size], &columns)).unwrap();
            assert_eq!(bits("f.npy -n 1"), sorted, "{descr}");
        }
    }
    // numpy.sort(numpy.array([300, -2, 1, -300], '>i2'))
    let numbers: Vec<u8> = [300_i16, -2, 1, -300].iter().flat_map(|number| number.to_be_bytes()).collect();
    fs::write(fixture.path("a.npy"), npy(">i2", false, [1, 4], &numbers)).unwrap();
    let right: Vec<u8> = [-300_i16, -2, 1, 300].iter().flat_map(|number| number.to_le_bytes()).collect();
    assert!(bits("a.npy").ends_with(&right));
    fixture.save("a.npy", &noise((4, 9), 3));
    for split in ["cols=3", "tiles=2x3"] {
        let line = format!("sort a.npy -o b.npy --split {split}");
        fixture.fails(&line, 3, &["4 lines are sorted each as a whole", "Cut between lines: rows"]);
    }
    // One line, in parts.
    fixture.save("a.npy", &noise((1, 100_003), 3));
    let one = bits("a.npy --engine serial");
    for flags in
        ["-n 2", "-n 5 --schedule static", "-n 3 --engine threads --split cols=1000", "-n 2 --retries 1 --guard"]
    {
        assert!(bits(&format!("a.npy {flags}")) == one, "{flags}");
    }
    fs::write(fixture.path("a.npy"), npy("<c16", false, [1, 3], &payload)).unwrap();
    fixture.fails("sort a.npy -o b.npy", 3, &["elements <c16", "a.astype('f8')"]);
    fs::write(fixture.path("a.npy"), npy("<f8", false, [0, 3], &[])).unwrap();
    bits("a.npy");
}
