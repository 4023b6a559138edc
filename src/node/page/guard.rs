use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{PageState, views::STYLE_HASH};

/// Answers only to those who asked for this address by a name of loopback: another site's name that was made to lead
/// here (DNS rebinding) gets nothing. And the headers of every answer.
pub async fn protect(State(state): State<PageState>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = state.address.port();
    let known = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}"));
    let mut response = match known.iter().any(|known| known == host) {
        true => next.run(request).await,
        false => (StatusCode::MISDIRECTED_REQUEST, "This page answers at 127.0.0.1 only.").into_response(),
    };
    let policy = format!(
        "default-src 'none'; style-src '{STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(&policy).map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
