//! Outputs under attack: another user who plants links, SIGKILL at every system call, many who write the same file.
#![allow(unsafe_code)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use parfork::formats::AtomicFile;
use support::{cases, killed_at_each_step, play, steps_begin};

/// The other user: `nobody`.
const OTHER: u32 = 65534;

fn main() -> ExitCode {
    support::run(
        cases![
            a_link_that_another_user_plants_is_never_followed,
            who_is_killed_at_any_step_leaves_nothing_that_stays,
            many_land_on_one_target_and_one_of_them_is_there,
            a_fork_neither_writes_nor_lands_what_is_its_parents,
        ],
        cases![part_attacker, part_lander, part_one_of_many],
    )
}

/// The target that a part is told.
fn told() -> PathBuf {
    std::env::var_os("TARGET").unwrap().into()
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn land(path: &Path, text: &[u8]) -> parfork::Result<()> {
    let mut out = AtomicFile::at(path)?;
    out.write_all(text).unwrap();
    out.commit()
}

/// Makes and removes a link at the target, to the file beside its folder, until it is killed.
pub(crate) fn part_attacker() {
    let target = told();
    // Here, for it may not be let run this program.
    nix::unistd::setresgid(OTHER.into(), OTHER.into(), OTHER.into()).unwrap();
    nix::unistd::setresuid(OTHER.into(), OTHER.into(), OTHER.into()).unwrap();
    // Another user's process does not end with its parent any more unless that is said anew.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).unwrap();
    println!("ready");
    loop {
        for _ in 0..200 {
            let _ = symlink("../precious", &target);
            let _ = fs::remove_file(&target);
        }
    }
}

fn a_link_that_another_user_plants_is_never_followed() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root can play another user");
    }
    let work = tempfile::tempdir().unwrap();
    let (open, precious) = (work.path().join("open"), work.path().join("precious"));
    fs::create_dir(&open).unwrap();
    for folder in [std::env::temp_dir().as_path(), work.path()] {
        fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&open, PermissionsExt::from_mode(0o1777)).unwrap();
    let target = open.join("out.png");
    let mut attack = play("part_attacker");
    let mut attacker = attack.env("TARGET", &target).stdout(Stdio::piped()).spawn().unwrap();
    attacker.stdout.take().unwrap().read_exact(&mut [0; 6]).unwrap();
    let (mut landed, mut refused) = (0, 0);
    for _ in 0..4000 {
        fs::write(&precious, "precious").unwrap();
        match land(&target, b"the output of a job") {
            Ok(()) => landed += 1,
            Err(_) => refused += 1,
        }
        assert_eq!(
            fs::read_to_string(&precious).unwrap(),
            "precious",
            "after {landed} landings and {refused} refusals"
        );
        let _ = fs::remove_file(&target);
    }
    attacker.kill().unwrap();
    attacker.wait().unwrap();
    assert!(landed > 0 && refused > 0, "{landed} landed, {refused} refused: there was no race");
    assert!(names(&open).iter().all(|name| name == "out.png"));
}

/// Replaces the target.
pub(crate) fn part_lander() {
    let target = told();
    steps_begin();
    land(&target, b"new").unwrap();
}

fn who_is_killed_at_any_step_leaves_nothing_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    let (mut old, mut new, mut left) = (0, 0, 0);
    let reset = || fs::write(&target, "old").unwrap();
    reset();
    let part = || {
        let mut part = play("part_lander");
        part.env("TARGET", &target);
        part
    };
    let killed = killed_at_each_step(part, |step| {
        match fs::read_to_string(&target).unwrap().as_str() {
            "old" => old += 1,
            "new" => new += 1,
            half => panic!("{half:?} after step {step}"),
        }
        left += names(folder.path()).len() - 1;
        drop(AtomicFile::at(&target).unwrap());
        assert_eq!(names(folder.path()), ["out"], "after step {step}");
        reset();
    });
    assert!(old > 0 && new > 0 && left > 0, "{old} old, {new} new, {left} left hidden names, {killed} kills");
}

/// Replaces the target many times.
pub(crate) fn part_one_of_many() {
    let (target, text) = (told(), std::process::id().to_string().repeat(1000));
    (0..200).for_each(|_| land(&target, text.as_bytes()).unwrap());
}

fn many_land_on_one_target_and_one_of_them_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    let start = |_| play("part_one_of_many").env("TARGET", &target).spawn().unwrap();
    let mut all: Vec<_> = (0..24).map(start).collect();
    // What some of them leave is swept by others meanwhile, and nothing of the living is.
    for child in &mut all[..4] {
        while !target.exists() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for child in &mut all[4..] {
        assert!(child.wait().unwrap().success());
    }
    let text = fs::read_to_string(&target).unwrap();
    assert!(all.iter().any(|child| text == child.id().to_string().repeat(1000)));
    drop(AtomicFile::at(&target).unwrap());
    assert_eq!(names(folder.path()), ["out"]);
}

fn a_fork_neither_writes_nor_lands_what_is_its_parents() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    let mut out = AtomicFile::at(&target).unwrap();
    out.write_all(b"once").unwrap();
    for lands in [false, true] {
        // SAFETY: this process has one thread.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let landed = match lands {
                true => out.commit().is_ok(),
                false => {
                    drop(out);
                    false
                }
            };
            // SAFETY: ends the process without touching its memory.
            unsafe { libc::_exit(i32::from(landed)) };
        }
        let mut status = 0;
        // SAFETY: the call writes one int.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert!(status == 0 && !target.exists(), "{status:x}");
    }
    out.commit().unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "once");
}
