//! `parfork plan` with work that is not even: what the schedules make of it, as a table, as JSON, as a film.

use ndarray::{Array1, Array2};
use parfork::formats::npy;
use serde_json::Value;

use crate::fixture::Fixture;
use crate::terminal::Terminal;

fn json(fixture: &Fixture, line: &str) -> Value {
    serde_json::from_str(&fixture.ok(line)).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// When all are done, by a list of when each is free that is searched for its minimum; portions from OpenMP's definitions.
fn makespan(schedule: &str, costs: &[f64], workers: usize) -> f64 {
    let mut free = vec![0.0_f64; workers];
    let mut next = 0;
    while next < costs.len() {
        let left = costs.len() - next;
        let (rank, portion) = match schedule {
            // The first `len % workers` have one more.
            "static" => {
                let rank = free.iter().position(|&time| time == 0.0).unwrap();
                (rank, costs.len() / workers + usize::from(rank < costs.len() % workers))
            }
            _ => {
                let first = free.iter().copied().fold(f64::INFINITY, f64::min);
                let chunk = schedule.strip_prefix("dynamic=").map(|chunk| chunk.parse().unwrap());
                let portion = if schedule == "guided" { left.div_ceil(workers) } else { chunk.unwrap_or(1) };
                (free.iter().position(|&time| time == first).unwrap(), portion.min(left))
            }
        };
        free[rank] += costs[next..next + portion].iter().sum::<f64>();
        next += portion;
    }
    free.into_iter().fold(0.0, f64::max)
}

#[test]
fn makespans_are_those_of_a_naive_simulation() {
    let fixture = Fixture::new();
    for cost in ["uniform", "linear", "mandelbrot"] {
        for (shape, split, workers) in [("300x200", "rows=4", 7), ("90x1000", "tiles=30x100", 4), ("1000", "rows", 1)] {
            let line = format!("plan {shape} --split {split} -n {workers} --cost {cost} --json");
            let told = json(&fixture, &line);
            let comparison = &told["comparison"];
            let costs = numbers(&comparison["costs"]);
            assert_eq!(costs.len(), told["slices"].as_array().unwrap().len());
            assert_eq!((&comparison["simulation"], &told["cost"]), (&true.into(), &cost.into()));
            let (total, longest) = (costs.iter().sum::<f64>(), costs.iter().copied().fold(0.0, f64::max));
            for trial in comparison["schedules"].as_array().unwrap() {
                let (schedule, number) =
                    (trial["schedule"].as_str().unwrap(), |key: &str| trial[key].as_f64().unwrap());
                let near = |one: f64, other: f64| (one - other).abs() <= 1e-9 * total;
                assert!(near(number("makespan"), makespan(schedule, &costs, workers)), "{line} {schedule}: {trial}");
                assert!(near(number("ideal"), longest.max(total / workers as f64)), "{line} {schedule}");
                assert!(near(number("efficiency") * number("makespan") * workers as f64, total), "{line} {schedule}");
                assert!(near(numbers(&trial["busy"]).iter().sum(), total), "{line} {schedule}");
            }
        }
    }
}

#[test]
fn costs_come_from_files() {
    let fixture = Fixture::new();
    let cells = Array2::from_shape_fn((6, 4), |(i, j)| (10 * i + j) as f64);
    fixture.save("cells.npy", &cells);
    let told = json(&fixture, "plan 6x4 --split rows=2 -n 2 --cost cells.npy --json");
    let sums: Vec<f64> = (0..3).map(|slice| cells.slice(ndarray::s![2 * slice..2 * slice + 2, ..]).sum()).collect();
    assert_eq!(numbers(&told["comparison"]["costs"]), sums);
    let tiles = json(&fixture, "plan 6x4 --split tiles=6x1 -n 2 --cost cells.npy --json");
    let columns: Vec<f64> = cells.columns().into_iter().map(|column| column.sum()).collect();
    assert_eq!(numbers(&tiles["comparison"]["costs"]), columns);
    npy::save(fixture.path("slices.npy"), Array1::from(vec![3_u8, 1, 2]).view()).unwrap();
    let told = json(&fixture, "plan 6x4 --split rows=2 -n 2 --cost slices.npy --json");
    assert_eq!(numbers(&told["comparison"]["costs"]), [3.0, 1.0, 2.0]);
    npy::save(fixture.path("wrong.npy"), Array1::from(vec![3.0_f32, f32::NAN, 2.0]).view()).unwrap();
    fixture.fails("plan 6x4 --split rows=2 --cost wrong.npy", 3, &["NaN at [1]", "finite"]);
    fixture.fails("plan 6x5 --split rows=2 --cost cells.npy", 3, &["[6, 4]", "[6, 5]", "[3]"]);
    fixture.fails("plan 6x4 --cost none.npy", 3, &["none.npy"]);
    fixture.fails("plan 6x4 --cost hard", 2, &["`hard` is no cost", "mandelbrot"]);
}

#[test]
fn the_table_is_told_to_be_a_simulation() {
    let fixture = Fixture::new();
    let text = fixture.ok("plan 100x10 --split rows=1 -n 4 --cost linear");
    assert!(text.contains("100 slices, 4 virtual workers (a simulation)") && text.contains("1000 cells"), "{text}");
    // Static leaves the last quarter to one: 1000 * (1 - (3/4)^2).
    let row =
        |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row("static ")[1..5], ["438", "1.75", "57.1%", "4"]);
    assert_eq!(row("dynamic ")[4], "100");
    let many = fixture.ok("plan 100x10 --split rows=1 -n 5000 --cost linear");
    assert!(many.contains("100 virtual workers"), "{many}");
    fixture.fails("plan 100x10 -n 5000", 2, &["5000 workers", "1024"]);
    fixture.fails("plan 100x10 -n 0 --cost linear", 2, &["--workers"]);
}

#[test]
fn without_a_terminal_the_film_is_its_last_frame() {
    let fixture = Fixture::new();
    let text = fixture.ok("plan 64x64 --split rows=4 -n 3 --cost linear --animate");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 4 * 5);
    assert!(lines.iter().all(|line| line.chars().count() <= 80) && !text.contains('\x1b'), "{text}");
    assert_eq!(lines.iter().filter(|line| line.contains("all done at")).count(), 4);
    // 16 slices in 72 columns: six, five and five.
    let strip = format!("slices  {}{}{}", "0".repeat(27), "1".repeat(22), "2".repeat(23));
    assert_eq!(lines[2], strip);
}

#[test]
fn a_film_plays_and_leaves_its_last_frame() {
    let fixture = Fixture::new();
    for colours in [true, false] {
        let mut command = fixture.command("plan 64x64 --split rows=4 -n 3 --cost linear --animate");
        if !colours {
            command.env("NO_COLOR", "1");
        }
        let film = Terminal::run(command, 30, 80);
        film.shows(|screen| screen.contains("q quit") && screen.contains("workers busy"));
        // Pause, and step to the end by hand.
        film.press(" ");
        film.shows(|screen| screen.contains("space go on"));
        film.press(&"\x1b[C".repeat(60));
        film.shows(|screen| screen.matches("all done at").count() == 4);
        assert_eq!(film.has_colours(), colours);
        film.press("q");
        film.shows(|screen| screen.matches("all done at").count() == 4 && !screen.contains("q quit"));
        assert!(film.end().success());
    }
}
