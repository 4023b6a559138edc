//! What a node keeps of the hub's log.

use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use crate::support::{World, eventually, proxy::proxy};

/// All is well, it says, and names an end before the one of before.
const LIE: &str =
    r#"{"head": "1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "known": null, "holds": true}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_says_of_itself_that_all_is_well_takes_no_evidence_away() {
    let world = World::new().await;
    let file = world.node_folder("example_org1").join("node.sqlite");
    let ends = async || -> Vec<String> {
        let Ok(mut connection) = SqliteConnectOptions::new().filename(&file).connect().await else { return Vec::new() };
        let ends = sqlx::query_scalar("SELECT hash FROM audit_head WHERE origin = 'hub' ORDER BY at, rowid");
        ends.fetch_all(&mut connection).await.unwrap_or_default()
    };
    let node = world.start_node("example_org1").await;
    eventually(async || ends().await.len() == 1).await;
    let before = ends().await.remove(0);
    node.stop().await;
    let port = proxy(&world, |path| (path == "/api/audit/head").then_some(LIE)).await;
    let _node = world.start_node_with("example_org1", |text| world.through(port, text)).await;
    let mut connection = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    eventually(async || {
        let told: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM audit WHERE action = 'audit.mismatch' AND details LIKE '%ended with%before, now with 1:a%'",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        told == 1
    })
    .await;
    assert!(ends().await.contains(&before));
}
