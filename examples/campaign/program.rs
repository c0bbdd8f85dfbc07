//! Copies of this program as the workers of a job: `parfork::exec`, and the side of a copy.

use std::process::ExitCode;

use ndarray::{ArrayD, IxDyn};
use parfork::exec::{self, Array, Program, ProgramWorker};
use parfork::formats::npy;

use crate::body::{Cell, Context, given, value};
use crate::judge::{Case, Verdict};
use crate::offspring::Who;
use crate::page::{Page, Words, now};
use crate::plan::{Element, Plan};

/// Tells a copy where the trial's page is.
const PAGE: &str = "PARFORK_TRIAL_PAGE";

/// The arrays of a trial: one to read, and one to write that is zeros.
pub(crate) fn arrays<T: Cell>(plan: &Plan) -> Vec<Array> {
    let path = std::env::temp_dir().join("input.npy");
    npy::save(&path, inputs::<T>(plan).view()).expect("a small file");
    let input = Array::input("input", &path).expect("a small array");
    std::fs::remove_file(&path).expect("the file just made");
    vec![input, Array::output("output", T::DTYPE, &plan.shape).expect("a small array")]
}

fn inputs<T: Cell>(plan: &Plan) -> ArrayD<T> {
    let cells = (0..plan.shape.iter().product()).map(|at| given(plan, at)).collect();
    ArrayD::from_shape_vec(IxDyn(&plan.shape), cells).expect("as many cells")
}

/// Runs the job, and judges.
pub(crate) fn job<T: Cell>(plan: &Plan, words: &Words, arrays: Vec<Array>) -> Verdict {
    let me = std::env::current_exe().expect("this program's file");
    let program = Program::new(me).env(PAGE, format!("/proc/{}/fd/0", std::process::id()));
    let (grid, began) = (plan.grid(), now());
    let done = exec::run(plan.job(), &program, arrays);
    let case = Case { plan, grid: &grid, words, began, ended: now(), lied: plan.lied(words) > 0 };
    match done {
        Ok((gathered, arrays)) => {
            let given = inputs::<T>(plan);
            let right = given
                .indexed_iter()
                .map(|(index, &input)| value(plan, ndarray::Dimension::slice(&index), input, T::of(0)));
            let cells =
                |array: Array| array.into_shared::<T, _>(given.len()).expect("such an array").as_slice().to_vec();
            let [input, output] = <[Array; 2]>::try_from(arrays).expect("two were given").map(cells);
            let complaint = if input != given.iter().copied().collect::<Vec<_>>() {
                Some("the input has changed")
            } else if !right.eq(output) {
                Some("the output is wrong")
            } else {
                None
            };
            case.completed(&gathered.report().deaths, complaint.map(str::to_owned))
        }
        Err(error) => case.failed(&error, true),
    }
}

/// Is a copy, if this process is one.
pub(crate) fn work_if_told(seed: u64, number: u64) -> Option<ExitCode> {
    let page = Page::at(&std::env::var_os(PAGE)?);
    let plan = Plan::new(seed, number);
    let worked = page.map_err(|error| error.to_string()).and_then(|page| match plan.element {
        Element::U8 => work::<u8>(&plan, &page),
        Element::I32 => work::<i32>(&plan, &page),
        Element::F64 => work::<f64>(&plan, &page),
    });
    Some(if worked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Works on slices until there are no more.
fn work<T: Cell>(plan: &Plan, words: &Words) -> Result<(), String> {
    let refused = |error: parfork::Error| error.to_string();
    let mut guest = ProgramWorker::join().map_err(refused)?;
    let input = guest.input::<T, IxDyn>("input").map_err(refused)?;
    let mut output = guest.output::<T, IxDyn>("output").map_err(refused)?;
    let rank = guest.rank();
    let run = guest.run(|slice| {
        let context = Context { plan, words, rank, region: **slice, in_danger: true, step: 0 };
        let input = input.view();
        let value = |_: &[usize], index: &[usize], before| value(plan, index, input[index], before);
        match context.work(&mut output.slice(slice), value)? {
            Who::Child(end) => end.come_back(),
            Who::Parent => Ok(()),
        }
    });
    run.map_err(refused)
}
