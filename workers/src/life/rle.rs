//! Patterns as text: the run length encoding that programs for Conway's Life write (`.rle`).
//!
//! Lines with `#` are comments; one says the size, `x = 3, y = 3`; then `b` is a dead cell, `o` a living one, `$` the end of a row, each
//! as often as the number before it says, and `!` ends it.

use ndarray::Array2;

/// The most cells of a pattern: a text of a few bytes can ask for any number.
const MOST: usize = 1 << 32;

/// The pattern that a text describes; or what is wrong with it.
pub(super) fn pattern(text: &str) -> Result<Array2<u8>, String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let head = lines.next().ok_or("it has no line with its size, as in x = 3, y = 3")?;
    let length = |name: &str| {
        let mut parts = head.split(',').filter_map(|part| part.split_once('='));
        parts.find(|(key, _)| key.trim() == name).and_then(|(_, value)| value.trim().parse::<usize>().ok())
    };
    let size = length("y").zip(length("x")).ok_or_else(|| format!("`{head}` is no size, as in x = 3, y = 3"))?;
    if size.0.checked_mul(size.1).is_none_or(|cells| cells > MOST) {
        return Err(format!("{}x{} cells are too many", size.0, size.1));
    }
    let mut cells = Array2::zeros(size);
    let (mut row, mut col, mut digits) = (0_usize, 0_usize, String::new());
    for letter in lines.flat_map(str::chars) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        if letter.is_whitespace() {
            continue;
        }
        let times = match digits.as_str() {
            "" => 1,
            number => number.parse::<usize>().map_err(|_| format!("{number} is too large a number"))?,
        };
        digits.clear();
        match letter {
            '!' => return Ok(cells),
            '$' => (row, col) = (row.saturating_add(times), 0),
            'b' => col = col.saturating_add(times),
            'o' => {
                let end = col.saturating_add(times);
                if row >= size.0 || end > size.1 {
                    return Err(format!(
                        "row {row} has cells up to column {end}, and the size is x = {}, y = {}",
                        size.1, size.0
                    ));
                }
                cells.slice_mut(ndarray::s![row, col..end]).fill(1);
                col = end;
            }
            other => return Err(format!("`{other}` is none of b, o, $, ! and digits")),
        }
    }
    Err("it does not end with `!`".to_owned())
}
