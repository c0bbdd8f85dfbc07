//! Where the time of a run goes that is no work.

use parfork::Report;
use parfork::record::Part;
use serde_json::{Map, Value, json};

/// Seconds of a run's wall time that were lost, by cause. What is 0 was not lost, or cannot be told and is in `rest`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LostTime {
    /// Until a worker asks for slices: births, mappings.
    pub start_up: f64,
    /// In bodies, waiting for pages to be made or mapped.
    pub page_faults: f64,
    /// In bodies, while others had the CPU.
    pub off_cpu: f64,
    /// Workers without slices wait for those that still have some.
    pub imbalance: f64,
    /// Waiting for each other, at meetings and at the end.
    pub barrier: f64,
    /// The coordinator at work alone, at the beginning, between rounds and at the end.
    pub serial: f64,
    /// Bodies computed longer, taken together, than those of the run that speed-up is over: for want of memory bandwidth, cache or
    /// clock. Known only when runs are compared.
    pub slower: f64,
    /// All else.
    pub rest: f64,
}

impl LostTime {
    /// The causes, with their names in files and for people.
    pub const CAUSES: [(&'static str, &'static str); 8] = [
        ("start_up", "start-up"),
        ("page_faults", "page faults"),
        ("off_cpu", "off the CPU"),
        ("imbalance", "imbalance"),
        ("barrier", "barrier"),
        ("serial", "serial parts"),
        ("slower", "slower work"),
        ("rest", "the rest"),
    ];

    /// What the records of a run's jobs tell, one after the other; the mean of the workers of each.
    pub fn of(reports: &[Report]) -> Self {
        let mut lost = Self::default();
        for record in reports.iter().filter_map(Report::record) {
            let workers = record.workers.len().max(1) as f64;
            for (part, time) in record.waterfall().parts() {
                let cause = match part {
                    Part::Computing => continue,
                    Part::StartUp => &mut lost.start_up,
                    Part::PageFaults => &mut lost.page_faults,
                    Part::OffCpu => &mut lost.off_cpu,
                    Part::Imbalance => &mut lost.imbalance,
                    Part::Meetings | Part::Barrier => &mut lost.barrier,
                    Part::Serial | Part::End => &mut lost.serial,
                    _ => &mut lost.rest,
                };
                *cause += time.as_secs_f64() / workers;
            }
        }
        lost
    }

    /// In the order of [`CAUSES`](Self::CAUSES).
    pub fn seconds(&self) -> [f64; 8] {
        let Self { start_up, page_faults, off_cpu, imbalance, barrier, serial, slower, rest } = *self;
        [start_up, page_faults, off_cpu, imbalance, barrier, serial, slower, rest]
    }

    /// By cause.
    pub fn to_json(self) -> Value {
        let pairs =
            Self::CAUSES.iter().zip(self.seconds()).map(|((key, _), seconds)| ((*key).to_owned(), json!(seconds)));
        Value::Object(pairs.collect::<Map<_, _>>())
    }

    /// By cause; what is missing is 0.
    pub fn of_json(json: &Value) -> Self {
        let [start_up, page_faults, off_cpu, imbalance, barrier, serial, slower, rest] =
            Self::CAUSES.map(|(key, _)| json[key].as_f64().unwrap_or(0.0));
        Self { start_up, page_faults, off_cpu, imbalance, barrier, serial, slower, rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is lost and what is computed is all there is, whoever works.
    #[test]
    fn a_record_accounts_for_the_wall_time() {
        use parfork::{Engine, Job, Shared};
        for (engine, workers) in [(Engine::Serial, 1), (Engine::Threads, 3)] {
            let mut cells = Shared::<u64, _>::zeros(3_000).unwrap();
            let job = Job::new(&mut cells).workers(workers).runner(engine).record(true);
            let done = job.run(|_, mut slice| slice.iter_mut().for_each(|cell| *cell = (0..1000).sum())).unwrap();
            let report = done.report();
            let lost = LostTime::of(std::slice::from_ref(report));
            let computed = report.record().unwrap().waterfall().of(Part::Computing).as_secs_f64() / workers as f64;
            let all = lost.seconds().iter().sum::<f64>() + computed;
            assert!((all / report.wall.as_secs_f64() - 1.0).abs() < 1e-6, "{lost:?} {computed} {:?}", report.wall);
            assert!(lost.rest < 0.05 * all, "{lost:?}");
        }
        assert_eq!(LostTime::of(&[]), LostTime::default());
    }

    #[test]
    fn losses_go_to_files_and_back() {
        let lost = LostTime { start_up: 1.0, imbalance: 0.25, rest: 3.5, ..LostTime::default() };
        assert_eq!(LostTime::of_json(&lost.to_json()), lost);
        assert_eq!(lost.seconds().iter().sum::<f64>(), 4.75);
        assert_eq!(
            LostTime::of_json(&json!({ "rest": 2.0, "unheard_of": 1.0 })),
            LostTime { rest: 2.0, ..LostTime::default() }
        );
    }
}
