//! The command as a user types it: results, reports, and what it says and leaves when something is wrong.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use ndarray::{Array2, Array3, ArrayD, ShapeBuilder};
use parfork::formats::npy;
use parfork::formats::picture::{self, Picture};
use parfork::{Order, Shared};

/// A folder of its own for a test, and the command run in it.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parfork"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command line to its end; a watchdog ends it, and the test, after a minute.
    fn run(&self, line: &str) -> Output {
        let child = self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        watched(line, child)
    }

    /// Runs a command that must succeed; what it prints on stdout.
    fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "parfork {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with this code and these words on stderr, nothing on stdout, and change nothing.
    fn fails(&self, line: &str, code: i32, words: &[&str]) {
        let before = self.everything();
        let output = self.run(line);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "parfork {line}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "parfork {line}: {text} lacks one of {words:?}");
        assert!(!text.contains("panicked") && output.stdout.is_empty(), "parfork {line}: {text}");
        assert_eq!(self.everything(), before, "parfork {line} left something");
    }

    fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.map(|path| (path.clone(), fs::read(&path).unwrap_or_default())).collect();
        files.sort();
        files
    }

    fn save<D: ndarray::Dimension>(&self, name: &str, array: &ndarray::Array<f64, D>) {
        npy::save(self.path(name), array.view()).unwrap();
    }
}

fn watched(what: &str, child: Child) -> Output {
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(Duration::from_secs(60)) else {
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        panic!("parfork {what} did not end");
    };
    output.unwrap()
}

fn noise(shape: (usize, usize), seed: usize) -> Array2<f64> {
    let cell = |(i, j): (usize, usize)| ((i * 7919 + j * 104_729 + seed) % 1009) as f64 / 500.0 - 1.0;
    Array2::from_shape_fn(shape, cell)
}

fn photo(channels: usize) -> Picture {
    let pixel = |(y, x, c): (usize, usize, usize)| ((y * 3 + x * 5 + c * 41 + y * x / 7) % 256) as u8;
    Picture::U8(Shared::from_array(&Array3::from_shape_fn((61, 83, channels), pixel)).unwrap())
}

#[test]
fn products_are_right_for_any_shape_order_and_cut() {
    let desk = Desk::new();
    for (m, k, n) in
        [(1, 1, 1), (33, 65, 17), (300, 5, 200), (1, 400, 1), (5, 0, 7), (0, 4, 3), (3, 4, 0), (129, 130, 131)]
    {
        let (a, b) = (noise((m, k), 1), noise((k, n), 2));
        let mut fortran = Array2::zeros((k, n).f());
        fortran.assign(&b);
        desk.save("a.npy", &a);
        desk.save("b.npy", &fortran);
        for flags in [
            "",
            "-n 1 --engine serial",
            "-n 3 --engine threads",
            "-n 7 --split rows=10 --schedule guided",
            "-n 2 --split tiles=64x50 --schedule static",
        ] {
            desk.ok(&format!("matmul a.npy b.npy -o c.npy -q --verify {flags}"));
            let c = Shared::<f64, ndarray::Ix2>::load(desk.path("c.npy")).unwrap();
            assert_eq!(c.order(), Order::C);
            let naive = Array2::from_shape_fn((m, n), |(i, j)| (0..k).map(|l| a[[i, l]] * b[[l, j]]).sum::<f64>());
            assert_eq!(c.shape(), [m, n]);
            let close = c.view().iter().zip(&naive).all(|(one, other)| (one - other).abs() <= 1e-12 * k.max(1) as f64);
            assert!(close, "{m}x{k}x{n} {flags}");
        }
    }
}

