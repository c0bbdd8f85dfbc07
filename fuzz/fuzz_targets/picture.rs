#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parfork_workers::fuzzing::target("picture")(bytes));
