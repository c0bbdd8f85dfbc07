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

/// Of a program: the system's folders, its own file and, if that is in a `bin`, what is beside that (a virtual environment), what lies
/// beside the files that its arguments name, and what was said besides. Only what is there.
pub(super) fn reach(program: &OsStr, arguments: &[OsString], more: &[PathBuf]) -> Vec<PathBuf> {
    let mut reach: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    if let Some(file) = find(program) {
        // Also what a link leads to.
        let real = file.canonicalize().ok();
        reach.extend([Some(file), real].into_iter().flatten().map(|file| home(&file)));
    }
    let named = arguments.iter().map(Path::new).filter(|path| path.is_file());
    reach.extend(named.filter_map(|path| Some(path.canonicalize().ok()?.parent()?.to_owned())));
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

/// What belongs to a program's file.
fn home(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| folder.ends_with("bin"));
    folder.and_then(Path::parent).filter(|home| *home != Path::new("/")).unwrap_or(file).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_reaches_what_it_needs_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for name in ["venv/bin", "data", "secret"] {
            std::fs::create_dir_all(base.join(name)).unwrap();
        }
        let files = ["venv/bin/python", "data/script.py", "secret/key"].map(|name| base.join(name));
        files.iter().for_each(|file| std::fs::write(file, b"").unwrap());
        let arguments = [files[1].clone().into_os_string(), "--verbose".into()];
        let reach = reach(files[0].as_os_str(), &arguments, &[base.join("nowhere")]);
        assert!(reach.contains(&base.join("venv")) && reach.contains(&base.join("data")));
        assert!(!reach.iter().any(|path| files[2].starts_with(path)), "{reach:?}");
        assert!(reach.iter().all(|path| path.exists()));
        assert_eq!(home(Path::new("/bin/sh")), Path::new("/bin/sh"));
        assert_eq!(find(OsStr::new("no-such-program-anywhere")), None);
    }
}
