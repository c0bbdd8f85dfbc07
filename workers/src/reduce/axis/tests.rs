use super::*;
use ndarray::{Array3, Axis, Zip};
use parfork::Engine;

const OPS: [Op; 5] = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Norm];

/// The answers of one cut, as bytes.
fn answers<const S: usize>(op: Op, dtype: Dtype, lines: Lines, data: &[u8], split: Split) -> Result<Vec<[u8; S]>, Error>
where
    [u8; S]: Pod,
{
    let data = Shared::from_array(&ndarray::ArrayView1::from(data))?;
    let mut answers = Shared::<[u8; S], _>::zeros(lines.count())?;
    let job = Job::default().runner(Engine::Serial).split(split);
    along::<S>(job, op, dtype, lines, &data, &mut answers)?;
    Ok(answers.as_slice().to_vec())
}

fn floats(shape: (usize, usize, usize)) -> Array3<f64> {
    let mut rng = fastrand::Rng::with_seed(7);
    Array3::from_shape_simple_fn(shape, || rng.f64() - 0.3)
}

/// What ndarray's own folds give, along each axis; the same bits for every cut.
#[test]
fn answers_are_those_of_a_fold() {
    for shape in [
        (5, 7, 11),
        (1, 1, 1),
        (3, 1, 40),
        (1, 65_541, 2),
        (4, 0, 2),
        (0, 3, 2),
        (2, 30, 70),
        (3, 9, 6001),
        (1, 9000, 90),
    ] {
        let array = floats(shape);
        let bytes = bytemuck::cast_slice(array.as_slice().unwrap());
        // Lines of more than a block take their time.
        let ops = if shape.1 > BLOCK { &OPS[1..3] } else { &OPS[..] };
        let axes = if shape.1 > 5000 { 1..2 } else { 0..3 };
        for (axis, op) in axes.flat_map(|axis| ops.iter().map(move |&op| (axis, op))) {
            let lines = Lines::of(array.shape(), axis);
            let [all, few, one] = [Split::rows(), Split::rows().of(5), Split::rows().into_pieces(1)]
                .map(|split| answers::<8>(op, f64::DTYPE, lines, bytes, split));
            if lines.len == 0 && lines.count() > 0 && op.needs_elements() {
                assert!(one.unwrap_err().to_string().contains("of 0 elements"));
                continue;
            }
            let (all, one) = (all.unwrap(), one.unwrap());
            assert_eq!((&all, few.unwrap()), (&one, one.clone()), "{shape:?} {axis} {op}");
            let count = lines.len as f64;
            let naive = array.map_axis(Axis(axis), |line| match op {
                Op::Sum => line.sum(),
                Op::Mean => line.sum() / count,
                Op::Min => line.fold(f64::INFINITY, |one, &other| one.min(other)),
                Op::Max => line.fold(f64::NEG_INFINITY, |one, &other| one.max(other)),
                Op::Norm => line.fold(0.0, |sum, number| sum + number * number).sqrt(),
            });
            Zip::from(&naive.flatten()).and(&ndarray::Array1::from(one)).for_each(|naive, one| {
                let one = f64::from_ne_bytes(*one);
                assert!((naive - one).abs() <= 1e-9 * count.max(1.0), "{shape:?} {axis} {op}: {one}, not {naive}");
            });
        }
    }
}

