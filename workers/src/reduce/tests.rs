//! Against exact references, and against what NumPy gives.

use super::*;
use proptest::prelude::*;

fn reduce(op: Op, descr: &str, bytes: &[u8]) -> Result<Number, ReduceError> {
    let dtype: Dtype = descr.parse().unwrap();
    let partials: Vec<Partial> = bytes.chunks(BLOCK * dtype.size()).map(|bytes| block(op, dtype, bytes)).collect();
    fold(op, dtype, (bytes.len() / dtype.size()) as u64, &partials)
}

fn float(op: Op, data: &[f64]) -> f64 {
    reduce(op, "=f8", bytemuck::cast_slice(data)).unwrap().to_f64()
}

/// The distance of two floats in units in the last place; 0 for two NaNs.
fn ulps(one: f64, other: f64) -> u64 {
    if one == other || one.is_nan() && other.is_nan() {
        return 0;
    }
    let ordered = |x: f64| if x < 0.0 { -(x.to_bits() as i64 & i64::MAX) } else { x.to_bits() as i64 };
    ordered(one).abs_diff(ordered(other))
}

/// The exact sum of floats, rounded once: Shewchuk's non-overlapping parts, as Python's math.fsum keeps them
/// (Adaptive Precision Floating-Point Arithmetic, 1997), added up from the smallest.
fn exact_sum(data: impl IntoIterator<Item = f64>) -> f64 {
    let mut parts: Vec<f64> = Vec::new();
    for mut x in data {
        parts.retain_mut(|part| {
            let (sum, rest) = twofold::two_sum(x, *part);
            (x, *part) = (sum, rest);
            rest != 0.0
        });
        parts.push(x);
    }
    parts.into_iter().sum()
}

/// Python: the first `n` of a 64-bit linear congruential generator (Knuth's MMIX constants).
fn random(n: usize) -> impl Iterator<Item = u64> {
    let next = |&x: &u64| Some(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(1_u64), next).take(n)
}

/// Numbers of both signs over 40 powers of two.
fn wild(n: usize) -> Vec<f64> {
    random(n).map(|x| ((x >> 11) as f64 - 2_f64.powi(52)) * 2_f64.powi((x % 40) as i32 - 60)).collect()
}

macro_rules! integers_agree {
    ($name:ident, $number:ty, $little:literal, $big:literal) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn $name(data in prop::collection::vec(any::<$number>(), 1..200), turns in 1_usize..500) {
                let data = data.repeat(turns);
                let wide = || data.iter().map(|&x| i128::from(x));
                let little: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
                let big: Vec<u8> = data.iter().flat_map(|x| x.to_be_bytes()).collect();
                for (descr, bytes) in [($little, &little), ($big, &big)] {
                    let get = |op| reduce(op, descr, bytes).unwrap();
                    prop_assert_eq!(get(Op::Sum), Number::Int(wide().sum()));
                    prop_assert_eq!(Some(get(Op::Min)), wide().min().map(Number::Int));
                    prop_assert_eq!(Some(get(Op::Max)), wide().max().map(Number::Int));
                    let mean = wide().sum::<i128>() as f64 / data.len() as f64;
                    prop_assert!(ulps(get(Op::Mean).to_f64(), mean) <= 1);
                    let squares: f64 = exact_sum(wide().flat_map(|x| {
                        let (high, low) = ((x >> 32) as f64, (x & 0xffff_ffff) as f64);
                        let cross = 2.0 * high * low;
                        // Products of 33 bits by 32 need more than a float: split what was lost.
                        let lost = 2.0 * high.mul_add(low, -cross / 2.0);
                        let (h, l) = (high * high, low * low);
                        let scale = 2_f64.powi(32);
                        [h * scale * scale, high.mul_add(high, -h) * scale * scale, cross * scale, lost * scale, l,
                         low.mul_add(low, -l)]
                    }));
                    prop_assert!(ulps(get(Op::Norm).to_f64(), squares.sqrt()) <= 1);
                }
            }
        }
    };
}

