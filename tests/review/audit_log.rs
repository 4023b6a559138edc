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
    eventually(async || alarms(&mut state).await.iter().any(|told| told.contains("somebody has written entry"))).await;
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
    let _station = RunningNode::start(&config);
    eventually(async || alarms(&mut state).await.iter().any(|told| told.contains("somebody has written entry"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_the_connection_of_a_program_hides_nothing() {
    let world = World::new().await;
    let _station = node(&world, "example_org1", "").await;
    let hub_file = world.data.path().join("hub.sqlite");
    let mut of_hub = SqliteConnectOptions::new().filename(hub_file).connect().await.unwrap();
    let mut of_node = state_file(&world).await;
    let root = world.token("root").await;
    let change = async |role: i64| {
        let body = serde_json::json!({"roles": [role]});
        world.call(reqwest::Method::PATCH, "user/5", Some(&root), Some(&body)).await.0
    };
    assert_eq!(change(1).await, 200);
    // A rollback that the library does not know of: the connection is thrown away.
    let ends = "CREATE TRIGGER z BEFORE INSERT ON audit BEGIN SELECT RAISE(ROLLBACK, 'x'); END";
    sqlx::query(ends).execute(&mut of_hub).await.unwrap();
    assert_eq!(change(2).await, 500);
    take_last_away(&mut of_hub, "z", "user.edit").await;
    eventually(async || !alarms(&mut of_hub).await.is_empty()).await;
    let (_, problems) = world.get("problem", &root).await;
    assert!(problems.to_string().contains("audit log may"), "{problems}");
    // The same at the node, where an entry is added.
    let researcher = world.client("researcher").await;
    sqlx::query(ends).execute(&mut of_node).await.unwrap();
    researcher.create_task(&ages(&[2])).await.unwrap();
    world.wait_for_node(2, true).await;
    sqlx::query("DROP TRIGGER z").execute(&mut of_node).await.unwrap();
    let entry = atoll::audit::Entry::done("ben (at the node)", "review.approve", "run 77");
    atoll::audit::append(&mut of_node, &entry).await.unwrap();
    eventually(async || !alarms(&mut of_node).await.is_empty()).await;
}

/// Takes the last entry away as if it had never been, if it is of this action.
async fn take_last_away(file: &mut SqliteConnection, trigger: &str, action: &str) {
    let keeps: String = sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE name = 'audit_keeps_entries'")
        .fetch_one(&mut *file)
        .await
        .unwrap();
    for statement in [
        "BEGIN IMMEDIATE",
        &format!("DROP TRIGGER {trigger}"),
        "DROP TRIGGER audit_keeps_entries",
        &format!("DELETE FROM audit WHERE id = (SELECT max(id) FROM audit) AND action = '{action}'"),
        "UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM audit) WHERE name = 'audit'",
        &keeps,
        "COMMIT",
    ] {
        sqlx::query(statement).execute(&mut *file).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_signs_no_older_log_and_says_each_time_what_is_wrong() {
    let Asked { world, station, review, .. } = asked(ALWAYS).await;
    let folder = world.node_folder("example_org1");
    station.stop().await;
    let copy = folder.join("older.sqlite");
    sqlx::query(&format!("VACUUM INTO '{}'", copy.display())).execute(&mut state_file(&world).await).await.unwrap();
    let older = std::fs::read(copy).unwrap();
    let arguments = ["approve", &review.run_id.to_string(), "--hash", &review.hash];
    assert!(reviews(&world, "example_org1", &arguments).await.0);
    let head = std::fs::read_to_string(folder.join("node.audit-head")).unwrap();
    let bring_back = || {
        for end in ["sqlite-wal", "sqlite-shm"] {
            let _ = std::fs::remove_file(folder.join(format!("node.{end}")));
        }
        std::fs::write(folder.join("node.sqlite"), &older).unwrap();
    };
    bring_back();
    assert!(!verified(&world).0);
    let arguments = ["reject", &review.run_id.to_string(), "--hash", &review.hash, "--reason", "no"];
    let (done, answer) = reviews(&world, "example_org1", &arguments).await;
    assert!(done, "{answer}");
    let (holds, text) = verified(&world);
    assert!(!holds, "{text}");
    assert_eq!(std::fs::read_to_string(folder.join("node.audit-head")).unwrap(), head, "it knows better");
    // What was said once is said again.
    for times in 1..=2 {
        std::fs::remove_file(folder.join("node.audit-head")).unwrap();
        node(&world, "example_org1", ALWAYS).await.stop().await;
        let told = alarms(&mut state_file(&world).await).await;
        assert_eq!(told.iter().filter(|told| told.contains("was not there")).count(), times, "{told:?}");
    }
    // After an end by force, too.
    let station = node(&world, "example_org1", ALWAYS).await;
    station.crash().await;
    bring_back();
    let _station = node(&world, "example_org1", ALWAYS).await;
    let told = alarms(&mut state_file(&world).await).await;
    assert!(!told.is_empty(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_signs_its_own_entry_only_whatever_stands_before_it() {
    // Behind a node that was ended by force before it signed its last entry: that it was is all that is told.
    let Asked { world, station, researcher, admin, review, .. } = asked(ALWAYS).await;
    let mut state = state_file(&world).await;
    station.crash().await;
    let last = atoll::audit::Entry::done("node", "run.start", "run 77");
    atoll::audit::append(&mut state, &last).await.unwrap();
    let arguments = ["reject", &review.run_id.to_string(), "--hash", &review.hash, "--reason", "no"];
    let (done, answer) = reviews(&world, "example_org1", &arguments).await;
    assert!(done, "{answer}");
    // Long after the end, as it would be for an admin who comes the next day.
    let (holds, text) = verified(&world);
    assert!(holds, "{text}");
    let station = node(&world, "example_org1", ALWAYS).await;
    eventually(async || waiting(&admin, 0).await.is_empty()).await;
    assert_eq!(alarms(&mut state).await, Vec::<String>::new());
    assert_eq!(entries_of(&mut state, "audit.unclosed").await, 1);

    // While the node writes one entry after the other.
    for _ in 0..10 {
        researcher.create_task(&ages(&[2])).await.unwrap();
    }
    for review in waiting(&admin, 10).await.into_iter().take(3) {
        for _ in 0..5 {
            researcher.create_task(&ages(&[2])).await.unwrap();
        }
        let arguments = ["reject", &review.run_id.to_string(), "--hash", &review.hash, "--reason", "no"];
        let (done, answer) = reviews(&world, "example_org1", &arguments).await;
        assert!(done, "{answer}");
    }
    let unwritten = world.node_folder("example_org1").join("node.sqlite-wal");
    assert!(unwritten.exists(), "a command threw away what the node has not brought into its file yet");
    waiting(&admin, 22).await;
    assert_eq!(alarms(&mut state).await, Vec::<String>::new());

    // Nor does its signature stand for what was taken away just before.
    station.stop().await;
    let (holds, text) = verified(&world);
    assert!(holds, "{text}");
    let review = waiting(&admin, 22).await.remove(0);
    let keeps: String = sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE name = 'audit_keeps_entries'")
        .fetch_one(&mut state)
        .await
        .unwrap();
    let statements = [
        "DROP TRIGGER audit_keeps_entries",
        "DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)",
        "UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'audit'",
        &keeps,
    ];
    for statement in statements {
        sqlx::query(statement).execute(&mut state).await.unwrap();
    }
    let arguments = ["reject", &review.run_id.to_string(), "--hash", &review.hash, "--reason", "no"];
    let (done, answer) = reviews(&world, "example_org1", &arguments).await;
    assert!(done, "{answer}");
    let (holds, text) = verified(&world);
    assert!(!holds, "{text}");
    let _station = node(&world, "example_org1", ALWAYS).await;
    let told = alarms(&mut state).await;
    assert!(told.iter().any(|told| told.contains("written anew")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_cannot_be_stored_is_stored_later_and_nothing_is_signed_before() {
    let world = World::new().await;
    let _station = node(&world, "example_org1", "").await;
    let hub_file = world.data.path().join("hub.sqlite");
    let of_hub = SqliteConnectOptions::new().filename(hub_file).connect().await.unwrap();
    for mut file in [of_hub, state_file(&world).await] {
        let silence = "CREATE TRIGGER t BEFORE INSERT ON audit WHEN new.action = 'audit.mismatch'
            BEGIN SELECT RAISE(ABORT, 'the disk is slow'); END";
        sqlx::query(silence).execute(&mut file).await.unwrap();
        atoll::audit::append(&mut file, &atoll::audit::Entry::done("somebody", "task.create", "task 999"))
            .await
            .unwrap();
        let signed = async |file: &mut SqliteConnection| -> i64 {
            let query = "SELECT COUNT(*) FROM audit_head WHERE origin = '' AND id >= (SELECT max(id) FROM audit)";
            sqlx::query_scalar(query).fetch_one(file).await.unwrap()
        };
        // Long enough for some looks at the log.
        tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
        assert_eq!(signed(&mut file).await, 0);
        sqlx::query("DROP TRIGGER t").execute(&mut file).await.unwrap();
        eventually(async || !alarms(&mut file).await.is_empty()).await;
    }
}

/// Changes the subject of an entry in an index only, and leaves no trace in the schema.
async fn forge_index(world: &World, index: &str, subject: &str) {
    let open = async || {
        let mut state = state_file(world).await;
        sqlx::query("PRAGMA writable_schema = ON").execute(&mut state).await.unwrap();
        state
    };
    let run = async |statements: &[&str]| {
        let mut state = open().await;
        for statement in statements {
            sqlx::query(statement).execute(&mut state).await.unwrap();
        }
    };
    let triggers: Vec<String> = sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")
        .fetch_all(&mut open().await)
        .await
        .unwrap();
    let before: String =
        sqlx::query_scalar("SELECT subject FROM audit WHERE id = 1").fetch_one(&mut open().await).await.unwrap();
    let (kind, of, root, sql): (String, String, i64, String) =
        sqlx::query_as("SELECT type, tbl_name, rootpage, sql FROM sqlite_schema WHERE name = ?")
            .bind(index)
            .fetch_one(&mut open().await)
            .await
            .unwrap();
    let delete = format!("DELETE FROM sqlite_schema WHERE name = '{index}'");
    let mut version: i64 = sqlx::query_scalar("PRAGMA schema_version").fetch_one(&mut open().await).await.unwrap();
    let mut next = || {
        version += 10;
        format!("PRAGMA schema_version = {version}")
    };
    let drops = ["DROP TRIGGER audit_keeps_entries", "DROP TRIGGER audit_keeps_words"];
    run(&[drops[0], drops[1], &format!("UPDATE audit SET subject = '{subject}' WHERE id = 1"), &delete, &next()]).await;
    run(&[&format!("UPDATE audit SET subject = '{before}' WHERE id = 1")]).await;
    let back = format!(
        "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('{kind}', '{index}', '{of}', {root}, '{sql}')"
    );
    let mut statements: Vec<&str> = triggers.iter().map(String::as_str).collect();
    let last = next();
    statements.extend([back.as_str(), last.as_str()]);
    run(&statements).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_shows_others_than_the_entries_is_found() {
    let world = World::new().await;
    node(&world, "example_org1", "").await.stop().await;
    assert!(verified(&world).0);
    // One of Atoll's own.
    forge_index(&world, "audit_of_subject", "forged").await;
    let shown: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE subject = 'forged'")
        .fetch_one(&mut state_file(&world).await)
        .await
        .unwrap();
    assert_eq!(shown, 1, "the index shows it");
    let (holds, text) = verified(&world);
    assert!(!holds && text.contains("the indexes of the log"), "{text}");
    node(&world, "example_org1", "").await.stop().await;
    assert!(alarms(&mut state_file(&world).await).await.iter().any(|told| told.contains("the indexes of the log")));
    let (holds, text) = verified(&world);
    assert!(holds, "{text}");
    // One that somebody has made, over all columns.
    let all = "CREATE INDEX other ON audit (id, at, actor, action, subject, outcome, details, organization_id, hash)";
    sqlx::query(all).execute(&mut state_file(&world).await).await.unwrap();
    forge_index(&world, "other", "forged").await;
    let (holds, text) = verified(&world);
    assert!(!holds && text.contains("other"), "{text}");
    node(&world, "example_org1", "").await.stop().await;
    assert!(alarms(&mut state_file(&world).await).await.iter().any(|told| told.contains("others: index other")));
    let (holds, text) = verified(&world);
    assert!(holds, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_nobody_signed_is_told_and_stops_no_signing() {
    let world = World::new().await;
    let station = node(&world, "example_org1", "").await;
    let mut state = state_file(&world).await;
    let plant = "INSERT INTO audit_head (origin, id, hash, at, key, signature)
        SELECT '', 1, 'x', '2026-01-01', key, '00' FROM audit_head WHERE origin = '' LIMIT 1";
    sqlx::query(plant).execute(&mut state).await.unwrap();
    let researcher = world.client("researcher").await;
    researcher.create_task(&ages(&[2])).await.unwrap();
    eventually(async || alarms(&mut state).await.iter().any(|told| told.contains("which was not true"))).await;
    station.stop().await;
    let (holds, text) = verified(&world);
    assert!(holds, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_node_that_was_replaced_is_told_once() {
    let world = World::new().await;
    node(&world, "example_org1", "").await.stop().await;
    let root = world.token("root").await;
    let node_of = world.get("node?organization_id=2", &root).await.1["data"][0]["id"].clone();
    let (status, answer) =
        world.call(reqwest::Method::POST, "recover/node", Some(&root), Some(&serde_json::json!({"id": node_of}))).await;
    assert_eq!(status, 200, "{answer}");
    let key = answer["api_key"].as_str().unwrap().to_owned();
    world
        .start_node_as_written("example_org1", |text| {
            let line = text.lines().find(|line| line.starts_with("api_key: ")).unwrap().to_owned();
            *text = text.replace(&line, &format!("api_key: {key}"));
        })
        .await
        .stop()
        .await;
    let told = alarms(&mut state_file(&world).await).await;
    assert_eq!(told.len(), 1, "{told:?}");
}
