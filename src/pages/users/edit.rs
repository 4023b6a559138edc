//! Creating and changing a user.

use axum::{
    extract::{Form as Fields, Path, State},
    response::{IntoResponse, Redirect, Response},
};
use futures::future::join_all;
use secrecy::SecretString;

use super::{
    detail::{GUARDED, invitation_page, is_guarded, may_touch},
    list::require,
};
use crate::{
    pages::{
        components::PASSWORD_RULES,
        error::PageError,
        form::{Choice, Errors, Field, Form, Kind, Sent, refused},
        state::PageState,
        user::User,
    },
    protocol::{
        client::UserDetails,
        domain::{Account, Operation, Organization, Role, RuleItem},
    },
    session::{FlashKind, SignedIn, put_flash},
};

pub fn number(id: &str) -> Result<i64, PageError> {
    id.parse().map_err(|_| PageError::not_found("This user"))
}

/// What can be chosen.
struct Choices {
    organizations: Vec<Organization>,
    roles: Vec<Role>,
    rules: Vec<RuleItem>,
    /// Whether the hub invites people; else the password is typed here.
    invites: bool,
}

impl Choices {
    /// What whoever is signed in may give, and what is chosen already.
    async fn load(me: &SignedIn, chosen: &UserDetails) -> Result<Choices, PageError> {
        let (mut organizations, roles, mut rules, server) =
            futures::try_join!(me.hub.organizations(), me.hub.roles(), me.hub.rules(), me.hub.transport().server())?;
        let is_chosen = |ids: &Option<Vec<i64>>, id: i64| ids.as_ref().is_some_and(|ids| ids.contains(&id));
        let of_roles = join_all(roles.iter().map(|role| me.hub.rules_of_role(role.id))).await;
        let mut givable = Vec::new();
        for (mut role, of_role) in roles.into_iter().zip(of_roles) {
            let of_role = of_role?;
            // The description of the default role does not say so.
            if of_role.iter().any(|rule| rule.decides_reviews()) {
                let end = if role.description.trim_end().ends_with(['.', '!', '?']) { "" } else { "." };
                role.description.push_str(end);
                role.description.push_str(" Decides about what may be done with the data of their own organization; given by those who do so there, by others only to its first one.");
            }
            if is_chosen(&chosen.roles, role.id) || of_role.iter().all(|rule| me.permissions.has(rule)) {
                givable.push(role);
            }
        }
        rules.retain(|rule| is_chosen(&chosen.rules, rule.id) || me.permissions.has(rule));
        organizations.retain(|organization| {
            let is_own = me.user.organization_id == Some(organization.id);
            me.permissions.may_touch_user(Operation::Create, is_own)
        });
        organizations.sort_by_key(|organization| organization.name.to_lowercase());
        Ok(Choices { organizations, roles: givable, rules, invites: server.has_invitations })
    }
}

fn form(account: Option<&Account>, sent: &UserDetails, choices: Choices, me: &SignedIn, guarded: bool) -> Form {
    let (own, is_self) = (me.user.organization_id, account.is_some_and(|account| account.id == me.user.id));
    let page = account.map_or_else(|| "/users".to_owned(), |account| format!("/users/{}", account.id));
    let mut way = vec![("/users".to_owned(), "Users".to_owned())];
    way.extend(account.map(|account| (page.clone(), account.username.clone())));
    let mut fields = Vec::new();
    if account.is_none() {
        fields.push(Field::line("username", "Username", sent.username.clone().unwrap_or_default()));
    }
    // By mail to another address somebody could sign in as this user. One's own is changed on the page of the account,
    // where our hub asks for the password; a vantage6 server does not.
    let is_inside = account.is_none_or(|account| may_touch(me, account, Operation::Edit));
    if !guarded && is_inside && !(is_self && choices.invites) {
        fields.push(Field::line("email", "E-mail", sent.email.clone().unwrap_or_default()));
    }
    fields.push(Field::line("firstname", "First name", sent.firstname.clone().unwrap_or_default()));
    fields.push(Field::line("lastname", "Last name", sent.lastname.clone().unwrap_or_default()));
    let organization = sent.organization_id.or(own);
    if account.is_none() {
        let options =
            choices.organizations.iter().map(|organization| (organization.id.to_string(), organization.name.clone()));
        let chosen = organization.map(|id| id.to_string()).unwrap_or_default();
        fields.push(Field::one("organization_id", "Organization", options.collect(), chosen));
    }
    if account.is_none() && !choices.invites {
        let kind = Kind::Line("password", String::new());
        fields.push(Field { name: "password", label: "First password", help: PASSWORD_RULES, kind });
    }
    // Nobody changes their own roles.
    if !is_self && !guarded {
        let chosen = sent.roles.clone().unwrap_or_default();
        // Neither of machines, nor of other organizations.
        let roles = choices
            .roles
            .into_iter()
            .filter(|role| !(role.is_default && ["container", "node"].contains(&role.name.as_str())));
        let roles = roles.map(|role| Choice {
            id: role.id,
            chosen: chosen.contains(&role.id),
            label: role.name,
            remark: role.description,
        });
        fields.push(Field::several("roles", "Roles", roles.collect()).help("You can only grant permissions you have."));
        let kind = Kind::Rules(choices.rules, sent.rules.clone().unwrap_or_default());
        fields.push(Field {
            name: "rules",
            label: "Extra rules",
            help: "Beside those of the roles. Rarely needed.",
            kind,
        });
    }
    Form {
        title: if account.is_some() { "Change this user".to_owned() } else { "New user".to_owned() },
        section: "/users",
        way,
        lead: if guarded { GUARDED } else { "" },
        action: account.map_or_else(|| "/users/new".to_owned(), |account| format!("/users/{}/edit", account.id)),
        submit: match (account.is_some(), choices.invites) {
            (true, _) => "Save",
            (false, true) => "Create and invite",
            (false, false) => "Create the user",
        },
        cancel: page,
        fields,
    }
}

