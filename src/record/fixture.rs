//! A report with a trace made by hand, for tests of what is made of records.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Two workers, 100 ms, three slices of rows of a 6 x 4 array.
///
/// | from | to | coordinator | worker 0      | worker 1                       |
/// |-----:|---:|-------------|---------------|--------------------------------|
/// |    0 |  2 | gets ready  |               |                                |
/// |    2 |  8 | forks       | born at 4     |                                |
/// |    8 | 93 | waits       | slice 0 to 80, then measures for 1 | born at 9, begins at 12, slice 1 to 40, nothing for 1, slice 2 to 90, meeting 50 to 55 |
/// |   93 |100 | ends        |               |                                |
pub(crate) fn record() -> Report {
    let attempt = |slice, worker, begin, end, meetings| Attempt {
        slice,
        step: 0,
        worker,
        number: 1,
        begin: ms(begin),
        end: ms(end),
        done: true,
        faults: 0,
        meetings,
    };
    let life = |pid, born, began, left, cpu, faults| WorkerLifetime {
        pid,
        born: ms(born),
        began: Some(ms(began)),
        left: Some(ms(left)),
        measured: Some(Span { begin: ms(left), end: ms(left + 1) }),
        died: None,
        usage: Some(Usage { user: ms(cpu), minor_faults: faults, ..Usage::default() }),
    };
    let stretch = |what, begin, end| CoordinatorInterval { what, begin: ms(begin), end: ms(end) };
    let trace = Trace {
        machine: Machine::this().clone(),
        started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        preparing: ms(1),
        gathering: ms(1),
        arrays: vec![ArrayRecord { output: true, dtype: "f64", shape: vec![6, 4], bytes: 192, segment: 4711 }],
        attempts: vec![
            attempt(0, 0, 8, 80, Vec::new()),
            attempt(1, 1, 12, 40, Vec::new()),
            attempt(2, 1, 41, 90, vec![Span { begin: ms(50), end: ms(55) }]),
        ],
        workers: vec![
            WorkerRecord { lives: vec![life(100, 4, 8, 80, 70, 1500)] },
            WorkerRecord { lives: vec![life(101, 9, 12, 90, 90, 0)] },
        ],
        coordinator: vec![
            stretch(Activity::Preparing, 0, 2),
            stretch(Activity::Forking { rank: 0 }, 2, 5),
            stretch(Activity::Forking { rank: 1 }, 5, 8),
            stretch(Activity::Attending, 8, 93),
            stretch(Activity::Ending, 93, 100),
        ],
        coordinator_pid: 99,
        coordinator_memory: None,
        deaths: Vec::new(),
        fault_cost: Duration::from_micros(2),
        lost_marks: 0,
    };
    let split = Split::rows().of(2);
    let worker =
        |slices, busy, memory, address| WorkerReport { slices, busy: ms(busy), memory, addresses: vec![address] };
    let memory = Memory { private: 1 << 20, shared: 3 << 20, proportional: 2 << 20 };
    Report {
        spec: JobSpec { workers: Some(2), split: Some(split), ..JobSpec::default() },
        engine: Engine::Processes,
        crew: false,
        grid: Grid::new(split, &[6, 4]).unwrap(),
        workers: vec![worker(vec![0], 72, Some(memory), 0x8000), worker(vec![1, 2], 77, None, 0x9000)],
        deaths: Vec::new(),
        addresses: vec![0x7000],
        wall: ms(100),
        failure: None,
        trace: Some(Arc::new(trace)),
    }
}

/// The trace of one, to be changed.
pub(crate) fn trace_of(report: &mut Report) -> &mut Trace {
    Arc::make_mut(report.trace.as_mut().unwrap())
}

/// The same with a death: worker 1 dies at 30 on slice 1, and another takes its place and does it at 95.
pub(crate) fn with_death() -> Report {
    let mut report = record();
    let record = trace_of(&mut report);
    record.attempts[1].done = false;
    record.attempts[1].end = ms(30);
    record.attempts[2] = Attempt { slice: 2, worker: 0, begin: ms(80), end: ms(85), ..record.attempts[0].clone() };
    record.attempts.push(Attempt { slice: 1, number: 2, begin: ms(93), end: ms(95), ..record.attempts[0].clone() });
    record.workers[0].lives[0].left = Some(ms(85));
    record.workers[0].lives[0].measured = Some(Span { begin: ms(85), end: ms(86) });
    record.workers[0].lives.push(WorkerLifetime {
        pid: 102,
        born: ms(91),
        began: Some(ms(93)),
        left: Some(ms(95)),
        measured: None,
        died: None,
        usage: None,
    });
    record.workers[1].lives[0] =
        WorkerLifetime { pid: 101, born: ms(9), began: Some(ms(12)), died: Some(ms(30)), ..WorkerLifetime::default() };
    let stretch = |what, begin, end| CoordinatorInterval { what, begin: ms(begin), end: ms(end) };
    record.coordinator.truncate(3);
    record.coordinator.extend([
        stretch(Activity::Attending, 8, 88),
        stretch(Activity::Ending, 88, 89),
        stretch(Activity::Preparing, 89, 90),
        stretch(Activity::Forking { rank: 0 }, 90, 92),
        stretch(Activity::Attending, 92, 96),
        stretch(Activity::Ending, 96, 100),
    ]);
    let cause = "panicked at a<b.rs: \"no & no\"".to_owned();
    record.deaths.push(DeathRecord { at: ms(30), worker: 1, pid: 101, slice: Some(1), cause });
    report
}
