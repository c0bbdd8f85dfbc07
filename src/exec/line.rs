//! The line protocol between a worker and the program that it watches over: what is said, and how it is read.
//!
//! ```text
//! order  = ("slice" / "step " number) 1*(" " number " " number) LF     ; start and end of each axis that is cut, ascending
//! answer = ("done" *(" " number " " number) / "failed" [" " why]) LF
//! number = 1*20DIGIT
//! ```
//!
//! Pure functions on bytes, which take any bytes: docs/protocol.md is what programs are promised.

use std::fmt;
use std::ops::Range;

pub use crate::error::ProtocolError;
use crate::slices::Region;

/// The longest line that a program may write, its newline included, in bytes.
pub const LONGEST: usize = 4096;

/// Which cells a slice is: a range of each axis that is cut, in the order of axes.
pub type Cells = Vec<Range<usize>>;

/// What a program answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The slice is done; which one, if it says so.
    Done(Option<Cells>),
    /// The slice cannot be done, for this reason.
    Failed(String),
}

/// The cells of a region as lines name them.
pub fn cells(region: &Region) -> Cells {
    region.ranges().map(|(_, range)| range).collect()
}

/// The order to work on these cells, with its newline.
pub fn order(cells: &[Range<usize>]) -> String {
    format!("slice{}\n", Numbers(cells))
}

/// The order to do a step on these cells, with its newline.
pub fn step_order(step: u32, cells: &[Range<usize>]) -> String {
    format!("step {step}{}\n", Numbers(cells))
}

/// Reads an order, without its newline.
///
/// # Errors
/// If it is none.
pub fn parse_order(line: &[u8]) -> Result<Cells, ProtocolError> {
    let order = line.strip_prefix(b"slice ").and_then(ranges).filter(|cells| !cells.is_empty());
    order.ok_or_else(|| ProtocolError { read: line.to_owned(), expected: "`slice START END`".to_owned() })
}

/// Reads an order to do a step, without its newline: which step, of which cells.
///
/// # Errors
/// If it is none.
pub fn parse_step_order(line: &[u8]) -> Result<(u32, Cells), ProtocolError> {
    let order = line.strip_prefix(b"step ").and_then(|rest| {
        let end = rest.iter().position(|&byte| byte == b' ')?;
        let step = number(&rest[..end])?.try_into().ok()?;
        Some((step, ranges(&rest[end + 1..]).filter(|cells| !cells.is_empty())?))
    });
    order.ok_or_else(|| ProtocolError { read: line.to_owned(), expected: "`step K START END`".to_owned() })
}

/// Reads an answer, without its newline.
///
/// ```
/// use parfork::exec::line::{Answer, parse_answer};
/// assert_eq!(parse_answer(b"done"), Ok(Answer::Done(None)));
/// assert_eq!(parse_answer(b"done 512 640"), Ok(Answer::Done(Some(vec![512..640]))));
/// assert_eq!(parse_answer(b"failed no such column"), Ok(Answer::Failed("no such column".to_owned())));
/// assert!(parse_answer(b"ok").is_err());
/// ```
///
/// # Errors
/// If it is none.
pub fn parse_answer(line: &[u8]) -> Result<Answer, ProtocolError> {
    let answer = match line {
        b"done" => Some(Answer::Done(None)),
        b"failed" => Some(Answer::Failed(String::new())),
        _ => match (line.strip_prefix(b"done "), line.strip_prefix(b"failed ")) {
            (Some(numbers), _) => ranges(numbers).map(|cells| Answer::Done(Some(cells))),
            (_, Some(why)) => Some(Answer::Failed(String::from_utf8_lossy(why).trim().to_owned())),
            _ => None,
        },
    };
    answer.ok_or_else(|| ProtocolError { read: line.to_owned(), expected: "`done` or `failed WHY`".to_owned() })
}

/// Reads the answer to an order for these cells: that they are done, or why not.
///
/// # Errors
/// If it is no answer, or one to another order.
pub fn parse_answer_to(line: &[u8], given: &[Range<usize>]) -> Result<Result<(), String>, ProtocolError> {
    match parse_answer(line)? {
        Answer::Failed(why) => Ok(Err(why)),
        Answer::Done(cells) if cells.as_ref().is_none_or(|cells| cells == given) => Ok(Ok(())),
        Answer::Done(_) => Err(ProtocolError { read: line.to_owned(), expected: format!("`done{}`", Numbers(given)) }),
    }
}

/// Pairs of numbers with single spaces between them, each a range; at most as many as an array has axes that are cut.
fn ranges(text: &[u8]) -> Option<Cells> {
    const AXES: usize = 4;
    let numbers: Option<Vec<usize>> = text.split(|&byte| byte == b' ').take(2 * AXES + 1).map(number).collect();
    let numbers = numbers.filter(|numbers| numbers.len() % 2 == 0 && numbers.len() <= 2 * AXES)?;
    Some(numbers.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect())
}

