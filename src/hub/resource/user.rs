use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use futures::TryStreamExt;
use garde::Validate;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{FromRow, SqliteConnection};

use super::{
    Id, LIST_LIMIT,
    assignment::{require_assignable, require_not_above, require_removable},
    is_taken, message,
    password::{check_new_password, require_no_names},
    recover::{invitation_code, mail_invitation},
    require_new_name, task,
};
use crate::{
    hub::{
        HubError,
        audit::{self, changed, difference},
        body::Body,
        hashing::Who,
        listing::{Filters, ListQuery, Listing, SMALL_ROW, SMALL_ROWS, comma_separated},
        notice,
        permission::{Caller, CallerKind, Reach, Resource},
        second_factor,
        server::{API_PATH, HubState},
        store::end_all_tokens,
    },
    protocol::{
        domain::Operation,
        wire::v4::{Included, Link, Permissions, User},
    },
};

pub fn routes() -> Router<Arc<HubState>> {
    Router::new()
        .route("/user", get(list).post(create))
        .route("/user/{id}", get(show).patch(edit).delete(remove))
        .route("/user/{id}/invitation", post(invite))
        .route("/user/{id}/end-sessions", post(end_sessions))
        .route("/user/{id}/reset-second-factor", post(reset_second_factor))
}

#[derive(FromRow)]
struct Row {
    id: i64,
    username: String,
    email: String,
    firstname: String,
    lastname: String,
    organization_id: i64,
    last_seen: Option<String>,
    disabled: bool,
}

impl From<Row> for User {
    fn from(row: Row) -> User {
        let address = |resource: &str| format!("{API_PATH}/{resource}?user_id={}", row.id);
        let organization = Link::new(API_PATH, "organization", row.organization_id, &["GET", "PATCH", "DELETE"]);
        User {
            roles: Included::Address(address("role")),
            rules: Included::Address(address("rule")),
            id: row.id,
            kind: "user".to_owned(),
            username: row.username,
            firstname: Some(row.firstname),
            lastname: Some(row.lastname),
            email: Some(row.email),
            ip: None,
            last_seen: row.last_seen,
            status: None,
            last_email_failed_login_sent: None,
            last_email_recover_password_sent: None,
            organization: Some(organization),
            permissions: None,
            disabled: row.disabled,
        }
    }
}

const LISTING: Listing = Listing {
    id: "user.id",
    from: "user",
    joined: "",
    columns: "*",
    sortable: &[
        ("id", "user.id"),
        ("username", "username"),
        ("firstname", "firstname"),
        ("lastname", "lastname"),
        ("email", "email"),
        ("last_seen", "last_seen"),
    ],
    newest_first: false,
    bytes: SMALL_ROWS,
    row_limit: SMALL_ROW,
};

async fn list(State(hub): State<Arc<HubState>>, caller: Caller, query: ListQuery) -> Result<Response, HubError> {
    let own_id = caller.require_user()?;
    let mut filters = Filters::default();
    match caller.reach(Resource::User, Operation::View) {
        Some(Reach::Everything) => {}
        Some(Reach::Collaboration) => filters.among("organization_id", &caller.authority.organizations),
        Some(Reach::Organization) => filters.integer("organization_id = ?", Some(caller.authority.organization_id)),
        _ => filters.integer("user.id = ?", Some(own_id)),
    }
    for name in ["username", "firstname", "lastname", "email"] {
        filters.like(name, query.text(name))?;
    }
    if let Some(search) = query.text("search") {
        filters.among("user.id", &found(&hub, search).await?);
    }
    if let Some(organization_id) = query.integer("organization_id")? {
        if !caller.may_at_organization(Resource::User, Operation::View, organization_id) {
            return Err(HubError::NotAllowed);
        }
        filters.integer("organization_id = ?", Some(organization_id));
    }
    if let Some(id) = query.integer("collaboration_id")? {
        match caller.require(Resource::User, Operation::View)? {
            Reach::Everything => {}
            Reach::Collaboration if caller.is_in_collaboration(id) => {}
            _ => return Err(HubError::NotAllowed),
        }
        filters.integer(
            "organization_id IN (SELECT organization_id FROM collaboration_organization WHERE collaboration_id = ?)",
            Some(id),
        );
    }
    filters.integer("user.id IN (SELECT user_id FROM user_role WHERE role_id = ?)", query.integer("role_id")?);
    filters.integer("user.id IN (SELECT user_id FROM user_rule WHERE rule_id = ?)", query.integer("rule_id")?);
    filters.text("last_seen >= ?", query.time("last_seen_from")?);
    filters.text("last_seen <= ?", query.time("last_seen_till")?);
    LISTING.fetch::<Row>(hub.store.lists(), &caller, query, filters).await?.answer(User::from).await
}

