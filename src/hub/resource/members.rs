//! Organizations that belong to a collaboration or to a study.

use std::collections::{BTreeMap, HashSet};

use garde::Validate;
use serde::Deserialize;
use sqlx::FromRow;

use super::{LIST_LIMIT, organization};
use crate::{
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
    let sql = format!("DELETE FROM {0}_organization WHERE {0}_id = ? AND organization_id = ?", owner.0);
    let mut change = hub.change(caller).await?;
    let done = sqlx::query(&sql).bind(id).bind(organization_id).execute(&mut *change).await?;
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
        .execute(&mut *change)
        .await?;
    }
    let what = format!("An administrator has taken your organization out of {} {id}.", owner.0);
    notice::tell_admins(&mut change, hub, caller, organization_id, &what).await?;
    let details = format!("organizations -{organization_id}");
    change.commit(&caller.did("member.remove", owner.0, id).details(details)).await?;
    hub.jobs.wake();
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
