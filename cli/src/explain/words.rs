//! Which calls matter where, what each is for, and lines that are not too long.

use crate::calls::Call;

use super::act::Facts;

/// Columns of the text.
pub const WIDTH: usize = 80;

/// Calls that are about memory.
pub const MEMORY: &[&str] =
    &["memfd_create", "ftruncate", "fallocate", "fcntl", "mmap", "mprotect", "madvise", "munmap", "close"];
/// Those by which it is made.
pub const MAKING: &[&str] = &["memfd_create", "ftruncate", "fallocate", "fcntl", "mmap"];
/// Calls that make processes.
pub const BIRTH: &[&str] = &["clone", "clone3", "fork", "pidfd_open"];
/// Calls by which one waits for others.
pub const WAITING: &[&str] = &["futex", "futex_waitv", "sched_yield"];
/// Calls by which processes end.
pub const END: &[&str] = &["exit", "exit_group", "waitid", "wait4", "kill", "pidfd_send_signal"];
/// Calls by which bytes can be sent.
pub const CHANNELS: &[&str] =
    &["write", "pwrite64", "writev", "sendto", "sendmsg", "splice", "vmsplice", "process_vm_writev"];

/// What a call is for.
pub fn gloss(call: &Call, facts: &Facts) -> Option<&'static str> {
    let text = call.to_string();
    let has = |word: &str| text.contains(word);
    Some(match call.name.as_str() {
        "memfd_create" if has("board") => "the control page has a name by which `parfork top` finds it",
        "memfd_create" => "a file in memory, with no name in any folder; here is its descriptor",
        "ftruncate" => "so long it is",
        "fcntl" if has("F_ADD_SEALS") => {
            "and so long it stays: were it shorter one day, whoever reads its end would be killed (SIGBUS)"
        }
        "fallocate" => "memory for all of it now, so that no later write can fail for want of it",
        "mmap" if has("PROT_NONE") && facts.own.iter().any(|own| *own == call.arguments[0]) => {
            "where the coordinator has an array there shall be nothing here"
        }
        "mmap" if has("PROT_NONE") => "some addresses, for what comes next",
        "mmap" if has("MAP_SHARED") && has("PROT_WRITE") => "from now on the file is memory here, to read and to write",
        "mmap" if has("MAP_SHARED") => "to read only: a write would end this process (SIGSEGV)",
        "madvise" if has("MADV_DONTFORK") => "processes that are forked shall not have it",
        "clone" => "a fork; what comes back is the new process's number",
        "pidfd_open" => "a descriptor of that process, which cannot be mistaken for another one",
        "futex_waitv" => "sleeps until one of several words changes: the barrier's, or one that tells of a death",
        "futex" if has("FUTEX_WAIT") => "sleeps until the word changes",
        "futex" if has("FUTEX_WAKE") => "wakes who sleeps on the word",
        "exit_group" | "exit" => "leaves at once: nothing that it inherited is tidied up a second time",
        "waitid" if has("WNOHANG") => "asks whether a worker has ended",
        "waitid" => "takes note of the end of a worker, which is gone from then on",
        "pidfd_send_signal" => "ends a worker that has nothing more to do",
        "munmap" => "the addresses are free again",
        "close" => "the last one that had the file open: its memory goes back to the kernel",
        _ => return None,
    })
}

/// A text in lines of at most [`WIDTH`]; the first with one indent, the others with another.
pub fn wrapped(text: &str, first: &str, others: &str) -> String {
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.extend([line.as_str(), "\n"]);
            line = others.to_owned();
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.extend([line.as_str(), "\n"]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_not_too_long() {
        let text = "word ".repeat(50);
        let lines = wrapped(text.trim(), "   ", "     ");
        assert!(lines.lines().all(|line| line.len() <= WIDTH) && lines.lines().count() > 2);
        assert!(lines.starts_with("   word") && lines.lines().nth(1).unwrap().starts_with("     word"));
        assert_eq!(wrapped(&"x".repeat(100), "  ", ""), format!("  {}\n", "x".repeat(100)));
    }
}
