//! What `/proc` tells of this process and machine.

use std::fs;

/// The value in bytes of a `Name:   123 kB` line.
fn kilobytes(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok())
        .map_or(0, |number| number * 1024)
}

/// Resident bytes of this process.
pub fn rss_bytes() -> u64 {
    fs::read_to_string("/proc/self/status").map_or(0, |text| kilobytes(&text, "VmRSS"))
}

/// Bytes that this process shares with nobody and has written: in a child, what was copied on write.
pub fn private_dirty_bytes() -> u64 {
    fs::read_to_string("/proc/self/smaps_rollup").map_or(0, |text| kilobytes(&text, "Private_Dirty"))
}

/// Whether the kernel has a process wait for what cannot be interrupted, which is a disk as a rule.
pub fn waits_for_disk(pid: i32) -> bool {
    // The state stands behind the name, which is in brackets and may hold anything.
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D'))
}

/// Bytes of memory of the machine.
pub fn total_memory_bytes() -> u64 {
    fs::read_to_string("/proc/meminfo").map_or(0, |text| kilobytes(&text, "MemTotal"))
}

/// System, release and architecture, as `uname -srm` has them.
pub fn system() -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {} {}", read("ostype").trim(), read("osrelease").trim(), std::env::consts::ARCH)
}
