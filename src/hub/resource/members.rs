//! Organizations that belong to a collaboration or to a study.

use std::collections::{BTreeMap, HashSet};

use garde::Validate;
use serde::Deserialize;
use sqlx::{FromRow, SqliteConnection};

use super::{LIST_LIMIT, organization};
use crate::{
    audit::{self, Entry},
    hub::{HubError, listing::comma_separated, notice, permission::Caller, server::HubState},
    protocol::wire::v4::Organization,
};

/// What has organizations: the table of the members is named after it.
#[derive(Clone, Copy)]
pub struct Owner(&'static str);

pub const COLLABORATION: Owner = Owner("collaboration");
pub const STUDY: Owner = Owner("study");

/// The organizations of these collaborations or studies, by collaboration or study.
pub async fn of_all(hub: &HubState, owner: Owner, ids: &[i64]) -> Result<BTreeMap<i64, Vec<Organization>>, HubError> {
    #[derive(FromRow)]
    struct Member {
        owner_id: i64,
        #[sqlx(flatten)]
        organization: organization::Row,
    }
    let members: Vec<Member> = sqlx::query_as(&format!(
        "SELECT {0}_id AS owner_id, organization.* FROM {0}_organization
         JOIN organization ON organization.id = organization_id
         WHERE {0}_id IN ({1}) ORDER BY organization.id",
        owner.0,
        comma_separated(ids)
    ))
    .fetch_all(hub.store.reader())
    .await?;
    let mut by_owner: BTreeMap<i64, Vec<Organization>> = BTreeMap::new();
    for member in members {
        by_owner.entry(member.owner_id).or_default().push(member.organization.into());
    }
    Ok(by_owner)
}

/// The organizations of one collaboration or study.
pub async fn of(hub: &HubState, owner: Owner, id: i64) -> Result<Vec<Organization>, HubError> {
    Ok(of_all(hub, owner, &[id]).await?.remove(&id).unwrap_or_default())
}

/// Takes an organization out.
pub async fn remove(
    hub: &HubState,
    caller: &Caller,
    owner: Owner,
    id: i64,
    organization_id: i64,
) -> Result<(), HubError> {
    let mut change = hub.change(caller).await?;
    let entry = take_out(&mut change, hub, caller, owner, id, organization_id).await?;
    change.commit(&entry).await?;
    hub.jobs.wake();
    Ok(())
}

/// Takes an organization out, as a part of a change, and has its admins told; the entry that says so.
async fn take_out(
    connection: &mut SqliteConnection,
    hub: &HubState,
    caller: &Caller,
    owner: Owner,
    id: i64,
    organization_id: i64,
) -> Result<Entry, HubError> {
    let sql = format!("DELETE FROM {0}_organization WHERE {0}_id = ? AND organization_id = ?", owner.0);
    let done = sqlx::query(&sql).bind(id).bind(organization_id).execute(&mut *connection).await?;
    if done.rows_affected() == 0 {
        return Err(HubError::NotFound(format!("Organization with id={organization_id} is not found")));
    }
    if owner.0 == COLLABORATION.0 {
        // A study has nobody who is not in its collaboration.
        sqlx::query(
            "DELETE FROM study_organization WHERE organization_id = ?
             AND study_id IN (SELECT id FROM study WHERE collaboration_id = ?)",
        )
        .bind(organization_id)
        .bind(id)
        .execute(&mut *connection)
        .await?;
    }
    let what = format!("An administrator has taken your organization out of {} {id}.", owner.0);
    notice::tell_admins(connection, hub, caller, organization_id, &what).await?;
    let details = format!("organizations -{organization_id}");
    Ok(caller.did("member.remove", owner.0, id).details(details).of(organization_id))
}

/// Puts an organization in, as a part of a change, and has its admins told; the entry that says so. Unknown ids are told,
/// not dropped.
pub async fn put_in(
    connection: &mut SqliteConnection,
    hub: &HubState,
    caller: &Caller,
    owner: Owner,
    id: i64,
    organization_id: i64,
) -> Result<Entry, HubError> {
    let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM organization WHERE id = ?")
        .bind(organization_id)
        .fetch_one(&mut *connection)
        .await?;
    if known == 0 {
        return Err(HubError::NotFound(format!("organization with id={organization_id} is not found")));
    }
    let sql = format!("INSERT OR IGNORE INTO {0}_organization ({0}_id, organization_id) VALUES (?, ?)", owner.0);
    let done = sqlx::query(&sql).bind(id).bind(organization_id).execute(&mut *connection).await?;
    if done.rows_affected() > 0 {
        let what = format!("An administrator has put your organization into {} {id}.", owner.0);
        notice::tell_admins(connection, hub, caller, organization_id, &what).await?;
    }
    let details = format!("organizations +{organization_id}");
    Ok(caller.did("member.add", owner.0, id).details(details).of(organization_id))
}

/// Replaces the organizations, as a part of a change; an entry for each that comes or goes, for its admins.
pub async fn exchange(
    connection: &mut SqliteConnection,
    hub: &HubState,
    caller: &Caller,
    owner: Owner,
    id: i64,
    wanted: &[i64],
) -> Result<(), HubError> {
    let present: Vec<i64> =
        sqlx::query_scalar(&format!("SELECT organization_id FROM {0}_organization WHERE {0}_id = ?", owner.0))
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
    for gone in present.iter().filter(|id| !wanted.contains(id)) {
        let entry = take_out(connection, hub, caller, owner, id, *gone).await?;
        audit::append(connection, &entry).await?;
    }
    for new in wanted.iter().filter(|id| !present.contains(id)) {
        let entry = put_in(connection, hub, caller, owner, id, *new).await?;
        audit::append(connection, &entry).await?;
    }
    Ok(())
}

/// Lists of organization ids: at least one, none twice.
pub fn check_organization_ids(ids: &[i64], _: &()) -> garde::Result {
    match ids {
        ids if ids.len() > LIST_LIMIT => {
            Err(garde::Error::new(format!("At most {LIST_LIMIT} organizations can be named")))
        }
        [] => Err(garde::Error::new("At least one organization id is required")),
        ids if ids.iter().any(|id| *id < 1) => Err(garde::Error::new("Organization ids must be greater than 0")),
        ids if ids.iter().collect::<HashSet<_>>().len() < ids.len() => {
            Err(garde::Error::new("Organization ids must be unique"))
        }
        _ => Ok(()),
    }
}

/// As [`check_organization_ids`], where the list may be left out.
pub fn check_optional_organization_ids(ids: &Option<Vec<i64>>, context: &()) -> garde::Result {
    ids.as_deref().map_or(Ok(()), |ids| check_organization_ids(ids, context))
}

/// A body that names one thing.
#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ById {
    #[garde(range(min = 1))]
    pub id: i64,
}
