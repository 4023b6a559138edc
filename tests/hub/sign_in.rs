//! Sign-in, its limits, and tokens.

use std::time::{Duration, Instant};

use atoll::protocol::client::{HubClient, TokenPair, Transport};
use reqwest::Method;
use serde_json::json;

use crate::{
    DELETE, POST,
    support::{self, AVERAGE, PASSWORD, World, average},
};

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_answers_the_same_for_unknown_wrong_and_locked() {
    let world = World::new().await;
    let attempt = async |username: &str, password: &str| {
        let start = Instant::now();
        let body = json!({"username": username, "password": password});
        let answer = world.call(POST, "token/user", None, Some(&body)).await;
        (answer, start.elapsed())
    };
    let (unknown, _) = attempt("nobody", "wrong").await;
    let (wrong, _) = attempt("viewer", "wrong").await;
    assert_eq!(unknown, wrong);
    for _ in 0..4 {
        attempt("viewer", "wrong").await;
    }
    let (locked, _) = attempt("viewer", PASSWORD).await;
    // The shortest of many tries: what else the machine does only makes them longer.
    let mut times: [Vec<Duration>; 3] = Default::default();
    for round in 0..9 {
        times[0].push(attempt(&format!("nobody{round}"), "wrong").await.1);
        times[1].push(attempt("viewer", PASSWORD).await.1);
        times[2].push(attempt(if round < 4 { "admin1" } else { "admin2" }, "wrong").await.1);
    }
    let times = times.map(|times| times.into_iter().min().unwrap_or_default().as_secs_f64());
    let (shortest, longest) = (times.into_iter().fold(f64::MAX, f64::min), times.into_iter().fold(0.0, f64::max));
    assert!(longest / shortest < 1.5, "unknown, locked, wrong: {times:?} seconds");
    assert_eq!(locked, unknown, "the right password for a locked account");
    let (other, _) = attempt("admin3", PASSWORD).await;
    assert_eq!(other.0, 200, "other accounts are not locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn capitals_of_a_name_do_not_matter_unless_they_tell_two_users_apart() {
    let world = World::new().await;
    let attempt = async |username: &str, password: &str| {
        let body = json!({"username": username, "password": password});
        world.call(POST, "token/user", None, Some(&body)).await.0
    };
    for name in ["researcher", "Researcher", "RESEARCHER"] {
        assert_eq!(attempt(name, PASSWORD).await, 200, "{name}");
        assert_eq!(attempt(name, "wrong").await, 401, "{name}");
    }
    // Of an earlier version, which took both.
    let copy = "INSERT INTO user (username, password_hash, email, firstname, lastname, organization_id)
        SELECT 'Researcher', password_hash, 'other@example.org', '', '', organization_id FROM user WHERE username = 'researcher'";
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.data.path().join("hub.sqlite"));
    let mut database = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query(copy).execute(&mut database).await.unwrap();
    for (name, status) in [("researcher", 200), ("Researcher", 200), ("RESEARCHER", 401)] {
        assert_eq!(attempt(name, PASSWORD).await, status, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_renews_its_token_before_it_ends() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    let fresh = client.tokens();
    client.whoami().await.unwrap();
    assert!(client.tokens().is_same(&fresh), "not before it is time");
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(30);
    client.set_tokens(TokenPair { expires: Some(soon), ..fresh.clone() });
    client.whoami().await.unwrap();
    let renewed = client.tokens();
    assert!(!renewed.is_expiring());
    assert!(renewed.expires >= fresh.expires);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_renewed_and_only_for_their_purpose() {
    let world = World::new().await;
    let body = json!({"username": "researcher", "password": PASSWORD});
    let (_, tokens) = world.call(POST, "token/user", None, Some(&body)).await;
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    assert_eq!(world.call(POST, "token/refresh", Some(access), None).await.0, 401);
    assert_eq!(world.get("task", refresh).await.0, 401);
    assert_eq!(world.get("task", "abc").await.0, 401);
    // A client with a stale access token renews it by itself.
    let transport = Transport::new(&world.url.parse().unwrap()).unwrap();
    let stale = atoll::protocol::client::TokenPair::new("stale.token.x".into(), refresh.into());
    let client = HubClient::new(transport, stale);
    assert_eq!(client.organizations().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_good_once_and_a_second_use_ends_all_that_came_of_it() {
    let world = World::new().await;
    let body = json!({"username": "researcher", "password": PASSWORD});
    let (_, first) = world.call(POST, "token/user", None, Some(&body)).await;
    let (_, other) = world.call(POST, "token/user", None, Some(&body)).await;
    let text = |tokens: &serde_json::Value, key: &str| tokens[key].as_str().unwrap().to_owned();
    let refresh = async |token: &str| world.call(POST, "token/refresh", Some(token), None).await;
    let (status, second) = refresh(&text(&first, "refresh_token")).await;
    assert_eq!(status, 200);
    assert_eq!(world.get("task", &text(&second, "access_token")).await.0, 200);
    assert_eq!(refresh(&text(&first, "refresh_token")).await.0, 401, "it comes a second time");
    for dead in [&first, &second] {
        assert_eq!(world.get("task", &text(dead, "access_token")).await.0, 401);
        assert_eq!(refresh(&text(dead, "refresh_token")).await.0, 401);
    }
    assert_eq!(world.get("task", &text(&other, "access_token")).await.0, 200, "another sign-in is another family");
    let (_, log) = world.get("audit?action=token.reuse", &world.token("root").await).await;
    assert_eq!(log["data"][0]["subject"], "user 1", "{log}");
    // What replaces it ends when it would have.
    let ends = |token: &str| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&claims).unwrap()["exp"].as_i64().unwrap()
    };
    assert_eq!(ends(&text(&first, "refresh_token")), ends(&text(&second, "refresh_token")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_address_needs_the_password_tells_the_old_one_and_ends_all_tokens() {
    let sink = support::mail::MailSink::start().await;
    let world = World::with_mail(false, &sink).await;
    let token = world.token("researcher").await;
    let edit = json!({"email": "thief@example.invalid"});
    assert_eq!(world.call(Method::PATCH, "user/1", Some(&token), Some(&edit)).await.0, 400);
    let change = |password: &str| json!({"email": "rosa@example.invalid", "password": password});
    assert_eq!(world.call(POST, "account/email", Some(&token), Some(&change("wrong"))).await.0, 400);
    let (status, changed) = world.call(POST, "account/email", Some(&token), Some(&change(PASSWORD))).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(world.get("user/1", &token).await.0, 401);
    let (_, user) = world.get("user/1", changed["access_token"].as_str().unwrap()).await;
    assert_eq!(user["email"], "rosa@example.invalid");
    support::eventually(async || !sink.mails().is_empty()).await;
    let mails = sink.mails();
    assert!(mails[0].contains("To: researcher@example.invalid") && mails[0].contains("rosa@example.invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_before_signing_in_are_small_and_typed() {
    let world = World::new().await;
    let of = async |body: serde_json::Value| world.call(POST, "token/user", None, Some(&body)).await.0;
    let credentials =
        |code: serde_json::Value| json!({"username": "researcher", "password": PASSWORD, "mfa_code": code});
    for code in [json!([]), json!({"a": [1, 2]}), json!(true), json!("1".repeat(21)), json!(-1)] {
        assert_eq!(of(credentials(code.clone())).await, 400, "{code}");
    }
    for code in [json!("123456"), json!(123456), json!(null)] {
        assert_eq!(of(credentials(code.clone())).await, 200, "{code}");
    }
    for path in ["token/user", "token/node", "recover/lost", "recover/reset", "recover/2fa/lost", "recover/2fa/reset"] {
        let body = json!({"username": "x".repeat(17_000)});
        assert_eq!(world.call(POST, path, None, Some(&body)).await.0, 413, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_attempts_at_once_do_not_slip_past_the_lock() {
    let world = World::new().await;
    let attempt = async |password: &str| {
        let body = json!({"username": "viewer", "password": password});
        world.call(POST, "token/user", None, Some(&body)).await.0
    };
    let wrong = futures::future::join_all((0..20).map(|_| attempt("wrong"))).await;
    assert!(wrong.iter().all(|status| *status == 401), "{wrong:?}");
    assert_eq!(attempt(PASSWORD).await, 401, "the account is locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_container_ends_with_its_node() {
    let world = World::new().await;
    let root = world.token("root").await;
    let client = world.client("researcher").await;
    let task = client.create_task(&average("central_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    let node = world.node_token("example_org1").await;
    let body = json!({"task_id": task.id, "image": AVERAGE});
    let (status, answer) = world.call(POST, "token/container", Some(&node), Some(&body)).await;
    assert_eq!(status, 200, "{answer}");
    let container = answer["container_token"].as_str().unwrap();
    assert_eq!(world.get("organization", container).await.0, 200);
    let (_, nodes) = world.get("node?organization_id=2", &root).await;
    let path = format!("node/{}", nodes["data"][0]["id"]);
    assert_eq!(world.call(DELETE, &path, Some(&root), None).await.0, 200);
    assert_eq!(world.get("organization", container).await.0, 401);
    assert_eq!(world.get("node", &node).await.0, 401);
}
