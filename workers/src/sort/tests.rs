use parfork::{Element, Engine};
use proptest::prelude::*;

use super::*;

/// Lines of elements, sorted by so many workers.
fn sorted<T: Element, K: Key>(lines: [usize; 2], from: &[T], workers: usize, engine: Engine) -> Vec<T> {
    let elements = Elements::of(T::DTYPE).unwrap();
    let mut bytes = Shared::<u8, Ix1>::zeros(size_of_val(from)).unwrap();
    bytes.as_mut_slice().copy_from_slice(bytemuck::cast_slice(from));
    let mut to = Shared::<K, Ix2>::zeros(lines).unwrap();
    let mut jobs = |_: Step<'_>| Job::default().runner(engine).workers(workers);
    run(&mut jobs, elements, (&bytes).into(), &mut to).unwrap();
    bytemuck::cast_slice(to.as_slice()).to_vec()
}

/// Numbers of NumPy 2.4.6: `numpy.sort(numpy.array([...]))`, which leaves open which of -0.0 and 0.0 is first.
#[test]
fn nan_comes_last_as_in_numpy() {
    let from = [3.5, f64::NAN, -0.0, f64::INFINITY, 0.0, -f64::NAN, -1e300, f64::NEG_INFINITY, 5e-324, -2.5];
    let to = sorted::<f64, u64>([1, 10], &from, 2, Engine::Serial);
    assert_eq!(to[..8], [f64::NEG_INFINITY, -1e300, -2.5, -0.0, 0.0, 5e-324, 3.5, f64::INFINITY]);
    assert!(to[2..4].iter().all(|zero| zero.is_sign_negative()) && to[8..].iter().all(|last| last.is_nan()));
    // numpy.sort([[3, -1, 2], [0, -128, 127]])
    assert_eq!(sorted::<i8, u8>([2, 3], &[3, -1, 2, 0, -128, 127], 2, Engine::Threads), [-1, 2, 3, -128, 0, 127]);
}

/// `numpy.sort(numpy.arange(100000) ** 2 * 7919 % 65537 - 30000)[[0, 1, 2, 33333, 50000, 66666, 99999]]`
#[test]
fn lines_are_sorted_as_by_numpy_however_many_parts_there_are() {
    let from: Vec<i64> = (0..100_000).map(|at| at * at * 7919 % 65537 - 30000).collect();
    let right = [-30000, -30000, -29999, -8210, 2773, 13748, 35536];
    for (workers, engine) in [(1, Engine::Serial), (2, Engine::Threads), (5, Engine::Threads), (6, Engine::Serial)] {
        let to = sorted::<i64, u64>([1, from.len()], &from, workers, engine);
        assert_eq!([0, 1, 2, 33333, 50000, 66666, 99999].map(|at| to[at]), right, "{workers}");
        assert!(to.is_sorted());
    }
}

#[test]
fn nothing_is_sorted_too() {
    for lines in [[1, 0], [0, 4], [3, 0], [0, 0]] {
        assert_eq!(sorted::<u16, u16>(lines, &[], 2, Engine::Threads), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_are_where_the_least_of_all_end(
        runs in prop::collection::vec(prop::collection::vec(0_u16..12, 0..20), 0..6),
        high in any::<bool>(),
    ) {
        let lift = |key: u16| if high { u16::MAX - key } else { key };
        let runs: Vec<Vec<u16>> = runs.into_iter().map(|run| {
            let mut run: Vec<u16> = run.into_iter().map(lift).collect();
            run.sort();
            run
        }).collect();
        let mut all = runs.concat();
        all.sort();
        let views: Vec<&[u16]> = runs.iter().map(Vec::as_slice).collect();
        let mut before = vec![0; runs.len()];
        for rank in 0..=all.len() {
            let cuts = cuts(&views, rank);
            prop_assert!(cuts.iter().zip(&before).all(|(now, before)| now >= before), "they rise with the rank");
            let mut least: Vec<u16> = views.iter().zip(&cuts).flat_map(|(run, &end)| run[..end].to_vec()).collect();
            least.sort();
            prop_assert_eq!(&least, &all[..rank]);
            before = cuts;
        }
    }

    #[test]
    fn any_lines_are_sorted(lines in 0_usize..6, length in 0_usize..70, seed in any::<u64>(), workers in 1_usize..5) {
        let mut random = fastrand::Rng::with_seed(seed);
        let from: Vec<f32> = (0..lines * length).map(|_| f32::from_bits(random.u32(..))).collect();
        let to = sorted::<f32, u32>([lines, length], &from, workers, Engine::Threads);
        for (from, to) in from.chunks(length.max(1)).zip(to.chunks(length.max(1))) {
            let (mut right, mut found) = (from.to_vec(), to.to_vec());
            prop_assert!(found.is_sorted_by(|one, other| one <= other || other.is_nan()));
            right.sort_by(f32::total_cmp);
            found.sort_by(f32::total_cmp);
            prop_assert!(right.iter().zip(&found).all(|(one, other)| one.to_bits() == other.to_bits()));
        }
    }
}
