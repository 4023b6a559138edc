//! The node's audit log is signed at its end, and hub and node keep the ends of each other's logs: neither is written anew
//! unnoticed.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use secrecy::ExposeSecret;
use sqlx::SqliteConnection;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    NodeConfig,
    station::Shared,
    store::{NodeStore, StoreError, own_schema},
};
use crate::{
    audit::{self, Entry, Head, HeadFile, HeadKey, LastHead, Signed},
    protocol::{audit::Exchange, client::ClientError},
};

/// How often the end is signed, if it is another one.
const ROUND: Duration = Duration::from_secs(1);
/// How often the second file is given the entries that it lacks.
const SHIP: Duration = Duration::from_secs(1);
/// After how many rounds ends are exchanged, …
const EXCHANGE: u64 = 120;
/// … and the own one is written into the program's log.
const TELL: u64 = 3_600;
/// How often a program that ends tries to sign the last entry.
const TIMES_TO_END: usize = 3;
/// What is noted where no end has a signature of the key.
const ANEW: &str = "no end was signed with this key: ends were taken away, or the key or the version is another one";
/// Whose log the hub's is.
const HUB: &str = "hub";

/// With what the ends of a node's log are signed: what is made of its key, which is not in its file.
pub fn head_key(config: &NodeConfig) -> HeadKey {
    HeadKey::derive(config.api_key.expose_secret().as_bytes())
}

/// A log that this program has begun: nobody else may end it.
pub struct Begun {
    key: HeadKey,
    file: HeadFile,
    /// The end that was signed last.
    known: tokio::sync::Mutex<Option<Head>>,
    /// Whether the log says that it is not signed any more.
    is_told: AtomicBool,
}

/// Signs and exchanges ends for as long as it is polled.
pub async fn keep(shared: &Shared, log: &Begun) {
    let mut interval = interval(ROUND);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_ours = true;
    for round in 0_u64.. {
        interval.tick().await;
        if let Err(error) = log.sign_new(&shared.store).await {
            tracing::error!(%error, "the end of the audit log is not signed");
        }
        if round.is_multiple_of(TELL)
            && let Some(head) = log.known.lock().await.as_ref()
        {
            tracing::info!(%head, "the end of the audit log");
        }
        if is_ours && round.is_multiple_of(EXCHANGE) {
            match exchange(shared).await {
                Ok(()) => {}
                // Servers of vantage6 have no such log.
                Err(WitnessError::Hub(ClientError::NotFound(_))) => is_ours = false,
                Err(error @ WitnessError::Store(_)) => {
                    tracing::error!(%error, "the ends of the audit logs are not exchanged: has somebody changed the file?");
                }
                Err(error) => tracing::debug!(%error, "the ends of the audit logs are not exchanged"),
            }
        }
    }
}

/// Writes entries into a second file as they come, for as long as it is polled.
pub async fn keep_file(store: &NodeStore, file: &Path) {
    let mut interval = interval(SHIP);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut told, mut shipped) = (String::new(), None);
    loop {
        interval.tick().await;
        let trouble = audit::ship(store.pool(), store.pool(), file, &mut shipped).await.err();
        let trouble = trouble.map(|error| error.to_string()).unwrap_or_default();
        if trouble != told && !trouble.is_empty() {
            tracing::error!(trouble, "entries of the audit log wait for their second file");
        }
        told = trouble;
    }
}

#[derive(Debug, thiserror::Error)]
enum WitnessError {
    #[error(transparent)]
    Hub(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] sqlx::Error),
    #[error("the hub tells {0}")]
    Unreadable(&'static str),
}

