//! Tasks that somebody has begun in this browser and not created: where the page of tasks lists them, and how one is
//! discarded.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use leptos::prelude::*;
use secrecy::SecretString;
use tower_sessions::cookie::time::Duration;
use uuid::Uuid;

use super::wizard::{Step, address};
use crate::{
    pages::{
        components::Time,
        confirm::Question,
        cookie::{cookie_value, set_cookie},
        error::PageError,
        state::PageState,
        user::User,
    },
    protocol::printable::printable,
    session::{Draft, FlashKind, FunctionChoice, SessionError, put_flash},
};

/// As long as a draft is kept.
const LIFETIME: Duration = Duration::days(30);
/// How many are shown at once.
const SHOWN: usize = 3;

/// The cookie whose value opens a browser's list of drafts: the store alone does not tell which there are.
fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-atoll-drafts" } else { "atoll-drafts" }
}

fn key_of(state: &PageState, headers: &HeaderMap) -> Option<String> {
    Some(cookie_value(headers, cookie_name(state.https))).filter(|key| Uuid::try_parse(key).is_ok())
}

/// Puts a draft on top of this browser's list; the header by which the browser keeps the list's key.
pub async fn put_on_list(
    state: &PageState,
    user: &User,
    headers: &HeaderMap,
    draft: &Draft,
) -> Result<[(HeaderName, HeaderValue); 1], PageError> {
    let key = key_of(state, headers).unwrap_or_else(|| Uuid::new_v4().to_string());
    let listed = state.registry.store().put_on_list(user.signed_in.user.id, &key, &draft.id).await;
    listed.map_err(SessionError::from)?;
    Ok(set_cookie(cookie_name(state.https), Some(&SecretString::from(key)), LIFETIME, state.https))
}

/// A draft as the list shows it.
#[derive(Clone)]
pub struct Begun {
    id: String,
    title: String,
    /// Beside its name.
    function: Option<String>,
    changed: Option<Timestamp>,
}

/// What somebody has begun in this browser, the newest first.
pub async fn begun(state: &PageState, user: &User, headers: &HeaderMap) -> Result<Vec<Begun>, PageError> {
    let Some(key) = key_of(state, headers) else { return Ok(Vec::new()) };
    let listed = state.registry.store().listed_drafts(user.signed_in.user.id, &key).await;
    Ok(listed.map_err(SessionError::from)?.into_iter().map(|(draft, changed)| begun_of(&draft, changed)).collect())
}

fn begun_of(draft: &Draft, changed: i64) -> Begun {
    let function = match &draft.function {
        Some(FunctionChoice::OfStore { function, .. }) => Some(function.clone()),
        Some(FunctionChoice::Other) => Some(draft.other.image.clone()).filter(|image| !image.is_empty()),
        None => None,
    };
    let name = draft.name.trim();
    let (title, function) = match name.is_empty() {
        false => (printable(name), function),
        true => (function.unwrap_or_else(|| "Without a name".to_owned()), None),
    };
    Begun { id: draft.id.clone(), title, function, changed: Timestamp::from_second(changed).ok() }
}

/// The list; nothing if nothing is begun.
#[component]
pub fn BegunTasks(begun: Vec<Begun>) -> impl IntoView {
    if begun.is_empty() {
        return ().into_any();
    }
    let mut first = begun;
    let rest = first.split_off(first.len().min(SHOWN));
    view! {
        <section class="begun" aria-labelledby="begun">
            <h2 id="begun">"Not created yet"</h2>
            <p class="help">"Begun in this browser, and kept for 30 days after the last change."</p>
            {entries(first)}
            {(!rest.is_empty()).then(|| view! {
                <details>
                    <summary>{format!("{} more", rest.len())}</summary>
                    {entries(rest)}
                </details>
            })}
        </section>
    }
    .into_any()
}

fn entries(begun: Vec<Begun>) -> impl IntoView {
    let entry = |begun: Begun| {
        view! {
            <li>
                <a href=address(&begun.id, Step::Overview)>{begun.title.clone()}</a>
                <span class="muted">
                    {begun.function.map(|function| format!("{function}, "))} "changed " <Time value=begun.changed/>
                </span>
                <a class="button quiet" href=format!("/tasks/drafts/{}/discard", begun.id)>
                    "Discard" <span class="visually-hidden">{format!(" {}", begun.title)}</span>
                </a>
            </li>
        }
    };
    view! { <ul class="plain">{begun.into_iter().map(entry).collect_view()}</ul> }
}

/// `GET /tasks/drafts/{id}/discard`
pub async fn confirm_discard(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let draft = state.registry.store().load_draft(user.signed_in.user.id, &id).await.map_err(SessionError::from)?;
    let draft = draft.ok_or_else(|| PageError::not_found("This draft"))?;
    let question = Question {
        heading: format!("Discard “{}”?", begun_of(&draft, 0).title),
        section: "/tasks",
        way: vec![("/tasks".to_owned(), "Tasks".to_owned())],
        text: "The task is not created, and what you typed for it is gone. This cannot be undone.",
        with_it: Vec::new(),
        action: format!("/tasks/drafts/{id}/discard"),
        confirm: "Discard draft",
        back: "/tasks".to_owned(),
    };
    Ok(question.render(&state, user.signed_in).await)
}

/// `POST /tasks/drafts/{id}/discard`
pub async fn discard(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    state.registry.store().delete_draft(user.signed_in.user.id, &id).await.map_err(SessionError::from)?;
    put_flash(&user.session, FlashKind::Success, "The draft is discarded.").await?;
    Ok(Redirect::to("/tasks").into_response())
}
