use axum::{
    Extension, Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    pages::{
        components::{PASSWORD_RULES, TextField},
        error::PageError,
        render::Page,
        state::PageState,
        user::User,
    },
    protocol::client::{ClientError, refusal},
    serve::ClientAddress,
    session::{FlashKind, put_flash},
};

const TITLE: &str = "Change password";

/// What was wrong, by field.
#[derive(Clone, Default)]
struct Errors {
    current: Option<String>,
    new: Option<String>,
    repeated: Option<String>,
}

/// `GET /account/password`
pub async fn show(State(state): State<PageState>, user: User) -> Response {
    render(&state, user, StatusCode::OK, Errors::default()).await
}

#[derive(Deserialize)]
pub struct Change {
    current: SecretString,
    new: SecretString,
    repeated: SecretString,
}

/// `POST /account/password`
pub async fn submit(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    user: User,
    Form(form): Form<Change>,
) -> Result<Response, PageError> {
    let mut errors = Errors::default();
    if form.current.expose_secret().is_empty() {
        errors.current = Some("Enter your present password.".to_owned());
    } else if form.new.expose_secret().is_empty() {
        errors.new = Some("Enter a new password.".to_owned());
    } else if form.new.expose_secret() != form.repeated.expose_secret() {
        errors.repeated = Some("This is not the same.".to_owned());
    } else if !state.limits.users.allows(address) {
        errors.current = Some("Too many attempts from this address. Wait a minute, then try again.".to_owned());
    } else {
        let outcome = user.signed_in.hub.change_password(&form.current, &form.new).await;
        match state.counted(address, outcome) {
            Ok(()) => {
                let text = "Your password is changed. Everywhere else you have to sign in again, with the new one.";
                put_flash(&user.session, FlashKind::Success, text).await?;
                return Ok(Redirect::to("/account").into_response());
            }
            Err(ClientError::NotAllowed(_)) => errors.current = Some("This is not your present password.".to_owned()),
            Err(error) => match refusal(&error) {
                Some(message) => errors.new = Some(message),
                None => return Err(error.into()),
            },
        }
    }
    Ok(render(&state, user, StatusCode::UNPROCESSABLE_ENTITY, errors).await)
}

async fn render(state: &PageState, user: User, status: StatusCode, errors: Errors) -> Response {
    let username = user.signed_in.user.username.clone();
    let view = move || {
        let (errors, username) = (errors.clone(), username.clone());
        view! {
            <div class="sign-in">
                <h1>{TITLE}</h1>
                <form method="post" action="/account/password" class="stack">
                    // For password managers.
                    <input type="text" name="username" value=username autocomplete="username" hidden/>
                    <TextField name="current" label="Present password" kind="password" value=""
                        autocomplete="current-password" required=true autofocus=true error=errors.current/>
                    <TextField name="new" label="New password" kind="password" value="" help=PASSWORD_RULES
                        autocomplete="new-password" required=true error=errors.new/>
                    <TextField name="repeated" label="New password once more" kind="password" value=""
                        autocomplete="new-password" required=true error=errors.repeated/>
                    <p class="actions">
                        <button type="submit" class="primary">"Change the password"</button>
                        <a class="button" href="/account">"Cancel"</a>
                    </p>
                </form>
            </div>
        }
    };
    Page::new(TITLE).user(user.signed_in).status(status).render(state, view).await
}
