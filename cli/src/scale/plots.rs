//! The plots: speed-up, efficiency, throughput with its peak, and where time was lost.

use crate::scaling::{Estimate, Fit, Law};

use super::draw::{Align, Axis, Canvas, Colour, Entry, Frame, Mark, Sample, Shape, WORDS};
use super::lost::LostTime;
use super::study::{Point, Series, Study};
use super::table::{describes, digits, range, subtitle, time};
use crate::output;

/// A plot.
pub struct Plot {
    /// Its file's name, without an ending.
    pub name: &'static str,
    /// The drawing.
    pub canvas: Canvas,
    /// How to read it.
    pub caption: String,
}

/// Dashes of what was not measured, and of what would be ideal.
const BEYOND: [f64; 2] = [7.0, 5.0];
const IDEAL: [f64; 2] = [2.0, 4.0];

/// All plots of a study.
pub fn all(study: &Study) -> Vec<Plot> {
    vec![speedup(study), efficiency(study), throughput(study), lost(study)]
}

/// The series that are lines: those with several numbers of workers, or all if there are none. With their places, which decide on
/// colours.
fn lines(study: &Study) -> Vec<(usize, &Series)> {
    let several = study.series.iter().filter(|series| series.points.len() > 1);
    let lines: Vec<&Series> = several.collect();
    let lines = if lines.is_empty() { study.series.iter().collect() } else { lines };
    lines.into_iter().enumerate().collect()
}

/// How far to draw: 4 times as far as was fitted, at least as far as was measured.
fn reach(study: &Study) -> f64 {
    let fitted = study.series.iter().flat_map(|series| series.fitted.last()).max().copied().unwrap_or(1);
    (4 * fitted).max(study.most()) as f64
}

/// What all plots over workers have in common: what of a point, and of throughput, is drawn.
struct View<'s> {
    study: &'s Study,
    point: &'s dyn Fn(&Series, &Point) -> Estimate,
    /// From throughput at a number of workers.
    curve: &'s dyn Fn(&Series, f64, f64) -> f64,
    /// Which fit of a series.
    fit: &'s dyn Fn(&'s Series) -> Option<&'s Fit>,
}

impl<'s> View<'s> {
    /// All numbers that have to be on the plot.
    fn numbers(&self) -> Vec<f64> {
        let mut numbers = Vec::new();
        for (_, series) in lines(self.study) {
            let points = series.points.iter().map(|point| (self.point)(series, point));
            numbers.extend(points.flat_map(|estimate| [estimate.value, estimate.low, estimate.high]));
            if let Some(fit) = (self.fit)(series) {
                let far = 4.0 * series.fitted.last().copied().unwrap_or(1) as f64;
                let peak = fit.curve.peak().filter(|&peak| peak < far).unwrap_or(far);
                numbers.extend(
                    [1.0, peak, far].map(|workers| (self.curve)(series, workers, fit.curve.throughput(workers))),
                );
            }
        }
        numbers.retain(|number| number.is_finite() && *number > 0.0);
        numbers
    }

    /// Bands of more lines would be one grey.
    fn bands(&self) -> bool {
        lines(self.study).len() <= 4
    }

    fn legend(&self, ideal: Option<&str>, more: Vec<Entry>) -> Vec<Entry> {
        let mut legend: Vec<Entry> = Vec::new();
        for (number, series) in lines(self.study) {
            let law = (self.fit)(series).map_or(String::new(), |fit| {
                format!(", {}{}", fit.curve.law, if describes(fit) { "" } else { " (does not describe it)" })
            });
            let sample = Sample::Line {
                colour: Colour::Series(number),
                dash: None,
                dot: Some(Shape::of(number)),
                hollow: false,
            };
            legend.push((sample, format!("{}{law}", series.name)));
        }
        if let Some(ideal) = ideal {
            legend.push((
                Sample::Line { colour: Colour::Text, dash: Some(IDEAL), dot: None, hollow: false },
                ideal.to_owned(),
            ));
        }
        if lines(self.study).iter().any(|(_, series)| (self.fit)(series).is_some()) {
            let dashed = Sample::Line { colour: Colour::Faint, dash: Some(BEYOND), dot: None, hollow: false };
            legend.push((dashed, "beyond the runs that were fitted".to_owned()));
            if self.bands() {
                legend.push((Sample::Box { colour: Colour::Series(0), opacity: 0.2 }, "95 % band".to_owned()));
            }
        }
        if self.study.oversubscribed() {
            let hollow =
                Sample::Line { colour: Colour::Faint, dash: Some([0.0, 99.0]), dot: Some(Shape::Circle), hollow: true };
            legend.push((hollow, format!("more workers than the {}", output::count(self.study.cpus, "CPU"))));
        }
        legend.extend(more);
        legend
    }

