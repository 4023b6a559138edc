//! Decisions on the machine of the node, and its log.

use atoll::protocol::client::{AuditQuery, NewDecision};
use atoll::protocol::review::{Approval, ReviewState, Verdict};
use atoll::protocol::status::Status;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::{World, average, eventually, outcome};
use crate::{ALWAYS, Asked, ages, asked, decision, node, reviews, waiting};

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_until_a_date_is_given_at_hub_and_command_line() {
    let Asked { world, station: _station, researcher, admin, task: first, review } = asked(ALWAYS).await;
    let until = |day: &str| NewDecision {
        approval: Some(Approval { until: Some(format!("{day}T23:59:59.000000")), ..Default::default() }),
        ..decision(&review, Verdict::Approve, "")
    };
    assert!(admin.decide_review(review.id, &until("2020-01-31")).await.is_err(), "it is over");
    admin.decide_review(review.id, &until("2999-01-31")).await.unwrap();
    assert_eq!(outcome(&researcher, first.id).await.0, Status::Completed);
    let second = researcher.create_task(&ages(&[2])).await.unwrap();
    assert_eq!(outcome(&researcher, second.id).await.0, Status::Completed);
    // At the node.
    let other = average("partial_average", &[2], json!({"column_name": "height"}));
    let third = researcher.create_task(&other).await.unwrap();
    let id = waiting(&admin, 1).await[0].run_id.to_string();
    let (done, answer) = reviews(&world, "example_org1", &["approve", &id, "--until", "2020-01-31"]).await;
    assert!(!done, "{answer}");
    assert!(reviews(&world, "example_org1", &["approve", &id, "--until", "2999-01-31"]).await.0);
    assert_eq!(outcome(&researcher, third.id).await.0, Status::Completed);
    let fourth = researcher.create_task(&other).await.unwrap();
    assert_eq!(outcome(&researcher, fourth.id).await.0, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_decides_and_the_hub_is_told() {
    let world = World::new().await;
    let _node = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    assert!(reviews(&world, "example_org1", &["list"]).await.1.contains("No run of this node"));
    let first = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    let id = review.run_id.to_string();
    let (_, list) = reviews(&world, "example_org1", &["list"]).await;
    assert!(list.contains("waiting") && list.contains("researcher (user 1) of example_org1"), "{list}");
    let (_, shown) = reviews(&world, "example_org1", &["show", &id]).await;
    for text in ["column_name = \"age\"", "Columns       age", "two numbers", &review.hash] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let (done, answer) = reviews(&world, "example_org1", &["approve", &id, "--hash", "00000000"]).await;
    assert!(!done && answer.contains("is not what you name"), "{answer}");
    let (done, answer) = reviews(&world, "example_org1", &["approve", &id, "--hash", &review.hash[..4]]).await;
    assert!(!done && answer.contains("at least its first 8 characters"), "{answer}");
    let (done, answer) = reviews(&world, "example_org1", &["approve", &id, "--comment", "seen", "--runs", "2"]).await;
    assert!(done, "{answer}");
    assert_eq!(outcome(&researcher, first.id).await.0, Status::Completed);
    let (done, answer) = reviews(&world, "example_org1", &["reject", &id, "--reason", "no"]).await;
    assert!(!done && answer.contains("approved already, by dana"), "{answer}");
    eventually(async || admin.review(review.id).await.unwrap().state == ReviewState::Approved).await;
    let decision = admin.review(review.id).await.unwrap().decision.unwrap();
    assert_eq!((decision.by.as_str(), decision.at_node, decision.reason.as_str()), ("dana", true, "seen"));
    // The second run starts by itself, the third is rejected here.
    assert_eq!(admin.review(review.id).await.unwrap().used, 1, "the hub knows what has started by it");
    let second = researcher.create_task(&ages(&[2])).await.unwrap();
    assert_eq!(outcome(&researcher, second.id).await.0, Status::Completed);
    assert_eq!(admin.review(review.id).await.unwrap().used, 2);
    let third = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    let id = review.run_id.to_string();
    let (done, _) = reviews(&world, "example_org1", &["reject", &id]).await;
    assert!(!done, "a rejection needs a reason");
    reviews(&world, "example_org1", &["reject", &id, "--reason", "enough for today"]).await;
    let (status, logs, _) = outcome(&researcher, third.id).await;
    assert_eq!(status, Status::NotAllowed);
    assert!(logs[0].contains("enough for today (dana at the node)"), "{logs:?}");
    eventually(async || admin.review(review.id).await.unwrap().state == ReviewState::Rejected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_result_is_seen_at_the_node_only() {
    let world = World::new().await;
    let _node = node(&world, "example_org1", "policies:\n  release: review\n").await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let id = waiting(&admin, 1).await[0].run_id.to_string();
    let (_, shown) = reviews(&world, "example_org1", &["show", &id]).await;
    assert!(
        shown.contains("{\"sum\":253,\"count\":4}") && shown.contains("Small cells   below 5: 1 (count)"),
        "{shown}"
    );
    // What nobody has looked at is not released, nor withheld, by mistake.
    let (done, answer) = reviews(&world, "example_org1", &["reject", &id, "--reason", "no"]).await;
    assert!(!done && answer.contains("look at it with `show`"), "{answer}");
    let (done, answer) = reviews(&world, "example_org1", &["approve", &id]).await;
    assert!(!done && answer.contains("look at it with `show`"), "{answer}");
    let hash = shown.lines().find_map(|line| line.strip_prefix("Hash")).unwrap().trim().to_owned();
    let (done, answer) = reviews(&world, "example_org1", &["approve", &id, "--hash", &hash[..12]]).await;
    assert!(done && answer.contains("is released"), "{answer}");
    assert_eq!(outcome(&researcher, task.id).await.2, [json!({"sum": 253, "count": 4})]);
    // It does not stay here.
    eventually(async || !reviews(&world, "example_org1", &["show", &id]).await.1.contains(":253")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_logs_of_hub_and_node_are_checked_and_written_by_command() {
    let Asked { world, station: _station, researcher, admin, task, review } = asked(ALWAYS).await;
    admin.decide_review(review.id, &decision(&review, Verdict::Reject, "=cmd|' /C calc'!A0")).await.unwrap();
    outcome(&researcher, task.id).await;
    let config = atoll::demo::node_config(world.data.path(), "example_org1");
    let audit = async |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"));
        command.arg("audit").args(arguments).env("ATOLL_DATA", world.data.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), text)
    };
    let (holds, text) = audit(&["verify"]).await;
    assert!(holds && text.contains("The chain holds"), "{text}");
    let (holds, text) = audit(&["verify", "--node", config.to_str().unwrap()]).await;
    assert!(holds, "{text}");
    let (_, exported) = audit(&["export", "--node", config.to_str().unwrap()]).await;
    let actions: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<&str> = actions.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["policy.change", "review.wait", "review.reject"]);
    let (_, exported) = audit(&["export", "--format", "csv"]).await;
    assert!(exported.starts_with("id,at,actor,action,subject,outcome,details,organization_id,hash\n"), "{exported}");
    assert!(exported.contains("admin1") && !exported.contains(",=cmd"), "{exported}");
    let end = text.lines().next().unwrap().rsplit(" ").next().unwrap().to_owned();
    for statement in ["DROP TRIGGER audit_keeps_entries", "DELETE FROM audit"] {
        let options = SqliteConnectOptions::new().filename(config.with_extension("sqlite"));
        sqlx::query(statement).execute(&mut options.connect().await.unwrap()).await.unwrap();
    }
    let (holds, text) = audit(&["verify", "--node", config.to_str().unwrap(), "--head", &end]).await;
    assert!(!holds && text.contains("entry 1 is missing"), "{text}");
}

/// Takes away what keeps entries from being deleted; how to make it again, so that nothing shows.
async fn without_trigger(connection: &mut sqlx::SqliteConnection) -> String {
    let query = "SELECT sql FROM sqlite_schema WHERE name = 'audit_keeps_entries'";
    let trigger = sqlx::query_scalar(query).fetch_one(&mut *connection).await.unwrap();
    sqlx::query("DROP TRIGGER audit_keeps_entries").execute(connection).await.unwrap();
    trigger
}

/// Writes a log anew, as somebody could who has the file and knows how it is hashed.
async fn forge(file: &std::path::Path) {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let entries: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM audit").fetch_one(&mut connection).await.unwrap();
    let trigger = without_trigger(&mut connection).await;
    sqlx::query("DELETE FROM audit").execute(&mut connection).await.unwrap();
    sqlx::query(&trigger).execute(&mut connection).await.unwrap();
    for _ in 0..entries + 3 {
        let entry = atoll::audit::Entry::done("nobody", "sign_in", "user 1");
        atoll::audit::append(&mut connection, &entry).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_forged_is_found_by_the_key_and_by_what_the_other_side_keeps() {
    let mut world = World::new().await;
    let data = world.data.path().to_owned();
    let config = atoll::demo::node_config(&data, "example_org1");
    let config = config.to_str().unwrap();
    let audit = async |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"));
        let output = command.arg("audit").args(arguments).env("ATOLL_DATA", &data).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), text)
    };
    let node = world.start_node("example_org1").await;
    eventually(async || audit(&["heads"]).await.1.contains(" node 1\n")).await;
    eventually(async || audit(&["heads", "--node", config]).await.1.contains(" hub\n")).await;
    node.stop().await;
    // Ends are signed each minute, and when the hub stops.
    world.restart().await;
    for arguments in [vec!["verify"], vec!["verify", "--node", config]] {
        let (holds, text) = audit(&arguments).await;
        assert!(holds && text.contains("signed with the key"), "{arguments:?}: {text}");
    }
    let hub_file = data.join("hub.sqlite");
    forge(&hub_file).await;
    let (holds, text) = audit(&["verify"]).await;
    assert!(!holds && text.contains("the log was written anew"), "{text}");
    // Who forges it takes the signed ends away as well; the last one stands in a file of its own.
    let mut connection = SqliteConnectOptions::new().filename(&hub_file).connect().await.unwrap();
    sqlx::query("DELETE FROM audit_head").execute(&mut connection).await.unwrap();
    let (holds, text) = audit(&["verify"]).await;
    assert!(!holds && text.contains("the log was written anew"), "{text}");
    // With that one the files tell nothing any more, and say so.
    std::fs::remove_file(data.join("hub.audit-head")).unwrap();
    let (holds, text) = audit(&["verify"]).await;
    assert!(!holds && text.contains("no end of the chain is signed with this key"), "{text}");
    std::fs::rename(data.join("hub.key"), data.join("elsewhere.key")).unwrap();
    let (holds, text) = audit(&["verify"]).await;
    assert!(holds && text.contains("Compared with nothing outside the file"), "{text}");
    std::fs::rename(data.join("elsewhere.key"), data.join("hub.key")).unwrap();
    let heads = data.join("heads.txt");
    std::fs::write(&heads, audit(&["heads", "--node", config]).await.1).unwrap();
    let (holds, text) = audit(&["verify", "--heads", heads.to_str().unwrap()]).await;
    assert!(!holds && text.contains("the log was written anew"), "{text}");
    // Nobody has to think of it: the node says so when it comes again, and both sides note it.
    let node = world.start_node("example_org1").await;
    let auditor = world.client("auditor").await;
    let query = |actor: &str| AuditQuery {
        action: "audit.mismatch".to_owned(),
        actor: actor.to_owned(),
        per_page: 10,
        ..Default::default()
    };
    eventually(async || auditor.audit(&query("node 1")).await.unwrap().total == 1).await;
    assert_eq!(auditor.audit(&query("node 1")).await.unwrap().items[0].subject, "audit log");
    eventually(async || audit(&["export", "--node", config]).await.1.contains("audit.mismatch")).await;
    // What the node kept before is still evidence.
    let (_, kept) = audit(&["heads", "--node", config]).await;
    assert!(kept.contains(std::fs::read_to_string(&heads).unwrap().split(' ').nth(1).unwrap()), "{kept}");
    // The other way round: the node's log is forged, with its signed ends.
    node.stop().await;
    let node_file = std::path::Path::new(config).with_extension("sqlite");
    forge(&node_file).await;
    let mut connection = SqliteConnectOptions::new().filename(&node_file).connect().await.unwrap();
    sqlx::query("DELETE FROM audit_head").execute(&mut connection).await.unwrap();
    std::fs::remove_file(node_file.with_extension("audit-head")).unwrap();
    let (holds, text) = audit(&["verify", "--node", config]).await;
    assert!(!holds && text.contains("no end of the chain is signed with this key"), "{text}");
    let _node = world.start_node("example_org1").await;
    eventually(async || auditor.audit(&query("node 1")).await.unwrap().total == 2).await;
    assert_eq!(auditor.audit(&query("node 1")).await.unwrap().items[0].subject, "node 1");
    // And the start of a hub whose signed ends were taken away is told.
    let mut connection = SqliteConnectOptions::new().filename(&hub_file).connect().await.unwrap();
    sqlx::query("DELETE FROM audit_head WHERE origin = ''").execute(&mut connection).await.unwrap();
    world.restart().await;
    let told = world.client("auditor").await.audit(&query("system")).await.unwrap().items;
    let told: Vec<&str> = told.iter().map(|entry| entry.details.as_str()).collect();
    let expected =
        ["was not there", "no end was signed", "written to the hub's file directly", "somebody has written entry"];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    assert!(told.iter().zip(expected).all(|(told, expected)| told.contains(expected)), "{told:?}");
}

/// Takes an entry out of a log and writes the others anew; the first end of the day stays, which is signed truly.
async fn take_out(file: &std::path::Path, id: i64) {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let kept: Vec<(String, String, String)> =
        sqlx::query_as("SELECT actor, action, subject FROM audit WHERE id <> ? ORDER BY id")
            .bind(id)
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let trigger = without_trigger(&mut connection).await;
    for statement in [
        "DELETE FROM audit",
        "DELETE FROM sqlite_sequence WHERE name = 'audit'",
        "DELETE FROM audit_head WHERE origin = '' AND id > 0",
        &trigger,
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    for (actor, action, subject) in kept {
        let entry = atoll::audit::Entry { actor, subject, ..atoll::audit::Entry::done("", "sign_in", "") };
        let entry = atoll::audit::Entry { details: action, ..entry };
        atoll::audit::append(&mut connection, &entry).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_one_entry_or_with_none_is_found_though_an_older_end_is_signed_truly() {
    for is_emptied in [false, true] {
        let mut world = World::new().await;
        let data = world.data.path().to_owned();
        let verify = async || {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"));
            let output = command.args(["audit", "verify"]).env("ATOLL_DATA", &data).output().unwrap();
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            (output.status.success(), text)
        };
        for username in ["root", "admin1", "admin2"] {
            world.client(username).await;
        }
        world.restart().await;
        let (holds, text) = verify().await;
        assert!(holds && text.contains("in the file beside the database"), "{text}");
        let file = data.join("hub.sqlite");
        take_out(&file, 2).await;
        if is_emptied {
            let mut connection = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
            let trigger = without_trigger(&mut connection).await;
            for statement in ["DELETE FROM audit", "DELETE FROM audit_head", "DELETE FROM sqlite_sequence", &trigger] {
                sqlx::query(statement).execute(&mut connection).await.unwrap();
            }
        }
        assert!(!verify().await.0);
        // Nor does it look whole after the hub was started, and has gone on.
        world.restart().await;
        world.client("viewer").await;
        let (holds, text) = verify().await;
        assert!(!holds, "{text}");
        let root = world.token("root").await;
        let (_, problems) = world.get("problem", &root).await;
        assert!(problems.to_string().contains("audit log may"), "{problems}");
    }
}
