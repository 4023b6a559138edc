//! The form that asks once more for the password, and for a code where there is a second factor.

use axum::{http::StatusCode, response::Response};
use leptos::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    pages::{components::TextField, error::PageError, render::Page, sign_in::TOO_MANY, state::PageState},
    protocol::{
        account::OwnAccount,
        client::{ClientError, Proof, refusal},
    },
    serve::ClientAddress,
    session::SignedIn,
};

/// Words of the form.
pub struct ProofForm {
    pub title: &'static str,
    pub lead: &'static str,
    pub action: &'static str,
    pub submit: &'static str,
    /// Whether it takes something away.
    pub dangerous: bool,
}

/// What was typed.
#[derive(Deserialize)]
pub struct Sent {
    #[serde(default)]
    password: SecretString,
    #[serde(default)]
    code: String,
}

/// What is wrong, by field.
#[derive(Clone, Default)]
struct Errors {
    password: Option<String>,
    code: Option<String>,
    general: Option<String>,
}

impl Sent {
    /// What the hub is to be asked with, or what is missing.
    fn checked(self, state: &PageState, address: ClientAddress, account: &OwnAccount) -> Result<Proof, Errors> {
        if self.password.expose_secret().is_empty() {
            return Err(Errors { password: Some("Enter your password.".to_owned()), ..Default::default() });
        }
        if account.second_factor && self.code.trim().is_empty() {
            let text = "Enter the code that your authenticator app shows, or a recovery code.";
            return Err(Errors { code: Some(text.to_owned()), ..Default::default() });
        }
        if !state.limits.users.allows(address) {
            return Err(Errors { general: Some(TOO_MANY.1.to_owned()), ..Default::default() });
        }
        Ok(Proof { password: self.password, code: self.code.trim().to_owned() })
    }
}

impl Errors {
    /// What the hub has against it.
    fn of(error: ClientError) -> Result<Errors, PageError> {
        let ClientError::Rejected { errors, .. } = &error else {
            return match refusal(&error) {
                Some(message) => Ok(Errors { general: Some(message), ..Default::default() }),
                None => Err(error.into()),
            };
        };
        let first = |field: &str| errors.get(field).and_then(|messages| messages.first()).cloned();
        let (password, code) = (first("password"), first("mfa_code"));
        let general = if password.is_none() && code.is_none() { refusal(&error) } else { None };
        Ok(Errors { password, code, general })
    }
}

impl ProofForm {
    /// The page with the form.
    pub async fn show(&self, state: &PageState, me: SignedIn, account: &OwnAccount) -> Response {
        self.render(state, me, account, None).await
    }

    /// What the hub answers when it is asked with what was typed; or the page again, with what is wrong.
    pub async fn answer<T>(
        &self,
        state: &PageState,
        me: &SignedIn,
        account: &OwnAccount,
        (sent, address): (Sent, ClientAddress),
        ask: impl AsyncFnOnce(&Proof) -> Result<T, ClientError>,
    ) -> Result<Result<T, Response>, PageError> {
        let errors = match sent.checked(state, address, account) {
            Ok(proof) => match state.counted(address, ask(&proof).await) {
                Ok(answer) => return Ok(Ok(answer)),
                Err(error) => Errors::of(error)?,
            },
            Err(errors) => errors,
        };
        Ok(Err(self.render(state, me.clone(), account, Some(errors)).await))
    }

    async fn render(&self, state: &PageState, me: SignedIn, account: &OwnAccount, errors: Option<Errors>) -> Response {
        let status = if errors.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let ProofForm { title, lead, action, submit, dangerous } = *self;
        let (asks_code, username) = (account.second_factor, me.user.username.clone());
        let view = move || {
            let (errors, username) = (errors.clone().unwrap_or_default(), username.clone());
            let class = if dangerous { "danger" } else { "primary" };
            view! {
                <div class="sign-in">
                    <h1>{title}</h1>
                    <p class="lead">{lead}</p>
                    {errors.general.map(|error| view! { <p class="flash error" role="alert">{error}</p> })}
                    <form method="post" action=action class="stack">
                        // For password managers.
                        <input type="text" name="username" value=username autocomplete="username" hidden/>
                        <TextField name="password" label="Your password" kind="password" value=""
                            autocomplete="current-password" required=true autofocus=true error=errors.password/>
                        {asks_code.then(|| view! {
                            <TextField name="code" label="Code" value="" autocomplete="one-time-code" maxlength=20
                                help="Of your authenticator app, or a recovery code." required=true error=errors.code/>
                        })}
                        <p class="actions">
                            <button type="submit" class=class>{submit}</button>
                            <a class="button" href="/account">"Cancel"</a>
                        </p>
                    </form>
                </div>
            }
        };
        Page::new(title).user(me).section("/account").status(status).render(state, view).await
    }
}
