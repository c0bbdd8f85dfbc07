//! A plan as a picture of the array: each slice in the colour, or letter, of its worker.

use std::fmt::Write as _;
use std::ops::Range;

use parfork::slices::{Grid, PlannedSlice};

/// Colours that people with any colour vision tell apart (Okabe and Ito 2008), the darkest left out.
const COLOURS: [&str; 7] = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#0072b2", "#d55e00"];

/// The array seen from above: down is the first axis that is cut (or axis 0), across is axis 1.
pub struct Drawing {
    rows: usize,
    cols: usize,
    boxes: Vec<Box>,
    /// Which axis goes down.
    down: usize,
}

struct Box {
    slice: usize,
    rank: usize,
    rows: Range<usize>,
    cols: Range<usize>,
    halo: (Range<usize>, Range<usize>),
}

impl Drawing {
    /// Draws a plan.
    pub fn of(grid: &Grid, planned: &[PlannedSlice]) -> Self {
        let shape = grid.shape();
        let length = |axis: usize| shape.get(axis).copied().unwrap_or(1);
        // Axes from 2 on have no place on paper, unless one of them is what is cut.
        let down = grid.cut_axes().next().filter(|&axis| axis > 1).unwrap_or(0);
        let across = if down == 0 { Some(1) } else { None };
        let (rows, cols) = (length(down), across.map_or(1, length));
        let boxes = planned.iter().map(|one| {
            let region = grid.region(one.slice);
            let outer = |axis: usize| region.range_with_halo(axis);
            let cells = |range: Option<Range<usize>>, all: usize| range.unwrap_or(0..all);
            Box {
                slice: one.slice,
                rank: one.rank,
                rows: cells(region.range(down), rows),
                cols: cells(across.and_then(|axis| region.range(axis)), cols),
                halo: (cells(outer(down), rows), cells(across.and_then(outer), cols)),
            }
        });
        Self { rows, cols, boxes: boxes.collect(), down }
    }

    /// The letter that stands for a worker.
    pub fn letter(rank: usize) -> char {
        const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        char::from(LETTERS[rank % LETTERS.len()])
    }

    /// Drawn with letters, in at most 64 columns and 24 lines. A character stands for the slice at its middle.
    pub fn text(&self) -> String {
        if self.boxes.is_empty() {
            return "(nothing to draw: the array is empty)\n".to_owned();
        }
        let (lines, columns) = (self.rows.clamp(1, 24), self.cols.clamp(1, 64));
        let mut paper = vec![vec!['?'; columns]; lines];
        let sample = |place: usize, places: usize, length: usize| (2 * place + 1) * length.max(1) / (2 * places);
        for (line, row) in paper.iter_mut().enumerate().map(|(line, row)| (sample(line, lines, self.rows), row)) {
            for piece in self.boxes.iter().filter(|piece| piece.rows.contains(&line)) {
                // Places whose middle is in the piece: the samples are ascending.
                let place = |cell: usize| {
                    (0..columns).collect::<Vec<_>>().partition_point(|&p| sample(p, columns, self.cols) < cell)
                };
                row[place(piece.cols.start)..place(piece.cols.end)].fill(Self::letter(piece.rank));
            }
        }
        let mut text = format!("axis {} down ({})", self.down, self.rows);
        if self.cols > 1 {
            let _ = write!(text, ", axis 1 across ({})", self.cols);
        }
        text.push('\n');
        for line in paper {
            text.extend(["  ".chars().collect::<String>(), line.into_iter().collect(), "\n".to_owned()]);
        }
        text
    }

    /// Drawn in colour, 640 wide at most, with a legend; of one slice in the middle the halo is outlined.
    pub fn svg(&self, workers: usize) -> String {
        let scale = (640.0 / self.cols.max(1) as f64).min(480.0 / self.rows.max(1) as f64);
        // A single column is drawn as a bar that can be seen.
        let (across, down) = if self.cols == 1 { (160.0, scale) } else { (scale, scale) };
        let (width, height) = (self.cols as f64 * across, self.rows as f64 * down);
        let legend = 30.0 + 18.0 * workers.div_ceil(8) as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-10 -10 {:.0} {:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect x=\"-10\" y=\"-10\" width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
            width.max(640.0) + 20.0,
            height + legend + 10.0
        );
        let place = |rows: &Range<usize>, cols: &Range<usize>| {
            let (x, y) = (cols.start as f64 * across, rows.start as f64 * down);
            let (w, h) = (cols.len() as f64 * across, rows.len() as f64 * down);
            format!("x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\"")
        };
        for piece in &self.boxes {
            let colour = COLOURS[piece.rank % COLOURS.len()];
            let cells = place(&piece.rows, &piece.cols);
            let _ = writeln!(
                svg,
                "<rect {cells} fill=\"{colour}\" stroke=\"white\" stroke-width=\"0.7\"><title>slice {} of worker {}: \
                 rows {}..{}, columns {}..{}</title></rect>",
                piece.slice, piece.rank, piece.rows.start, piece.rows.end, piece.cols.start, piece.cols.end
            );
            let (w, h) = (piece.cols.len() as f64 * across, piece.rows.len() as f64 * down);
            if w > 22.0 && h > 13.0 {
                let (x, y) = (piece.cols.start as f64 * across + w / 2.0, piece.rows.start as f64 * down + h / 2.0);
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    y + 4.0,
                    piece.rank
                );
            }
        }
        if let Some(piece) =
            self.boxes.get(self.boxes.len() / 2).filter(|piece| piece.halo != (piece.rows.clone(), piece.cols.clone()))
        {
            let cells = place(&piece.halo.0, &piece.halo.1);
            let _ = writeln!(
                svg,
                "<rect {cells} fill=\"none\" stroke=\"black\" stroke-dasharray=\"4 2\"><title>what slice {} reads</title></rect>",
                piece.slice
            );
        }
        for rank in 0..workers {
            let (x, y) = ((rank % 8) as f64 * 80.0, height + 12.0 + (rank / 8) as f64 * 18.0);
            let colour = COLOURS[rank % COLOURS.len()];
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"{}\">worker {rank}</text>",
                x + 16.0,
                y + 10.5
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}
