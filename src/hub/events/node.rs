//! Nodes: when they come and go, and what they tell.

use std::collections::BTreeSet;

use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    sender::{collaboration_room, log_room, organization_log_room, organization_room},
    told::Facts,
};
use crate::{
    audit::{self, Entry},
    hub::{
        HubError,
        listing::comma_separated,
        permission::Caller,
        program::{self, SECOND},
        server::HubState,
    },
    protocol::{
        event::{LogLines, NodePresence, StatusChange},
        timestamp,
        wire::v4::{LEFT_OUT, SECOND_PROGRAM},
    },
};

/// The longest log of a run, in bytes; what comes after is dropped.
pub const LOG_LIMIT: usize = 1024 * 1024;
/// What a line takes beside its text, in bytes.
const LINE: i64 = 32;
/// The most of a log that one event tells, in bytes.
const LOG_EVENT_LIMIT: usize = 32 * 1024;

/// A node as it connected: its farewell is told to the same people, also when it was deleted meanwhile.
#[derive(Debug, Clone)]
pub struct Present {
    pub id: i64,
    /// Of the tokens of its program.
    family: Uuid,
    organization_id: i64,
    collaborations: Vec<i64>,
}

impl Present {
    pub fn new(id: i64, family: Uuid, caller: &Caller) -> Self {
        let authority = &caller.authority;
        let (organization_id, collaborations) = (authority.organization_id, authority.collaborations.clone());
        Present { id, family, organization_id, collaborations }
    }
}

/// Notes a connection of a node; the first one sets it online.
pub async fn came(hub: &HubState, node: &Present) -> Result<(), HubError> {
    match hub.programs.connected(node.id, node.family) {
        Some(true) => {}
        Some(false) => return Ok(()),
        // Another program has taken its place just now.
        None => return Err(HubError::Conflict(SECOND.to_owned())),
    }
    let outcome = set_online(hub, node, true).await;
    if outcome.is_err() {
        // It does not count, or no later connection would be the first.
        hub.programs.disconnected(node.id, node.family, false);
    }
    outcome
}

/// Notes that a connection of a node ended; the last one sets it offline.
pub async fn left(hub: &HubState, node: &Present, said_goodbye: bool) -> Result<(), HubError> {
    if hub.programs.disconnected(node.id, node.family, said_goodbye) {
        if said_goodbye {
            program::forget(hub, node.id, node.family).await?;
        }
        set_online(hub, node, false).await?;
    }
    Ok(())
}

/// Notes that a second program came with the key of a node, for its page and for the log.
pub async fn note_second(hub: &HubState, node_id: i64) -> Result<(), HubError> {
    tracing::warn!(node_id, "a second program came with the key of a node that another works with");
    let mut transaction = hub.store.bookkeeping().begin().await?;
    sqlx::query("DELETE FROM node_config WHERE node_id = ? AND key = ?")
        .bind(node_id)
        .bind(SECOND_PROGRAM)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO node_config (node_id, key, value) VALUES (?, ?, ?)")
        .bind(node_id)
        .bind(SECOND_PROGRAM)
        .bind(timestamp::now())
        .execute(&mut *transaction)
        .await?;
    let node = format!("node {node_id}");
    let now = timestamp::now();
    // Once a day: it keeps trying.
    let entry =
        Entry::done(node.clone(), "node.second", node).outcome("refused").details(now.get(..10).unwrap_or(&now));
    // It can be a stolen key: whose it is has to know.
    let organization: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM node WHERE id = ?")
        .bind(node_id)
        .fetch_optional(&mut *transaction)
        .await?;
    let entry = match organization {
        Some(organization) => entry.of(organization),
        None => entry,
    };
    audit::append_change(&mut transaction, &entry).await?;
    Ok(transaction.commit().await?)
}

async fn set_online(hub: &HubState, node: &Present, online: bool) -> Result<(), HubError> {
    let mut transaction = hub.store.bookkeeping().begin().await?;
    let name: Option<String> =
        sqlx::query_scalar("UPDATE node SET online = ?, last_seen = ? WHERE id = ? RETURNING name")
            .bind(online)
            .bind(timestamp::now())
            .bind(node.id)
            .fetch_optional(&mut *transaction)
            .await?;
    sqlx::query("DELETE FROM node_config WHERE node_id = ?").bind(node.id).execute(&mut *transaction).await?;
    transaction.commit().await?;
    let presence = NodePresence { id: node.id, name: name.unwrap_or_default(), org_id: node.organization_id };
    let rooms = node.collaborations.iter();
    let rooms = rooms.flat_map(|id| [collaboration_room(*id), organization_room(*id, node.organization_id)]).collect();
    hub.events.to_rooms(rooms, if online { "node-online" } else { "node-offline" }, &presence).await;
    Ok(())
}

/// Notes that a node is there.
pub async fn seen(hub: &HubState, node_id: i64) -> Result<(), HubError> {
    // It is online, whatever was noted when another connection of it ended.
    sqlx::query("UPDATE node SET last_seen = ?, online = 1 WHERE id = ?")
        .bind(timestamp::now())
        .bind(node_id)
        .execute(hub.store.bookkeeping())
        .await?;
    Ok(())
}

