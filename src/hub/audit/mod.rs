//! What the hub writes into its audit log. Who changes something says so in the transaction of the change
//! ([`crate::hub::store::Store::change`]); what was refused or failed is noted by one layer around the API ([`note_refused`]); the
//! rest is here: sign-ins, and results that are read.

mod foreign;
mod keep;
mod refusal;

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use sqlx::{Connection, Sqlite, SqliteConnection, pool::PoolConnection};

pub use foreign::ForeignWrites;
pub use keep::{end, keep};
pub use refusal::{Repeated, note_ended, note_refused};

use super::{
    HubError,
    error::{is_busy, is_disk_full},
    permission::Caller,
    problem,
    resource::OF_NAME,
    server::HubState,
    store::{Store, own_schema},
    token::{Claims, ClientType, Subject as TokenSubject},
};
use crate::{
    audit::{self, Broken, Entry, Head, LastHead, Signed},
    protocol::audit::Exchanged,
};

/// How long it is believed that the chain holds, …
const VERIFIED_LIFETIME: Duration = Duration::from_secs(10);
/// … and that what was read of it is not changed behind.
const WHOLE_LIFETIME: Duration = Duration::from_secs(60);

/// What an entry tells of what was changed, of what there is to say: which things, and no values of them.
pub fn details(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The name of a text that is another one now.
pub fn changed(name: &str, before: &str, after: &Option<String>) -> Option<String> {
    after.as_deref().filter(|after| *after != before).map(|_| name.to_owned())
}

/// "roles +3 -2": which ids were added and taken away; nothing if none were.
pub fn difference(what: &str, before: &[i64], after: &[i64]) -> Option<String> {
    let only = |these: &[i64], others: &[i64], sign: &str| -> Vec<String> {
        let mut ids: Vec<i64> = these.iter().filter(|id| !others.contains(id)).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| format!("{sign}{id}")).collect()
    };
    let changes = [only(after, before, "+"), only(before, after, "-")].concat();
    (!changes.is_empty()).then(|| format!("{what} {}", changes.join(" ")))
}

/// The entry of something that a user did to the own account without being signed in: by mail, or at the sign-in.
pub async fn by_user(hub: &HubState, user_id: i64, action: &'static str) -> Result<Entry, HubError> {
    let organization_id: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM user WHERE id = ?")
        .bind(user_id)
        .fetch_optional(hub.store.reader())
        .await?;
    let user = format!("user {user_id}");
    Ok(Entry::done(user.clone(), action, user).of(organization_id))
}

/// Adds an entry by itself.
async fn record(hub: &HubState, entry: &Entry) -> Result<(), HubError> {
    hub.store.change().await?.commit(entry).await
}

/// Notes that somebody signed in, or did not, or gave the right password and was asked for a code. A name that nobody has is not written down: people type passwords there.
/// The same work is done for every name, so that the time tells nothing (CVE-2024-21671).
pub async fn note_sign_in(
    hub: &HubState,
    username: &str,
    action: &'static str,
    outcome: &'static str,
) -> Result<(), HubError> {
    // The name as the user has it, however it was typed.
    let known: Option<(i64, String, i64)> =
        sqlx::query_as(&format!("SELECT id, username, organization_id FROM user WHERE {OF_NAME}"))
            .bind(username)
            .fetch_optional(hub.store.reader())
            .await?;
    let entry = match known {
        Some((id, username, organization_id)) => {
            Entry::done(format!("user {id} ({username})"), action, format!("user {id}")).of(organization_id)
        }
        None => Entry::done("somebody", action, "an unknown name"),
    };
    let entry = entry.outcome(outcome);
    // Wrong ones come as often as somebody likes.
    let is_signed_in = (action, outcome) == ("sign_in", "done");
    if is_signed_in || hub.repeated.count(&entry) { record(hub, &entry).await } else { Ok(()) }
}

/// Notes that a node signed in with its key, or that somebody came with a key that no node has.
pub async fn note_node_sign_in(hub: &HubState, node_id: Option<i64>) -> Result<(), HubError> {
    let Some(id) = node_id else {
        let entry = Entry::done("somebody", "node.sign_in", "an unknown key").outcome("refused");
        return if hub.repeated.count(&entry) { record(hub, &entry).await } else { Ok(()) };
    };
    let organization_id: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM node WHERE id = ?")
        .bind(id)
        .fetch_optional(hub.store.reader())
        .await?;
    let node = format!("node {id}");
    let entry = Entry::done(node.clone(), "node.sign_in", node).of(organization_id);
    if hub.repeated.count(&entry) { record(hub, &entry).await } else { Ok(()) }
}

