//! Products of matrices beside gemm and faer on two threads, and beside the most multiply-adds that two CPUs can do.

use std::error::Error;
use std::hint::black_box;

use ndarray::{Array2, Ix2};
use parfork::Shared;
use parfork_workers::matmul::{self, Element};
use pulp::{Arch, Simd, WithSimd};

use super::contest::{contest, timed};
use super::{Hands, Run, WORKERS, wanted};

/// (m, n, k): squares, tall, wide, flat and odd.
const SHAPES: [[usize; 3]; 8] = [
    [1024, 1024, 1024],
    [2048, 2048, 2048],
    [4096, 4096, 4096],
    [8192, 256, 1024],
    [256, 8192, 1024],
    [2048, 2048, 64],
    [100_000, 64, 64],
    [1537, 1023, 777],
];

pub fn section(words: &[&str]) -> Result<(), Box<dyn Error>> {
    const KINDS: [&str; 2] = ["f32", "f64"];
    let names = SHAPES.map(|shape| shape.map(|len| len.to_string()).join("x"));
    for kind in KINDS.into_iter().filter(|kind| wanted(words, KINDS, kind)) {
        let peak = contest("product", &[kind, "0", "0", "0"], &["peak"], 9)?;
        let peak = peak.times("peak").map_or(f64::NAN, |times| PEAK_FLOP as f64 / times.least / 1e6);
        println!("{kind}: at most {peak:.0} GFLOP/s, multiply-adds in registers on {WORKERS} CPUs");
        for (shape, name) in SHAPES.iter().zip(&names) {
            if !wanted(words, names.iter().map(String::as_str), name) {
                continue;
            }
            let words = shape.map(|len| len.to_string());
            let case = [kind, &words[0], &words[1], &words[2]];
            let flop = 2.0 * shape.iter().product::<usize>() as f64;
            let rounds = if flop > 1e11 { 7 } else { 21 };
            let engines = ["crew", "processes", "threads", "serial"];
            let peers: &[&str] = if cfg!(feature = "peers") { &["gemm", "faer"] } else { &[] };
            let outcome = contest("product", &case, &[&engines, peers].concat(), rounds)?;
            outcome.print(&format!("product {kind} {}", words.join(" x ")), "crew", |times| {
                let rate = flop / times.least / 1e6;
                format!("{rate:>5.0} GFLOP/s, {:.2} of the most", rate / peak)
            });
            outcome.judge(&["crew".to_owned()], |name| !engines.contains(&name), 1.0);
        }
    }
    Ok(())
}

pub fn contestant(case: &[&str], who: &str) -> Result<Run, Box<dyn Error>> {
    let [kind, shape @ ..] = case else { return Err("no element type".into()) };
    let shape: Vec<usize> = shape.iter().map(|len| len.parse()).collect::<Result<_, _>>()?;
    match (*kind, who) {
        ("f32", "peak") => peak(Chains::<f32>),
        (_, "peak") => peak(Chains::<f64>),
        ("f32", _) => product::<f32>(&shape, who),
        _ => product::<f64>(&shape, who),
    }
}

