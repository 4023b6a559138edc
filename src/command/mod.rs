//! The subcommands beside `serve`: their options, and which part of the program they call.

pub mod audit;
pub mod node;
pub mod secret_key;

use std::io::Write;

use anyhow::Context;

/// Writes to the terminal. Whoever stops reading, as `head` does, ends the program without an error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => outcome.context("writing to the terminal"),
    }
}
