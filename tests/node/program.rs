//! Two programs with the key of one node: one of them computes.

use std::path::Path;

use atoll::protocol::{domain::TaskSpec, status::Status};
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::support::{World, average, outcome, proxy::proxy};

const IMAGE: &str = "example.org/that-counts:1";

/// Configures an algorithm that takes a while and writes a line for each run.
fn that_counts(world: &World, text: &mut String) {
    let script = world.node_folder("example_org1").join("count.sh");
    let words = "decode() { printf %s \"$1\" | tr '!' = | base32 -d; }\nfolder=$(dirname \"$(decode \"$INPUT_FILE\")\")\n\
                 echo run >> $(dirname $0)/runs\nsleep 0.3\nprintf 1 > $folder/output\n";
    std::fs::write(&script, words).unwrap();
    text.push_str(&format!(
        "algorithms:\n  - image: {IMAGE}\n    command: [/bin/sh, {}]\n    description: Counts its runs\n    discloses: \
         nothing\n",
        script.display()
    ));
}

fn runs_of(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("runs")).unwrap_or_default().lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_with_one_key_compute_each_run_once_where_no_event_gets_through() {
    let world = World::new().await;
    let port = proxy(&world, |_| None).await;
    let through_proxy = |text: &mut String| {
        world.through(port, text);
        that_counts(&world, text);
    };
    let _first = world.start_node_with("example_org1", through_proxy).await;
    let _second = world.start_second_node("example_org1", |_| ()).await;
    let client = world.client("researcher").await;
    for run in 1..=3 {
        let spec = TaskSpec { image: IMAGE.to_owned(), ..average("count", &[2], json!({})) };
        let task = client.create_task(&spec).await.unwrap();
        let (status, logs, _) = outcome(&client, task.id).await;
        assert_eq!(status, Status::Completed, "{logs:?}");
        assert_eq!(runs_of(&world.node_folder("example_org1")), run, "each run is computed once");
    }
    let nodes = client.nodes_of(1).await.unwrap();
    let node = nodes.iter().find(|node| node.organization_id == Some(2)).unwrap();
    assert!(node.second_program.is_some(), "the portal says that another program came");
    // It can be a stolen key: whose it is reads of it.
    let (_, log) = world.get("audit?action=node.second", &world.token("admin1").await).await;
    assert_eq!(log["data"][0]["subject"], "node 1", "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_program_with_the_key_of_a_connected_node_is_refused_and_its_page_says_so() {
    let world = World::new().await;
    let first = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    let (status, answer) =
        world.call(Method::POST, "token/node", None, Some(&json!({"api_key": world.api_key("example_org1")}))).await;
    assert!(status == 409 && answer["msg"].as_str().unwrap().contains("Another program"), "{answer}");
    let second = world.start_second_node("example_org1", |_| ()).await;
    let client = world.client("researcher").await;
    for _ in 0..5 {
        let spec = average("partial_average", &[2], json!({"column_name": "age"}));
        let task = client.create_task(&spec).await.unwrap();
        let (status, logs, _) = outcome(&client, task.id).await;
        assert_eq!(status, Status::Completed, "{logs:?}");
    }
    let nodes = client.nodes_of(1).await.unwrap();
    let node = nodes.iter().find(|node| node.organization_id == Some(2)).unwrap();
    assert!(node.online && node.second_program.is_some());
    // When the first one says goodbye, the second one takes its place.
    first.stop().await;
    let task = client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    assert_eq!(outcome(&client, task.id).await.0, Status::Completed);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_node_that_runs_is_another_program() {
    let world = World::new().await;
    let first = world.start_node_with("example_org1", |text| that_counts(&world, text)).await;
    world.wait_for_node(2, true).await;
    let (from, to) = (world.node_folder("example_org1"), world.node_folder("example_org1").with_file_name("copy"));
    std::fs::create_dir(&to).unwrap();
    for entry in std::fs::read_dir(&from).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let copy = crate::support::RunningNode::start(&to.join("node.yaml"));
    let client = world.client("researcher").await;
    for run in 1..=3 {
        let spec = TaskSpec { image: IMAGE.to_owned(), ..average("count", &[2], json!({})) };
        let task = client.create_task(&spec).await.unwrap();
        assert_eq!(outcome(&client, task.id).await.0, Status::Completed);
        assert_eq!(runs_of(&from), run, "the first one goes on");
    }
    let nodes = client.nodes_of(1).await.unwrap();
    assert!(nodes.iter().any(|node| node.organization_id == Some(2) && node.second_program.is_some()));
    first.stop().await;
    copy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_was_ended_hard_takes_its_own_place_again_and_nobody_else_does() {
    let mut world = World::new().await;
    let node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    node.crash().await;
    world.wait_for(2, false).await;
    let sign_in = async |world: &World| {
        world.call(Method::POST, "token/node", None, Some(&json!({"api_key": world.api_key("example_org1")}))).await.0
    };
    // It may compute still, and only its connection be gone.
    assert_eq!(sign_in(&world).await, StatusCode::CONFLICT);
    let node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    // The hub does not forget it when it starts anew.
    world.restart().await;
    assert_eq!(sign_in(&world).await, StatusCode::CONFLICT);
    world.wait_for_node(2, true).await;
    let client = world.client("researcher").await;
    let task = client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    assert_eq!(outcome(&client, task.id).await.0, Status::Completed);
    // Nor that it has said goodbye.
    node.stop().await;
    world.wait_for(2, false).await;
    world.restart().await;
    assert_eq!(sign_in(&world).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_program_without_the_place_of_its_node_are_good_for_nothing() {
    let world = World::new().await;
    // As an official node has them: it has a place only while it is connected.
    let token = world.node_token("example_org1").await;
    let asks = async |path: &str| world.call(Method::GET, path, Some(&token), None).await.0;
    assert_eq!(asks("run?state=open").await, StatusCode::OK);
    let _node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    for path in ["run?state=open", "node/1", "collaboration/1"] {
        assert_eq!(asks(path).await, StatusCode::CONFLICT, "{path}");
    }
    let container = json!({"task_id": 1, "image": "any"});
    let asked = world.call(Method::POST, "token/container", Some(&token), Some(&container)).await;
    assert_eq!(asked.0, StatusCode::CONFLICT);
    let other = Uuid::new_v4().to_string();
    let body = json!({"api_key": world.api_key("example_org1")});
    let request = reqwest::Client::new().post(format!("{}/token/node", world.url)).header("x-atoll-station", other);
    assert_eq!(request.json(&body).send().await.unwrap().status(), 409, "another station");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_do_not_work_with_one_state_file() {
    let world = World::new().await;
    let _node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    let path = atoll::demo::node_config(world.data.path(), "example_org1");
    let config = atoll::node::NodeConfig::read(&path).unwrap();
    let error = atoll::node::Station::new(config).run(Default::default()).await.unwrap_err();
    assert!(error.to_string().contains("another node works with this state file"), "{error}");
}