/// Numbers within -1..1, without a pattern.
fn noise<T: Element>(shape: (usize, usize), of: fn(f32) -> T) -> Result<Shared<T, Ix2>, Box<dyn Error>> {
    let value = |(i, j)| {
        let hash = (i as u32 * 5741 + j as u32 * 2749 + 17).wrapping_mul(0x9e37_79b9);
        of((hash >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    Ok(Shared::from_array(&Array2::from_shape_fn(shape, value))?)
}

/// What the peers need of an element type.
#[cfg(feature = "peers")]
trait Peers: Element + faer::traits::ComplexField {}
#[cfg(feature = "peers")]
impl<T: Element + faer::traits::ComplexField> Peers for T {}
#[cfg(not(feature = "peers"))]
use Element as Peers;

fn product<T: Peers + From<f32>>(shape: &[usize], who: &str) -> Result<Run, Box<dyn Error>> {
    let &[m, n, k] = shape else { return Err("a shape has three sizes".into()) };
    let (a, b) = (noise((m, k), T::from)?, noise((k, n), T::from)?);
    let mut c = Shared::<T, _>::zeros((m, n))?;
    if let Some(mut hands) = Hands::named(who)? {
        return Ok(Box::new(move || {
            let (done, time) = timed(|| matmul::run(hands.job(), &a, &b, &mut c));
            black_box(done?);
            Ok(time)
        }));
    }
    #[cfg(feature = "peers")]
    return peers::product(who == "faer", a, b, c);
    #[cfg(not(feature = "peers"))]
    Err(format!("{who} needs the feature `peers`").into())
}

#[cfg(feature = "peers")]
mod peers {
    #![allow(unsafe_code)]
    use super::*;

    pub fn product<T: Peers>(
        faer: bool,
        a: Shared<T, Ix2>,
        b: Shared<T, Ix2>,
        mut c: Shared<T, Ix2>,
    ) -> Result<Run, Box<dyn Error>> {
        let ((m, k), n) = (a.view().dim(), b.shape()[1]);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?;
        Ok(Box::new(move || {
            let (a, b, c) = (a.as_slice(), b.as_slice(), c.as_mut_slice());
            let by_faer = |c: &mut [T]| {
                faer::linalg::matmul::matmul(
                    faer::MatMut::from_row_major_slice_mut(c, m, n),
                    faer::Accum::Replace,
                    faer::MatRef::from_row_major_slice(a, m, k),
                    faer::MatRef::from_row_major_slice(b, k, n),
                    T::ONE,
                    faer::Par::rayon(WORKERS),
                );
            };
            let by_gemm = |c: &mut [T]| {
                let [k_stride, n_stride] = [k as isize, n as isize];
                let both = gemm::Parallelism::Rayon(WORKERS);
                let (c, a, b) = (c.as_mut_ptr(), a.as_ptr(), b.as_ptr());
                // SAFETY: three slices of m x n, m x k and k x n elements in C order, the first borrowed alone.
                unsafe {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        c,
                        1,
                        n_stride,
                        false,
                        a,
                        1,
                        k_stride,
                        b,
                        1,
                        n_stride,
                        T::ZERO,
                        T::ONE,
                        false,
                        false,
                        false,
                        both,
                    );
                }
            };
            Ok(timed(|| pool.install(|| if faer { by_faer(c) } else { by_gemm(c) })).1)
        }))
    }
}

/// What both CPUs together do in a run of the peak, about.
const PEAK_FLOP: usize = 20_000_000_000;

/// Independent multiply-adds in flight: two may start in a cycle and each takes four or five.
const CHAINS: usize = 12;

/// Half of [`PEAK_FLOP`] in multiply-adds of one element type, from numbers that are not known before.
struct Chains<T>([T; 3]);

macro_rules! chains {
    ($($number:ty, $lanes:ident, $splat:ident, $mul_add:ident, $add:ident, $sum:ident;)*) => {$(
        impl WithSimd for Chains<$number> {
            type Output = $number;
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) -> $number {
                let [start, factor, term] = self.0.map(|number| simd.$splat(number));
                let mut chains = [start; CHAINS];
                for _ in 0..PEAK_FLOP / 2 / (2 * CHAINS * S::$lanes) {
                    for chain in &mut chains {
                        *chain = simd.$mul_add(*chain, factor, term);
                    }
                }
                let mut sum = start;
                for chain in chains {
                    sum = simd.$add(sum, chain);
                }
                simd.$sum(sum)
            }
        }
    )*};
}

chains! {
    f32, F32_LANES, splat_f32s, mul_add_f32s, add_f32s, reduce_sum_f32s;
    f64, F64_LANES, splat_f64s, mul_add_f64s, add_f64s, reduce_sum_f64s;
}

fn peak<T: Copy + Send + Sync + From<f32> + 'static>(chains: fn([T; 3]) -> Chains<T>) -> Result<Run, Box<dyn Error>>
where
    Chains<T>: WithSimd<Output = T>,
{
    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?;
    Ok(Box::new(move || {
        let numbers = black_box([0.5, 0.999, 0.001]).map(T::from);
        Ok(timed(|| pool.broadcast(|_| black_box(Arch::new().dispatch(chains([numbers[0], numbers[1], numbers[2]])))))
            .1)
    }))
}
