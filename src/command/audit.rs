use std::{io::Write, path::PathBuf};

use anyhow::{Context, bail};
use atoll::{audit, node::NodeConfig};
use clap::{Args, Subcommand, ValueEnum};
use futures::StreamExt;

use super::print;

#[derive(Args)]
pub struct Audit {
    /// Folder of the hub's database
    #[arg(long, env = "ATOLL_DATA", default_value = "data", value_name = "DIR", global = true)]
    data: PathBuf,
    /// Configuration of a node, for its own log instead of the hub's
    #[arg(long, value_name = "FILE", global = true)]
    node: Option<PathBuf>,
    /// The node's file, if its configuration does not say where it is
    #[arg(long, env = "ATOLL_STATE_FILE", value_name = "FILE", global = true, requires = "node")]
    state_file: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Check that no entry was changed or taken away; prints the end of the chain
    Verify {
        /// An end of the chain that was printed before, as NUMBER:HASH: it has to be still in it
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<String>,
    },
    /// Write all entries to standard output, the first on top
    Export {
        #[arg(long, value_enum, default_value_t = Format::Json)]
        format: Format,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON object a line
    Json,
    /// Comma-separated values with a header line
    Csv,
}

/// Checks or writes an audit log. It may be in use at the same time.
pub async fn run(options: Audit) -> anyhow::Result<()> {
    let file = match &options.node {
        Some(config) => match options.state_file {
            Some(file) => file,
            None => NodeConfig::read(config)?.state_file(),
        },
        None => options.data.join("hub.sqlite"),
    };
    let pool = audit::open(&file).await.with_context(|| format!("opening {}", file.display()))?;
    match options.action {
        Action::Verify { head } => {
            let known = head.as_deref().map(str::parse).transpose().map_err(anyhow::Error::msg)?;
            match audit::verify(&pool, known.as_ref()).await? {
                Ok(head) => print(&format!("The chain holds: {} entries, its end is {head}\n", head.id)),
                Err(broken) => bail!("the chain is broken: {broken}"),
            }
        }
        Action::Export { format } => {
            let mut entries = std::pin::pin!(audit::read_all(&pool));
            let mut csv = csv::Writer::from_writer(Vec::new());
            while let Some(entry) = entries.next().await {
                let entry = entry?;
                match format {
                    Format::Json => print(&format!("{}\n", serde_json::to_string(&entry)?))?,
                    Format::Csv => {
                        csv.serialize(entry.neutralised())?;
                        csv.flush()?;
                        print(&String::from_utf8_lossy(csv.get_ref()))?;
                        csv = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
                    }
                }
            }
            std::io::stdout().flush().context("writing to the terminal")
        }
    }
}
