//! Who may give roles and rules to whom. Nobody hands on what they do not have themselves, and who decides about the data
//! of an organization is made by those who do so already.

use sqlx::SqliteConnection;

use crate::{
    hub::{
        HubError,
        permission::{Caller, Permission, RULES, Reach, Resource},
        server::HubState,
    },
    protocol::domain::{Operation, Scope},
};

/// Ids of the users who decide about the data of their organizations.
pub const DECIDERS: &str = "SELECT user_id FROM user_rule JOIN rule ON rule.id = rule_id
        WHERE resource = 'review' AND operation = 'EDIT'
    UNION SELECT user_id FROM user_role JOIN role_rule USING (role_id) JOIN rule ON rule.id = rule_id
        WHERE resource = 'review' AND operation = 'EDIT'";

/// The rule with this id.
fn rule(id: i64) -> Option<Permission> {
    usize::try_from(id - 1).ok().and_then(|index| RULES.get(index)).copied()
}

/// Whether the caller has this rule, or one on the same thing that reaches further.
fn has_rule(caller: &Caller, (resource, scope, operation): Permission) -> bool {
    let reach = match scope {
        Scope::Own => Reach::Own,
        Scope::Organization => Reach::Organization,
        Scope::Collaboration => Reach::Collaboration,
        Scope::Global => Reach::Everything,
    };
    caller.reach(resource, operation).is_some_and(|own| own >= reach)
}

/// An error unless the caller has all of these rules themselves.
pub fn require_rules(caller: &Caller, ids: &[i64]) -> Result<(), HubError> {
    for id in ids {
        let rule = rule(*id).ok_or_else(|| HubError::NotFound(format!("Rule with id {id} not found")))?;
        if !has_rule(caller, rule) {
            return Err(HubError::NotAllowed);
        }
    }
    Ok(())
}

/// Whether who has these rules decides about reviews.
fn decides(rules: &[i64]) -> bool {
    let edits_reviews = |(resource, _, operation)| (resource, operation) == (Resource::Review, Operation::Edit);
    rules.iter().any(|id| rule(*id).is_some_and(edits_reviews))
}

/// An error unless the caller may give (or take) these roles and rules to a user of this organization.
pub async fn require_assignable(
    hub: &HubState,
    caller: &Caller,
    organization_id: i64,
    roles: &[i64],
    rules: &[i64],
) -> Result<(), HubError> {
    let all = rules_of(hub, organization_id, roles, rules).await?;
    require_rules(caller, &all)?;
    require_decider_for(hub, caller, organization_id, &all).await
}

/// An error if somebody with these roles and rules administers more users or roles than the caller does: they are not
/// kept out by those below them.
pub async fn require_not_above(
    hub: &HubState,
    caller: &Caller,
    organization_id: i64,
    roles: &[i64],
    rules: &[i64],
) -> Result<(), HubError> {
    not_above(caller, &rules_of(hub, organization_id, roles, rules).await?)
}

fn not_above(caller: &Caller, rules: &[i64]) -> Result<(), HubError> {
    let administers = |id: &i64| {
        rule(*id).is_some_and(|(resource, _, operation)| {
            matches!(resource, Resource::User | Resource::Role) && operation != Operation::View
        })
    };
    require_rules(caller, &rules.iter().copied().filter(administers).collect::<Vec<_>>())
}

/// An error unless the caller may delete somebody with these roles and rules: who decides is not removed from outside, or
/// others could take their place.
pub async fn require_removable(
    hub: &HubState,
    caller: &Caller,
    organization_id: i64,
    roles: &[i64],
    rules: &[i64],
) -> Result<(), HubError> {
    let all = rules_of(hub, organization_id, roles, rules).await?;
    not_above(caller, &all)?;
    require_decider_for(hub, caller, organization_id, &all).await
}

/// [`require_decider`], if whoever has these rules decides.
async fn require_decider_for(
    hub: &HubState,
    caller: &Caller,
    organization_id: i64,
    rules: &[i64],
) -> Result<(), HubError> {
    match decides(rules) {
        true => require_decider(&mut *hub.store.reader().acquire().await?, caller, organization_id).await,
        false => Ok(()),
    }
}

/// An error unless the caller may change these rules of a role: whoever has the role gets, or loses, them.
pub async fn require_role_change(
    connection: &mut SqliteConnection,
    caller: &Caller,
    role_id: i64,
    rules: &[i64],
) -> Result<(), HubError> {
    require_rules(caller, rules)?;
    if !decides(rules) {
        return Ok(());
    }
    let organizations: Vec<i64> = sqlx::query_scalar(
        "SELECT DISTINCT organization_id FROM user JOIN user_role ON user_id = user.id WHERE role_id = ?",
    )
    .bind(role_id)
    .fetch_all(&mut *connection)
    .await?;
    for organization_id in organizations {
        require_decider(connection, caller, organization_id).await?;
    }
    Ok(())
}

/// An error unless the caller decides about the data of this organization, or nobody does yet. Deactivated deciders count:
/// else somebody could deactivate them and appoint others. Deciders who never signed in do not count. Belonging to the
/// organization is not enough: somebody from outside may have made that account.
async fn require_decider(
    connection: &mut SqliteConnection,
    caller: &Caller,
    organization_id: i64,
) -> Result<(), HubError> {
    let is_of_it = organization_id == caller.authority.organization_id;
    if is_of_it && caller.reach(Resource::Review, Operation::Edit).is_some() {
        return Ok(());
    }
    let deciders: i64 = sqlx::query_scalar(&format!(
        "SELECT COUNT(*) FROM user WHERE organization_id = ? AND last_seen IS NOT NULL AND id IN ({DECIDERS})"
    ))
    .bind(organization_id)
    .fetch_one(connection)
    .await?;
    match deciders {
        0 => Ok(()),
        _ => Err(HubError::Unauthenticated(
            "Only those who decide about the data of this organization can do this to others who decide.",
        )),
    }
}

/// These rules and those of these roles, which have to fit the organization.
async fn rules_of(hub: &HubState, organization_id: i64, roles: &[i64], rules: &[i64]) -> Result<Vec<i64>, HubError> {
    let mut all = rules.to_vec();
    for role_id in roles {
        let owner: Option<Option<i64>> = sqlx::query_scalar("SELECT organization_id FROM role WHERE id = ?")
            .bind(role_id)
            .fetch_optional(hub.store.reader())
            .await?;
        let owner = owner.ok_or_else(|| HubError::NotFound(format!("Role={role_id} can not be found!")))?;
        if owner.is_some_and(|owner| owner != organization_id) {
            return Err(HubError::Unauthenticated(
                "You can't assign that role as the role belongs to a different organization than the user.",
            ));
        }
        let of_role: Vec<i64> = sqlx::query_scalar("SELECT rule_id FROM role_rule WHERE role_id = ?")
            .bind(role_id)
            .fetch_all(hub.store.reader())
            .await?;
        all.extend(of_role);
    }
    Ok(all)
}
