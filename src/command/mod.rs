//! The subcommands beside `serve`: their options, and which part of the program they call.

pub mod audit;
pub mod node;
pub mod secret_key;

use std::{io::Write, path::Path};

use anyhow::Context;

/// Writes to the terminal. Whoever stops reading, as `head` does, ends the program without an error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => outcome.context("writing to the terminal"),
    }
}

/// Lets temporary files be in this folder, unless the environment names another one: /tmp may be memory.
pub fn keep_temporary_files_in(folder: &Path) {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if std::env::var_os("TMPDIR").is_none() && folder.is_dir() {
        // An error says that a folder was named before.
        let _ = tempfile::env::override_temp_dir(folder);
    }
}
