use axum::{
    Extension, Form,
    extract::{Query, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tower_sessions::Session;

use super::{browser_cookie, code_cookie, frame::Frame, outcome};
use crate::{
    pages::{components::TextField, error::PageError, render::Page, state::PageState},
    protocol::client::{ClientError, SignIn, sign_in_user},
    serve::ClientAddress,
    session::{PendingSignIn, take_flash},
};

#[derive(Deserialize)]
pub struct Next {
    #[serde(default)]
    next: Option<String>,
    /// Why one has to begin again: `code`, or [`KEPT`].
    #[serde(default)]
    again: Option<String>,
}

/// Somebody sent something while they were signed out, and it is kept for them.
const KEPT: &str = "kept";

/// The address of the page that says so, and leads on to `next`.
pub fn sign_in_and_find_kept(next: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("again", KEPT)
        .append_pair("next", next)
        .finish();
    format!("/login?{query}")
}

/// What is shown again after a failed attempt.
#[derive(Clone, Default)]
struct Attempt {
    username: String,
    error: Option<String>,
    next: String,
    /// What they sent before is kept.
    is_kept: bool,
}

/// Only a path of our own: never an address that leads elsewhere.
fn safe_path(next: Option<&str>) -> String {
    match next {
        Some(path)
            if path.starts_with('/')
                && !path.starts_with("//")
                && !path.contains('\\')
                // What a header can hold, and no browser takes out.
                && path.bytes().all(|byte| byte.is_ascii_graphic())
                && !path.starts_with("/login") =>
        {
            path.to_owned()
        }
        _ => "/".to_owned(),
    }
}

/// `GET /login`
pub async fn show(
    State(state): State<PageState>,
    session: Session,
    Query(query): Query<Next>,
) -> Result<Response, PageError> {
    let next = safe_path(query.next.as_deref());
    if let Ok(Some(_)) = state.registry.current(&session, &Method::GET).await? {
        return Ok(Redirect::to(&next).into_response());
    }
    let flash = take_flash(&session).await?;
    let page = Page::new("Sign in").flash(flash);
    let error = (query.again.as_deref() == Some("code"))
        .then(|| "Sign in with your password first. If you did, it was more than ten minutes ago.".to_owned());
    Ok(render(
        &state,
        page,
        Attempt { next, error, is_kept: query.again.as_deref() == Some(KEPT), ..Default::default() },
    )
    .await)
}

#[derive(Deserialize)]
pub struct Credentials {
    #[serde(default)]
    username: String,
    password: SecretString,
    #[serde(default)]
    next: Option<String>,
    #[serde(default)]
    again: Option<String>,
}

/// `POST /login`
pub async fn submit(
    State(state): State<PageState>,
    Extension(address): Extension<ClientAddress>,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<Credentials>,
) -> Result<Response, PageError> {
    let next = safe_path(form.next.as_deref());
    let mut attempt = Attempt {
        username: form.username.trim().to_owned(),
        error: None,
        next,
        is_kept: form.again.as_deref() == Some(KEPT),
    };
    let page = Page::new("Sign in");
    let (status, error) = if attempt.username.is_empty() || form.password.expose_secret().is_empty() {
        (StatusCode::UNPROCESSABLE_ENTITY, "Enter your username and your password.".to_owned())
    } else if let Some(tried) = browser_cookie::attempt(&state, address, &headers, &attempt.username).await {
        let transport = state.registry.transport();
        let outcome = sign_in_user(transport, &attempt.username, &form.password, None, &tried.headers).await;
        match tried.ended(&state, address, outcome) {
            Ok(SignIn::Done(tokens)) => {
                let known = browser_cookie::set(&state, &headers, &attempt.username, &tokens).await;
                state.registry.sign_in(&session, tokens, &outcome::browser_of(&headers)).await?;
                tracing::info!(username = attempt.username, "signed in");
                return Ok((known, Redirect::to(&attempt.next)).into_response());
            }
            Ok(more) => {
                let set_up = match more {
                    SignIn::SetUpSecondFactor(second_factor) => Some(second_factor),
                    _ => None,
                };
                let Attempt { username, next, .. } = attempt;
                let pending = PendingSignIn { username, password: form.password, next, set_up };
                let key = pending.keep(&session).await?;
                return Ok((code_cookie::set(Some(&key), state.https), Redirect::to("/login/code")).into_response());
            }
            Err(error) if error.is_temporary() => outcome::while_hub_is_away(&error, "nobody can sign in"),
            // One answer for all the reasons: who exists is nobody's business.
            Err(ClientError::NotAllowed(_) | ClientError::Rejected { .. } | ClientError::NotFound(_)) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "Username or password are not right. After several wrong attempts from one place an account is locked \
                 there for a quarter of an hour."
                    .to_owned(),
            ),
            Err(error) => return Err(error.into()),
        }
    } else {
        outcome::too_many()
    };
    attempt.error = Some(error);
    Ok(render(&state, page.status(status), attempt).await)
}

async fn render(state: &PageState, page: Page, attempt: Attempt) -> Response {
    let accounts = state.demo_accounts.clone();
    let view = move || {
        let (attempt, accounts) = (attempt.clone(), accounts.clone());
        let lead = match attempt.is_kept {
            true => "You were signed out meanwhile. What you typed is kept: sign in, and go on.",
            false => "Run analyses on data that never leave the organizations that hold them.",
        };
        view! {
            <Frame heading="Sign in" lead
                error=attempt.error.clone()>
                <form method="post" action="/login" class="stack">
                    <input type="hidden" name="next" value=attempt.next/>
                    {attempt.is_kept.then(|| view! { <input type="hidden" name="again" value=KEPT/> })}
                    <TextField name="username" label="Username" value=attempt.username autocomplete="username"
                        required=true autofocus=true/>
                    <TextField name="password" label="Password" kind="password" value=""
                        autocomplete="current-password" required=true/>
                    <button type="submit" class="primary">"Sign in"</button>
                </form>
                <p class="links"><a href="/password/lost">"Forgotten your password?"</a></p>
                {(!accounts.is_empty()).then(|| {
                    let password = accounts[0].password.clone();
                    view! {
                        <section class="demo-accounts" aria-labelledby="demo-accounts">
                            <h2 id="demo-accounts">"Demo accounts"</h2>
                            <p>"All with the password " <code>{password}</code></p>
                            <dl>
                                {accounts.iter().map(|account| view! {
                                    <div><dt><code>{account.username.clone()}</code></dt><dd>{account.description.clone()}</dd></div>
                                }).collect_view()}
                            </dl>
                        </section>
                    }
                })}
            </Frame>
        }
    };
    page.render(state, view).await
}

#[cfg(test)]
mod tests {
    use super::safe_path;

    #[test]
    fn only_paths_of_our_own_are_followed() {
        assert_eq!(safe_path(Some("/tasks/7?page=2")), "/tasks/7?page=2");
        for elsewhere in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "tasks",
            "/\t/evil.example",
            "",
            "/\x0b",
            "/\0",
            "/tasks\u{7f}",
            "/ä",
            "/a b",
        ] {
            assert_eq!(safe_path(Some(elsewhere)), "/", "{elsewhere}");
        }
    }
}
