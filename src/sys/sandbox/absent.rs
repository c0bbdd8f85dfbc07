//! Without the feature `sandbox`: nothing is asked of the kernel.

/// What of a sandbox there can be, without any.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Support {}

#[cfg(feature = "exec")]
pub(crate) fn enter_as_program(support: Support, _: &[std::path::PathBuf]) -> std::io::Result<()> {
    match support {}
}

/// A worker that was heard to make a call.
pub(crate) struct Report {
    pub(crate) rank: usize,
    pub(crate) pid: u32,
    pub(crate) call: u32,
}

/// Hears of nobody.
#[derive(Default)]
pub(crate) struct Receiver {}

/// The name of a system call that a sandbox has refused.
pub(crate) fn call_name(number: u32) -> String {
    format!("number {number}")
}
