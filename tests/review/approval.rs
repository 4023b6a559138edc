//! How far an approval reaches, and how it is taken back.

use atoll::protocol::client::{HubClient, NewDecision, ReviewQuery};
use atoll::protocol::policy::ReviewMode;
use atoll::protocol::review::{Approval, ReviewState, Verdict};
use atoll::protocol::status::Status;
use serde_json::json;

use crate::support::{World, average, eventually, outcome, web::Web};
use crate::{ALWAYS, Asked, admit, ages, asked, decision, in_hub_database, node, once, reviews, waiting};

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_for_two_runs_is_for_two_of_exactly_the_same() {
    let Asked { world: _world, station: _station, researcher, admin, task: first, review } = asked(ALWAYS).await;
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
    // What was approved stays to be read when it is taken back.
    let withdrawn = admin.decide_review(review.id, &decision(&review, Verdict::Withdraw, "over")).await.unwrap();
    assert_eq!(withdrawn.approval.and_then(|approval| approval.runs), Some(2));
    assert_eq!(withdrawn.decision.map(|decision| decision.reason), Some(String::new()));
    assert_eq!(withdrawn.withdrawal.map(|withdrawal| withdrawal.reason).as_deref(), Some("over"));
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
    let Asked { world, station, researcher, admin, task, review } = asked(ALWAYS).await;
    station.stop().await;
    admin.decide_review(review.id, &once(&review)).await.unwrap();
    let again = admin.decide_review(review.id, &decision(&review, Verdict::Withdraw, "too early")).await.unwrap();
    assert_eq!((again.state, again.decision), (ReviewState::Waiting, None));
    // It waits as before, and tells who took the approval back.
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("admin1").await;
    let (_, page) = web.get(&format!("/reviews/{}", review.id)).await;
    assert!(page.contains("An approval was withdrawn by admin1") && page.contains(": too early"), "{page}");
    let withdrawal = again.withdrawal.unwrap();
    assert_eq!(
        (withdrawal.by.as_str(), withdrawal.reason.as_str(), withdrawal.at_node),
        ("admin1", "too early", false)
    );
    let _station = node(&world, "example_org1", ALWAYS).await;
    assert_eq!(waiting(&admin, 1).await[0].id, review.id, "the same review goes on");
    admin.decide_review(review.id, &decision(&review, Verdict::Reject, "changed my mind")).await.unwrap();
    assert_eq!(outcome(&researcher, task.id).await.0, Status::NotAllowed);
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
    assert_eq!((decided.len(), decided.iter().any(|listed| listed.review.state == ReviewState::Waiting)), (2, false));
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
    assert!(
        log["data"][0]["details"]
            .as_str()
            .unwrap()
            .starts_with("for 2 runs of exactly the same, as long as the data stay as they are; hash"),
        "{log}"
    );
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
async fn a_withdrawal_at_the_node_is_not_undone_by_the_hub_s_older_approval() {
    let Asked { world, station, researcher, admin, task, review } = asked(ALWAYS).await;
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
    let withdrawal = admin.review(review.id).await.unwrap().withdrawal;
    assert!(withdrawal.is_some_and(|withdrawal| withdrawal.at_node));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_come_at_once_use_an_approval_no_more_often_than_it_is_for() {
    let Asked { world, station, researcher, admin, task: first, review } = asked(ALWAYS).await;
    let three = NewDecision { approval: Some(Approval { runs: Some(3), ..Default::default() }), ..once(&review) };
    admin.decide_review(review.id, &three).await.unwrap();
    outcome(&researcher, first.id).await;
    station.stop().await;
    for _ in 0..5 {
        researcher.create_task(&ages(&[2])).await.unwrap();
    }
    let _station = node(&world, "example_org1", ALWAYS).await;
    waiting(&admin, 3).await;
    assert_eq!(admin.review(review.id).await.unwrap().used, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_came_while_the_node_was_away_is_for_no_other_run_on_data_of_after_it() {
    let Asked { world, station, researcher, admin, task: first, review } = asked(ALWAYS).await;
    station.stop().await;
    let five = NewDecision { approval: Some(Approval { runs: Some(5), ..Default::default() }), ..once(&review) };
    admin.decide_review(review.id, &five).await.unwrap();
    let second = researcher.create_task(&ages(&[2])).await.unwrap();
    admit(&world);
    let _station = node(&world, "example_org1", ALWAYS).await;
    // The one that was looked at starts, once; the other is looked at.
    assert_eq!(outcome(&researcher, first.id).await.0, Status::Completed);
    let other = waiting(&admin, 1).await.remove(0);
    assert_eq!(other.run_id, researcher.runs(second.id).await.unwrap()[0].id);
    // Decided, and no review comes after it for ever.
    admin.decide_review(other.id, &once(&other)).await.unwrap();
    assert_eq!(outcome(&researcher, second.id).await.0, Status::Completed);
    let all = admin.reviews(&ReviewQuery { per_page: 100, ..Default::default() }).await.unwrap();
    assert_eq!(all.total, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_approval_is_for_the_data_that_are_there_when_it_is_given() {
    let Asked { world, station: _station, researcher, admin, task: first, review } = asked(ALWAYS).await;
    admit(&world);
    let five = NewDecision { approval: Some(Approval { runs: Some(5), ..Default::default() }), ..once(&review) };
    admin.decide_review(review.id, &five).await.unwrap();
    outcome(&researcher, first.id).await;
    // The node had not seen yet that somebody was admitted: whether it was before or after the decision nobody knows.
    let second = researcher.create_task(&ages(&[2])).await.unwrap();
    let review = waiting(&admin, 1).await.remove(0);
    let five = NewDecision { hash: review.hash.clone(), ..five };
    admin.decide_review(review.id, &five).await.unwrap();
    for task in [second, researcher.create_task(&ages(&[2])).await.unwrap()] {
        assert_eq!(outcome(&researcher, task.id).await.0, Status::Completed);
    }
    admit(&world);
    researcher.create_task(&ages(&[2])).await.unwrap();
    let last = waiting(&admin, 1).await.remove(0);
    let unusual = last.request.unusual.join(" ");
    assert!(unusual.contains("when the data were others"), "{unusual}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_node_leaves_at_the_server_says_so_and_is_taken_later() {
    let world = World::new().await;
    let _node = node(&world, "example_org1", ALWAYS).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let mut tasks = Vec::new();
    for number in 0..48 {
        let arguments = json!({"column_name": format!("{number}{}", "x".repeat(80_000))});
        tasks.push(researcher.create_task(&average("partial_average", &[2], arguments)).await.unwrap().id);
    }
    let left = "It waits at the server";
    let are_left = async || {
        let mut left_ones = Vec::new();
        for task in &tasks {
            let runs = researcher.run_states(*task).await.unwrap();
            left_ones.extend(runs.iter().any(|run| run.log.contains(left)).then_some(*task));
        }
        left_ones
    };
    eventually(async || !are_left().await.is_empty() && waiting_count(&admin).await + are_left().await.len() == 48)
        .await;
    let later = are_left().await[0];
    for task in tasks.iter().filter(|task| **task != later) {
        researcher.kill_task(*task).await.unwrap();
    }
    let reviews = waiting(&admin, 1).await;
    assert_eq!(reviews[0].request.task_id, later);
    let runs = researcher.run_states(later).await.unwrap();
    assert_eq!(runs[0].log.matches(left).count(), 0, "it does not wait there any more");
}

async fn waiting_count(admin: &HubClient) -> usize {
    let query = ReviewQuery { state: Some(ReviewState::Waiting), per_page: 1, ..Default::default() };
    admin.reviews(&query).await.unwrap().total
}
