//! Reviews and releases: what waits at a node, who decides, and that nothing starts or leaves without.

mod approval;
mod audit_log;
mod decision;
mod node_command;
mod node_page;
mod notice;
mod policy;
mod release;
#[path = "../support/mod.rs"]
mod support;
mod way_around;

use atoll::protocol::client::{HubClient, NewDecision, ReviewQuery};
use atoll::protocol::review::{Approval, Review, ReviewState, Verdict};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use support::{RunningNode, World, average, eventually};

const ALWAYS: &str = "policies:\n  review: always\n";

async fn node(world: &World, organization: &str, policies: &str) -> RunningNode {
    let node = world
        .start_node_with(organization, |text| {
            if !text.contains(policies) {
                text.push_str(policies);
            }
        })
        .await;
    let id = 1 + organization.trim_start_matches("example_org").parse::<i64>().unwrap();
    world.wait_for_node(id, true).await;
    node
}

/// The reviews that wait, once there are as many.
async fn waiting(admin: &HubClient, count: usize) -> Vec<Review> {
    let query = ReviewQuery { state: Some(ReviewState::Waiting), per_page: 100, ..Default::default() };
    let mut found = Vec::new();
    eventually(async || {
        found = admin.reviews(&query).await.unwrap().items;
        found.len() == count
    })
    .await;
    let mut reviews = Vec::new();
    for listed in found {
        reviews.push(admin.review(listed.review.id).await.unwrap());
    }
    reviews
}

fn decision(review: &Review, verdict: Verdict, reason: &str) -> NewDecision {
    NewDecision { verdict, hash: review.hash.clone(), reason: reason.to_owned(), approval: None }
}

fn once(review: &Review) -> NewDecision {
    let approval = Some(Approval { this_run_only: true, ..Default::default() });
    NewDecision { approval, ..decision(review, Verdict::Approve, "") }
}

fn ages(organizations: &[i64]) -> atoll::protocol::domain::TaskSpec {
    average("partial_average", organizations, json!({"column_name": "age"}))
}

/// Changes something behind the hub's back.
async fn in_hub_database(world: &World, statement: &str) {
    let options = SqliteConnectOptions::new().filename(world.data.path().join("hub.sqlite"));
    let mut database = options.connect().await.unwrap();
    let done = sqlx::query(statement).execute(&mut database).await.unwrap();
    assert!(done.rows_affected() > 0 || statement.contains("TRIGGER"));
    database.close().await.unwrap();
}

/// The hub calls all runs open again.
async fn open_again(world: &World) {
    for again in ["DELETE FROM run_result", "UPDATE run SET finished_at = NULL, started_at = NULL, status = 'pending'"]
    {
        in_hub_database(world, again).await;
    }
}

/// Another person comes into the data of the first organization.
fn admit(world: &World) {
    let file = world.node_folder("example_org1").join("default.csv");
    let mut table = std::fs::read_to_string(&file).unwrap();
    let last = table.lines().last().unwrap().to_owned();
    let (_, rest) = last.split_once(',').unwrap();
    table.push_str(&format!("newcomer,{rest}\n"));
    std::fs::write(file, table).unwrap();
}

/// Changes something in the file of an organization's node.
async fn in_node_database(world: &World, organization: &str, statement: &str) {
    let file = atoll::demo::node_config(world.data.path(), organization).with_extension("sqlite");
    let mut database = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    assert!(sqlx::query(statement).execute(&mut database).await.unwrap().rows_affected() > 0);
    database.close().await.unwrap();
}

/// `atoll node reviews …` of an organization's node.
async fn reviews(world: &World, organization: &str, arguments: &[&str]) -> (bool, String) {
    let config = atoll::demo::node_config(world.data.path(), organization);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"));
    command.args(["node", "reviews"]).args(arguments).arg("--config").arg(config).env("USER", "dana");
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// What most tests begin with: at a node with these policies something waits for the admin that the researcher asked for.
struct Asked {
    world: World,
    station: RunningNode,
    researcher: HubClient,
    admin: HubClient,
    task: atoll::protocol::domain::Task,
    review: Review,
}

async fn asked(policies: &str) -> Asked {
    let world = World::new().await;
    let station = node(&world, "example_org1", policies).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    Asked { world, station, researcher, admin, task, review }
}
