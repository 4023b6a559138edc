//! Who decides about what waits, and what becomes of it.

use atoll::protocol::client::{ClientError, ReviewQuery};
use atoll::protocol::review::{ReviewState, Subject, Verdict};
use atoll::protocol::status::Status;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, average, eventually, outcome, web::Web};
use crate::{ALWAYS, Asked, ages, asked, decision, in_hub_database, in_node_database, node, once, reviews, waiting};

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
    assert_eq!(researcher.task(task.id).await.unwrap().awaits, Some(Subject::Run));

    admin.decide_review(review.id, &once(&review)).await.unwrap();
    let (status, logs, results) = outcome(&researcher, task.id).await;
    assert_eq!((status, results), (Status::Completed, vec![json!({"sum": 253, "count": 4})]), "{logs:?}");
    assert!(logs[0].contains("Approved by admin1"), "{logs:?}");
    assert_eq!(researcher.task(task.id).await.unwrap().awaits, None);
    let decided = admin.review(review.id).await.unwrap();
    assert_eq!((decided.state, decided.used), (ReviewState::Approved, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_decides_or_reads_a_review() {
    let Asked { world, station, researcher: _researcher, admin, task: _task, review } = asked(ALWAYS).await;
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
    station.stop().await;
    world.wait_for(2, false).await;
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
    // Lists say it of the task that somebody began.
    let (_, tasks) = world.get("/task?is_user_created=1", &world.token("researcher").await).await;
    assert_eq!(tasks["data"][0]["awaits"], "run", "{tasks}");
    // Ids of organizations are told with their names.
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    let (_, page) = web.get(&format!("/tasks/{}", task.id)).await;
    assert!(page.contains("(example_org1, example_org2)"), "{page}");
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
    let Asked { world: _world, station: _station, researcher, admin, task, review } = asked(ALWAYS).await;
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
async fn a_decision_while_the_node_was_away_holds_when_it_is_back() {
    let Asked { world, station, researcher, admin, task, review } = asked(ALWAYS).await;
    station.stop().await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Pending);
    let _station = node(&world, "example_org1", ALWAYS).await;
    assert_eq!(outcome(&researcher, task.id).await.0, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_who_cancels_ends_the_review() {
    let Asked { world, station, researcher, admin, task: first, review } = asked(ALWAYS).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_decides_about_in_time_is_refused_and_late_decisions_do_not_count() {
    let Asked { world, station, researcher, admin, task, review } = asked(ALWAYS).await;
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
async fn what_waits_for_its_admin_is_not_given_up_because_another_organization_failed() {
    let world = World::new().await;
    let _second = node(&world, "example_org2", ALWAYS).await;
    let (researcher, admin2) = (world.client("researcher").await, world.client("admin2").await);
    // Only the file of the first organization has no number there.
    let file = world.node_folder("example_org1").join("default.csv");
    std::fs::write(&file, "patient,age\nx,many\ny,few\n").unwrap();
    let task = researcher.create_task(&ages(&[2, 3])).await.unwrap();
    let review = waiting(&admin2, 1).await.remove(0);
    // Not before: a run that no node has taken yet ends with the first that fails.
    let _first = node(&world, "example_org1", "").await;
    eventually(async || researcher.runs(task.id).await.unwrap().iter().any(|run| run.status == Status::Crashed)).await;
    assert_eq!(admin2.review(review.id).await.unwrap().state, ReviewState::Waiting);
    admin2.decide_review(review.id, &once(&review)).await.unwrap();
    let (_, logs, results) = outcome(&researcher, task.id).await;
    assert_eq!(results, [json!({"sum": 173, "count": 4})], "{logs:?}");
}
