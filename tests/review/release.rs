//! Results that are held at the node.

use atoll::protocol::client::NewDecision;
use atoll::protocol::review::{Approval, ReviewState, Subject, Verdict};
use atoll::protocol::status::Status;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{World, eventually, outcome};
use crate::{
    Asked, admit, ages, asked, decision, in_hub_database, in_node_database, node, once, open_again, reviews, waiting,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_nobody_releases_in_time_never_leaves() {
    let world = World::new().await;
    let release = "policies:\n  release: review\n";
    let station = node(&world, "example_org1", release).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let id = waiting(&admin, 1).await[0].run_id.to_string();
    station.stop().await;
    let past = "UPDATE review SET expires_at = '2026-01-01T00:00:00.000000'";
    in_node_database(&world, "example_org1", past).await;
    let _station = node(&world, "example_org1", release).await;
    let (status, logs, results) = outcome(&researcher, task.id).await;
    assert_eq!((status, results), (Status::NotAllowed, Vec::<Value>::new()));
    assert!(logs[0].contains("nobody released the result"), "{logs:?}");
    assert!(!reviews(&world, "example_org1", &["show", &id]).await.1.contains(":253"), "it is deleted here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_result_that_nobody_wants_any_more_is_forgotten() {
    let world = World::new().await;
    let release = "policies:\n  release: review\n";
    let station = node(&world, "example_org1", release).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    station.stop().await;
    let id = review.run_id.to_string();
    let (done, answer) = reviews(&world, "example_org1", &["approve", &id, "--hash", &review.hash]).await;
    assert!(done, "{answer}");
    let held = async || reviews(&world, "example_org1", &["show", &id]).await.1.contains(":253");
    assert!(held().await);
    researcher.delete_task(task.id).await.unwrap();
    let _station = node(&world, "example_org1", release).await;
    eventually(async || !held().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_held_at_the_node_until_it_is_released() {
    let world = World::new().await;
    let release = "policies:\n  release: review\n  smallest_cell: 3\n";
    let station = node(&world, "example_org1", release).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    assert_eq!(review.subject, Subject::Result);
    // The hub knows that there is one, and nothing of it: whoever tries all results finds none with this hash.
    let request_hash = review.request.asked.hash();
    let encoded = STANDARD.encode(json!({"sum": 253, "count": 4}).to_string());
    assert_ne!(
        review.hash,
        format!("{:x}", Sha256::new().chain_update(&request_hash).chain_update(&encoded).finalize())
    );
    assert!(!serde_json::to_string(&review).unwrap().contains("report"));
    let run = researcher.runs(task.id).await.unwrap().remove(0);
    assert_eq!((run.status, run.review.unwrap().subject), (Status::Active, Subject::Result));
    assert!(run.log.contains("Awaiting release"), "{}", run.log);
    assert_eq!(researcher.task(task.id).await.unwrap().awaits, Some(Subject::Result));
    // Neither results nor reviews of the hub hold a value of it; by itself 253 can stand in a hash.
    assert_eq!(researcher.results(task.id).await.unwrap()[0].value, None);
    assert!(!serde_json::to_string(&review).unwrap().contains(":253"));
    // It is not computed again after a restart: the data have changed, the result has not.
    station.stop().await;
    std::fs::write(world.node_folder("example_org1").join("default.csv"), "patient,age\nx,1\ny,2\nz,3\n").unwrap();
    let _station = node(&world, "example_org1", release).await;
    let lasting = NewDecision { approval: Some(Approval::default()), ..once(&review) };
    assert!(admin.decide_review(review.id, &lasting).await.is_err(), "a release is for one result");
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    let (status, logs, results) = outcome(&researcher, task.id).await;
    assert_eq!((status, results), (Status::Completed, vec![json!({"sum": 253, "count": 4})]), "{logs:?}");
    // What was written before the restart is there.
    assert!(logs[0].contains("Started function"), "{logs:?}");

    let second = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    admin.decide_review(review.id, &decision(&review, Verdict::Reject, "too few patients")).await.unwrap();
    let (status, logs, results) = outcome(&researcher, second.id).await;
    assert_eq!((status, results), (Status::NotAllowed, Vec::<Value>::new()));
    assert!(logs[0].contains("the result is withheld: too few patients (admin1)"), "{logs:?}");
    let (_, log) = world.get("/audit?action=release", &world.token("admin1").await).await;
    let actions: Vec<&str> =
        log["data"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["release.withhold", "release.approve"], "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_result_that_the_policies_allow_no_more_is_no_more_to_be_released() {
    let Asked { world, station, researcher, admin, task, review } = asked("policies:\n  release: review\n").await;
    station.stop().await;
    let _station = node(&world, "example_org1", "  allowed_users: [admin1]\n").await;
    let (status, logs, _) = outcome(&researcher, task.id).await;
    assert_eq!(status, Status::NotAllowed, "{logs:?}");
    eventually(async || admin.review(review.id).await.unwrap().state == ReviewState::Void).await;
    let id = review.run_id.to_string();
    let (done, answer) = reviews(&world, "example_org1", &["approve", &id, "--hash", &review.hash]).await;
    assert!(!done && answer.contains("void already"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_run_that_the_hub_opens_again_does_not_tell_whether_its_result_is_the_same() {
    for has_changed in [false, true] {
        let release = "policies:\n  release: review\n  decisions_from_hub: false\n";
        let Asked { world, station, researcher, admin, task, review } = asked(release).await;
        let arguments = ["approve", &review.run_id.to_string(), "--hash", &review.hash];
        assert!(reviews(&world, "example_org1", &arguments).await.0);
        assert_eq!(outcome(&researcher, task.id).await.0, Status::Completed);
        // The node knows that the hub has it.
        let file = world.node_folder("example_org1").join("node.sqlite");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut state = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
        eventually(async || {
            let open = "SELECT COUNT(*) FROM started_run WHERE ended_at IS NULL";
            sqlx::query_scalar::<_, i64>(open).fetch_one(&mut state).await.unwrap() == 0
        })
        .await;
        station.stop().await;
        if has_changed {
            admit(&world);
        }
        open_again(&world).await;
        let _station = node(&world, "example_org1", release).await;
        let again = waiting(&admin, 1).await.remove(0);
        assert_eq!((again.subject, again.id == review.id), (Subject::Result, false), "{has_changed}");
    }
}

/// The server does not take the end of a run, its node starts again, and its policies ask for a release since.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_was_kept_before_a_release_was_asked_for_is_held() {
    for verdict in [Verdict::Approve, Verdict::Reject] {
        let world = World::new().await;
        let station = node(&world, "example_org1", "").await;
        in_hub_database(
            &world,
            "CREATE TRIGGER away BEFORE UPDATE ON run WHEN NEW.finished_at IS NOT NULL
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .await;
        let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
        let task = researcher.create_task(&ages(&[2])).await.unwrap();
        let file = world.node_folder("example_org1").join("node.sqlite");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut state = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
        eventually(async || {
            sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM outcome").fetch_one(&mut state).await.unwrap() == 1
        })
        .await;
        station.stop().await;
        in_hub_database(&world, "DROP TRIGGER away").await;
        // It is held however often the node starts.
        for _ in 0..2 {
            let station = node(&world, "example_org1", "policies:\n  release: review\n").await;
            assert_eq!(waiting(&admin, 1).await[0].subject, Subject::Result);
            station.stop().await;
        }
        let _station = node(&world, "example_org1", "policies:\n  release: review\n").await;
        let review = waiting(&admin, 1).await.remove(0);
        assert_eq!(researcher.runs(task.id).await.unwrap()[0].status, Status::Active);
        admin
            .decide_review(
                review.id,
                &NewDecision {
                    approval: (verdict == Verdict::Approve)
                        .then(|| Approval { this_run_only: true, ..Default::default() }),
                    ..decision(&review, verdict, "seen")
                },
            )
            .await
            .unwrap();
        let (status, _, results) = outcome(&researcher, task.id).await;
        let expected = if verdict == Verdict::Approve { (Status::Completed, 1) } else { (Status::NotAllowed, 0) };
        assert_eq!((status, results.len()), expected);
    }
}
