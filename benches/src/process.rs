//! What the operating system knows about a process: pages, memory, CPU time.

use std::fs;
use std::process::Command;

/// Runs this program again with an allocator that asks for 2 MiB pages, unless it already does.
///
/// glibc reads the setting before `main`; elsewhere the program goes on with the pages it has.
pub fn with_huge_pages() {
    const TUNABLES: &str = "GLIBC_TUNABLES";
    if std::env::var_os(TUNABLES).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let again = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(TUNABLES, "glibc.malloc.hugetlb=1")
        .status();
    if let Ok(status) = again {
        std::process::exit(status.code().unwrap_or(1));
    }
}

/// Bytes of this process that lie on transparent huge pages.
pub fn huge_page_bytes() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    kib_of(&rollup, "AnonHugePages:") * 1024
}

/// Resident bytes of a process; 0 if it is gone.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kib_of(&status, "VmRSS:") * 1024
}

/// The number after `name` at the start of a line of a /proc file.
fn kib_of(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// CPU seconds, user and system, that all threads of a process have used; 0 if it is gone.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks_of(&stat) as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// User and system ticks in the text of /proc/<pid>/stat.
fn ticks_of(stat: &str) -> u64 {
    // The second field is the program's name, in parentheses, and may hold anything.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let numbers = after_name.split_whitespace().skip(11).take(2);
    numbers.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::{cpu_seconds, kib_of, resident_bytes, ticks_of};

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "17 (a ) b) S 1 17 17 0 -1 4194560 999 0 3 0 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(ticks_of(stat), 300);
        assert_eq!(ticks_of(""), 0);
    }

    #[test]
    fn this_process_has_memory_and_a_missing_one_has_none() {
        assert!(resident_bytes(std::process::id()) > 100_000);
        assert_eq!(resident_bytes(u32::MAX), 0);
        assert_eq!(cpu_seconds(u32::MAX), 0.0);
        assert_eq!(kib_of("A: 1 kB\nVmRSS:   42 kB", "VmRSS:"), 42);
    }
}
