//! Products of every type: with NumPy's values, and those of the definition where slices, blocks and what is left over of them meet.

use std::fs;

use parfork::Dtype;
use parfork::formats::npy::ArrayFile;

use crate::fixture::Fixture;
use crate::kernels::npy;

/// The bytes of a number, by the name of its type; of complex ones also of another for the imaginary part.
fn bytes(descr: &str, real: f64, imaginary: f64) -> Vec<u8> {
    let mut bytes = match &descr[1..] {
        "b1" => vec![u8::from(real != 0.0)],
        "i1" => (real as i8).to_le_bytes().to_vec(),
        "u1" => (real as u8).to_le_bytes().to_vec(),
        "i2" => (real as i16).to_le_bytes().to_vec(),
        "u2" => (real as u16).to_le_bytes().to_vec(),
        "i4" => (real as i32).to_le_bytes().to_vec(),
        "u4" => (real as u32).to_le_bytes().to_vec(),
        "i8" => (real as i64).to_le_bytes().to_vec(),
        "u8" => (real as u64).to_le_bytes().to_vec(),
        "f4" => (real as f32).to_le_bytes().to_vec(),
        "f8" => real.to_le_bytes().to_vec(),
        // Whole numbers of at most 2^11, of which the exponent is that of f64.
        "f2" if real == 0.0 => vec![0; 2],
        "f2" => {
            let bits = real.abs().to_bits();
            let exponent = (bits >> 52) as u16 + 15 - 1023;
            let sign = u16::from(real < 0.0) << 15;
            (sign | exponent << 10 | (bits >> 42) as u16 & 0x3ff).to_le_bytes().to_vec()
        }
        "c8" => [real as f32, imaginary as f32].map(f32::to_le_bytes).concat(),
        "c16" => [real, imaginary].map(f64::to_le_bytes).concat(),
        other => panic!("{other}"),
    };
    if descr.starts_with('>') {
        bytes.reverse();
    }
    bytes
}

/// The matrix that NumPy was given: of n = 0, 1, ... the numbers (37 n + seed) % 101, less 50 if the type has a sign; of complex ones the
/// imaginary parts are those of the rows from the last to the first.
fn matrix(descr: &str, [rows, columns]: [usize; 2], seed: usize) -> Vec<(f64, f64)> {
    let number = |row: usize, column: usize| {
        let number = (((row * columns + column) * 37 + seed) % 101) as f64;
        match descr.as_bytes()[1] {
            b'i' | b'f' | b'c' => number - 50.0,
            b'b' => f64::from(u8::from(number > 30.0)),
            _ => number,
        }
    };
    let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    cells.map(|(row, column)| (number(row, column), number(rows - 1 - row, column))).collect()
}

fn save(fixture: &Fixture, name: &str, descr: &str, shape: [usize; 2], seed: usize, fortran: bool) -> Vec<(f64, f64)> {
    let cells = matrix(descr, shape, seed);
    let at = |at: usize| if fortran { at % shape[0] * shape[1] + at / shape[0] } else { at };
    let payload: Vec<u8> = (0..cells.len()).flat_map(|it| bytes(descr, cells[at(it)].0, cells[at(it)].1)).collect();
    fs::write(fixture.path(name), npy(descr, fortran, shape, &payload)).unwrap();
    cells
}

fn found(fixture: &Fixture, name: &str) -> (Dtype, Vec<u8>) {
    let (header, bytes) = ArrayFile::open(fixture.path(name)).unwrap().load_bytes().unwrap();
    (header.dtype, bytes.as_slice().to_vec())
}

