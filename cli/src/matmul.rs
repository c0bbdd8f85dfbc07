//! `parfork matmul`: the product of two .npy matrices.

use std::time::Instant;

use ndarray::Ix2;
use parfork::Shared;
use parfork::formats::{AtomicFile, npy};
use parfork_workers::matmul::{self, Element};
use serde_json::{Map, json};

use crate::args::Matmul;
use crate::failure::Failure;
use crate::job::{Summary, verify};

/// Reads, multiplies, writes.
pub fn run(args: Matmul) -> Result<(), Failure> {
    let (a, b) = (npy::Header::read(&args.a)?, npy::Header::read(&args.b)?);
    let kind = |dtype: &str| dtype.trim_start_matches(['<', '>', '=', '|']).to_owned();
    match (kind(&a.dtype).as_str(), kind(&b.dtype).as_str()) {
        ("f4", "f4") => product::<f32>(args, "f4"),
        ("f8", "f8") => product::<f64>(args, "f8"),
        ("f4" | "f8", "f4" | "f8") => Err(Failure::input(format!(
            "{} is {} and {} is {}, and a product has one type. Convert one with NumPy: a.astype('f8').",
            args.a.display(),
            a.dtype,
            args.b.display(),
            b.dtype
        ))),
        (one, other) => {
            let (path, dtype) = if matches!(one, "f4" | "f8") { (&args.b, other) } else { (&args.a, one) };
            Err(Failure::input(format!(
                "{} has elements of type {dtype}, and matrices are multiplied in f4 or f8. Convert it with NumPy: a.astype('f8').",
                path.display()
            )))
        }
    }
}

fn product<T: Element + npy::Element>(args: Matmul, dtype: &str) -> Result<(), Failure> {
    let began = Instant::now();
    let (a, b) = (args.common.open::<T, Ix2>(&args.a)?, args.common.open::<T, Ix2>(&args.b)?);
    let (left, right) = (a.input(), b.input());
    let ((m, k), (rows, n)) = ((left.shape()[0], left.shape()[1]), (right.shape()[0], right.shape()[1]));
    if k != rows {
        return Err(Failure::input(format!(
            "the shapes {m}x{k} of {} and {rows}x{n} of {} do not multiply. The first must have as many columns as the second has rows.",
            args.a.display(),
            args.b.display()
        )));
    }
    let mut target_file = AtomicFile::at(&args.output).map_err(Failure::job)?;
    target_file.reserve((m * n * size_of::<T>()) as u64).map_err(Failure::job)?;
    let views = args.common.views("matmul")?;
    let mut c = Shared::<T, Ix2>::zeros((m, n))?;
    let done = matmul::run(args.common.settings("matmul", &views), left, right, &mut c)?;
    if args.common.verify {
        let mut serial = Shared::<T, Ix2>::zeros((m, n))?;
        matmul::run(args.common.serially(), a.input(), b.input(), &mut serial)?;
        verify(c.as_slice(), serial.as_slice())?;
    }
    Failure::if_stopped()?;
    if args.common.only_slice.is_none() {
        npy::write(&mut target_file, c.view()).map_err(Failure::job)?;
        target_file.commit().map_err(Failure::job)?;
    }
    let mut facts = Map::new();
    facts.insert("inputs".into(), json!([args.a, args.b]));
    facts.insert("output".into(), json!(args.output));
    facts.insert("dtype".into(), json!(dtype));
    facts.insert("m".into(), json!(m));
    facts.insert("k".into(), json!(k));
    facts.insert("n".into(), json!(n));
    Summary {
        command: "matmul",
        facts,
        line: format!("{m}x{k} times {k}x{n} {dtype}"),
        reports: vec![done.report().clone()],
        names: vec!["matmul".to_owned()],
        filing: None,
        wall: began.elapsed(),
        verified: args.common.verify.then_some(true),
        views,
    }
    .tell(&args.common)
}
