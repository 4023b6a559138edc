use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

use crate::pages::{error::PageError, state::PageState};
use crate::session::{FlashKind, put_flash};

/// `POST /logout`: deletes the session and what the browser keeps of it.
pub async fn submit(State(state): State<PageState>, session: Session) -> Result<Response, PageError> {
    state.registry.sign_out(&session).await?;
    put_flash(&session, FlashKind::Success, "You are signed out.").await?;
    Ok(([("clear-site-data", "\"cache\", \"storage\"")], Redirect::to("/login")).into_response())
}
