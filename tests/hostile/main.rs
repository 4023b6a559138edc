//! Hostile programs of each kind against the real ones: a hub, an algorithm store, an algorithm and a node. What they do
//! is varied by a seed: `ATOLL_ATTACK_SEED` names another one, and a failure says which it was.

#[path = "../support/mod.rs"]
mod support;

mod honeypot;
mod hub;
mod station;
mod variation;

/// The most that a process holds at any time, in MB.
fn peak(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() >> 10
}
