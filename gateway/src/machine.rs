//! The machine that the server runs on, and what the server takes of it.

use std::fs;
use std::time::Duration;

/// What the server takes of its machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory that are the process's own: pages of mapped files do not count.
    pub memory: u64,
    /// Bytes of memory that the process may have: those of the machine, or of its control group.
    pub memory_max: u64,
    /// Time that the process had of all processors so far.
    pub cpu: Duration,
    /// Processors.
    pub cores: usize,
}

/// Ticks in a second of /proc/self/stat on every Linux.
const TICKS: u64 = 100;

impl Usage {
    /// What it takes now; what the system does not say is 0.
    pub fn now() -> Usage {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Usage { memory: own_memory(), memory_max: memory_max(), cpu: cpu(), cores }
    }
}

/// Bytes of the process's own memory.
pub fn own_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kibibytes(&status, "RssAnon:") + kibibytes(&status, "RssShmem:")
}

/// Bytes of memory that the process may have.
pub fn memory_max() -> u64 {
    let machine = kibibytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal:");
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = group.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    // Without a limit it is a number beyond every machine.
    group.map_or(machine, |group: u64| if machine > 0 { group.min(machine) } else { group })
}

fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything: the 12th and 13th are user and system time.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / TICKS)
}

/// Bytes of a line `<key> <number> kB`.
fn kibibytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_its_key_and_what_is_missing_is_nothing() {
        let text = "VmRSS:\t  12 kB\nRssAnon:\t  34 kB\n";
        assert_eq!(kibibytes(text, "RssAnon:"), 34 << 10);
        assert_eq!(kibibytes(text, "RssShmem:"), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_says_what_this_process_takes() {
        let usage = Usage::now();
        assert!(usage.memory > 0 && usage.memory < usage.memory_max, "{usage:?}");
        assert!(usage.cores >= 1);
    }
}
