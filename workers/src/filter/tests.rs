//! Every filter against the same two questions: does a rectangle hold the bits of the whole, and are they right?

use super::{Border, Filter, Sample, Size};
use crate::sampled;
use ndarray::{Array3, ArrayView3, Axis, s};
use proptest::prelude::*;
use std::{f64::consts::PI, ops::Range};

const FILTERS: [&str; 33] = [
    "gaussian:0.1",
    "gaussian:0.8",
    "gaussian:3",
    "box:1",
    "box:4",
    "box:91",
    "box:1600",
    "median:1",
    "median:2",
    "median:3",
    "median:40",
    "equalize",
    "sharpen",
    "sobel",
    "gray",
    "invert",
    "brightness:20.5",
    "brightness:-70",
    "contrast:1.5",
    "gamma:2.2",
    "threshold:127.5",
    "resize:7x90",
    "resize:70x3",
    "resize:1x1",
    "resize:40x",
    "resize:x33",
    "resize:37%",
    "crop:1x1+0+0",
    "flip",
    "flip:horizontal",
    "rotate:90",
    "rotate:180",
    "rotate:270",
];

const BORDERS: [Border; 4] = [Border::Reflect101, Border::Replicate, Border::Constant(77.0), Border::Wrap];

fn filter(text: &str) -> Filter {
    text.parse().expect(text)
}

/// The rectangle of the filtered picture.
fn part<S: Sample>(
    filter: Filter,
    border: Border,
    src: ArrayView3<'_, S>,
    rows: Range<usize>,
    cols: Range<usize>,
) -> Array3<S> {
    let [_, _, channels] = filter.output_shape(src.dim().into()).expect("a picture");
    let mut out = Array3::from_elem((rows.len(), cols.len(), channels), S::MAX);
    filter.apply(src, border, rows, cols, out.view_mut());
    out
}

fn whole<S: Sample>(filter: Filter, border: Border, src: ArrayView3<'_, S>) -> Array3<S> {
    let [height, width, _] = filter.output_shape(src.dim().into()).expect("a picture");
    part(filter, border, src, 0..height, 0..width)
}

/// Noise: the same for the same seed.
fn noise(shape: [usize; 3], seed: u64) -> Array3<u16> {
    let mut state = seed | 1;
    Array3::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 48) as u16
    })
}

fn bits_do_not_depend_on_the_cut<S: Sample>(
    src: ArrayView3<'_, S>,
    filter: Filter,
    border: Border,
    corners: [usize; 4],
) {
    let expected = whole(filter, border, src);
    let (height, width, channels) = expected.dim();
    let ordered = |a: usize, b: usize, len: usize| (a % len).min(b % len)..(a % len).max(b % len) + 1;
    let (rows, cols) = (ordered(corners[0], corners[1], height), ordered(corners[2], corners[3], width));
    let expected = expected.slice(s![rows.clone(), cols.clone(), ..]);
    assert_eq!(part(filter, border, src, rows.clone(), cols.clone()), expected, "{filter} {border} {rows:?} {cols:?}");

    // The same from and to arrays whose samples do not lie side by side.
    let scattered = src.to_owned().reversed_axes().as_standard_layout().to_owned();
    let mut out = Array3::from_elem((channels, rows.len(), cols.len()), S::MAX);
    let mut view = out.view_mut().permuted_axes([1, 2, 0]);
    filter.apply(scattered.view().reversed_axes(), border, rows, cols, view.view_mut());
    assert_eq!(view, expected, "{filter} {border}, other strides");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sampled::number(100, 300)))]

    #[test]
    fn any_rectangle_is_that_part_of_the_whole(
        height in 1_usize..40,
        width in prop_oneof![1_usize..12, 60_usize..110],
        channels in 1_usize..=4,
        filter_number in 0..FILTERS.len(),
        border_number in 0..BORDERS.len(),
        corners in any::<[u16; 4]>(),
        seed in any::<u64>(),
    ) {
        let wide = noise([height, width, channels], seed);
        let (filter, border) = (filter(FILTERS[filter_number]), BORDERS[border_number]);
        let corners = corners.map(usize::from);
        bits_do_not_depend_on_the_cut(wide.view(), filter, border, corners);
        bits_do_not_depend_on_the_cut(wide.mapv(|v| (v >> 8) as u8).view(), filter, border, corners);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sampled::number(100, 300)))]

    #[test]
    fn any_rectangle_of_any_size_is_that_part_of_the_whole(
        [rows, columns, channels] in [1_usize..60, 1..60, 1..5],
        width in prop_oneof![1_usize..20, 1_usize..150],
        height in prop_oneof![1_usize..20, 1_usize..150],
        corners in any::<[u16; 4]>(),
        seed in any::<u64>(),
    ) {
        let wide = noise([rows, columns, channels], seed);
        let corners = corners.map(usize::from);
        let filter = Filter::Resize(Size::Exact { width, height });
        bits_do_not_depend_on_the_cut(wide.view(), filter, Border::Wrap, corners);
        bits_do_not_depend_on_the_cut(wide.mapv(|v| (v >> 8) as u8).view(), filter, Border::Wrap, corners);
    }
}

