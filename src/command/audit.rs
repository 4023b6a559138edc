use std::{io::Write, path::PathBuf};

use anyhow::{Context, bail};
use atoll::{
    audit::{self, Head, HeadFile, HeadKey, LastHead, SignedHeads},
    node::{self, NodeConfig},
};
use clap::{Args, Subcommand, ValueEnum};
use futures::StreamExt;

use super::{print, secret_key};

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
        /// An end of the chain that was kept elsewhere, as NUMBER:HASH: it has to be still in it. Can be given several
        /// times
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Vec<Head>,
        /// File with such ends, as `atoll audit heads` writes them on the other side: the hub's at a node, a node's at
        /// the hub. Of each line the word that is one counts
        #[arg(long, value_name = "FILE")]
        heads: Option<PathBuf>,
        /// Whose ends of that file count, such as "node 3": needed where there are those of several nodes
        #[arg(long, value_name = "NAME", requires = "heads")]
        of: Option<String>,
        /// File with the secret key of the hub, if it is not where the server finds it
        #[arg(long, env = "ATOLL_SECRET_KEY_FILE", value_name = "FILE", conflicts_with = "node")]
        secret_key_file: Option<PathBuf>,
    },
    /// Write the ends of others' logs that are kept here: at a node those of the hub, at the hub those of nodes
    Heads,
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
        Action::Verify { head: mut known, heads, of, secret_key_file } => {
            if let Some(file) = heads {
                let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
                let before = known.len();
                known.extend(ends_in(&text, of.as_deref(), options.node.is_some())?);
                if known.len() == before {
                    bail!("{} has no end of a chain such as 12:1f3a… that is of this log", file.display());
                }
            }
            let key = match &options.node {
                Some(config) => Some(node::head_key(&NodeConfig::read(config)?)),
                None => {
                    secret_key::if_there_is_one(secret_key_file.as_deref(), &options.data)?.map(|key| key.head_key())
                }
            };
            let own = match &options.node {
                Some(_) => node::own_schema().await?,
                None => atoll::hub::own_schema().await?,
            };
            let made = audit::made(&mut *pool.acquire().await?).await?;
            let differences = audit::differences(&made, own);
            if audit::is_of_earlier_version(&made, own) {
                print(
                    "The file has not seen all changes of this version: tables beside those of the log are not compared.\n",
                )?;
            }
            verify(&pool, known, key, HeadFile::beside(&file), audit::in_words(&differences)).await
        }
        Action::Heads => {
            for kept in audit::kept_heads(&pool).await? {
                print(&format!("{} {} {}\n", kept.at, kept.head, kept.origin))?;
            }
            Ok(())
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

/// The ends of one log among those of a file: a hub's are called so, others are of nodes. Without a word behind it an end
/// can be of any.
fn ends_in(text: &str, of: Option<&str>, is_node: bool) -> anyhow::Result<Vec<Head>> {
    let ends = text.lines().filter_map(|line| {
        let place = line.split_whitespace().position(|word| word.parse::<Head>().is_ok())?;
        let head = line.split_whitespace().nth(place)?.parse::<Head>().ok()?;
        Some((head, line.split_whitespace().skip(place + 1).collect::<Vec<_>>().join(" ")))
    });
    let is_meant = |origin: &str| match of {
        Some(of) => origin == of,
        None => origin.is_empty() || (origin != "hub") == is_node,
    };
    let ends: Vec<(Head, String)> = ends.filter(|(_, origin)| is_meant(origin)).collect();
    let mut origins: Vec<&String> = ends.iter().map(|(_, origin)| origin).filter(|origin| !origin.is_empty()).collect();
    origins.dedup();
    if origins.len() > 1 {
        bail!("there are ends of several logs: say which is meant, such as --of \"{}\"", origins[0]);
    }
    Ok(ends.into_iter().map(|(head, _)| head).collect())
}

/// Checks a chain, and says against what.
async fn verify(
    pool: &sqlx::SqlitePool,
    mut known: Vec<Head>,
    key: Option<HeadKey>,
    file: HeadFile,
    foreign_schema: Option<String>,
) -> anyhow::Result<()> {
    let given = known.len();
    let signed = match &key {
        Some(key) => audit::signed_heads(pool, key).await?,
        None => SignedHeads::default(),
    };
    if signed.forged > 0 {
        bail!("the chain is broken: of {} ends it is said that the key signed them, which is not true", signed.forged);
    }
    known.extend(signed.heads.iter().cloned());
    let last = key.as_ref().and_then(|key| file.read(key));
    let beside = last.as_ref().map(|last| last.head.clone());
    known.extend(beside.clone());
    let head = match audit::verify(pool, &known).await? {
        Ok(head) => head,
        Err(broken) => bail!("the chain is broken: {broken}"),
    };
    if key.is_some() && signed.are_missing(head.id) {
        bail!(
            "no end of the chain is signed with this key, though it has {} entries: somebody has taken the ends away, the key \
             is another one, or the log is from a version that signed none. By its hashes alone the chain holds",
            head.id
        );
    }
    // Without the file the last end in the table has to do, of a program that may be running.
    let of_table = signed.heads.last().map(|head| LastHead { head: head.clone(), is_closed: false });
    if let (Some(key), Some(last)) = (&key, last.or(of_table)) {
        let last = audit::last_known(pool, key, last).await?;
        if let Some(found) = audit::unsigned_behind(pool, key, &last).await? {
            bail!("{found}. By its hashes alone the chain holds");
        }
    }
    let indexes = (!audit::indexes_hold(&mut *pool.acquire().await?).await?).then(|| audit::INDEXES.to_owned());
    let told: Vec<String> = foreign_schema.into_iter().chain(indexes).collect();
    if !told.is_empty() {
        bail!("{}. By its hashes alone the chain holds", told.join("; "));
    }
    let ends = |number: usize| if number == 1 { "1 end".to_owned() } else { format!("{number} ends") };
    let mut compared = Vec::new();
    if let Some(last) = signed.heads.last() {
        compared.push(format!("{} signed with the key, the last of entry {}", ends(signed.heads.len()), last.id));
    }
    if let Some(head) = &beside {
        compared.push(format!("the end of entry {} in the file beside the database", head.id));
    }
    if given > 0 {
        compared.push(format!("{} that you gave", ends(given)));
    }
    print(&format!("The chain holds: {} entries, its end is {head}\n", head.id))?;
    print(&match compared.is_empty() {
        false => format!("Compared with {}.\n", compared.join(", and ")),
        true => {
            "Compared with nothing outside the file: who can write it could have written it anew. Give the secret key, \
                 or an end that was kept elsewhere (--head, --heads).\n"
                .to_owned()
        }
    })?;
    if key.is_some() && beside.is_none() {
        print("The file beside the database with the end that was signed last is not there: not compared.\n")?;
    }
    let (mismatches, last) = audit::mismatches(pool).await?;
    if let Some(last) = last {
        print(&format!("The log itself says {mismatches} times that it may have been changed, at last: {last}.\n"))?;
    }
    let (ended_by_force, last) = audit::unclosed(pool).await?;
    if let Some(last) = last {
        print(&format!(
            "The program was ended by force {ended_by_force} times, at last before {last}: each entry audit.unclosed says from \
             when on some could have been taken away.\n"
        ))?;
    }
    if signed.of_other_keys > 0 {
        print(&format!("Another key signed {}: not compared.\n", ends(signed.of_other_keys)))?;
    }
    Ok(())
}
