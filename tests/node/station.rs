//! How data stations come and go, what they compute, refuse and report.

use crate::support::{AVERAGE, World, average, eventually, outcome};
use atoll::protocol::{domain::TaskSpec, status::Status};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn however_many_central_functions_wait_their_subtasks_find_room() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    // More than a node takes of one user at once.
    let spec = average("central_average", &[2], json!({"column_name": "age", "organizations_to_include": [2]}));
    let mut tasks = Vec::new();
    for _ in 0..220 {
        tasks.push(client.create_task(&spec).await.unwrap().id);
    }
    let _node = world.start_node("example_org1").await;
    let begin = std::time::Instant::now();
    for task in tasks {
        while client.task_status(task).await.unwrap() != Status::Completed {
            assert!(begin.elapsed().as_secs() < 240, "task {task} has not ended");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let run = client.run_states(task).await.unwrap().remove(0);
        assert!(!run.log.contains("It waits at the server"), "it does not wait any more: {}", run.log);
    }
    println!("220 central functions after {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_s_analyses_give_the_seed_s_results() {
    let world = World::new().await;
    let _nodes = (
        world.start_node("example_org1").await,
        world.start_node("example_org2").await,
        world.start_node("example_org3").await,
    );
    let client = world.client("researcher").await;
    let column = json!({"column_name": "age"});
    for (function, organizations, kwargs, expected) in [
        (
            "partial_average",
            vec![2, 3],
            column.clone(),
            vec![json!({"sum": 253, "count": 4}), json!({"sum": 173, "count": 4})],
        ),
        ("average_partial", vec![2], column.clone(), vec![json!({"sum": 253, "count": 4})]),
        // Asked for by argument, by the task's own organizations, and for all of the collaboration.
        (
            "central_average",
            vec![4],
            json!({"column_name": "age", "organizations_to_include": [2, 3]}),
            vec![json!({"average": 53.25})],
        ),
        ("master", vec![2, 3], column.clone(), vec![json!({"average": 53.25}), json!({"average": 53.25})]),
        ("central_average", vec![2], column.clone(), vec![json!({"average": 58.5})]),
    ] {
        let task = client.create_task(&average(function, &organizations, kwargs)).await.unwrap();
        let (status, logs, results) = outcome(&client, task.id).await;
        assert_eq!((status, results), (Status::Completed, expected), "{function} {logs:?}");
    }
    let mut elsewhere = average("partial_average", &[2, 3], column);
    elsewhere.databases = vec!["my_other_database".to_owned()];
    let task = client.create_task(&elsewhere).await.unwrap();
    let (_, _, results) = outcome(&client, task.id).await;
    assert_eq!(results, [json!({"sum": 171, "count": 4}), json!({"sum": 151, "count": 4})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_clear_and_hold_no_values_of_the_data() {
    let world = World::new().await;
    let empty = "patient,age\nSECRET1,\nSECRET2,NA\n";
    std::fs::write(world.node_folder("example_org2").join("default.csv"), empty).unwrap();
    let _nodes = (world.start_node("example_org1").await, world.start_node("example_org2").await);
    let client = world.client("researcher").await;
    let mut no_label = average("partial_average", &[2], json!({"column_name": "age"}));
    no_label.databases = vec!["nowhere".to_owned()];
    let mut other_image = average("partial_average", &[2], json!({"column_name": "age"}));
    other_image.image = "example.org/unknown:1".to_owned();
    for (spec, status, message) in [
        (
            average("partial_average", &[2], json!({"column_name": "nothing"})),
            Status::Crashed,
            "there is no column \"nothing\"",
        ),
        (
            average("partial_average", &[2], json!({"column_name": "sex"})),
            Status::Crashed,
            "is not numeric: it holds text",
        ),
        (average("partial_average", &[2], json!({})), Status::Crashed, "the argument \"column_name\" is missing"),
        (average("no_function", &[2], json!({})), Status::Crashed, "the image has no function"),
        (
            no_label,
            Status::StartFailed,
            "this node has no database \"nowhere\"; its databases are: default, my_other_database",
        ),
        (other_image, Status::NoDockerImage, "this node has no image"),
        (
            average("central_average", &[2], json!({"column_name": "sex", "organizations_to_include": [2]})),
            Status::Crashed,
            "the subtask failed at example_org1: crashed",
        ),
    ] {
        let task = client.create_task(&spec).await.unwrap();
        let (got, logs, results) = outcome(&client, task.id).await;
        assert_eq!(got, status, "{message}: {logs:?}");
        assert!(logs[0].contains(message), "{logs:?}");
        assert!(results.is_empty());
        for value in ["female", "SECRET", "P101"] {
            assert!(!logs[0].contains(value), "{logs:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_online_truthfully_and_shares_its_databases() {
    let world = World::new().await;
    let node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    let client = world.client("viewer").await;
    let nodes = client.nodes_of(1).await.unwrap();
    let online = nodes.iter().find(|node| node.organization_id == Some(2)).unwrap();
    let database = online.database("default").unwrap();
    assert_eq!(database.kind, "csv");
    assert_eq!(database.columns.as_deref().unwrap(), ["patient", "age", "sex", "weight", "height"]);
    assert!(online.database("my_other_database").is_some());
    node.stop().await;
    world.wait_for_node(2, false).await;
    let nodes = client.nodes_of(1).await.unwrap();
    assert!(nodes.iter().all(|node| node.databases.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_its_node_and_is_not_run_twice() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    let task = client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    assert_eq!(client.task_status(task.id).await.unwrap(), Status::Pending);
    let node = world.start_node("example_org1").await;
    let (status, ..) = outcome(&client, task.id).await;
    assert_eq!(status, Status::Completed);
    let finished = client.runs(task.id).await.unwrap()[0].finished_at;
    node.stop().await;
    let _node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    let second = client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    outcome(&client, second.id).await;
    assert_eq!(client.runs(task.id).await.unwrap()[0].finished_at, finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_central_run_goes_on_with_its_subtask_after_a_restart() {
    let world = World::new().await;
    let node = world.start_node("example_org1").await;
    let client = world.client("researcher").await;
    let spec = average("central_average", &[2], json!({"column_name": "age", "organizations_to_include": [2, 3]}));
    let task = client.create_task(&spec).await.unwrap();
    // Organization 3 is off: the subtask waits.
    eventually(async || !client.subtasks(task.id).await.unwrap().is_empty()).await;
    node.stop().await;
    let _nodes = (world.start_node("example_org1").await, world.start_node("example_org2").await);
    let (status, logs, results) = outcome(&client, task.id).await;
    assert_eq!((status, results), (Status::Completed, vec![json!({"average": 53.25})]), "{logs:?}");
    assert_eq!(client.subtasks(task.id).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_the_node_runs_is_told_anew() {
    let world = World::new().await;
    let _node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    let client = world.client("researcher").await;
    let columns = async || {
        let nodes = client.nodes_of(1).await.unwrap();
        let node = nodes.into_iter().find(|node| node.organization_id == Some(2)).unwrap();
        node.database("default").and_then(|database| database.columns.clone()).unwrap_or_default()
    };
    assert!(columns().await.contains(&"age".to_owned()));
    // As an export of the night does it: whole, and with other columns.
    let file = world.node_folder("example_org1").join("default.csv");
    std::fs::write(file.with_extension("new"), "pulse,waist\n60,80\n70,90\n").unwrap();
    std::fs::rename(file.with_extension("new"), &file).unwrap();
    eventually(async || columns().await == ["pulse", "waist"]).await;
    // And while it is not there nothing is told of it.
    std::fs::remove_file(&file).unwrap();
    eventually(async || columns().await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_stops_the_run_and_its_subtask() {
    let world = World::new().await;
    let _node = world.start_node("example_org1").await;
    let client = world.client("researcher").await;
    let spec = average("central_average", &[2], json!({"column_name": "age", "organizations_to_include": [2, 3]}));
    let task = client.create_task(&spec).await.unwrap();
    eventually(async || !client.subtasks(task.id).await.unwrap().is_empty()).await;
    client.kill_task(task.id).await.unwrap();
    let (status, ..) = outcome(&client, task.id).await;
    assert_eq!(status, Status::Killed);
    let subtask = &client.subtasks(task.id).await.unwrap()[0];
    // The part of organization 2 may have returned before; the waiting one is stopped.
    let runs = client.runs(subtask.id).await.unwrap();
    assert!(runs.iter().any(|run| run.organization_id == Some(3) && run.status == Status::Killed), "{runs:?}");
    // The node is free for others.
    let next = client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    assert_eq!(outcome(&client, next.id).await.0, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_of_all_tasks_of_a_node_ends_its_runs_and_no_others() {
    let world = World::new().await;
    let _node = world.start_node("example_org1").await;
    let client = world.client("researcher").await;
    // Both wait for organization 3, which is off.
    let spec = average("central_average", &[2], json!({"column_name": "age", "organizations_to_include": [4]}));
    let tasks = [client.create_task(&spec).await.unwrap(), client.create_task(&spec).await.unwrap()];
    for task in &tasks {
        eventually(async || client.runs(task.id).await.unwrap()[0].log.contains("Created subtask")).await;
    }
    let root = world.token("root").await;
    let node = client.nodes().await.unwrap().into_iter().find(|node| node.organization_id == Some(2)).unwrap();
    let (status, answer) =
        world.call(Method::POST, "kill/node/tasks", Some(&root), Some(&json!({"id": node.id}))).await;
    assert_eq!(status, 200, "{answer}");
    for task in &tasks {
        let (status, logs, _) = outcome(&client, task.id).await;
        assert_eq!(status, Status::Killed);
        assert!(logs[0].contains("Created subtask") && logs[0].ends_with("Stopped by a user\n"), "{logs:?}");
        // What it was waiting for is not its own to end.
        let subtask = &client.subtasks(task.id).await.unwrap()[0];
        assert_eq!(subtask.status, Status::Pending);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_refuses_with_a_reason() {
    let world = World::new().await;
    // Not shared, so that the hub lets it through and the node decides.
    let policy = "share_config: false\npolicies:\n  allowed_users: [999]\n";
    let _node = world.start_node_with("example_org1", |text| text.push_str(policy)).await;
    let client = world.client("researcher").await;
    let task = client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    let (status, logs, _) = outcome(&client, task.id).await;
    assert_eq!(status, Status::NotAllowed);
    assert!(logs[0].contains("neither the user nor the organization"), "{logs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_an_encrypted_collaboration_stays_off() {
    let world = World::new().await;
    let root = world.token("root").await;
    let body = json!({"encrypted": true});
    let (status, answer) = world.call(reqwest::Method::PATCH, "collaboration/1", Some(&root), Some(&body)).await;
    assert_eq!(status, 200, "{answer}");
    let node = world.start_node("example_org1").await;
    // Signed in, but never online: the node would connect within this many looks.
    let client = world.client("root").await;
    for _ in 0..20 {
        let nodes = client.nodes().await.unwrap();
        assert!(nodes.iter().all(|node| !node.online));
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_arrive_while_a_run_goes_on() {
    let world = World::new().await;
    let _node = world.start_node("example_org1").await;
    let client = world.client("researcher").await;
    let spec = average("central_average", &[2], json!({"column_name": "age", "organizations_to_include": [2, 3]}));
    let task = client.create_task(&spec).await.unwrap();
    // The run cannot end, since organization 3 is off; its log is there all the same.
    eventually(async || client.runs(task.id).await.unwrap()[0].log.contains("Created subtask")).await;
    assert_eq!(client.task_status(task.id).await.unwrap(), Status::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_given_in_the_dialect_of_the_input() {
    let world = World::new().await;
    let _node = world.start_node("example_org1").await;
    let token = world.token("researcher").await;
    use atoll::protocol::payload::{Dialect, decode, encode};
    let input = encode(
        &json!({"master": false, "method": "average_partial", "kwargs": {"column_name": "age"}}),
        Dialect::Json3x,
    );
    let body = json!({"name": "3.x", "description": "", "image": AVERAGE, "collaboration_id": 1,
        "databases": [{"label": "default"}], "organizations": [{"id": 2, "input": input}]});
    let (_, task) = world.call(reqwest::Method::POST, "task", Some(&token), Some(&body)).await;
    let mut payload = Value::Null;
    eventually(async || {
        // As a 3.x client asks.
        let (_, results) = world.get(&format!("result?task_id={}&include=metadata", task["id"]), &token).await;
        payload = results["data"][0]["result"].clone();
        !payload.is_null()
    })
    .await;
    assert_eq!(decode(payload.as_str().unwrap()), Ok((json!({"sum": 253, "count": 4}), Dialect::Json3x)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_goes_with_the_subtask_and_says_who_takes_part() {
    let world = World::new().await;
    let _nodes = [
        world.start_node("example_org1").await,
        world.start_node("example_org2").await,
        world.start_node("example_org3").await,
    ];
    let root = world.token("root").await;
    let study = json!({"name": "two of three", "collaboration_id": 1, "organization_ids": [2, 3]});
    let (status, study) = world.call(Method::POST, "study", Some(&root), Some(&study)).await;
    assert_eq!(status, 201, "{study}");
    for organization in [2, 3, 4] {
        world.wait_for_node(organization, true).await;
    }
    let client = world.client("researcher").await;
    let spec =
        TaskSpec { study_id: study["id"].as_i64(), ..average("central_average", &[2], json!({"column_name": "age"})) };
    let task = client.create_task(&spec).await.unwrap();
    let (_, logs, values) = outcome(&client, task.id).await;
    assert_eq!(values, [json!({"average": 53.25})], "{logs:?}");
    let subtasks = client.subtasks(task.id).await.unwrap();
    assert_eq!(subtasks[0].study_id, study["id"].as_i64());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_could_review_is_refused_unread_and_keeps_nobody_waiting() {
    let world = World::new().await;
    let _node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    let client = world.client("researcher").await;
    let large = json!({"column_name": "x".repeat(5_000_000)});
    let task = client.create_task(&average("partial_average", &[2], large)).await.unwrap();
    let (status, logs, _) = outcome(&client, task.id).await;
    assert_eq!(status, Status::StartFailed);
    assert!(logs[0].contains("longer than 200 kB"), "{logs:?}");
}