/// What a node tells of itself.
pub async fn info_update(hub: &HubState, caller: &Caller, node_id: i64, facts: Facts) -> Result<(), HubError> {
    // Each that is another one stands in the audit log.
    if hub.told_by_nodes.check_key(&node_id).is_err() {
        return Err(HubError::TooMany);
    }
    let rows = facts.rows;
    let mut transaction = hub.store.bookkeeping().begin().await?;
    let node = format!("node {node_id}");
    let entry = Entry::done(node.clone(), "policy.change", node).details(policies_in_words(&rows));
    // What a node has told is forgotten when it goes: the log knows what it said last.
    audit::append_change(&mut transaction, &entry.of(caller.authority.organization_id)).await?;
    sqlx::query("DELETE FROM node_config WHERE node_id = ?").bind(node_id).execute(&mut *transaction).await?;
    let rows = serde_json::to_string(&rows).map_err(|error| HubError::Internal(error.to_string()))?;
    sqlx::query(
        "INSERT INTO node_config (node_id, key, value)
         SELECT ?, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?) ORDER BY key",
    )
    .persistent(false)
    .bind(node_id)
    .bind(rows)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    // Pages that show nodes learn of the new databases in the same way as of the node itself.
    let presence = json!({"id": node_id, "name": "", "org_id": caller.authority.organization_id});
    for id in &caller.authority.collaborations {
        hub.events.to_collaboration(*id, "node-online", &presence).await;
    }
    Ok(())
}

/// The policies of a node's configuration, a hash first, since the text may be cut.
fn policies_in_words(config: &[(String, String)]) -> String {
    let is_policy = |key: &str| {
        let of_databases = ["db_type_", "columns_", "more_columns_"].iter().any(|begin| key.starts_with(begin));
        !(matches!(key, "encryption" | "database_labels" | LEFT_OUT) || of_databases)
    };
    let policies: BTreeSet<String> =
        config.iter().filter(|(key, _)| is_policy(key)).map(|(key, value)| format!("{key} {value}")).collect();
    let words = Vec::from_iter(policies).join("; ");
    format!("{}; {words}", &format!("{:x}", Sha256::digest(&words))[..16])
}

/// Task and job of a run, if it is one of this node's.
async fn own_run(hub: &HubState, caller: &Caller, run_id: i64) -> Result<(i64, i64, i64, Option<i64>), HubError> {
    let collaborations = comma_separated(&caller.authority.collaborations);
    sqlx::query_as(&format!(
        "SELECT task.id, job_id, collaboration_id, parent_id FROM run JOIN task ON task.id = run.task_id
         WHERE run.id = ? AND run.organization_id = ? AND collaboration_id IN ({collaborations})"
    ))
    .bind(run_id)
    .bind(caller.authority.organization_id)
    .fetch_optional(hub.store.reader())
    .await?
    .ok_or(HubError::NotAllowed)
}

/// The longest status that is passed on, in bytes.
const STATUS_LIMIT: usize = 64;

/// A run of the node has another status.
pub async fn algorithm_status_change(
    hub: &HubState,
    caller: &Caller,
    node_id: i64,
    told: StatusChange,
) -> Result<(), HubError> {
    if told.status.as_str().len() > STATUS_LIMIT {
        return Err(HubError::bad("A status is a word."));
    }
    let (task_id, job_id, collaboration_id, parent_id) = own_run(hub, caller, told.run_id).await?;
    let change = StatusChange {
        task_id,
        job_id: Some(job_id),
        collaboration_id,
        node_id: Some(node_id),
        organization_id: caller.authority.organization_id,
        parent_id,
        ..told
    };
    hub.events.to_collaboration(collaboration_id, "algorithm_status_change", &change).await;
    Ok(())
}

/// Lines of the log of a run of the node.
pub async fn algorithm_log(hub: &HubState, caller: &Caller, _node_id: i64, lines: LogLines) -> Result<(), HubError> {
    if lines.log.is_empty() {
        return Ok(());
    }
    let (task_id, _, collaboration_id, _) = own_run(hub, caller, lines.run_id).await?;
    let mut transaction = hub.store.bookkeeping().begin().await?;
    // `finished_at`: the full log has already replaced the streamed one.
    let counted = sqlx::query(
        "UPDATE run SET log_line_bytes = log_line_bytes + ?1
         WHERE id = ?2 AND finished_at IS NULL AND log_line_bytes + ?1 <= ?3",
    )
    // With what a row takes beside its text.
    .bind(lines.log.len() as i64 + LINE)
    .bind(lines.run_id)
    .bind(LOG_LIMIT as i64)
    .execute(&mut *transaction)
    .await?;
    if counted.rows_affected() == 1 {
        sqlx::query("INSERT INTO log_line (run_id, text) VALUES (?, ?)")
            .bind(lines.run_id)
            .bind(&lines.log)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    if counted.rows_affected() == 0 {
        // What is not kept nobody hears either.
        return Ok(());
    }
    // A follower sees the end of it, as on the page.
    let end = lines.log.ceil_char_boundary(lines.log.len().saturating_sub(LOG_EVENT_LIMIT));
    let lines = LogLines { task_id, collaboration_id: None, log: lines.log[end..].to_owned(), ..lines };
    // Only users who may read the log elsewhere hear it.
    let asked_by: i64 = sqlx::query_scalar("SELECT init_organization_id FROM task WHERE id = ?")
        .bind(task_id)
        .fetch_optional(hub.store.reader())
        .await?
        .unwrap_or(caller.authority.organization_id);
    let mut rooms = vec![log_room(collaboration_id), organization_log_room(collaboration_id, asked_by)];
    rooms.push(organization_log_room(collaboration_id, caller.authority.organization_id));
    hub.events.to_rooms(rooms, "algorithm_log", &lines).await;
    Ok(())
}
