//! Signals by name, and what they mean.

pub(super) fn name_of(signal: i32) -> &'static str {
    nix::sys::signal::Signal::try_from(signal).map_or("a real-time signal", |signal| signal.as_str())
}

/// What the signals that end workers most often mean.
pub(super) fn in_words(signal: i32) -> &'static str {
    match signal {
        libc::SIGSEGV => ": it touched memory that is not there or not its to write",
        libc::SIGBUS => ": it touched mapped memory behind which there is nothing",
        libc::SIGABRT => ": it aborted itself",
        libc::SIGILL => ": it met an instruction that this CPU lacks",
        libc::SIGFPE => ": integer division by zero or overflow",
        libc::SIGKILL => ": killed",
        _ => "",
    }
}
