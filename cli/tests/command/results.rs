//! What the command computes and reports.

use std::fs;

use ndarray::{Array2, ShapeBuilder, array};
use parfork::formats::npy;
use parfork::{Order, Shared};
use parfork_workers::picture::{self, Picture};

use crate::fixture::{Fixture, noise, photo};
use crate::sampled::Sampler;

#[test]
fn products_are_right_for_any_shape_order_and_cut() {
    let (fixture, mut sampler) = (Fixture::new(), Sampler::new());
    for (m, k, n) in
        [(1, 1, 1), (33, 65, 17), (300, 5, 200), (1, 400, 1), (5, 0, 7), (0, 4, 3), (3, 4, 0), (129, 130, 131)]
    {
        let (a, b) = (noise((m, k), 1), noise((k, n), 2));
        let mut fortran = Array2::zeros((k, n).f());
        fortran.assign(&b);
        fixture.save("a.npy", &a);
        fixture.save("b.npy", &fortran);
        let all = [
            "",
            "-n 1 --engine serial",
            "-n 3 --engine threads",
            "-n 7 --split rows=10 --schedule guided",
            "-n 2 --split tiles=64x50 --schedule static",
        ];
        for flags in sampler.some(all, 2) {
            fixture.ok(&format!("matmul a.npy b.npy -o c.npy -q --verify {flags}"));
            let c = Shared::<f64, ndarray::Ix2>::load(fixture.path("c.npy")).unwrap();
            assert_eq!(c.order(), Order::C);
            let naive = Array2::from_shape_fn((m, n), |(i, j)| (0..k).map(|l| a[[i, l]] * b[[l, j]]).sum::<f64>());
            assert_eq!(c.shape(), [m, n]);
            let close = c.view().iter().zip(&naive).all(|(one, other)| (one - other).abs() <= 1e-12 * k.max(1) as f64);
            assert!(close, "{m}x{k}x{n} {flags}");
        }
    }
}

/// `a.sum(axis=0)` and the like of `a = np.arange(24).reshape(2, 3, 4)`, as NumPy prints them.
#[test]
fn reductions_along_an_axis_are_numpys() {
    let fixture = Fixture::new();
    let numbers = ndarray::Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (12 * i + 4 * j + k) as i32);
    npy::save(fixture.path("a.npy"), numbers.view()).unwrap();
    let found = |line: &str| {
        let told = fixture.ok(&format!("{line} -o o.npy -n 2 --json --verify"));
        assert!(told.contains("\"axis\":"), "{told}");
        fixture.path("o.npy")
    };
    let whole = |line: &str| Shared::<i64, ndarray::IxDyn>::load(found(line)).unwrap().view().to_owned();
    assert_eq!(whole("sum a.npy --axis 0"), array![[12, 14, 16, 18], [20, 22, 24, 26], [28, 30, 32, 34]].into_dyn());
    assert_eq!(whole("sum a.npy --axis 1"), array![[12, 15, 18, 21], [48, 51, 54, 57]].into_dyn());
    assert_eq!(whole("sum a.npy --axis -1"), array![[6, 22, 38], [54, 70, 86]].into_dyn());
    let mean = Shared::<f64, ndarray::Ix2>::load(found("mean a.npy --axis 2 --engine threads")).unwrap();
    assert_eq!(mean.view(), array![[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]]);
    let most = Shared::<i32, ndarray::Ix2>::load(found("max a.npy --axis -3 --engine serial")).unwrap();
    assert_eq!(most.view(), array![[12, 13, 14, 15], [16, 17, 18, 19], [20, 21, 22, 23]]);
    // Fortran order: the same numbers.
    npy::save(fixture.path("f.npy"), array![[3.0, 1.0], [4.0, 1.0], [5.0, 9.0]].reversed_axes().view()).unwrap();
    let norm = Shared::<f64, ndarray::Ix1>::load(found("norm f.npy --axis 1")).unwrap();
    assert_eq!(norm.view(), array![50_f64.sqrt(), 83_f64.sqrt()]);
    npy::save(fixture.path("f3.npy"), numbers.view().reversed_axes()).unwrap();
    for (turned, axis) in [(0, 2), (1, 1), (2, 0)] {
        let turned = whole(&format!("sum f3.npy --axis {turned}"));
        assert_eq!(turned.reversed_axes(), whole(&format!("sum a.npy --axis {axis}")));
    }
    fixture.fails("sum a.npy --axis 3 -o o2.npy", 3, &["no axis 3 of 3", "-3 to 2"]);
    fixture.fails("sum a.npy --axis -4 -o o2.npy", 3, &["no axis -4 of 3"]);
    fixture.fails("sum a.npy --axis 0", 2, &["--axis and -o"]);
    fixture.fails("sum a.npy -o o2.npy", 2, &["--axis and -o"]);
    fixture.fails("sum a.npy --axis x -o o2.npy", 2, &["axis"]);
    npy::save(fixture.path("none.npy"), ndarray::Array2::<f32>::zeros((0, 3)).view()).unwrap();
    fixture.fails("max none.npy --axis 0 -o o2.npy", 3, &["none.npy", "of 0 elements"]);
    let none = Shared::<f64, ndarray::Ix1>::load(found("sum none.npy --axis 0")).unwrap();
    assert_eq!(none.view(), array![0.0, 0.0, 0.0]);
}