/// The users of whose username, e-mail or name this is a part, or whose id it is. Atoll's own, for its list
/// of users: SQLite does not know capitals beyond ASCII.
async fn found(hub: &HubState, search: &str) -> Result<Vec<i64>, HubError> {
    let search = search.trim().to_lowercase();
    let users = "SELECT id, username || ' ' || email || ' ' || firstname || ' ' || lastname FROM user";
    let mut users = sqlx::query_as::<_, (i64, String)>(users).fetch(hub.store.reader());
    let mut found = Vec::new();
    while let Some((id, text)) = users.try_next().await? {
        if text.to_lowercase().contains(&search) || id.to_string() == search {
            found.push(id);
        }
    }
    Ok(found)
}

async fn load(hub: &HubState, id: i64) -> Result<Row, HubError> {
    let row = sqlx::query_as("SELECT * FROM user WHERE id = ?").bind(id).fetch_optional(hub.store.reader()).await?;
    row.ok_or_else(|| HubError::NotFound(format!("user id={id} is not found")))
}

/// An error unless the caller may see this user.
pub async fn require_view(hub: &HubState, caller: &Caller, id: i64) -> Result<(), HubError> {
    let row = load(hub, id).await?;
    let may = caller.user_id() == Some(id)
        || caller.may_at_organization(Resource::User, Operation::View, row.organization_id);
    if may { Ok(()) } else { Err(HubError::NotAllowed) }
}

async fn show(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Json<User>, HubError> {
    if let CallerKind::Node { .. } = caller.kind {
        return Ok(Json(name_for_node(&hub, &caller, id).await?));
    }
    caller.require_user()?;
    require_view(&hub, &caller, id).await?;
    let mut user = User::from(load(&hub, id).await?);
    if query.flag("include_permissions")?.unwrap_or(false) {
        // Somebody who is deactivated has none.
        let authority = hub.store.authority_of_user(id).await?;
        let roles = sqlx::query_scalar("SELECT role_id FROM user_role WHERE user_id = ? ORDER BY 1");
        let rules = sqlx::query_scalar(
            "SELECT rule_id FROM user_rule WHERE user_id = ?1 UNION
             SELECT rule_id FROM role_rule JOIN user_role USING (role_id) WHERE user_id = ?1 ORDER BY 1",
        );
        user.permissions = Some(Permissions {
            roles: roles.bind(id).fetch_all(hub.store.reader()).await?,
            rules: rules.bind(id).fetch_all(hub.store.reader()).await?,
            orgs_in_collabs: authority.map(|authority| authority.organizations.clone()).unwrap_or_default(),
        });
    }
    Ok(Json(user))
}

/// Who a user is, for a node that was asked by them to run something: policies and reviews name people. Names only.
async fn name_for_node(hub: &HubState, caller: &Caller, id: i64) -> Result<User, HubError> {
    let asks: i64 = sqlx::query_scalar(&format!(
        "SELECT COUNT(*) FROM task JOIN run ON run.task_id = task.id WHERE init_user_id = ? AND run.organization_id = ?
         AND collaboration_id IN ({})",
        comma_separated(&caller.authority.collaborations)
    ))
    .bind(id)
    .bind(caller.authority.organization_id)
    .fetch_one(hub.store.reader())
    .await?;
    if asks == 0 {
        return Err(HubError::NotAllowed);
    }
    let user = User::from(load(hub, id).await?);
    Ok(User { email: None, last_seen: None, roles: Default::default(), rules: Default::default(), ..user })
}

fn check_username(name: &str, _: &()) -> garde::Result {
    let mut characters = name.chars();
    let valid = (3..=128).contains(&name.len())
        && characters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && characters.all(|other| other.is_ascii_alphanumeric() || matches!(other, '.' | '_' | '-'));
    if valid {
        return Ok(());
    }
    Err(garde::Error::new(format!(
        "Username {name} is invalid. Only letters, numbers, hyphens and underscores are allowed, and it should start \
         with a letter."
    )))
}

fn check_optional_username(name: &Option<String>, context: &()) -> garde::Result {
    name.as_deref().map_or(Ok(()), |name| check_username(name, context))
}

pub(super) fn check_email(email: &str, _: &()) -> garde::Result {
    let valid = email.len() <= 254
        && !email.contains(char::is_whitespace)
        && email.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && !host.contains('@') && host.split('.').all(|part| !part.is_empty())
        });
    if valid { Ok(()) } else { Err(garde::Error::new("Not a valid email address.")) }
}

