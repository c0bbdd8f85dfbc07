//! `parfork exec`: programs as workers. They are `sh` and `awk`, which are on every system.

mod ends;
mod places;
mod programs;
mod protocol;
mod results;
mod steps;

use std::process::{Command, Output, Stdio};

use ndarray::ArrayD;
use parfork::Shared;
use parfork::formats::npy;

use crate::fixture::{Fixture, watched};

/// Doubles bytes: cell by cell with `dd`, as slow as it is plain. For rows of one axis.
pub(crate) const DOUBLE: &str = r#"while read -r word start end; do
    i=$start
    while [ $i -lt $end ]; do
        byte=$(od -An -tu1 -j$((PARFORK_OFFSET_A + i)) -N1 $PARFORK_IN_A)
        printf "\\$(printf %03o $((byte * 2)))" | dd of=$PARFORK_OUT_B bs=1 seek=$i conv=notrunc status=none
        i=$((i + 1))
    done
    echo done $start $end
done"#;

impl Fixture {
    /// The command with these words, and a script for `sh` as its program.
    pub(crate) fn exec(&self, line: &str, script: &str) -> Command {
        let mut command = self.command(&format!("exec {line} -- sh -c"));
        command.arg(script).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run_exec(&self, line: &str, script: &str) -> Output {
        watched(line, self.exec(line, script).spawn().unwrap())
    }

    pub(crate) fn exec_ok(&self, line: &str, script: &str) -> String {
        let output = self.run_exec(line, script);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "exec {line} -- {script}: {text}");
        text
    }

    /// It must fail with this code, all of these words on stderr, and no new file.
    fn exec_fails(&self, line: &str, script: &str, code: i32, words: &[&str]) -> String {
        let before = self.everything();
        let output = self.run_exec(line, script);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "exec {line} -- {script}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "exec {line} -- {script}: {text} lacks one of {words:?}");
        assert!(!text.contains("panicked") && output.stdout.is_empty(), "{text}");
        assert_eq!(self.everything(), before);
        text
    }

    pub(crate) fn bytes(&self, name: &str, length: usize) -> Vec<u8> {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 7 % 100) as u8).collect();
        npy::save(self.path(name), ArrayD::from_shape_vec(vec![length], bytes.clone()).unwrap().view()).unwrap();
        bytes
    }

    pub(crate) fn found(&self, name: &str) -> Vec<u8> {
        Shared::<u8, ndarray::IxDyn>::load(self.path(name)).unwrap().as_slice().to_vec()
    }
}
