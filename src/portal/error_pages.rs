//! Errors have pages too: what handlers and layers refuse becomes a page, where request and session are known.

use std::time::Duration;

use axum::{
    extract::{OptionalFromRequestParts, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header::REFERER},
    middleware::Next,
    response::Response,
};
use tokio::time::timeout;
use tower_http::request_id::RequestId;
use tower_sessions::Session;

use crate::pages::{PageError, PageState, User, render_error};

/// Replaces bare errors by pages.
pub async fn show(State(state): State<PageState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let method = parts.method.clone();
    let response = next.run(Request::from_parts(parts.clone(), body)).await;
    let error = match response.extensions().get::<PageError>() {
        // A page that could not know where it was asked from.
        Some(PageError::SignIn { .. }) => {
            // The hub may have refused the tokens of somebody whom the session still knows.
            if let Some(session) = parts.extensions.get::<Session>()
                && let Err(error) = state.registry.expire(session).await
            {
                tracing::error!(%error, "a session could not be ended");
            }
            PageError::SignIn { next: place_after_sign_in(&method, &parts.uri, &parts.headers) }
        }
        Some(error) => error.clone(),
        None if is_page(&response) => return response,
        None => match response.status() {
            StatusCode::NOT_FOUND => PageError::not_found("This page"),
            StatusCode::METHOD_NOT_ALLOWED => PageError::not_found("This page"),
            // Another site sent it, not the user: the audit log is not told.
            StatusCode::FORBIDDEN => PageError::ForbiddenByHub(
                "The request came from another site, so it was not carried out. Open the page here and try again."
                    .to_owned(),
            ),
            // A page that took too long: only the hub can take so long.
            StatusCode::SERVICE_UNAVAILABLE => PageError::HubUnavailable("no answer in time".to_owned()),
            StatusCode::PAYLOAD_TOO_LARGE => PageError::Refused(response.status(), "What was sent is too large."),
            status if status.is_client_error() => {
                PageError::Refused(status, "The browser sent something that this page does not understand.")
            }
            status if status.is_server_error() => PageError::Internal,
            _ => return response,
        },
    };
    let user = match error {
        PageError::SessionsUnavailable => None,
        // Nobody waits once more for a hub that is away, only to see their name on the page that says so.
        _ => {
            let asked = <User as OptionalFromRequestParts<PageState>>::from_request_parts(&mut parts, &state);
            let user = timeout(Duration::from_secs(1), asked).await;
            user.ok().and_then(Result::ok).flatten().map(|user| user.signed_in)
        }
    };
    if let (PageError::Forbidden(_), Some(user)) = (&error, &user) {
        let (hub, page) = (user.hub.clone(), format!("{method} {}", parts.uri.path()));
        // Nobody waits for it.
        tokio::spawn(async move {
            if let Err(error) = hub.note_refused(&page).await {
                tracing::warn!(%error, page, "that a page was refused stands in no log");
            }
        });
    }
    let request_id = parts.extensions.get::<RequestId>().and_then(|id| id.header_value().to_str().ok()).unwrap_or("–");
    render_error(&state, error, user, &parts.uri, request_id).await
}

/// The layer of sessions stands around all pages: when it cannot store one at the end of a request, it answers with
/// nothing at all.
pub async fn for_lost_sessions(State(state): State<PageState>, request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let response = next.run(request).await;
    if !response.status().is_server_error() || is_page(&response) {
        return response;
    }
    render_error(&state, PageError::SessionsUnavailable, None, &uri, "").await
}

/// Where somebody goes on who had to sign in first: to the page, or to the one with the form that was sent.
fn place_after_sign_in(method: &Method, uri: &Uri, headers: &HeaderMap) -> String {
    let mut segments = uri.path().split('/').skip(1);
    match (segments.next(), segments.next()) {
        _ if method == Method::GET => uri.to_string(),
        (Some("tasks"), Some("new")) => uri.to_string(),
        (Some("tasks"), Some(id)) => format!("/tasks/{id}"),
        (Some("logout"), _) => "/".to_owned(),
        // Only the path: wherever it came from, one stays here.
        _ => headers
            .get(REFERER)
            .and_then(|referer| referer.to_str().ok()?.parse::<Uri>().ok())
            .and_then(|referer| Some(referer.path_and_query()?.to_string()))
            .unwrap_or_else(|| "/".to_owned()),
    }
}

/// Whether the answer has a body of its own already.
fn is_page(response: &Response) -> bool {
    response
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/html") || kind.starts_with("application/json"))
        || response.status().is_success()
        || response.status().is_redirection()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_one_is_at_the_page_or_at_the_one_with_the_form() {
        let headers = HeaderMap::from_iter([(REFERER, "https://atoll.example/reviews/7?a=1".parse().unwrap())]);
        for (method, uri, place, without_referer) in [
            (Method::GET, "/tasks?page=2", "/tasks?page=2", "/tasks?page=2"),
            (
                Method::POST,
                "/tasks/new?draft=1&step=name",
                "/tasks/new?draft=1&step=name",
                "/tasks/new?draft=1&step=name",
            ),
            (Method::POST, "/tasks/7/repeat", "/tasks/7", "/tasks/7"),
            (Method::POST, "/reviews/7/approve", "/reviews/7?a=1", "/"),
            (Method::POST, "/logout", "/", "/"),
        ] {
            assert_eq!(place_after_sign_in(&method, &uri.parse().unwrap(), &headers), place);
            assert_eq!(place_after_sign_in(&method, &uri.parse().unwrap(), &HeaderMap::new()), without_referer);
        }
    }
}
