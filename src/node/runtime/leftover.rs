//! What commands left behind when the node was ended by force: they would go on beside the same run that starts again, and
//! their folders hold inputs, results and tokens.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use crate::audit::beside;

/// The variable that says in which folder a command runs. All that it starts has it, too.
pub const RUN_FOLDER: &str = "ATOLL_RUN_FOLDER";

/// Where the folders of runs are: beside the state file, which one program has at a time. By its real path, so that it is
/// the same however the file is named.
pub fn folder_of_runs(state_file: &Path) -> PathBuf {
    let file = fs::canonicalize(state_file).or_else(|_| std::path::absolute(state_file));
    beside(&file.unwrap_or_else(|_| state_file.to_owned()), "runs")
}

/// Ends what still runs in one of these folders, removes them, and makes the place for new ones. What cannot be removed
/// is put aside: it keeps no node from starting.
pub fn clear(runs: &Path) -> io::Result<()> {
    end_processes(runs);
    if let Err(error) = remove(runs) {
        let aside = beside(runs, &format!("left-{}", std::process::id()));
        tracing::warn!(%error, aside = %aside.display(), "folders of earlier runs cannot be removed, and are put aside");
        fs::rename(runs, aside)?;
    }
    DirBuilder::new().mode(0o700).create(runs)
}

/// Layers of unreadable folders that are opened.
const LAYERS: usize = 10;

/// Removes a folder with all that is in it, also where an algorithm has made it read-only; links are not followed.
pub fn remove(folder: &Path) -> io::Result<()> {
    for _ in 0..LAYERS {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => make_writable(folder),
            _ => return Ok(()),
        }
    }
    fs::remove_dir_all(folder)
}

/// Gives the owner all rights to the folders in it that can be read.
fn make_writable(folder: &Path) {
    let entries = WalkDir::new(folder).into_iter().filter_map(|entry| match entry {
        Ok(entry) => entry.file_type().is_dir().then(|| entry.into_path()),
        // A folder that cannot be read.
        Err(error) => error.path().map(Path::to_owned),
    });
    for path in entries {
        if let Err(error) = fs::set_permissions(&path, fs::Permissions::from_mode(0o700)) {
            tracing::debug!(%error, "a folder's permissions stay as they are");
        }
    }
}

/// How often processes are looked for: one that was ended may have started another meanwhile.
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
