//! The end of one's other sessions.

use axum::{
    Form,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use crate::{
    pages::{confirm::Question, error::PageError, state::PageState, user::User},
    session::{FlashKind, put_flash},
};

#[derive(Deserialize)]
pub struct Which {
    /// The one that ends; all others without it.
    #[serde(default)]
    session: Option<String>,
}

/// `POST /account/sessions`
pub async fn end_others(
    State(state): State<PageState>,
    user: User,
    Form(which): Form<Which>,
) -> Result<Response, PageError> {
    let ended = state.registry.end_other_sessions(&user.session, which.session.as_deref()).await?;
    let text = match ended {
        0 => "It had ended already.".to_owned(),
        1 => "One session has ended.".to_owned(),
        ended => format!("{ended} sessions have ended."),
    };
    put_flash(&user.session, FlashKind::Success, text).await?;
    Ok(Redirect::to("/account#sessions").into_response())
}

/// `GET /account/sessions/all`
pub async fn confirm_end_all(State(state): State<PageState>, user: User) -> Response {
    let question = Question {
        heading: "Sign out everywhere?".to_owned(),
        section: "/account",
        way: vec![("/account".to_owned(), "Your account".to_owned())],
        text: "Every browser and every program that is signed in with your account is signed out, this browser too. \
               Programs need your password to go on. Tasks that run go on.",
        with_it: Vec::new(),
        action: "/account/sessions/all".to_owned(),
        confirm: "Sign out everywhere",
        back: "/account".to_owned(),
    };
    question.render(&state, user.signed_in).await
}

/// `POST /account/sessions/all`
pub async fn end_all(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    user.signed_in.hub.end_own_sessions().await?;
    state.registry.end_other_sessions(&user.session, None).await?;
    state.registry.sign_out(&user.session).await?;
    put_flash(&user.session, FlashKind::Success, "You are signed out everywhere.").await?;
    Ok(([("clear-site-data", "\"cache\", \"storage\"")], Redirect::to("/login")).into_response())
}
