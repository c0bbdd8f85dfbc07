//! Tables in a terminal, with as many columns as there is room for.

/// A column: its title, how important it is (0 is always there), whether numbers stand in it, and what does.
pub struct Column<'c, R> {
    title: &'static str,
    rank: u8,
    right: bool,
    cell: Box<dyn Fn(&R) -> String + 'c>,
}

/// A column of words.
pub fn left<'c, R>(title: &'static str, rank: u8, cell: impl Fn(&R) -> String + 'c) -> Column<'c, R> {
    Column { title, rank, right: false, cell: Box::new(cell) }
}

/// A column of numbers.
pub fn right<'c, R>(title: &'static str, rank: u8, cell: impl Fn(&R) -> String + 'c) -> Column<'c, R> {
    Column { title, rank, right: true, cell: Box::new(cell) }
}

/// Lines of a table, the titles first, none longer than `width` as long as the most important columns fit.
pub fn lines<R>(rows: &[R], mut columns: Vec<Column<'_, R>>, width: usize) -> Vec<String> {
    let mut cells: Vec<Vec<String>> =
        columns.iter().map(|column| rows.iter().map(|row| (column.cell)(row)).collect()).collect();
    let wide = |column: &Column<'_, R>, cells: &[String]| {
        cells.iter().map(|cell| cell.chars().count()).chain([column.title.len()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = columns.iter().zip(&cells).map(|(column, cells)| wide(column, cells)).collect();
    while widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1) > width {
        // Of the least important the last.
        let Some(at) = (0..columns.len()).rev().max_by_key(|&at| columns[at].rank) else { break };
        if columns[at].rank == 0 {
            break;
        }
        columns.remove(at);
        cells.remove(at);
        widths.remove(at);
    }
    let line = |of: &dyn Fn(usize) -> String| {
        let padded = columns.iter().enumerate().map(|(at, column)| {
            let width = widths[at];
            if column.right { format!("{:>width$}", of(at)) } else { format!("{:<width$}", of(at)) }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let titles = line(&|at| columns[at].title.to_owned());
    let rows = (0..rows.len()).map(|row| line(&|at| cells[at][row].clone()));
    std::iter::once(titles).chain(rows).collect()
}
