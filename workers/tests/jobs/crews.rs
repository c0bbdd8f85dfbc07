//! The kernels, which a crew can run too.

use ndarray::{Array1, Array2, Array3};
use parfork::{Crew, Job, Runner, Shared};
use parfork_workers::filter::{self, Border};
use parfork_workers::mandelbrot::{self, View};
use parfork_workers::{matmul, reduce};

use super::support::nothing_left;

/// The same bits from a crew as from one thread, whatever their parameters.
pub(crate) fn give_the_same_bits_on_a_crew() {
    let photo = Shared::from_array(&Array3::from_shape_fn((61, 83, 3), |(y, x, c)| (y * y + x * 5 + c * 77) as u8));
    let photo = photo.unwrap();
    let matrix =
        |seed| Shared::from_array(&Array2::from_shape_fn((70, 70), |(i, j)| ((i * 7 + j * seed) % 11) as f64 - 5.0));
    let (a, b) = (matrix(3).unwrap(), matrix(5).unwrap());
    let numbers = Shared::from_array(&Array1::from_shape_fn(300_000, |i| (i * i % 251) as u8)).unwrap();
    let all = |mut crew: Option<&mut Crew>| {
        macro_rules! next {
            () => {
                Job::default().runner(crew.as_deref_mut().map_or(Runner::Serial, Runner::Crew))
            };
        }
        let mut bits = Vec::new();
        for view in [(-0.75, 0.0, 1.0, 50), (-0.7436, 0.1318, 800.0, 300)] {
            let view = View::new((view.0, view.1), view.2, (45, 37), view.3).unwrap();
            let mut picture = Shared::zeros((37, 45, 3)).unwrap();
            mandelbrot::run(next!(), &view, &mut picture).unwrap();
            bits.extend_from_slice(picture.as_slice());
        }
        for (name, border) in [("gaussian:1.5", "wrap"), ("box:2", "constant:7"), ("gamma:0.4545", "reflect101")] {
            let mut result = Shared::zeros_like(&photo).unwrap();
            let border: Border = border.parse().unwrap();
            filter::run(next!(), name.parse().unwrap(), border, &photo, &mut result).unwrap();
            bits.extend_from_slice(result.as_slice());
        }
        let mut product = Shared::zeros((70, 70)).unwrap();
        matmul::run(next!(), &a, &b, &mut product).unwrap();
        bits.extend_from_slice(bytemuck::cast_slice::<f64, u8>(product.as_slice()));
        for (op, dtype) in [("sum", "|u1"), ("norm", "<i2"), ("max", ">f4"), ("mean", "<u8")] {
            let (op, dtype) = (op.parse().unwrap(), dtype.parse().unwrap());
            let (number, _) = reduce::run(next!(), op, dtype, &numbers).unwrap();
            bits.extend_from_slice(number.to_string().as_bytes());
        }
        bits
    };
    let serial = all(None);
    for workers in [1, 3] {
        nothing_left(|| {
            let mut crew = Crew::start(workers).unwrap();
            assert!(all(Some(&mut crew)) == serial, "{workers} workers");
        });
    }
}
