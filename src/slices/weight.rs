//! Uneven rows, shared out by their weight.

/// Where to end each of at most so many runs of rows, so that all have nearly the same weight: ends for
/// [`Job::bounds`](crate::Job::bounds). `sums[i]` is the weight of all rows before row `i`, with one sum more than there are rows, as a
/// CSR matrix has them in its row pointers.
///
/// ```
/// use parfork::slices::by_weight;
/// let row_pointers = [0, 100, 110, 120, 130, 140];
/// assert_eq!(by_weight(&row_pointers, 2), [1, 5]);
/// ```
///
/// # Panics
/// If there are no pieces.
pub fn by_weight(sums: &[u64], pieces: usize) -> Vec<usize> {
    assert!(pieces > 0, "rows are shared out among one piece or more");
    let Some((&whole, rows)) = sums.split_last() else { return Vec::new() };
    let first = rows.first().copied().unwrap_or(whole);
    let share = |piece: usize| first + (u128::from(whole - first) * piece as u128 / pieces as u128) as u64;
    let mut ends: Vec<usize> = (1..pieces)
        .map(|piece| sums.partition_point(|&sum| sum < share(piece)))
        .filter(|&end| end > 0 && end < rows.len())
        .collect();
    ends.extend((!rows.is_empty()).then_some(rows.len()));
    ends.dedup();
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn weights_are_shared_out(rows in prop::collection::vec(0..9_u64, 1..50), pieces in 1..9_usize) {
            let sums: Vec<u64> = std::iter::once(0).chain(rows.iter().scan(0, |sum, row| { *sum += row; Some(*sum) })).collect();
            let ends = by_weight(&sums, pieces);
            prop_assert!(ends.len() <= pieces && ends.is_sorted_by(|one, next| one < next));
            prop_assert_eq!(ends.last(), Some(&rows.len()));
            // No piece has more than its share and what one row has.
            let most = sums[rows.len()] / pieces as u64 + 1 + rows.iter().max().unwrap();
            let mut start = 0;
            for end in ends {
                prop_assert!(sums[end] - sums[start] <= most, "{sums:?}, rows {start} to {end}");
                start = end;
            }
        }
    }

    #[test]
    fn of_no_rows_there_are_no_runs() {
        assert_eq!((by_weight(&[], 3), by_weight(&[5], 3)), (vec![], vec![]));
        assert_eq!(by_weight(&[0, 0, 0], 3), [2], "rows without weight are one run");
    }
}
