use axum::{
    Extension, Form,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use serde::Deserialize;
use tower_sessions::Session;

use super::{browser_cookie, code_cookie, frame::Frame, outcome, qr_code::SetUp};
use crate::{
    pages::{components::TextField, error::PageError, render::Page, state::PageState},
    protocol::client::{ClientError, SignIn, sign_in_user},
    serve::ClientAddress,
    session::{FlashKind, PendingSignIn, put_flash},
};

const TITLE: &str = "Second factor";

/// `GET /login/code`. Who has nothing pending is sent back without a word: a message would have to be stored for anybody
/// who comes by.
pub async fn show(State(state): State<PageState>, session: Session, headers: HeaderMap) -> Result<Response, PageError> {
    match PendingSignIn::of(&session, &code_cookie::key_of(&headers, state.https)).await? {
        Some(pending) => Ok(render(&state, pending, StatusCode::OK, None).await),
        None => Ok(Redirect::to("/login?again=code").into_response()),
    }
}

#[derive(Deserialize)]
pub struct Code {
    #[serde(default)]
    code: String,
}

/// `POST /login/code`
pub async fn submit(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<Code>,
) -> Result<Response, PageError> {
    let key = code_cookie::key_of(&headers, state.https);
    let Some(pending) = PendingSignIn::of(&session, &key).await? else {
        return Ok(Redirect::to("/login?again=code").into_response());
    };
    let code: String = form.code.chars().filter(|character| !character.is_whitespace()).collect();
    let (status, error) = if !is_code(&code) {
        let text = "Enter the six digits that your authenticator app shows, or a recovery code.".to_owned();
        (StatusCode::UNPROCESSABLE_ENTITY, text)
    } else if let Some(tried) = browser_cookie::attempt(&state, address, &headers, &pending.username).await {
        let transport = state.registry.transport();
        let outcome = sign_in_user(transport, &pending.username, &pending.password, Some(&code), &tried.headers).await;
        match tried.ended(&state, address, outcome) {
            Ok(SignIn::Done(tokens)) => {
                // With it goes what was pending.
                let is_new = pending.set_up.is_some();
                let known = browser_cookie::set(&state, &headers, &pending.username, &tokens).await;
                state.registry.sign_in(&session, tokens, &outcome::browser_of(&headers)).await?;
                if is_new {
                    let text = "Your second factor is set up. Make recovery codes on the page of your account, for \
                                the day on which your phone is lost.";
                    put_flash(&session, FlashKind::Success, text).await?;
                }
                tracing::info!(username = pending.username, "signed in with a second factor");
                return Ok((code_cookie::set(None, state.https), known, Redirect::to(&pending.next)).into_response());
            }
            Err(error) if error.is_temporary() => outcome::while_hub_is_away(&error, "nobody can sign in"),
            Ok(_) | Err(ClientError::NotAllowed(_) | ClientError::Rejected { .. }) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "This code is not right, or it was used already. Wait for the next one. After several wrong attempts \
                 an account is locked for a quarter of an hour."
                    .to_owned(),
            ),
            Err(error) => outcome::of_failure(error, "nobody can sign in")?,
        }
    } else {
        outcome::too_many()
    };
    Ok(render(&state, pending, status, Some(error)).await)
}

/// Whether it is worth asking: six digits, or the twelve characters of a recovery code with or without dashes.
pub fn is_code(code: &str) -> bool {
    let characters = code.chars().filter(|character| !matches!(character, '-' | ' '));
    let all = |kind: fn(&char) -> bool| characters.clone().all(|character| kind(&character));
    match characters.clone().count() {
        6 => all(char::is_ascii_digit),
        12 => all(char::is_ascii_alphanumeric),
        _ => false,
    }
}

async fn render(state: &PageState, pending: PendingSignIn, status: StatusCode, error: Option<String>) -> Response {
    let view = move || {
        let (pending, error) = (pending.clone(), error.clone());
        let lead = match pending.set_up {
            Some(_) => "This server asks for a second factor beside your password. It is set up once.",
            None => "Enter the six digits that your authenticator app shows, or a recovery code if you have some.",
        };
        view! {
            <Frame heading=TITLE lead error>
                {pending.set_up.clone().map(|second_factor| view! { <SetUp second_factor/> })}
                <form method="post" action="/login/code" class="stack">
                    <TextField name="code" label="Code" value="" autocomplete="one-time-code"
                        maxlength=20 required=true autofocus=true/>
                    <button type="submit" class="primary">"Sign in"</button>
                </form>
                <p class="links">
                    <a href="/second-factor/lost">"I have lost my authenticator app"</a>
                    <a href="/login">"Sign in as somebody else"</a>
                </p>
            </Frame>
        }
    };
    Page::new(TITLE).status(status).render(state, view).await
}
