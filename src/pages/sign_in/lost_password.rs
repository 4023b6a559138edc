use axum::{
    Extension, Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use serde::Deserialize;
use tower_sessions::Session;

use super::{frame::Frame, outcome};
use crate::{
    pages::{components::TextField, error::PageError, render::Page, state::PageState},
    protocol::{account::MINUTES_BETWEEN_MAILS, client::lost_password},
    serve::ClientAddress,
    session::{FlashKind, next_mail_in, put_flash},
};

const TITLE: &str = "Forgotten password";

/// `GET /password/lost`
pub async fn show(State(state): State<PageState>) -> Response {
    render(&state, String::new(), StatusCode::OK, None).await
}

#[derive(Deserialize)]
pub struct Account {
    #[serde(default)]
    account: String,
}

/// `POST /password/lost`: the answer does not tell whether there is such an account.
pub async fn submit(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    session: Session,
    Form(form): Form<Account>,
) -> Result<Response, PageError> {
    let account = form.account.trim().to_owned();
    let (status, error) = if account.is_empty() {
        (StatusCode::UNPROCESSABLE_ENTITY, "Enter your username or your e-mail address.".to_owned())
    } else if !state.limits.users.allows(address) {
        (outcome::TOO_MANY.0, outcome::TOO_MANY.1.to_owned())
    } else {
        // Whoever asks, asks for a mail to somebody: each counts.
        state.limits.users.failed(address);
        match lost_password(state.registry.transport(), &account, &state.counted_headers(address)).await {
            Ok(()) => {
                let text = match next_mail_in(&session, &account).await? {
                    None => format!(
                        "If there is such an account, a mail with a code is on its way; the next one can be sent in \
                         {MINUTES_BETWEEN_MAILS} minutes. Enter the code here. If no mail comes, ask the administrator of the \
                         server: it may not send any."
                    ),
                    Some(minutes) => outcome::too_early(minutes),
                };
                put_flash(&session, FlashKind::Success, text).await?;
                return Ok(Redirect::to("/password/reset").into_response());
            }
            Err(error) => outcome::of_failure(error, "no mail can be sent")?,
        }
    };
    Ok(render(&state, account, status, Some(error)).await)
}

async fn render(state: &PageState, account: String, status: StatusCode, error: Option<String>) -> Response {
    let view = move || {
        let (account, error) = (account.clone(), error.clone());
        view! {
            <Frame heading=TITLE lead="A code to choose a new one is sent to your e-mail address." error>
                <form method="post" action="/password/lost" class="stack">
                    <TextField name="account" label="Username or e-mail address" value=account
                        autocomplete="username" required=true autofocus=true/>
                    <button type="submit" class="primary">"Send the code"</button>
                </form>
                <p class="links">
                    <a href="/password/reset">"I have a code"</a>
                    <a href="/login">"Back to signing in"</a>
                </p>
            </Frame>
        }
    };
    Page::new(TITLE).status(status).render(state, view).await
}
