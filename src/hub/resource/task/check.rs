//! What the hub's data say against a new task.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{create::Origin, new_task::NewTask};
use crate::{
    hub::{HubError, listing::comma_separated, permission::Caller, server::HubState},
    protocol::{
        payload::{self, Dialect, PayloadError},
        pickle,
    },
};

/// The organizations must belong to the collaboration (and study), have a node, and that node must not refuse
/// whoever asks.
pub async fn check_places(hub: &HubState, caller: &Caller, origin: &Origin, new: &NewTask) -> Result<(), HubError> {
    let ids: Vec<i64> = new.organizations.iter().map(|organization| organization.id).collect();
    let list = comma_separated(&ids);
    let members: i64 = sqlx::query_scalar(&format!(
        "SELECT COUNT(*) FROM collaboration_organization WHERE collaboration_id = ? AND organization_id IN ({list})"
    ))
    .bind(origin.collaboration_id)
    .fetch_one(hub.store.reader())
    .await?;
    if members < ids.len() as i64 {
        return Err(HubError::field(
            "organizations",
            "At least one of the supplied organizations in not within the collaboration.",
        ));
    }
    if let Some(study_id) = origin.study_id {
        let members: i64 = sqlx::query_scalar(&format!(
            "SELECT COUNT(*) FROM study_organization WHERE study_id = ? AND organization_id IN ({list})"
        ))
        .bind(study_id)
        .fetch_one(hub.store.reader())
        .await?;
        if members < ids.len() as i64 {
            return Err(HubError::field(
                "organizations",
                "At least one of the supplied organizations in not within the specified study.",
            ));
        }
    }
    let nodes: Vec<(i64, i64)> = sqlx::query_as(&format!(
        "SELECT id, organization_id FROM node WHERE collaboration_id = ? AND organization_id IN ({list})"
    ))
    .bind(origin.collaboration_id)
    .fetch_all(hub.store.reader())
    .await?;
    let missing: Vec<String> =
        ids.iter().filter(|id| !nodes.iter().any(|(_, owner)| owner == *id)).map(i64::to_string).collect();
    if !missing.is_empty() {
        return Err(HubError::field(
            "organizations",
            format!(
                "Cannot create this task because there are no nodes registered for the following organization(s): {}.",
                missing.join(", ")
            ),
        ));
    }
    if let Some(user_id) = caller.user_id() {
        check_node_policies(hub, caller, user_id, &nodes).await?;
    }
    Ok(())
}

/// Nodes share whom they allow; one match among users or organizations suffices. The node itself decides again.
async fn check_node_policies(
    hub: &HubState,
    caller: &Caller,
    user_id: i64,
    nodes: &[(i64, i64)],
) -> Result<(), HubError> {
    let node_ids: Vec<i64> = nodes.iter().map(|(id, _)| *id).collect();
    let allowed: Vec<(i64, String, String)> = sqlx::query_as(&format!(
        "SELECT node_id, key, value FROM node_config
         WHERE key IN ('allowed_users', 'allowed_orgs') AND node_id IN ({})",
        comma_separated(&node_ids)
    ))
    .fetch_all(hub.store.reader())
    .await?;
    if allowed.is_empty() {
        return Ok(());
    }
    let (username, organization): (String, String) = sqlx::query_as(
        "SELECT username, organization.name FROM user JOIN organization ON organization.id = organization_id
         WHERE user.id = ?",
    )
    .bind(user_id)
    .fetch_one(hub.store.reader())
    .await?;
    let user = [user_id.to_string(), username];
    let organization = [caller.authority.organization_id.to_string(), organization];
    for node_id in node_ids {
        let mut entries = allowed.iter().filter(|(id, ..)| *id == node_id).peekable();
        let matches = |(_, key, value): &(i64, String, String)| match key.as_str() {
            "allowed_users" => user.contains(value),
            _ => organization.contains(value),
        };
        if entries.peek().is_some() && !entries.any(matches) {
            return Err(HubError::field(
                "organizations",
                "Cannot create this task because one of the nodes that you are trying to send this task to does not \
                 allow you to create tasks.",
            ));
        }
    }
    Ok(())
}

/// In an encrypted collaboration nothing readable is accepted, in another one nothing unreadable (CVE-2024-22193). Tells
/// whether a client of vantage6 3.x wrote an input.
pub async fn check_inputs(hub: &HubState, origin: &Origin, new: &NewTask) -> Result<bool, HubError> {
    let encrypted: bool = sqlx::query_scalar("SELECT encrypted FROM collaboration WHERE id = ?")
        .bind(origin.collaboration_id)
        .fetch_one(hub.store.reader())
        .await?;
    let mut is_of_version3 = false;
    for (index, organization) in new.organizations.iter().enumerate() {
        let field = format!("organizations[{index}].input");
        let dialect = payload::dialect_of(&organization.input);
        is_of_version3 |= matches!(dialect, Ok(Dialect::Json3x | Dialect::Pickle3x));
        let readable = matches!(dialect, Ok(_) | Err(PayloadError::Pickle(_)));
        if encrypted && readable {
            return Err(HubError::field(
                field,
                "Your collaboration requires encryption, but input is not encrypted! Please encrypt your input before \
                 sending it.",
            ));
        }
        if let (false, Err(PayloadError::Pickle(error))) = (encrypted, &dialect) {
            return Err(HubError::field(
                field,
                format!(
                    "The input is a Python pickle that is not read: {error}. Send plain data (dictionaries, lists, \
                     texts, numbers), or use data_format='json'."
                ),
            ));
        }
        if !encrypted && !readable {
            return Err(HubError::field(
                field,
                "Your task's input cannot be parsed. Your input should be a base64 encoded JSON string, and not \
                 encrypted, as your collaboration is set to not use encryption.",
            ));
        }
    }
    Ok(is_of_version3)
}

/// Whether a payload is base64 of a text or of a pickle, so that anybody can read it. Encrypted ones are not: they
/// hold `$`.
pub fn is_readable(payload: &str) -> bool {
    let bytes = STANDARD.decode(payload.trim());
    bytes.is_ok_and(|bytes| !bytes.is_empty() && (std::str::from_utf8(&bytes).is_ok() || pickle::is_pickle(&bytes)))
}
