//! `parfork plan`: who would get which slice, as a table, as characters, as SVG; and how long it would take under each schedule.

pub mod args;

mod animate;
mod compare;
mod cost;

use std::fmt::Write as _;
use std::path::PathBuf;

use parfork::formats::Address;
use parfork::slices::{Grid, PlannedSlice, plan};
use parfork::{MOST_WORKERS, Schedule, Split, cpus};
use serde_json::{Value, json};

use args::Plan;
use compare::Comparison;
use cost::Cost;

use crate::drawing::Drawing;
use crate::failure::Failure;
use crate::files::{self, FileUses};
use crate::job::SCHEMA;
use crate::output;

/// Slices beyond which a table or a drawing of each is of no use to anybody, and takes long.
const MOST_SLICES: usize = 1 << 20;

/// Works out the plan and shows it.
pub fn run(args: Plan) -> Result<(), Failure> {
    let shape = &args.shape.0;
    // A drawing on standard output is all there is.
    let drawing_alone = args.output.as_deref().is_some_and(|path| Address::of(path) == Address::Standard);
    let prints = args.json.then_some("the report of --json");
    let inputs = args.cost.as_ref().and_then(Cost::file).into_iter().collect();
    FileUses { inputs, others: args.output.iter().map(PathBuf::as_path).collect(), prints, ..FileUses::default() }
        .keep_apart()?;
    let cells = shape.iter().try_fold(1_usize, |cells, &axis| cells.checked_mul(axis));
    let cells = cells
        .ok_or_else(|| Failure::usage(format!("shape {shape:?} has more than 2^64 cells. Give a smaller one.")))?;
    let halo = args.halo.of(shape.len()).map_err(Failure::usage)?;
    // Axes beyond those that can be cut are whole in any case.
    let halo = halo.into_iter().take(Split::MOST_AXES).enumerate();
    let split = halo.fold(args.split, |split, (axis, cells)| split.halo_of(axis, cells));
    let grid = Grid::new(split, shape).and_then(|grid| grid.with_bounds(&args.bounds)).map_err(parfork::Error::from)?;
    if grid.slices() > MOST_SLICES {
        let slices = grid.slices();
        return Err(Failure::usage(format!(
            "{slices} slices are too many to show (at most {MOST_SLICES}). Make them larger."
        )));
    }
    let asked = args.workers.map_or_else(cpus, |workers| workers as usize);
    let simulates = args.cost.is_some() || args.animate;
    if asked > MOST_WORKERS && !simulates {
        return Err(parfork::Error::Workers { asked, most: MOST_WORKERS }.into());
    }
    let workers = asked.min(grid.slices()).max(1);
    let cost = args.cost.as_ref().unwrap_or(&Cost::Uniform);
    let costs = cost.of(&grid)?;
    let planned = plan(args.schedule, &costs, workers);
    if let Some(path) = &args.output {
        let ending = path.extension().filter(|_| Address::of(path) != Address::Standard);
        if ending.is_some_and(|ending| !ending.eq_ignore_ascii_case("svg")) {
            let path = path.display();
            return Err(Failure::usage(format!(
                "plans are drawn as SVG, and {path} is called otherwise. Name a .svg."
            )));
        }
        files::write(files::open(path, false)?, &Drawing::of(&grid, &planned).svg(workers))?;
        if drawing_alone {
            return Ok(());
        }
    }
    if simulates {
        let what = what_is_dealt(&args, &grid, cost, workers);
        let comparison = Comparison::of(what, cost.unit(), costs, workers, args.schedule);
        return match (args.json, args.animate) {
            (true, _) => {
                let mut json = to_json(&args, &grid, &planned);
                json["cost"] = json!(cost.to_string());
                json["comparison"] = comparison.to_json();
                output::print_json(&json)
            }
            (false, true) => animate::show(&comparison),
            (false, false) => output::print(&comparison.table()),
        };
    }
    if args.json {
        return output::print_json(&to_json(&args, &grid, &planned));
    }
    let shares: Vec<Share> = (0..workers).map(|rank| Share::of(&grid, &planned, rank)).collect();
    output::print(&text(&args, &grid, cells, &shares, &Drawing::of(&grid, &planned)))
}

