//! Every filter against the same two questions: does a rectangle hold the bits of the whole, and are they right?

use super::{Border, Filter, Sample};
use ndarray::{Array3, ArrayView3, Axis, s};
use proptest::prelude::*;
use std::ops::Range;

const FILTERS: [&str; 22] = [
    "gaussian:0.1",
    "gaussian:0.8",
    "gaussian:3",
    "box:1",
    "box:4",
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
    #![proptest_config(ProptestConfig::with_cases(300))]

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

/// Wider than a strip, higher and wider than a block of the resizer: what the small pictures above do not reach.
#[test]
fn strips_and_blocks_leave_no_seam() {
    let src = noise([70, 3000, 3], 7).mapv(|v| (v >> 8) as u8);
    for text in ["gaussian:3", "box:9", "sharpen", "sobel", "resize:1100x150", "rotate:90"] {
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
        for text in
            FILTERS.iter().filter(|text| !["resize", "flip", "rotate"].iter().any(|name| text.starts_with(name)))
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
        ("resize:4x3", 1, "997e71858f937b6f9174985c"),
    ] {
        let out = whole(filter(text), Border::Reflect101, src.view());
        let digits = row.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
        let want = digits.map(|pair| u8::from_str_radix(pair, 16).expect("a byte in hexadecimal"));
        for (&got, want) in out.index_axis(Axis(0), 2).iter().zip(want) {
            assert!(got.abs_diff(want) <= tolerance, "{text}: {got} instead of {want}");
        }
    }
}
