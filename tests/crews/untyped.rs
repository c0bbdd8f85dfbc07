//! Arrays whose number, elements and axes are known only when the program runs.

use parfork::{Cells, Error, Job, Order, ShapeError, Shared, Split, Untyped};

use super::{count, kill_me, nothing_left, with_crew};

/// Fifty rows of three elements of four bytes, from byte 17 on, in some order.
fn cells(order: Order) -> Cells {
    Cells { at: 17, element: 4, shape: vec![50, 3], order }
}

/// The bytes that a job should leave: the number of the row in each, plus one; what lies around is as it was.
fn expected(order: Order) -> Vec<u8> {
    let row = |byte: usize| match order {
        Order::C => byte / 12,
        Order::F => byte / 4 % 50,
    };
    let byte = |at: usize| at.checked_sub(17).filter(|&byte| byte < 600).map_or(9, |byte| row(byte) as u8 + 1);
    (0..1000).map(byte).collect()
}

fn job<'p>(crew: &'p mut parfork::Crew, guard: bool) -> Job<'p> {
    Job::default().crew(crew).split(Split::rows().of(7)).guard(guard)
}

pub(crate) fn any_number_of_any_elements() {
    with_crew(3, |crew| {
        for (count, order) in [(0, Order::C), (1, Order::F), (5, Order::C), (2, Order::F)] {
            for guard in [false, true] {
                let inputs: Vec<_> =
                    (0..count).map(|n| Shared::from_array(&ndarray::Array1::from_elem(n + 1, 1_u8))).collect();
                let inputs: Vec<_> = inputs.into_iter().map(Result::unwrap).collect();
                let mut bytes = Shared::from_array(&ndarray::Array1::from_elem(1000, 9_u8)).unwrap();
                let mut lent = Untyped::new();
                inputs.iter().for_each(|input| lent.read(input));
                lent.write(&mut bytes, cells(order)).unwrap();
                let sums = job(crew, guard).lend(lent).run_with(u8::from(order == Order::F), |w, is_f, mut part| {
                    let (first, output) = (w.region().range(0).unwrap().start, part.count() - 1);
                    let rows = w.region().range(0).unwrap().len();
                    part.for_each_run(output, |at, run| {
                        for (n, byte) in run.iter_mut().enumerate() {
                            let row = if is_f == 1 { (at + n) / 4 % 50 } else { (at + n) / 12 };
                            assert!((first..first + rows).contains(&row));
                            *byte = row as u8 + 1;
                        }
                    });
                    (0..output)
                        .map(|input| part.bytes(input).iter().map(|&byte| u64::from(byte)).sum::<u64>())
                        .sum::<u64>()
                });
                assert!(sums.unwrap().iter().all(|&sum| sum == (1..=count as u64).sum()));
                assert_eq!(bytes.as_slice(), expected(order), "{count} {order:?} {guard}");
            }
        }
    });
}

pub(crate) fn beside_a_range() {
    with_crew(2, |crew| {
        let table = Shared::from_array(&ndarray::array![3_u8, 1, 4, 1, 5]).unwrap();
        let mut lent = Untyped::new();
        lent.read(&table);
        let found = Job::default().crew(crew).lend((0..5, lent)).run_with((), |_, (), (mine, part)| {
            (part.byte_length(0), mine.map(|n| u32::from(part.bytes(0)[n])).sum::<u32>()).1
        });
        assert_eq!(found.unwrap().sum(), 14);
    });
}

pub(crate) fn the_same_bytes_to_read_and_to_write() {
    with_crew(2, |crew| {
        let bytes = Shared::from_array(&ndarray::Array1::from_elem(1000, 9_u8)).unwrap();
        for _ in 0..3 {
            let mut lent = Untyped::new();
            lent.read(&bytes);
            // SAFETY: nothing refers to these bytes until the job is over; the body uses the address of what it reads.
            unsafe { lent.write_at_address(&bytes, Cells { at: 500, element: 1, shape: vec![500], order: Order::C }) }
                .unwrap();
            job(crew, false)
                .lend(lent)
                .run_with((), |_, (), mut part| {
                    let from = part.address(0);
                    part.for_each_run(1, |at, run| {
                        for (byte, n) in run.iter_mut().zip(at..) {
                            // SAFETY: one of bytes 0 to 500, which nobody writes.
                            *byte = unsafe { from.wrapping_add(n).read() } + 1;
                        }
                    });
                })
                .unwrap();
            assert!(
                bytes.as_slice()[..500].iter().all(|&byte| byte == 9)
                    && bytes.as_slice()[500..].iter().all(|&byte| byte == 10)
            );
        }
    });
}

pub(crate) fn undo_copies_begin_where_the_cells_do() {
    with_crew(2, |crew| {
        for order in [Order::C, Order::F] {
            let mut bytes = Shared::from_array(&ndarray::Array1::from_elem(1000, 9_u8)).unwrap();
            let before = count(0);
            let mut lent = Untyped::new();
            lent.write(&mut bytes, cells(order)).unwrap();
            let job = job(crew, false).retries(1).restore_outputs();
            let done = job.lend(lent).run_with(before, |w, before, mut part| {
                part.for_each_run(0, |_, run| run.iter_mut().for_each(|byte| *byte += 1));
                if w.region().index() == 3 && count(0) == before + 1 {
                    kill_me();
                }
            });
            assert_eq!(done.unwrap().report().deaths.len(), 1);
            assert!(
                bytes.as_slice().iter().enumerate().all(|(at, &byte)| byte == 9 + u8::from((17..617).contains(&at)))
            );
        }
    });
}

pub(crate) fn cells_that_are_not_inside_are_refused() {
    nothing_left(|| {
        let mut bytes = Shared::<u8, _>::zeros(100).unwrap();
        for (at, shape) in [(0, vec![26]), (97, vec![1]), (usize::MAX, vec![1]), (1, vec![usize::MAX / 8])] {
            let refused =
                Untyped::new().write(&mut bytes, Cells { at, element: 4, shape, order: Order::C }).unwrap_err();
            assert!(
                matches!(&refused, Error::Shape(ShapeError::Outside { bytes: 100, .. } | ShapeError::TooLarge { .. })),
                "{refused}"
            );
        }
        Untyped::new().write(&mut bytes, Cells { at: 100, element: 4, shape: vec![0, 3], order: Order::C }).unwrap();
    });
}
