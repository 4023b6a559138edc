//! The node's audit log, while others write to its file.

use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{RunningNode, World, eventually};
use crate::{ALWAYS, Asked, ages, asked, node, reviews, waiting};

async fn state_file(world: &World) -> SqliteConnection {
    let file = world.node_folder("example_org1").join("node.sqlite");
    SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

/// What the log says of itself.
async fn alarms(state: &mut SqliteConnection) -> Vec<String> {
    let query = "SELECT details FROM audit WHERE action = 'audit.mismatch' ORDER BY id";
    sqlx::query_scalar(query).fetch_all(state).await.unwrap()
}

async fn entries_of(state: &mut SqliteConnection, action: &str) -> i64 {
    let query = sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE action = ?");
    query.bind(action).fetch_one(state).await.unwrap()
}

/// What `atoll audit verify` says of it.
fn verified(world: &World) -> (bool, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"));
    let config = atoll::demo::node_config(world.data.path(), "example_org1");
    let output = command.args(["audit", "verify", "--node"]).arg(config).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_by_command_raise_no_alarm_and_forged_ones_do() {
    let Asked { world, station, researcher, admin, review, .. } = asked(ALWAYS).await;
    let mut state = state_file(&world).await;
    // While the node runs.
    let arguments = ["approve", &review.run_id.to_string(), "--hash", &review.hash];
    let (done, answer) = reviews(&world, "example_org1", &arguments).await;
    assert!(done, "{answer}");
    eventually(async || entries_of(&mut state, "run.start").await == 1).await;
    // While it does not.
    researcher.create_task(&ages(&[2])).await.unwrap();
    let second = waiting(&admin, 1).await.remove(0);
    station.stop().await;
    let arguments = ["reject", &second.run_id.to_string(), "--hash", &second.hash, "--reason", "no"];
    let (done, answer) = reviews(&world, "example_org1", &arguments).await;
    assert!(done, "{answer}");
    let (holds, text) = verified(&world);
    assert!(holds, "{text}");
    let station = node(&world, "example_org1", ALWAYS).await;
    eventually(async || waiting(&admin, 0).await.is_empty()).await;
    station.stop().await;
    assert_eq!(alarms(&mut state).await, Vec::<String>::new());
    // Somebody without the key, while the node runs.
    let _station = node(&world, "example_org1", ALWAYS).await;
    atoll::audit::append(&mut state, &atoll::audit::Entry::done("ben (at the node)", "review.approve", "run 77"))
        .await
        .unwrap();
    eventually(async || alarms(&mut state).await.iter().any(|told| told.contains("somebody has written to the log")))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_taken_away_before_it_is_signed_is_missed() {
    let world = World::new().await;
    let _station = node(&world, "example_org1", "").await;
    let mut state = state_file(&world).await;
    let researcher = world.client("researcher").await;
    researcher.create_task(&ages(&[2])).await.unwrap();
    eventually(async || entries_of(&mut state, "run.start").await == 1).await;
    sqlx::query("DROP TRIGGER audit_keeps_entries").execute(&mut state).await.unwrap();
    sqlx::query("DELETE FROM audit WHERE action = 'run.start'").execute(&mut state).await.unwrap();
    sqlx::query("UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM audit) WHERE name = 'audit'")
        .execute(&mut state)
        .await
        .unwrap();
    eventually(async || {
        alarms(&mut state).await.iter().any(|told| told.contains("taken away") || told.contains("is missing"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_keeps_entries_away_is_taken_away_and_told() {
    let world = World::new().await;
    node(&world, "example_org1", "").await.stop().await;
    let mut state = state_file(&world).await;
    let plant = "CREATE TRIGGER audit_keeps_order BEFORE INSERT ON audit WHEN new.action NOT LIKE 'policy%'
        BEGIN SELECT RAISE(IGNORE); END";
    sqlx::query(plant).execute(&mut state).await.unwrap();
    sqlx::query("DROP TRIGGER audit_keeps_words").execute(&mut state).await.unwrap();
    let (holds, text) = verified(&world);
    assert!(!holds && text.contains("audit_keeps_order") && text.contains("audit_keeps_words"), "{text}");
    let _station = node(&world, "example_org1", "").await;
    let told = alarms(&mut state).await;
    assert!(
        told.iter().any(|told| told.contains("audit_keeps_order") && told.contains("audit_keeps_words")),
        "{told:?}"
    );
    let researcher = world.client("researcher").await;
    researcher.create_task(&ages(&[2])).await.unwrap();
    eventually(async || entries_of(&mut state, "run.start").await == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_signs_nothing_that_somebody_wrote() {
    let world = World::new().await;
    node(&world, "example_org1", "").await.stop().await;
    let mut state = state_file(&world).await;
    atoll::audit::append(&mut state, &atoll::audit::Entry::done("ben (at the node)", "review.approve", "run 77"))
        .await
        .unwrap();
    sqlx::query("ALTER TABLE station RENAME TO station_").execute(&mut state).await.unwrap();
    let config = atoll::demo::node_config(world.data.path(), "example_org1");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"))
        .args(["node", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert!(!output.status.success());
    sqlx::query("ALTER TABLE station_ RENAME TO station").execute(&mut state).await.unwrap();
    let told = alarms(&mut state).await;
    assert!(told.iter().any(|told| told.contains("somebody has written to it")), "{told:?}");
    drop(RunningNode::start(&config));
}