/// As NumPy's `@` has it: shapes and numbers of `np.array([[1., 2], [3, 4], [5, 6]], 'f4') @ np.array([1., 10])` and the like.
#[test]
fn vectors_have_no_axis_in_the_product_and_mixed_types_are_the_wider() {
    let fixture = Fixture::new();
    let matrix = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
    npy::save(fixture.path("m.npy"), matrix.mapv(|cell: f64| cell as f32).view()).unwrap();
    npy::save(fixture.path("right.npy"), array![1.0, 10.0].view()).unwrap();
    npy::save(fixture.path("left.npy"), array![1.0_f32, 2.0, 3.0].view()).unwrap();
    npy::save(fixture.path("wide.npy"), array![[1.0, 0.5]].view()).unwrap();
    let product = |line: &str| {
        fixture.ok(&format!("matmul {line} -o c.npy -q --verify -n 2"));
        fixture.path("c.npy")
    };
    let wide = |line: &str, expected: ndarray::ArrayD<f64>| {
        assert_eq!(Shared::<f64, ndarray::IxDyn>::load(product(line)).unwrap().view(), expected.view(), "{line}");
    };
    wide("m.npy right.npy", array![21.0, 43.0, 65.0].into_dyn());
    wide("right.npy right.npy", ndarray::arr0(101.0).into_dyn());
    wide("right.npy right.npy --engine threads", ndarray::arr0(101.0).into_dyn());
    let narrow = |line: &str, expected: ndarray::ArrayD<f32>| {
        assert_eq!(Shared::<f32, ndarray::IxDyn>::load(product(line)).unwrap().view(), expected.view(), "{line}");
    };
    narrow("left.npy m.npy", array![22.0, 28.0].into_dyn());
    narrow("left.npy left.npy --engine serial", ndarray::arr0(14.0).into_dyn());
    fixture.fails("matmul m.npy left.npy -o c.npy", 3, &["3x2", "3x1", "do not multiply"]);
    fixture.fails("matmul wide.npy m.npy -o c.npy", 3, &["1x2", "3x2", "do not multiply"]);
    npy::save(fixture.path("cube.npy"), ndarray::Array3::<f64>::zeros((2, 2, 2)).view()).unwrap();
    fixture.fails("matmul cube.npy right.npy -o c.npy", 3, &["cube.npy", "3"]);
}

