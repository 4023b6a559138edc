//! A proxy before the hub.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, header::HOST},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;

use super::World;

/// Starts a proxy through which no events get, and which answers some paths by itself; its port.
pub async fn proxy(world: &World, answer: fn(&str) -> Option<&'static str>) -> u16 {
    let (http, hub) = (reqwest::Client::new(), world.url.trim_end_matches("/api").to_owned());
    let pass = move |request: Request| {
        let (http, hub) = (http.clone(), hub.clone());
        async move {
            if request.uri().path().starts_with("/socket.io") {
                return StatusCode::NOT_FOUND.into_response();
            }
            if let Some(answer) = answer(request.uri().path()) {
                return answer.into_response();
            }
            let (parts, body) = request.into_parts();
            let mut headers = parts.headers;
            headers.remove(HOST);
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let request = http.request(parts.method, format!("{hub}{}", parts.uri)).headers(headers).body(body);
            let Ok(answer) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
            let mut response = Response::new(Body::empty());
            *response.status_mut() = answer.status();
            *response.body_mut() = Body::from(answer.bytes().await.unwrap());
            response
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(pass)).await.unwrap() });
    port
}
