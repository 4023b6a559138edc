//! Reviews and releases: what waits at a node, who decides, and that nothing starts or leaves without.

mod support;

use atoll::protocol::{
    client::{ClientError, HubClient, NewDecision, ReviewQuery},
    policy::ReviewMode,
    review::{Approval, Review, ReviewState, Subject, Verdict},
    status::Status,
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use support::{RunningNode, World, average, eventually, outcome};

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
    found
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

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_until_an_admin_of_its_organization_approves() {
    let world = World::new().await;
    let _node = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let mut spec = ages(&[2]);
    spec.description = "Ages for the yearly report".to_owned();
    let task = researcher.create_task(&spec).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    let asked = &review.request.asked;
    assert_eq!((asked.function.as_str(), asked.columns.as_deref()), ("partial_average", Some(&["age".to_owned()][..])));
    assert_eq!(asked.hash(), review.hash);
    assert_eq!(review.request.username.as_deref(), Some("researcher"));
    assert_eq!(review.request.requester_organization.as_deref(), Some("example_org1"));
    assert_eq!(review.request.purpose, "Ages for the yearly report");
    assert!(review.request.discloses.contains("two numbers") && review.request.does.contains("sum and the count"));
    assert!(review.request.unusual.iter().any(|text| text.contains("has not run here before")), "{review:?}");
    let run = researcher.runs(task.id).await.unwrap().remove(0);
    assert_eq!(run.status, Status::Pending);
    assert_eq!(run.review.as_ref().unwrap().state, ReviewState::Waiting);
    assert!(run.log.contains("Awaiting review by an admin"), "{}", run.log);

    admin.decide_review(review.id, &once(&review)).await.unwrap();
    let (status, logs, results) = outcome(&researcher, task.id).await;
    assert_eq!((status, results), (Status::Completed, vec![json!({"sum": 253, "count": 4})]), "{logs:?}");
    assert!(logs[0].contains("Approved by admin1"), "{logs:?}");
    let decided = admin.review(review.id).await.unwrap();
    assert_eq!((decided.state, decided.used), (ReviewState::Approved, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_decides_or_reads_a_review() {
    let world = World::new().await;
    let _node = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    for name in ["researcher", "viewer", "admin2", "root"] {
        let other = world.client(name).await;
        let refused = other.decide_review(review.id, &once(&review)).await.unwrap_err();
        assert!(matches!(refused, ClientError::NotAllowed(_) | ClientError::NotFound(_)), "{name}: {refused}");
        let read = other.review(review.id).await;
        // Root may read everything; it decides for its own organization only.
        assert_eq!(read.is_ok(), name == "root", "{name}");
        let listed = other.reviews(&ReviewQuery { per_page: 10, ..Default::default() }).await;
        assert_eq!(listed.map(|page| page.items.len()).unwrap_or(0), usize::from(name == "root"), "{name}");
    }
    let (status, _) = world.call(Method::GET, &format!("review/{}", review.id), None, None).await;
    assert_eq!(status, 401);
    let other_node = world.node_token("example_org2").await;
    for (method, path, body) in [
        (Method::GET, format!("review/{}", review.id), None),
        (Method::PATCH, format!("review/{}", review.id), Some(json!({"state": "approved"}))),
        (Method::POST, format!("review/{}/use", review.id), Some(json!({"run_id": review.run_id}))),
    ] {
        let (status, answer) = world.call(method, &path, Some(&other_node), body.as_ref()).await;
        assert_eq!(status, 404, "{path} {answer}");
    }
    // A node cannot decide by the way of admins either, nor an admin by the way of nodes.
    let own_node = world.node_token("example_org1").await;
    let body = serde_json::to_value(once(&review)).unwrap();
    let path = format!("review/{}/decision", review.id);
    assert_eq!(world.call(Method::POST, &path, Some(&own_node), Some(&body)).await.0, 401);
    let token = world.token("admin1").await;
    let path = format!("review/{}", review.id);
    assert_eq!(world.call(Method::PATCH, &path, Some(&token), Some(&json!({"state": "approved"}))).await.0, 401);
    assert_eq!(admin.review(review.id).await.unwrap().state, ReviewState::Waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_is_read_by_the_researcher_and_the_others_go_on() {
    let world = World::new().await;
    let _nodes = (node(&world, "example_org1", ALWAYS).await, node(&world, "example_org2", ALWAYS).await);
    let (researcher, admin1, admin2) =
        (world.client("researcher").await, world.client("admin1").await, world.client("admin2").await);
    let task = researcher.create_task(&ages(&[2, 3])).await.unwrap();
    let (first, second) = (waiting(&admin1, 1).await.remove(0), waiting(&admin2, 1).await.remove(0));
    let without_reason = admin2.decide_review(second.id, &decision(&second, Verdict::Reject, " ")).await.unwrap_err();
    assert!(without_reason.to_string().contains("needs a reason"), "{without_reason}");
    admin2.decide_review(second.id, &decision(&second, Verdict::Reject, "no ethics approval yet")).await.unwrap();
    eventually(async || researcher.runs(task.id).await.unwrap()[1].status == Status::NotAllowed).await;
    let runs = researcher.runs(task.id).await.unwrap();
    assert_eq!(runs[0].status, Status::Pending, "the other organization still decides");
    assert!(runs[1].log.contains("no ethics approval yet (admin2)"), "{}", runs[1].log);
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Pending);
    admin1.decide_review(first.id, &once(&first)).await.unwrap();
    let (_, _, results) = outcome(&researcher, task.id).await;
    assert_eq!(results, [json!({"sum": 253, "count": 4})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_central_function_goes_on_without_those_who_reject() {
    let world = World::new().await;
    let _nodes = (
        node(&world, "example_org1", "").await,
        node(&world, "example_org2", ALWAYS).await,
        node(&world, "example_org3", "").await,
    );
    let (researcher, admin2) = (world.client("researcher").await, world.client("admin2").await);
    let kwargs = json!({"column_name": "age", "organizations_to_include": [2, 3]});
    let task = researcher.create_task(&average("central_average", &[4], kwargs)).await.unwrap();
    let review = waiting(&admin2, 1).await.remove(0);
    // Asked by the central function's organization, for the same user, and shown as a subtask.
    assert_eq!(review.request.asked.requester_organization_id, Some(4));
    assert_eq!(review.request.parent_id, Some(task.id));
    admin2.decide_review(review.id, &decision(&review, Verdict::Reject, "not these data")).await.unwrap();
    let (status, logs, results) = outcome(&researcher, task.id).await;
    assert_eq!(
        (status, results),
        (Status::Completed, vec![json!({"average": 63.25, "organizations_left_out": 1})]),
        "{logs:?}"
    );
    assert!(logs[0].contains("Left out: example_org2 does not allow it"), "{logs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_admins_at_once_one_wins_and_the_other_is_told() {
    let world = World::new().await;
    let _node = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    let (approve, reject) = (once(&review), decision(&review, Verdict::Reject, "no"));
    let (one, other) = tokio::join!(admin.decide_review(review.id, &approve), admin.decide_review(review.id, &reject));
    let lost = match (one, other) {
        (Ok(_), Err(lost)) | (Err(lost), Ok(_)) => lost,
        both => panic!("{both:?}"),
    };
    assert!(matches!(&lost, ClientError::Rejected { status: 409, .. }), "{lost}");
    assert!(lost.to_string().contains("already by admin1"), "{lost}");
    outcome(&researcher, task.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_for_two_runs_is_for_two_of_exactly_the_same() {
    let world = World::new().await;
    let _node = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let first = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    let unlimited = NewDecision { approval: Some(Approval::default()), ..once(&review) };
    let refused = admin.decide_review(review.id, &unlimited).await.unwrap_err();
    assert!(refused.to_string().contains("needs a date or a number"), "{refused}");
    let two = NewDecision { approval: Some(Approval { runs: Some(2), ..Default::default() }), ..once(&review) };
    admin.decide_review(review.id, &two).await.unwrap();
    outcome(&researcher, first.id).await;
    let second = researcher.create_task(&ages(&[2])).await.unwrap();
    let (status, ..) = outcome(&researcher, second.id).await;
    assert_eq!(status, Status::Completed);
    // Another column, another user and a third time wait.
    let other = average("partial_average", &[2], json!({"column_name": "height"}));
    researcher.create_task(&other).await.unwrap();
    researcher.create_task(&ages(&[2])).await.unwrap();
    waiting(&admin, 2).await;
    assert_eq!(admin.review(review.id).await.unwrap().used, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_the_first_time_starts_by_itself_until_it_is_withdrawn() {
    let world = World::new().await;
    let rules = "policies:\n  review:\n    - function: partial_average\n      users: [researcher]\n      mode: first_time\n    - mode: always\n";
    let _node = node(&world, "example_org1", rules).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let first = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    assert_eq!(review.mode, ReviewMode::FirstTime);
    let lasting = NewDecision { approval: Some(Approval::default()), ..once(&review) };
    admin.decide_review(review.id, &lasting).await.unwrap();
    outcome(&researcher, first.id).await;
    let second = researcher.create_task(&ages(&[2])).await.unwrap();
    assert_eq!(outcome(&researcher, second.id).await.0, Status::Completed);
    let withdrawn = admin.decide_review(review.id, &decision(&review, Verdict::Withdraw, "over")).await.unwrap();
    assert_eq!(withdrawn.state, ReviewState::Withdrawn);
    researcher.create_task(&ages(&[2])).await.unwrap();
    assert_ne!(waiting(&admin, 1).await[0].id, review.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_is_withdrawn_before_the_start_starts_nothing() {
    let world = World::new().await;
    let station = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    station.stop().await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    let again = admin.decide_review(review.id, &decision(&review, Verdict::Withdraw, "")).await.unwrap();
    assert_eq!((again.state, again.decision), (ReviewState::Waiting, None));
    let _station = node(&world, "example_org1", ALWAYS).await;
    assert_eq!(waiting(&admin, 1).await[0].id, review.id, "the same review goes on");
    admin.decide_review(review.id, &decision(&review, Verdict::Reject, "changed my mind")).await.unwrap();
    assert_eq!(outcome(&researcher, task.id).await.0, Status::NotAllowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_while_the_node_was_away_holds_when_it_is_back() {
    let world = World::new().await;
    let station = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    station.stop().await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Pending);
    let _station = node(&world, "example_org1", ALWAYS).await;
    assert_eq!(outcome(&researcher, task.id).await.0, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_who_cancels_ends_the_review() {
    let world = World::new().await;
    let station = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let first = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    researcher.kill_task(first.id).await.unwrap();
    waiting(&admin, 0).await;
    let late = admin.decide_review(review.id, &once(&review)).await.unwrap_err();
    assert!(late.to_string().contains("It is void already"), "{late}");
    let log = world.get("/audit?action=review.void", &world.token("admin1").await).await.1;
    assert_eq!(log["data"][0]["subject"], format!("run {}", review.run_id), "{log}");
    // Also while the node is away, and when the task is deleted.
    let second = researcher.create_task(&ages(&[2])).await.unwrap();
    waiting(&admin, 1).await;
    station.stop().await;
    researcher.delete_task(second.id).await.unwrap();
    waiting(&admin, 0).await;
    let _station = node(&world, "example_org1", ALWAYS).await;
    let third = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    assert_eq!(outcome(&researcher, third.id).await.0, Status::Completed);
}

/// Changes something behind the hub's back.
async fn in_hub_database(world: &World, statement: &str) {
    let options = SqliteConnectOptions::new().filename(world.data.path().join("hub.sqlite"));
    let mut database = options.connect().await.unwrap();
    assert!(sqlx::query(statement).execute(&mut database).await.unwrap().rows_affected() > 0);
    database.close().await.unwrap();
}

/// GHSA-47w6-gwp4-w6vc: what runs was swapped after somebody had looked at it.
#[tokio::test(flavor = "multi_thread")]
async fn ghsa_47w6_gwp4_w6vc_what_is_swapped_after_the_review_does_not_run() {
    let world = World::new().await;
    let station = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    // The hub itself is bad: it swaps the arguments after the approval, while the node is away.
    station.stop().await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    let other =
        atoll::protocol::payload::encode_call(&average("partial_average", &[2], json!({"column_name": "height"})).call);
    in_hub_database(&world, &format!("UPDATE run SET input = '{other}' WHERE task_id = {}", task.id)).await;
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
    let world = World::new().await;
    let station = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    assert_eq!(outcome(&researcher, task.id).await.0, Status::Completed);
    station.stop().await;
    let again = "UPDATE run SET finished_at = NULL, started_at = NULL, status = 'pending', result = NULL";
    in_hub_database(&world, again).await;
    let _station = node(&world, "example_org1", ALWAYS).await;
    assert_ne!(waiting(&admin, 1).await[0].id, review.id);
    assert_eq!(researcher.results(task.id).await.unwrap()[0].value, None);
}

/// Changes something in the file of an organization's node.
async fn in_node_database(world: &World, organization: &str, statement: &str) {
    let file = atoll::demo::node_config(world.data.path(), organization).with_extension("sqlite");
    let mut database = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    assert!(sqlx::query(statement).execute(&mut database).await.unwrap().rows_affected() > 0);
    database.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_the_node_was_away_does_not_start_by_its_old_approval() {
    let world = World::new().await;
    let station = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
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
async fn what_nobody_decides_about_in_time_is_refused_and_late_decisions_do_not_count() {
    let world = World::new().await;
    let station = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    station.stop().await;
    let past = "UPDATE review SET expires_at = '2026-01-01T00:00:00.000000'";
    in_node_database(&world, "example_org1", past).await;
    // At the hub it was approved after that, and before; neither is in time.
    in_hub_database(&world, past).await;
    let late = admin.decide_review(review.id, &once(&review)).await.unwrap_err();
    assert!(late.to_string().contains("in time"), "{late}");
    let approved = "UPDATE review SET state = 'approved', decided_by = 'ada', decided_at = since";
    in_hub_database(&world, approved).await;
    let (done, answer) = reviews(&world, "example_org1", &["approve", &review.run_id.to_string()]).await;
    assert!(!done && answer.contains("expired"), "{answer}");
    let _station = node(&world, "example_org1", ALWAYS).await;
    let (status, logs, results) = outcome(&researcher, task.id).await;
    assert_eq!((status, results), (Status::NotAllowed, Vec::<Value>::new()));
    assert!(logs[0].contains("nobody decided about it within 30 days"), "{logs:?}");
}

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
    assert!(!reviews(&world, "example_org1", &["show", &id]).await.1.contains("253"), "it is deleted here");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_until_a_date_is_given_at_hub_and_command_line() {
    let world = World::new().await;
    let _station = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let first = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
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
async fn an_approval_of_exactly_the_same_is_for_those_that_wait_already() {
    let world = World::new().await;
    let _station = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(researcher.create_task(&ages(&[2])).await.unwrap().id);
    }
    let review = waiting(&admin, 3).await.remove(0);
    let approval = Some(Approval { runs: Some(2), ..Default::default() });
    admin.decide_review(review.id, &NewDecision { approval, ..decision(&review, Verdict::Approve, "") }).await.unwrap();
    // Two of them start, one still waits.
    assert_eq!(waiting(&admin, 1).await[0].hash, review.hash);
    let decided = ReviewQuery { decided: true, per_page: 100, ..Default::default() };
    let decided = admin.reviews(&decided).await.unwrap().items;
    assert_eq!((decided.len(), decided.iter().any(|review| review.state == ReviewState::Waiting)), (2, false));
    let mut completed = 0;
    eventually(async || {
        completed = 0;
        for id in &tasks {
            completed += usize::from(researcher.task_status(*id).await.unwrap() == Status::Completed);
        }
        completed == 2
    })
    .await;
    let token = world.token("admin1").await;
    let (_, log) = world.get("/audit?action=review.approve", &token).await;
    assert!(log["data"][0]["details"].as_str().unwrap().starts_with("for 2 runs of exactly the same; hash"), "{log}");
    let config = atoll::demo::node_config(world.data.path(), "example_org1");
    let mut export = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"));
    let output = export.args(["audit", "export", "--node"]).arg(config).output().unwrap();
    let own = String::from_utf8(output.stdout).unwrap();
    let started = own.lines().filter(|line| line.contains("run.start"));
    let by = format!("approved by admin1 with run {}", review.run_id);
    assert_eq!(started.filter(|line| line.contains(&by)).count(), 2, "{own}");
    assert!(own.contains("admin1 (at the hub)"), "{own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_database_comes_along_beside_one_that_is_allowed_and_the_purpose_does() {
    let world = World::new().await;
    let only = "policies:\n  review: always\n  allowed_databases:\n    - {database: default, columns: [age]}\n";
    let _nodes = (node(&world, "example_org1", only).await, node(&world, "example_org2", ALWAYS).await);
    let (researcher, admin) = (world.client("researcher").await, world.client("admin2").await);
    let mut two = ages(&[2]);
    two.databases.push("another".to_owned());
    let task = researcher.create_task(&two).await.unwrap();
    let (status, logs, _) = outcome(&researcher, task.id).await;
    assert_eq!(status, Status::NotAllowed, "{logs:?}");
    let kwargs = json!({"column_name": "age", "organizations_to_include": [3]});
    let mut central = average("central_average", &[2], kwargs);
    central.description = "For the ethics study".to_owned();
    researcher.create_task(&central).await.unwrap();
    let own = world.client("admin1").await;
    let review = waiting(&own, 1).await.remove(0);
    own.decide_review(review.id, &once(&review)).await.unwrap();
    assert_eq!(waiting(&admin, 1).await[0].request.purpose, "For the ethics study");
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
    let held = async || reviews(&world, "example_org1", &["show", &id]).await.1.contains("253");
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
    let report = review.report.clone().unwrap();
    assert_eq!((report.values, report.smallest_cell, report.small_cells.count), (2, 3, 0));
    let run = researcher.runs(task.id).await.unwrap().remove(0);
    assert_eq!((run.status, run.review.unwrap().subject), (Status::Active, Subject::Result));
    assert!(run.log.contains("Awaiting release"), "{}", run.log);
    // Neither results nor reviews of the hub hold a value of it.
    assert_eq!(researcher.results(task.id).await.unwrap()[0].value, None);
    assert!(!serde_json::to_string(&review).unwrap().contains("253"));
    // It is not computed again after a restart: the data have changed, the result has not.
    station.stop().await;
    std::fs::write(world.node_folder("example_org1").join("default.csv"), "patient,age\nx,1\ny,2\nz,3\n").unwrap();
    let _station = node(&world, "example_org1", release).await;
    let lasting = NewDecision { approval: Some(Approval::default()), ..once(&review) };
    assert!(admin.decide_review(review.id, &lasting).await.is_err(), "a release is for one result");
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    let (status, logs, results) = outcome(&researcher, task.id).await;
    assert_eq!((status, results), (Status::Completed, vec![json!({"sum": 253, "count": 4})]), "{logs:?}");

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
    eventually(async || researcher.runs(task.id).await.unwrap()[0].log.matches("Awaiting review").count() == 1).await;
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Pending);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_refuse_functions_columns_users_and_too_many_runs_with_reasons() {
    let world = World::new().await;
    let policies = "policies:\n  allowed_users: [researcher]\n  allowed_functions:\n    - functions: [partial_average, average_partial]\n  \
                    allowed_databases:\n    - {database: default, columns: [age]}\n    - {database: my_other_database, \
                    organizations: [example_org3]}\n  runs_per_user_per_day: 2\n";
    let _node = node(&world, "example_org1", policies).await;
    let researcher = world.client("researcher").await;
    let refused = async |spec: atoll::protocol::domain::TaskSpec| {
        let task = researcher.create_task(&spec).await.unwrap();
        let (status, logs, _) = outcome(&researcher, task.id).await;
        assert_eq!(status, Status::NotAllowed, "{logs:?}");
        logs[0].clone()
    };
    let log = refused(average("central_average", &[2], json!({"column_name": "age"}))).await;
    assert!(
        log.contains("does not allow the function \"central_average\"; of this image it allows partial_average"),
        "{log}"
    );
    let log = refused(average("partial_average", &[2], json!({"column_name": "height"}))).await;
    assert!(log.contains("does not allow the column \"height\" to who asks; it allows age"), "{log}");
    let mut other = ages(&[2]);
    other.databases = vec!["my_other_database".to_owned()];
    let log = refused(other).await;
    assert!(log.contains("neither to the user nor to the organization that asks"), "{log}");
    for _ in 0..2 {
        let task = researcher.create_task(&ages(&[2])).await.unwrap();
        assert_eq!(outcome(&researcher, task.id).await.0, Status::Completed);
    }
    let log = refused(ages(&[2])).await;
    assert!(log.contains("at most 2 runs of one user a day"), "{log}");
    // What nobody may use is not shown either.
    let nodes = researcher.nodes_of(1).await.unwrap();
    let shared = nodes.iter().find(|node| node.organization_id == Some(2)).unwrap();
    assert_eq!(shared.database("default").unwrap().columns.as_deref(), Some(&["age".to_owned()][..]));
    assert_eq!(shared.policies.runs_per_user_per_day, Some(2));
    assert!(!shared.policies.is_unclear);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suppressed_is_neither_zero_nor_a_failure() {
    let world = World::new().await;
    let _nodes = (
        node(&world, "example_org1", "policies:\n  minimum_rows: 5\n").await,
        node(&world, "example_org2", "").await,
        node(&world, "example_org3", "").await,
    );
    let researcher = world.client("researcher").await;
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let (status, _, results) = outcome(&researcher, task.id).await;
    let suppressed = json!({"suppressed": "the table has fewer than 5 rows (minimum_rows)"});
    assert_eq!((status, results), (Status::Completed, vec![json!({"sum": suppressed, "count": suppressed})]));
    let kwargs = json!({"column_name": "age", "organizations_to_include": [2, 3]});
    let task = researcher.create_task(&average("central_average", &[4], kwargs)).await.unwrap();
    let (_, _, results) = outcome(&researcher, task.id).await;
    assert_eq!(results, [json!({"average": 43.25, "organizations_left_out": 1})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_named_limit_holds_for_a_run_at_the_node_that_has_it() {
    let world = World::new().await;
    // Four rows each.
    let _nodes = (
        node(&world, "example_org1", "policies:\n  smallest_subset: 5\n").await,
        node(&world, "example_org2", "policies:\n  largest_parameter_share: 0.1\n").await,
        node(&world, "example_org3", "policies:\n  smallest_cell: 4\n  smallest_subset: 4\n").await,
    );
    let researcher = world.client("researcher").await;
    let sent = |id: i64| average("partial_average", &[id], json!({"column_name": "age"}));
    for (organization, limit) in [(2, Some("smallest_subset")), (3, Some("largest_parameter_share")), (4, None)] {
        let task = researcher.create_task(&sent(organization)).await.unwrap();
        let (status, _, results) = outcome(&researcher, task.id).await;
        assert_eq!(status, Status::Completed);
        let text = results[0].to_string();
        match limit {
            Some(limit) => assert!(text.contains("suppressed") && text.contains(limit), "{text}"),
            None => assert!(!text.contains("suppressed"), "{text}"),
        }
    }
}

/// `atoll node reviews …` of an organization's node.
async fn reviews(world: &World, organization: &str, arguments: &[&str]) -> (bool, String) {
    let config = atoll::demo::node_config(world.data.path(), organization);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"));
    command.args(["node", "reviews"]).args(arguments).arg("--config").arg(config).env("USER", "dana");
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
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
    let (done, answer) = reviews(&world, "example_org1", &["approve", &id, "--comment", "seen", "--runs", "2"]).await;
    assert!(done, "{answer}");
    assert_eq!(outcome(&researcher, first.id).await.0, Status::Completed);
    let (done, answer) = reviews(&world, "example_org1", &["reject", &id, "--reason", "no"]).await;
    assert!(!done && answer.contains("approved already, by dana"), "{answer}");
    eventually(async || admin.review(review.id).await.unwrap().state == ReviewState::Approved).await;
    let decision = admin.review(review.id).await.unwrap().decision.unwrap();
    assert_eq!((decision.by.as_str(), decision.at_node, decision.reason.as_str()), ("dana", true, "seen"));
    // The second run starts by itself, the third is rejected here.
    let second = researcher.create_task(&ages(&[2])).await.unwrap();
    assert_eq!(outcome(&researcher, second.id).await.0, Status::Completed);
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
    eventually(async || !reviews(&world, "example_org1", &["show", &id]).await.1.contains("253")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_logs_of_hub_and_node_are_checked_and_written_by_command() {
    let world = World::new().await;
    let _node = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
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
    let end = text.trim().rsplit(' ').next().unwrap().to_owned();
    for statement in ["DROP TRIGGER audit_keeps_entries", "DELETE FROM audit"] {
        let options = SqliteConnectOptions::new().filename(config.with_extension("sqlite"));
        sqlx::query(statement).execute(&mut options.connect().await.unwrap()).await.unwrap();
    }
    let (holds, text) = audit(&["verify", "--node", config.to_str().unwrap(), "--head", &end]).await;
    assert!(!holds && text.contains("entry 1 is missing"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_s_own_page_decides_and_opens_with_a_code_only() {
    let world = World::new().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!("review_page: 127.0.0.1:{port}\npolicies:\n  review: always\n");
    let _node = node(&world, "example_org1", &config).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let mut spec = ages(&[2]);
    spec.description = "<script>alert(1)</script>".to_owned();
    let task = researcher.create_task(&spec).await.unwrap();
    waiting(&admin, 1).await;
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let page = format!("http://127.0.0.1:{port}");
    let get = async |path: &str, cookie: &str| {
        let answer = browser.get(format!("{page}{path}")).header("cookie", cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let post = async |path: &str, cookie: &str, fields: &[(&str, &str)]| {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = browser.post(format!("{page}{path}")).header("cookie", cookie);
        request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap()
    };
    assert_eq!(get("/", "").await.0, 303);
    assert_eq!(get("/reviews/1", "atoll-node=guessed").await.0, 303);
    // Another site's name that leads here, and another site's form.
    let rebound = browser.get(&page).header("host", format!("evil.example:{port}")).send().await.unwrap();
    assert_eq!(rebound.status(), 421);
    assert!(rebound.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let foreign = browser.post(format!("{page}/sign-in")).header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    // A wrong code ends the right one.
    let code = async || reviews(&world, "example_org1", &["code"]).await.1.lines().next().unwrap().to_owned();
    let first = code().await;
    for (code, name, status) in [("WRONG", "dana", 422), (first.as_str(), "dana", 422), ("", "", 422)] {
        assert_eq!(post("/sign-in", "", &[("code", code), ("name", name)]).await.status(), status, "{code}");
    }
    let second = code().await;
    let signed_in = post("/sign-in", "", &[("code", &second.to_lowercase()), ("name", "dana")]).await;
    assert_eq!(signed_in.status(), 303);
    let set = signed_in.headers()["set-cookie"].to_str().unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let again = post("/sign-in", "", &[("code", second.as_str()), ("name", "dana")]).await;
    assert_eq!(again.status(), 422, "a code is good once");

    let (_, list) = get("/", &cookie).await;
    assert!(list.contains("partial_average") && list.contains("waiting"), "{list}");
    let (_, shown) = get("/reviews/1", &cookie).await;
    assert!(!shown.contains("<script>") && shown.contains("&lt;script&gt;"), "{shown}");
    let hash = shown.split("name=\"hash\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(post("/reviews/1", "", &[("verdict", "approve"), ("hash", &hash)]).await.status(), 303);
    assert_eq!(post("/reviews/1", &cookie, &[("verdict", "reject"), ("hash", &hash)]).await.status(), 422);
    assert_eq!(post("/reviews/1", &cookie, &[("verdict", "approve"), ("hash", "0")]).await.status(), 422);
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Pending);
    let approved = post("/reviews/1", &cookie, &[("verdict", "approve"), ("hash", &hash), ("scope", "run")]).await;
    assert_eq!(approved.status(), 303);
    let (status, logs, _) = outcome(&researcher, task.id).await;
    assert_eq!(status, Status::Completed);
    assert!(logs[0].contains("Approved by dana at the node"), "{logs:?}");
    assert_eq!(post("/sign-out", &cookie, &[]).await.status(), 303);
    assert_eq!(get("/", &cookie).await.0, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_are_mailed_that_a_review_waits_and_researchers_that_their_task_has_ended() {
    let sink = support::mail::MailSink::start().await;
    let world = World::with_mail(false, &sink).await;
    let _node = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let mut spec = ages(&[2]);
    spec.name = "Secret title".to_owned();
    let task = researcher.create_task(&spec).await.unwrap();
    researcher.create_task(&spec).await.unwrap();
    let review = waiting(&admin, 2).await.remove(0);
    eventually(async || !sink.mails().is_empty()).await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    outcome(&researcher, task.id).await;
    eventually(async || sink.mails().len() == 2).await;
    let mails = sink.mails();
    assert!(mails[0].contains("To: admin1@example.invalid") && mails[0].contains(&format!("/reviews/{}", review.id)));
    assert!(mails[1].contains("To: researcher@example.invalid") && mails[1].contains(&format!("/tasks/{}", task.id)));
    assert!(mails.iter().all(|mail| !mail.contains("Secret title") && !mail.contains("253")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_the_same_notices_and_is_tried_again() {
    let got: std::sync::Arc<std::sync::Mutex<Vec<Value>>> = std::sync::Arc::default();
    let kept = got.clone();
    let take = move |axum::Json(notice): axum::Json<Value>| async move {
        let mut kept = kept.lock().unwrap();
        kept.push(notice);
        // The first time it fails.
        if kept.len() == 1 { reqwest::StatusCode::SERVICE_UNAVAILABLE } else { reqwest::StatusCode::OK }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::with_webhook(&format!("http://{}/notices", listener.local_addr().unwrap())).await;
    let router = axum::Router::new().route("/notices", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let _node = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    let waits = json!({"event": "review_waits", "review_id": review.id, "run_id": review.run_id, "organization_id": 2});
    eventually(async || got.lock().unwrap().as_slice() == [waits.clone(), waits.clone()]).await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    outcome(&researcher, task.id).await;
    let ended = json!({"event": "task_ended", "task_id": task.id, "status": "completed"});
    eventually(async || got.lock().unwrap().last() == Some(&ended)).await;
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
    let task = researcher
        .create_task(&average("partial_average", &[2], json!({"column_name": "age", "x": deep})))
        .await
        .unwrap();
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
async fn a_withdrawal_at_the_node_is_not_undone_by_the_hub_s_older_approval() {
    let world = World::new().await;
    let station = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    station.stop().await;
    let id = review.run_id.to_string();
    reviews(&world, "example_org1", &["approve", &id]).await;
    reviews(&world, "example_org1", &["withdraw", &id]).await;
    // The hub believes in the approval of before.
    in_hub_database(
        &world,
        &format!(
            "UPDATE review SET state = 'approved', decided_by = 'ada', decided_at = since WHERE id = {}",
            review.id
        ),
    )
    .await;
    let _station = node(&world, "example_org1", ALWAYS).await;
    assert_eq!(waiting(&admin, 1).await[0].id, review.id);
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Pending);
}
