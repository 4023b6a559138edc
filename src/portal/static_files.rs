//! The files of the site: the built ones have a hash in their name and never change.

use std::path::Path;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Response, StatusCode, header},
    middleware::{Next, from_fn},
};
use tower::ServiceBuilder;
use tower_http::{
    services::{ServeDir, ServeFile},
    set_header::SetResponseHeaderLayer,
};

/// Bytes of a file that are read at once, for each who asks for it.
const CHUNK: usize = 16 * 1024;

/// Serves `/pkg/…` and the icon, compressed beforehand where the browser takes it.
pub fn routes<S: Clone + Send + Sync + 'static>(site: &Path) -> Router<S> {
    // What is not there may be there tomorrow.
    let cache = |value| {
        SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, move |response: &Response<_>| {
            let is_file = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
            Some(HeaderValue::from_static(if is_file { value } else { "no-store" }))
        })
    };
    let built = ServiceBuilder::new()
        .layer(cache("public, max-age=31536000, immutable"))
        .service(ServeDir::new(site.join("pkg")).with_buf_chunk_size(CHUNK).precompressed_br().precompressed_gzip());
    let icon =
        ServiceBuilder::new().layer(cache("public, max-age=86400")).service(ServeFile::new(site.join("favicon.svg")));
    let built = Router::new().fallback_service(built).layer(from_fn(of_plain_name));
    Router::new().nest_service("/pkg", built).route_service("/favicon.svg", icon)
}

/// The files that are built have short, plain names. What no file can be called is no failure of the server.
async fn of_plain_name(request: Request, next: Next) -> Result<Response<Body>, StatusCode> {
    let path = request.uri().path();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    match path.len() < 200 && path.chars().all(is_plain) {
        true => Ok(next.run(request).await),
        false => Err(StatusCode::NOT_FOUND),
    }
}
