//! The hub's REST API and events: permissions, filters, pages, bad input, sign-in limits.

mod support;

use std::time::{Duration, Instant};

use atoll::protocol::{
    client::{HubClient, TaskQuery, Transport},
    event::Event,
    payload::{Dialect, encode},
    socket::Socket,
    status::Status,
};
use reqwest::Method;
use serde_json::{Value, json};
use support::{World, average, eventually};

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

/// Who asks, in the order of the expectations below: nobody, viewer (organization 4), researcher (2), admin1 (2),
/// root (1), node of organization 2, container of a task at organization 2.
const CALLERS: [&str; 7] = ["nobody", "viewer", "researcher", "admin1", "root", "node", "container"];

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_at_every_endpoint_what_its_rules_say() {
    let world = World::new().await;
    let root = world.token("root").await;
    let (status, outsider) = world.call(POST, "organization", Some(&root), Some(&json!({"name": "outsider"}))).await;
    assert_eq!(status, 201);
    let outsider = outsider["id"].as_i64().unwrap();
    let body = json!({"name": "others", "encrypted": false, "organization_ids": [outsider]});
    let (_, others) = world.call(POST, "collaboration", Some(&root), Some(&body)).await;
    let others = others["id"].as_i64().unwrap();
    let researcher = world.token("researcher").await;
    let (status, task) = world.call(POST, "task", Some(&researcher), Some(&task_body(&[2]))).await;
    assert_eq!(status, 201, "{task}");
    let node = world.node_token("example_org1").await;
    let body = json!({"task_id": task["id"], "image": support::AVERAGE});
    let (_, container) = world.call(POST, "token/container", Some(&node), Some(&body)).await;
    let tokens = [
        None,
        Some(world.token("viewer").await),
        Some(researcher),
        Some(world.token("admin1").await),
        Some(root),
        Some(node),
        Some(container["container_token"].as_str().unwrap().to_owned()),
    ];
    let user = json!({"username": "someone", "password": "Abcdefg-1", "email": "x@example.org", "organization_id": 3});
    let study = json!({"name": "study", "collaboration_id": 1, "organization_ids": [2, 3]});
    // Columns as in CALLERS. Only calls that change nothing when they succeed, or that nobody below root may do.
    let others_collaboration = format!("collaboration/{others}");
    let others_organization = format!("organization/{outsider}");
    let table: Vec<(Method, &str, Option<Value>, [u16; 7])> = vec![
        (GET, "version", None, [200; 7]),
        (GET, "health", None, [200; 7]),
        (GET, "organization", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, "organization/3", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, &others_organization, None, [401, 401, 401, 401, 200, 401, 401]),
        (GET, "organization/999", None, [401, 404, 404, 404, 404, 404, 404]),
        (PATCH, "organization/3", Some(json!({"country": "Germany"})), [401, 401, 401, 401, 200, 401, 401]),
        (PATCH, "organization/2", Some(json!({"country": "Netherlands"})), [401, 401, 401, 200, 200, 200, 401]),
        (POST, "organization", Some(json!({"name": "root"})), [401, 401, 401, 401, 400, 401, 401]),
        (DELETE, "organization/1", None, [401, 401, 401, 401, 400, 401, 401]),
        (GET, "collaboration", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, "collaboration/1", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, &others_collaboration, None, [401, 401, 401, 401, 200, 401, 401]),
        (PATCH, "collaboration/1", Some(json!({"name": "example_collab1"})), [401, 401, 401, 401, 200, 401, 401]),
        (DELETE, "collaboration/1", None, [401, 401, 401, 401, 400, 401, 401]),
        (POST, "collaboration/1/organization", Some(json!({"id": 2})), [401, 401, 401, 401, 200, 401, 401]),
        (GET, "node", None, [401, 200, 200, 200, 200, 200, 401]),
        (GET, "node/2", None, [401, 200, 200, 200, 200, 401, 401]),
        (PATCH, "node/1", Some(json!({"name": "example_org1 node"})), [401, 401, 401, 200, 200, 200, 401]),
        (PATCH, "node/2", Some(json!({"name": "example_org2 node"})), [401, 401, 401, 401, 200, 401, 401]),
        (POST, "node", Some(json!({"collaboration_id": 1, "organization_id": 3})), [401, 401, 401, 401, 400, 401, 401]),
        (DELETE, "node/999", None, [401, 404, 404, 404, 404, 401, 401]),
        (GET, "user", None, [401, 200, 200, 200, 200, 401, 401]),
        (GET, "user/1", None, [401, 401, 200, 200, 200, 401, 401]),
        (POST, "user", Some(user), [401, 401, 401, 401, 201, 401, 401]),
        (PATCH, "user/1", Some(json!({"firstname": "Rosa"})), [401, 401, 200, 200, 200, 401, 401]),
        (DELETE, "user/7", None, [401, 401, 401, 401, 200, 401, 401]),
        (GET, "role", None, [401, 200, 200, 200, 200, 401, 401]),
        (GET, "role/1", None, [401, 200, 200, 200, 200, 401, 401]),
        (PATCH, "role/4", Some(json!({"description": "x"})), [401, 401, 401, 400, 400, 401, 401]),
        (DELETE, "role/4", None, [401, 401, 401, 400, 400, 401, 401]),
        (POST, "role", Some(json!({"name": "Root", "rules": []})), [401, 400, 400, 400, 400, 400, 400]),
        (GET, "rule", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, "rule/1", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, "study", None, [401, 200, 200, 200, 200, 200, 401]),
        (POST, "study", Some(study), [401, 401, 401, 401, 201, 401, 401]),
        (GET, "study/1", None, [401, 401, 200, 200, 200, 200, 200]),
        (PATCH, "study/1", Some(json!({"name": "study"})), [401, 401, 401, 401, 200, 401, 401]),
        (GET, "task", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, "task/1", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, "task/1/status", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, "task?include=runs,results", None, [401, 200, 200, 200, 200, 200, 200]),
        (POST, "task", Some(task_body(&[3])), [401, 401, 201, 401, 401, 401, 201]),
        (DELETE, "task/1", None, [401, 401, 999, 401, 999, 401, 401]),
        (GET, "run", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, "run/1", None, [401, 200, 200, 200, 200, 200, 200]),
        (PATCH, "run/2", Some(json!({"log": "x"})), [401, 401, 401, 401, 401, 401, 401]),
        (GET, "result", None, [401, 200, 200, 200, 200, 200, 200]),
        (GET, "result/1", None, [401, 200, 200, 200, 200, 200, 200]),
        (POST, "kill/task", Some(json!({"id": 1})), [401, 401, 999, 401, 999, 401, 401]),
        (POST, "kill/node/tasks", Some(json!({"id": 1})), [401, 401, 401, 400, 400, 401, 401]),
        (POST, "token/user/validate", None, [401, 200, 200, 200, 200, 401, 401]),
        (POST, "token/container", Some(json!({"task_id": 1, "image": "other"})), [401, 401, 401, 401, 401, 401, 401]),
        (GET, "algorithmstore?collaboration_id=1", None, [401, 200, 200, 200, 200, 200, 401]),
    ];
    let mut wrong = Vec::new();
    for (method, path, body, expected) in &table {
        for (index, token) in tokens.iter().enumerate() {
            // 999: would end the task that the rest of the table needs; tried by a test of its own.
            if expected[index] == 999 {
                continue;
            }
            let (status, answer) = world.call(method.clone(), path, token.as_deref(), body.as_ref()).await;
            if status.as_u16() != expected[index] {
                wrong.push(format!("{} {method} {path}: {status}, not {}: {answer}", CALLERS[index], expected[index]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_hold_only_what_may_be_seen() {
    let world = World::new().await;
    let names = async |user: &str, path: &str| -> Vec<String> {
        let token = world.token(user).await;
        let (_, page) = world.get(path, &token).await;
        let key = if path.starts_with("user") { "username" } else { "name" };
        page["data"].as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("viewer", "user").await, ["admin3", "viewer"]);
    assert_eq!(names("researcher", "organization").await, ["example_org1", "example_org2", "example_org3"]);
    assert_eq!(names("root", "organization").await.len(), 4);
    assert_eq!(names("viewer", "node").await.len(), 3);
    let root = world.token("root").await;
    let (_, text) = world.get("user?per_page=100", &root).await;
    assert!(!text.to_string().contains("otp_secret") && !text.to_string().contains("argon2"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hands_on_rights_that_they_do_not_have() {
    let world = World::new().await;
    let admin = world.token("admin1").await;
    let with_root = json!({"username": "evil", "password": "Abcdefg-1", "email": "e@example.org", "roles": [1]});
    let (status, _) = world.call(POST, "user", Some(&admin), Some(&with_root)).await;
    assert_eq!(status, 401);
    let (status, _) = world.call(PATCH, "user/2", Some(&admin), Some(&json!({"roles": [1]}))).await;
    assert_eq!(status, 401, "nobody changes their own roles");
    let (status, _) = world.call(POST, "role", Some(&admin), Some(&json!({"name": "wide", "rules": [1]}))).await;
    assert_eq!(status, 401);
    let viewer = json!({"username": "newcomer", "password": "Abcdefg-1", "email": "n@example.org", "roles": [4]});
    let (status, answer) = world.call(POST, "user", Some(&admin), Some(&viewer)).await;
    assert_eq!(status, 201, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_filtered_sorted_and_paged() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    for name in ["b_one", "a%two", "c three"] {
        let spec =
            atoll::protocol::domain::TaskSpec { name: name.to_owned(), ..average("partial_average", &[2], json!({})) };
        client.create_task(&spec).await.unwrap();
    }
    client.kill_task(1).await.unwrap();
    let names = async |query: TaskQuery| -> Vec<String> {
        let query = TaskQuery { page: 1, per_page: 10, ..query };
        client.tasks(&query).await.unwrap().items.into_iter().map(|task| task.name).collect()
    };
    let all = TaskQuery::default;
    assert_eq!(names(all()).await, ["c three", "a%two", "b_one"]);
    assert_eq!(names(TaskQuery { sort: Some("name".into()), ..all() }).await, ["a%two", "b_one", "c three"]);
    assert_eq!(names(TaskQuery { sort: Some("-name".into()), ..all() }).await, ["c three", "b_one", "a%two"]);
    assert_eq!(names(TaskQuery { name: Some("%".into()), ..all() }).await, ["a%two"]);
    assert_eq!(names(TaskQuery { name: Some("_".into()), ..all() }).await, ["b_one"]);
    assert_eq!(names(TaskQuery { status: Some(Status::Killed), ..all() }).await, ["b_one"]);
    assert_eq!(names(TaskQuery { status: Some(Status::Pending), ..all() }).await.len(), 2);
    assert_eq!(names(TaskQuery { init_user_id: Some(2), ..all() }).await.len(), 0);
    assert_eq!(names(TaskQuery { collaboration_id: Some(1), only_top_level: true, ..all() }).await.len(), 3);
    let page = client.tasks(&TaskQuery { page: 2, per_page: 2, ..all() }).await.unwrap();
    assert_eq!((page.items.len(), page.total), (1, 3));
    let token = world.token("researcher").await;
    let (_, page) = world.get("task?per_page=2&page=1&name=%25", &token).await;
    assert_eq!(page["links"]["next"], "/api/task?name=%25&page=2&per_page=2");
    assert_eq!(page["links"]["last"], "/api/task?name=%25&page=2&per_page=2");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_at_its_field_and_never_a_server_error() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    let root = world.token("root").await;
    let without = |field: &str| {
        let mut body = task_body(&[2]);
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let with = |field: &str, value: Value| {
        let mut body = task_body(&[2]);
        body[field] = value;
        body
    };
    for (body, field) in [
        (without("image"), "image"),
        (without("organizations"), "organizations"),
        (without("collaboration_id"), "_schema"),
        (with("name", json!("42")), "name"),
        (with("name", json!(" ")), "name"),
        (with("name", json!("x".repeat(129))), "name"),
        (with("name", json!(7)), "name"),
        (with("image", json!("a b; rm -rf /")), "image"),
        (with("image", json!("-v")), "image"),
        (with("organizations", json!([])), "organizations"),
        (with("organizations", json!([{"id": 2, "input": "e30="}, {"id": 2, "input": "e30="}])), "organizations"),
        (with("organizations", json!([{"id": 1, "input": "e30="}])), "organizations"),
        (with("organizations", json!([{"id": 2, "input": "not base64"}])), "organizations[0].input"),
        (with("organizations", json!([{"id": 2, "input": "gASVCg=="}])), "organizations[0].input"),
        (with("databases", json!([{"label": ""}])), "databases"),
        (with("databases", json!([{"label": "x", "evil": 1}])), "databases"),
        (with("collaboration_id", json!("one")), "collaboration_id"),
        (with("store_id", json!(99)), "store_id"),
    ] {
        let (status, answer) = world.call(POST, "task", Some(&token), Some(&body)).await;
        assert_eq!(status, 400, "{field}: {answer}");
        assert!(answer["errors"][field].is_array(), "{field}: {answer}");
        assert!(answer["msg"].is_string());
    }
    for path in
        ["task?page=0", "task?per_page=x", "task?sort=password", "task?collaboration_id=x", "run?started_from=soon"]
    {
        let (status, answer) = world.get(path, &token).await;
        assert_eq!(status, 400, "{path}: {answer}");
    }
    for (path, expected) in
        [("task/abc", 404), ("task/99999999999999999999", 404), ("nowhere", 404), ("task/1/status", 404)]
    {
        let (status, answer) = world.get(path, &token).await;
        assert_eq!(status.as_u16(), expected, "{path}: {answer}");
        assert!(answer["msg"].is_string(), "{path}: {answer}");
    }
    // Not JSON, JSON of another kind, deeply nested, empty: to every endpoint that takes a body.
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for path in [
        "task",
        "user",
        "organization",
        "collaboration",
        "study",
        "node",
        "role",
        "kill/task",
        "token/user",
        "token/node",
    ] {
        for body in ["", "{", "[]", "null", "\"x\"", "{\"name\": {\"a\": 1}}", "\u{0}", nested.as_str()] {
            let response = world
                .http
                .post(format!("{}/{path}", world.url))
                .bearer_auth(&root)
                .header("content-type", "application/json")
                .body(body.to_owned())
                .send()
                .await
                .unwrap();
            let status = response.status();
            let shown: String = body.chars().take(20).collect();
            assert!(status.is_client_error(), "{path} {shown}: {status}");
            let answer: Value = response.json().await.unwrap();
            assert!(answer["msg"].is_string(), "{path} {shown}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_answers_the_same_for_unknown_wrong_and_locked() {
    let world = World::new().await;
    let attempt = async |username: &str, password: &str| {
        let start = Instant::now();
        let body = json!({"username": username, "password": password});
        let answer = world.call(POST, "token/user", None, Some(&body)).await;
        (answer, start.elapsed())
    };
    let (unknown, unknown_time) = attempt("nobody", "wrong").await;
    let (wrong, wrong_time) = attempt("viewer", "wrong").await;
    assert_eq!(unknown, wrong);
    // Neither is answered without hashing a password.
    let ratio = unknown_time.as_secs_f64() / wrong_time.as_secs_f64();
    assert!((0.2..5.0).contains(&ratio), "{unknown_time:?} {wrong_time:?}");
    for _ in 0..4 {
        attempt("viewer", "wrong").await;
    }
    let (locked, _) = attempt("viewer", support::PASSWORD).await;
    assert_eq!(locked, unknown, "the right password for a locked account");
    let (other, _) = attempt("admin3", support::PASSWORD).await;
    assert_eq!(other.0, 200, "other accounts are not locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_renewed_and_only_for_their_purpose() {
    let world = World::new().await;
    let body = json!({"username": "researcher", "password": support::PASSWORD});
    let (_, tokens) = world.call(POST, "token/user", None, Some(&body)).await;
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    assert_eq!(world.call(POST, "token/refresh", Some(refresh), None).await.0, 200);
    assert_eq!(world.call(POST, "token/refresh", Some(access), None).await.0, 401);
    assert_eq!(world.get("task", refresh).await.0, 401);
    assert_eq!(world.get("task", "abc").await.0, 401);
    // A client with a stale access token renews it by itself.
    let transport = Transport::new(&world.url.parse().unwrap()).unwrap();
    let stale = atoll::protocol::client::TokenPair::new("stale.token.x".into(), refresh.into());
    let client = HubClient::new(transport, stale);
    assert_eq!(client.organizations().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_researcher_stops_and_deletes_own_tasks_and_a_viewer_does_not() {
    let world = World::new().await;
    let researcher = world.client("researcher").await;
    let viewer = world.client("viewer").await;
    let task = researcher.create_task(&average("partial_average", &[2, 3], json!({}))).await.unwrap();
    assert!(viewer.kill_task(task.id).await.is_err());
    assert!(viewer.delete_task(task.id).await.is_err());
    researcher.kill_task(task.id).await.unwrap();
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Killed);
    assert!(researcher.kill_task(task.id).await.is_err(), "it has ended");
    researcher.delete_task(task.id).await.unwrap();
    assert!(researcher.task(task.id).await.is_err());
    let next = researcher.create_task(&average("partial_average", &[2], json!({}))).await.unwrap();
    assert!(next.id > task.id, "an id is never used again");
    assert!(researcher.runs(next.id).await.unwrap().iter().all(|run| run.task_id == Some(next.id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_report_only_their_own_runs_and_an_end_is_an_end() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    let task = client.create_task(&average("partial_average", &[2, 3], json!({}))).await.unwrap();
    let runs = client.runs(task.id).await.unwrap();
    let node = world.node_token("example_org1").await;
    let report = async |run: i64, body: Value| world.call(PATCH, &format!("run/{run}"), Some(&node), Some(&body)).await;
    assert_eq!(report(runs[1].id, json!({"status": "active"})).await.0, 401);
    assert_eq!(report(runs[0].id, json!({"status": "asleep"})).await.0, 400);
    assert_eq!(report(runs[0].id, json!({"started_at": "soon"})).await.0, 400);
    // Without microseconds, which the original cannot read
    assert_eq!(report(runs[0].id, json!({"started_at": "2026-11-22T17:00:02", "log": "first\n"})).await.0, 200);
    let (_, run) = report(runs[0].id, json!({"status": "active"})).await;
    assert_eq!(run["log"], "first\n", "a report of the status alone keeps the log");
    let end = json!({"status": "crashed", "finished_at": "2026-11-22T17:00:03.000001"});
    assert_eq!(report(runs[0].id, end.clone()).await.0, 200);
    assert_eq!(report(runs[0].id, end).await.0, 400);
    let runs = client.runs(task.id).await.unwrap();
    assert_eq!(runs[1].status, Status::Failed, "a sibling that has not started is given up");
    assert!(runs[1].log.contains("sibling run"), "{}", runs[1].log);
    assert_eq!(client.task_status(task.id).await.unwrap(), Status::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_those_who_may_hear_them() {
    let world = World::new().await;
    let url = world.url.parse().unwrap();
    let token = world.token("researcher").await;
    let mut researcher = Socket::connect(&url, &token.into()).await.unwrap();
    let mut stranger = Socket::connect(&url, &"no.token.at-all".to_owned().into()).await.unwrap();
    let node = world.start_node("example_org1").await;
    let mut heard = Vec::new();
    let client = world.client("researcher").await;
    let mut created = None;
    while !heard.iter().any(|event| matches!(event, Event::StatusChange(change) if change.status == Status::Completed))
    {
        let (name, payload) = tokio::time::timeout(Duration::from_secs(20), researcher.next()).await.unwrap().unwrap();
        heard.extend(Event::from_v4(&name, payload));
        if created.is_none() && heard.iter().any(|event| matches!(event, Event::NodeOnline(_))) {
            created = Some(
                client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap(),
            );
        }
    }
    let has = |wanted: fn(&Event) -> bool| heard.iter().any(wanted);
    assert!(has(|event| matches!(event, Event::NewTask(task) if task.parent_id.is_none())));
    assert!(has(|event| matches!(event, Event::RunChanged { .. })));
    assert!(has(|event| matches!(event, Event::Log(lines) if lines.log.contains("Started function"))));
    node.stop().await;
    eventually(async || {
        let (name, _) = researcher.next().await.unwrap();
        name == "node-offline"
    })
    .await;
    // Told that the token is of no use, and nothing else.
    let (name, _) = stranger.next().await.unwrap();
    assert_eq!(name, "invalid_token");
    assert!(tokio::time::timeout(Duration::from_millis(200), stranger.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_collaboration_takes_nothing_readable() {
    let world = World::new().await;
    let root = world.token("root").await;
    world.call(PATCH, "collaboration/1", Some(&root), Some(&json!({"encrypted": true}))).await;
    let token = world.token("researcher").await;
    let (status, answer) = world.call(POST, "task", Some(&token), Some(&task_body(&[2]))).await;
    assert_eq!(status, 400);
    assert!(
        answer["errors"]["organizations[0].input"][0].as_str().unwrap().contains("requires encryption"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_describes_the_built_in_functions() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    let stores = client.stores_of(1).await.unwrap();
    let algorithms = stores[0].algorithms().await.unwrap();
    assert_eq!(algorithms[0].image, support::AVERAGE);
    let names: Vec<&str> = algorithms[0].functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(names, ["central_average", "partial_average"]);
}
