//! The hub's REST API and events.

mod account;
mod audit;
mod event;
mod limits;
mod listing;
mod meanwhile;
mod permission;
mod second_factor;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
mod task;

use atoll::protocol::{
    payload::{Dialect, encode},
    review::Asked,
};
use reqwest::Method;
use serde_json::{Value, json};
use support::{AVERAGE, World};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// The review that a node of organization 2 asks for, of one of its runs.
async fn ask_for_review(world: &World, node: &str, run_id: i64, task_id: &Value) -> Value {
    let asked = json!({"image": AVERAGE, "digest": "", "function": "partial_average", "args": [], "kwargs": {},
        "databases": [], "columns": null, "organization_id": 2, "collaboration_id": 1, "user_id": 1,
        "requester_organization_id": 2});
    let hash = serde_json::from_value::<Asked>(asked.clone()).unwrap().hash();
    let request = json!({"asked": asked, "does": "", "discloses": "", "task_id": task_id, "task_name": "",
        "purpose": "", "parent_id": null, "username": null, "requester_organization": null, "unusual": []});
    let review = json!({"run_id": run_id, "subject": "run", "hash": hash, "mode": "always",
        "expires_at": "2999-01-01T00:00:00.000000", "request": request});
    let (status, review) = world.call(POST, "review", Some(node), Some(&review)).await;
    assert_eq!(status, 201, "{review}");
    review
}

fn task_body(organizations: &[i64]) -> Value {
    let input = encode(&json!({"method": "partial_average", "kwargs": {"column_name": "age"}}), Dialect::Json);
    let organizations: Vec<Value> = organizations.iter().map(|id| json!({"id": id, "input": input})).collect();
    json!({"name": "a task", "description": "", "image": AVERAGE, "collaboration_id": 1,
        "databases": [{"label": "default"}], "organizations": organizations})
}
