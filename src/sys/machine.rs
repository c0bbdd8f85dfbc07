//! Which machine this is, for who reads a record elsewhere.

use std::fs;
use std::sync::OnceLock;

use super::page::page_size;
use super::{cpu, limits};

/// The machine that a job ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "record", derive(serde::Serialize))]
pub struct Machine {
    /// The model of its CPUs; empty where the system does not say.
    pub cpu: String,
    /// How many of them the job could use.
    pub cpus: usize,
    /// Its memory in bytes.
    #[cfg_attr(feature = "record", serde(rename = "memory_bytes"))]
    pub memory: u64,
    /// The size of a page in bytes.
    #[cfg_attr(feature = "record", serde(rename = "page_bytes"))]
    pub page: usize,
    /// The release of its kernel.
    pub kernel: String,
}

impl Machine {
    /// This one; looked up once.
    pub fn this() -> &'static Self {
        static THIS: OnceLock<Machine> = OnceLock::new();
        THIS.get_or_init(|| {
            let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
            Self {
                cpu: model(&text("/proc/cpuinfo")),
                cpus: cpu::count(),
                memory: limits::kib_field(&text("/proc/meminfo"), "MemTotal:").unwrap_or(0),
                page: page_size(),
                kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            }
        })
    }
}

/// What /proc/cpuinfo calls the first CPU: x86 has a model's name, aarch64 only numbers.
fn model(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    field("model name").or_else(|| field("CPU part").map(|part| format!("part {part}"))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_something() {
        let this = Machine::this();
        assert!(this.cpus > 0 && this.memory > 0 && this.page >= 4096 && !this.kernel.is_empty(), "{this:?}");
    }

    #[test]
    fn models_of_either_kind_of_cpu() {
        assert_eq!(model("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nmodel name\t: B\n"), "A CPU @ 2 GHz");
        assert_eq!(model("processor\t: 0\nCPU part\t: 0xd0c\n"), "part 0xd0c");
        assert_eq!(model(""), "");
    }
}
