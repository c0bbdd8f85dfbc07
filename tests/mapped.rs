//! Files that workers read where they lie: the same results as from memory, and others who want to write get their turn.
#![allow(unsafe_code)]

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use ndarray::{Array2, Array3, Ix1, Ix2, ShapeBuilder};
use parfork::formats::npy::{self, ArrayFile};
use parfork::{Crew, Engine, Error, Job, Mapped, Shared, fork};
use support::{cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            elements_are_where_they_should_be,
            a_crew_reads_files,
            who_wants_to_write_ends_the_job_and_gets_its_turn,
            only_processes_read_files,
            what_cannot_be_mapped_is_not,
        ],
        cases![],
    )
}

fn noise(shape: (usize, usize), seed: usize) -> Array2<f64> {
    Array2::from_shape_fn(shape, |(i, j)| ((i * 7919 + j * 104_729 + seed) % 1009) as f64 / 500.0 - 1.0)
}

/// Folders with files of NumPy's, whose payload begins 128 bytes after the beginning.
fn saved(folder: &Path, name: &str, array: &Array2<f64>) -> PathBuf {
    let path = folder.join(name);
    npy::save(&path, array.view()).unwrap();
    path
}

fn mapped(path: &Path) -> Mapped<f64, Ix2> {
    Mapped::open(path).unwrap().expect("a file of one's own, on a file system with leases")
}

fn elements_are_where_they_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("box.npy");
    for shape in [(7, 50, 33).set_f(false), (7, 50, 33).f()] {
        let mut array = Array3::<u16>::zeros(shape);
        array.indexed_iter_mut().for_each(|((i, j, k), cell)| *cell = (i * 2000 + j * 40 + k) as u16);
        npy::save(&path, array.view()).unwrap();
        let mapped = Mapped::<u16, ndarray::Ix3>::open(&path).unwrap().expect("aligned for two bytes");
        assert_eq!(mapped.shape(), array.shape());
        let mut copy = Shared::<u16, _>::zeros((7, 50, 33)).unwrap();
        fork(3, (&mapped, &mut copy), |w, (all, mut slice)| slice.assign(&w.slice_of(all))).unwrap();
        assert_eq!(copy.view(), array);
    }
}

fn a_crew_reads_files() {
    let folder = tempfile::tempdir().unwrap();
    nothing_left(|| {
        let mut crew = Crew::start(2).unwrap();
        for round in 0..20 {
            let array = noise((40, 30), round);
            let file = mapped(&saved(folder.path(), &format!("{}.npy", round % 3), &array));
            for _ in 0..3 {
                let mut sums = Shared::<f64, _>::zeros(40).unwrap();
                crew.run((&file, &mut sums), (), |_, (), (all, mut slice)| {
                    let first = slice.range(0).start;
                    slice.indexed_iter_mut().for_each(|(row, sum)| *sum = all.row(first + row).sum());
                })
                .unwrap();
                assert!(sums.view().iter().zip(array.rows()).all(|(sum, row)| *sum == row.sum()));
            }
        }
    });
}

/// It waits for a job that would never end.
fn who_wants_to_write_ends_the_job_and_gets_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path(), "a.npy", &noise((100, 100), 3));
    let file = mapped(&path);
    let before = std::fs::metadata(&path).unwrap().len();
    let mut writer = Command::new("sh").args(["-c", "echo more >> \"$0\""]).arg(&path).spawn().unwrap();
    let mut cells = Shared::<f64, _>::zeros(100).unwrap();
    let error = Job::new((&file, &mut cells)).workers(2).run(|_, (all, mut slice)| {
        while !slice[0].is_nan() {
            slice[0] = std::hint::black_box(all[[3, 4]]);
        }
    });
    let error = error.unwrap_err();
    assert!(matches!(&error, Error::File { path: named, .. } if *named == path), "{error:?}");
    assert!(error.to_string().contains("another program wants to write to it while it is read"), "{error}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), before);
    drop(file);
    assert!(writer.wait().unwrap().success());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), before + 5);
}

fn only_processes_read_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = mapped(&saved(folder.path(), "a.npy", &noise((10, 10), 4)));
    for engine in [Engine::Serial, Engine::Threads] {
        let error = Job::new(&file).runner(engine).run(|_, _| ()).unwrap_err().to_string();
        assert!(error.contains("a mapped file needs workers that are processes"), "{error}");
    }
    let mut crew = Crew::start(2).unwrap();
    crew.coordinator_works(true);
    let error = crew.run(&file, (), |_, (), _| ()).unwrap_err().to_string();
    assert!(error.contains("Read it (Shared::load)"), "{error}");
}

fn what_cannot_be_mapped_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path(), "a.npy", &noise((10, 10), 5));
    let writer = File::options().write(true).open(&path).unwrap();
    assert!(Mapped::<f64, Ix2>::open(&path).unwrap().is_none(), "somebody may write to it");
    drop(writer);
    drop(mapped(&path));
    // As NumPy writes them on other machines, and as no alignment wants it.
    let text = std::fs::read(&path).unwrap();
    let at = text.windows(3).position(|bytes| bytes == b"<f8").unwrap();
    let mut other = text.clone();
    other[at] = b'>';
    std::fs::write(&path, other).unwrap();
    assert!(Mapped::<f64, Ix2>::open(&path).unwrap().is_none());
    let mut odd = text.clone();
    odd[8] -= 1;
    odd.remove(126);
    std::fs::write(&path, odd).unwrap();
    assert!(Mapped::<f64, Ix2>::open(&path).unwrap().is_none());
    assert_eq!(Shared::<f64, Ix2>::load(&path).unwrap().view(), noise((10, 10), 5));
    let bytes = ArrayFile::open(&path).unwrap().map_bytes();
    assert_eq!(bytes.expect("bytes are always aligned").shape(), [800]);
    let none = saved(folder.path(), "none.npy", &Array2::zeros((0, 3)));
    assert!(Mapped::<f64, Ix2>::open(&none).unwrap().is_none());
    std::fs::write(&path, &text[..500]).unwrap();
    assert!(Mapped::<f64, Ix2>::open(&path).is_err() && Mapped::<f64, Ix1>::open(&none).is_err());
}
