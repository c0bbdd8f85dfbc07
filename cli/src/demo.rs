//! `parfork demo`: real work three ways, and what can be seen of how it divides.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytemuck::Pod;
use ndarray::{Array2, Dimension, Ix2, Ix3};
use parfork::{CancelToken, Engine, Hooks, Job, JobSpec, Memory, Report, Shared, cpus};
use parfork_workers::filter::{self, Border, Filter, Sample};
use parfork_workers::mandelbrot::{self, View};
use parfork_workers::matmul;
use parfork_workers::picture::{self, Picture};

use crate::args::Demo;
use crate::cpu_time::{CpuLoad, DISTURBED};
use crate::failure::Failure;
use crate::files::FileUses;
use crate::output;

/// Runs three jobs, each serially, on threads and in processes, and tells of each.
pub fn run(args: Demo) -> Result<(), Failure> {
    let workers = args.workers.unwrap_or_else(|| cpus().max(2));
    let made = ["mandelbrot.png", "edges.png"].map(|name| args.output.join(name));
    let others = made.iter().map(PathBuf::as_path).collect();
    FileUses { inputs: args.picture.as_deref().into_iter().collect(), others, ..FileUses::default() }.keep_apart()?;
    let given = args
        .picture
        .as_deref()
        .map(|path| picture::read_with(&JobSpec::default(), Hooks::default(), path))
        .transpose()?;
    fs::create_dir_all(&args.output).map_err(|error| {
        Failure::job(format!("the folder {} cannot be made ({error}). Give another with -o.", args.output.display()))
    })?;
    output::print(&format!("parfork demo: {workers} workers on {} CPUs\n", cpus()))?;
    let before = CpuLoad::now();
    let context = DemoContext { workers, folder: args.output, stop: CancelToken::at_signals().ok() };
    let rendering = context.rendering()?;
    context.edges(given.as_ref().unwrap_or(&rendering))?;
    context.product()?;
    let others = CpuLoad::now().others_since(&before);
    if others > DISTURBED {
        let cpus = output::count(cpus(), "CPU");
        eprintln!(
            "parfork: warning: other programs used {others:.1} CPUs meanwhile, on average. If they were any of the {cpus} that this program may \
             use, these times say little of how the work divides: run it again when the machine is quiet."
        );
    }
    Ok(())
}

/// What all acts share.
struct DemoContext {
    workers: usize,
    folder: PathBuf,
    stop: Option<&'static CancelToken>,
}

/// One engine's run of an act: the result and the jobs it took.
type Run<T, D> = (Shared<T, D>, Vec<Report>);

impl DemoContext {
    /// Uneven work: points of the set take all iterations, others few.
    fn rendering(&self) -> Result<Picture, Failure> {
        let view = View::new((-0.6, 0.35), 1.6, (1800, 1200), 1500).map_err(Failure::job)?;
        let (height, width) = view.shape();
        let result = self.three_ways("1. Mandelbrot set, 1800x1200: uneven work", &["picture"], |job| {
            let mut result = Shared::<u8, Ix3>::zeros((height, width, 3))?;
            let done = mandelbrot::run(job(), &view, &mut result)?;
            Ok((result, vec![done.report().clone()]))
        })?;
        let rendering = Picture::U8(result);
        self.save("mandelbrot.png", &rendering)?;
        Ok(rendering)
    }

    /// A chain of filters: slices read their neighbours' rows from the shared input.
    fn edges(&self, source: &Picture) -> Result<(), Failure> {
        let edges = match source {
            Picture::U8(picture) => Picture::U8(self.chain(picture)?),
            Picture::U16(picture) => Picture::U16(self.chain(picture)?),
        };
        self.save("edges.png", &edges)
    }

    fn chain<S: Sample>(&self, picture: &Shared<S, Ix3>) -> Result<Shared<S, Ix3>, Failure> {
        let filters: [Filter; 2] = ["gaussian:3", "sobel"].map(|name| name.parse().expect("filters of our own"));
        let title = format!(
            "2. gaussian:3, then sobel, on {}x{}: slices read beyond their borders",
            picture.shape()[1],
            picture.shape()[0]
        );
        self.three_ways(&title, &["source", "result"], |job| {
            let runs = filter::Run::split(&filters);
            let shape = runs.iter().try_fold(picture.view().dim().into(), |shape, run| run.output_shape(shape));
            let mut result = Shared::zeros(shape.map_err(parfork::Error::kernel)?)?;
            let reports = filter::chain(&mut |_| job(), &runs, Border::default(), picture, &mut result)?;
            Ok((result, reports))
        })
    }

