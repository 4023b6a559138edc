//! A hub with the demo world on a free port, and what tests ask of it.
#![allow(dead_code)]

pub mod browser;
pub mod mail;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod second_factor;
pub mod web;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use atoll::{
    algorithms, demo,
    hub::{Hub, HubOptions, MailOptions, NoticeOptions, SecretKey},
    node::{NodeConfig, Station},
    protocol::{
        client::{HubClient, SignIn, Transport, sign_in_user},
        domain::{FunctionCall, Node, TaskSpec},
        status::Status,
    },
    serve::{self, AttemptLimits},
};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

pub const PASSWORD: &str = "Atoll-demo-1";
/// Whose pages may use the API.
pub const ALLOWED_ORIGIN: &str = "https://ui.example";
pub const AVERAGE: &str = "harbor2.vantage6.ai/demo/average";

/// A hub with the demo's organizations, users and nodes; no node runs yet.
pub struct World {
    pub hub: Hub,
    pub url: String,
    pub data: TempDir,
    pub http: reqwest::Client,
    /// How often one address may try to sign in, of the hub and of a portal beside it.
    pub limits: Arc<AttemptLimits>,
    address: SocketAddr,
    server: Option<(CancellationToken, JoinHandle<()>)>,
}

impl World {
    pub async fn new() -> World {
        World::with(false).await
    }

    /// With or without a second factor for everybody.
    pub async fn with(two_factor: bool) -> World {
        World::open(two_factor, None, None).await
    }

    /// With a mail server that keeps what it gets.
    pub async fn with_mail(two_factor: bool, sink: &mail::MailSink) -> World {
        let mail = MailOptions { server: sink.url.clone().into(), from: "Atoll <atoll@example.org>".to_owned() };
        World::open(two_factor, Some(mail), None).await
    }

    /// With a mail server at this address.
    pub async fn with_mail_server(url: &str) -> World {
        let mail = MailOptions { server: url.to_owned().into(), from: "Atoll <atoll@example.org>".to_owned() };
        World::open(false, Some(mail), None).await
    }

    /// With an address that gets notices.
    pub async fn with_webhook(url: &str) -> World {
        World::open(false, None, Some(url.parse().unwrap())).await
    }

    async fn open(two_factor: bool, mail: Option<MailOptions>, webhook: Option<url::Url>) -> World {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let data = TempDir::new().unwrap();
        let limits = Arc::<AttemptLimits>::default();
        let hub = open_hub(&data, address, two_factor, mail, webhook, limits.clone()).await;
        demo::create(&hub, data.path(), address.port(), &[]).await.unwrap();
        let server = Some(serve(&hub, listener));
        World { hub, url: format!("http://{address}/api"), data, http: reqwest::Client::new(), limits, address, server }
    }

    /// The hub answers no more.
    pub async fn stop(&mut self) {
        let (stop, server) = self.server.take().expect("a hub that runs");
        stop.cancel();
        server.await.unwrap();
    }

    /// The hub answers again at the same address.
    pub async fn start_again(&mut self) {
        self.server = Some(serve(&self.hub, TcpListener::bind(self.address).await.unwrap()));
    }

    /// The hub starts anew and accepts no token of before, as after the loss of its signing secret.
    pub async fn forget_tokens(&mut self) {
        self.stop().await;
        let options = SqliteConnectOptions::new().filename(self.data.path().join("hub.sqlite"));
        let mut database = options.connect().await.unwrap();
        let forget = sqlx::query("UPDATE setting SET value = randomblob(64) WHERE name = 'signing_secret'");
        assert_eq!(forget.execute(&mut database).await.unwrap().rows_affected(), 1);
        database.close().await.unwrap();
        self.open_anew().await;
    }

    /// The program ends and starts anew with the same files.
    pub async fn restart(&mut self) {
        self.hub.close().await;
        self.stop().await;
        let nobody_writes = self.hub.end().await;
        drop(nobody_writes);
        self.open_anew().await;
    }

    async fn open_anew(&mut self) {
        self.hub = open_hub(&self.data, self.address, false, None, None, self.limits.clone()).await;
        self.start_again().await;
    }