/// Wider than a strip: what the small pictures above do not reach.
#[test]
fn strips_leave_no_seam() {
    let src = noise([70, 3000, 3], 7).mapv(|v| (v >> 8) as u8);
    for text in ["gaussian:3", "box:9", "sharpen", "sobel", "resize:1100x150", "resize:2900x20", "rotate:90"] {
        for corners in [[3, 66, 100, 2999], [69, 69, 1024, 1030], [0, 12, 1023, 511]] {
            bits_do_not_depend_on_the_cut(src.view(), filter(text), Border::Reflect101, corners);
        }
    }
}

/// A weighted mean of neighbours, one sample after the other: what the neighbourhood filters compute, but dumb.
fn reference(src: &Array3<u8>, border: Border, radius: isize, weight: impl Fn(isize, isize) -> f64) -> Array3<f64> {
    let (height, width, _) = src.dim();
    Array3::from_shape_fn(src.dim(), |(y, x, c)| {
        let mut sum = 0.0;
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                let row = border.locate(y as isize + dy, height);
                let col = border.locate(x as isize + dx, width);
                let value = match (row, col, border) {
                    (Some(row), Some(col), _) => f64::from(src[[row, col, c]]),
                    (_, _, Border::Constant(value)) => f64::from(value),
                    _ => unreachable!("only a constant has no place"),
                };
                sum += weight(dy, dx) * value;
            }
        }
        sum
    })
}

fn assert_close(got: &Array3<u8>, want: &Array3<f64>, tolerance: f64, what: &str) {
    assert_eq!(got.dim(), want.dim(), "{what}");
    for (&got, &want) in got.iter().zip(want) {
        let error = f64::from(got) - want.clamp(0.0, 255.0);
        assert!(error.abs() <= tolerance, "{what}: {got} instead of {want}");
    }
}

#[test]
fn neighbourhoods_are_weighed_as_defined() {
    for shape in [[9, 11, 3], [1, 1, 1], [1, 7, 3], [6, 2, 1]] {
        let src = noise(shape, 3).mapv(|v| (v >> 8) as u8);
        for border in BORDERS {
            let got = |text: &str| whole(filter(text), border, src.view());
            let bell = |sigma: f64, radius: isize| {
                let total: f64 = (-radius..=radius).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).sum();
                move |dy: isize, dx: isize| {
                    (-0.5 * ((dy * dy + dx * dx) as f64) / (sigma * sigma)).exp() / total.powi(2)
                }
            };
            for (sigma, radius) in [(0.8, 3), (3.0, 9), (5.5, 17)] {
                let want = reference(&src, border, radius, bell(sigma, radius));
                // OpenCV's weights for 8 bits are this coarse; those for 16 bits are not.
                assert_close(&got(&format!("gaussian:{sigma}")), &want, 2.5, "gaussian");
                let wide = whole(filter(&format!("gaussian:{sigma}")), border, src.mapv(|v| u16::from(v) * 257).view());
                for (&got, &want) in wide.iter().zip(&want) {
                    assert!((f64::from(got) - 257.0 * want).abs() < 0.52, "{got} instead of {}", 257.0 * want);
                }
            }
            for radius in [1, 2, 13] {
                let want = reference(&src, border, radius, |_, _| ((2 * radius + 1) as f64).powi(-2));
                assert_close(&got(&format!("box:{radius}")), &want, 0.501, "box");
            }
            let cross = |dy: isize, dx: isize| [5.0, -1.0, 0.0][(dy.abs() + dx.abs()) as usize];
            assert_close(&got("sharpen"), &reference(&src, border, 1, cross), 0.0, "sharpen");

            let smooth = |d: isize| 2.0 - d.abs() as f64;
            let luma = whole(filter("gray"), border, src.view());
            let gx = reference(&luma, border, 1, |dy, dx| dx as f64 * smooth(dy));
            let gy = reference(&luma, border, 1, |dy, dx| dy as f64 * smooth(dx));
            let length = ndarray::Zip::from(&gx).and(&gy).map_collect(|x, y| x.hypot(*y));
            assert_close(&got("sobel"), &length, 0.501, "sobel");
        }
    }
}

