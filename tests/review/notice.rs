//! Mail and webhook.

use serde_json::{Value, json};

use crate::support::{self, World, eventually, outcome};
use crate::{ALWAYS, ages, node, once, waiting};

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
    assert!(mails.iter().all(|mail| !mail.contains("Secret title") && !mail.contains(":253")));
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
