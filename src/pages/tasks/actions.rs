//! Cancel, delete and repeat, each with a confirmation.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;

use super::{load::load_view, wizard};
use crate::{
    pages::{components::Breadcrumbs, error::PageError, render::Page, state::PageState, user::User},
    protocol::client::ClientError,
    session::{FlashKind, put_flash},
};

fn number(id: &str) -> Result<i64, PageError> {
    id.parse().map_err(|_| PageError::not_found("This task"))
}

/// Words of a confirmation page.
#[derive(Clone, Copy)]
struct Question {
    heading: &'static str,
    text: &'static str,
    confirm: &'static str,
    back: &'static str,
    path: &'static str,
}

const ENDED: &str = "The task had ended already; there was nothing to cancel.";

const CANCEL: Question = Question {
    heading: "Cancel this task?",
    text: "Runs that have not ended are stopped at every organization, those of subtasks too. Results that are \
           already there stay.",
    confirm: "Cancel task",
    back: "Let it run",
    path: "cancel",
};

const DELETE: Question = Question {
    heading: "Delete this task?",
    text: "The task goes with its subtasks, runs, logs and results, for everybody. What still runs is stopped. This \
           cannot be undone.",
    confirm: "Delete task",
    back: "Keep it",
    path: "delete",
};

async fn confirm(state: PageState, user: User, id: &str, question: Question) -> Result<Response, PageError> {
    let id = number(id)?;
    let me = user.signed_in;
    let task = me.hub.task(id).await?;
    let may = match question.path {
        "cancel" => me.may_cancel(&task).await,
        _ => me.permissions.may_delete(&task, &me.user),
    };
    if !may {
        return Err(PageError::Forbidden("Your roles do not permit it for this task.".to_owned()));
    }
    if question.path == "cancel" && task.status.is_final() {
        put_flash(&user.session, FlashKind::Success, ENDED).await?;
        return Ok(Redirect::to(&format!("/tasks/{id}")).into_response());
    }
    let name = task.name.clone();
    let view = move || {
        let name = name.clone();
        view! {
            <Breadcrumbs way=vec![("/tasks".to_owned(), "Tasks".to_owned()), (format!("/tasks/{id}"), format!("Task {id}"))]/>
            <section class="message-page">
                <h1>{question.heading}</h1>
                <p><strong>{format!("Task {id} {name}")}</strong></p>
                <p>{question.text}</p>
                <form method="post" action=format!("/tasks/{id}/{}", question.path) class="actions">
                    <button type="submit" class="danger">{question.confirm}</button>
                    <a class="button" href=format!("/tasks/{id}")>{question.back}</a>
                </form>
            </section>
        }
    };
    Ok(Page::new(question.heading).user(me).section("/tasks").render(&state, view).await)
}

/// `GET /tasks/{id}/cancel`
pub async fn confirm_cancel(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    confirm(state, user, &id, CANCEL).await
}

/// `GET /tasks/{id}/delete`
pub async fn confirm_delete(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    confirm(state, user, &id, DELETE).await
}

/// `POST /tasks/{id}/cancel`
pub async fn cancel(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    match user.signed_in.hub.kill_task(id).await {
        Ok(()) => put_flash(&user.session, FlashKind::Success, "The task is cancelled.").await?,
        // It ended in the meantime: nothing is wrong, but it is not cancelled.
        Err(ClientError::Rejected { .. }) => put_flash(&user.session, FlashKind::Success, ENDED).await?,
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to(&format!("/tasks/{id}")).into_response())
}

/// `POST /tasks/{id}/delete`
pub async fn delete(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    match user.signed_in.hub.delete_task(id).await {
        Ok(()) => {}
        // Somebody else, or the second press of the same button.
        Err(ClientError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    put_flash(&user.session, FlashKind::Success, format!("Task {id} is deleted.")).await?;
    Ok(Redirect::to("/tasks").into_response())
}

/// `POST /tasks/{id}/repeat`: the wizard, filled in; its overview is the confirmation.
pub async fn repeat(State(state): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    let view = load_view(&user.signed_in, id).await?;
    let draft = wizard::draft_of(&user.signed_in, &view).await?;
    wizard::save(&state, &user, &draft).await?;
    Ok(Redirect::to(&wizard::address(&draft.id, wizard::Step::Overview)).into_response())
}