/// Notes that somebody reads the results of runs, an algorithm or a node, too: each time they are downloaded, and the first time in a while that they
/// are shown.
pub async fn note_results(hub: &HubState, caller: &Caller, runs: &[i64], downloads: bool) -> Result<(), HubError> {
    let reader = |run: i64| (caller.authority.actor.clone(), run);
    let is_new = |run: &i64| downloads || !hub.results_read.contains_key(&reader(*run));
    let runs: Vec<i64> = runs.iter().copied().filter(is_new).collect();
    if runs.is_empty() {
        return Ok(());
    }
    let action = if downloads { "result.download" } else { "result.read" };
    // One write for all of a page.
    let mut transaction = hub.store.bookkeeping().begin().await?;
    for run in &runs {
        let organization_id: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM run WHERE id = ?")
            .bind(run)
            .fetch_optional(&mut *transaction)
            .await?;
        let entry = Entry::done(&caller.authority.actor, action, format!("run {run}")).of(organization_id);
        audit::append(&mut transaction, &entry).await?;
    }
    transaction.commit().await?;
    for run in runs {
        hub.results_read.insert(reader(run), ());
    }
    Ok(())
}

/// What is known of the chain.
pub struct Verified {
    at: Instant,
    /// When it was read from its beginning.
    whole_at: Instant,
    outcome: Result<Head, Broken>,
}

/// Whether the chain holds, as of some seconds ago at most: how many entries there are, or where it breaks. What was read
/// within the last minutes is not read again, but for its end.
pub async fn verified(hub: &HubState) -> Result<Result<i64, Broken>, HubError> {
    let mut kept = hub.verified.clone().lock_owned().await;
    if let Some(verified) = kept.as_ref().filter(|verified| verified.at.elapsed() < VERIFIED_LIFETIME) {
        return Ok(verified.outcome.clone().map(|head| head.id));
    }
    let (pool, key) = (hub.store.reader().clone(), hub.secret_key.head_key());
    // What the hub knows of it elsewhere than in the database.
    let signed_last = hub.signed_head.lock().await.clone();
    let has_signed = signed_last.is_some();
    let of_file = hub.head_file.read(&key).map(|last| last.head).filter(|_| has_signed);
    let elsewhere = [signed_last, of_file].into_iter().flatten();
    // A long log takes a while. It is read to its end even if nobody waits for that any more.
    let reading = tokio::spawn(async move {
        let at = Instant::now();
        let recent = kept.as_ref().filter(|verified| verified.whole_at.elapsed() < WHOLE_LIFETIME);
        let (whole_at, from) = match recent {
            Some(Verified { whole_at, outcome: Ok(head), .. }) => (*whole_at, head.clone()),
            _ => (at, Head::default()),
        };
        let signed = audit::signed_heads(&pool, &key).await?;
        let known: Vec<Head> = signed.heads.iter().cloned().chain(elsewhere).collect();
        let outcome = match signed.forged {
            0 if signed.heads.is_empty() && has_signed => Err(Broken::NoEnds),
            0 => audit::verify_from(&pool, from, &known).await?,
            _ => Err(Broken::Forged),
        };
        *kept = Some(Verified { at: Instant::now(), whole_at, outcome: outcome.clone() });
        Ok::<_, sqlx::Error>(outcome.map(|head| head.id))
    });
    Ok(reading.await.map_err(|error| HubError::Internal(error.to_string()))??)
}

/// Whether the log lacks the end that was signed last: the database is from a backup, or somebody changed it. Ids come again
/// then, so an old token could be another user's.
pub async fn is_from_backup(store: &Store, last: Option<&Head>) -> Result<bool, HubError> {
    let holds = match last {
        Some(last) => audit::holds(&mut *store.reader().acquire().await?, last).await?,
        None => false,
    };
    Ok(!store.is_new() && !holds)
}