#[test]
fn reductions_have_the_same_bits_for_every_cut() {
    let fixture = Fixture::new();
    let data = noise((700, 431), 3);
    fixture.save("x.npy", &data);
    for op in ["sum", "mean", "min", "max", "norm"] {
        let flags = [
            "-n 1",
            "-n 3 --split rows=1",
            "-n 5 --split cols --schedule static",
            "--split tiles=1x2 --schedule guided -n 4",
            "--engine threads -n 3",
            "--engine serial",
        ];
        let answers: Vec<String> =
            flags.iter().map(|flags| fixture.ok(&format!("{op} x.npy -q --verify {flags}"))).collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{op}: {answers:?}");
        let answer: f64 = answers[0].trim().parse().unwrap();
        let expected = match op {
            "sum" => data.sum(),
            "mean" => data.sum() / data.len() as f64,
            "min" => data.iter().copied().fold(f64::INFINITY, f64::min),
            "max" => data.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            _ => data.iter().map(|x| x * x).sum::<f64>().sqrt(),
        };
        assert!((answer - expected).abs() <= 1e-9, "{op}: {answer}, expected {expected}");
    }
    npy::save(fixture.path("i.npy"), ndarray::array![i64::MAX, i64::MAX, -1].view()).unwrap();
    assert_eq!(fixture.ok("sum i.npy -q"), "18446744073709551613\n");
}

#[test]
fn pictures_of_every_kind_go_through_filters() {
    let fixture = Fixture::new();
    for channels in 1..=4 {
        picture::save(fixture.path("in.png"), &photo(channels)).unwrap();
        for ending in ["png", "tiff", "pam"] {
            fixture.ok(&format!(
                "image in.png -o out.{ending} -q --verify -n 3 --filter gaussian:1.5,sharpen,brightness:10"
            ));
            let out = picture::read(fixture.path(&format!("out.{ending}"))).unwrap();
            assert_eq!((out.shape(), out.bits()), ([61, 83, channels], 8));
        }
    }
    fixture.ok("image in.png -o turned.png -q --filter rotate:90,flip,resize:30x20,sobel -n 2 --split tiles=7x9");
    assert_eq!(picture::read(fixture.path("turned.png")).unwrap().shape(), [20, 30, 2]);
    fixture.ok("image in.png -o one.png -q --filter resize:1x1");
    fixture.ok("image one.png -o still.png -q --filter gaussian:3,box:2,sharpen,sobel --border wrap");
    assert_eq!(picture::read(fixture.path("still.png")).unwrap().shape(), [1, 1, 2]);
}

#[test]
fn a_png_has_the_same_bytes_whoever_wrote_it() {
    let fixture = Fixture::new();
    let Picture::U8(small) = photo(4) else { unreachable!() };
    // Of several bands each, the last of them shorter.
    let deep = ndarray::Array3::from_shape_fn((197, 330, 4), |(y, x, c)| {
        (257 * u16::from(small.view()[[y % 61, x % 83, c]])) ^ (x * y) as u16
    });
    let tall = ndarray::Array3::from_shape_fn((30_001, 1, 4), |(y, ..)| (y / 3) as u16);
    let wide = ndarray::Array3::from_shape_fn((1, 30_001, 2), |(_, x, _)| (x * x) as u8);
    let deep = [deep, tall].map(|array| Picture::U16(Shared::from_array(&array).unwrap()));
    let wide = Picture::U8(Shared::from_array(&wide).unwrap());
    let pictures = deep.into_iter().chain([wide]).collect::<Vec<_>>();
    let mut sampler = Sampler::new();
    for picture in &pictures {
        picture::save(fixture.path("alone.png"), picture).unwrap();
        let all = ["-n 1", "-n 2 --schedule static", "-n 5 --guard", "-n 3 --engine threads", "--engine serial"];
        for flags in sampler.some(all, 2) {
            let report = fixture.ok(&format!("image alone.png -o out.png --filter flip,flip --json {flags}"));
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            assert!(report["filing"]["slices"].as_u64().unwrap() > 0, "{report}");
            assert!(
                fs::read(fixture.path("alone.png")).unwrap() == fs::read(fixture.path("out.png")).unwrap(),
                "{flags}"
            );
        }
        match (picture::read(fixture.path("out.png")).unwrap(), picture) {
            (Picture::U8(read), Picture::U8(written)) => assert_eq!(read.view(), written.view()),
            (Picture::U16(read), Picture::U16(written)) => assert_eq!(read.view(), written.view()),
            _ => panic!("another depth"),
        }
    }
}

