//! Tasks and runs.

use std::time::Duration;

use atoll::protocol::{client::LARGEST_ANSWER, event::Event, socket::Socket, status::Status};
use serde_json::{Value, json};

use crate::{
    DELETE, PATCH, POST,
    support::{AVERAGE, World, average},
    task_body,
};

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
    assert_eq!(report(runs[0].id, json!({"result": "e30="})).await.0, 400, "a result without an end");
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
    // A node may say how it has ended before it says when: each organization reads of its own.
    let task = client.create_task(&average("partial_average", &[2, 3], json!({}))).await.unwrap();
    let runs = client.runs(task.id).await.unwrap();
    let container = async || {
        let body = json!({"task_id": task.id, "image": task.image});
        world.call(POST, "token/container", Some(&node), Some(&body)).await
    };
    let (_, algorithm) = container().await;
    let algorithm = algorithm["container_token"].as_str().unwrap().to_owned();
    assert_eq!(world.get("organization", &algorithm).await.0, 200);
    let (status, run) = report(runs[0].id, json!({"status": "failed"})).await;
    // Its algorithm has nothing more to do.
    assert_eq!(world.get("organization", &algorithm).await.0, 401);
    assert_eq!(container().await.0, 400);
    assert_eq!(status, 200, "{run}");
    assert_eq!(report(runs[0].id, json!({"status": "active"})).await.0, 400, "it does not go back");
    for (username, run) in [("admin1", &runs[0]), ("admin2", &runs[1])] {
        let (_, log) = world.get("audit?action=run.end", &world.token(username).await).await;
        assert_eq!(log["data"][0]["subject"], format!("run {}", run.id), "{log}");
    }
    let end = json!({"finished_at": "2026-11-22T17:00:03.000001", "log": "why"});
    assert_eq!(report(runs[0].id, end).await.0, 200);
}

#[tokio::test]
async fn what_is_large_is_left_out_or_refused_where_it_is_of_no_use() {
    let world = World::new().await;
    let (token, node) = (world.token("researcher").await, world.node_token("example_org1").await);
    let (_, task) = world.call(POST, "task", Some(&token), Some(&task_body(&[2]))).await;
    let list = format!("run?task_id={}", task["id"]);
    let (_, whole) = world.get(&list, &token).await;
    let (_, short) = world.get(&format!("{list}&without=input"), &token).await;
    let (id, input) = (whole["data"][0]["id"].as_i64().unwrap(), &whole["data"][0]["input"]);
    assert!(input.is_string() && short["data"][0]["input"].is_null() && short["data"][0]["id"] == id, "{short}");
    for (path, answered) in [(format!("run/{id}"), input), (format!("run/{id}?without=input"), &Value::Null)] {
        let report = json!({"started_at": "2026-11-01T10:00:00"});
        let (status, answer) = world.call(PATCH, &path, Some(&node), Some(&report)).await;
        assert_eq!((status.as_u16(), &answer["input"]), (200, answered));
    }
    let end = json!({"status": "completed", "finished_at": "2026-11-01T11:00:00", "result": "x".repeat(5_000)});
    assert_eq!(world.call(PATCH, &format!("run/{id}"), Some(&node), Some(&end)).await.0, 200);
    for path in [format!("result?task_id={}", task["id"]), format!("result/{id}")] {
        for (largest, expected) in [("4999", 413), ("5000", 200), ("nonsense", 200)] {
            let request = world.http.get(format!("{}/{path}", world.url)).bearer_auth(&token);
            let answer = request.header(LARGEST_ANSWER, largest).send().await.unwrap();
            assert_eq!(answer.status(), expected, "{path} {largest}");
        }
    }
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
    assert_eq!(algorithms[0].image, AVERAGE);
    let names: Vec<&str> = algorithms[0].functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(names, ["central_average", "partial_average"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_anybody_can_read_is_refused_once_a_collaboration_is_encrypted() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    let task = client.create_task(&average("partial_average", &[2], json!({}))).await.unwrap();
    let run = client.runs(task.id).await.unwrap()[0].id;
    let (root, node) = (world.token("root").await, world.node_token("example_org1").await);
    world.call(PATCH, "collaboration/1", Some(&root), Some(&json!({"encrypted": true}))).await;
    let report = json!({"status": "completed", "finished_at": "2026-11-22T17:00:03", "result": "eyJzdW0iOiAxfQ=="});
    let (status, answer) = world.call(PATCH, &format!("run/{run}"), Some(&node), Some(&report)).await;
    assert_eq!(status, 400, "{answer}");
    assert!(client.results(task.id).await.unwrap()[0].value.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_user_with_their_tasks_stops_what_runs_of_them() {
    let world = World::new().await;
    let root = world.token("root").await;
    let node = world.node_token("example_org1").await;
    let mut socket = Socket::connect(&world.url.parse().unwrap(), &node.into()).await.unwrap();
    world.wait_for(2, true).await;
    let client = world.client("researcher").await;
    let task = client.create_task(&average("partial_average", &[2], json!({}))).await.unwrap();
    let path = format!("user/{}?delete_dependents=true", task.init_user_id.unwrap());
    let (status, answer) = world.call(DELETE, &path, Some(&root), None).await;
    assert_eq!(status, 200, "{answer}");
    let killed = async {
        loop {
            let (name, payload) = socket.next().await.unwrap();
            if let Some(Event::Kill(kill)) = Event::from_v4(&name, payload) {
                return kill.kill_list.unwrap();
            }
        }
    };
    let killed = tokio::time::timeout(Duration::from_secs(20), killed).await.unwrap();
    assert_eq!(killed[0].task_id, task.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_filtered_by_status_and_history_stays_when_an_organization_goes() {
    let world = World::new().await;
    let (token, root) = (world.token("researcher").await, world.token("root").await);
    let node = world.node_token("example_org2").await;
    let mut ids = Vec::new();
    for status in ["completed", "crashed"] {
        let (_, task) = world.call(POST, "task", Some(&token), Some(&task_body(&[3]))).await;
        let id = task["id"].as_i64().unwrap();
        let (_, runs) = world.get(&format!("run?task_id={id}"), &node).await;
        let run = runs["data"][0]["id"].as_i64().unwrap();
        let report =
            json!({"status": status, "started_at": "2026-11-01T10:00:00", "finished_at": "2026-11-01T11:00:00"});
        assert_eq!(world.call(PATCH, &format!("run/{run}"), Some(&node), Some(&report)).await.0, 200);
        ids.push(id);
    }
    let (_, open) = world.call(POST, "task", Some(&token), Some(&task_body(&[2, 3]))).await;
    for (status, count) in [("pending", 2), ("completed", 1), ("crashed", 1), ("active", 0)] {
        let (_, runs) = world.get(&format!("run?status={status}"), &token).await;
        assert_eq!(runs["data"].as_array().unwrap().len(), count, "{status}");
    }
    let task = async |id: i64| world.get(&format!("task/{id}"), &token).await.1;
    let before = (task(ids[0]).await, task(ids[1]).await);
    assert_eq!(world.call(DELETE, "organization/3?delete_dependents=true", Some(&root), None).await.0, 200);
    for (before, id) in [(&before.0, ids[0]), (&before.1, ids[1])] {
        let after = task(id).await;
        for key in ["status", "finished_at"] {
            assert_eq!(after[key], before[key], "{key} of task {id}");
        }
    }
    assert_eq!(task(open["id"].as_i64().unwrap()).await["status"], "pending", "the others go on");
}
