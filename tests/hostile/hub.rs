//! A hub that lies to its nodes, and what it can say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use atoll::protocol::payload::{self, Dialect};
use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::stream;
use serde_json::{Value, json};
use socketioxide::{
    SocketIo,
    extract::{AckSender, SocketRef},
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::support::{AVERAGE, eventually};

/// What it answers in the place of the truth.
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16),
    Text(String),
    Redirect(String),
    /// A body without an end.
    Endless,
    /// One page that calls itself the first of very many.
    ManyPages(String),
}

#[derive(Default)]
struct Told {
    open: Vec<Value>,
    tasks: HashMap<i64, Value>,
    stores: Vec<Value>,
    /// By a part of method and path.
    lies: Vec<(String, Answer)>,
    /// What the node reported.
    reports: Vec<(i64, Value)>,
    signed_in: bool,
    /// So many open runs stand on a page, however many are asked for, the newest first and without what they ask for.
    on_page: Option<usize>,
}

/// The hub.
pub struct HostileHub {
    pub port: u16,
    told: Arc<Mutex<Told>>,
    io: SocketIo,
    server: JoinHandle<()>,
}

/// A task as the hub tells of it: the node's organization is 2, the researcher's 1.
pub fn task(id: i64) -> Value {
    json!({"id": id, "name": "asked", "description": "", "image": AVERAGE, "status": "pending", "job_id": id,
        "collaboration": {"id": 1, "link": "/api/collaboration/1"}, "init_org": {"id": 1, "link": "/api/organization/1"},
        "init_user": {"id": 5, "link": "/api/user/5"}, "parent": null, "algorithm_store": null, "study": null,
        "databases": [{"label": "default", "parameters": "{}"}], "created_at": "2026-11-01T10:00:00"})
}

/// Its run at the node.
pub fn run(id: i64, task: Value, function: &str, kwargs: Value) -> Value {
    let input = payload::encode(&json!({"method": function, "args": [], "kwargs": kwargs}), Dialect::Json);
    json!({"id": id, "input": input, "status": "pending", "assigned_at": "2026-11-01T10:00:00", "started_at": null,
        "finished_at": null, "log": null, "organization": {"id": 2, "link": "/api/organization/2"}, "task": task,
        "results": {"id": id, "link": format!("/api/result/{id}")}, "node": {"id": 1, "name": "n"}, "ports": []})
}

/// What is allowed.
pub fn honest(id: i64) -> Value {
    run(id, task(id), "partial_average", json!({"column_name": "age"}))
}

