use axum::{
    extract::{Form as Fields, Path, State},
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use secrecy::ExposeSecret;

use super::{edit::number, list::require};
use crate::{
    islands::CopyButton,
    pages::{
        components::{Breadcrumbs, Time},
        confirm::{Question, counted},
        error::PageError,
        form::Sent,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::{
        client::{ClientError, TaskQuery, UserDetails, refusal},
        domain::{Account, Operation},
    },
    session::{FlashKind, SignedIn, put_flash, take_flash},
};

/// Whether who is signed in may do this to a user; those whom they see share a collaboration.
fn may(me: &SignedIn, account: &Account, operation: Operation) -> bool {
    let is_own = account.organization_id.is_some() && account.organization_id == me.user.organization_id;
    me.permissions.may_at_user(operation, is_own, true)
}

/// Whether who is signed in may touch how a user signs in.
pub(super) fn may_touch(me: &SignedIn, account: &Account, operation: Operation) -> bool {
    let is_own = account.organization_id.is_some() && account.organization_id == me.user.organization_id;
    me.permissions.may_touch_user(operation, is_own)
}

/// Said where something is not offered because of [`is_guarded`].
pub(super) const GUARDED: &str = "They decide about the data of their organization: only those who do so there change their roles or address, invite them anew, or delete them.";

/// Whether somebody decides about the data of their organization, where others can deactivate them but neither give nor
/// take it, nor delete them (our hub).
pub(super) async fn is_guarded(me: &SignedIn, account: &Account) -> Result<bool, PageError> {
    let is_own = account.organization_id.is_some() && account.organization_id == me.user.organization_id;
    if is_own && me.permissions.may_decide_reviews() {
        return Ok(false);
    }
    Ok(me.hub.rule_items_of_user(account.id).await?.iter().any(|rule| rule.decides_reviews()))
}

/// `GET /users/{id}`
pub async fn show(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    require(&me)?;
    let flash = take_flash(&user.session).await?;
    let (account, names, roles, server) =
        futures::try_join!(me.hub.account(id), me.names(), me.hub.roles(), me.hub.transport().server())?;
    let is_self = me.user.id == id;
    let (edits, deletes) = (may(&me, &account, Operation::Edit), may_touch(&me, &account, Operation::Delete));
    let touches = may_touch(&me, &account, Operation::Edit);
    let own_hub = server.has_invitations;
    let guarded = (edits || deletes) && !is_self && is_guarded(&me, &account).await?;
    let title = account.username.clone();
    let view = move || {
        let (account, roles, names) = (account.clone(), roles.clone(), names.clone());
        let name = format!("{} {}", account.first_name, account.last_name);
        let roles: Vec<_> = roles.into_iter().filter(|role| account.roles.contains(&role.id)).collect();
        let others = touches && !is_self && own_hub;
        view! {
            <Breadcrumbs way=vec![("/users".to_owned(), "Users".to_owned())]/>
            <div class="page-head">
                <h1>{account.username.clone()} {account.disabled.then(|| view! { " " <span class="tag">"deactivated"</span> })}</h1>
                <div class="actions">
                    {edits.then(|| view! { <a class="button" href=format!("/users/{id}/edit")>"Change"</a> })}
                    {(deletes && !is_self && !guarded).then(|| view! { <a class="button danger" href=format!("/users/{id}/delete")>"Delete"</a> })}
                </div>
            </div>
            <dl class="facts">
                <div><dt>"Name"</dt><dd>{name.trim().to_owned()}</dd></div>
                <div><dt>"E-mail"</dt><dd>{account.email.clone()}</dd></div>
                <div><dt>"Organization"</dt><dd>{account.organization_id.map(|id| view! { <a href=format!("/organizations/{id}")>{names.organization(id)}</a> })}</dd></div>
                <div><dt>"Roles"</dt><dd>
                    {roles.is_empty().then_some("none")}
                    <ul class="plain">{roles.into_iter().map(|role| view! { <li><a href=format!("/roles/{}", role.id)>{role.name}</a></li> }).collect_view()}</ul>
                </dd></div>
                <div><dt>"Last seen"</dt><dd><Time value=account.last_seen missing="never"/></dd></div>
            </dl>
            {others.then(|| view! {
                <section aria-labelledby="access">
                    <h2 id="access">"Access"</h2>
                    <div class="actions">
                        {(account.last_seen.is_none() && !account.disabled && !guarded).then(|| view! {
                            <form method="post" action=format!("/users/{id}/invite")><button type="submit">"New invitation"</button></form>
                        })}
                        <form method="post" action=format!("/users/{id}/end-sessions")><button type="submit">"End all sessions"</button></form>
                        <form method="post" action=format!("/users/{id}/reset-second-factor")><button type="submit">"Reset second factor"</button></form>
                        <form method="post" action=format!("/users/{id}/active")>
                            {if account.disabled {
                                view! { <button type="submit" name="active" value="yes">"Activate again"</button> }.into_any()
                            } else {
                                view! { <button type="submit" class="danger">"Deactivate"</button> }.into_any()
                            }}
                        </form>
                    </div>
                    <p class="help">"Who is deactivated cannot sign in; tasks and decisions of theirs stay."</p>
                    {guarded.then(|| view! { <p class="help">{GUARDED}</p> })}
                </section>
            })}
            {(edits && !own_hub).then(|| view! { <p class="help">"A vantage6 server can neither invite nor deactivate users, nor end their sessions; that is done there by deleting them."</p> })}
        }
    };
    Ok(Page::new(title).user(me.clone()).section("/users").flash(flash).render(&state, view).await)
}

/// The page with an invitation, which is shown this once.
pub async fn invitation_page(state: &PageState, me: SignedIn, id: i64) -> Result<Response, PageError> {
    let (account, invitation) = futures::try_join!(me.hub.account(id), me.hub.invite_user(id))?;
    let origin = me.hub.transport().public_origin();
    let view = move || {
        let link = format!("{origin}/password/reset#{}", invitation.code.expose_secret());
        let what = match invitation.mailed {
            true => format!(
                "It was mailed to {}. If nothing arrives, send this link to them and to nobody else:",
                account.email
            ),
            false => format!(
                "Send this link to them and to nobody else, and tell them that their username is \"{}\":",
                account.username
            ),
        };
        view! {
            <Breadcrumbs way=vec![("/users".to_owned(), "Users".to_owned()), (format!("/users/{id}"), account.username.clone())]/>
            <h1>{format!("Invitation for {}", account.username)}</h1>
            <p class="notice">{what} " whoever opens it sets the first password of this account. It is shown this once, and is good once, for seven days."</p>
            <div class="code-block">
                <pre tabindex="0"><code id="copy-source" class="api-key">{link}</code></pre>
                <CopyButton/>
            </div>
            <p class="actions"><a class="button primary" href=format!("/users/{id}")>"Done"</a></p>
        }
    };
    Ok(Page::new("Invitation").user(me).section("/users").with_islands().render(state, view).await)
}

/// `POST /users/{id}/invite`
pub async fn invite(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    require(&user.signed_in)?;
    invitation_page(&state, user.signed_in, id).await
}

/// What became of a change, as a message on the user's page.
async fn told(user: &User, id: i64, done: &str, outcome: Result<(), ClientError>) -> Result<Response, PageError> {
    match outcome {
        Ok(()) => put_flash(&user.session, FlashKind::Success, done).await?,
        Err(error) => match refusal(&error) {
            Some(message) => put_flash(&user.session, FlashKind::Error, message).await?,
            None => return Err(error.into()),
        },
    }
    Ok(Redirect::to(&format!("/users/{id}")).into_response())
}

/// `POST /users/{id}/active`
pub async fn set_active(
    user: User,
    Path(id): Path<String>,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = &user.signed_in;
    require(me)?;
    let active = Sent(fields).flag("active");
    let details = UserDetails { disabled: Some(!active), ..Default::default() };
    let done =
        if active { "The user can sign in again." } else { "The user is deactivated, and signed out everywhere." };
    let outcome = me.hub.edit_user(id, &details).await;
    told(&user, id, done, outcome).await
}

/// `POST /users/{id}/end-sessions`
pub async fn end_sessions(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    require(&user.signed_in)?;
    let outcome = user.signed_in.hub.end_sessions_of(id).await;
    told(&user, id, "All sessions of this user have ended.", outcome).await
}

/// `POST /users/{id}/reset-second-factor`
pub async fn reset_second_factor(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    require(&user.signed_in)?;
    let outcome = user.signed_in.hub.reset_second_factor_of(id).await;
    told(
        &user,
        id,
        "The second factor is gone: it is set up anew at the next sign-in. All sessions have ended.",
        outcome,
    )
    .await
}

/// `GET /users/{id}/delete`
pub async fn confirm_delete(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    require(&me)?;
    let theirs = TaskQuery { init_user_id: Some(id), per_page: 1, page: 1, ..Default::default() };
    let (account, tasks) = futures::try_join!(me.hub.account(id), me.hub.tasks(&theirs))?;
    PageError::unless(!is_guarded(&me, &account).await?)?;
    let question = Question {
        heading: format!("Delete the user {}?", account.username),
        section: "/users",
        way: vec![("/users".to_owned(), "Users".to_owned()), (format!("/users/{id}"), account.username)],
        text: "They cannot sign in any more. To keep what they did, deactivate them instead. This cannot be undone.",
        with_it: counted(tasks.total, "task with its runs and results", "tasks with their runs and results")
            .into_iter()
            .collect(),
        action: format!("/users/{id}/delete"),
        confirm: "Delete the user",
        back: format!("/users/{id}"),
    };
    Ok(question.render(&state, me).await)
}

/// `POST /users/{id}/delete`
pub async fn delete(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    require(&user.signed_in)?;
    match user.signed_in.hub.delete_user(id).await {
        Ok(()) | Err(ClientError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    user.signed_in.forget_names().await;
    put_flash(&user.session, FlashKind::Success, "The user is deleted.").await?;
    Ok(Redirect::to("/users").into_response())
}
