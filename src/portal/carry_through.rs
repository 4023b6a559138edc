//! Changes are carried through.

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Lets a request that may change something run to its end, also when its client goes away: what was begun is
/// finished, and whoever has to hear of it does.
pub async fn to_the_end(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "a request could not be carried through");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
