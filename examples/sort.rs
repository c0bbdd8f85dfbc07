//! Sorts numbers: parts, by workers of which one dies; then slices of the result, from all parts. `cargo run --example sort`

use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use parfork::{Crew, Engine, Job, Runner, Shared, Split};
use std::{env::temp_dir, fs, process};

/// The numbers, no two alike, of the ranks of a slice: its bounds are searched in all sorted parts, `sort` merges the runs between.
fn merge(parts: ArrayView1<'_, u64>, ranks: std::ops::Range<usize>, mut slice: ArrayViewMut1<'_, u64>) {
    let parts: Vec<&[u64]> = parts.to_slice().expect("one axis").chunks(20_000).collect();
    let below = |key: u64| parts.iter().map(move |part| part.partition_point(|&it| it < key));
    let longer =
        |rank, key, bit| if below(key | 1_u64 << bit).sum::<usize>() <= rank { key | 1_u64 << bit } else { key };
    let cut = |rank: usize| below((0..64).rev().fold(0, |key, bit| longer(rank, key, bit)));
    let runs = parts.iter().zip(cut(ranks.start).zip(cut(ranks.end))).flat_map(|(part, (from, to))| &part[from..to]);
    slice.iter_mut().zip(runs).for_each(|(cell, &number)| *cell = number);
    slice.as_slice_mut().expect("one axis").sort();
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut right: Vec<u64> = (0..100_000).map(|at| at * 0x9e37_79b9_7f4a % 0xffff_ffff_fffb).collect();
    let (numbers, mut crew) = (Shared::from_array(&Array1::from_iter(right.iter().rev().copied()))?, Crew::start(5)?);
    right.sort();
    let engines: [fn(&mut Crew) -> Runner<'_>; 4] =
        [|_| Engine::Serial.into(), |_| Engine::Threads.into(), |_| Runner::Processes, |crew| Runner::Crew(crew)];
    for (workers, engine) in [1, 2, 5].into_iter().flat_map(|workers| (0..4).map(move |engine| (workers, engine))) {
        (engine > 1).then(|| fs::create_dir(temp_dir().join(format!("parfork-sort-{}", process::id())))).transpose()?;
        let (mut parts, mut sorted) = (Shared::zeros_like(&numbers)?, Shared::zeros_like(&numbers)?);
        let job = Job::new((&numbers, &mut parts)).runner(engines[engine](&mut crew)).workers(workers).retries(1);
        let done =
            job.split(Split::rows().of(20_000)).body_overwrites().run_with(process::id(), |w, id, (all, mut a)| {
                let _ = fs::remove_dir(temp_dir().join(format!("parfork-sort-{id}"))).map(|()| process::abort());
                a.assign(&w.slice_of(all));
                a.as_slice_mut().expect("one axis").sort_unstable();
            })?;
        let job = Job::new((&parts, &mut sorted)).runner(engines[engine](&mut crew)).workers(workers);
        job.run_with((), |_, (), (parts, slice)| merge(parts, slice.rows(), slice.into_view()))?;
        assert!(sorted.as_slice() == right && (done.report().deaths.len() == 1) == (engine > 1));
    }
    Ok(())
}
