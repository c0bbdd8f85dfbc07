//! Numbers of SciPy 1.17.1 with NumPy 2.4.6, of
//! ```python
//! a = (np.arange(35).reshape(5, 7) * 37 % 64).astype(float)
//! w = np.array([[0.125, 0.25, 0], [-0.5, 1, 0.25], [0, 0.375, -0.25]])
//! for _ in range(3): a = scipy.ndimage.correlate(a, w, mode=mode, cval=2.5)
//! print(a[[0, 0, 2, 4, 4], [0, 6, 3, 0, 6]].tolist(), a.sum())
//! ```
//! all of which are exact in f64; of `keep` the same with `a[1:-1, 1:-1] = correlate(a, w)[1:-1, 1:-1]`.

use ndarray::{Array, Array2, ArrayD, Dimension, array};
use parfork::{Border, Engine, Job, Split};
use proptest::prelude::*;

use super::*;
use crate::sampled;

fn start() -> Array2<f64> {
    Array2::from_shape_fn((5, 7), |(i, j)| ((7 * i + j) * 37 % 64) as f64)
}

fn after<T: Real, D: Dimension>(
    start: &Array<T, D>,
    rule: &Rule,
    border: Border<f64>,
    steps: u32,
    split: Split,
) -> Array<T, D> {
    let mut plate = StencilPlanes::new(start, rule, border).unwrap();
    run(Job::default().runner(Engine::Serial).split(split), &mut plate, steps).unwrap();
    plate.view().unwrap().to_owned()
}

#[test]
fn weights_leave_what_scipy_leaves() {
    let rule = Rule::Weights(array![[0.125, 0.25, 0.0], [-0.5, 1.0, 0.25], [0.0, 0.375, -0.25]].into_dyn());
    let corners = [[0, 0], [0, 6], [2, 3], [4, 0], [4, 6]];
    for (border, cells, sum) in [
        (Border::Wrap, [-24.919921875, 2.4375, 219.80078125, -63.287109375, 90.8203125], 2123.046875),
        (Border::Reflect101, [-108.0703125, -16.4453125, 214.84375, -94.2890625, 181.8359375], 2089.19140625),
        (Border::Replicate, [1.30078125, -28.06640625, 214.69140625, 18.62109375, 189.37890625], 2360.81640625),
        (
            Border::Constant(2.5),
            [-6.1298828125, -50.2451171875, 213.994140625, 68.408203125, 91.1865234375],
            1987.26171875,
        ),
    ] {
        let found = after(&start(), &rule, border, 3, Split::rows().of(2));
        assert_eq!((corners.map(|at| found[at]), found.sum()), (cells, sum), "{border}");
    }
    let kept = after(&start(), &rule, Border::Keep, 3, Split::rows().of(1));
    let cells = [[0, 0], [1, 1], [2, 3], [3, 1], [3, 5]].map(|at| kept[at]);
    assert_eq!((cells, kept.sum()), ([0.0, 141.009765625, 209.30078125, 135.828125, 34.375], 1687.31640625));
}

/// `for _ in range(10): p = np.pad(a, 1, mode='wrap'); a = a + 0.125 * (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4 * a)`
#[test]
fn heat_flows_as_in_numpy() {
    let found = after(&start(), &Rule::Heat(0.125), Border::Wrap, 10, Split::rows().of(3));
    let cells = [[0, 0], [0, 6], [2, 3], [4, 0], [4, 6]].map(|at| found[at]);
    let right = [27.780768089927733, 29.5074666114524, 33.794069707393646, 27.846789482049644, 29.05702073033899];
    assert_eq!((cells, found.sum()), (right, 1087.0));
}

fn agrees<T: Real, D: Dimension>(start: &Array<T, D>, rule: &Rule, border: Border<f64>, split: Split) {
    let found = after(start, rule, border, 3, split).into_dyn();
    let right = naive::steps(start.clone().into_dyn(), rule, border, 3);
    assert_eq!(found, right, "{rule:?} {border}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sampled::number(40, 200)))]

    #[test]
    fn every_cut_leaves_the_bits_of_a_naive_loop(
        shape in [8_usize..12, 8_usize..12, 8_usize..40],
        sides in [0_usize..3, 0_usize..3, 0_usize..4],
        border in 0_usize..5,
        axes in 1_usize..4,
        each in 1_usize..12,
        share in prop::option::of(-0.3_f64..0.3),
        seed in any::<u64>(),
    ) {
        let mut noise = fastrand::Rng::with_seed(seed);
        let border = [Border::Keep, Border::Constant(0.7), Border::Reflect101, Border::Replicate, Border::Wrap][border];
        let sides: Vec<usize> = sides[3 - axes..].iter().map(|side| 2 * side + 1).collect();
        let weights = ArrayD::from_shape_simple_fn(sides, || if noise.u8(..4) == 0 { 0.0 } else { noise.f64() - 0.5 });
        let rule = share.map_or(Rule::Weights(weights), Rule::Heat);
        let start = ArrayD::from_shape_simple_fn(&shape[3 - axes..], || noise.f64());
        let rows = Split::rows().of(each);
        match axes {
            1 => agrees(&start.into_dimensionality::<ndarray::Ix1>().unwrap(), &rule, border, rows),
            2 => agrees(&start.mapv(|cell| cell as f32).into_dimensionality::<ndarray::Ix2>().unwrap(), &rule, border, Split::tiles(each, each + 1)),
            _ => agrees(&start.into_dimensionality::<ndarray::Ix3>().unwrap(), &rule, border, rows),
        }
    }
}

#[test]
fn how_far_cells_moved_is_told_also_of_nan() {
    let mut cells = Array2::<f64>::zeros((6, 6));
    cells[[2, 3]] = 4.0;
    let moved = |cells: &Array2<f64>, steps| {
        let mut plate = StencilPlanes::new(cells, &Rule::Heat(0.25), Border::Keep).unwrap();
        let job = Job::default().runner(Engine::Serial).split(Split::rows().of(1));
        run(job, &mut plate, steps).unwrap().fold(0.0, further)
    };
    assert_eq!((moved(&cells, 1), moved(&cells, 2)), (4.0, 1.0));
    cells[[2, 3]] = f64::NAN;
    assert!(moved(&cells, 1).is_nan() && further(f64::NAN, 1.0).is_nan() && further(1.0, f64::NAN).is_nan());
}

#[test]
fn what_is_no_stencil_is_refused_with_a_remedy() {
    let refused = |rule: &Rule| StencilPlanes::new(&start(), rule, Border::Wrap).map(drop).unwrap_err().to_string();
    let weights = |shape: &[usize]| Rule::Weights(ArrayD::zeros(shape));
    assert!(refused(&weights(&[3])).contains("weights with 1 axes do not go over an array with 2"));
    assert!(refused(&weights(&[3, 2])).contains("weights of shape [3, 2] have no cell in the middle"));
    assert!(refused(&weights(&[13, 3])).contains("a margin 6 wide"));
    let scalar = ndarray::arr0(1.0);
    assert!(
        StencilPlanes::new(&scalar, &Rule::Heat(0.1), Border::Wrap)
            .map(drop)
            .unwrap_err()
            .to_string()
            .contains("0 axes")
    );
}
