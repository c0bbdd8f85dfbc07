//! Workers that stay: forked once, called many times, also to work on arrays that were made later.
use parfork::{Crew, Shared};

fn main() -> parfork::Result<()> {
    let mut crew = Crew::start(2)?;
    // Heat in a rod: each step reads one array and writes the other.
    let mut old = Shared::from_array(&ndarray::Array1::from_shape_fn(10_000, |i| if i == 5000 { 1.0 } else { 0.0 }))?;
    let mut new = Shared::<f64, _>::zeros(10_000)?;
    for _ in 0..1000 {
        crew.run((&old, &mut new), 0.25, |_, rate, (old, mut new)| {
            let start = new.rows().start;
            for (i, cell) in new.indexed_iter_mut() {
                let at = |offset: isize| old.get((start + i).wrapping_add_signed(offset)).copied().unwrap_or(0.0);
                *cell = at(0) + rate * (at(-1) - 2.0 * at(0) + at(1));
            }
        })?;
        std::mem::swap(&mut old, &mut new);
    }
    let total: f64 = crew.run(&old, (), |w, (), old| w.slice_of(old).sum())?.sum();
    println!("1000 steps; heat is neither made nor lost: {total:.6}");
    assert!((total - 1.0).abs() < 1e-9);
    Ok(())
}
