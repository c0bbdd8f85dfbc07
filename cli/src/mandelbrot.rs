//! `parfork mandelbrot`: a rendering.

use std::time::Instant;

use ndarray::Ix3;
use parfork::Shared;
use parfork::formats::AtomicFile;
use parfork_workers::mandelbrot::{self, View};
use parfork_workers::picture::{self, Picture};
use serde_json::{Map, json};

use crate::args::Mandelbrot;
use crate::failure::Failure;
use crate::job::{Summary, verify};

/// Renders, writes.
pub fn run(args: Mandelbrot) -> Result<(), Failure> {
    let began = Instant::now();
    let format = picture::Format::for_target(&args.output).map_err(Failure::usage)?;
    let view = View::new(args.center, args.zoom, args.size, args.iterations).map_err(Failure::usage)?;
    let (height, width) = view.shape();
    format.holds([height, width, 3], 8).map_err(Failure::usage)?;
    let mut target_file = AtomicFile::at(&args.output).map_err(Failure::job)?;
    let views = args.common.views("mandelbrot")?;
    let mut output = Shared::<u8, Ix3>::zeros((height, width, 3))?;
    let done = mandelbrot::run(args.common.settings("mandelbrot", &views), &view, &mut output)?;
    if args.common.verify {
        let mut serial = Shared::<u8, Ix3>::zeros((height, width, 3))?;
        mandelbrot::run(args.common.serially(), &view, &mut serial)?;
        verify(output.as_slice(), serial.as_slice())?;
    }
    Failure::if_stopped()?;
    let (mut filing, output) = (None, Picture::U8(output));
    views.keep_picture(&output);
    if args.common.only_slice.is_none() {
        let settings = args.common.settings("writing", &views);
        filing = picture::write_with(settings, &mut target_file, &output, format).map_err(Failure::filing)?;
        target_file.commit().map_err(Failure::job)?;
    }
    let mut facts = Map::new();
    facts.insert("output".into(), json!(args.output));
    facts.insert("shape".into(), json!([height, width, 3]));
    facts.insert("center".into(), json!([args.center.0, args.center.1]));
    facts.insert("zoom".into(), json!(args.zoom));
    facts.insert("iterations".into(), json!(args.iterations));
    Summary {
        command: "mandelbrot",
        facts,
        line: format!("Mandelbrot set, {width}x{height}, {} iterations", args.iterations),
        reports: vec![done.report().clone()],
        names: vec!["mandelbrot".to_owned()],
        filing,
        wall: began.elapsed(),
        verified: args.common.verify.then_some(true),
        views,
    }
    .tell(&args.common)
}
