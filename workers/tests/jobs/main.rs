//! Kernels and codecs in worker processes of all kinds.

mod crews;
mod inputs;
mod sandbox;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::run(
        support::cases![
            crews::give_the_same_bits_on_a_crew,
            inputs::kernels_read_files_as_they_read_memory,
            inputs::named_segments_are_inputs,
            sandbox::pictures_are_decoded_alike_in_a_sandbox,
            sandbox::a_damaged_picture_is_told_alike_from_a_sandbox,
            sandbox::a_decoder_without_memory_is_an_error_of_the_file,
        ],
        &[],
    )
}
