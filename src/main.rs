//! The command line. Nothing but wiring.

mod command;

use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Analyses on data that never leave the organizations that hold them. Speaks the vantage6 4.x protocol.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Command {
    /// Write the log as JSON, one object a line
    #[arg(long, env = "ATOLL_LOG_JSON", global = true)]
    log_json: bool,
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Serve the web application, and beside it the embedded hub unless --hub names another
    ///
    /// The first start without --demo makes the account "root" with the password in ATOLL_ROOT_PASSWORD, or with a
    /// random one that is printed once.
    Serve(Box<command::serve::Serve>),
    /// Run a data station: take the runs of one organization and compute them beside its data
    ///
    /// The file is the YAML of a vantage6 4.x node; docs/node.md says which of its keys have a meaning here, and which
    /// are Atoll's own.
    Node(command::node::Node),
    /// Check or write the audit log of the hub, or of a node
    Audit(command::audit::Audit),
}

/// After so many tasks it is looked for what has arrived: with tokio's 61 a request waits long behind many pages.
const TASKS_BETWEEN_EVENTS: u32 = 7;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(TASKS_BETWEEN_EVENTS)
        .global_queue_interval(TASKS_BETWEEN_EVENTS)
        .build();
    let started = runtime.context("the threads cannot be started").and_then(|runtime| runtime.block_on(start()));
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {}", command::in_words(&error));
            ExitCode::FAILURE
        }
    }
}

async fn start() -> anyhow::Result<()> {
    let matches = command::without_empty_variables(Command::command()).get_matches();
    let command = Command::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    command::log::begin(command.log_json)?;
    let stop = command::stop::stop_on_signal()?;
    match command.role {
        Role::Serve(options) => command::serve::run(*options, stop).await,
        Role::Node(options) => command::node::run(options, stop).await,
        Role::Audit(options) => command::audit::run(options).await,
    }
}
