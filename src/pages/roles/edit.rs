use axum::{
    extract::{Form as Fields, Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;

use crate::{
    pages::{
        components::{Breadcrumbs, PermissionTable, TextField},
        confirm::{Question, counted},
        error::PageError,
        form::Sent,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::{
        client::{ClientError, refusal},
        domain::{Operation, Role},
    },
    session::{FlashKind, SignedIn, put_flash, take_flash},
};

fn number(id: &str) -> Result<i64, PageError> {
    id.parse().map_err(|_| PageError::not_found("This role"))
}

fn may(me: &SignedIn, role: &Role, operation: Operation) -> bool {
    let is_own = role.organization_id.is_some() && role.organization_id == me.user.organization_id;
    !role.is_default && me.permissions.may_at_role(operation, is_own)
}

fn way(role: Option<&Role>) -> Vec<(String, String)> {
    let mut way = vec![("/users".to_owned(), "Users".to_owned()), ("/roles".to_owned(), "Roles".to_owned())];
    way.extend(role.map(|role| (format!("/roles/{}", role.id), role.name.clone())));
    way
}

/// `GET /roles/{id}`: what it permits.
pub async fn show(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let flash = take_flash(&user.session).await?;
    let (role, rules, of_role, names) =
        futures::try_join!(me.hub.role(id), me.hub.rules(), me.hub.rules_of_role(id), me.names())?;
    let owner = role.organization_id.map(|id| names.organization(id));
    let chosen: Vec<i64> = of_role.iter().map(|rule| rule.id).collect();
    let (edits, deletes) = (may(&me, &role, Operation::Edit), may(&me, &role, Operation::Delete));
    let title = format!("Role {}", role.name);
    let view = move || {
        let (role, rules, chosen, owner) = (role.clone(), rules.clone(), chosen.clone(), owner.clone());
        view! {
            <Breadcrumbs way=way(None)/>
            <div class="page-head">
                <h1>{role.name}</h1>
                <div class="actions">
                    {edits.then(|| view! { <a class="button" href=format!("/roles/{id}/edit")>"Change"</a> })}
                    {deletes.then(|| view! { <a class="button danger" href=format!("/roles/{id}/delete")>"Delete"</a> })}
                </div>
            </div>
            <p class="lead">{role.description}</p>
            {role.is_default.then(|| view! { <p class="help">"Every hub has this role; it cannot be changed."</p> })}
            {owner.map(|owner| view! { <p class="help">{format!("For users of {owner} only.")}</p> })}
            <PermissionTable rules chosen/>
        }
    };
    Ok(Page::new(title).user(me.clone()).section("/users").flash(flash).render(&state, view).await)
}

/// What was typed, or what there is.
#[derive(Clone, Default)]
struct Typed {
    name: String,
    description: String,
    rules: Vec<i64>,
    /// Whose role it is; `None` for the own organization's.
    organization: Option<i64>,
}

impl Typed {
    fn of(sent: &Sent) -> Typed {
        Typed {
            name: sent.text("name"),
            description: sent.text("description"),
            rules: sent.ids("rules"),
            organization: sent.text("organization_id").parse().ok(),
        }
    }
}

async fn form(
    state: &PageState,
    me: SignedIn,
    role: Option<Role>,
    typed: Typed,
    error: Option<String>,
) -> Result<Response, PageError> {
    // Whoever may do so everywhere chooses whose role it is; a server makes none that is nobody's.
    let chooses = role.is_none() && me.permissions.may_at_role(Operation::Create, false);
    let organizations = async { if chooses { me.hub.organizations().await } else { Ok(Vec::new()) } };
    let (mut rules, mut organizations) = futures::try_join!(me.hub.rules(), organizations)?;
    // What one may not do oneself cannot be given; what the role has already is shown.
    rules.retain(|rule| me.permissions.has(rule) || typed.rules.contains(&rule.id));
    organizations.sort_by_key(|organization| organization.name.to_lowercase());
    let own = me.user.organization_id;
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let title = if role.is_some() { "Change this role" } else { "New role" };
    let view = move || {
        let (role, typed, rules, error) = (role.clone(), typed.clone(), rules.clone(), error.clone());
        let (organizations, chosen) = (organizations.clone(), typed.organization.or(own));
        let action = role.as_ref().map_or_else(|| "/roles/new".to_owned(), |role| format!("/roles/{}/edit", role.id));
        let cancel = role.as_ref().map_or_else(|| "/roles".to_owned(), |role| format!("/roles/{}", role.id));
        view! {
            <Breadcrumbs way=way(role.as_ref())/>
            <h1>{title}</h1>
            <form method="post" action=action>
                {error.map(|error| view! { <p class="flash error" role="alert">{error}</p> })}
                <TextField name="name" label="Name" value=typed.name maxlength=128 required=true/>
                <TextField name="description" label="What it is for" value=typed.description maxlength=1024/>
                {chooses.then(|| view! {
                    <div class="field">
                        <label for="organization_id">"Organization"</label>
                        <p class="help">"Only its users can have this role."</p>
                        <select id="organization_id" name="organization_id">
                            {organizations.into_iter().map(|organization| view! {
                                <option value=organization.id selected={Some(organization.id) == chosen}>{organization.name}</option>
                            }).collect_view()}
                        </select>
                    </div>
                })}
                <p class="help">"Offered is what you may do yourself."</p>
                <PermissionTable rules chosen=typed.rules edits=true/>
                <p class="actions form-actions">
                    <button type="submit" class="primary">"Save"</button>
                    <a class="button" href=cancel>"Cancel"</a>
                </p>
            </form>
        }
    };
    Ok(Page::new(title).user(me).section("/users").status(status).render(state, view).await)
}

/// `GET /roles/new`
pub async fn new(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    if !user.signed_in.permissions.may_at_role(Operation::Create, true) {
        return Err(PageError::Forbidden("Your roles do not permit to create roles.".to_owned()));
    }
    form(&state, user.signed_in, None, Typed::default(), None).await
}

/// `POST /roles/new`
pub async fn create(
    State(state): State<PageState>,
    user: User,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    let typed = Typed::of(&Sent(fields));
    let organization = typed.organization.or(me.user.organization_id);
    match me.hub.create_role(&typed.name, &typed.description, organization, &typed.rules).await {
        Ok(id) => {
            put_flash(&user.session, FlashKind::Success, "The role is created.").await?;
            Ok(Redirect::to(&format!("/roles/{id}")).into_response())
        }
        Err(error) => match refusal(&error) {
            Some(message) => form(&state, me, None, typed, Some(message)).await,
            None => Err(error.into()),
        },
    }
}

/// `GET /roles/{id}/edit`
pub async fn edit(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let (role, rules) = futures::try_join!(me.hub.role(id), me.hub.rules_of_role(id))?;
    if !may(&me, &role, Operation::Edit) {
        return Err(PageError::Forbidden("This role cannot be changed by you.".to_owned()));
    }
    let typed = Typed {
        name: role.name.clone(),
        description: role.description.clone(),
        rules: rules.iter().map(|rule| rule.id).collect(),
        organization: None,
    };
    form(&state, me, Some(role), typed, None).await
}

/// `POST /roles/{id}/edit`
pub async fn save(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let typed = Typed::of(&Sent(fields));
    match me.hub.edit_role(id, &typed.name, &typed.description, &typed.rules).await {
        Ok(()) => {
            put_flash(&user.session, FlashKind::Success, "The role is changed. It holds from now on.").await?;
            Ok(Redirect::to(&format!("/roles/{id}")).into_response())
        }
        Err(error) => match refusal(&error) {
            Some(message) => {
                let role = me.hub.role(id).await?;
                form(&state, me, Some(role), typed, Some(message)).await
            }
            None => Err(error.into()),
        },
    }
}

/// `GET /roles/{id}/delete`
pub async fn confirm_delete(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    let (role, users) = futures::try_join!(me.hub.role(id), me.hub.count_users_with_role(id))?;
    PageError::unless(may(&me, &role, Operation::Delete))?;
    let question = Question {
        heading: format!("Delete the role {}?", role.name),
        section: "/users",
        way: way(Some(&role)),
        text: "Whoever has it may do no more what only this role permits. This cannot be undone.",
        with_it: counted(users, "user has it and loses it", "users have it and lose it").into_iter().collect(),
        action: format!("/roles/{id}/delete"),
        confirm: "Delete the role",
        back: format!("/roles/{id}"),
    };
    Ok(question.render(&state, me).await)
}

/// `POST /roles/{id}/delete`
pub async fn delete(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    match user.signed_in.hub.delete_role(id).await {
        Ok(()) | Err(ClientError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    put_flash(&user.session, FlashKind::Success, "The role is deleted.").await?;
    Ok(Redirect::to("/roles").into_response())
}