/// Signs the end that the program finds when it begins, of a new log before its first entry. An entry says if it was ended
/// by force, or if something is wrong.
pub async fn begin(store: &NodeStore, config: &NodeConfig) -> Result<Begun, StoreError> {
    let (key, file) = (head_key(config), HeadFile::beside(&config.state_file()));
    let (last, looked_at) = file.read_with_time(&key).unzip();
    let is_used = store.is_used().await?;
    let signed = audit::signed_heads(store.pool(), &key).await?;
    let known: Vec<Head> = signed.heads.iter().cloned().chain(last.as_ref().map(|last| last.head.clone())).collect();
    let broken = match audit::verify(store.pool(), &known).await? {
        Ok(_) => None,
        Err(broken) => {
            tracing::error!(%broken, "the audit log does not hold");
            Some(format!("at the start the chain was broken: {broken}"))
        }
    };
    let trouble = match broken {
        Some(broken) => Some(broken),
        None if is_used => audit::trouble_at_start(store.pool(), &key, &file).await?,
        None => None,
    };
    let log = Begun { key, file, known: tokio::sync::Mutex::default(), is_told: AtomicBool::default() };
    // In one transaction: nothing is signed that does not tell what is wrong, or the next start would take it for whole.
    let mut known = last.as_ref().map(|last| last.head.clone());
    let mut transaction = store.pool().begin_with("BEGIN IMMEDIATE").await?;
    store.log().begin(&mut transaction).await?;
    let signed = log.sign_in(&mut transaction, &mut known, trouble.is_none()).await?;
    let trouble = trouble.map(|trouble| if signed == Signed::Anew { format!("{ANEW}; {trouble}") } else { trouble });
    let trouble: Vec<String> = trouble.into_iter().chain(store.found().map(str::to_owned)).collect();
    if !trouble.is_empty() {
        note(&mut transaction, "audit log", &trouble.join("; ")).await?;
    }
    if let Some(LastHead { head, is_closed: false }) = last {
        audit::append(&mut transaction, &Entry::unclosed(&head, &looked_at.unwrap_or_default())).await?;
    }
    transaction.commit().await?;
    log.signed(store, signed, known.as_ref())?;
    *log.known.lock().await = known;
    Ok(log)
}

impl Begun {
    /// Signs the last end, and says beside the log that nothing comes behind it any more.
    pub async fn end(&self, store: &NodeStore) -> Result<(), StoreError> {
        for _ in 0..TIMES_TO_END {
            self.sign(store).await?;
            let present = audit::head(&mut *store.pool().acquire().await?).await?;
            if let Some(last) = self.file.read(&self.key).filter(|last| last.head == present) {
                tracing::info!(head = %present, "the end of the audit log");
                return Ok(self.file.write(&self.key, &LastHead { is_closed: true, ..last })?);
            }
            // A command has written in this moment.
        }
        Ok(())
    }

    /// Signs the present end, if it is another one than before.
    async fn sign_new(&self, store: &NodeStore) -> Result<(), StoreError> {
        let mut connection = store.pool().acquire().await?;
        let is_doubtful = store.log().is_doubtful(&mut connection).await?;
        let present = audit::head(&mut connection).await?;
        drop(connection);
        if !is_doubtful && self.known.lock().await.as_ref() == Some(&present) {
            // On a full disk it can be behind.
            return Ok(self.file.write(&self.key, &LastHead { head: present, is_closed: false })?);
        }
        self.sign(store).await
    }

    /// Looks whether the log went on from where this program left it, and signs the present end, in one transaction: nobody
    /// writes in between. What is wrong and cannot be told is not signed.
    async fn sign(&self, store: &NodeStore) -> Result<(), StoreError> {
        let own = own_schema().await?;
        let mut known = self.known.lock().await;
        let mut transaction = store.pool().begin_with("BEGIN IMMEDIATE").await?;
        let (trouble, seen) = store.log().look(&mut transaction, &self.key, known.as_ref(), own).await?;
        if let Some(trouble) = trouble {
            note(&mut transaction, "audit log", &trouble).await?;
        }
        let mut next = known.clone();
        let signed = self.sign_in(&mut transaction, &mut next, true).await?;
        transaction.commit().await?;
        *known = next;
        store.log().seen(seen);
        Ok(self.signed(store, signed, known.as_ref())?)
    }