/// Columns side by side have what they have in one piece: of every type, also where squares overflow or vanish, and with NaN.
#[test]
fn columns_are_lines() {
    const SHAPE: [usize; 2] = [37, 71];
    let types = "? i1 u1 <i2 >u2 <i4 >i4 <u4 <i8 >u8 <f2 >f2 <f4 >f4 <f8 >f8";
    for (dtype, op) in types.split(' ').flat_map(|dtype| OPS.map(|op| (dtype.parse::<Dtype>().unwrap(), op))) {
        let size = dtype.size();
        let mut rng = fastrand::Rng::with_seed(11);
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(SHAPE[0] * SHAPE[1] * size).collect();
        // Exponents of all floats in one of three columns, of others none that is infinite.
        for (at, element) in bytes.chunks_mut(size).enumerate().filter(|(at, _)| !(at % SHAPE[1]).is_multiple_of(3)) {
            let high = if dtype.is_big_endian() { 0 } else { size - 1 };
            element[high] = if at % 2 == 0 { 0x35 } else { 0x2a };
        }
        if matches!(dtype.kind(), DtypeKind::Int | DtypeKind::Uint) && size == 8 {
            // So that sums fit.
            bytes.iter_mut().skip(if dtype.is_big_endian() { 0 } else { 7 }).step_by(8).for_each(|high| *high >>= 6);
        }
        let lines: Vec<u8> = (0..SHAPE[1])
            .flat_map(|column| (0..SHAPE[0]).map(move |row| row * SHAPE[1] + column))
            .flat_map(|at| bytes[at * size..][..size].to_vec())
            .collect();
        let of = |bytes: &[u8], lines| match answer_dtype(op, dtype).size() {
            1 => answers::<1>(op, dtype, lines, bytes, Split::rows()).unwrap().concat(),
            2 => answers::<2>(op, dtype, lines, bytes, Split::rows()).unwrap().concat(),
            4 => answers::<4>(op, dtype, lines, bytes, Split::rows()).unwrap().concat(),
            _ => answers::<8>(op, dtype, lines, bytes, Split::rows()).unwrap().concat(),
        };
        let (across, along) = (of(&bytes, Lines::of(&SHAPE, 0)), of(&lines, Lines::of(&[SHAPE[1], SHAPE[0]], 1)));
        if answer_dtype(op, dtype) != f64::DTYPE || matches!(op, Op::Min | Op::Max) {
            assert!(across == along || dtype.kind() == DtypeKind::Float, "{dtype} {op}");
        } else {
            let numbers = |bytes: &[u8]| {
                bytes.chunks_exact(8).map(|it| f64::from_ne_bytes(it.try_into().unwrap())).collect::<Vec<_>>()
            };
            for (one, other) in numbers(&across).into_iter().zip(numbers(&along)) {
                let near = (one - other).abs() <= 4.0 * f64::EPSILON * other.abs();
                assert!(near || one == other || one.is_nan() && other.is_nan(), "{dtype} {op}: {one:e} and {other:e}");
            }
        }
    }
}

#[test]
fn integers_are_exact_and_have_types_of_their_own() {
    let numbers: Vec<i16> = (0..6 * 50).map(|number| (number * 7919 % 65_536) as u16 as i16).collect();
    let of = |axis| Lines::of(&[6, 50], axis);
    let (dtype, bytes) = (i16::DTYPE, bytemuck::cast_slice(&numbers));
    let sums = answers::<8>(Op::Sum, dtype, of(0), bytes, Split::rows()).unwrap();
    let least = answers::<2>(Op::Min, dtype, of(1), bytes, Split::rows()).unwrap();
    for (column, sum) in sums.into_iter().enumerate() {
        let naive: i64 = (0..6).map(|row| i64::from(numbers[row * 50 + column])).sum();
        assert_eq!(i64::from_ne_bytes(sum), naive);
    }
    for (row, least) in least.into_iter().enumerate() {
        assert_eq!(Some(&i16::from_ne_bytes(least)), numbers[row * 50..][..50].iter().min());
    }
    let [flags, large] = [vec![1_u8, 0, 1, 1], [u64::MAX; 2].map(u64::to_ne_bytes).concat()];
    let flags = answers::<1>(Op::Max, "?".parse().unwrap(), Lines::of(&[2, 2], 0), &flags, Split::rows()).unwrap();
    assert_eq!(flags, [[1], [1]]);
    let once = answers::<8>(Op::Sum, u64::DTYPE, Lines::of(&[1, 2], 0), &large, Split::rows()).unwrap();
    assert_eq!(once, [u64::MAX.to_ne_bytes(); 2]);
    let error = answers::<8>(Op::Sum, u64::DTYPE, Lines::of(&[2, 1], 0), &large, Split::rows()).unwrap_err();
    assert!(error.to_string().contains("36893488147419103230 is more than its type"), "{error}");
}
