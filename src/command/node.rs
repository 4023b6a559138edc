use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use atoll::{
    node::{self, Checked, Decide, NodeConfig, Station},
    protocol::review::{Approval, Verdict},
};
use clap::{Args, Subcommand};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{keep_temporary_files_in, print};

#[derive(Args)]
pub struct Node {
    /// The node's configuration
    #[arg(long, env = "ATOLL_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The file in which the node remembers what it has to, instead of state_file in the configuration
    #[arg(long, env = "ATOLL_STATE_FILE", value_name = "FILE", global = true)]
    state_file: Option<PathBuf>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// Decide whether runs may start and whether their results may leave; on the node's machine, without any server
    #[command(subcommand)]
    Reviews(Reviews),
    /// Look at the configuration and the databases: what is in them, what is wrong with them, and what of them is told. It says no
    /// value, and ends with 1 if a run could not read one of them
    Check,
}

#[derive(Subcommand)]
enum Reviews {
    /// All reviews: those that wait first, the oldest of them on top
    List,
    /// A code that opens the node's own page (review_page in the configuration) once
    Code,
    /// Everything about the review of a run, a held result included
    Show { run_id: i64 },
    /// Let a run start, or its held result leave
    Approve {
        run_id: i64,
        /// A comment for the record
        #[arg(long, default_value = "")]
        comment: String,
        /// Also for other runs that ask for exactly the same, until the end of this day (UTC), such as 2027-01-31
        #[arg(long, value_name = "DATE")]
        until: Option<String>,
        /// Also for other runs that ask for exactly the same, this many in all
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        runs: Option<u32>,
        /// Also for all other runs that ask for exactly the same, where the policy is first_time
        #[arg(long, conflicts_with_all = ["until", "runs"])]
        from_now_on: bool,
        /// Let the other runs start also when the data have changed by then; without it each is reviewed again after a
        /// change
        #[arg(long)]
        any_data: bool,
        #[command(flatten)]
        decider: Decider,
    },
    /// Refuse a run, or withhold its result
    Reject {
        run_id: i64,
        /// Why; the researcher reads it
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        decider: Decider,
    },
    /// Take an approval back: before the run has started it waits again, after that no other run starts by it
    Withdraw {
        run_id: i64,
        /// Why, for the record
        #[arg(long, default_value = "")]
        comment: String,
        #[command(flatten)]
        decider: Decider,
    },
}

#[derive(Args)]
struct Decider {
    /// The beginning of the hash that `show` shows, so that nothing else is decided about than what you looked at
    #[arg(long, value_name = "HASH")]
    hash: Option<String>,
    /// Who decides, for the record; by default who is signed in at this machine
    #[arg(long = "as", value_name = "NAME", env = "USER", default_value = "an admin", hide_env_values = true)]
    by: String,
}

/// Runs the node, or one of its commands.
pub async fn run(options: Node, stop: CancellationToken) -> anyhow::Result<()> {
    let path = options.config.context("--config FILE (ATOLL_CONFIG) is needed: the node's configuration")?;
    let mut config = NodeConfig::read(&path)?;
    config.state_file = options.state_file.or(config.state_file);
    let action = match options.action {
        Some(Action::Reviews(action)) => action,
        Some(Action::Check) => {
            let Checked { text, is_well } = spawn_blocking(move || node::check(&config)).await?;
            print(&text)?;
            return if is_well { Ok(()) } else { bail!("there are problems") };
        }
        None => {
            keep_temporary_files_in(config.state_file().parent().unwrap_or(Path::new("")));
            return Ok(Station::new(config).run(stop).await?);
        }
    };
    let decide = |run_id, verdict, reason, decider: Decider, approval| Decide {
        run_id,
        verdict,
        reason,
        by: decider.by,
        hash: decider.hash,
        approval,
    };
    let once = || Approval { this_run_only: true, ..Default::default() };
    let text = match action {
        Reviews::List => node::list(&config).await?,
        Reviews::Code => node::page_code(&config).await?,
        Reviews::Show { run_id } => node::show(&config, run_id).await?,
        Reviews::Approve { run_id, comment, until, runs, from_now_on, any_data, decider } => {
            let this_run_only = until.is_none() && runs.is_none() && !from_now_on;
            if this_run_only && any_data {
                bail!("--any-data is about other runs: it goes with --until, --runs or --from-now-on");
            }
            let until = until.as_deref().map(node::end_of_day).transpose()?;
            let approval = Approval { this_run_only, until, runs, any_data };
            node::decide(&config, decide(run_id, Verdict::Approve, comment, decider, approval)).await?
        }
        Reviews::Reject { run_id, reason, decider } => {
            node::decide(&config, decide(run_id, Verdict::Reject, reason, decider, once())).await?
        }
        Reviews::Withdraw { run_id, comment, decider } => {
            node::decide(&config, decide(run_id, Verdict::Withdraw, comment, decider, once())).await?
        }
    };
    print(&text)
}
