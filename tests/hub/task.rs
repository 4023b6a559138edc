//! Tasks and runs.

use atoll::protocol::status::Status;
use serde_json::{Value, json};

use crate::{
    PATCH, POST,
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
