//! NumPy's files as users meet them: every type and order out and back, what NumPy wrote over the years, and bad input of all
//! kinds, which ends in an error that says what is wrong, never in a panic or in gigabytes.

use std::fs;
use std::path::PathBuf;

use ndarray::{Array, ArrayD, Ix2, IxDyn, ShapeBuilder, array};
use parfork::formats::npy::{self, ArrayFile};
use parfork::{Element, Error, Order, Shared};
use proptest::prelude::*;
use tempfile::TempDir;

fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// A .npy file of version 1.0 with any header.
fn npy_bytes(header: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(payload);
    bytes
}

fn refusal<T>(result: parfork::Result<T>) -> String {
    match result {
        Err(error @ (Error::File { .. } | Error::Memory { .. })) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("no error"),
    }
}

fn there_and_back<T: Element + PartialEq + std::fmt::Debug>(value: impl Fn(usize) -> T) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("array.npy");
    for shape in [vec![], vec![0], vec![7], vec![3, 0, 2], vec![2, 3, 5], vec![1, 70_001]] {
        let count = shape.iter().product();
        let values: Vec<T> = (0..count).map(&value).collect();
        for fortran in [false, true] {
            let array = ArrayD::from_shape_vec(IxDyn(&shape).set_f(fortran), values.clone()).unwrap();
            npy::save(&path, array.view()).unwrap();
            assert_eq!(npy::read::<T>(&path).unwrap().view(), array.view());
        }
        let whole = ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap();
        for mut part in [whole.view(), whole.t()] {
            part.slice_each_axis_inplace(|axis| ndarray::Slice::new(0, None, if axis.len > 1 { -2 } else { 1 }));
            npy::save(&path, part.view()).unwrap();
            assert_eq!(npy::read::<T>(&path).unwrap().view(), part);
        }
    }
}

#[test]
fn every_dtype_and_order_there_and_back() {
    there_and_back(|i| i as u8);
    there_and_back(|i| (i * 99) as u16);
    there_and_back(|i| (i * 99_999) as u32);
    there_and_back(|i| i as u64 * 99_999_999_999);
    there_and_back(|i| i as i8);
    there_and_back(|i| (i * 99) as i16);
    there_and_back(|i| (i * 99_999) as i32);
    there_and_back(|i| -(i as i64) * 99_999_999_999);
    there_and_back(|i| if i == 3 { f32::INFINITY } else { i as f32 / 3.0 });
    there_and_back(|i| if i == 3 { f64::NEG_INFINITY } else { -(i as f64) / 3.0 });
}

/// What NumPy 2.4 writes, printed with `io.BytesIO` and `numpy.save`.
#[test]
fn files_are_numpys_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("array.npy");
    let same = |head: &str, spaces: usize, payload: &[u8]| {
        let expected = npy_bytes(&format!("{head}{}\n", " ".repeat(spaces)), payload);
        assert_eq!(fs::read(&path).unwrap().escape_ascii().to_string(), expected.escape_ascii().to_string());
    };
    npy::save(&path, array![[1_i16, 2, 3], [4, 5, 6]].view()).unwrap();
    same("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }", 58, b"\x01\0\x02\0\x03\0\x04\0\x05\0\x06\0");
    npy::save(&path, array![[1_i16, 2, 3], [4, 5, 6]].reversed_axes().view()).unwrap();
    same("{'descr': '<i2', 'fortran_order': True, 'shape': (3, 2), }", 59, b"\x01\0\x02\0\x03\0\x04\0\x05\0\x06\0");
    npy::save(&path, ndarray::arr0(3_f32).view()).unwrap();
    same("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 62, b"\0\0\x40\x40");
    npy::save(&path, Array::<u8, _>::zeros((0, 5)).view()).unwrap();
    same("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 5), }", 58, b"");
    npy::save(&path, array![7_u64].view()).unwrap();
    same("{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", 60, b"\x07\0\0\0\0\0\0\0");
}

