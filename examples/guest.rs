//! A worker of `parfork exec` in Rust: started without arguments it is the user, and lets the command run copies of itself.
//!
//! `cargo build --release && cargo run --release --example guest`

use std::process::Command;

use ndarray::{Array2, Ix2, s};
use parfork::exec::ProgramWorker;
use parfork::formats::npy;
use parfork::{Result, Shared};
/// What a copy does: each row is the rows up to it, added up.
fn work() -> Result<()> {
    let mut guest = ProgramWorker::join()?;
    let (a, mut sums) = (guest.input::<f64, Ix2>("a")?, guest.output::<f64, Ix2>("sums")?);
    guest.run(|slice| {
        let first = slice.range(0).map_or(0, |rows| rows.start);
        for (row, mut sum) in sums.slice(slice).rows_mut().into_iter().enumerate() {
            sum.assign(&a.view().slice(s![..=first + row, ..]).sum_axis(ndarray::Axis(0)));
        }
        Ok::<_, String>(())
    })
}
fn main() -> Result<()> {
    if std::env::var_os("PARFORK_MANIFEST_FD").is_some() {
        return work();
    }
    let (me, folder) = (std::env::current_exe().unwrap(), std::env::temp_dir());
    let parfork = me.ancestors().nth(2).unwrap().join("parfork");
    let name = |what: &str| folder.join(format!("guest-{}-{what}.npy", std::process::id()));
    let (a, sums) = (name("a"), name("sums"));
    npy::save(&a, Array2::<f64>::ones((100, 30)).view())?;
    let (input, output) = (format!("a={}", a.display()), format!("sums={}", sums.display()));
    let line = ["exec", "--in", &input, "--out", &output, "-n", "3", "--split", "rows=7", "--"];
    assert!(Command::new(parfork).args(line).arg(me).status().unwrap().success());
    let found = Shared::<f64, Ix2>::load(&sums)?;
    assert!(found.view().indexed_iter().all(|((row, _), &sum)| sum == row as f64 + 1.0));
    [a, sums].iter().for_each(|file| std::fs::remove_file(file).unwrap());
    Ok(())
}
