//! Ways around a review that there are not.

use atoll::protocol::client::NewDecision;
use atoll::protocol::review::{Approval, ReviewState, Verdict};
use atoll::protocol::status::Status;
use reqwest::Method;
use serde_json::json;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::support::{self, World, average, eventually, outcome};
use crate::{ALWAYS, Asked, admit, ages, asked, decision, in_hub_database, node, once, open_again, reviews, waiting};

/// GHSA-47w6-gwp4-w6vc: what runs was swapped after somebody had looked at it.
#[tokio::test(flavor = "multi_thread")]
async fn ghsa_47w6_gwp4_w6vc_what_is_swapped_after_the_review_does_not_run() {
    let Asked { world, station, researcher, admin, task, review } = asked(ALWAYS).await;
    // The hub itself is bad: it swaps the arguments after the approval, while the node is away.
    station.stop().await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    let other =
        atoll::protocol::payload::encode_call(&average("partial_average", &[2], json!({"column_name": "height"})).call);
    in_hub_database(&world, &format!("UPDATE run_input SET text = '{other}'")).await;
    let station = node(&world, "example_org1", ALWAYS).await;
    let second = waiting(&admin, 1).await.remove(0);
    assert_ne!(second.hash, review.hash);
    assert_eq!(second.request.asked.kwargs["column_name"], "height");
    assert_eq!(admin.review(review.id).await.unwrap().state, ReviewState::Void);
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Pending);
    // It shows one thing and says that another was approved.
    station.stop().await;
    in_hub_database(
        &world,
        &format!("UPDATE review SET hash = '{}', state = 'approved' WHERE id = {}", review.hash, second.id),
    )
    .await;
    let _station = node(&world, "example_org1", ALWAYS).await;
    let third = waiting(&admin, 1).await.remove(0);
    assert_eq!((third.id != second.id, &third.hash), (true, &second.hash));
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Pending);
    // A decision about what is not shown any more.
    let stale = NewDecision { hash: review.hash.clone(), ..once(&third) };
    let refused = admin.decide_review(third.id, &stale).await.unwrap_err();
    assert!(refused.to_string().contains("has changed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_ended_and_is_opened_again_is_reviewed_again() {
    let Asked { world, station, researcher, admin, task, review } = asked(ALWAYS).await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    assert_eq!(outcome(&researcher, task.id).await.0, Status::Completed);
    station.stop().await;
    open_again(&world).await;
    let _station = node(&world, "example_org1", ALWAYS).await;
    assert_ne!(waiting(&admin, 1).await[0].id, review.id);
    assert_eq!(researcher.results(task.id).await.unwrap()[0].value, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_the_node_was_away_does_not_start_by_its_old_approval() {
    let Asked { world, station, researcher, admin, task, review } = asked(ALWAYS).await;
    station.stop().await;
    // Approved at the node, and killed before it could start.
    let id = review.run_id.to_string();
    assert!(reviews(&world, "example_org1", &["approve", &id]).await.0);
    researcher.kill_task(task.id).await.unwrap();
    let station = node(&world, "example_org1", ALWAYS).await;
    eventually(async || reviews(&world, "example_org1", &["show", &id]).await.1.contains("void")).await;
    station.stop().await;
    in_hub_database(&world, "UPDATE run SET finished_at = NULL, started_at = NULL, status = 'pending'").await;
    let _station = node(&world, "example_org1", ALWAYS).await;
    assert_ne!(waiting(&admin, 1).await[0].id, review.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_review_hold_for_whoever_began_a_task_not_only_for_who_aggregates() {
    let world = World::new().await;
    // What organization 2 asks for starts by itself; that of others waits, also through organization 2.
    let rules = "policies:\n  review:\n    - {organizations: [example_org1], mode: never}\n    - {mode: always}\n";
    let _nodes = (node(&world, "example_org1", "").await, node(&world, "example_org2", rules).await);
    let (researcher, admin) = (world.client("researcher").await, world.client("admin2").await);
    let root = world.token("root").await;
    let other = json!({"username": "outside", "password": support::PASSWORD, "email": "o@example.org",
        "firstname": "o", "lastname": "o", "organization_id": 4, "roles": [5]});
    assert_eq!(world.call(Method::POST, "user", Some(&root), Some(&other)).await.0, 201);
    let kwargs = json!({"column_name": "age", "organizations_to_include": [3]});
    let spec = average("central_average", &[2], kwargs);
    let own = researcher.create_task(&spec).await.unwrap();
    assert_eq!(outcome(&researcher, own.id).await.0, Status::Completed);
    let outside = world.client("outside").await;
    let task = outside.create_task(&spec).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    assert_eq!(review.request.asked.beginner_organization_id, Some(4));
    assert_eq!(review.request.beginner_organization.as_deref(), Some("example_org3"));
    admin.decide_review(review.id, &decision(&review, Verdict::Reject, "not for you")).await.unwrap();
    outcome(&outside, task.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_trusts_no_hub_takes_no_decision_from_it() {
    let world = World::new().await;
    let own = "policies:\n  review: always\n  decisions_from_hub: false\n";
    let station = node(&world, "example_org1", own).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    assert!(review.only_at_node);
    let refused = admin.decide_review(review.id, &once(&review)).await.unwrap_err();
    assert!(refused.to_string().contains("only decisions that are taken at itself"), "{refused}");
    station.stop().await;
    in_hub_database(&world, &format!("UPDATE review SET state = 'approved' WHERE id = {}", review.id)).await;
    let _station = node(&world, "example_org1", own).await;
    eventually(async || researcher.runs(task.id).await.unwrap()[0].log.matches("Awaiting review").count() == 2).await;
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Pending);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_not_got_around_by_another_name_of_the_same_code() {
    let world = World::new().await;
    let rules = "policies:\n  review:\n    - {function: partial_average, image: '^harbor2.vantage6.ai/demo/average$', mode: always}\n    - {mode: never}\n";
    let _node = node(&world, "example_org1", rules).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let by_other_name = average("average_partial", &[2], json!({"column_name": "age"}));
    let mut by_digest = ages(&[2]);
    by_digest.image = format!("{}@sha256:{}", support::AVERAGE, "0".repeat(64));
    for spec in [&by_other_name, &by_digest] {
        researcher.create_task(spec).await.unwrap();
    }
    waiting(&admin, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_allowed_does_not_ask_through_the_central_function_of_another() {
    let world = World::new().await;
    // Of organization 4 only; the researcher is of organization 2.
    let only = "share_config: false\npolicies:\n  allowed_organizations: [4]\n";
    let _nodes = (
        world.start_node_with("example_org2", |text| text.push_str(only)).await,
        node(&world, "example_org3", "").await,
    );
    world.wait_for(3, true).await;
    let researcher = world.client("researcher").await;
    let kwargs = json!({"column_name": "age", "organizations_to_include": [3]});
    let task = researcher.create_task(&average("central_average", &[4], kwargs)).await.unwrap();
    let (_, logs, results) = outcome(&researcher, task.id).await;
    assert!(results.is_empty(), "{logs:?}");
    let subtask = researcher.subtasks(task.id).await.unwrap().remove(0);
    let run = researcher.runs(subtask.id).await.unwrap().remove(0);
    assert_eq!(run.status, Status::NotAllowed, "{}", run.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reviewed_or_would_not_be_what_runs_is_refused() {
    let world = World::new().await;
    let _node = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let task = researcher.create_task(&average("partial_average", &[2], json!({"column_name": deep}))).await.unwrap();
    let (status, logs, _) = outcome(&researcher, task.id).await;
    assert_eq!(status, Status::StartFailed);
    assert!(logs[0].contains("nested too deeply"), "{logs:?}");
    let token = world.token("researcher").await;
    let input = atoll::protocol::payload::encode_call(&ages(&[2]).call);
    let body = json!({"name": "q", "description": "", "image": support::AVERAGE, "collaboration_id": 1,
        "databases": [{"label": "default", "query": "SELECT 1"}], "organizations": [{"id": 2, "input": input}]});
    let (_, task) = world.call(Method::POST, "task", Some(&token), Some(&body)).await;
    let (status, logs, _) = outcome(&researcher, task["id"].as_i64().unwrap()).await;
    assert_eq!(status, Status::StartFailed);
    assert!(logs[0].contains("take no query"), "{logs:?}");
    // Without a database the one that is read is shown.
    let mut spec = ages(&[2]);
    spec.databases.clear();
    researcher.create_task(&spec).await.unwrap();
    assert_eq!(waiting(&admin, 1).await[0].request.asked.databases[0].label, "default");
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2023_28635_an_organization_that_is_named_like_the_id_of_another_is_not_taken_for_it() {
    let world = World::new().await;
    // Such names are refused by our hub; older ones, and those of other servers, are there.
    in_hub_database(&world, "UPDATE organization SET name = '4' WHERE id = 2").await;
    let _node = node(&world, "example_org1", "policies:\n  allowed_organizations: [4]\n").await;
    let researcher = world.client("researcher").await;
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let (status, logs, _) = outcome(&researcher, task.id).await;
    assert_eq!(status, Status::NotAllowed, "{logs:?}");
    assert!(logs[0].contains("neither the user nor the organization"), "{logs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_trusts_no_hub_any_more_is_asked_there_only_also_for_what_waits_already() {
    let Asked { world, station, researcher: _researcher, admin, task: _task, review } =
        asked("policies:\n  release: review\n").await;
    station.stop().await;
    let _station = node(&world, "example_org1", "  decisions_from_hub: false\n").await;
    eventually(async || admin.review(review.id).await.unwrap().only_at_node).await;
    let refused = admin.decide_review(review.id, &once(&review)).await.unwrap_err();
    assert!(refused.to_string().contains("taken at itself"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_about_a_run_that_has_ended_stays_as_it_was() {
    let Asked { world, station, researcher, admin, task, review } = asked(ALWAYS).await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    outcome(&researcher, task.id).await;
    station.stop().await;
    let before = admin.review(review.id).await.unwrap();
    assert_eq!(before.state, ReviewState::Approved);
    // Whoever has the node's key.
    let node = world.node_token("example_org1").await;
    let forged = json!({"state": "rejected", "because": "", "approval": null,
        "decision": {"by": "admin1", "at_node": true, "at": "2020-01-01T00:00:00+00:00", "reason": "never allowed"}});
    let path = format!("review/{}", review.id);
    for state in ["rejected", "waiting", "withdrawn", "void"] {
        let mut forged = forged.clone();
        forged["state"] = json!(state);
        let (status, answer) = world.call(Method::PATCH, &path, Some(&node), Some(&forged)).await;
        assert_eq!(status, 409, "{state}: {answer}");
    }
    let after = admin.review(review.id).await.unwrap();
    assert_eq!((after.state, after.decision), (before.state, before.decision));
    // Nor is an approval used for a run that there is not.
    let (status, _) =
        world.call(Method::POST, &format!("{path}/use"), Some(&node), Some(&json!({"run_id": 999_999}))).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_end_the_hub_does_not_take_is_not_computed_again_from_other_data() {
    let Asked { world, station, researcher, admin, task, review } = asked(ALWAYS).await;
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE OF finished_at ON run WHEN NEW.finished_at IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'not now'); END";
    in_hub_database(&world, refuse).await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    let kept = async || {
        let file = atoll::demo::node_config(world.data.path(), "example_org1").with_extension("sqlite");
        let mut database = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outcome").fetch_one(&mut database).await.unwrap();
        database.close().await.unwrap();
        kept
    };
    eventually(async || kept().await == 1).await;
    station.stop().await;
    admit(&world);
    in_hub_database(&world, "DROP TRIGGER refuse").await;
    let _station = node(&world, "example_org1", ALWAYS).await;
    let (status, logs, results) = outcome(&researcher, task.id).await;
    assert_eq!((status, results), (Status::Completed, vec![json!({"sum": 253, "count": 4})]), "{logs:?}");
    eventually(async || kept().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_opened_again_does_not_start_by_a_lasting_approval_of_other_data() {
    let Asked { world, station, researcher, admin, task, review } = asked(ALWAYS).await;
    let five = NewDecision { approval: Some(Approval { runs: Some(5), ..Default::default() }), ..once(&review) };
    admin.decide_review(review.id, &five).await.unwrap();
    assert_eq!(outcome(&researcher, task.id).await.0, Status::Completed);
    station.stop().await;
    admit(&world);
    open_again(&world).await;
    let _station = node(&world, "example_org1", ALWAYS).await;
    assert_ne!(waiting(&admin, 1).await[0].id, review.id);
    assert_eq!(researcher.results(task.id).await.unwrap()[0].value, None);
}
