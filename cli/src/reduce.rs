//! `parfork sum`, `mean`, `min`, `max`, `norm`: one number of an array.

use std::time::Instant;

use parfork::formats::npy;
use parfork_workers::reduce::{self, Number, Op};
use serde_json::{Map, Value, json};

use crate::args::Reduce;
use crate::failure::Failure;
use crate::job::Summary;
use crate::output;

/// Reads, reduces, prints the number.
pub fn run(op: Op, args: Reduce) -> Result<(), Failure> {
    let began = Instant::now();
    let (header, bytes) = args.common.open_bytes(&args.input)?;
    let input = args.input.display();
    let dtype = header.dtype.parse().map_err(|error| Failure::input(format!("{input}: {error}")))?;
    let views = args.common.views(op.name())?;
    let (number, done) = reduce::run(args.common.settings(&op.to_string(), &views), op, dtype, bytes.input())?;
    let verified =
        args.common.verify.then(|| reduce::run(args.common.serially(), op, dtype, bytes.input())).transpose()?;
    if let Some((serial, _)) = &verified
        && !same_bits(number, *serial)
    {
        return Err(Failure::job(format!(
            "the answer {number} differs from the serial answer {serial}. Report this: parfork promises the same bits."
        )));
    }
    let whole = args.common.only_slice.is_none();
    if whole && !args.common.json {
        output::print(&format!("{number}\n"))?;
    }
    Summary {
        command: op.name(),
        facts: facts(&args, &header, whole.then_some(number)),
        line: format!("{op} of {:?} {dtype}", header.shape),
        reports: vec![done.report().clone()],
        names: vec![op.name().to_owned()],
        filing: None,
        wall: began.elapsed(),
        verified: verified.map(|_| true),
        views,
    }
    .tell(&args.common)
}

fn same_bits(one: Number, other: Number) -> bool {
    match (one, other) {
        (Number::Int(one), Number::Int(other)) => one == other,
        (Number::Float(one), Number::Float(other)) => one.to_bits() == other.to_bits(),
        _ => false,
    }
}

fn facts(args: &Reduce, header: &npy::Header, number: Option<Number>) -> Map<String, Value> {
    let mut facts = Map::new();
    facts.insert("input".into(), json!(args.input));
    facts.insert("dtype".into(), json!(header.dtype));
    facts.insert("shape".into(), json!(header.shape));
    // JSON has no NaN, no infinities, and readers that round integers beyond 2^53: so also as text.
    facts.insert("answer".into(), json!(number.map(Number::to_f64)));
    facts.insert("answer_text".into(), json!(number.map(|number| number.to_string())));
    facts
}
