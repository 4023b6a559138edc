//! Deleting an organization, with what goes along.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};

use super::edit::number;
use crate::{
    pages::{
        confirm::{Question, counted},
        error::PageError,
        state::PageState,
        user::User,
    },
    protocol::client::{ClientError, TaskQuery, refusal},
    session::{FlashKind, SignedIn, put_flash},
};

fn require(me: &SignedIn, id: i64) -> Result<(), PageError> {
    match me.permissions.may_delete_organization(me.user.organization_id == Some(id)) {
        true => Ok(()),
        false => Err(PageError::Forbidden("Your roles do not permit to delete this organization.".to_owned())),
    }
}

/// `GET /organizations/{id}/delete`
pub async fn confirm(
    State(state): State<PageState>,
    user: User,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let me = user.signed_in;
    require(&me, id)?;
    let theirs = TaskQuery { init_organization_id: Some(id), per_page: 1, page: 1, ..Default::default() };
    let (organization, users, nodes, tasks, roles, runs) = futures::try_join!(
        me.hub.organization(id),
        me.hub.count_users_of(id),
        me.hub.nodes(),
        me.hub.tasks(&theirs),
        me.hub.roles(),
        me.hub.count_runs_at(id)
    )?;
    let nodes = nodes.iter().filter(|node| node.organization_id == Some(id)).count();
    let roles = roles.iter().filter(|role| role.organization_id == Some(id)).count();
    let with_it = [
        counted(users, "user: they cannot sign in any more", "users: they cannot sign in any more"),
        counted(
            nodes,
            "node: its API key is worth nothing any more",
            "nodes: their API keys are worth nothing any more",
        ),
        counted(tasks.total, "task with its runs and results", "tasks with their runs and results"),
        counted(runs, "run of it, also in tasks of others", "runs of it, also in tasks of others"),
        counted(roles, "role of its own", "roles of its own"),
    ];
    let page = format!("/organizations/{id}");
    let question = Question {
        heading: format!("Delete the organization {}?", organization.name),
        section: "/organizations",
        way: vec![("/organizations".to_owned(), "Organizations".to_owned()), (page.clone(), organization.name)],
        text: "It leaves its collaborations and studies. What still runs is stopped. Its data are where they are: at its \
               own node. This cannot be undone.",
        with_it: with_it.into_iter().flatten().collect(),
        action: format!("{page}/delete"),
        confirm: "Delete the organization",
        back: page,
    };
    Ok(question.render(&state, me).await)
}

/// `POST /organizations/{id}/delete`
pub async fn delete(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    require(&user.signed_in, id)?;
    match user.signed_in.hub.delete_organization(id).await {
        Ok(()) | Err(ClientError::NotFound(_)) => {}
        Err(error) => match refusal(&error) {
            Some(message) => {
                put_flash(&user.session, FlashKind::Error, message).await?;
                return Ok(Redirect::to(&format!("/organizations/{id}")).into_response());
            }
            None => return Err(error.into()),
        },
    }
    user.signed_in.forget_names().await;
    put_flash(&user.session, FlashKind::Success, "The organization is deleted.").await?;
    Ok(Redirect::to("/organizations").into_response())
}