integers_agree!(i8_agree, i8, "|i1", "|i1");
integers_agree!(u8_agree, u8, "|u1", "|u1");
integers_agree!(i16_agree, i16, "<i2", ">i2");
integers_agree!(u16_agree, u16, "<u2", ">u2");
integers_agree!(i32_agree, i32, "<i4", ">i4");
integers_agree!(u32_agree, u32, "<u4", ">u4");
integers_agree!(i64_agree, i64, "<i8", ">i8");
integers_agree!(u64_agree, u64, "<u8", ">u8");

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn floats_agree_with_exact_sums(
        data in prop::collection::vec((-1.0..1.0, -30..30).prop_map(|(x, e): (f64, i32)| x * 2_f64.powi(e)), 1..3000),
        turns in 1_usize..60,
    ) {
        let data = data.repeat(turns);
        let n = data.len() as f64;
        let exact = exact_sum(data.iter().copied());
        prop_assert!(ulps(float(Op::Sum, &data), exact) <= 1);
        prop_assert!(ulps(float(Op::Mean, &data), exact / n) <= 1);
        let squares = exact_sum(data.iter().flat_map(|x| [x * x, x.mul_add(*x, -(x * x))]));
        prop_assert!(ulps(float(Op::Norm, &data), squares.sqrt()) <= 1);
        let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_be_bytes()).collect();
        for op in [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Norm] {
            prop_assert_eq!(reduce(op, ">f8", &bytes).unwrap(), Number::Float(float(op, &data)));
        }
        prop_assert_eq!(float(Op::Min, &data), data.iter().copied().fold(f64::INFINITY, f64::min));
        prop_assert_eq!(float(Op::Max, &data), data.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    }

    #[test]
    fn a_norm_scales_with_its_data(exponent in -1060..960, n in 1_usize..500) {
        // Integers below 2^20, so that no number is rounded even where floats are subnormal, times a power of two.
        let whole: Vec<f64> = random(n).map(|x| (x >> 44) as f64).collect();
        let scale = [2_f64.powi(exponent / 2), 2_f64.powi(exponent - exponent / 2)];
        let data: Vec<f64> = whole.iter().map(|x| x * scale[0] * scale[1]).collect();
        prop_assert!(ulps(float(Op::Norm, &data), float(Op::Norm, &whole) * scale[0] * scale[1]) <= 1);
    }
}

#[test]
fn narrow_floats_agree_with_exact_sums() {
    let data: Vec<f32> = wild(200_001).into_iter().map(|x| x as f32).collect();
    let get = |op| reduce(op, "=f4", bytemuck::cast_slice(&data)).unwrap().to_f64();
    let exact = exact_sum(data.iter().map(|&x| f64::from(x)));
    assert!(((get(Op::Sum) - exact) / exact).abs() < 1e-13);
    let squares = exact_sum(data.iter().map(|&x| f64::from(x) * f64::from(x)));
    assert!((get(Op::Norm) / squares.sqrt() - 1.0).abs() < 1e-14);

    let halves: Vec<half::f16> = data.iter().map(|&x| half::f16::from_f32(x * 1e-6)).collect();
    let big: Vec<u8> = halves.iter().flat_map(|x| x.to_be_bytes()).collect();
    let exact = exact_sum(halves.iter().map(|&x| f64::from(x)));
    assert!(((reduce(Op::Sum, ">f2", &big).unwrap().to_f64() - exact) / exact).abs() < 1e-13);
    assert_eq!(reduce(Op::Sum, "=f2", bytemuck::cast_slice(&halves)), reduce(Op::Sum, ">f2", &big));
}

#[test]
fn cancellation_leaves_what_there_is() {
    let mut data = wild(300_000);
    let negated: Vec<f64> = data.iter().rev().map(|x| -x).collect();
    data.push(1.0 / 3.0);
    data.extend(negated);
    assert_eq!(float(Op::Sum, &data), 1.0 / 3.0);
}

#[test]
fn specials_pass_through_as_in_numpy() {
    let (nan, inf, max) = (f64::NAN, f64::INFINITY, f64::MAX);
    // np.array(data).sum(), .mean(), .min(), .max(), np.linalg.norm(data); the last two norms overflow in NumPy.
    for (data, want) in [
        (vec![1.0, nan, 2.0], [nan; 5]),
        (vec![1.0, inf, 2.0], [inf, inf, 1.0, inf, inf]),
        (vec![1.0, -inf, inf], [nan, nan, -inf, inf, inf]),
        (vec![inf, nan], [nan; 5]),
        (vec![max, max, -1.0], [inf, inf, -1.0, max, inf]),
        (vec![0.0, 0.0], [0.0; 5]),
        (vec![3e200, 4e200], [7e200, 3.5e200, 3e200, 4e200, 5e200]),
        (vec![3e-320, 4e-320], [7e-320, 3.5e-320, 3e-320, 4e-320, 5e-320]),
    ] {
        for (padding, position) in [(0, 0), (100, 0), (100, 100), (BLOCK, 0), (BLOCK, BLOCK)] {
            // Only sum, mean and norm mind the zeros; without padding all are checked.
            let mut padded = vec![0.0; padding];
            padded.splice(position..position, data.iter().copied());
            let ops = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Norm];
            for (op, want) in ops.into_iter().zip(want) {
                if padding == 0 || matches!(op, Op::Sum | Op::Norm) {
                    assert!(ulps(float(op, &padded), want) <= 1, "{op} {data:?}: {} for {want}", float(op, &padded));
                }
            }
            if data.iter().any(|x| x.is_nan()) {
                assert!(float(Op::Min, &padded).is_nan() && float(Op::Max, &padded).is_nan());
            }
        }
    }
}

