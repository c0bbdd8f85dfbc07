//! Without the feature `sandbox`: nothing is asked of the kernel.

/// What of a sandbox there can be, without any.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Support {}

#[cfg(feature = "exec")]
pub(crate) fn enter_as_program(support: Support, _: &[std::path::PathBuf]) -> std::io::Result<()> {
    match support {}
}

/// The name of a system call that a sandbox has refused.
pub(crate) fn call_name(number: u32) -> String {
    format!("number {number}")
}