/// Looks whether the log is what it was when the hub ended, and signs its end: of a new log before its first entry.
pub async fn begin(hub: &HubState) -> Result<(), HubError> {
    let mut trouble = match verified(hub).await? {
        Ok(_) => None,
        Err(broken) => {
            tracing::error!(%broken, "the audit log does not hold");
            Some(format!("when the hub was started the chain was broken: {broken}"))
        }
    };
    let key = hub.secret_key.head_key();
    let (last, looked_at) = hub.head_file.read_with_time(&key).unzip();
    if !hub.store.is_new()
        && let Some(found) = audit::trouble_at_start(hub.store.reader(), &key, &hub.head_file).await?
    {
        tracing::error!(found, "the audit log may not be what it was");
        trouble.get_or_insert(found);
    }
    let trouble: Vec<String> = trouble.into_iter().chain(hub.store.found().map(str::to_owned)).collect();
    // In one transaction: nothing is signed that does not tell what is wrong, or the next start would take it for whole.
    let mut known = hub.signed_head.lock().await;
    let mut transaction = hub.store.bookkeeping().begin_with("BEGIN IMMEDIATE").await?;
    hub.store.log().begin(&mut transaction).await?;
    let mut next = known.clone();
    let signed = sign_in(hub, &mut transaction, &mut next).await?;
    if !trouble.is_empty() {
        note_mismatch(&mut transaction, &trouble.join("; ")).await?;
    }
    if let Some(LastHead { head, is_closed: false }) = last {
        audit::append(&mut transaction, &Entry::unclosed(&head, &looked_at.unwrap_or_default())).await?;
    }
    transaction.commit().await?;
    *known = next;
    signed_in(hub, signed, known.as_ref())?;
    if signed == Signed::Broken {
        tell_of_others(hub, true);
    }
    Ok(())
}

async fn note_mismatch(connection: &mut SqliteConnection, details: &str) -> Result<(), HubError> {
    let entry = Entry::done("system", "audit.mismatch", "audit log").outcome("failed").details(details);
    Ok(audit::append(connection, &entry).await?)
}

/// Signs the present end of the log, if it is another one than before, or not where the hub left it.
pub async fn sign_new_head(hub: &HubState) -> Result<(), HubError> {
    let mut connection = hub.store.bookkeeping().acquire().await?;
    let is_doubtful = hub.store.log().is_doubtful(&mut connection).await?;
    let present = audit::head(&mut connection).await?;
    if !is_doubtful && hub.signed_head.lock().await.as_ref() == Some(&present) {
        // On a full disk it can be behind.
        let last = LastHead { head: present, is_closed: false };
        return hub.head_file.write(&hub.secret_key.head_key(), &last).map_err(HubError::from);
    }
    sign_head_over(hub, &mut connection).await
}

/// Signs the last end, and says beside the log that nothing comes behind it: nothing is written as long as the connection
/// is held.
async fn close(hub: &HubState) -> Result<PoolConnection<Sqlite>, HubError> {
    let mut connection = hub.store.bookkeeping().acquire().await?;
    sign_head_over(hub, &mut connection).await?;
    let (key, present) = (hub.secret_key.head_key(), audit::head(&mut connection).await?);
    if let Some(last) = hub.head_file.read(&key).filter(|last| last.head == present) {
        hub.head_file.write(&key, &LastHead { is_closed: true, ..last })?;
    }
    Ok(connection)
}

/// Signs the present end of the log. It is a problem if the end that was signed before is not in it.
pub async fn sign_head(hub: &HubState) -> Result<(), HubError> {
    sign_head_over(hub, &mut *hub.store.bookkeeping().acquire().await?).await
}

/// Tells Root on the start page, or that it is over.
fn tell_of_others(hub: &HubState, is_wrong: bool) {
    let text = "The audit log may not be the one whose end was signed before: somebody has written to the hub's file directly.";
    hub.problems.set(problem::Kind::AuditLog, is_wrong.then(|| text.to_owned()));
}

/// Looks and signs. What keeps the hub from it can be what somebody has written to its file: Root is told, also where no entry
/// can be.
async fn sign_head_over(hub: &HubState, connection: &mut SqliteConnection) -> Result<(), HubError> {
    let signed = look_and_sign(hub, connection).await;
    // These have reasons of their own, and are told elsewhere.
    let is_known = |error: &HubError| match error {
        HubError::Database(error) => is_disk_full(error) || is_busy(error),
        HubError::File(error) => error.kind() == ErrorKind::StorageFull,
        _ => false,
    };
    if let Err(error) = &signed
        && !is_known(error)
    {
        let text = "The audit log cannot be signed: somebody may have written to the hub's file directly. The hub's own log says \
                    why.";
        hub.problems.set(problem::Kind::AuditLog, Some(text.to_owned()));
        tracing::error!(%error, "the end of the audit log is not signed");
    }
    signed
}