#[test]
fn points_are_changed_as_defined() {
    let all = Array3::from_shape_fn((16, 16, 1), |(y, x, _)| (16 * y + x) as u8);
    let check = |text: &str, want: &dyn Fn(f64) -> f64| {
        let want = all.mapv(|v| want(f64::from(v)));
        assert_close(&whole(filter(text), Border::Wrap, all.view()), &want, 0.501, text);
        let wide = all.mapv(|v| u16::from(v) * 257);
        let got = whole(filter(text), Border::Wrap, wide.view()).mapv(|v| (f64::from(v) / 257.0).round() as u8);
        assert_close(&got, &want, 0.51, text);
    };
    check("invert", &|v| 255.0 - v);
    check("brightness:20", &|v| v + 20.0);
    check("brightness:-300", &|v| v - 300.0);
    check("contrast:1.5", &|v| (v - 127.5) * 1.5 + 127.5);
    check("contrast:0", &|_| 127.5);
    check("gamma:2.2", &|v| 255.0 * (v / 255.0).powf(1.0 / 2.2));
    check("threshold:128", &|v| if v >= 128.0 { 255.0 } else { 0.0 });
    check("threshold:-1", &|_| 255.0);
    check("threshold:255.5", &|_| 0.0);
}

#[test]
fn pixels_move_as_defined() {
    let src = noise([5, 8, 3], 1);
    let got = |text: &str| whole(filter(text), Border::Wrap, src.view());
    let mirrored = |axes: &[usize]| {
        let mut view = src.view();
        axes.iter().for_each(|&axis| view.invert_axis(Axis(axis)));
        view
    };
    assert_eq!(got("flip"), mirrored(&[0]));
    assert_eq!(got("flip:horizontal"), mirrored(&[1]));
    assert_eq!(got("rotate:180"), mirrored(&[0, 1]));
    assert_eq!(got("rotate:90"), mirrored(&[0]).permuted_axes([1, 0, 2]));
    assert_eq!(got("rotate:270"), mirrored(&[1]).permuted_axes([1, 0, 2]));
}

#[test]
fn alpha_passes_through() {
    for channels in [2, 4] {
        let src = noise([12, 9, channels], 5);
        for text in FILTERS
            .iter()
            .filter(|text| !["resize", "crop", "flip", "rotate"].iter().any(|name| text.starts_with(name)))
        {
            let out = whole(filter(text), Border::Replicate, src.view());
            let alpha = |picture: &Array3<u16>| picture.index_axis(Axis(2), picture.dim().2 - 1).to_owned();
            assert_eq!(alpha(&out), alpha(&src), "{text}");
        }
    }
}