    /// Even work on every byte of both inputs.
    fn product(&self) -> Result<(), Failure> {
        const N: usize = 1536;
        let matrix = |seed: usize| {
            let cell = |(i, j): (usize, usize)| ((i * 31 + j * 17 + seed) % 1000) as f32 / 500.0 - 1.0;
            Shared::<f32, Ix2>::from_array(&Array2::from_shape_fn((N, N), cell))
        };
        let (a, b) = (matrix(1)?, matrix(2)?);
        self.three_ways(&format!("3. matrix product, {N}x{N} f32"), &["A", "B", "C"], |job| {
            let mut c = Shared::<f32, Ix2>::zeros((N, N))?;
            let done = matmul::run(job(), &a, &b, &mut c)?;
            Ok((c, vec![done.report().clone()]))
        })?;
        Ok(())
    }

    /// A job that ends when the demonstration is to.
    fn job(&self) -> Job<'static> {
        Job::default().workers(self.workers).hooks(Hooks { cancel_token: self.stop, ..Hooks::default() })
    }

    /// Runs an act with each engine, and tells times, who did what, memory and addresses.
    fn three_ways<T: Pod, D: Dimension>(
        &self,
        title: &str,
        arrays: &[&str],
        act: impl Fn(&dyn Fn() -> Job<'static>) -> parfork::Result<Run<T, D>>,
    ) -> Result<Shared<T, D>, Failure> {
        let mut runs = Vec::new();
        for engine in Engine::ALL {
            runs.push(act(&|| self.job().runner(engine))?);
        }
        // Once more in processes, to look at memory: that takes time which is not the job's.
        let seen = act(&|| self.job().measure_memory(true))?;
        let serial = &runs[0];
        let mut text = format!("\n{title}\n\n   engine         time  speed-up  same bits as serial\n");
        for (engine, run) in Engine::ALL.iter().zip(&runs) {
            let same =
                bytemuck::cast_slice::<T, u8>(run.0.as_slice()) == bytemuck::cast_slice::<T, u8>(serial.0.as_slice());
            let same = match (engine, same) {
                (Engine::Serial, _) => "",
                (_, true) => "yes",
                (_, false) => "NO",
            };
            let speed_up = wall(&serial.1).as_secs_f64() / wall(&run.1).as_secs_f64();
            let _ = writeln!(text, "   {engine:<10} {:>8}  {speed_up:>7.2}x  {same}", output::duration(wall(&run.1)));
        }
        for report in &seen.1 {
            tell_workers(&mut text, report, arrays);
        }
        output::print(&text)?;
        match runs.iter().all(|run| same_bits(&run.0, &seen.0)) {
            true => Ok(seen.0),
            false => Err(Failure::job("the engines' results differ. Report this: parfork promises the same bits.")),
        }
    }

    fn save(&self, name: &str, result: &Picture) -> Result<(), Failure> {
        let path = self.folder.join(name);
        picture::save(&path, result).map_err(Failure::job)?;
        output::print(&format!("   -> {}\n", path.display()))
    }
}

fn wall(reports: &[Report]) -> Duration {
    reports.iter().map(|report| report.wall).sum()
}

fn same_bits<T: Pod, D: Dimension>(one: &Shared<T, D>, other: &Shared<T, D>) -> bool {
    bytemuck::cast_slice::<T, u8>(one.as_slice()) == bytemuck::cast_slice::<T, u8>(other.as_slice())
}

/// Who did what in processes, how much memory each had, and where it had the arrays.
fn tell_workers(text: &mut String, report: &Report, arrays: &[&str]) {
    let slices = report.grid.slices();
    let (split, schedule) = (report.spec.split.unwrap_or_default(), report.spec.schedule.unwrap_or_default());
    let _ = writeln!(text, "\n   processes: {slices} slices by {split}, schedule {schedule}");
    let _ = writeln!(text, "   worker       busy    private     shared  slices");
    for (rank, worker) in report.workers.iter().enumerate() {
        let Memory { private, shared, .. } = worker.memory.unwrap_or_default();
        let (busy, list) = (output::duration(worker.busy), output::runs(&worker.slices));
        let list = if list.len() > 44 {
            format!("{}... ", &list[..list[..41].rfind(',').unwrap_or(41)])
        } else {
            format!("{list} ")
        };
        let _ = writeln!(
            text,
            "   {rank:<6} {busy:>10} {:>10} {:>10}  {list}({})",
            output::bytes(private),
            output::bytes(shared),
            worker.slices.len()
        );
    }
    for (loan, name) in arrays.iter().enumerate() {
        let _ = write!(text, "   {name:<8} at {:#x} in the coordinator", report.addresses[loan]);
        for (rank, worker) in report.workers.iter().enumerate().take(4) {
            let _ = write!(text, ", {:#x} in {rank}", worker.addresses[loan]);
        }
        text.push('\n');
    }
    text.push_str("   (one segment each: different addresses, the same bytes)\n");
}