    fn draw(&self, canvas: &mut Canvas, frame: &Frame) {
        for (number, series) in lines(self.study) {
            if let Some(fit) = (self.fit)(series) {
                self.draw_fit(canvas, frame, number, series, fit);
            }
        }
        for (number, series) in lines(self.study) {
            let colour = Colour::Series(number);
            // Beside each other, so that none hides another.
            let aside = 8.0 * (number as f64 - (lines(self.study).len() - 1) as f64 / 2.0);
            for point in &series.points {
                let estimate @ Estimate { value, low, high } = (self.point)(series, point);
                let (middle, bottom) = frame.at(point.workers as f64, low);
                let (x, (_, top)) = (middle + aside, frame.at(point.workers as f64, high));
                canvas.line(
                    vec![(x - 4.0, top), (x + 4.0, top), (x, top), (x, bottom), (x - 4.0, bottom), (x + 4.0, bottom)],
                    colour,
                    1.5,
                    None,
                );
                let tip =
                    format!("{}, {} workers: {} ({})", series.name, point.workers, digits(value), range(estimate));
                let (at, shape) = ((x, frame.at(point.workers as f64, value).1), Shape::of(number));
                canvas.marks.push(Mark::Dot { at, size: 5.0, shape, colour, hollow: point.oversubscribed, tip });
            }
        }
    }

    /// The band, and over it the curve: whole as far as was fitted, and dashed from there.
    fn draw_fit(&self, canvas: &mut Canvas, frame: &Frame, number: usize, series: &Series, fit: &Fit) {
        let colour = Colour::Series(number);
        let (first, last) = (series.fitted[0] as f64, series.fitted[series.fitted.len() - 1] as f64);
        let of = |workers: f64, throughput: f64| frame.at(workers, (self.curve)(series, workers, throughput));
        if self.bands() {
            let places = frame.across(1.0, 4.0 * last);
            let band: Vec<(f64, Estimate)> =
                places.iter().filter_map(|&workers| Some((workers, fit.throughput(workers)?))).collect();
            let upper = band.iter().map(|&(workers, estimate)| of(workers, estimate.high));
            let lower = band.iter().rev().map(|&(workers, estimate)| of(workers, estimate.low));
            canvas.area(upper.chain(lower).collect(), colour, 0.18, String::new());
        }
        let line = |from: f64, to: f64| {
            frame
                .across(from, to)
                .into_iter()
                .map(|workers| of(workers, fit.curve.throughput(workers)))
                .collect::<Vec<_>>()
        };
        canvas.line(line(first, last), colour, 2.4, None);
        canvas.line(line(last, 4.0 * last), colour, 2.0, Some(BEYOND));
    }

    /// Grey where there are more workers than CPUs.
    fn shade(&self, canvas: &mut Canvas, frame: &Frame) {
        if self.study.oversubscribed() {
            canvas.area(frame.column(self.study.cpus as f64, frame.x.high()), Colour::Faint, 0.08, String::new());
        }
    }
}

/// For those who do not see the plot: its numbers.
fn describe(study: &Study, what: &str, point: &dyn Fn(&Series, &Point) -> Estimate) -> String {
    let series = lines(study).into_iter().map(|(_, series)| {
        let points =
            series.points.iter().map(|one| format!("{} with {}", digits(point(series, one).value), one.workers));
        format!("{}: {}", series.name, points.collect::<Vec<_>>().join(", "))
    });
    format!("{what} by number of workers. {}.", series.collect::<Vec<_>>().join("; "))
}

fn about(study: &Study) -> String {
    format!("{}: {}", subtitle(study), study.title)
}

/// Whose time is one.
fn reference(study: &Study) -> String {
    let mut names: Vec<&str> = lines(study).iter().map(|(_, series)| series.reference.1.as_str()).collect();
    names.dedup();
    names.join(", ")
}