#[test]
fn big_endian_old_and_new_headers_are_read() {
    let (_folder, path) = file(
        "big.npy",
        &npy_bytes(
            "{'descr': '>i4', 'fortran_order': True, 'shape': (2L, 2L), }",
            b"\0\0\0\x01\0\0\0\x02\0\0\x01\0\xff\xff\xff\xff",
        ),
    );
    let array = Shared::<i32, Ix2>::load(&path).unwrap();
    assert_eq!((array.view(), array.order()), (array![[1, 256], [2, -1]].view(), Order::F));
    let (header, bytes) = npy::read_bytes(&path).unwrap();
    assert!(header.dtype.is_swapped() && header.dtype == ">i4".parse().unwrap() && header.len() == 4);
    assert_eq!(bytes.as_slice()[..4], [0, 0, 0, 1]);

    for (version, name) in [
        (2, "{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}"),
        (3, "{'descr': 'u1', 'shape': (2,), 'fortran_order': False}"),
    ] {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend(b"\x05\x06and another array");
        let (_folder, path) = file("new.npy", &bytes);
        assert_eq!(npy::read::<u8>(&path).unwrap().as_slice(), [5, 6], "what follows is not ours");
    }
    let (_folder, path) =
        file("half.npy", &npy_bytes("{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }", &[0; 4]));
    assert_eq!(npy::read_bytes(&path).unwrap().0.byte_len(), 4);
}