#[test]
fn a_filter_gives_what_the_library_gives() {
    let fixture = Fixture::new();
    let Picture::U8(source) = photo(3) else { unreachable!() };
    picture::save(fixture.path("in.png"), &photo(3)).unwrap();
    fixture.ok("image in.png -o out.png -q --filter invert --split tiles=10x10");
    let out = picture::read_u8(fixture.path("out.png")).unwrap();
    assert!(out.view().iter().zip(source.view()).all(|(out, source)| *out == 255 - source));
}

#[test]
fn the_mandelbrot_set_is_symmetric_and_drawn_alike_by_all() {
    let fixture = Fixture::new();
    fixture.ok("mandelbrot -o set.png --size 121x81 --iterations 200 --verify -q -n 3 --split cols=7");
    let set = picture::read_u8(fixture.path("set.png")).unwrap();
    let set = set.view();
    assert!((0..81).all(|row| set.index_axis(ndarray::Axis(0), row) == set.index_axis(ndarray::Axis(0), 80 - row)));
    fixture.fails("mandelbrot -o set.png --zoom 0", 2, &["zoom 0", "Give"]);
    fixture.fails("mandelbrot -o set.png --size 10", 2, &["width x height"]);
}

#[test]
fn a_sandbox_changes_no_bit_and_is_for_processes() {
    let fixture = Fixture::new();
    fixture.ok("mandelbrot -o free.png --size 121x81 --iterations 200 -q -n 2");
    for flag in ["--sandbox", "--sandbox=strict --guard --mem-limit 512M --report run.html"] {
        fixture.ok(&format!("mandelbrot -o kept.png --size 121x81 --iterations 200 -q -n 2 {flag}"));
        let [free, kept] = ["free.png", "kept.png"].map(|name| std::fs::read(fixture.path(name)).unwrap());
        assert!(free == kept, "{flag}");
    }
    fixture.ok("image free.png -o edges.png --filter sobel,gaussian:2 --sandbox=strict --verify -q");
    fixture.fails("mandelbrot -o set.png --sandbox --engine threads", 2, &["a sandbox", "Leave one of the two out"]);
    fixture.fails("mandelbrot -o set.png --sandbox=mild", 2, &["mild", "strict"]);
}

