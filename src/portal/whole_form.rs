//! Forms are whole before it is asked who sends them: a session may end while its form is still on its way.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, HttpBody},
    extract::{OptionalFromRequestParts, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};

use tokio::{sync::Semaphore, time::timeout};

use super::server::FORM_LIMIT;
use crate::{
    pages::{PageError, PageState, User},
    serve::{Shares, whole_body},
};

/// A form that takes longer than this is on its way, and its session is looked at again.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Forms up to this size, in bytes, are read as they come. Of larger ones there are some in memory.
const SMALL: u64 = 16 * 1024;
static LARGE: Semaphore = Semaphore::const_new(128);
/// Those of one user, of whom some more wait: one that waits is not read, and nobody notices when its client goes away.
static LARGE_OF_USER: LazyLock<Shares<i64>> = LazyLock::new(|| Shares::with_queue(4, 16));
/// How long a form waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads the form of somebody who is signed in before their request is dealt with. Of others nothing is read here.
pub async fn read_first(State(state): State<PageState>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let user = <User as OptionalFromRequestParts<PageState>>::from_request_parts(&mut parts, &state).await;
    let Ok(Some(user)) = user else { return next.run(Request::from_parts(parts, body)).await };
    let begin = Instant::now();
    let is_small = body.size_hint().upper().is_some_and(|bytes| bytes <= SMALL);
    let _places = match is_small {
        true => None,
        false => {
            let both = async {
                let own = LARGE_OF_USER.place(&user.signed_in.user.id).await.ok()?;
                Some((own, LARGE.acquire().await.ok()?))
            };
            match timeout(PATIENCE, both).await {
                Ok(Some(places)) => Some(places),
                Ok(None) | Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            }
        }
    };
    let form = match whole_body(body, FORM_LIMIT).await {
        Ok(form) => form,
        Err(refused) => return refused.into_response(),
    };
    if begin.elapsed() > AT_ONCE && user.session.load().await.is_err() {
        return PageError::Internal.into_response();
    }
    next.run(Request::from_parts(parts, Body::from(form))).await
}
