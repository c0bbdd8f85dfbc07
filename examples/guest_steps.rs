//! A worker of `parfork exec --planes` in Rust, which iterates: started without arguments it is the user, and lets the command run copies of itself.
//!
//! `cargo build --release && cargo run --release --example guest_steps`

use std::process::Command;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Ix2, Zip, s};
use parfork::exec::ProgramWorker;
use parfork::formats::npy;
use parfork::{Result, Shared};
/// Each cell becomes the mean of its four neighbours.
fn heat(old: ArrayView2<'_, f64>, new: ArrayViewMut2<'_, f64>) {
    Zip::from(new).and(old.windows((3, 3))).for_each(|cell, near| {
        *cell = 0.25 * (near[[0, 1]] + near[[1, 0]] + near[[1, 2]] + near[[2, 1]]);
    });
}
fn main() -> Result<()> {
    if std::env::var_os("PARFORK_MANIFEST_FD").is_some() {
        let mut guest = ProgramWorker::join()?;
        let mut plate = guest.planes::<f64, Ix2>("plate")?;
        return guest.run_steps(|step| {
            let (old, new) = plate.step(step);
            heat(old, new);
            Ok::<_, String>(())
        });
    }
    let (me, folder) =
        (std::env::current_exe().unwrap(), std::env::temp_dir().join(format!("steps-{}", std::process::id())));
    std::fs::create_dir(&folder).unwrap();
    let mut right = Array2::from_shape_fn((60, 40), |(i, j)| if i == 0 { 100.0 } else { j as f64 });
    npy::save(folder.join("hot.npy"), right.view())?;
    let line = "exec --planes plate=hot.npy --out plate=after.npy --steps 200 -n 3 --split rows=9 --";
    let mut parfork = Command::new(me.ancestors().nth(2).unwrap().join("parfork"));
    assert!(parfork.args(line.split(' ')).arg(&me).current_dir(&folder).status().unwrap().success());
    (0..200).for_each(|_| heat(right.clone().view(), right.slice_mut(s![1..59, 1..39])));
    let after = Shared::<f64, Ix2>::load(folder.join("after.npy"))?;
    assert!(after.view() == right && std::fs::remove_dir_all(&folder).is_ok());
    Ok(())
}
