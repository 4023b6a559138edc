//! The hub's REST API and events.

mod account;
mod audit;
mod event;
mod limits;
mod listing;
mod permission;
mod second_factor;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
mod task;

use atoll::protocol::payload::{Dialect, encode};
use reqwest::Method;
use serde_json::{Value, json};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

fn task_body(organizations: &[i64]) -> Value {
    let input = encode(&json!({"method": "partial_average", "kwargs": {"column_name": "age"}}), Dialect::Json);
    let organizations: Vec<Value> = organizations.iter().map(|id| json!({"id": id, "input": input})).collect();
    json!({"name": "a task", "description": "", "image": support::AVERAGE, "collaboration_id": 1,
        "databases": [{"label": "default"}], "organizations": organizations})
}
