//! The subcommands: their options, and which part of the program they call; and what they share.

pub mod audit;
pub mod log;
pub mod node;
mod secret_key;
pub mod serve;
pub mod stop;

use std::{io::Write, path::Path};

use anyhow::Context;
use clap::builder::Resettable;

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

/// Files of variables often have lines without a value: they count as not given.
pub fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg });
    let names: Vec<String> = command.get_subcommands().map(|role| role.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, without_empty_variables))
}

/// An error with its causes, each said once, and without where in the program it comes from.
pub fn in_words(error: &anyhow::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !words.iter().any(|said| said.contains(&cause)) {
            words.push(cause);
        }
    }
    words.join(": ")
}