fn speedup(study: &Study) -> Plot {
    let point = |_: &Series, point: &Point| point.speedup;
    let curve = |series: &Series, _: f64, throughput: f64| throughput * series.unit();
    let view = View { study, point: &point, curve: &curve, fit: &|series| series.best() };
    let numbers = view.numbers();
    let (least, most) = numbers.iter().fold((1.0_f64, 2.0_f64), |(low, high), &one| (low.min(one), high.max(one)));
    let axes = (Axis::doubling(1.0, reach(study)), Axis::doubling(least.max(1.0 / 64.0), most));
    let title = if study.weak { "Scaled speed-up" } else { "Speed-up" };
    let description = describe(study, title, &point);
    let (mut canvas, frame) =
        Frame::new(title, &about(study), description, &view.legend(Some("linear"), Vec::new()), axes, 58.0);
    view.shade(&mut canvas, &frame);
    frame.axes(&mut canvas, Some("workers"), &format!("speed-up over {}", shorter(&reference(study))));
    let end = frame.y.high().min(frame.x.high());
    canvas.line(vec![frame.at(1.0, 1.0), frame.at(end, end)], Colour::Text, 1.6, Some(IDEAL));
    view.draw(&mut canvas, &frame);
    let caption = format!(
        "How many times as much is done in the same time as by {}. Dots are medians with 95 % intervals; a curve is the law that \
         fits best, with its 95 % band if there are not too many, and dashed where nothing was fitted: up to 4 times as far, and worth as much as the law.",
        reference(study)
    );
    Plot { name: "speedup", canvas, caption }
}

/// What fits beside an axis.
fn shorter(text: &str) -> String {
    if text.chars().count() > 30 { "one worker".to_owned() } else { text.to_owned() }
}

fn efficiency(study: &Study) -> Plot {
    let point = |_: &Series, point: &Point| point.efficiency;
    let curve = |series: &Series, workers: f64, throughput: f64| throughput * series.unit() / workers;
    let view = View { study, point: &point, curve: &curve, fit: &|series| series.best() };
    let most = view.numbers().into_iter().fold(1.0, f64::max);
    let axes = (Axis::doubling(1.0, reach(study)), Axis::even(1.02 * most));
    let description = describe(study, "Efficiency", &point);
    let (mut canvas, frame) =
        Frame::new("Efficiency", &about(study), description, &view.legend(Some("all of it"), Vec::new()), axes, 58.0);
    view.shade(&mut canvas, &frame);
    frame.axes(&mut canvas, Some("workers"), "speed-up / workers");
    canvas.line(vec![frame.at(1.0, 1.0), frame.at(frame.x.high(), 1.0)], Colour::Text, 1.6, Some(IDEAL));
    view.draw(&mut canvas, &frame);
    let caption = "Speed-up for each worker: which share of what was bought is used. 1 is all of it.".to_owned();
    Plot { name: "efficiency", canvas, caption }
}

fn throughput(study: &Study) -> Plot {
    let point = |_: &Series, point: &Point| {
        let work = point.measured.work;
        Estimate { value: work / point.seconds.value, low: work / point.seconds.high, high: work / point.seconds.low }
    };
    let curve = |_: &Series, _: f64, throughput: f64| throughput;
    let view = View { study, point: &point, curve: &curve, fit: &|series| universal(series).or_else(|| series.best()) };
    let peaks = lines(study).into_iter().filter(|(_, series)| !series.fits.is_empty()).map(|(number, series)| {
        let words = match universal(series).map(|fit| (fit, fit.curve.peak())) {
            Some((fit, Some(peak))) => format!("peak at {} workers ({})", digits(peak), range(fit.peak)),
            Some((_, None)) => "no peak".to_owned(),
            None => "no USL: 3 numbers of workers would have to be fitted".to_owned(),
        };
        (Sample::Line { colour: Colour::Series(number), dash: Some(IDEAL), dot: None, hollow: false }, words)
    });
    let most = view.numbers().into_iter().fold(0.0, f64::max);
    let axes = (Axis::up_to(reach(study)), Axis::even(1.02 * most));
    let description = describe(study, "Jobs a second", &point);
    let (mut canvas, frame) = Frame::new(
        "Throughput and the Universal Scalability Law",
        &about(study),
        description,
        &view.legend(None, peaks.collect()),
        axes,
        58.0,
    );
    view.shade(&mut canvas, &frame);
    frame.axes(
        &mut canvas,
        Some("workers"),
        if study.weak { "jobs of one worker's size, a second" } else { "jobs a second" },
    );
    view.draw(&mut canvas, &frame);
    let (_, bottom) = frame.ends();
    for (number, series) in lines(study) {
        if let Some((fit, peak)) =
            universal(series).and_then(|fit| Some((fit, fit.curve.peak()?))).filter(|(_, peak)| *peak <= frame.x.high())
        {
            let (x, y) = frame.at(peak, fit.curve.throughput(peak));
            canvas.line(vec![(x, y), (x, bottom)], Colour::Series(number), 1.6, Some(IDEAL));
        }
    }
    let caption = "Jobs done in a second, on even axes. The Universal Scalability Law bends down where workers cost each other more than \
                   they add; its peak is marked if there is one."
        .to_owned();
    Plot { name: "throughput", canvas, caption }
}