#[test]
fn reports_for_programs_are_json() {
    let fixture = Fixture::new();
    fixture.save("x.npy", &noise((300, 1000), 5));
    let report: serde_json::Value =
        serde_json::from_str(&fixture.ok("norm x.npy --json --verify -n 2 --split rows/2")).unwrap();
    assert_eq!(
        (&report["schema"], &report["command"], &report["verified"]),
        (&"parfork/1".into(), &"norm".into(), &true.into())
    );
    let workers = report["jobs"][0]["workers"].as_array().unwrap();
    let slices: usize = workers.iter().map(|worker| worker["slices"].as_array().unwrap().len()).sum();
    assert_eq!(slices as u64, report["jobs"][0]["slices"].as_u64().unwrap());
    let plan: serde_json::Value =
        serde_json::from_str(&fixture.ok("plan 10x10 --split tiles=5x5 -n 2 --halo 1 --json")).unwrap();
    assert_eq!(plan["slices"][3]["writes"][0]["start"], 5);
    assert_eq!((&plan["slices"][3]["reads"][0]["start"], &plan["halo"]), (&4.into(), &1.into()));
    let line = "plan 10x10 --split cols --bounds 2,3,10 -n 2 --halo 0x2 --json";
    let plan: serde_json::Value = serde_json::from_str(&fixture.ok(line)).unwrap();
    assert_eq!((&plan["bounds"], &plan["halo"]), (&serde_json::json!([2, 3, 10]), &serde_json::json!([0, 2])));
    let last = &plan["slices"][2];
    assert_eq!(last["writes"], serde_json::json!([{ "axis": 1, "start": 3, "end": 10 }]));
    assert_eq!(last["reads"], serde_json::json!([{ "axis": 1, "start": 1, "end": 10 }]));
    fixture.fails("plan 10x10 --halo 1x2x3", 2, &["1x2x3 is for 3 axes, and the array has 2"]);
    fixture.fails("plan 10x10 --halo two", 2, &["as in 2, or 2x0"]);
    fixture.fails("plan 10x10 --bounds 2,9", 2, &["bounds must ascend to 10"]);
    fixture.fails("plan 10x10 --bounds 2,10 --split tiles=5x5", 2, &["Cut one, as rows and cols do"]);
}

#[test]
fn a_plan_is_drawn() {
    let fixture = Fixture::new();
    let plan = fixture.ok("plan 6x8 --split rows=2 -n 2 --schedule static -o plan.svg");
    assert!(plan.contains("axis 0 down (6), axis 1 across (8)\n  00000000\n  00000000\n  00000000\n  00000000\n  11111111\n  11111111\n"), "{plan}");
    let svg = fs::read_to_string(fixture.path("plan.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.matches("<title>slice").count() == 3, "{svg}");
    for shape in ["0", "1", "0x5", "7x0", "3x4x5", "1000000x1000000"] {
        fixture.ok(&format!("plan {shape} -n 3"));
    }
    fixture.fails("plan 9999999999x9999999999", 2, &["2^64"]);
    fixture.fails("plan 5x5 -n 0", 2, &["1 to 4294967295"]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation; .ci/run runs the demo in release")]
fn the_demo_shows_three_ways_with_the_same_bits() {
    let fixture = Fixture::new();
    let text = fixture.ok("demo -o show -n 2");
    assert_eq!((text.matches("x  yes\n").count(), text.matches("NO").count()), (6, 0), "{text}");
    for name in ["show/mandelbrot.png", "show/edges.png"] {
        assert_eq!(picture::read(fixture.path(name)).unwrap().height(), 1200);
    }
}

#[test]
fn completions_and_manual_are_made() {
    let fixture = Fixture::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(fixture.ok(&format!("completions {shell}")).contains("mandelbrot"));
    }
    let man = fixture.ok("man");
    assert!(man.starts_with(".ie") && man.contains("PARFORK MATMUL") && man.contains("gaussian"), "{man}");
    for kernel in parfork_workers::KERNELS {
        assert!(fixture.ok(&format!("{} --help", kernel.name())).contains("Usage"), "{}", kernel.name());
    }
}

/// `np.load(f).sum()` of a.npy, b.npy: 780.0 and 6.0.
#[test]
fn several_arrays_are_told_with_their_names() {
    let fixture = Fixture::with_inputs();
    assert_eq!(fixture.ok("sum a.npy b.npy -q"), "780.0 a.npy\n6.0 b.npy\n");
    assert_eq!(fixture.ok("sum b.npy -q"), "6.0\n");
    let lines = fixture.ok("max b.npy a.npy --json -n 2");
    let told: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.iter().map(|told| told["answer"].as_f64().unwrap()).collect::<Vec<_>>(), [1.0, 39.0]);
    fixture.fails("sum a.npy b.npy --axis 0 -o c.npy", 2, &["-o, --report and --trace are one file"]);
    fixture.fails("sum missing.npy a.npy", 3, &["missing.npy"]);
}