#[test]
fn agrees_with_numpy() {
    // x = 1
    // for i in range(100_000): a.append(x); x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
    // a = np.array(a, 'u8'); f = (a >> 11) / 2**53; import math
    // i = (a >> 40).astype('i4') - (1 << 23)
    let f: Vec<f64> = random(100_000).map(|x| (x >> 11) as f64 / 2_f64.powi(53)).collect();
    for (op, want) in NUMPY_F8 {
        assert!(ulps(float(op, &f), want) <= 1, "{op}: {}", float(op, &f));
    }
    let i: Vec<i32> = random(100_000).map(|x| (x >> 40) as i32 - (1 << 23)).collect();
    for (op, want) in NUMPY_I4 {
        assert_eq!(reduce(op, "=i4", bytemuck::cast_slice(&i)).unwrap().to_string(), want);
    }
    let b: Vec<u8> = random(100_000).map(|x| (x >> 62) as u8).collect();
    assert_eq!(reduce(Op::Sum, "|b1", &b), Ok(Number::Int(b.iter().filter(|&&x| x != 0).count() as i128)));
}

/// math.fsum(f), that / 1e5, f.min(), f.max(), math.sqrt(math.fsum(f * f)) in Python 3, NumPy 2.4.
const NUMPY_F8: [(Op, f64); 5] = [
    (Op::Sum, 50005.77699804331),
    (Op::Mean, 0.500057769980433),
    (Op::Min, 0.0),
    (Op::Max, 0.9999896933183157),
    (Op::Norm, 182.53549898252894),
];

/// i.sum(), i.mean(), i.min(), i.max(), math.sqrt(sum(int(x)**2 for x in i)).
const NUMPY_I4: [(Op, &str); 5] = [
    (Op::Sum, "96872012"),
    (Op::Mean, "968.72012"),
    (Op::Min, "-8388608"),
    (Op::Max, "8388435"),
    (Op::Norm, "1529713341.5077279"),
];

#[test]
fn integers_never_wrap() {
    let top = vec![u64::MAX; 70_000];
    let get = |op| reduce(op, "=u8", bytemuck::cast_slice(&top)).unwrap();
    assert_eq!(get(Op::Sum), Number::Int(70_000 * i128::from(u64::MAX)));
    assert_eq!(get(Op::Mean), Number::Float(u64::MAX as f64));
    // Python: math.sqrt(70000) * (2.0**64 - 1)
    assert!(ulps(get(Op::Norm).to_f64(), 70_000_f64.sqrt() * u64::MAX as f64) <= 1);
}

#[test]
fn nothing_has_a_sum_and_a_norm_only() {
    assert_eq!(reduce(Op::Sum, "<i4", &[]), Ok(Number::Int(0)));
    assert_eq!(reduce(Op::Sum, "<f4", &[]), Ok(Number::Float(0.0)));
    assert_eq!(reduce(Op::Norm, "<i4", &[]), Ok(Number::Float(0.0)));
    assert_eq!(reduce(Op::Norm, "<f4", &[]), Ok(Number::Float(0.0)));
    for op in [Op::Mean, Op::Min, Op::Max] {
        assert_eq!(reduce(op, "<f8", &[]), Err(ReduceError::Empty(op)));
        assert_eq!(reduce(op, "<u2", &[]), Err(ReduceError::Empty(op)));
    }
}

#[test]
fn answers_read_back_as_they_are() {
    for (answer, shown) in [
        (Number::Int(-12), "-12"),
        (Number::Float(3.0), "3.0"),
        (Number::Float(0.1), "0.1"),
        (Number::Float(f64::NAN), "nan"),
        (Number::Float(f64::NEG_INFINITY), "-inf"),
    ] {
        assert_eq!(answer.to_string(), shown);
    }
}

#[test]
fn alignment_does_not_matter() {
    let data = wild(1000);
    let mut bytes = vec![0_u8];
    bytes.extend_from_slice(bytemuck::cast_slice(&data));
    for op in [Op::Sum, Op::Min, Op::Norm] {
        assert_eq!(reduce(op, "=f8", &bytes[1..]), Ok(Number::Float(float(op, &data))));
    }
}

#[test]
#[should_panic(expected = "7 bytes are not a block of <f8")]
fn half_an_element_is_refused() {
    block(Op::Sum, "<f8".parse().unwrap(), &[0; 7]);
}