fn check_optional_email(email: &Option<String>, context: &()) -> garde::Result {
    email.as_deref().map_or(Ok(()), |email| check_email(email, context))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct NewUser {
    #[garde(custom(check_username))]
    username: String,
    #[garde(custom(check_new_password))]
    password: SecretString,
    #[garde(custom(check_email))]
    email: String,
    #[garde(length(chars, max = 128))]
    #[serde(default)]
    firstname: String,
    #[garde(length(chars, max = 128))]
    #[serde(default)]
    lastname: String,
    #[garde(skip)]
    #[serde(default)]
    organization_id: Option<i64>,
    #[garde(length(max = LIST_LIMIT))]
    #[serde(default)]
    roles: Vec<i64>,
    #[garde(length(max = LIST_LIMIT))]
    #[serde(default)]
    rules: Vec<i64>,
}

async fn create(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<User>), HubError> {
    let user_id = caller.require_user()?;
    let organization_id = new.organization_id.unwrap_or(caller.authority.organization_id);
    // With the password, or the invitation, one is signed in as this user.
    if !caller.is_inside(Resource::User, Operation::Create, organization_id) {
        return Err(HubError::NotAllowed);
    }
    require_assignable(&hub, &caller, organization_id, &new.roles, &new.rules).await?;
    let mailbox = new.email.split('@').next().unwrap_or_default();
    require_no_names("password", &new.password, &[&new.username, &new.email, mailbox])?;
    require_free(&mut *hub.store.reader().acquire().await?, 0, &new.username).await?;
    let hash = hub.hashing.turn(Who::Known(user_id)).await?.hash(new.password).await?;
    let mut change = hub.change(&caller).await?;
    // Hashing takes its time: what the roles may is asked again, now that nothing else changes.
    require_assignable(&hub, &caller, organization_id, &new.roles, &new.rules).await?;
    require_free(&mut change, 0, &new.username).await?;
    require_new_name(&mut change, &caller, "user", 0, &new.username, "username").await?;
    let id = sqlx::query(
        "INSERT INTO user (username, password_hash, email, firstname, lastname, organization_id)
         SELECT ?, ?, ?, ?, ?, id FROM organization WHERE id = ?",
    )
    .bind(&new.username)
    .bind(hash)
    .bind(&new.email)
    .bind(&new.firstname)
    .bind(&new.lastname)
    .bind(organization_id)
    .execute(&mut *change)
    .await
    .map_err(taken)?;
    if id.rows_affected() == 0 {
        return Err(HubError::NotFound("Organization does not exist.".to_owned()));
    }
    let id = id.last_insert_rowid();
    set_roles(&mut change, id, &new.roles).await?;
    set_rules(&mut change, id, &new.rules).await?;
    let details = audit::details([difference("roles", &[], &new.roles), difference("rules", &[], &new.rules)]);
    let what = format!("An administrator has made the account \"{}\" in your organization.", new.username);
    notice::tell_admins(&mut change, &hub, &caller, organization_id, &what).await?;
    change.commit(&caller.did("user.create", "user", id).details(details).of(organization_id)).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok((StatusCode::CREATED, Json(load_written(&hub, id).await?.into())))
}

/// No other user has this name, nor one that differs by capitals, dots and lines only: it would be taken for the other in a
/// policy or a review.
async fn require_free(connection: &mut SqliteConnection, id: i64, username: &str) -> Result<(), HubError> {
    // Names have letters, digits and these signs only.
    let plain = |column: &str| format!("lower(replace(replace(replace({column}, '.', ''), '_', ''), '-', ''))");
    let others: i64 = sqlx::query_scalar(&format!(
        "SELECT COUNT(*) FROM user WHERE {} = {} AND id <> ?2",
        plain("username"),
        plain("?1")
    ))
    .bind(username)
    .bind(id)
    .fetch_one(connection)
    .await?;
    match others {
        0 => Ok(()),
        _ => Err(HubError::field("username", "username already exists.")),
    }
}

fn taken(error: sqlx::Error) -> HubError {
    match is_taken(&error) {
        true if error.to_string().contains("email") => HubError::field("email", "email already exists."),
        true => HubError::field("username", "username already exists."),
        false => error.into(),
    }
}

async fn load_written(hub: &HubState, id: i64) -> Result<Row, HubError> {
    Ok(sqlx::query_as("SELECT * FROM user WHERE id = ?").bind(id).fetch_one(hub.store.reader()).await?)
}

async fn set_roles(connection: &mut SqliteConnection, user_id: i64, roles: &[i64]) -> Result<(), HubError> {
    sqlx::query("DELETE FROM user_role WHERE user_id = ?").bind(user_id).execute(&mut *connection).await?;
    for role_id in roles {
        sqlx::query("INSERT OR IGNORE INTO user_role (user_id, role_id) VALUES (?, ?)")
            .bind(user_id)
            .bind(role_id)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn set_rules(connection: &mut SqliteConnection, user_id: i64, rules: &[i64]) -> Result<(), HubError> {
    sqlx::query("DELETE FROM user_rule WHERE user_id = ?").bind(user_id).execute(&mut *connection).await?;
    for rule_id in rules {
        sqlx::query("INSERT OR IGNORE INTO user_rule (user_id, rule_id) VALUES (?, ?)")
            .bind(user_id)
            .bind(rule_id)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct EditUser {
    #[garde(custom(check_optional_username))]
    #[serde(default)]
    username: Option<String>,
    #[garde(custom(check_optional_email))]
    #[serde(default)]
    email: Option<String>,
    #[garde(inner(length(chars, max = 128)))]
    #[serde(default)]
    firstname: Option<String>,
    #[garde(inner(length(chars, max = 128)))]
    #[serde(default)]
    lastname: Option<String>,
    #[garde(skip)]
    #[serde(default)]
    password: Option<SecretString>,
    /// Accepted and without effect, as in the original.
    #[garde(skip)]
    #[serde(default, rename = "organization_id")]
    _organization_id: Option<i64>,
    #[garde(inner(length(max = LIST_LIMIT)))]
    #[serde(default)]
    roles: Option<Vec<i64>>,
    #[garde(inner(length(max = LIST_LIMIT)))]
    #[serde(default)]
    rules: Option<Vec<i64>>,
    /// Whether they may not sign in any more; unknown to vantage6.
    #[garde(skip)]
    #[serde(default)]
    disabled: Option<bool>,
}

async fn edit(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    Body(edit): Body<EditUser>,
) -> Result<Json<User>, HubError> {
    let own_id = caller.require_user()?;
    let mut change = hub.change(&caller).await?;
    let row = load(&hub, id).await?;
    let is_self = own_id == id && caller.reach(Resource::User, Operation::Edit).is_some();
    if !is_self && !caller.may_at_organization(Resource::User, Operation::Edit, row.organization_id) {
        return Err(HubError::NotAllowed);
    }
    if edit.password.is_some() {
        return Err(HubError::field("password", "You cannot change your password here!"));
    }
    if edit.username.as_ref().is_some_and(|name| *name != row.username && own_id != id) {
        return Err(HubError::field("username", "You cannot change the username of another user"));
    }
    if own_id == id && (edit.roles.is_some() || edit.rules.is_some()) {
        return Err(HubError::Unauthenticated("You can't changes your own roles!"));
    }
    if own_id == id && edit.disabled == Some(true) {
        return Err(HubError::field("disabled", "You cannot deactivate yourself."));
    }
    // Neither give nor take what oneself does not have (CVE-2024-32969).
    let (present_roles, present_rules) = present(&hub, id).await?;
    // By mail to another address the password is replaced: that is as much as signing in as this user.
    if own_id != id && edit.email.as_ref().is_some_and(|email| *email != row.email) {
        require_assignable(&hub, &caller, row.organization_id, &present_roles, &present_rules).await?;
    }
    let new_email = edit.email.as_ref().filter(|email| **email != row.email);
    let touches_sign_in = new_email.is_some() || edit.disabled.is_some_and(|disabled| disabled != row.disabled);
    if own_id == id && new_email.is_some() {
        return Err(HubError::field(
            "email",
            "Changing your own e-mail address needs your password: POST /account/email, or the page of your account.",
        ));
    }
    if own_id != id && touches_sign_in && !caller.is_inside(Resource::User, Operation::Edit, row.organization_id) {
        return Err(HubError::NotAllowed);
    }
    if own_id != id && edit.disabled.is_some() {
        require_not_above(&hub, &caller, row.organization_id, &present_roles, &present_rules).await?;
    }
    let details = details(&row, &edit, &present_roles, &present_rules);
    let exchanged = |present: Vec<i64>, wanted: &Option<Vec<i64>>| -> Vec<i64> {
        let Some(wanted) = wanted else { return Vec::new() };
        let removed = present.iter().filter(|id| !wanted.contains(id));
        removed.chain(wanted.iter().filter(|id| !present.contains(id))).copied().collect()
    };
    let (roles, rules) = (exchanged(present_roles, &edit.roles), exchanged(present_rules, &edit.rules));
    require_assignable(&hub, &caller, row.organization_id, &roles, &rules).await?;
    // With roles somebody could be put inside who then touches accounts and keys.
    let changes_rights = !roles.is_empty() || !rules.is_empty();
    if changes_rights && !caller.is_inside(Resource::User, Operation::Edit, row.organization_id) {
        return Err(HubError::NotAllowed);
    }
    if let Some(username) = edit.username.as_ref().filter(|username| **username != row.username) {
        require_free(&mut change, id, username).await?;
        require_new_name(&mut change, &caller, "user", id, username, "username").await?;
    }
    if details.is_empty() {
        // Nothing that the log would tell.
        drop(change);
        return Ok(Json(load_written(&hub, id).await?.into()));
    }
    if edit.disabled == Some(true) || new_email.is_some() {
        end_all_tokens(&mut change, id).await?;
    }
    sqlx::query(
        "UPDATE user SET username = coalesce(?1, username), email = coalesce(?2, email),
         firstname = coalesce(?3, firstname), lastname = coalesce(?4, lastname), disabled = coalesce(?5, disabled)
         WHERE id = ?6",
    )
    .bind(&edit.username)
    .bind(&edit.email)
    .bind(&edit.firstname)
    .bind(&edit.lastname)
    .bind(edit.disabled)
    .bind(id)
    .execute(&mut *change)
    .await
    .map_err(taken)?;
    if let Some(roles) = &edit.roles {
        set_roles(&mut change, id, roles).await?;
    }
    if let Some(rules) = &edit.rules {
        set_rules(&mut change, id, rules).await?;
    }
    let is_renamed = [(&edit.firstname, &row.firstname), (&edit.lastname, &row.lastname)]
        .iter()
        .any(|(wanted, present)| wanted.as_ref().is_some_and(|wanted| wanted != *present));
    if own_id != id && (touches_sign_in || changes_rights || is_renamed) {
        let mut addresses = vec![row.email.as_str()];
        addresses.extend(new_email.map(String::as_str));
        let what = [
            new_email.map(|email| format!("changed the e-mail address of your account to {email}")),
            edit.disabled
                .filter(|disabled| *disabled != row.disabled)
                .map(|disabled| if disabled { "deactivated your account" } else { "activated your account again" })
                .map(str::to_owned),
            changes_rights.then(|| "changed what you may do".to_owned()),
            is_renamed.then(|| "changed your first or last name".to_owned()),
        ];
        let what = what.into_iter().flatten().collect::<Vec<_>>().join(", and has ");
        let what = format!("An administrator has {what}.");
        notice::tell_user(&mut change, &hub, id, &addresses, &what).await?;
    }
    change.commit(&caller.did("user.edit", "user", id).details(details).of(row.organization_id)).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok(Json(load_written(&hub, id).await?.into()))
}

/// What of a user is changed, for the audit log.
fn details(row: &Row, edit: &EditUser, roles: &[i64], rules: &[i64]) -> String {
    audit::details([
        changed("username", &row.username, &edit.username),
        changed("e-mail", &row.email, &edit.email),
        changed("first name", &row.firstname, &edit.firstname),
        changed("last name", &row.lastname, &edit.lastname),
        edit.disabled
            .filter(|disabled| *disabled != row.disabled)
            .map(|disabled| if disabled { "deactivated" } else { "activated" }.to_owned()),
        edit.roles.as_ref().and_then(|wanted| difference("roles", roles, wanted)),
        edit.rules.as_ref().and_then(|wanted| difference("rules", rules, wanted)),
    ])
}

/// Ids of the roles and the own rules of a user.
async fn present(hub: &HubState, id: i64) -> Result<(Vec<i64>, Vec<i64>), HubError> {
    let roles = sqlx::query_scalar("SELECT role_id FROM user_role WHERE user_id = ?");
    let rules = sqlx::query_scalar("SELECT rule_id FROM user_rule WHERE user_id = ?");
    Ok((roles.bind(id).fetch_all(hub.store.reader()).await?, rules.bind(id).fetch_all(hub.store.reader()).await?))
}

/// A user whom the caller may change, who is not above them; not oneself.
async fn other(hub: &HubState, caller: &Caller, id: i64) -> Result<Row, HubError> {
    let own_id = caller.require_user()?;
    let row = load(hub, id).await?;
    if own_id == id || !caller.is_inside(Resource::User, Operation::Edit, row.organization_id) {
        return Err(HubError::NotAllowed);
    }
    let (roles, rules) = present(hub, id).await?;
    require_not_above(hub, caller, row.organization_id, &roles, &rules).await?;
    Ok(row)
}

/// `POST /user/{id}/invitation`, which vantage6 has not: a code with which somebody who never signed in sets their first
/// password, mailed to them as well if the hub sends mail. Of others nobody gets one, or an admin could take over
/// accounts.
async fn invite(State(hub): State<Arc<HubState>>, caller: Caller, Id(id): Id) -> Result<Json<Value>, HubError> {
    let mut change = hub.change(&caller).await?;
    let row = other(&hub, &caller, id).await?;
    if row.last_seen.is_some() || row.disabled {
        return Err(HubError::bad("Only somebody who never signed in can be invited; others ask for a new password."));
    }
    // With the code one could sign in as this user.
    let (roles, rules) = present(&hub, id).await?;
    require_assignable(&hub, &caller, row.organization_id, &roles, &rules).await?;
    let code = invitation_code(&hub, &mut change, caller.require_user()?, id).await?;
    let mailed = mail_invitation(&mut change, &hub, id, &code).await?;
    // Noted before the code is told.
    let what = format!("An administrator has made an invitation for the account \"{}\".", row.username);
    notice::tell_admins(&mut change, &hub, &caller, row.organization_id, &what).await?;
    change.commit(&caller.did("user.invite", "user", id).of(row.organization_id)).await?;
    hub.jobs.wake();
    Ok(Json(json!({"code": code, "mailed": mailed})))
}

/// `POST /user/{id}/end-sessions`, which vantage6 has not: all tokens of a user end.
async fn end_sessions(State(hub): State<Arc<HubState>>, caller: Caller, Id(id): Id) -> Result<Json<Value>, HubError> {
    let mut change = hub.change(&caller).await?;
    let row = other(&hub, &caller, id).await?;
    end_all_tokens(&mut change, id).await?;
    let what = "An administrator has ended all your sessions.";
    notice::tell_user(&mut change, &hub, id, &[&row.email], what).await?;
    change.commit(&caller.did("user.end_sessions", "user", id).of(row.organization_id)).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok(message(format!("All sessions of user id={id} have ended")))
}

/// `POST /user/{id}/reset-second-factor`, which vantage6 has not: somebody who lost theirs sets up a new one at the next
/// sign-in, for which the password is still needed. All their sessions end.
async fn reset_second_factor(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<Value>, HubError> {
    let mut change = hub.change(&caller).await?;
    let row = other(&hub, &caller, id).await?;
    second_factor::forget(&mut change, id).await?;
    end_all_tokens(&mut change, id).await?;
    let what = match hub.two_factor {
        true => "An administrator has taken your second factor away: you set up a new one when you sign in.",
        false => {
            "An administrator has taken your second factor away: your password alone opens your account until you set up a \
             new one, on the page of your account."
        }
    };
    notice::tell_user(&mut change, &hub, id, &[&row.email], what).await?;
    change.commit(&caller.did("second_factor.reset", "user", id).of(row.organization_id)).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    Ok(message(format!("The second factor of user id={id} is to be set up anew")))
}

async fn remove(
    State(hub): State<Arc<HubState>>,
    caller: Caller,
    Id(id): Id,
    query: ListQuery,
) -> Result<Json<Value>, HubError> {
    let own_id = caller.require_user()?;
    let mut change = hub.change(&caller).await?;
    let row = load(&hub, id).await?;
    let is_self = own_id == id && caller.reach(Resource::User, Operation::Delete).is_some();
    if !is_self && !caller.is_inside(Resource::User, Operation::Delete, row.organization_id) {
        return Err(HubError::NotAllowed);
    }
    if !is_self {
        let (roles, rules) = present(&hub, id).await?;
        require_removable(&hub, &caller, row.organization_id, &roles, &rules).await?;
    }
    let with_dependents = query.flag("delete_dependents")?.unwrap_or(false);
    let tasks: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM task WHERE init_user_id = ?").bind(id).fetch_one(&mut *change).await?;
    if tasks > 0 && !with_dependents {
        return Err(HubError::bad(format!(
            "User has created {tasks} tasks. Please delete those first, or set the `delete_dependents` parameter to \
             true to delete them automatically together with this user."
        )));
    }
    if !is_self {
        // Also if an admin of their own organization did it.
        notice::tell_user(&mut change, &hub, id, &[&row.email], "An administrator has deleted your account.").await?;
    }
    let stopped = task::delete_where(&mut change, &caller, "init_user_id = ?", id).await?;
    sqlx::query("DELETE FROM user WHERE id = ?").bind(id).execute(&mut *change).await?;
    change.commit(&caller.did("user.delete", "user", id).of(row.organization_id)).await?;
    hub.jobs.wake();
    hub.store.forget_authorities();
    stopped.tell(&hub).await;
    Ok(message(format!("user id={id} is removed from the database")))
}
