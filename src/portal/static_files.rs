//! The files of the site: the built ones have a hash in their name and never change.

use std::path::Path;

use axum::{
    Router,
    http::{HeaderValue, header},
};
use tower::ServiceBuilder;
use tower_http::{
    services::{ServeDir, ServeFile},
    set_header::SetResponseHeaderLayer,
};

/// Serves `/pkg/…` and the icon, compressed beforehand where the browser takes it.
pub fn routes<S: Clone + Send + Sync + 'static>(site: &Path) -> Router<S> {
    let cache = |value| SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static(value));
    let built = ServiceBuilder::new()
        .layer(cache("public, max-age=31536000, immutable"))
        .service(ServeDir::new(site.join("pkg")).precompressed_br().precompressed_gzip());
    let icon =
        ServiceBuilder::new().layer(cache("public, max-age=86400")).service(ServeFile::new(site.join("favicon.svg")));
    Router::new().nest_service("/pkg", built).route_service("/favicon.svg", icon)
}
