//! What commands left behind when the node was ended by force: they would go on beside the same run that starts again, and
//! their folders hold inputs, results and tokens.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
};

/// The variable that says in which folder a command runs. All that it starts has it, too.
pub const RUN_FOLDER: &str = "ATOLL_RUN_FOLDER";

/// Where the folders of runs are: beside the state file, which one program has at a time.
pub fn folder_of_runs(state_file: &Path) -> PathBuf {
    let folder = state_file.with_extension("runs");
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Ends what still runs in one of these folders, removes them, and makes the place for new ones.
pub fn clear(runs: &Path) -> io::Result<()> {
    end_processes(runs);
    match fs::remove_dir_all(runs) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(runs)
}

/// How often it is looked again: what is ended could have started something else meanwhile.
#[cfg(target_os = "linux")]
const ROUNDS: usize = 20;

#[cfg(target_os = "linux")]
fn end_processes(runs: &Path) {
    use rustix::process::{Pid, Signal, kill_process};
    let mut begin = format!("{RUN_FOLDER}=").into_bytes();
    begin.extend(runs.as_os_str().as_bytes());
    begin.push(b'/');
    for _ in 0..ROUNDS {
        let left: Vec<Pid> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let pid = entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)?;
                // Of others, and of those that have ended, nothing is read.
                let variables = fs::read(entry.path().join("environ")).ok()?;
                variables.split(|byte| *byte == 0).any(|variable| variable.starts_with(&begin)).then_some(pid)
            })
            .collect();
        if left.is_empty() {
            return;
        }
        for pid in left {
            tracing::warn!(pid = pid.as_raw_nonzero(), "a command of before this start is ended");
            if let Err(error) = kill_process(pid, Signal::KILL) {
                tracing::debug!(%error, "it has ended");
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[cfg(not(target_os = "linux"))]
fn end_processes(_: &Path) {}
