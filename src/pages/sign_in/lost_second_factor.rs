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
    pages::{components::TextField, error::PageError, render::Page, state::PageState},
    protocol::{account::MINUTES_BETWEEN_MAILS, client::lost_second_factor},
    serve::ClientAddress,
    session::{FlashKind, put_flash},
};

const TITLE: &str = "Lost second factor";

/// `GET /second-factor/lost`
pub async fn show(State(state): State<PageState>) -> Response {
    render(&state, String::new(), StatusCode::OK, None).await
}

#[derive(Deserialize)]
pub struct Credentials {
    #[serde(default)]
    username: String,
    password: SecretString,
}

/// `POST /second-factor/lost`
pub async fn submit(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    session: Session,
    Form(form): Form<Credentials>,
) -> Result<Response, PageError> {
    let username = form.username.trim().to_owned();
    let (status, error) = if username.is_empty() || form.password.expose_secret().is_empty() {
        (StatusCode::UNPROCESSABLE_ENTITY, "Enter your username and your password.".to_owned())
    } else if !state.limits.users.allows(address) {
        (outcome::TOO_MANY.0, outcome::TOO_MANY.1.to_owned())
    } else {
        let outcome =
            lost_second_factor(state.registry.transport(), &username, &form.password, &state.counted_headers(address))
                .await;
        match state.counted(address, outcome) {
            Ok(()) => {
                // Of a second one within this time the hub says so itself.
                let text = format!(
                    "A mail with a code is on its way; the next one can be sent in {MINUTES_BETWEEN_MAILS} minutes. Enter the \
                     code here."
                );
                put_flash(&session, FlashKind::Success, text).await?;
                return Ok(Redirect::to("/second-factor/reset").into_response());
            }
            Err(error) => outcome::of_failure(error, "no mail can be sent")?,
        }
    };
    // The protocol's word for a wrong password.
    let error = if error == "Failed to login" { "Username or password are not right.".to_owned() } else { error };
    Ok(render(&state, username, status, Some(error)).await)
}

async fn render(state: &PageState, username: String, status: StatusCode, error: Option<String>) -> Response {
    let view = move || {
        let (username, error) = (username.clone(), error.clone());
        view! {
            <Frame heading=TITLE lead="A code to set up a new one is sent to your e-mail address." error>
                <form method="post" action="/second-factor/lost" class="stack">
                    <TextField name="username" label="Username" value=username autocomplete="username"
                        required=true autofocus=true/>
                    <TextField name="password" label="Password" kind="password" value=""
                        autocomplete="current-password" required=true/>
                    <button type="submit" class="primary">"Send the code"</button>
                </form>
                <p class="links">
                    <a href="/second-factor/reset">"I have a code"</a>
                    <a href="/login">"Back to signing in"</a>
                </p>
            </Frame>
        }
    };
    Page::new(TITLE).status(status).render(state, view).await
}
