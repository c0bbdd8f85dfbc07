//! Kernels and codecs in worker processes of all kinds.
#![allow(unsafe_code)]

mod crews;
mod inputs;
mod metadata;
mod sandbox;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

use parfork_workers::picture;

fn main() -> ExitCode {
    // One case wants a program that does not.
    if std::env::var("PARFORK_CASE").as_deref() != Ok("sandbox::a_program_that_does_not_serve_is_told_to") {
        picture::serve_decoder();
    }
    support::run(
        support::cases![
            crews::give_the_same_bits_on_a_crew,
            inputs::kernels_read_files_as_they_read_memory,
            inputs::named_segments_are_inputs,
            metadata::stays_with_the_picture_and_says_that_it_is_upright,
            metadata::may_be_long_but_not_without_end,
            sandbox::pictures_are_decoded_alike_in_a_sandbox,
            sandbox::a_damaged_picture_is_told_alike_from_a_sandbox,
            sandbox::a_decoder_without_memory_is_an_error_of_the_file,
            sandbox::a_decoder_has_nothing_of_the_coordinators,
            sandbox::a_program_that_does_not_serve_is_told_to,
        ],
        support::cases![sandbox::watch_for_a_decoder],
    )
}