/// The fit of the Universal Scalability Law.
fn universal(series: &Series) -> Option<&Fit> {
    series.fits.iter().find(|(law, _)| *law == Law::Usl).and_then(|(_, fit)| fit.as_ref().ok())
}

fn lost(study: &Study) -> Plot {
    // What a bar is made of: work first, then losses; worker-seconds, for the work of one run of the reference.
    let parts = |point: &Point| {
        let (seconds, lost) = point.middle;
        let scale = point.workers as f64 / point.measured.work;
        let losses = lost.seconds();
        let work = (seconds - losses.iter().sum::<f64>()).max(0.0);
        std::iter::once(work).chain(losses).map(|part| part * scale).collect::<Vec<f64>>()
    };
    let bars: Vec<(&Series, &Point)> =
        study.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point))).collect();
    let most = bars.iter().map(|(_, point)| parts(point).iter().sum::<f64>()).fold(0.0, f64::max);
    let (unit, factor) = if most < 2.0 { ("worker-milliseconds", 1e3) } else { ("worker-seconds", 1.0) };
    let names = std::iter::once("work").chain(LostTime::CAUSES.iter().map(|(_, name)| *name));
    let is_there = |number: usize| bars.iter().any(|(_, point)| parts(point)[number] > 0.0);
    let legend: Vec<Entry> = names
        .clone()
        .enumerate()
        .filter(|(number, _)| is_there(*number))
        .map(|(number, name)| (Sample::Box { colour: Colour::Part(number), opacity: 1.0 }, name.to_owned()))
        .collect();
    let told = bars.iter().map(|(series, point)| {
        let losses: Vec<String> = names
            .clone()
            .zip(parts(point))
            .filter(|(_, part)| *part > 0.0)
            .map(|(name, part)| format!("{name} {}", time(part)))
            .collect();
        format!("{} with {}: {}", series.name, point.workers, losses.join(", "))
    });
    let description = format!("Worker-seconds by cause. {}.", told.clone().collect::<Vec<_>>().join("; "));
    let slots = bars.len() + study.series.len();
    let words = study.series.iter().map(|series| series.name.split(' ').count()).max().unwrap_or(1);
    let axes = (Axis::even(slots as f64), Axis::even(1.02 * factor * most));
    let (mut canvas, frame) = Frame::new(
        "Where the workers' time went",
        &about(study),
        description,
        &legend,
        axes,
        50.0 + 17.0 * words as f64,
    );
    frame.axes(&mut canvas, None, unit);
    let (_, bottom) = frame.ends();
    let place = |slot: f64| frame.at(slot * frame.x.high() / slots as f64, 0.0).0;
    let mut slot = 0.5;
    for series in &study.series {
        let begin = slot;
        for point in &series.points {
            let (left, right) = (place(slot + 0.08), place(slot + 0.92));
            let mut height = 0.0;
            for (number, (name, part)) in
                names.clone().zip(parts(point)).enumerate().filter(|(_, (_, part))| *part > 0.0)
            {
                let (below, above) = (frame.at(0.0, factor * height).1, frame.at(0.0, factor * (height + part)).1);
                let corners = vec![(left, above), (right, above), (right, below), (left, below)];
                let tip = format!("{}, {} workers: {name} {}", series.name, point.workers, time(part));
                canvas.area(corners, Colour::Part(number), 1.0, tip);
                height += part;
            }
            let star = if point.oversubscribed { "*" } else { "" };
            canvas.text(
                ((left + right) / 2.0, bottom + 19.0),
                format!("{}{star}", point.workers),
                WORDS,
                Align::Middle,
                Colour::Text,
            );
            slot += 1.0;
        }
        let middle = (place(begin) + place(slot)) / 2.0;
        for (line, word) in series.name.split(' ').enumerate() {
            canvas.text((middle, bottom + 39.0 + 17.0 * line as f64), word, 12.0, Align::Middle, Colour::Text);
        }
        slot += 1.0;
    }
    if study.oversubscribed() {
        let words = format!("* more workers than the {}", output::count(study.cpus, "CPU"));
        canvas.text((frame.at(0.0, 0.0).0, canvas.size.1 - 8.0), words, WORDS, Align::Start, Colour::Faint);
    }
    let caption = "Workers times time of the run in the middle, so that bars of equal height are perfect scaling, and what stands above the \
                   work of one is lost. Slower work: bodies computed longer, taken together, than those of the run that speed-up is over, \
                   for want of memory bandwidth, cache or clock. Off the CPU: others had it. Imbalance: no slices left, but others still at \
                   theirs. Serial parts: the coordinator alone can go on. For a command, the rest is when its workers did not compute."
        .to_owned();
    Plot { name: "lost", canvas, caption }
}
