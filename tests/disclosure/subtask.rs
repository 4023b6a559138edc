//! Attacks by whoever holds the key of the organization that aggregates.

use atoll::protocol::{
    client::HubClient,
    payload::{self, Dialect},
    status::Status,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{AVERAGE, World, average, eventually};

/// A subtask that the holder of example_org2's key makes while a central task of the researcher is open there; the
/// status and the log of its run at example_org1.
async fn subtask(policies: &str, asked: Value, function: &str, kwargs: Value, database: &str) -> (Status, String) {
    let world = World::new().await;
    let _node = world.start_node_with("example_org1", |text| text.push_str(policies)).await;
    world.wait_for_node(2, true).await;
    let researcher = world.client("researcher").await;
    let parent = researcher.create_task(&average("central_average", &[3], asked)).await.unwrap();
    let node = world.node_token("example_org2").await;
    let id = create(&world, &node, parent.id, 2, function, &kwargs, database).await;
    end(&researcher, id).await
}

/// Creates a subtask of a task that is open at the node, with its container token; the id.
async fn create(
    world: &World,
    node: &str,
    parent: i64,
    organization: i64,
    function: &str,
    kwargs: &Value,
    database: &str,
) -> i64 {
    let body = json!({"task_id": parent, "image": AVERAGE});
    let (status, answer) = world.call(Method::POST, "/token/container", Some(node), Some(&body)).await;
    assert_eq!(status, 200, "{answer}");
    let container = answer["container_token"].as_str().unwrap().to_owned();
    let input = payload::encode(&json!({"method": function, "args": [], "kwargs": kwargs}), Dialect::Json);
    let body = json!({"name": "subtask", "image": AVERAGE, "collaboration_id": 1, "description": "",
        "databases": [{"label": database}], "organizations": [{"id": organization, "input": input}]});
    let (status, answer) = world.call(Method::POST, "/task", Some(&container), Some(&body)).await;
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_i64().unwrap()
}

/// How the run of a task ends.
async fn end(researcher: &HubClient, id: i64) -> (Status, String) {
    let mut ended = (Status::Pending, String::new());
    eventually(async || {
        let run = researcher.runs(id).await.unwrap().remove(0);
        ended = (run.status.clone(), run.log);
        run.status.is_final()
    })
    .await;
    ended
}

fn ages() -> Value {
    json!({"column_name": "age"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_s_name_does_not_stand_for_whoever_aggregates() {
    for (policies, allowed) in [
        ("policies: {allowed_users: [researcher]}\n", false),
        ("policies: {allowed_users: [researcher], allowed_organizations: [example_org2]}\n", true),
        ("policies: {allowed_databases: [{database: default, users: [researcher]}]}\n", false),
        ("policies: {allowed_databases: [{database: default, users: [researcher], organizations: [3]}]}\n", true),
    ] {
        let (status, log) = subtask(policies, ages(), "partial_average", ages(), "default").await;
        let expected = if allowed { Status::Completed } else { Status::NotAllowed };
        assert_eq!(status, expected, "{policies} {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subtask_asks_what_its_parent_asks_and_nothing_else() {
    let only_elsewhere = json!({"column_name": "age", "organizations_to_include": [4]});
    for (asked, function, kwargs, database, allowed) in [
        (ages(), "partial_average", ages(), "default", true),
        // The seed document's name of the same function.
        (ages(), "average_partial", ages(), "default", true),
        (ages(), "partial_average", json!({"column_name": "weight"}), "default", false),
        (ages(), "partial_average", json!({"column_name": "Age"}), "default", false),
        (ages(), "partial_average", ages(), "my_other_database", false),
        (ages(), "central_average", ages(), "default", false),
        (only_elsewhere, "partial_average", ages(), "default", false),
    ] {
        let case = format!("{asked} {function} {kwargs} {database}");
        let (status, log) = subtask("", asked, function, kwargs, database).await;
        let expected = if allowed { Status::Completed } else { Status::NotAllowed };
        assert_eq!(status, expected, "{case}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_task_in_between_widens_what_is_asked() {
    let world = World::new().await;
    let _node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    let researcher = world.client("researcher").await;
    let parent = researcher.create_task(&average("central_average", &[3], ages())).await.unwrap();
    let node = world.node_token("example_org2").await;
    let weight = json!({"column_name": "weight"});
    // A central function of their own choice, at their own organization, and its subtask here.
    let between = create(&world, &node, parent.id, 3, "central_average", &weight, "default").await;
    let id = create(&world, &node, between, 2, "partial_average", &weight, "default").await;
    let (status, log) = end(&researcher, id).await;
    assert_eq!(status, Status::NotAllowed, "{log}");
}
