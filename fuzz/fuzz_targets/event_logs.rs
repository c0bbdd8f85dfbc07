#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parfork::fuzzing::target("event_logs")(bytes));
