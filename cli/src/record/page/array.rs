//! The array seen from above, each slice in the colour of the worker that did it, with its number.
//!
//! Some hundreds of slices are drawn one by one. Of more, a raster of the owners is drawn, as few rectangles as that has.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use super::super::Record;
use super::super::units::count;
use super::{COLOURS, Text};
use parfork::slices::Region;

/// Beyond this slices are not drawn one by one.
const MOST_SLICES: usize = 600;

/// Points of the raster along the longer side: finer than can be told apart by eye on a phone.
const RASTER: usize = 120;

/// The size of the paper, in units of which a phone's screen has about as many.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 400.0;
const LEAST: f64 = 60.0;

/// Pixels of a wide screen for a unit.
const SCALE: f64 = 1.6;

/// Who has done a slice, and whether it had been tried before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct CellOwner {
    rank: Option<usize>,
    retried: bool,
}

/// Some rows and columns of one owner, out of so many.
struct Block {
    owner: CellOwner,
    rows: Range<usize>,
    cols: Range<usize>,
    of: (usize, usize),
}

/// How the array lies on the paper.
struct ArrayLayout<'r> {
    record: &'r Record<'r>,
    owners: Vec<CellOwner>,
    /// The axes that go down and across, and their lengths; an array of one axis goes across.
    down: Option<usize>,
    across: Option<usize>,
    rows: usize,
    cols: usize,
    width: f64,
    height: f64,
}

/// Writes the figure.
pub(super) fn write(record: &Record<'_>, html: &mut String) {
    let layout = ArrayLayout::new(record);
    let (width, height) = (layout.width, layout.height);
    let slices = record.report.grid.slices();
    let _ = writeln!(
        html,
        "<figure><svg class=\"array\" style=\"max-width:{:.0}px\" viewBox=\"-1 -1 {:.1} {:.1}\" role=\"img\" aria-label=\"The array in {}, \
         by worker\">",
        width * SCALE,
        width + 2.0,
        height + 2.0,
        count(slices, "slice"),
    );
    let numbered = slices <= MOST_SLICES && layout.each_slice(html);
    if !numbered {
        layout.raster(html, slices > MOST_SLICES);
    }
    let _ = writeln!(
        html,
        "<rect class=\"frame\" x=\"0\" y=\"0\" width=\"{width:.1}\" height=\"{height:.1}\"></rect></svg>"
    );
    let axes = |axis: Option<usize>, length: usize, way: &str| axis.map(|axis| format!("axis {axis} {way} ({length})"));
    let names: Vec<String> = [axes(layout.down, layout.rows, "down"), axes(layout.across, layout.cols, "across")]
        .into_iter()
        .flatten()
        .collect();
    let shape: Vec<String> = record.report.grid.shape().iter().map(ToString::to_string).collect();
    let drawn = if slices > MOST_SLICES { "; drawn by its owners, without the edges of slices" } else { "" };
    let retried = record.attempts.iter().any(|attempt| attempt.number > 1);
    let again = if retried { "; with a star and a dashed edge: tried again" } else { "" };
    let _ = writeln!(
        html,
        "<figcaption>Shape {}: {}. {}{drawn}. Numbers are workers{again}.</figcaption></figure>",
        Text(&shape.join("x")),
        names.join(", "),
        count(slices, "slice"),
    );
}

impl<'r> ArrayLayout<'r> {
    fn new(record: &'r Record<'r>) -> Self {
        let mut owners = vec![CellOwner { rank: None, retried: false }; record.report.grid.slices()];
        for attempt in &record.attempts {
            let owner = &mut owners[attempt.slice];
            owner.retried |= attempt.number > 1;
            owner.rank = if attempt.done { Some(attempt.worker) } else { owner.rank };
        }
        let shape = record.report.grid.shape();
        // Axes from 2 on have no place on paper, unless one of them is what is cut.
        let first = record.report.grid.cut_axes().next().filter(|&axis| axis > 1).unwrap_or(0);
        let flat = shape.len() < 2 || first > 1;
        let (down, across) = if flat { (None, Some(first)) } else { (Some(0), Some(1)) };
        let length = |axis: Option<usize>| axis.and_then(|axis| shape.get(axis)).copied().unwrap_or(1);
        let (rows, cols) = (length(down), length(across));
        let scale = (WIDTH / cols.max(1) as f64).min(HEIGHT / rows.max(1) as f64);
        let least = |length: usize, most: f64| (length as f64 * scale).clamp(LEAST.min(most), most);
        Self { record, owners, down, across, rows, cols, width: least(cols, WIDTH), height: least(rows, HEIGHT) }
    }

