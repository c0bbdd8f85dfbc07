//! One word for one thing, and the field's: names that were given up do not come back.

use std::path::Path;

/// What was once a name here, and what is one instead.
const GIVEN_UP: &[(&str, &str)] = &[
    ("Apart", "CpuSpread"),
    ("Bereft", "ProgramExited"),
    ("Berth", "WorkerSlot"),
    ("Beside", "Neighbours"),
    ("Bill", "JobDescriptor"),
    ("BillAt", "DescriptorSlot"),
    ("Board", "ControlPage"),
    ("Census", "LibraryList"),
    ("Chance", "TrialRng"),
    ("Claim", "ClaimedShape"),
    ("CrewSettings", "CrewBuilder"),
    ("Crowd", "WorkerSet"),
    ("Desk", "Fixture"),
    ("Doing", "Activity"),
    ("Ears", "JobWaiter"),
    ("Fate", "Liveness"),
    ("Flaw", "HeaderError"),
    ("Flock", "ProgramState"),
    ("Fostered", "Adopted"),
    ("Gathered", "Answers"),
    ("Glimpse", "SlotSnapshot"),
    ("HandOn", "RunCallback"),
    ("Heard", "ReadOutcome"),
    ("IfFailed", "OnFailure"),
    ("Ink", "Colour"),
    ("Keeping", "MapMode"),
    ("Labour", "RunSlices"),
    ("Landing", "AtomicFile"),
    ("Lane", "Timeline"),
    ("Larder", "MappingCache"),
    ("Leaving", "LeaveGuard"),
    ("Lifeline", "nothing: known pids are waited for"),
    ("Live", "SegmentState"),
    ("Lot", "ArrayList"),
    ("Moment", "OrderedTime"),
    ("Mounted", "MountedFile"),
    ("Naming", "SetupName"),
    ("Nonsense", "ProtocolError"),
    ("Nursery", "ForkServer"),
    ("Obituary", "RobustLock"),
    ("Older", "EarlierScaling"),
    ("Pace", "ClockPace"),
    ("Patience", "SpinPolicy"),
    ("Plate", "PublicHeader"),
    ("Redo", "RetryPolicy"),
    ("Refusal", "BodyFailure"),
    ("Remains", "FinishedJob"),
    ("Remark", "DecodeWarning"),
    ("SaysPanicked", "PanicReporter"),
    ("Scene", "Phase"),
    ("Seat", "MappedLoan"),
    ("Sheet", "Canvas"),
    ("Shepherd", "Supervisor"),
    ("Sighting", "Snapshot"),
    ("Staff", "WorkerSource"),
    ("Stage", "DemoContext"),
    ("Standstill", "StallDetector"),
    ("Stayer", "PersistentWorker"),
    ("Stretch", "CoordinatorInterval"),
    ("Sweep", "GcEntry"),
    ("Tale", "Explanation"),
    ("Tape", "EventLog"),
    ("Tender", "BodyFn"),
    ("Toll", "RetryTracker"),
    ("Trouble", "SegmentErrorKind"),
    ("Turnout", "BarrierCount"),
    ("Upbringing", "JobSpec"),
    ("Verb", "ShmCommand"),
    ("Vigil", "Watchdog"),
    ("Walk", "LibraryWalk"),
    ("Ward", "ForeignProcess"),
    ("Whose", "UsageOf"),
    ("Wire", "ShmSafe"),
    ("attach_to_write", "open_mut"),
    ("be_alone", "ensure_single_threaded"),
    ("berth", "slot"),
    ("blockade", "reserve_no_access"),
    ("blockade_all", "make_inaccessible"),
    ("boards_of", "control_pages_of"),
    ("bury", "retire"),
    ("check_deeds", "check_work_done"),
    ("crowd", "worker_set"),
    ("desk", "fixture"),
    ("fenced", "with_guard_page"),
    ("for_board", "for_control_page"),
    ("for_boards", "for_control_pages"),
    ("foretold", "early_exit_status"),
    ("go_on_without_dead", "continue_after_death"),
    ("hand_on", "run"),
    ("join_in", "coordinator_works"),
    ("keep_memory", "set_segment_cache"),
    ("lane_among", "timeline_of"),
    ("larder", "cache"),
    ("leave_astray", "exit_stray_worker"),
    ("lie_down", "prepare_to_sleep"),
    ("meet_within", "barrier_timeout"),
    ("newcomers", "wait_for_new_writers"),
    ("nursery", "fork_server"),
    ("obituary", "lock"),
    ("record_if_failed", "on_failure"),
    ("remark", "warning"),
    ("run_beside_threads", "run_in_threaded_process"),
    ("seats", "mapped_loans"),
    ("share_of", "slice_of"),
    ("share_with_halo", "slice_with_halo"),
    ("shepherd", "supervisor"),
    ("swear_in", "install"),
    ("take_unfinished", "accept_torn"),
    ("tale", "explanation"),
    ("touch_cost", "page_fault_cost"),
    ("trouble", "kind"),
    ("turnout", "barrier_count"),
    ("undo_copies", "restore_outputs"),
    ("unfilled", "empty"),
    ("upbringing", "spec"),
    ("withhold", "exclude_from_forks"),
];

#[test]
fn names_that_were_given_up_do_not_come_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut files = 0;
    for folder in ["src", "workers", "cli", "tests", "examples", "benches", "fuzz"] {
        each_source(&root.join(folder), &mut |path, text| {
            files += 1;
            for (number, line) in text.lines().enumerate() {
                for name in identifiers(line) {
                    if let Ok(at) = GIVEN_UP.binary_search_by(|(old, _)| (*old).cmp(name)) {
                        let (old, new) = GIVEN_UP[at];
                        found.push(format!("{}:{}: {old} is called {new}", path.display(), number + 1));
                    }
                }
            }
        });
    }
    assert!(GIVEN_UP.is_sorted_by_key(|(old, _)| old), "the list is in order");
    assert!(files > 200, "{files} files");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The names in a line of code: what stands in quotes and comments is text.
fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    let outside = code.split('"').step_by(2);
    outside
        .flat_map(|part| part.split(|letter: char| !letter.is_alphanumeric() && letter != '_'))
        .filter(|word| !word.is_empty())
}

fn each_source(folder: &Path, then: &mut impl FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            each_source(&path, then);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests/words.rs") {
            then(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn names_are_told_from_text() {
    let line = "let crowd = say(\"the berth\"); // a larder";
    assert_eq!(identifiers(line).collect::<Vec<_>>(), ["let", "crowd", "say"]);
}
