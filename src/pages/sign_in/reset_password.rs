use axum::{
    Extension, Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tower_sessions::Session;

use super::{frame::Frame, outcome};
use crate::{
    islands::TakeFragment,
    pages::{
        components::{PASSWORD_RULES, TextField},
        error::PageError,
        render::Page,
        state::PageState,
    },
    protocol::client::reset_password,
    serve::ClientAddress,
    session::{FlashKind, put_flash, take_flash},
};

const TITLE: &str = "New password";

/// `GET /password/reset`
pub async fn show(State(state): State<PageState>, session: Session) -> Result<Response, PageError> {
    let page = Page::new(TITLE).flash(take_flash(&session).await?);
    Ok(render(&state, page, String::new(), None).await)
}

#[derive(Deserialize)]
pub struct NewPassword {
    #[serde(default)]
    code: String,
    password: SecretString,
    repeated: SecretString,
}

/// `POST /password/reset`
pub async fn submit(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    session: Session,
    Form(form): Form<NewPassword>,
) -> Result<Response, PageError> {
    let code = form.code.trim().to_owned();
    let (status, error) = if code.is_empty() || form.password.expose_secret().is_empty() {
        (StatusCode::UNPROCESSABLE_ENTITY, "Enter the code and a new password.".to_owned())
    } else if form.password.expose_secret() != form.repeated.expose_secret() {
        (StatusCode::UNPROCESSABLE_ENTITY, "The two passwords are not the same.".to_owned())
    } else if !state.limits.users.allows(address) {
        (outcome::TOO_MANY.0, outcome::TOO_MANY.1.to_owned())
    } else {
        let outcome = reset_password(
            state.registry.transport(),
            &code.clone().into(),
            &form.password,
            &state.counted_headers(address),
        )
        .await;
        match state.counted(address, outcome) {
            Ok(()) => {
                put_flash(&session, FlashKind::Success, "You have a new password. Sign in with it.").await?;
                return Ok(Redirect::to("/login").into_response());
            }
            Err(error) => outcome::of_failure(error, "the password cannot be changed")?,
        }
    };
    Ok(render(&state, Page::new(TITLE).status(status), code, Some(error)).await)
}

async fn render(state: &PageState, page: Page, code: String, error: Option<String>) -> Response {
    let view = move || {
        let (code, error) = (code.clone(), error.clone());
        view! {
            <Frame heading=TITLE error>
                <form method="post" action="/password/reset" class="stack">
                    <TextField name="code" label="Code from the mail or the invitation" value=code help="Of an invitation: what stands behind # in its link." autocomplete="off"
                        required=true autofocus=true/>
                    <TextField name="password" label="New password" kind="password" value="" help=PASSWORD_RULES
                        autocomplete="new-password" required=true/>
                    <TextField name="repeated" label="New password once more" kind="password" value=""
                        autocomplete="new-password" required=true/>
                    <button type="submit" class="primary">"Set the password"</button>
                </form>
                <TakeFragment/>
                <p class="links">
                    <a href="/password/lost">"Send a new code"</a>
                    <a href="/login">"Back to signing in"</a>
                </p>
            </Frame>
        }
    };
    page.with_islands().render(state, view).await
}
