//! Hostile programs of each kind against the real ones: a hub, an algorithm store, an algorithm and a node. What they do
//! is varied by a seed: `ATOLL_ATTACK_SEED` names another one, and a failure says which it was.

#[path = "../support/mod.rs"]
mod support;

mod algorithm;
mod honeypot;
mod hub;
mod node;
mod station;
mod store;
mod variation;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use support::World;

/// One request to a hub; nothing if it closed the connection instead of reading a body that is too large.
async fn tried(
    world: &World,
    method: &Method,
    path: &str,
    token: &str,
    body: Option<&Value>,
) -> Option<(StatusCode, Value)> {
    let request = world.http.request(method.clone(), format!("{}/{path}", world.url)).bearer_auth(token);
    let request = if let Some(body) = body { request.json(body) } else { request };
    let response = request.send().await.ok()?;
    Some((response.status(), response.json().await.unwrap_or(Value::Null)))
}

/// Makes tasks those of another organization, the last of the demo's.
async fn give_away(world: &World, tasks: &[i64]) {
    let options = SqliteConnectOptions::new().filename(world.data.path().join("hub.sqlite"));
    let mut database = options.connect().await.unwrap();
    for id in tasks {
        let change = sqlx::query("UPDATE task SET init_organization_id = 4, init_user_id = NULL WHERE id = ?");
        change.bind(id).execute(&mut database).await.unwrap();
    }
    database.close().await.unwrap();
}

/// The most that a process holds at any time, in MB.
fn peak(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() >> 10
}
