//! Blocks of samples whose rows become columns, in vectors.

/// Rows and columns of a block.
pub(super) const SIDE: usize = 16;

/// Rows to columns: interleaving the upper half of the block with the lower one moves the highest bit of each
/// element's number to the lowest place, and four times that exchange row and column.
#[inline(always)]
pub(super) fn transpose<T: Copy>(block: &[[T; SIDE]; SIDE]) -> [[T; SIDE]; SIDE] {
    let mut block = *block;
    for _ in 0..SIDE.ilog2() {
        let mut next = block;
        let (upper, lower) = block.as_flattened().split_at(SIDE * SIDE / 2);
        for ((pair, upper), lower) in next.as_flattened_mut().as_chunks_mut::<2>().0.iter_mut().zip(upper).zip(lower) {
            *pair = [*upper, *lower];
        }
        block = next;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::{SIDE, transpose};

    #[test]
    fn rows_become_columns() {
        let block: [[u8; SIDE]; SIDE] = std::array::from_fn(|y| std::array::from_fn(|x| (16 * y + x) as u8));
        let turned = transpose(&block);
        assert!((0..SIDE).all(|y| (0..SIDE).all(|x| turned[x][y] == block[y][x])));
    }
}