fn number(digits: &[u8]) -> Option<usize> {
    let plain = (1..=20).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

/// Ranges as the protocol writes them, each with a space before it.
struct Numbers<'n>(&'n [Range<usize>]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|range| write!(f, " {} {}", range.start, range.end))
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a slice of one axis is one range")]
mod tests {
    use super::*;
    use crate::fuzzing::Rng;

    #[test]
    fn orders_and_answers_are_read_as_they_are_written() {
        for cells in [vec![0..0], vec![512..640], vec![0..1, usize::MAX - 1..usize::MAX]] {
            let text = order(&cells);
            let line = text.strip_suffix('\n').unwrap();
            assert_eq!(parse_order(line.as_bytes()).as_ref(), Ok(&cells));
            assert_eq!(parse_answer_to(line.replace("slice", "done").as_bytes(), &cells), Ok(Ok(())));
            assert_eq!(parse_answer_to(b"done", &cells), Ok(Ok(())));
        }
        assert_eq!(order(&[512..640]), "slice 512 640\n");
        let cells = vec![0..1, 7..usize::MAX];
        assert_eq!(parse_step_order(step_order(9, &cells).trim_end().as_bytes()), Ok((9, cells)));
        for line in ["step 1", "step 1 ", "step 1 2", "step 4294967296 0 1", "step -1 0 1", "slice 0 1", "step 1  0 1"]
        {
            let nonsense = parse_step_order(line.as_bytes()).unwrap_err();
            assert!(nonsense.to_string().ends_with("where `step K START END` was expected"), "{nonsense}");
        }
        assert_eq!(parse_answer(b"failed"), Ok(Answer::Failed(String::new())));
        assert_eq!(parse_answer(b"failed  \xffno "), Ok(Answer::Failed("\u{fffd}no".to_owned())));
    }

    #[test]
    fn other_lines_are_shown_and_said_what_they_should_have_been() {
        for line in [
            "",
            "Done",
            "done ",
            " done",
            "done 1",
            "done 1 2 3",
            "done 1  2",
            "done 1 2 ",
            "done -1 2",
            "done +1 2",
            "done 1 2\r",
            "done 1 2 3 4 5 6 7 8 9 10",
            "done 99999999999999999999 1",
            "done 000000000000000000001 2",
            "failedwhy",
            "donefailed",
            "slice 0 1",
        ] {
            let nonsense = parse_answer(line.as_bytes()).unwrap_err();
            assert_eq!(nonsense.read, line.as_bytes());
            assert!(nonsense.to_string().ends_with("where `done` or `failed WHY` was expected"), "{nonsense}");
        }
        let other = parse_answer_to(b"done 0 3", &[1..3]).unwrap_err();
        assert_eq!(other.to_string(), "\"done 0 3\" where `done 1 3` was expected");
        let long = ProtocolError { read: b"\x1b[31m".repeat(100), expected: "x".to_owned() }.to_string();
        assert!(long.starts_with(r#""\x1b[31m\x1b"#) && long.len() < 120, "{long}");
    }

    /// Lines of the protocol with bytes changed, dropped, doubled and cut: none panics, and what is read means what it says.
    #[test]
    fn mutated_lines_are_read_or_refused() {
        let seeds: [&[u8]; 6] =
            [b"done", b"done 512 640", b"done 0 16 32 48", b"failed why not", b"slice 512 640", b"slice 0 1 2 3"];
        let mut rng = Rng::new(6);
        let mut below = |most: usize| rng.below(most);
        let (mut read, mut refused) = (0, 0);
        for round in 0..200_000 {
            let mut line = seeds[round % seeds.len()].to_vec();
            for _ in 0..=below(4) {
                let at = below(line.len() + 1);
                match below(5) {
                    0 => line.insert(at, below(256) as u8),
                    1 => line.truncate(at),
                    2 if at < line.len() => line[at] = b" 0123456789dnslicefa\n\x00"[below(22)],
                    3 if at < line.len() => drop(line.remove(at)),
                    _ => line.extend_from_within(at..),
                }
            }
            match (parse_answer(&line), parse_order(&line)) {
                (Ok(Answer::Done(Some(cells))), Err(_)) => {
                    assert!(!cells.is_empty() && cells.len() <= 4);
                    // Leading zeros are the only other way to write a number.
                    let again = format!("done{}", Numbers(&cells));
                    assert_eq!(parse_answer(again.as_bytes()), Ok(Answer::Done(Some(cells))));
                    read += 1;
                }
                (Ok(_), Err(_)) => read += 1,
                (Err(_), Ok(cells)) => {
                    assert_eq!(parse_order(order(&cells).trim_end().as_bytes()), Ok(cells));
                    read += 1;
                }
                (Err(one), Err(_)) => {
                    assert!(one.to_string().len() < 200);
                    refused += 1;
                }
                both => panic!("an order and an answer at once: {both:?}"),
            }
        }
        assert!(read > 1000 && refused > 1000, "{read} read, {refused} refused");
    }
}