/// A line that says what a simulation is of.
fn what_is_dealt(args: &Plan, grid: &Grid, cost: &Cost, workers: usize) -> String {
    let shape: Vec<String> = grid.shape().iter().map(usize::to_string).collect();
    let workers = output::count(workers, "virtual worker");
    let slices = output::count(grid.slices(), "slice");
    format!("{} by {}, cost {cost}: {slices}, {workers} (a simulation)", shape.join("x"), args.split)
}

/// One worker's share of a plan.
struct Share {
    slices: Vec<usize>,
    /// Its own, over the axes that are cut.
    cells: usize,
    /// Those it reads besides.
    halo: usize,
}

impl Share {
    fn of(grid: &Grid, planned: &[PlannedSlice], rank: usize) -> Self {
        let slices: Vec<usize> = planned.iter().filter(|one| one.rank == rank).map(|one| one.slice).collect();
        let sum = |count: &dyn Fn(usize) -> usize| slices.iter().map(|&slice| count(slice)).sum();
        let cells: usize = sum(&|slice| cost::cells(&grid.region(slice)));
        let all: usize =
            sum(&|slice| grid.region(slice).ranges_with_halo().map(|(_, range)| range.len()).product::<usize>());
        Self { slices, cells, halo: all - cells }
    }
}

fn text(args: &Plan, grid: &Grid, cells: usize, shares: &[Share], drawing: &Drawing) -> String {
    let mut text = String::new();
    let slices = grid.slices();
    let _ = writeln!(
        text,
        "{:?}, split {} into {}, schedule {}, {}{}",
        grid.shape(),
        args.split,
        output::count(slices, "slice"),
        args.schedule,
        output::count(shares.len(), "worker"),
        if (shares.len() as u64) < args.workers.unwrap_or(0).into() { " (the others would have none)" } else { "" },
    );
    if args.schedule != Schedule::Static {
        let _ = writeln!(text, "dealt as if every cell took equally long; a real run gives slices to whoever is free");
    }
    let cut: usize = shares.iter().map(|share| share.cells).sum();
    let whole = cells.checked_div(cut).unwrap_or(0);
    let _ = writeln!(text, "\nworker     cells  share  halo cells  slices");
    for (rank, share) in shares.iter().enumerate() {
        let percent = 100.0 * share.cells as f64 / cut.max(1) as f64;
        let list = shorten(output::runs(&share.slices));
        let (own, halo) = (share.cells * whole, share.halo * whole);
        let _ = writeln!(text, "{} {rank:<4} {own:>9} {percent:>5.1}%  {halo:>10}  {list}", Drawing::letter(rank));
    }
    let _ = write!(text, "\n{}", drawing.text());
    text
}

/// Keeps a long list of slices on one line.
fn shorten(list: String) -> String {
    const MOST: usize = 60;
    match list.char_indices().nth(MOST) {
        Some(_) => {
            let end = list[..MOST].rfind(',').unwrap_or(MOST);
            format!("{},... ({} runs)", &list[..end], list.split(',').count())
        }
        None => list,
    }
}

fn to_json(args: &Plan, grid: &Grid, planned: &[PlannedSlice]) -> Value {
    let slices: Vec<Value> = planned
        .iter()
        .map(|one| {
            let region = grid.region(one.slice);
            let pairs = |ranges: &mut dyn Iterator<Item = (usize, std::ops::Range<usize>)>| -> Vec<Value> {
                ranges.map(|(axis, range)| json!({ "axis": axis, "start": range.start, "end": range.end })).collect()
            };
            json!({
                "slice": one.slice,
                "worker": one.rank,
                "writes": pairs(&mut region.ranges()),
                "reads": pairs(&mut region.ranges_with_halo()),
            })
        })
        .collect();
    json!({
        "schema": SCHEMA,
        "command": "plan",
        "shape": grid.shape(),
        "split": args.split.to_string(),
        "bounds": args.bounds,
        "schedule": args.schedule.to_string(),
        "halo": args.halo.to_json(),
        "slices": slices,
    })
}