/// Row 2 of results of OpenCV 5.0 and Pillow 13.0:
///
/// ```python
/// a = np.fromfunction(lambda y, x, c: (y*83 + x*47 + c*101 + x*y*c*5) % 256, (7, 9, 3)).astype(np.uint8)
/// g = cv2.cvtColor(a, cv2.COLOR_RGB2GRAY)
/// m = cv2.magnitude(cv2.Sobel(g, cv2.CV_32F, 1, 0), cv2.Sobel(g, cv2.CV_32F, 0, 1))
/// k = np.float32([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
/// r = {"gaussian:1.2": cv2.GaussianBlur(a, (9, 9), 1.2), "box:1": cv2.blur(a, (3, 3)),
///      "sharpen": cv2.filter2D(a, -1, k), "sobel": np.clip(np.rint(m), 0, 255).astype(np.uint8), "gray": g,
///      "resize:4x3": np.asarray(Image.fromarray(a).resize((4, 3), Image.LANCZOS))}
/// for name, out in r.items(): print(name, out[2].tobytes().hex())
/// ```
#[test]
fn results_are_opencvs_and_pillows() {
    let src = Array3::from_shape_fn((7, 9, 3), |(y, x, c)| ((y * 83 + x * 47 + c * 101 + x * y * c * 5) % 256) as u8);
    for (text, tolerance, row) in [
        ("gaussian:1.2", 0, "817f7a7c817f75828574838277837c7c8275818073857d79867b7d"),
        ("box:1", 0, "8c8664807d7a767d846c7d8e7e7d7c759a6a877d747d7e7e8d5894"),
        ("sharpen", 0, "480000ff00ff007dff00ff0062ff7c9100ffff0000ffff0000ffff"),
        ("sobel", 0, "844e457e3c415aa8ae"),
        ("gray", 0, "457c6781b85973aa94"),
        ("resize:4x3", 0, "997e71858f937b6f9174985c"),
    ] {
        let out = whole(filter(text), Border::Reflect101, src.view());
        let digits = row.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
        let want = digits.map(|pair| u8::from_str_radix(pair, 16).expect("a byte in hexadecimal"));
        for (&got, want) in out.index_axis(Axis(0), 2).iter().zip(want) {
            assert!(got.abs_diff(want) <= tolerance, "{text}: {got} instead of {want}");
        }
    }
}

/// Halves are rounded up, as OpenCV's are.
#[test]
fn halves_of_a_blur_are_rounded_up() {
    let mut src = Array3::from_elem((1, 41, 1), 0_u8);
    src[[0, 20, 0]] = 64;
    let line = whole(filter("gaussian:3"), Border::Replicate, src.view());
    // 64 times 34, 32, 28, 20, 14, 9, 4, 3, 1 and 0, in 1/256.
    let want = [9, 8, 7, 5, 4, 2, 1, 1, 0, 0];
    assert!((0..10).all(|distance| line[[0, 20 + distance, 0]] == want[distance]), "{line}");
}

/// Whole results of Pillow 13.0: shrunk, enlarged, one axis as it is, the columns first, from and to a single pixel,
/// with alpha, of the same size.
///
/// ```python
/// def picture(h, w, c):
///     return np.fromfunction(lambda y, x, c: (y*83 + x*47 + c*101 + x*y*c*5) % 256, (h, w, c)).astype(np.uint8)
/// for h, w, c, size in [(7, 9, 3, (4, 3)), (3, 4, 1, (7, 5)), (5, 4, 3, (4, 2)), (4, 5, 3, (2, 4)), (1, 1, 3, (3, 2)),
///                       (6, 5, 1, (1, 1)), (5, 3, 2, (4, 3)), (3, 5, 4, (2, 5)), (9, 3, 4, (5, 2)), (2, 2, 4, (2, 2))]:
///     a = picture(h, w, c)
///     out = Image.fromarray(a if c > 1 else a[..., 0], ["L", "LA", "RGB", "RGBA"][c - 1]).resize(size, Image.LANCZOS)
///     print(f'([{h}, {w}, {c}], "{size[0]}x{size[1]}", "{out.tobytes().hex()}"),')
/// ```
#[test]
fn resizing_8_bits_is_pillows_to_the_bit() {
    for (shape, size, bytes) in [
        ([7, 9, 3], "4x3", "5e8891818b777b877180907d907e6c6e7f8d79737784777c997e71858f937b6f9174985c"),
        ([3, 4, 1], "7x5", "0005253d537383121c3d6790b1bd4f5e7e9ab5d5e489acc584445c7e9ecde26500002c"),
        ([5, 4, 3], "4x2", "526b76779ea364778093a085af696a75a84f6283ae915861"),
        ([4, 5, 3], "2x4", "269ab496a15b88a65a8f59799039ab37c18279955b8060aa"),
        ([1, 1, 3], "3x2", "0065ca0065ca0065ca0065ca0065ca0065ca"),
        ([6, 5, 1], "1x1", "7b"),
        ([5, 3, 2], "4x3", "21884db469a6696daa3c9d615d83207c868366b85bb76c81"),
        ([3, 5, 4], "2x5", "0abfb148979763cb60b2777c997966b38c9a60b9874f6e848b61789b3e896e667c1f9f730dd16b5f"),
        ([9, 3, 4], "5x2", "85365c76777a5d7567c46782729b76a17b767cb28f7d50827c8c557b6ea0696f9997866cbd8a956d"),
        ([2, 2, 4], "2x2", "0065ca2f2f94f95e53b81d8282ec56c0"),
    ] {
        let src = Array3::from_shape_fn(shape, |(y, x, c)| ((y * 83 + x * 47 + c * 101 + x * y * c * 5) % 256) as u8);
        let out = whole(filter(&format!("resize:{size}")), Border::Wrap, src.view());
        let got: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(got, bytes, "{shape:?} to {size}");
    }
}

