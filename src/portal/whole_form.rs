//! Forms are whole before it is asked who sends them: a session may end while its form is still on its way.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, OptionalFromRequestParts, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::pages::{PageError, PageState, User};

/// A form that takes longer than this is on its way, and its session is looked at again.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Reads the form of somebody who is signed in before their request is dealt with. Of others nothing is read here.
pub async fn read_first(State(state): State<PageState>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let user = <User as OptionalFromRequestParts<PageState>>::from_request_parts(&mut parts, &state).await;
    let Ok(Some(user)) = user else { return next.run(Request::from_parts(parts, body)).await };
    let begin = Instant::now();
    let form = match Bytes::from_request(Request::from_parts(parts.clone(), body), &state).await {
        Ok(form) => form,
        Err(refused) => return refused.into_response(),
    };
    if begin.elapsed() > AT_ONCE && user.session.load().await.is_err() {
        return PageError::Internal.into_response();
    }
    next.run(Request::from_parts(parts, Body::from(form))).await
}