/// In one transaction: nobody writes in between. What is wrong and cannot be told is not signed.
async fn look_and_sign(hub: &HubState, connection: &mut SqliteConnection) -> Result<(), HubError> {
    let mut known = hub.signed_head.lock().await;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let key = hub.secret_key.head_key();
    let (trouble, seen) = hub.store.log().look(&mut transaction, &key, known.as_ref(), own_schema().await?).await?;
    if let Some(trouble) = &trouble {
        // Also if it cannot be written.
        tell_of_others(hub, true);
        tracing::error!(trouble, "the audit log is not what it was");
        note_mismatch(&mut transaction, trouble).await?;
    }
    let is_foreign = hub.store.foreign_writes().look(&mut transaction).await?;
    let mut next = known.clone();
    let signed = sign_in(hub, &mut transaction, &mut next).await?;
    transaction.commit().await?;
    *known = next;
    hub.store.foreign_writes().told(is_foreign);
    hub.store.log().seen(seen);
    signed_in(hub, signed, known.as_ref())?;
    if trouble.is_none() {
        tell_of_others(hub, signed == Signed::Broken || is_foreign);
    }
    Ok(())
}

async fn sign_in(
    hub: &HubState,
    connection: &mut SqliteConnection,
    known: &mut Option<Head>,
) -> Result<Signed, HubError> {
    let signed = audit::sign_head(&mut *connection, &hub.secret_key.head_key(), known).await?;
    if signed == Signed::Anew {
        let details = "no end was signed with this key: ends were taken away, or the key or the version is another one";
        tracing::error!(details, "the audit log is signed anew");
        note_mismatch(connection, details).await?;
    }
    Ok(signed)
}

/// The end was signed, or could not be.
fn signed_in(hub: &HubState, signed: Signed, known: Option<&Head>) -> Result<(), HubError> {
    if let (Signed::Holds, Some(end)) = (signed, known) {
        hub.store.log().signed(end);
    }
    if let (Signed::Holds | Signed::Anew, Some(head)) = (signed, known) {
        hub.head_file.write(&hub.secret_key.head_key(), &LastHead { head: head.clone(), is_closed: false })?;
    }
    Ok(())
}

/// Writes the present end into the program's log, which the system keeps elsewhere.
pub async fn tell_head(hub: &HubState) -> Result<(), HubError> {
    let head = audit::head(&mut *hub.store.reader().acquire().await?).await?;
    tracing::info!(%head, "the end of the audit log");
    Ok(())
}

/// A node tells the end of its log and the last end of the hub's that it knows; the hub answers in the same way. Each finds
/// out whether its own log still holds what the other knows.
pub async fn exchange_heads(
    hub: &HubState,
    node_id: i64,
    organization_id: i64,
    of_node: &Head,
    known: Option<&Head>,
    lost: Option<&Head>,
) -> Result<Exchanged, HubError> {
    let node = format!("node {node_id}");
    let mut transaction = hub.store.bookkeeping().begin().await?;
    let holds = match known {
        Some(known) => audit::holds(&mut transaction, known).await?,
        None => true,
    };
    let before = audit::kept_head(&mut transaction, &node).await?;
    let is_shorter = before.as_ref().is_some_and(|before| before.id > of_node.id);
    // What was known before stands in the entry: a lost file, or a database from a backup, is told once.
    let mut mismatches = Vec::new();
    if let Some(known) = known.filter(|_| !holds) {
        mismatches.push(("audit log", format!("the node knows {known}, which is not in this log any more")));
    }
    if let Some(lost) = lost {
        mismatches.push((node.as_str(), format!("this hub knew {lost}, which is not in the node's log any more")));
    }
    if let Some(before) = before.as_ref().filter(|_| is_shorter && lost.is_none()) {
        mismatches.push((node.as_str(), format!("the node's log ended with {before} before, now with {of_node}")));
    }
    let goes_on = !is_shorter && lost.is_none();
    for (subject, details) in mismatches {
        let entry = Entry::done(node.clone(), "audit.mismatch", subject).outcome("failed").details(details);
        // Nobody fills the log with it.
        if hub.repeated.count(&entry) {
            tracing::error!(node_id, details = entry.details, "an audit log was changed");
            audit::append_change(&mut transaction, &entry.of(organization_id)).await?;
        }
    }
    if of_node.id > 0 {
        audit::keep_head(&mut transaction, &node, of_node, goes_on).await?;
    }
    let head = audit::head(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Exchanged { head: head.to_string(), known: before.map(|before| before.to_string()), holds })
}

/// A refresh token came a second time.
pub fn reused_token(claims: &Claims) -> Entry {
    let owner = match (&claims.sub, claims.client_type) {
        (TokenSubject::Id(id), ClientType::Node) => format!("node {id}"),
        (TokenSubject::Id(id), _) => format!("user {id}"),
        (TokenSubject::Container(subject), _) => format!("algorithm of task {}", subject.task_id),
    };
    Entry::done("somebody", "token.reuse", owner).outcome("refused")
}