/// One axis resized by the definition, rounded: rows, if `axis` is 0.
fn lanczos(src: &Array3<f64>, axis: usize, to: usize) -> Array3<f64> {
    let from = src.len_of(Axis(axis));
    let scale = from as f64 / to as f64;
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
    let weight = |n: usize, at: usize| {
        let x = (at as f64 + 0.5 - (n as f64 + 0.5) * scale) / scale.max(1.0);
        if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
    };
    let mut shape: [usize; 3] = src.dim().into();
    shape[axis] = to;
    Array3::from_shape_fn(shape, |(y, x, c)| {
        let n = [y, x][axis];
        let total: f64 = (0..from).map(|at| weight(n, at)).sum();
        let sample = |at| if axis == 0 { src[[at, x, c]] } else { src[[y, at, c]] };
        let sum: f64 = (0..from).map(|at| weight(n, at) * sample(at)).sum();
        (sum / total).round().clamp(0.0, 65_535.0)
    })
}

#[test]
fn resizing_16_bits_is_within_a_level_of_the_definition() {
    for (shape, [width, height]) in
        [([7, 9, 3], [4, 5]), ([5, 4, 1], [13, 9]), ([40, 30, 3], [31, 41]), ([30, 3, 1], [4, 7]), ([9, 8, 3], [1, 9])]
    {
        let src = noise(shape, 11);
        let got = whole(Filter::Resize(Size::Exact { width, height }), Border::Wrap, src.view());
        let exact = src.mapv(f64::from);
        // The columns go first where the height loses more than twice what the width loses.
        let down_first = shape[0] as i64 - height as i64 > (2 * (shape[1] as i64 - width as i64)).max(0);
        let order = if down_first { [(0, height), (1, width)] } else { [(1, width), (0, height)] };
        let want = order.iter().fold(exact, |picture, &(axis, to)| lanczos(&picture, axis, to));
        for (&got, &want) in got.iter().zip(&want) {
            assert!((f64::from(got) - want).abs() <= 1.0, "{shape:?} to {width}x{height}: {got} instead of {want}");
        }
    }
}

#[test]
fn resizing_weighs_colours_by_alpha() {
    // Half of it is transparent red, half opaque blue: no red shows, however it is resized.
    let src = Array3::from_shape_fn((8, 10, 4), |(_, x, c)| {
        if c == (if x < 5 { 0 } else { 2 }) || (c == 3 && x >= 5) { u16::MAX } else { 0 }
    });
    for text in ["resize:20x8", "resize:3x9", "resize:9x1"] {
        let out = whole(filter(text), Border::Wrap, src.view());
        assert!(out.index_axis(Axis(2), 0).iter().all(|&red| red == 0), "{text}: {out}");
    }
}
