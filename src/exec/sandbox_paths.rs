//! What a program in a sandbox may read.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Programs, libraries, and what those read of the machine when they begin; not the rest of /etc, nor anybody's files.
const SYSTEM: [&str; 16] = [
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr",
    "/opt",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/sys/devices/system",
];

/// Of a program: the system's folders, its own file (of one in a Python environment, that), the files that its arguments name, and what was
/// allowed besides. A folder that an argument names is not among them. Only what is there.
pub(super) fn sandbox_paths(program: &OsStr, arguments: &[OsString], more: &[PathBuf]) -> Vec<PathBuf> {
    let mut reach: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    if let Some(file) = find(program) {
        // Also what a link leads to.
        let real = file.canonicalize().ok();
        reach.extend([Some(file), real].into_iter().flatten().map(|file| home(&file)));
    }
    let named = arguments.iter().map(Path::new).filter(|path| path.is_file());
    reach.extend(named.map(Path::to_owned));
    reach.extend(more.iter().cloned());
    reach.retain(|path| path.exists());
    reach.sort_unstable();
    reach.dedup();
    reach
}

/// Where a shell would find it.
fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(program));
    }
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// What belongs to a program's file: the virtual environment that it is the interpreter of, or nothing else.
fn home(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| folder.ends_with("bin")).and_then(Path::parent);
    folder.filter(|folder| folder.join("pyvenv.cfg").is_file()).unwrap_or(file).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_reaches_what_it_needs_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for name in ["venv/bin", "home/bin", "data"] {
            std::fs::create_dir_all(base.join(name)).unwrap();
        }
        let names =
            ["venv/bin/python", "venv/pyvenv.cfg", "home/bin/tool", "home/key", "data/script.py", "data/beside"];
        let files @ [python, _, tool, key, script, beside] = &names.map(|name| base.join(name));
        files.iter().for_each(|file| std::fs::write(file, b"").unwrap());
        let arguments = [script.clone().into_os_string(), "--verbose".into(), base.join("home").into_os_string()];
        let of = |program: &Path| sandbox_paths(program.as_os_str(), &arguments, &[base.join("nowhere")]);
        let is_in = |file: &Path, reach: &[PathBuf]| reach.iter().any(|path| file.starts_with(path));
        assert!(of(python).contains(&base.join("venv")) && of(python).contains(script));
        assert!(is_in(tool, &of(tool)) && !is_in(key, &of(tool)) && !is_in(beside, &of(tool)), "{:?}", of(tool));
        assert!(of(tool).iter().all(|path| path.exists()));
        assert_eq!(home(Path::new("/bin/sh")), Path::new("/bin/sh"));
        assert_eq!(find(OsStr::new("no-such-program-anywhere")), None);
    }
}
