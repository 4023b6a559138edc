//! A server to which nothing secret may come.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::Request};
use tokio::{net::TcpListener, task::JoinHandle};

/// Notes what comes with each request.
pub struct Honeypot {
    pub url: String,
    caught: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Honeypot {
    pub async fn start() -> Honeypot {
        let caught: Arc<Mutex<Vec<String>>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let noted = caught.clone();
        let router = Router::new().fallback(move |request: Request| {
            let secret = request.headers().get("authorization").map(|value| format!("{value:?}"));
            noted.lock().unwrap().push(format!("{} {} {secret:?}", request.method(), request.uri()));
            async { "{}" }
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Honeypot { url, caught, server }
    }

    /// Requests that came.
    pub fn caught(&self) -> Vec<String> {
        self.caught.lock().unwrap().clone()
    }
}

impl Drop for Honeypot {
    fn drop(&mut self) {
        self.server.abort();
    }
}
