//! Inputs that are not in this process's memory: files, and named segments.

use std::path::{Path, PathBuf};

use ndarray::{Array2, Ix2};
use parfork::formats::npy::{self, ArrayFile};
use parfork::named::Named;
use parfork::{Input, Job, Mapped, Shared};
use parfork_workers::{matmul, reduce};

use super::support::nothing_left;

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

pub(crate) fn kernels_read_files_as_they_read_memory() {
    let folder = tempfile::tempdir().unwrap();
    nothing_left(|| {
        for (m, k, n) in [(1, 1, 1), (65, 33, 70), (300, 200, 257)] {
            let (a, b) = (noise((m, k), 1), noise((k, n), 2));
            let (one, other) = (
                saved(folder.path(), "a.npy", &a),
                saved(folder.path(), "b.npy", &b.t().as_standard_layout().t().to_owned()),
            );
            let read = |path| Shared::<f64, Ix2>::load(path).unwrap();
            let job = || Job::default().workers(3);
            let (mut expected, mut found) = (Shared::zeros((m, n)).unwrap(), Shared::zeros((m, n)).unwrap());
            matmul::run(job(), &read(&one), &read(&other), &mut expected).unwrap();
            matmul::run(job(), &mapped(&one), &mapped(&other), &mut found).unwrap();
            assert_eq!(expected.as_slice(), found.as_slice());
            let file = ArrayFile::open(&one).unwrap();
            let (header, bytes) = (file.header().clone(), file.map_bytes());
            let (sum, _) = reduce::run(job(), reduce::Op::Sum, header.dtype, &bytes.unwrap()).unwrap();
            let (_, bytes) = npy::read_bytes(&one).unwrap();
            assert_eq!(sum, reduce::run(job(), reduce::Op::Sum, header.dtype, &bytes).unwrap().0);
        }
    });
}

pub(crate) fn named_segments_are_inputs() {
    let name = format!("mapped-{}", std::process::id());
    let (a, b) = (noise((20, 30), 6), noise((30, 10), 7));
    let mut segment = Named::<f64, _>::create(&name).zeros((20, 30)).unwrap();
    let mut held = segment.write().unwrap();
    held.view_mut().assign(&a);
    held.publish().unwrap();
    let held = segment.read().unwrap();
    let (b, mut c) = (Shared::from_array(&b).unwrap(), Shared::zeros((20, 10)).unwrap());
    matmul::run(Job::default(), &held, Input::Shared(&b), &mut c).unwrap();
    assert!((&c.view() - &a.dot(&b.view())).iter().all(|difference| difference.abs() < 1e-12));
}
