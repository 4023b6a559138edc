//! The web application beside the hub of a world.

use std::{path::Path, sync::Arc};

use atoll::{
    portal::{Portal, PortalOptions, SessionsAt},
    serve::{AttemptLimits, serve},
};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header, redirect::Policy};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{PASSWORD, World};

/// A portal that uses the hub of a world, with the hub's API beside it as `atoll serve` has it.
pub struct Web {
    pub url: String,
    pub http: Client,
    /// The session's cookie, once somebody is signed in.
    pub cookie: String,
    server: JoinHandle<()>,
}

impl Web {
    pub async fn new(world: &World, trusted_proxies: &[&str]) -> Web {
        Web::with(world, trusted_proxies, false).await
    }

    pub async fn with(world: &World, trusted_proxies: &[&str], https: bool) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Web::on(listener, world, trusted_proxies, https, world.url.parse().unwrap(), None, world.limits.clone()).await
    }

    /// Before the hub at this address, which stands for the world's.
    pub async fn before(world: &World, hub: &str) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Web::on(listener, world, &[], false, hub.parse().unwrap(), None, Arc::default()).await
    }

    /// As `atoll serve --hub` has it, with limits of its own.
    pub async fn before_another_hub(world: &World, trusted_proxies: &[&str]) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hub = world.url.parse().unwrap();
        Web::on(listener, world, trusted_proxies, false, hub, None, Arc::default()).await
    }

    /// As `atoll serve` has it: pages ask the API beside them.
    pub async fn beside(world: &World, trusted_proxies: &[&str]) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: url::Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        Web::on(listener, world, trusted_proxies, false, url.join("api").unwrap(), Some(url), world.limits.clone())
            .await
    }

    async fn on(
        listener: TcpListener,
        world: &World,
        trusted_proxies: &[&str],
        https: bool,
        hub: url::Url,
        public_hub: Option<url::Url>,
        limits: Arc<AttemptLimits>,
    ) -> Web {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let portal = Portal::new(PortalOptions {
            hub,
            public_hub,
            sessions: SessionsAt::File(world.data.path().join("sessions.sqlite")),
            site: Path::new(env!("CARGO_MANIFEST_DIR")).join("target/site"),
            https,
            demo_accounts: Vec::new(),
            trusted_proxies: trusted_proxies.iter().map(|network| network.parse().unwrap()).collect(),
            limits,
            stop: CancellationToken::new(),
        })
        .await
        .expect("a portal; if there is none, is the site built? (make build)");
        let router = portal.router(world.hub.router());
        let server = tokio::spawn(serve(listener, router, &[], CancellationToken::new()));
        let http = Client::builder().redirect(Policy::none()).build().unwrap();
        Web { url, http, cookie: String::new(), server }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).header(header::COOKIE, &self.cookie)
    }

    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
    }

    /// Sends a form; the status, the address to go on at, and the page.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String, String) {
        let answer = self.form(path, fields).send().await.unwrap();
        let place = answer.headers().get(header::LOCATION).map(|place| place.to_str().unwrap().to_owned());
        (answer.status(), place.unwrap_or_default(), answer.text().await.unwrap())
    }

    pub async fn sign_in(&mut self, username: &str) {
        let answer = self.form("/login", &[("username", username), ("password", PASSWORD)]).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        self.cookie = session_cookie(&answer).split(';').next().unwrap().to_owned();
    }

    /// Answers all questions of the wizard up to its overview; the address of the overview.
    pub async fn overview(&self) -> String {
        self.wizard_until("").await
    }

    /// The step of the wizard that asks for this field; the overview if none does.
    pub async fn wizard_until(&self, field: &str) -> String {
        let (_, mut place, _) = self.post("/tasks/new?step=collaboration", &[("collaboration", "1")]).await;
        let (_, page) = self.get(&place).await;
        let function = page.split("value=\"").filter_map(|rest| rest.split('"').next());
        let function = function.into_iter().find(|value| value.ends_with(":partial_average")).unwrap().to_owned();
        let answers = [
            ("function", function.as_str()),
            ("organizations", "2"),
            ("database_0", "default"),
            ("argument_column_name", "age"),
            ("name", "Pressed"),
        ];
        for answer in answers.into_iter().take_while(|(name, _)| *name != field) {
            let (status, next, page) = self.post(&place, &[answer]).await;
            assert_eq!(status, StatusCode::SEE_OTHER, "{answer:?} {page}");
            place = next;
        }
        place
    }
}

/// The cookie of the session that an answer sets, with its attributes.
pub fn session_cookie(answer: &reqwest::Response) -> &str {
    let cookies = answer.headers().get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    let mut cookies = cookies.filter(|cookie| cookie.starts_with("atoll=") || cookie.starts_with("__Host-atoll="));
    cookies.next().expect("a session")
}

impl Drop for Web {
    fn drop(&mut self) {
        self.server.abort();
    }
}
