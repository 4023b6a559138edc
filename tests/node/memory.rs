//! What takes a node down does so twice at most, and no run takes more memory than there is for it.

use std::{
    fs::File,
    io::{BufWriter, Write},
};

use atoll::protocol::{domain::TaskSpec, status::Status};
use serde_json::json;

use crate::support::{RunningNode, World, average, eventually, outcome};

const IMAGE: &str = "example.org/that-lasts:1";

/// The node of the first organization with an algorithm that notes each start and does not end.
async fn node_that_lasts(world: &World) -> RunningNode {
    let script = world.node_folder("example_org1").join("last.sh");
    std::fs::write(&script, "echo run >> $(dirname $0)/runs\nexec sleep 600\n").unwrap();
    let path = script.display().to_string();
    let algorithm = format!(
        "algorithms:\n  - image: {IMAGE}\n    command: [/bin/sh, {path}]\n    description: Lasts\n    discloses: nothing\n"
    );
    let add = |text: &mut String| {
        if !text.contains(IMAGE) {
            text.push_str(&algorithm);
        }
    };
    world.start_node_with("example_org1", add).await
}

async fn wait_for_starts(world: &World, starts: usize) {
    let path = world.node_folder("example_org1").join("runs");
    eventually(async || std::fs::read_to_string(&path).unwrap_or_default().lines().count() == starts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_during_which_the_node_died_twice_is_not_tried_again() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    let mut task = None;
    for start in 1..=2 {
        let node = node_that_lasts(&world).await;
        if task.is_none() {
            let spec = TaskSpec { image: IMAGE.to_owned(), ..average("last", &[2], json!({})) };
            task = Some(client.create_task(&spec).await.unwrap());
        }
        wait_for_starts(&world, start).await;
        node.crash().await;
    }
    let node = node_that_lasts(&world).await;
    let (status, logs, _) = outcome(&client, task.unwrap().id).await;
    assert_eq!(status, Status::Crashed);
    assert!(logs.join("\n").contains("stopped working twice"), "{logs:?}");
    wait_for_starts(&world, 2).await;
    // Others go on.
    let task = client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    assert_eq!(outcome(&client, task.id).await.0, Status::Completed);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_told_to_stop_tries_again_however_often() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    let mut task = None;
    for start in 1..=4 {
        let node = node_that_lasts(&world).await;
        if task.is_none() {
            let spec = TaskSpec { image: IMAGE.to_owned(), ..average("last", &[2], json!({})) };
            task = Some(client.create_task(&spec).await.unwrap());
        }
        wait_for_starts(&world, start).await;
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_needs_more_memory_than_there_is_fails_and_one_that_needs_it_alone_waits_for_it() {
    let world = World::new().await;
    let file = world.node_folder("example_org1").join("default.csv");
    let write = |people: u32| {
        let mut writer = BufWriter::new(File::create(&file).unwrap());
        writeln!(writer, "patient,age,weight,height").unwrap();
        for person in 0..people {
            writeln!(writer, "P{person},{},{},{}", person % 90, person % 60 + 50, person % 40 + 150).unwrap();
        }
        writer.into_inner().unwrap().sync_all().unwrap();
    };
    // Each of these takes about 17 MB for as many people, ...
    write(150_000);
    let _node = world
        .start_node_with("example_org1", |text| {
            *text = text.replace("uri: default.csv", "uri: default.csv\n    person: patient");
            text.push_str("memory: 24MB\n");
        })
        .await;
    world.wait_for_node(2, true).await;
    let client = world.client("researcher").await;
    let ask = async |column: &str| {
        let spec = average("partial_average", &[2], json!({"column_name": column}));
        client.create_task(&spec).await.unwrap().id
    };
    let tasks = [ask("age").await, ask("weight").await, ask("height").await];
    for task in tasks {
        let (status, logs, _) = outcome(&client, task).await;
        assert_eq!(status, Status::Completed, "{logs:?}");
    }
    // ... and this one more than 24 MB.
    write(800_000);
    let (status, logs, _) = outcome(&client, ask("patient_age").await).await;
    assert!(status == Status::Crashed && logs.join("\n").contains("no column"), "{logs:?}");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replacen("height", "waist", 1)).unwrap();
    let (status, logs, _) = outcome(&client, ask("waist").await).await;
    assert!(status == Status::Crashed && logs.join("\n").contains("more memory than this node has"), "{logs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_waited_for_a_processor_when_the_node_died_are_not_blamed() {
    let world = World::new().await;
    let file = world.node_folder("example_org1").join("default.csv");
    let mut writer = BufWriter::new(File::create(&file).unwrap());
    writeln!(writer, "age,weight").unwrap();
    for row in 0..2_000_000_u32 {
        writeln!(writer, "{},{}", row % 90, row % 60).unwrap();
    }
    writer.into_inner().unwrap().sync_all().unwrap();
    let client = world.client("researcher").await;
    let mut tasks = Vec::new();
    for death in 0..2 {
        let node = world.start_node("example_org1").await;
        if death == 0 {
            for _ in 0..10 {
                let spec = average("partial_average", &[2], json!({"column_name": "age"}));
                tasks.push(client.create_task(&spec).await.unwrap().id);
            }
        }
        // Some compute, and the others wait.
        eventually(async || {
            let mut active = 0;
            for task in &tasks {
                active += usize::from(client.runs(*task).await.unwrap()[0].status == Status::Active);
            }
            active > 5
        })
        .await;
        node.crash().await;
    }
    let _node = world.start_node("example_org1").await;
    let mut crashed = 0;
    for task in tasks {
        let (status, logs, _) = outcome(&client, task).await;
        assert!(matches!(status, Status::Completed | Status::Crashed), "{logs:?}");
        crashed += usize::from(status == Status::Crashed);
    }
    assert!(crashed <= 1, "{crashed}");
}
