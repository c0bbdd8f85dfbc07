//! A folder of its own for a test, with the command run in it under a watchdog.
#![allow(unsafe_code)]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use ndarray::{Array2, Array3};
use parfork::Shared;
use parfork::formats::npy;
use parfork_workers::picture::{self, Picture};

/// A folder of its own for a test, and the command run in it.
pub(crate) struct Fixture(pub(crate) tempfile::TempDir);

impl Fixture {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With two matrices to multiply, a.npy and b.npy, and photo.png.
    pub(crate) fn with_inputs() -> Self {
        let fixture = Self::new();
        fixture.save("a.npy", &Array2::from_shape_fn((20, 2), |(i, j)| (2 * i + j) as f64));
        fixture.save("b.npy", &Array2::ones((2, 3)));
        picture::save(fixture.path("photo.png"), &photo(3)).unwrap();
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parfork"));
        // What a shell's `&` and `nohup` let a program ignore is heeded, also when the tests run in the background.
        let heed = || {
            [libc::SIGINT, libc::SIGHUP, libc::SIGTERM].iter().for_each(|&signal| {
                // SAFETY: the default, for the signals of a process that has just been made.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            });
            Ok(())
        };
        // SAFETY: it makes system calls only.
        unsafe { command.pre_exec(heed) };
        // What colours are welcome is for the tests that look at them, and not for whoever runs the tests.
        for name in ["CI", "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command line to its end; a watchdog ends it, and the test, after a minute.
    pub(crate) fn run(&self, line: &str) -> Output {
        let child = self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        watched(line, child)
    }

    /// Runs a command that must succeed; what it prints on stdout.
    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "parfork {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with this code and these words on stderr, nothing on stdout, and change nothing.
    pub(crate) fn fails(&self, line: &str, code: i32, words: &[&str]) {
        let before = self.everything();
        let output = self.run(line);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "parfork {line}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "parfork {line}: {text} lacks one of {words:?}");
        assert!(!text.contains("panicked") && output.stdout.is_empty(), "parfork {line}: {text}");
        assert_eq!(self.everything(), before, "parfork {line} left something");
    }

    /// Runs lines of `sh`, where `$P` is the command and segments are in a folder of this fixture; exit code, stdout, stderr.
    pub(crate) fn shell(&self, lines: &str) -> (Option<i32>, Vec<u8>, String) {
        let segments = self.path("segments");
        fs::create_dir_all(&segments).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", lines]).current_dir(self.0.path()).stdin(Stdio::null());
        shell.env("P", env!("CARGO_BIN_EXE_parfork")).env("PARFORK_SHM", segments);
        let output = watched(lines, shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        (output.status.code(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Lines of `sh` that must succeed; what they print on stdout.
    pub(crate) fn shell_ok(&self, lines: &str) -> Vec<u8> {
        let (code, stdout, stderr) = self.shell(lines);
        assert_eq!(code, Some(0), "{lines}: {stderr}");
        stdout
    }

    /// Lines of `sh` that must end with this code and these words on stderr.
    pub(crate) fn shell_fails(&self, lines: &str, expected: i32, words: &[&str]) {
        let (code, _, stderr) = self.shell(lines);
        assert_eq!(code, Some(expected), "{lines}: {stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{lines}: {stderr} lacks one of {words:?}");
        assert!(!stderr.contains("panicked"), "{lines}: {stderr}");
    }

    pub(crate) fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.map(|path| (path.clone(), fs::read(&path).unwrap_or_default())).collect();
        files.sort();
        files
    }

    pub(crate) fn save<D: ndarray::Dimension>(&self, name: &str, array: &ndarray::Array<f64, D>) {
        npy::save(self.path(name), array.view()).unwrap();
    }
}

pub(crate) fn watched(what: &str, child: Child) -> Output {
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(Duration::from_secs(240)) else {
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        panic!("parfork {what} did not end");
    };
    output.unwrap()
}

pub(crate) fn noise(shape: (usize, usize), seed: usize) -> Array2<f64> {
    let cell = |(i, j): (usize, usize)| ((i * 7919 + j * 104_729 + seed) % 1009) as f64 / 500.0 - 1.0;
    Array2::from_shape_fn(shape, cell)
}

pub(crate) fn photo(channels: usize) -> Picture {
    let pixel = |(y, x, c): (usize, usize, usize)| ((y * 3 + x * 5 + c * 41 + y * x / 7) % 256) as u8;
    Picture::U8(Shared::from_array(&Array3::from_shape_fn((61, 83, channels), pixel)).unwrap())
}

/// The worker processes of a coordinator, once there are that many.
pub(crate) fn children(pid: u32, number: usize) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let is_worker =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("parfork-w"));
    let list = || {
        let text = fs::read_to_string(Path::new(&path)).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).filter(is_worker).collect::<Vec<u32>>()
    };
    let mut found = Vec::new();
    until(|| {
        found = list();
        found.len() == number
    });
    found
}

pub(crate) fn until(mut happens: impl FnMut() -> bool) {
    let patience = std::time::Instant::now() + Duration::from_secs(120);
    while !happens() {
        assert!(std::time::Instant::now() < patience, "what was waited for did not happen");
        std::thread::yield_now();
    }
}

/// Whether a process has computed for a tenth of a second.
pub(crate) fn has_worked(pid: u32) -> bool {
    has_worked_for(pid, 10)
}

/// Whether a process has computed for so many hundredths of a second.
pub(crate) fn has_worked_for(pid: u32, hundredths: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Field 14 of proc_pid_stat(5), counted from the bracket that closes field 2; in hundredths of a second.
    let ticks = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(11)?.parse::<u64>().ok());
    ticks.is_some_and(|ticks| ticks >= hundredths)
}