fn details(sent: &Sent) -> UserDetails {
    let username = sent.text("username");
    UserDetails {
        username: (!username.is_empty()).then_some(username),
        email: Some(sent.text("email")),
        firstname: Some(sent.text("firstname")),
        lastname: Some(sent.text("lastname")),
        organization_id: sent.text("organization_id").parse().ok(),
        roles: Some(sent.ids("roles")),
        rules: Some(sent.ids("rules")),
        disabled: None,
    }
}

/// `GET /users/new`
pub async fn new(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let me = user.signed_in;
    require(&me)?;
    let choices = Choices::load(&me, &UserDetails::default()).await?;
    Ok(form(None, &UserDetails::default(), choices, &me, false).render(&state, me, Errors::new()).await)
}

/// `POST /users/new`: answers with the invitation, which is not kept anywhere.
pub async fn create(
    State(state): State<PageState>,
    user: User,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    require(&me)?;
    let sent = Sent(fields);
    let details = details(&sent);
    let choices = Choices::load(&me, &details).await?;
    let invites = choices.invites;
    let password = match invites {
        // Nobody ever knows it.
        true => SecretString::from(format!("{}-Aa1", uuid::Uuid::new_v4())),
        false => SecretString::from(
            sent.0.iter().find(|(name, _)| name == "password").map(|(_, value)| value.clone()).unwrap_or_default(),
        ),
    };
    let form = form(None, &details, choices, &me, false);
    if details.username.is_none() {
        let errors = Errors::from([("username".to_owned(), "Enter a username.".to_owned())]);
        return Ok(form.render(&state, me, errors).await);
    }
    match me.hub.create_user(&details, &password).await {
        Ok(id) => {
            me.forget_names().await;
            if invites {
                return invitation_page(&state, me, id).await;
            }
            put_flash(&user.session, FlashKind::Success, "The user is created.").await?;
            Ok(Redirect::to(&format!("/users/{id}")).into_response())
        }
        Err(error) => {
            let errors = refused(error, &form)?;
            Ok(form.render(&state, me, errors).await)
        }
    }
}

/// What a user has beside their roles.
async fn extra_rules(me: &SignedIn, account: &Account) -> Result<Vec<i64>, PageError> {
    let of_roles = futures::future::try_join_all(account.roles.iter().map(|id| me.hub.rules_of_role(*id)));
    let (all, of_roles) = futures::try_join!(me.hub.rule_items_of_user(account.id), of_roles)?;
    let by_role: Vec<i64> = of_roles.into_iter().flatten().map(|item| item.id).collect();
    Ok(all.into_iter().map(|item| item.id).filter(|id| !by_role.contains(id)).collect())
}

/// `GET /users/{id}/edit`
pub async fn edit(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    require(&me)?;
    let account = me.hub.account(id).await?;
    let present = UserDetails {
        username: None,
        email: Some(account.email.clone()),
        firstname: Some(account.first_name.clone()),
        lastname: Some(account.last_name.clone()),
        organization_id: account.organization_id,
        roles: Some(account.roles.clone()),
        rules: Some(extra_rules(&me, &account).await?),
        disabled: None,
    };
    let choices = Choices::load(&me, &present).await?;
    let guarded = is_guarded(&me, &account).await?;
    Ok(form(Some(&account), &present, choices, &me, guarded).render(&state, me, Errors::new()).await)
}

/// `POST /users/{id}/edit`
pub async fn save(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    require(&me)?;
    let mut details = UserDetails { username: None, organization_id: None, ..details(&Sent(fields)) };
    let account = me.hub.account(id).await?;
    let guarded = is_guarded(&me, &account).await?;
    if id == me.user.id || guarded {
        (details.roles, details.rules) = (None, None);
    }
    let asks_password = me.hub.transport().server().await?.has_own_account;
    if guarded || !may_touch(&me, &account, Operation::Edit) || (id == me.user.id && asks_password) {
        details.email = None;
    }
    match me.hub.edit_user(id, &details).await {
        Ok(()) => {
            me.forget_names().await;
            put_flash(&user.session, FlashKind::Success, "The user is changed.").await?;
            Ok(Redirect::to(&format!("/users/{id}")).into_response())
        }
        Err(error) => {
            let form = form(Some(&account), &details, Choices::load(&me, &details).await?, &me, guarded);
            let errors = refused(error, &form)?;
            Ok(form.render(&state, me, errors).await)
        }
    }
}