    /// Draws all slices, each with its number if there is room for those; whether there is.
    fn each_slice(&self, html: &mut String) -> bool {
        let mut numbered = true;
        for region in self.record.report.grid.regions() {
            let cells = |axis: Option<usize>, all: usize| axis.and_then(|axis| region.range(axis)).unwrap_or(0..all);
            let (rows, cols) = (cells(self.down, self.rows), cells(self.across, self.cols));
            let block = Block { owner: self.owners[region.index()], rows, cols, of: (self.rows, self.cols) };
            self.rect(html, &block, Some(&region));
            let [_, _, w, h] = self.place(&block);
            // The first of them are the largest.
            numbered &= region.index() > 0 || (w > 18.0 && h > 11.0);
            if numbered {
                self.number(html, &block);
            }
        }
        numbered
    }

    /// Who owns the cells at the middles of a raster: rectangles, if they are to be drawn, and numbers where there is room.
    fn raster(&self, html: &mut String, drawn: bool) {
        let (lines, columns) = (self.rows.clamp(1, RASTER), self.cols.clamp(1, RASTER));
        let middle = |place: usize, places: usize, length: usize| (2 * place + 1) * length / (2 * places);
        let axes = self.record.report.grid.shape().len();
        let owner = |line: usize, column: usize| {
            let mut cell = vec![0; axes.max(1)];
            for (axis, at) in
                [(self.down, middle(line, lines, self.rows)), (self.across, middle(column, columns, self.cols))]
            {
                axis.into_iter().for_each(|axis| cell[axis] = at);
            }
            self.record
                .report
                .grid
                .slice_of(&cell)
                .map_or(CellOwner { rank: None, retried: false }, |slice| self.owners[slice])
        };
        // Runs of a line that are also in the line before are one rectangle with those.
        let mut open: BTreeMap<(usize, usize), (usize, CellOwner)> = BTreeMap::new();
        for line in 0..=lines {
            let mut runs = BTreeMap::new();
            let mut start = 0;
            while line < lines && start < columns {
                let own = CellOwner { retried: false, ..owner(line, start) };
                let end = (start..columns).find(|&at| owner(line, at).rank != own.rank).unwrap_or(columns);
                runs.insert((start, end), own);
                start = end;
            }
            for (run, (since, own)) in std::mem::take(&mut open) {
                if runs.get(&run) == Some(&own) {
                    runs.remove(&run);
                    open.insert(run, (since, own));
                } else {
                    let block = Block { owner: own, rows: since..line, cols: run.0..run.1, of: (lines, columns) };
                    if drawn {
                        self.rect(html, &block, None);
                    }
                    self.number(html, &block);
                }
            }
            open.extend(runs.into_iter().map(|(run, own)| (run, (line, own))));
        }
    }

    /// Where a block is, and how large.
    fn place(&self, block: &Block) -> [f64; 4] {
        let place = |range: &Range<usize>, all: usize, length: f64| {
            let scale = length / all.max(1) as f64;
            (range.start as f64 * scale, range.len() as f64 * scale)
        };
        let ((y, h), (x, w)) =
            (place(&block.rows, block.of.0, self.height), place(&block.cols, block.of.1, self.width));
        [x, y, w, h]
    }

    /// Draws a block, which is a slice, or several of one worker.
    fn rect(&self, html: &mut String, block: &Block, slice: Option<&Region>) {
        let ([x, y, w, h], owner) = (self.place(block), block.owner);
        let class = owner.rank.map_or("none".to_owned(), |rank| format!("w{}", rank % COLOURS));
        let cell = match slice {
            Some(_) if owner.retried => " cell retried",
            Some(_) if w > 3.0 && h > 3.0 => " cell",
            _ => "",
        };
        let _ =
            write!(html, "<rect class=\"{class}{cell}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\">");
        if let Some(region) = slice {
            let who = owner.rank.map_or("nobody".to_owned(), |rank| format!("worker {rank}"));
            let again = if owner.retried { ", tried again" } else { "" };
            let _ = write!(html, "<title>slice {} {region}: {who}{again}</title>", region.index());
        }
        html.push_str("</rect>\n");
    }

    /// Writes the worker's number on a block, if there is room.
    fn number(&self, html: &mut String, block: &Block) {
        let [x, y, w, h] = self.place(block);
        let Some(rank) = block.owner.rank else { return };
        let digits = 1 + rank.checked_ilog10().unwrap_or(0);
        if h > 11.0 && w > f64::from(6 * digits + 6) {
            let (x, y, colour) = (x + w / 2.0, y + h / 2.0, rank % COLOURS);
            let again = if block.owner.retried { "*" } else { "" };
            let _ = writeln!(html, "<text class=\"w{colour}\" x=\"{x:.1}\" y=\"{y:.1}\">{rank}{again}</text>");
        }
    }
}