#[test]
fn bad_npy_files_are_refused_with_numbers_and_remedy() {
    let one = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
    for (header, payload, reasons) in [
        (one("'<f8'", "(3, 4)"), 40, ["promises 96 bytes", "but 40 bytes follow"]),
        (one("'|u1'", "(1152921504606846976,)"), 9, ["1152921504606846976 bytes", "9 bytes"]),
        (one("'<f8'", "(1099511627776, 1099511627776, 1099511627776, 99999999999)"), 9, ["2^128", "9 bytes"]),
        (one("'|O'", "(3,)"), 24, ["Python objects", "astype('float64')"]),
        (one("[('x', '<f4'), ('y', '<i4')]", "(3,)"), 24, ["fields", "array['name']"]),
        (one("'<U5'", "(3,)"), 60, ["text", "astype"]),
        (one("'<M8[ns]'", "(3,)"), 24, ["dates", "astype('int64')"]),
        (one("'<f3'", "(3,)"), 24, ["'<f3'", "astype"]),
        (one("'<f4'", "(2,)"), 8, ["elements are <f4, where <f8", "astype('float64')"]),
        (one("'<f8'", "(1, 1, 1)"), 8, ["3 axes (shape [1, 1, 1]), where 2", "reshape(n, n)"]),
        (one("'<f8'", "(-1, 1)"), 8, ["whole number from 0", "again"]),
        ("nonsense".to_owned(), 8, ["'n' stands at byte 0", "again"]),
    ] {
        let (_folder, path) = file("bad.npy", &npy_bytes(&header, &vec![0; payload]));
        let text = refusal(Shared::<f64, Ix2>::load(&path));
        assert!(reasons.iter().all(|reason| text.contains(reason)), "{header}: {text}");
    }
    for (bytes, reason) in [
        (&b"hello, world"[..], "begins with \"hello, w\""),
        (b"\x93NUM", "not a .npy file"),
        (b"\x93NUMPY\x09\x00\x10\x00", "version 9.0"),
        (b"\x93NUMPY\x01", "ends before"),
        (b"\x93NUMPY\x01\x00\x76\x00{'descr'", "118 bytes long, where at most 8"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "4294967295 bytes long"),
    ] {
        let (_folder, path) = file("bad.npy", bytes);
        let text = refusal(ArrayFile::open(&path));
        assert!(text.contains(reason), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_behind_the_magic_end_in_an_error_or_an_array(
        magic in prop::sample::select(vec![&b"\x93NUMPY\x01\0"[..], b"\x93NUMPY\x03\0", b""]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (_folder, path) = file("any", &[magic, &rest].concat());
        let answers = [npy::read::<f64>(&path).err(), npy::read_bytes(&path).err()];
        for error in answers.into_iter().flatten() {
            prop_assert!(matches!(error, Error::File { .. } | Error::Memory { .. }), "{error}");
        }
    }

    #[test]
    fn any_npy_header_ends_in_an_error_or_an_array(
        descr in "'[<>|=]?[biufcOUSV][0-9]{1,2}'",
        order in "(True|False)",
        shape in "\\((([0-9]{1,20}, ){0,4})\\)",
        payload in 0_usize..300,
    ) {
        let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
        let (_folder, path) = file("any.npy", &npy_bytes(&header, &vec![0; payload]));
        match npy::read_bytes(&path) {
            Ok((header, bytes)) => prop_assert!(bytes.len() <= payload && header.byte_len() == bytes.len()),
            Err(error) => prop_assert!(matches!(error, Error::File { .. }), "{error}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Of an archive with bytes changed, cut off or doubled.
    #[test]
    fn mutated_archives_end_in_an_array_or_an_error(
        large in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        again in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
        ones in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let head = "{'descr': '<u2', 'fortran_order': False, 'shape': (2,), }\n";
        let mut bytes = zip(&[("x.npy", &npy_bytes(head, &[1, 0, 2, 0])), ("y.npy", &npy_bytes(head, &[3, 0, 4, 0]))], true, large);
        let sound = bytes.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        // Numbers that are as large as can be.
        if let Some(at) = ones {
            let at = at.index(bytes.len());
            bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0xFF);
        }
        if let Some((from, to)) = again {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let part = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(to..to, part);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let (_folder, path) = file("mutated.npz", &bytes);
        for name in ["", ":x", ":y"] {
            match Shared::<u16, IxDyn>::load(PathBuf::from(format!("{}{name}", path.display()))) {
                Ok(array) => {
                    prop_assert!(array.len() <= bytes.len());
                    let stored = if name == ":x" { [1, 2] } else { [3, 4] };
                    prop_assert!(bytes != sound || array.as_slice() == stored);
                }
                Err(error) => {
                    prop_assert!(matches!(error, Error::File { .. } | Error::Memory { .. }), "{error}");
                    prop_assert!(bytes != sound || name.is_empty(), "{error}");
                }
            }
        }
    }
}

/// More with PROPTEST_CASES set.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)
}

/// A zip as `numpy.savez` writes it, but for its checksums, which nobody asks for: files stored or not, the directory behind them.
fn zip(files: &[(&str, &[u8])], stored: bool, large: bool) -> Vec<u8> {
    let long = |number: usize| (number as u32).to_le_bytes();
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in files {
        let method: &[u8] = if stored { &[0, 0] } else { &[8, 0] };
        let at = bytes.len();
        let sizes = if large { [[0xFF; 4]; 2] } else { [long(data.len()); 2] };
        let extra = if large {
            [&[1, 0, 16, 0][..], &[(data.len() as u64).to_le_bytes(); 2].concat()].concat()
        } else {
            vec![]
        };
        let both =
            [&[0; 4], method, &[0; 8], &sizes.concat(), &(name.len() as u16).to_le_bytes(), &[extra.len() as u8, 0]]
                .concat();
        bytes.extend([b"PK\x03\x04", &both[..]].concat());
        bytes.extend([name.as_bytes(), &extra, data].concat());
        directory.extend([b"PK\x01\x02\x2d\0", &both[..], &[0; 10], &long(at)].concat());
        directory.extend([name.as_bytes(), &extra].concat());
    }
    let (at, count) = (bytes.len(), (files.len() as u16).to_le_bytes());
    bytes.extend(&directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &long(directory.len()), &long(at), &[0; 2]].concat());
    bytes
}

#[test]
fn arrays_of_archives_are_found_by_name() {
    let head = |shape: &str| format!("{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}, }}\n");
    let (one, two) = (npy_bytes(&head("(2,)"), &[1, 0, 2, 0]), npy_bytes(&head("()"), &[3, 0]));
    for large in [false, true] {
        let (_folder, path) =
            file("two.npz", &zip(&[("x.npy", &one), ("y/z.npy", &two), ("text", b"no array")], true, large));
        let named = |name: &str| PathBuf::from(format!("{}:{name}", path.display()));
        assert_eq!(Shared::<u16, IxDyn>::load(named("x")).unwrap().as_slice(), [1, 2]);
        assert_eq!(Shared::<u16, IxDyn>::load(named("y/z")).unwrap().as_slice(), [3]);
        let text = refusal(Shared::<u16, IxDyn>::load(&path));
        assert!(text.contains("an archive of 2 arrays (x, y/z)") && text.contains("two.npz:x"), "{text}");
        assert!(refusal(Shared::<u16, IxDyn>::load(named("q"))).contains("none of which is called \"q\""));
    }
    let (_folder, path) = file("one.NPZ", &zip(&[("arr_0.npy", &one)], true, true));
    assert_eq!(Shared::<u16, IxDyn>::load(&path).unwrap().as_slice(), [1, 2]);
    let (_folder, path) = file("packed.npz", &zip(&[("arr_0.npy", &one)], false, false));
    assert!(refusal(Shared::<u16, IxDyn>::load(&path)).contains("its array arr_0 is compressed"));
    let whole = zip(&[("x.npy", &one)], true, false);
    for length in 4..whole.len() {
        let (_folder, path) = file("cut.npz", &whole[..length]);
        refusal(Shared::<u16, IxDyn>::load(&path));
    }
}