impl HostileHub {
    pub async fn start() -> HostileHub {
        let told: Arc<Mutex<Told>> = Arc::default();
        let (layer, io) = SocketIo::new_layer();
        io.ns("/tasks", async |socket: SocketRef| {
            for event in ["algorithm_log", "algorithm_status_change", "node_info_update"] {
                // A station waits for the answer to what it tells before it reports the end.
                socket.on(event, async |ack: AckSender| drop(ack.send(&json!({}))));
            }
            let _ = socket.emit("sync", &json!({}));
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(answer).with_state(told.clone()).layer(layer);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        HostileHub { port, told, io, server }
    }

    /// From now on this is the answer to requests whose method and path contain the text.
    pub fn lie(&self, part: &str, answer: Answer) {
        self.told.lock().unwrap().lies = vec![(part.to_owned(), answer)];
    }

    /// From now on lists of open runs are long, as our own hub shortens them.
    pub fn shorten_pages(&self, on_page: usize) {
        self.told.lock().unwrap().on_page = Some(on_page);
    }

    pub fn tell_the_truth(&self) {
        self.told.lock().unwrap().lies.clear();
    }

    /// Calls these open no more.
    pub fn forget(&self, ids: &[i64]) {
        self.told.lock().unwrap().open.retain(|run| !run["id"].as_i64().is_some_and(|id| ids.contains(&id)));
    }

    pub fn link_store(&self, url: &str) {
        let mut told = self.told.lock().unwrap();
        let id = told.stores.len() + 1;
        told.stores.push(json!({"id": id, "name": "store", "url": url}));
    }

    /// Calls these runs open.
    pub async fn open(&self, runs: impl IntoIterator<Item = Value>) {
        {
            let mut told = self.told.lock().unwrap();
            for run in runs {
                if let Some(id) = run["task"]["id"].as_i64() {
                    told.tasks.entry(id).or_insert_with(|| run["task"].clone());
                }
                told.open.push(run);
            }
        }
        self.emit("new_task", json!({"id": 1})).await;
    }

    pub async fn emit(&self, event: &str, payload: Value) {
        if let Some(namespace) = self.io.of("/tasks") {
            // Whether somebody hears it shows by what they do.
            let _ = namespace.emit(event.to_owned(), &payload).await;
        }
    }

    /// The last report of a run that says how it has ended.
    pub fn end_of(&self, id: i64) -> Option<Value> {
        let told = self.told.lock().unwrap();
        let ends = told.reports.iter().filter(|(run, report)| *run == id && !report["finished_at"].is_null());
        ends.map(|(_, report)| report.clone()).next_back()
    }

    /// All that the node has sent about runs, as text.
    pub fn all_reports(&self) -> String {
        let told = self.told.lock().unwrap();
        told.reports.iter().map(|(id, report)| format!("{id} {report}\n")).collect()
    }

    pub fn reported_about(&self, id: i64) -> bool {
        self.told.lock().unwrap().reports.iter().any(|(run, _)| *run == id)
    }

    pub async fn wait_for_node(&self) {
        eventually(async || self.told.lock().unwrap().signed_in).await;
    }

    /// Has a run done and waits for its end.
    pub async fn ask(&self, run: Value) -> Value {
        let id = run["id"].as_i64().unwrap();
        self.open([run]).await;
        let mut end = None;
        for _ in 0..600 {
            end = self.end_of(id);
            if end.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            // An event can be missed while the node connects anew.
            self.emit("new_task", json!({"id": 1})).await;
        }
        end.unwrap_or_else(|| panic!("run {id} has not ended"))
    }
}

impl Drop for HostileHub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn list(items: Vec<Value>) -> Response {
    let total = items.len().to_string();
    ([("total-count", total)], Json(json!({"data": items, "links": {}}))).into_response()
}

async fn answer(State(told): State<Arc<Mutex<Told>>>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().trim_start_matches("/api/").to_owned());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let text = format!("{method} {path}?{query}");
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut told = told.lock().unwrap();
    if let Some((_, lie)) = told.lies.iter().find(|(part, _)| text.contains(part.as_str())) {
        return lie.clone().into_response();
    }
    let id = path.rsplit('/').next().and_then(|id| id.parse::<i64>().ok());
    let missing = || (StatusCode::NOT_FOUND, Json(json!({"msg": "not found"}))).into_response();
    match (method, path.split('/').next().unwrap_or_default(), id) {
        (_, "version", _) => Json(json!({"version": "4.15.2"})).into_response(),
        (Method::POST, "token", _) => {
            told.signed_in = true;
            let claims = json!({"sub": 1, "exp": 4_102_444_800_i64, "client_type": "node"}).to_string();
            let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
            Json(json!({"access_token": token, "refresh_token": token, "refresh_url": "", "node_url": "",
                "container_token": token}))
            .into_response()
        }
        (_, "node", _) => {
            Json(json!({"id": 1, "name": "station", "type": "node", "organization": {"id": 2, "link": ""},
            "collaboration": {"id": 1, "link": ""}, "config": [], "status": "online"}))
            .into_response()
        }
        (_, "collaboration", Some(id)) => Json(json!({"id": id, "name": "c", "encrypted": false})).into_response(),
        (_, "organization", Some(id)) => Json(json!({"id": id, "name": format!("organization {id}")})).into_response(),
        (_, "algorithmstore", _) => list(told.stores.clone()),
        (Method::GET, "run", None) if query.contains("state=open") => match told.on_page {
            None => list(told.open.clone()),
            Some(on_page) => {
                let number = query.split('&').find_map(|pair| pair.strip_prefix("page=")?.parse::<usize>().ok());
                let passed = (number.unwrap_or(1) - 1) * on_page;
                let mut page: Vec<Value> = told.open.iter().rev().skip(passed).take(on_page).cloned().collect();
                page.iter_mut().for_each(|run| drop(run.as_object_mut().unwrap().remove("input")));
                let total = told.open.len().to_string();
                ([("total-count", total)], Json(json!({"data": page, "links": {}}))).into_response()
            }
        },
        (Method::GET, "run", None) => {
            let task = query.split('&').find_map(|pair| pair.strip_prefix("task_id=")?.parse::<i64>().ok());
            list(told.open.iter().filter(|run| run["task"]["id"].as_i64() == task).cloned().collect())
        }
        (Method::GET, "run", Some(id)) => match told.open.iter().find(|run| run["id"] == id) {
            Some(run) => Json(run).into_response(),
            None => missing(),
        },
        (Method::PATCH, "run", Some(id)) => {
            if !body["finished_at"].is_null() {
                told.open.retain(|run| run["id"] != id);
            }
            told.reports.push((id, body));
            Json(honest(id)).into_response()
        }
        (Method::GET, "task", Some(id)) => told.tasks.get(&id).map_or_else(missing, |task| Json(task).into_response()),
        _ => missing(),
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
            Answer::Text(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
            Answer::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
            Answer::Endless => {
                let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'['; 1 << 16]));
                Body::from_stream(chunks).into_response()
            }
            Answer::ManyPages(text) => ([("total-count", "1000000")], text).into_response(),
        }
    }
}
