use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use tower_sessions::{session, session_store};

use super::{render::Page, state::PageState};
use crate::{
    protocol::client::ClientError,
    session::{SessionError, SignedIn},
};

/// Why a page cannot be shown.
#[derive(Debug, Clone)]
pub enum PageError {
    /// Nobody is signed in; afterwards this path is wanted.
    SignIn {
        next: String,
    },
    /// It is refused here, since the hub would refuse it. The hub's audit log is told.
    Forbidden(String),
    /// The hub refuses.
    ForbiddenByHub(String),
    NotFound(String),
    /// The hub is away or fails.
    HubUnavailable(String),
    /// The hub says why it does not do this now: its disk is full, or it was asked too often.
    NotNow(String),
    /// The store of sessions is away: nobody can be recognised.
    SessionsUnavailable,
    /// What was sent is not taken: a status and why.
    Refused(StatusCode, &'static str),
    /// Our own failure; the log has the rest.
    Internal,
}

impl PageError {
    pub fn not_found(what: &str) -> Self {
        PageError::NotFound(format!("{what} does not exist, or you may not see it."))
    }

    /// An error unless a role permits it; so that nothing is offered that the hub would refuse.
    pub fn unless(permitted: bool) -> Result<(), PageError> {
        match permitted {
            true => Ok(()),
            false => Err(PageError::Forbidden("Your roles do not permit this.".to_owned())),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            PageError::SignIn { .. } => StatusCode::SEE_OTHER,
            PageError::Forbidden(_) | PageError::ForbiddenByHub(_) => StatusCode::FORBIDDEN,
            PageError::NotFound(_) => StatusCode::NOT_FOUND,
            PageError::HubUnavailable(_) | PageError::NotNow(_) | PageError::SessionsUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            PageError::Refused(status, _) => *status,
            PageError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<ClientError> for PageError {
    fn from(error: ClientError) -> Self {
        match error {
            // The path is filled in where the request is known.
            ClientError::SignedOut => PageError::SignIn { next: String::new() },
            ClientError::NotAllowed(message) => PageError::ForbiddenByHub(message),
            ClientError::NotFound(_) => PageError::NotFound("It does not exist, or you may not see it.".to_owned()),
            ClientError::Rejected { status: 429 | 507, message, .. } => PageError::NotNow(message),
            error if error.is_temporary() => PageError::HubUnavailable(error.to_string()),
            ClientError::Rejected { status, message, .. } => {
                tracing::warn!(status, message, "the hub refused a page's question");
                PageError::Refused(StatusCode::BAD_REQUEST, "The hub does not accept what this page asks of it.")
            }
            error => {
                tracing::error!(%error, "the hub did not understand a page's question");
                PageError::Internal
            }
        }
    }
}

impl From<SessionError> for PageError {
    fn from(error: SessionError) -> Self {
        tracing::error!(%error, source = ?std::error::Error::source(&error), "sessions");
        match error {
            SessionError::Store(session::Error::Store(session_store::Error::Backend(_))) => {
                PageError::SessionsUnavailable
            }
            _ => PageError::Internal,
        }
    }
}

impl IntoResponse for PageError {
    /// Carries the error along; [`render_error`] makes a page of it, where request and session are known.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The page for an error.
pub async fn render_error(
    state: &PageState,
    error: PageError,
    user: Option<SignedIn>,
    uri: &Uri,
    request_id: &str,
) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let status = error.status();
    let (title, text, retry) = match error {
        PageError::SignIn { next } => {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", &next).finish();
            return Redirect::to(&format!("/login?{query}")).into_response();
        }
        PageError::Forbidden(message) | PageError::ForbiddenByHub(message) => ("You may not do this", message, false),
        PageError::NotFound(message) => ("Not found", message, false),
        PageError::HubUnavailable(_) => (
            "The hub cannot be reached",
            "Your data are safe, and what you typed into a new task is kept; the server that holds tasks and results \
             does not answer at the moment."
                .to_owned(),
            true,
        ),
        PageError::NotNow(message) => ("The hub cannot do this at the moment", message, true),
        PageError::SessionsUnavailable => (
            "Nobody can be recognised at the moment",
            "The database that remembers who is signed in does not answer, or its disk is full. Nothing is lost: when it \
             is back, you are still signed in."
                .to_owned(),
            true,
        ),
        PageError::Refused(_, message) => ("This was not accepted", message.to_owned(), false),
        PageError::Internal => (
            "Something went wrong",
            "This is our mistake, not yours. Try again; if it happens again, give this number to whoever runs this \
             server."
                .to_owned(),
            true,
        ),
    };
    let number = (status == StatusCode::INTERNAL_SERVER_ERROR).then(|| request_id.to_owned());
    let view = move || {
        let (text, number, path) = (text.clone(), number.clone(), path.clone());
        view! {
            <section class="message-page">
                <h1>{title}</h1>
                <p>{text}</p>
                {number.map(|number| view! { <p>"Request number: " <code>{number}</code></p> })}
                <p class="actions">
                    {retry.then(|| view! { <a class="button primary" href=path>"Try again"</a> })}
                    <a class="button" href="/">"Go to the start page"</a>
                </p>
            </section>
        }
    };
    let mut headers = HeaderMap::new();
    if retry {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    }
    let mut response = Page::new(title).user(user).status(status).render(state, view).await;
    response.headers_mut().extend(headers);
    response
}