#[test]
fn products_have_numpys_types_and_values() {
    let fixture = Fixture::new();
    let real = |numbers: [f64; 6]| numbers.map(|number| (number, 0.0));
    let whole = [2402.0, 933.0, -2419.0, 2158.0, -1382.0, 1767.0];
    for (one, other, product, values) in [
        ("|i1", "|i1", "|i1", real([98.0, -91.0, -115.0, 110.0, -102.0, -25.0])),
        ("|u1", "|u1", "|u1", real([54.0, 225.0, 59.0, 132.0, 174.0, 99.0])),
        ("<u2", "<i2", "<i4", real([-648.0, 2083.0, -5469.0, 3308.0, -4432.0, 2917.0])),
        ("|b1", "|b1", "|b1", real([1.0; 6])),
        ("|b1", "|u1", "|u1", real([147.0, 157.0, 104.0, 252.0, 100.0, 211.0])),
        ("<i4", "<f4", "<f8", real(whole)),
        ("<f4", ">f8", "<f8", real(whole)),
        (">i4", "<i8", "<i8", real(whole)),
        ("<f4", "<f4", "<f4", real(whole)),
        ("|u1", "<f2", "<f2", real([-648.0, 2084.0, -5468.0, 3308.0, -4432.0, 2916.0])),
        ("<f2", "<f2", "<f2", real([2402.0, 933.0, -2420.0, 2158.0, -1382.0, 1767.0])),
        (
            "<c16",
            "<c8",
            "<c16",
            [
                (166.0, -109.0),
                (3022.0, 4298.0),
                (-3618.0, -1220.0),
                (3856.0, 460.0),
                (-2655.0, 4638.0),
                (-764.0, -1156.0),
            ],
        ),
        (
            "<f8",
            "<c8",
            "<c16",
            [
                (2402.0, 1273.0),
                (933.0, 2531.0),
                (-2419.0, 1199.0),
                (2158.0, -1698.0),
                (-1382.0, 2236.0),
                (1767.0, -2089.0),
            ],
        ),
        (
            "<c8",
            "<i2",
            "<c8",
            [
                (2402.0, -1382.0),
                (933.0, 1767.0),
                (-2419.0, -2419.0),
                (2158.0, 2158.0),
                (-1382.0, 2402.0),
                (1767.0, 933.0),
            ],
        ),
    ] {
        for fortran in [false, true] {
            save(&fixture, "a.npy", one, [3, 5], 3, fortran);
            save(&fixture, "b.npy", other, [5, 2], 11, !fortran);
            fixture.ok("matmul a.npy b.npy -o c.npy -n 2 --split rows=1 --verify -q");
            let want = values.iter().flat_map(|&(real, imaginary)| bytes(product, real, imaginary)).collect();
            assert_eq!(found(&fixture, "c.npy"), (product.parse().unwrap(), want), "{one} {other}");
        }
    }
    fs::write(fixture.path("a.npy"), npy("<f16", false, [1, 1], &[0; 16])).unwrap();
    fixture.fails("matmul a.npy a.npy -o l.npy", 3, &["long doubles", "astype"]);
}

/// More rows and columns than a block has, and not a multiple of any.
#[test]
fn products_of_integers_are_those_of_the_definition() {
    let fixture = Fixture::new();
    let (m, k, n) = (37, 131, 1031);
    let a = save(&fixture, "a.npy", "<i2", [m, k], 5, false);
    let b = save(&fixture, "b.npy", "<i2", [k, n], 17, true);
    let mut want = Vec::new();
    for at in 0..m * n {
        let products = (0..k).map(|p| (a[at / n * k + p].0 * b[p * n + at % n].0) as i16);
        want.extend(products.fold(0_i16, i16::wrapping_add).to_le_bytes());
    }
    for flags in ["-n 2", "-n 3 --split tiles=7x100", "-n 2 --split cols=333 --engine threads"] {
        fixture.ok(&format!("matmul a.npy b.npy -o c.npy {flags} --verify -q"));
        assert_eq!(found(&fixture, "c.npy").1, want, "{flags}");
    }
    // Nothing is summed.
    save(&fixture, "a.npy", "<c16", [2, 0], 0, false);
    save(&fixture, "b.npy", "|u1", [0, 3], 0, false);
    fixture.ok("matmul a.npy b.npy -o c.npy -q");
    assert_eq!(found(&fixture, "c.npy").1, vec![0; 2 * 3 * 16]);
}