#[test]
fn reductions_have_the_same_bits_for_every_cut() {
    let desk = Desk::new();
    let data = noise((700, 431), 3);
    desk.save("x.npy", &data);
    for op in ["sum", "mean", "min", "max", "norm"] {
        let flags = [
            "-n 1",
            "-n 3 --split rows=1",
            "-n 5 --split cols --schedule static",
            "--split tiles=1x2 --schedule guided -n 4",
            "--engine threads -n 3",
            "--engine serial",
        ];
        let answers: Vec<String> =
            flags.iter().map(|flags| desk.ok(&format!("{op} x.npy -q --verify {flags}"))).collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{op}: {answers:?}");
        let answer: f64 = answers[0].trim().parse().unwrap();
        let expected = match op {
            "sum" => data.sum(),
            "mean" => data.sum() / data.len() as f64,
            "min" => data.iter().copied().fold(f64::INFINITY, f64::min),
            "max" => data.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            _ => data.iter().map(|x| x * x).sum::<f64>().sqrt(),
        };
        assert!((answer - expected).abs() <= 1e-9, "{op}: {answer}, expected {expected}");
    }
    npy::save(desk.path("i.npy"), ndarray::array![i64::MAX, i64::MAX, -1].view()).unwrap();
    assert_eq!(desk.ok("sum i.npy -q"), "18446744073709551613\n");
}

#[test]
fn pictures_of_every_kind_go_through_filters() {
    let desk = Desk::new();
    for channels in 1..=4 {
        picture::save(desk.path("in.png"), &photo(channels)).unwrap();
        for ending in ["png", "tiff", "pam"] {
            desk.ok(&format!(
                "image in.png -o out.{ending} -q --verify -n 3 --filter gaussian:1.5,sharpen,brightness:10"
            ));
            let out = picture::read(desk.path(&format!("out.{ending}"))).unwrap();
            assert_eq!((out.shape(), out.bits()), ([61, 83, channels], 8));
        }
    }
    desk.ok("image in.png -o turned.png -q --filter rotate:90,flip,resize:30x20,sobel -n 2 --split tiles=7x9");
    assert_eq!(picture::read(desk.path("turned.png")).unwrap().shape(), [20, 30, 2]);
    desk.ok("image in.png -o one.png -q --filter resize:1x1");
    desk.ok("image one.png -o still.png -q --filter gaussian:3,box:2,sharpen,sobel --border wrap");
    assert_eq!(picture::read(desk.path("still.png")).unwrap().shape(), [1, 1, 2]);
}

#[test]
fn a_filter_gives_what_the_library_gives() {
    let desk = Desk::new();
    let Picture::U8(source) = photo(3) else { unreachable!() };
    picture::save(desk.path("in.png"), &photo(3)).unwrap();
    desk.ok("image in.png -o out.png -q --filter invert --split tiles=10x10");
    let out = Shared::<u8, _>::open(desk.path("out.png")).unwrap();
    assert!(out.view().iter().zip(source.view()).all(|(out, source)| *out == 255 - source));
}

#[test]
fn the_mandelbrot_set_is_symmetric_and_drawn_alike_by_all() {
    let desk = Desk::new();
    desk.ok("mandelbrot -o set.png --size 121x81 --iterations 200 --verify -q -n 3 --split cols=7");
    let set = Shared::<u8, _>::open(desk.path("set.png")).unwrap();
    let set = set.view();
    assert!((0..81).all(|row| set.index_axis(ndarray::Axis(0), row) == set.index_axis(ndarray::Axis(0), 80 - row)));
    desk.fails("mandelbrot -o set.png --zoom 0", 2, &["zoom 0", "Give"]);
    desk.fails("mandelbrot -o set.png --size 10", 2, &["width x height"]);
}

