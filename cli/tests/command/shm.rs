//! `parfork shm`: segments from the command line.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use ndarray::{Array2, IxDyn};
use parfork::formats::npy;
use parfork::{Order, Shared};
use parfork_workers::picture::{self, Picture};
use serde_json::Value;

use crate::fixture::{Fixture, noise, photo, watched};

/// A fixture whose segments are in a folder of its own.
struct Shm {
    fixture: Fixture,
    place: tempfile::TempDir,
}

impl Shm {
    fn new() -> Self {
        Self { fixture: Fixture::new(), place: tempfile::tempdir_in("/dev/shm").unwrap() }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.fixture.command(&format!("shm {line}"));
        command.env("PARFORK_SHM", self.place.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Exit code, stdout, stderr.
    fn run(&self, line: &str) -> (Option<i32>, String, String) {
        let output = watched(line, self.command(line).spawn().unwrap());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn ok(&self, line: &str) -> String {
        let (code, out, error) = self.run(line);
        assert_eq!(code, Some(0), "shm {line}: {error}");
        out
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(line)).unwrap()
    }

    fn fails(&self, line: &str, code: i32, words: &[&str]) {
        let (found, out, error) = self.run(line);
        assert_eq!((found, out.as_str()), (Some(code), ""), "shm {line}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "shm {line}: {error} lacks one of {words:?}");
        assert!(!error.contains("panicked"), "{error}");
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.place.path()).unwrap().next().is_none()
    }
}

#[test]
fn arrays_and_pictures_go_in_and_come_out() {
    let shm = Shm::new();
    let table = Shared::<i16, IxDyn>::zeros_in(&[30, 4][..], Order::F).unwrap();
    npy::save(shm.fixture.path("f.npy"), table.view()).unwrap();
    shm.fixture.save("c.npy", &noise((123, 45), 1));
    shm.fixture.save("scalar.npy", &ndarray::arr0(2.5));
    shm.fixture.save("empty.npy", &Array2::zeros((0, 5)));
    for file in ["f", "c", "scalar", "empty"] {
        shm.ok(&format!("create {file} --from {file}.npy --keep"));
        shm.ok(&format!("get {file} -o again.npy"));
        assert_eq!(
            fs::read(shm.fixture.path("again.npy")).unwrap(),
            fs::read(shm.fixture.path(&format!("{file}.npy"))).unwrap()
        );
    }
    let Picture::U8(samples) = photo(3) else { unreachable!() };
    picture::save(shm.fixture.path("photo.png"), &photo(3)).unwrap();
    shm.ok("create photo --from photo.png --keep");
    shm.ok("get photo -o again.png");
    assert_eq!(picture::read_u8(shm.fixture.path("again.png")).unwrap().view(), samples.view());
    for name in ["c.txt", "c"] {
        shm.fails(&format!("get c -o {name}"), 2, &[name, ".png", ".npy"]);
    }
    shm.fails("get c -o c.png", 2, &["pictures are rows, columns and channels"]);

    shm.ok("create zeros --shape 123x45 --keep");
    shm.ok("put zeros c.npy");
    shm.ok("cp zeros copy");
    shm.ok("get copy -o copy.npy");
    assert_eq!(fs::read(shm.fixture.path("copy.npy")).unwrap(), fs::read(shm.fixture.path("c.npy")).unwrap());
    shm.fails("put zeros f.npy", 3, &["<f8", "<i2"]);
    shm.fails("put zeros scalar.npy", 3, &["[]", "[123, 45]"]);
    assert_eq!(shm.json("info zeros --json")["generation"], 1);

    shm.ok("rm f c scalar empty photo zeros copy");
    assert!(shm.is_empty());
    assert_eq!(shm.ok("ls"), "this user has no segments\n");
}

#[test]
fn jobs_take_segments_in_place_of_files() {
    let shm = Shm::new();
    let same = |line: &str| {
        let mut command = shm.fixture.command(line);
        command.env("PARFORK_SHM", shm.place.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = watched(line, command.spawn().unwrap());
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    shm.fixture.save("a.npy", &noise((30, 40), 1));
    shm.fixture.save("b.npy", &noise((40, 20), 2));
    picture::save(shm.fixture.path("photo.png"), &photo(4)).unwrap();
    for (name, file) in [("a", "a.npy"), ("b", "b.npy"), ("photo", "photo.png")] {
        shm.ok(&format!("create {name} --from {file} --keep"));
    }
    assert_eq!(same("mean shm:a -q"), same("mean a.npy -q"));
    same("matmul shm:a shm:b -o one.npy -q");
    same("matmul a.npy b.npy -o two.npy -q");
    assert_eq!(fs::read(shm.fixture.path("one.npy")).unwrap(), fs::read(shm.fixture.path("two.npy")).unwrap());
    same("image shm:photo -o one.png -q --filter invert");
    same("image photo.png -o two.png -q --filter invert");
    assert_eq!(fs::read(shm.fixture.path("one.png")).unwrap(), fs::read(shm.fixture.path("two.png")).unwrap());
    shm.ok("rm a b photo");
    assert!(shm.is_empty());
}

#[test]
fn what_there_is_is_listed_for_people_and_programs() {
    let shm = Shm::new();
    shm.ok("create plate --shape 1000x1000 --dtype f32 --keep");
    shm.ok("create b --shape 7 --dtype u8 --keep");
    let list = shm.ok("ls");
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..4], ["NAME", "DTYPE", "SHAPE", "SIZE"]);
    assert_eq!(lines[2][..7], ["plate", "<f4", "1000x1000", "3.8", "MiB", "0", "free"]);
    let list = shm.json("ls --json");
    assert_eq!((&list["schema"], list["segments"].as_array().unwrap().len()), (&"parfork/1".into(), 2));
    let info = shm.json("info plate --json");
    assert_eq!((&info["dtype"], &info["bytes"], &info["mode"]), (&"<f4".into(), &4_000_000.into(), &"600".into()));
    assert_eq!(
        (&info["kept"], &info["creator_dead"], &info["holders"]),
        (&true.into(), &true.into(), &Value::Array(vec![]))
    );
    let text = shm.ok("info plate");
    assert!(text.contains("nobody has it attached") && text.contains("creator      user"), "{text}");
    assert!(shm.ok("gc").lines().all(|line| line.ends_with("stays: kept on purpose")));
    // Something else in the folder is told, and is in nobody's way.
    let folder = fs::read_dir(shm.place.path()).unwrap().next().unwrap().unwrap().path();
    fs::write(folder.join("odd name"), b"x").unwrap();
    fs::write(folder.join("text"), b"x").unwrap();
    fs::set_permissions(folder.join("text"), fs::Permissions::from_mode(0o600)).unwrap();
    let list = shm.ok("ls");
    assert!(list.contains("no segment") && list.contains("odd name") && list.contains("begins with"), "{list}");
    shm.fails("info text", 3, &["it is no segment"]);
    shm.ok("rm plate b text");
    fs::remove_file(folder.join("odd name")).unwrap();
    shm.ok("gc");
    assert!(shm.is_empty());
}

#[test]
fn what_cannot_be_done_is_refused_with_a_remedy() {
    let shm = Shm::new();
    shm.fails("create x --shape 10", 2, &["--keep", "-- PROGRAM"]);
    shm.fails("create x --keep", 2, &["--shape"]);
    shm.fails("create x --shape 10 --dtype c8 --keep", 2, &["f32 or f64"]);
    shm.fails("create ../x --shape 10 --keep", 3, &["no group"]);
    shm.fails("create .x --shape 10 --keep", 3, &["dot"]);
    shm.fails("create x --shape 1000000x1000000 --keep", 1, &["needs 8000000000000 bytes", "Use a shape of"]);
    shm.fails("create x --from none.npy --keep", 3, &["no such file"]);
    for verb in ["info x", "rm x", "get x -o y.npy", "cp x y", "watch x"] {
        shm.fails(verb, 3, &["no such segment"]);
    }
    assert!(shm.is_empty());
    shm.ok("create x --shape 10 --keep");
    shm.fails("create x --shape 10 --keep", 3, &["already"]);
    shm.fails("watch x --deadline 20ms", 1, &["20ms"]);
    shm.fails("rm y x", 3, &["segment y"]);
    assert!(shm.is_empty());
}

#[test]
fn generations_are_watched_until_the_segment_goes() {
    let shm = Shm::new();
    shm.fixture.save("x.npy", &noise((5, 5), 2));
    shm.ok("create x --from x.npy --keep");
    let mut child = shm.command("watch x --past 0").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for generation in 1..=3 {
        shm.ok("put x x.npy");
        assert_eq!(lines.next().unwrap().unwrap(), format!("generation {generation}"));
    }
    assert_eq!(shm.ok("watch x --past 0 --count 2"), "generation 1\ngeneration 2\n");
    shm.ok("rm x");
    assert_eq!(lines.next().unwrap().unwrap(), "removed");
    assert!(lines.next().is_none() && watched("watch", child).status.success());
}

#[test]
fn a_segment_for_a_program_goes_with_it() {
    let shm = Shm::new();
    let run = |script: &str| {
        let mut command = shm.command("create x --shape 100 --dtype u8 --");
        watched(script, command.args(["sh", "-c", script]).spawn().unwrap())
    };
    let output = run("wc -c <$PARFORK_SEGMENT; exit 7");
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap().trim()), (Some(7), "65636"));
    assert!(shm.is_empty());
    assert_eq!(run("kill -9 $$").status.code(), Some(137));
    assert!(run("true").status.success() && shm.is_empty());
    let output = watched("none", shm.command("create x --shape 1 -- ./no-such-program").spawn().unwrap());
    assert!(output.status.code() == Some(2) && shm.is_empty());
    // A signal ends the program, and then the segment.
    let mut child =
        shm.command("create x --shape 1 -- sh").args(["-c", "echo began; exec sleep 1000"]).spawn().unwrap();
    let mut began = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut began).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(watched("sleep", child).status.code(), Some(143));
    assert!(shm.is_empty());
}

#[test]
fn what_a_killed_creator_left_is_swept() {
    let shm = Shm::new();
    let mut child = shm
        .command("create x --shape 1 -- sh")
        .args(["-c", "echo began; read line"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut began = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut began).unwrap();
    assert!(shm.ok("gc").contains("is alive"));
    assert!(shm.ok("ls").contains("as long as pid"));
    let input = child.stdin.take();
    child.kill().unwrap();
    child.wait().unwrap();
    // Its program ends by itself: nobody writes to it any more.
    drop(input);
    assert!(shm.ok("gc --dry-run").contains("x: would remove"));
    assert_eq!(shm.json("gc --dry-run --json")["segments"][0]["removed"], true);
    assert!(!shm.is_empty());
    assert!(shm.ok("gc").contains("x: removed"));
    assert!(shm.is_empty());
}