    /// A token of this user.
    pub async fn token(&self, username: &str) -> String {
        let body = json!({"username": username, "password": PASSWORD});
        let (status, answer) = self.call(Method::POST, "token/user", None, Some(&body)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// A token of the node of this organization.
    pub async fn node_token(&self, organization: &str) -> String {
        let body = json!({"api_key": self.api_key(organization)});
        let (status, answer) = self.call(Method::POST, "token/node", None, Some(&body)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    pub fn api_key(&self, organization: &str) -> String {
        let text = std::fs::read_to_string(demo::node_config(self.data.path(), organization)).unwrap();
        text.lines().find_map(|line| line.strip_prefix("api_key: ")).unwrap().to_owned()
    }

    /// One request to the API; status and JSON (null if there is none).
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}/{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, Some(token), None).await
    }

    /// The typed client of a user.
    pub async fn client(&self, username: &str) -> HubClient {
        let transport = Transport::new(&self.url.parse().unwrap()).unwrap();
        match sign_in_user(&transport, username, &PASSWORD.into(), None, &[]).await.unwrap() {
            SignIn::Done(tokens) => HubClient::new(transport, tokens),
            _ => panic!("no second factor was asked for"),
        }
    }

    /// Starts the node of an organization; it stops when the guard is dropped.
    pub async fn start_node(&self, organization: &str) -> RunningNode {
        self.start_node_with(organization, |_| ()).await
    }

    /// As [`World::start_node`], with a changed configuration file.
    pub async fn start_node_with(&self, organization: &str, change: impl FnOnce(&mut String)) -> RunningNode {
        self.start_node_as_written(organization, |text| {
            change(text);
            *text = with_demo_limits(text);
        })
        .await
    }

    /// As [`World::start_node_with`], without the limits of the demo: those hold that hold where nothing is said.
    pub async fn start_node_as_written(&self, organization: &str, change: impl FnOnce(&mut String)) -> RunningNode {
        let path = demo::node_config(self.data.path(), organization);
        let mut text = without_limits(&std::fs::read_to_string(&path).unwrap());
        change(&mut text);
        std::fs::write(&path, text).unwrap();
        RunningNode::start(&path)
    }

    /// Starts a node of this organization on another machine, as it were: with the same key and a state file of its own.
    pub async fn start_second_node(&self, organization: &str, change: impl FnOnce(&mut String)) -> RunningNode {
        let path = demo::node_config(self.data.path(), organization);
        let mut text = with_demo_limits(&without_limits(&std::fs::read_to_string(&path).unwrap()));
        text.push_str("state_file: second.sqlite\n");
        change(&mut text);
        let second = path.with_file_name("second.yaml");
        std::fs::write(&second, text).unwrap();
        RunningNode::start(&second)
    }
    /// Waits until the hub says that this organization's node is online (or offline).
    pub async fn wait_for_node(&self, organization_id: i64, online: bool) {
        // The configuration is shared just after a node is online.
        self.wait_until(organization_id, |node| node.online == online && (!online || node.shares_config)).await;
    }

    /// As [`World::wait_for_node`], for one that shares no configuration.
    pub async fn wait_for(&self, organization_id: i64, online: bool) {
        self.wait_until(organization_id, |node| node.online == online).await;
    }

    async fn wait_until(&self, organization_id: i64, condition: impl Fn(&Node) -> bool) {
        let client = self.client("root").await;
        eventually(async || {
            let nodes = client.nodes().await.unwrap();
            nodes.iter().any(|node| node.organization_id == Some(organization_id) && condition(node))
        })
        .await;
    }

    /// Has a node's configuration ask the hub through a proxy at this port.
    pub fn through(&self, port: u16, text: &mut String) {
        *text = text.replace(&format!("port: {}", self.address.port()), &format!("port: {port}"));
        assert!(text.contains(&format!("port: {port}")), "{text}");
    }

    /// The folder of an organization's node.
    pub fn node_folder(&self, organization: &str) -> std::path::PathBuf {
        demo::node_config(self.data.path(), organization).parent().map(Path::to_owned).unwrap()
    }
}

/// The disclosure limits of the demo, whose tables have four rows.
pub const DEMO_LIMITS: [(&str, &str); 6] = [
    ("minimum_rows", "1"),
    ("smallest_cell", "1"),
    ("smallest_subset", "0"),
    ("largest_parameter_share", "1"),
    ("largest_value_share", "1"),
    ("allowed_identifiers", "[age, weight, height, visits]"),
];

/// A node's configuration without the demo's limits, nor the section of policies if nothing else is in it.
fn without_limits(text: &str) -> String {
    let is_limit = |line: &str| DEMO_LIMITS.iter().any(|(name, value)| line.trim() == format!("{name}: {value}"));
    let lines: Vec<&str> = text.lines().filter(|line| !is_limit(line)).collect();
    let is_empty = |index: usize| lines.get(index + 1).is_none_or(|next| !next.starts_with(' '));
    let kept = lines.iter().enumerate().filter(|(index, line)| **line != "policies:" || !is_empty(*index));
    let mut text: String = kept.map(|(_, line)| format!("{line}\n")).collect();
    for (name, value) in DEMO_LIMITS {
        text = text.replace(&format!("{name}: {value}, "), "").replace(&format!("{name}: {value}}}"), "}");
    }
    text.replace("policies: {}\n", "")
}

/// A node's configuration with the demo's limits, where it does not say others.
fn with_demo_limits(text: &str) -> String {
    let missing: Vec<String> = DEMO_LIMITS
        .iter()
        .filter(|(name, _)| !text.contains(&format!("{name}:")))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    if missing.is_empty() {
        return text.to_owned();
    }
    match text.lines().find(|line| line.starts_with("policies:")) {
        None => format!("{text}policies: {{{}}}\n", missing.join(", ")),
        Some("policies:") => text.replace("policies:\n", &format!("policies:\n  {}\n", missing.join("\n  "))),
        Some(_) => text.replace("policies: {", &format!("policies: {{{}, ", missing.join(", "))),
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some((_, server)) = self.server.take() {
            server.abort();
        }
    }
}

async fn open_hub(
    data: &TempDir,
    address: SocketAddr,
    two_factor: bool,
    mail: Option<MailOptions>,
    webhook: Option<url::Url>,
    limits: Arc<AttemptLimits>,
) -> Hub {
    Hub::open(HubOptions {
        database: data.path().join("hub.sqlite"),
        secret_key: SecretKey::from_file(&data.path().join("hub.key")).unwrap(),
        public_url: format!("http://{address}"),
        algorithms: algorithms::describe_all(),
        two_factor,
        notices: NoticeOptions { by_mail: mail.is_some(), webhook },
        mail,
        audit_file: None,
        limits,
        allowed_origins: vec![ALLOWED_ORIGIN.parse().unwrap()],
    })
    .await
    .unwrap()
}

fn serve(hub: &Hub, listener: TcpListener) -> (CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    let server = serve::serve(listener, hub.router(), &[], stop.clone());
    (stop, tokio::spawn(server))
}

/// A node that runs in this process.
pub struct RunningNode {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl RunningNode {
    /// Starts a node with this configuration.
    pub fn start(path: &Path) -> RunningNode {
        let stop = CancellationToken::new();
        let station = Station::new(NodeConfig::read(path).unwrap());
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { station.run(stop).await.unwrap() }
        });
        RunningNode { stop, task: Some(task) }
    }

    /// Ends it as a crash does: nothing is said to anybody.
    pub async fn crash(mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        let _ = task.await;
    }

    pub async fn stop(mut self) {
        self.stop.cancel();
        self.task.take().unwrap().await.unwrap();
    }
}

impl Drop for RunningNode {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits until a condition holds; fails after a while.
pub async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    let waited = timeout(Duration::from_secs(30), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("the condition holds within 30 seconds");
}

/// A task of the averaging image.
pub fn average(function: &str, organizations: &[i64], kwargs: Value) -> TaskSpec {
    let Value::Object(kwargs) = kwargs else { panic!("kwargs are an object") };
    TaskSpec {
        name: format!("{function} test"),
        description: String::new(),
        image: AVERAGE.to_owned(),
        collaboration_id: 1,
        study_id: None,
        store_id: None,
        databases: vec!["default".to_owned()],
        organizations: organizations.to_vec(),
        call: FunctionCall { function: function.to_owned(), args: Vec::new(), kwargs, written: None },
    }
}

/// Waits for the end of a task; its status, logs by organization, and results in the order of its runs.
pub async fn outcome(client: &HubClient, task_id: i64) -> (Status, Vec<String>, Vec<Value>) {
    eventually(async || {
        let runs = client.runs(task_id).await.unwrap();
        runs.iter().all(|run| run.status.is_final())
    })
    .await;
    let status = client.task_status(task_id).await.unwrap();
    let logs = client.runs(task_id).await.unwrap().into_iter().map(|run| run.log).collect();
    let results = client.results(task_id).await.unwrap();
    let values = results.into_iter().filter_map(|result| result.value).map(Result::unwrap).collect();
    (status, logs, values)
}

/// An object from pairs.
pub fn object(pairs: &[(&str, Value)]) -> Map<String, Value> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}