#[test]
fn reports_for_programs_are_json() {
    let desk = Desk::new();
    desk.save("x.npy", &noise((300, 1000), 5));
    let report: serde_json::Value =
        serde_json::from_str(&desk.ok("norm x.npy --json --verify -n 2 --split rows/2")).unwrap();
    assert_eq!((&report["schema"], &report["command"], &report["verified"]), (&1.into(), &"norm".into(), &true.into()));
    let workers = report["jobs"][0]["workers"].as_array().unwrap();
    let slices: usize = workers.iter().map(|worker| worker["slices"].as_array().unwrap().len()).sum();
    assert_eq!(slices as u64, report["jobs"][0]["slices"].as_u64().unwrap());
    let plan: serde_json::Value =
        serde_json::from_str(&desk.ok("plan 10x10 --split tiles=5x5 -n 2 --halo 1 --json")).unwrap();
    assert_eq!(plan["slices"][3]["writes"][0]["start"], 5);
    assert_eq!(plan["slices"][3]["reads"][0]["start"], 4);
}

#[test]
fn a_plan_is_drawn() {
    let desk = Desk::new();
    let plan = desk.ok("plan 6x8 --split rows=2 -n 2 --schedule static -o plan.svg");
    assert!(plan.contains("axis 0 down (6), axis 1 across (8)\n  00000000\n  00000000\n  00000000\n  00000000\n  11111111\n  11111111\n"), "{plan}");
    let svg = fs::read_to_string(desk.path("plan.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.matches("<title>slice").count() == 3, "{svg}");
    for shape in ["0", "1", "0x5", "7x0", "3x4x5", "1000000x1000000"] {
        desk.ok(&format!("plan {shape} -n 3"));
    }
    desk.fails("plan 9999999999x9999999999", 2, &["2^64"]);
    desk.fails("plan 5x5 -n 0", 2, &["1 to 1024"]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation; .ci/run runs the demo in release")]
fn the_demo_shows_three_ways_with_the_same_bits() {
    let desk = Desk::new();
    let text = desk.ok("demo -o show -n 2");
    assert_eq!((text.matches("x  yes\n").count(), text.matches("NO").count()), (6, 0), "{text}");
    for name in ["show/mandelbrot.png", "show/edges.png"] {
        assert_eq!(picture::read(desk.path(name)).unwrap().height(), 1200);
    }
}

#[test]
fn completions_and_manual_are_made() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(desk.ok(&format!("completions {shell}")).contains("mandelbrot"));
    }
    let man = desk.ok("man");
    assert!(man.starts_with(".ie") && man.contains("PARFORK MATMUL") && man.contains("gaussian"), "{man}");
    for kernel in parfork::workers::KERNELS {
        assert!(desk.ok(&format!("{} --help", kernel.name)).contains("Usage"), "{}", kernel.name);
    }
}

#[test]
fn bad_arrays_are_refused_in_two_sentences() {
    let desk = Desk::new();
    let good = noise((20, 30), 1);
    desk.save("a.npy", &good);
    desk.save("c.npy", &noise((3, 3), 9));
    npy::save(desk.path("single.npy"), good.mapv(|x| x as f32).t()).unwrap();
    npy::save(desk.path("ints.npy"), good.mapv(|x| x as i64).view()).unwrap();
    desk.save("three.npy", &ArrayD::zeros(vec![2, 3, 4]));
    let bytes = fs::read(desk.path("a.npy")).unwrap();
    fs::write(desk.path("short.npy"), &bytes[..1000]).unwrap();
    fs::write(desk.path("empty.npy"), []).unwrap();
    fs::write(desk.path("text.npy"), "hello").unwrap();
    fs::create_dir(desk.path("folder")).unwrap();
    for (name, descr, shape) in [
        ("huge", "'<f8'", "(1152921504606846976, 3)"),
        ("objects", "'|O'", "(2, 2)"),
        ("names", "'<U3'", "(2,)"),
        ("fields", "[('x', '<f4')]", "(2,)"),
        ("complex", "'<c16'", "(2, 2)"),
    ] {
        let mut header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
        header.push_str(&" ".repeat(127 - 10 - header.len()));
        let mut file = fs::File::create(desk.path(&format!("{name}.npy"))).unwrap();
        file.write_all(b"\x93NUMPY\x01\x00").unwrap();
        file.write_all(&(header.len() as u16 + 1).to_le_bytes()).unwrap();
        file.write_all(format!("{header}\n{}", " ".repeat(64)).as_bytes()).unwrap();
    }
    for (name, words) in [
        ("missing", "no such file"),
        ("folder", "folder"),
        ("short", "4800 bytes"),
        ("empty", "0 bytes"),
        ("text", "not a .npy file"),
        ("huge", "1152921504606846976"),
        ("objects", "Python objects"),
        ("names", "text"),
        ("fields", "fields"),
        ("complex", "c16"),
        ("three", "3 axes"),
        ("ints", "i8"),
    ] {
        let file = if name == "folder" { name.to_owned() } else { format!("{name}.npy") };
        desk.fails(&format!("matmul {file} a.npy -o c.npy"), 3, &[words, ". "]);
        if !["three", "ints"].contains(&name) {
            desk.fails(&format!("sum {file}"), 3, &[words, ". "]);
        }
    }
    desk.fails("matmul a.npy a.npy -o c.npy", 3, &["20x30", "do not multiply"]);
    desk.fails("matmul a.npy single.npy -o c.npy", 3, &["<f8", "<f4", "astype"]);
    npy::save(desk.path("none.npy"), ndarray::Array1::<f32>::zeros(0).view()).unwrap();
    desk.fails("mean none.npy", 3, &["0 elements"]);
    assert_eq!(desk.ok("sum none.npy -q"), "0.0\n");
}

#[test]
fn bad_pictures_are_refused_in_two_sentences() {
    let desk = Desk::new();
    for ending in ["png", "jpg", "tiff", "bmp", "ppm"] {
        picture::save(desk.path(&format!("whole.{ending}")), &photo(3)).unwrap();
        let bytes = fs::read(desk.path(&format!("whole.{ending}"))).unwrap();
        fs::write(desk.path(&format!("half.{ending}")), &bytes[..bytes.len() / 2]).unwrap();
        desk.fails(&format!("image half.{ending} -o out.png --filter gray"), 3, &["bytes", ". "]);
    }
    fs::write(desk.path("empty.png"), []).unwrap();
    fs::write(desk.path("text.png"), "hello\n").unwrap();
    // The first 33 bytes of a PNG of 100000x100000, 8-bit RGB (CRC by Python's zlib.crc32), and nothing else.
    let claim = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x08\x02\0\0\0\xc0\x85\xc8\x87";
    fs::write(desk.path("claim.png"), claim).unwrap();
    for (name, words) in [
        ("empty.png", "0 bytes"),
        ("text.png", "no picture"),
        ("claim.png", "."),
        ("missing.png", "no such file"),
        (".", "folder"),
    ] {
        desk.fails(&format!("image {name} -o out.png --filter gray"), 3, &[words, ". "]);
    }
    for (filter, words) in [
        ("gaussian:0", "above 0"),
        ("gaussian:-1", "above 0"),
        ("gaussian:nan", "nan"),
        ("gaussian", "SIGMA"),
        ("gausian:3", "Did you mean 'gaussian'"),
        ("resize:0x5", "0 columns"),
        ("gray:1", "parameter"),
    ] {
        desk.fails(&format!("image whole.png -o out.png --filter {filter}"), 2, &[words]);
    }
    desk.ok("image whole.png -o blurred.png -q --filter gaussian:100");
    desk.fails("image whole.png -o out.xyz --filter gray", 2, &[".png"]);
    desk.fails("image whole.png -o out.jpg --filter gray --border none", 2, &["reflect101"]);
}

#[test]
fn bad_flags_and_targets_are_refused() {
    let desk = Desk::new();
    desk.save("a.npy", &noise((20, 20), 1));
    desk.save("c.npy", &noise((3, 3), 9));
    for (flags, code, words) in [
        ("-n 0", 2, "1 to 1024"),
        ("-n 100000", 2, "1 to 1024"),
        ("--split tiles=0x5", 2, "length 0"),
        ("--split axis2", 2, "axis 2"),
        ("--split diagonals", 2, "rows=64"),
        ("--schedule dynamic=0", 2, "CHUNK"),
        ("--engine gpu", 2, "processes, threads or serial"),
    ] {
        desk.fails(&format!("matmul a.npy a.npy -o c.npy {flags}"), code, &[words]);
    }
    desk.fails("matmul a.npy a.npy -o nowhere/c.npy", 1, &["no folder nowhere", "mkdir"]);
    desk.fails("matmul a.npy a.npy -o /proc/c.npy", 1, &["/proc"]);
    desk.fails("matmul a.npy a.npy -o /dev/null", 1, &["/dev/null"]);
    desk.ok("matmul a.npy a.npy -o c.npy -q -n 300 --split tiles=1x1");
}

/// A 64 KiB file system of the test's own, in a mount namespace, where the system lets us make one.
#[test]
fn a_full_disk_leaves_the_older_file() {
    let desk = Desk::new();
    desk.save("a.npy", &noise((300, 300), 1));
    fs::create_dir(desk.path("disk")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64k none disk && printf old > disk/c.npy && {{ {} matmul a.npy a.npy -o disk/c.npy; echo code $?; cat disk/c.npy; ls -A disk; }}",
        env!("CARGO_BIN_EXE_parfork")
    );
    let unshare = Command::new("unshare")
        .args(["-rm", "sh", "-c", &script])
        .current_dir(desk.0.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(child) = unshare else { return eprintln!("not tested: there is no unshare(1)") };
    let output = watched("on a full disk", child);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if out.is_empty() {
        return eprintln!("not tested: no mount namespace to be had: {err}");
    }
    assert_eq!(out, "code 1\noldc.npy\n", "{err}");
    assert!(err.contains("720") && err.contains("no room"), "{err}");
}

#[test]
fn nobody_reading_stdout_is_no_disaster() {
    let desk = Desk::new();
    desk.save("a.npy", &noise((20, 20), 1));
    for line in ["sum a.npy -q", "plan 1000x1000 --split tiles=10x10", "man", "sum a.npy --json"] {
        let mut child = desk.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = watched(line, child);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn an_interrupted_job_leaves_nothing() {
    for signal in
        [nix::sys::signal::Signal::SIGINT, nix::sys::signal::Signal::SIGTERM, nix::sys::signal::Signal::SIGKILL]
    {
        let desk = Desk::new();
        fs::write(desk.path("set.png"), "older").unwrap();
        let line = "mandelbrot -o set.png --size 4000x4000 --center=-0.1,0 --zoom 50 --iterations 1000000 -n 2";
        let child = desk.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let workers = children(pid, 2);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal).unwrap();
        let output = watched(line, child);
        assert_eq!(output.status.signal(), Some(signal as i32));
        assert_eq!(desk.everything(), [(desk.path("set.png"), b"older".to_vec())], "{signal}");
        // They are killed with their coordinator; give the kernel the time it takes, but not for ever.
        let gone =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
        until(|| workers.iter().all(gone));
    }
}

#[test]
fn a_killed_worker_is_replaced_and_told() {
    let desk = Desk::new();
    // Long enough to be killed in the middle of.
    let steps = if cfg!(debug_assertions) { 3000 } else { 300_000 };
    let line = |name: &str| {
        format!("mandelbrot -o {name} --size 200x200 --center=-0.75,0.1 --zoom 8 --iterations {steps} -n 2")
    };
    let child = desk.command(&line("a.png")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let victim = children(child.id(), 2)[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    let output = watched("with a killed worker", child);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains(&format!("(pid {victim}) was ended by signal 9")), "{text}");
    desk.ok(&line("b.png"));
    assert_eq!(fs::read(desk.path("a.png")).unwrap(), fs::read(desk.path("b.png")).unwrap());
    let child = desk.command(&format!("{} --retries 0", line("c.png"))).stderr(Stdio::piped()).spawn().unwrap();
    let victim = children(child.id(), 2)[1];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    let output = watched("with a killed worker and no retries", child);
    assert_eq!(output.status.code(), Some(1));
    assert!(!desk.path("c.png").exists());
}

#[test]
fn a_death_tells_the_command_that_runs_its_slice_alone() {
    let desk = Desk::new();
    picture::save(desk.path("photo.png"), &photo(3)).unwrap();
    // The second filter and the rendering take seconds.
    let (size, sigma) = if cfg!(debug_assertions) { ("600x600", 60) } else { ("4000x4000", 200) };
    let chain = format!("image photo.png -o out.png -f resize:{size},gaussian:{sigma},gray --retries 0 -n 2");
    let rendering = format!("mandelbrot -o out.png --size {size} --iterations 5000 --retries 0 -n 2");
    for line in [&chain, &rendering] {
        let child = desk.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Until the workers are in the middle of a slice.
        children(child.id(), 2);
        std::thread::sleep(Duration::from_millis(500));
        let victim = children(child.id(), 2)[0];
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
        let output = watched(line, child);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        let (what, again) = text.split_once(" To run that slice alone:\n  ").expect("a command to type");
        let slice = what.split_once("while it worked on slice ").unwrap().1.split_whitespace().next().unwrap();
        assert!(!what.contains("Job::"), "{text}");
        let filters = if *line == chain { "--until " } else { "" };
        assert!(again.contains(filters) && again.ends_with(&format!(" --only-slice {slice}\n")), "{text}");
        let before = desk.everything();
        let child = Command::new("sh").args(["-c", again]).current_dir(desk.0.path()).stderr(Stdio::piped()).spawn();
        let output = watched(again, child.unwrap());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{again}: {told}");
        assert!(told.contains(&format!("slice {slice} alone was run, and no result was written")), "{told}");
        assert_eq!(desk.everything(), before);
    }
}

#[test]
fn one_slice_alone_writes_nothing() {
    let desk = Desk::new();
    desk.save("a.npy", &noise((40, 40), 1));
    picture::save(desk.path("photo.png"), &photo(3)).unwrap();
    for line in [
        "matmul a.npy a.npy -o c.npy --split rows=10 --only-slice 3 --verify",
        "image photo.png -o out.png -f gray,sobel --split rows=20 --only-slice 2 --verify",
        "mandelbrot -o set.png --size 64x64 --split rows=8 --only-slice 7 --verify",
        "sum a.npy --only-slice 0 --verify",
    ] {
        let before = desk.everything();
        assert_eq!(desk.ok(line), "", "{line}");
        assert_eq!(desk.everything(), before, "{line}");
        let json: serde_json::Value = serde_json::from_str(&desk.ok(&format!("{line} --json"))).unwrap();
        let jobs = json["jobs"].as_array().unwrap();
        let run = |job: &serde_json::Value| job["workers"][0]["slices"].clone();
        assert_eq!(run(&jobs[jobs.len() - 1]), serde_json::json!([json["only_slice"]]), "{line}");
    }
    desk.fails("sum a.npy --only-slice 1", 2, &["slice 1 does not exist: the job has 1"]);
    // The picture of the first filter alone.
    desk.ok("image photo.png -o one.png -f gray,sobel --until 1 -q");
    desk.ok("image photo.png -o same.png -f gray -q");
    assert_eq!(fs::read(desk.path("one.png")).unwrap(), fs::read(desk.path("same.png")).unwrap());
}

/// The worker processes of a coordinator, once there are that many.
fn children(pid: u32, number: usize) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let list = || fs::read_to_string(Path::new(&path)).unwrap_or_default();
    until(|| list().split_whitespace().count() == number);
    list().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn until(happens: impl Fn() -> bool) {
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    while !happens() {
        assert!(std::time::Instant::now() < patience, "what was waited for did not happen");
        std::thread::yield_now();
    }
}
