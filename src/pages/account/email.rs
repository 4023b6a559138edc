//! One's own e-mail address: by mail to another one the password is replaced, so it needs what signing in needs.

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
        components::{Breadcrumbs, TextField},
        error::PageError,
        render::Page,
        sign_in::TOO_MANY,
        state::PageState,
        user::User,
    },
    protocol::client::{ClientError, Proof, refusal},
    serve::ClientAddress,
    session::{FlashKind, SignedIn, put_flash},
};

const TITLE: &str = "Change your e-mail address";

/// What was wrong, by field.
#[derive(Clone, Default)]
struct Errors {
    email: Option<String>,
    password: Option<String>,
    code: Option<String>,
}

/// `GET /account/email`
pub async fn show(State(state): State<PageState>, user: User) -> Result<Response, PageError> {
    let me = user.signed_in;
    let (details, account) = futures::try_join!(me.hub.account(me.user.id), me.hub.own_account())?;
    Ok(render(&state, me, details.email, account.second_factor, None).await)
}

#[derive(Deserialize)]
pub struct Change {
    #[serde(default)]
    email: String,
    password: SecretString,
    #[serde(default)]
    code: String,
}

/// `POST /account/email`
pub async fn submit(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    user: User,
    Form(form): Form<Change>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    let account = me.hub.own_account().await?;
    let (email, mut errors) = (form.email.trim().to_owned(), Errors::default());
    if email.is_empty() {
        errors.email = Some("Enter the new address.".to_owned());
    } else if form.password.expose_secret().is_empty() {
        errors.password = Some("Enter your password.".to_owned());
    } else if account.second_factor && form.code.trim().is_empty() {
        errors.code = Some("Enter the code that your authenticator app shows, or a recovery code.".to_owned());
    } else if !state.limits.users.allows(address) {
        errors.password = Some(TOO_MANY.1.to_owned());
    } else {
        let proof = Proof { password: form.password, code: form.code.trim().to_owned() };
        match state.counted(address, me.hub.change_email(&email, &proof).await) {
            Ok(()) => {
                let text = "Your e-mail address is changed. Everywhere else you have to sign in again.";
                put_flash(&user.session, FlashKind::Success, text).await?;
                return Ok(Redirect::to("/account").into_response());
            }
            Err(error) => errors = refused(error)?,
        }
    }
    Ok(render(&state, me, email, account.second_factor, Some(errors)).await)
}

/// What the hub has against it, at its field.
fn refused(error: ClientError) -> Result<Errors, PageError> {
    let of = |field: &str| match &error {
        ClientError::Rejected { errors, .. } => errors.get(field).and_then(|messages| messages.first()).cloned(),
        _ => None,
    };
    let errors = Errors { email: of("email"), password: of("password"), code: of("mfa_code") };
    if errors.email.is_some() || errors.password.is_some() || errors.code.is_some() {
        return Ok(errors);
    }
    match refusal(&error) {
        Some(message) => Ok(Errors { email: Some(message), ..Default::default() }),
        None => Err(error.into()),
    }
}

async fn render(state: &PageState, me: SignedIn, email: String, asks_code: bool, errors: Option<Errors>) -> Response {
    let status = if errors.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let username = me.user.username.clone();
    let view = move || {
        let (errors, email, username) = (errors.clone().unwrap_or_default(), email.clone(), username.clone());
        view! {
            <Breadcrumbs way=vec![("/account".to_owned(), "Your account".to_owned())]/>
            <div class="sign-in">
                <h1>{TITLE}</h1>
                <p>"Forgotten passwords are replaced by mail to this address. The old address is told of the change."</p>
                <form method="post" action="/account/email" class="stack">
                    <TextField name="email" label="New e-mail address" kind="email" value=email autocomplete="email"
                        maxlength=254 required=true autofocus=true error=errors.email/>
                    // For password managers.
                    <input type="text" name="username" value=username autocomplete="username" hidden/>
                    <TextField name="password" label="Your password" kind="password" value=""
                        autocomplete="current-password" required=true error=errors.password/>
                    {asks_code.then(|| view! {
                        <TextField name="code" label="Code" value="" autocomplete="one-time-code" maxlength=20
                            required=true error=errors.code/>
                    })}
                    <p class="actions">
                        <button type="submit" class="primary">"Change the address"</button>
                        <a class="button" href="/account">"Cancel"</a>
                    </p>
                </form>
            </div>
        }
    };
    Page::new(TITLE).user(me).section("/account").status(status).render(state, view).await
}