    async fn sign_in(
        &self,
        connection: &mut SqliteConnection,
        known: &mut Option<Head>,
        tells: bool,
    ) -> Result<Signed, sqlx::Error> {
        let signed = audit::sign_head(&mut *connection, &self.key, known).await?;
        match signed {
            Signed::Anew if tells => note(connection, "audit log", ANEW).await?,
            // It is not signed, so the program says it once.
            Signed::Broken if !self.is_told.swap(true, Ordering::Relaxed) => {
                note(
                    connection,
                    "audit log",
                    "it does not hold the end that was signed before: somebody has written to the file",
                )
                .await?;
            }
            _ => {}
        }
        Ok(signed)
    }

    /// The end was signed, or could not be.
    fn signed(&self, store: &NodeStore, signed: Signed, known: Option<&Head>) -> std::io::Result<()> {
        if let (Signed::Holds, Some(end)) = (signed, known) {
            store.log().signed(end);
        }
        if let (Signed::Holds | Signed::Anew, Some(known)) = (signed, known) {
            self.file.write(&self.key, &LastHead { head: known.clone(), is_closed: false })?;
        }
        Ok(())
    }
}

async fn exchange(shared: &Shared) -> Result<(), WitnessError> {
    let (head, known) = {
        let mut connection = shared.store.pool().acquire().await?;
        (audit::head(&mut connection).await?, audit::kept_head(&mut connection, HUB).await?)
    };
    let exchange = Exchange { head: head.to_string(), known: known.as_ref().map(Head::to_string), lost: None };
    let told = shared.hub.exchange_heads(&exchange).await?;
    let of_hub: Head = told.head.parse().map_err(WitnessError::Unreadable)?;
    let of_us: Option<Head> = told.known.as_deref().map(str::parse).transpose().map_err(WitnessError::Unreadable)?;
    let mut transaction = shared.store.pool().begin_with("BEGIN IMMEDIATE").await?;
    // The hub's word alone does not count: a log that became shorter is not the one of before.
    let is_other =
        known.as_ref().is_some_and(|known| of_hub.id < known.id || (of_hub.id == known.id && of_hub != *known));
    let goes_on = told.holds && !is_other;
    if !told.holds {
        let known = exchange.known.clone().unwrap_or_default();
        note_once(&mut transaction, "hub", &format!("the hub's log has no entry {known} any more")).await?;
    } else if let Some(known) = known.filter(|_| is_other) {
        note_once(&mut transaction, "hub", &format!("the hub's log ended with {known} before, now with {of_hub}"))
            .await?;
    }
    let mut lost = None;
    if let Some(of_us) = of_us
        && !audit::holds(&mut transaction, &of_us).await?
    {
        lost = Some(of_us.to_string());
        note_once(&mut transaction, "audit log", &format!("the hub knows {of_us}, which is not in this log any more"))
            .await?;
    }
    audit::keep_head(&mut transaction, HUB, &of_hub, goes_on).await?;
    transaction.commit().await?;
    // The hub cannot know it by itself.
    if lost.is_some() {
        shared.hub.exchange_heads(&Exchange { known: None, lost, ..exchange }).await?;
    }
    Ok(())
}

/// Says that a log was changed.
async fn note(connection: &mut SqliteConnection, subject: &str, details: &str) -> Result<(), sqlx::Error> {
    tracing::error!(subject, details, "an audit log was changed");
    let entry = Entry::done("system", "audit.mismatch", subject).outcome("failed").details(details);
    audit::append(connection, &entry).await
}

/// The same of what is found every two minutes: once.
async fn note_once(connection: &mut SqliteConnection, subject: &str, details: &str) -> Result<(), sqlx::Error> {
    tracing::error!(subject, details, "an audit log was changed");
    let entry = Entry::done("system", "audit.mismatch", subject).outcome("failed").details(details);
    audit::append_change(connection, &entry).await
}
