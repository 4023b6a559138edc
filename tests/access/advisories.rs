//! The advisories of vantage6 and its peers, each by its number, against our hub, portal and node. Of those that a part
//! of its own is about, the test is there: GHSA-47w6-gwp4-w6vc in tests/review/way_around.rs and tests/node/command.rs.

use std::time::{Duration, Instant};

use atoll::{
    hub::SecretKey,
    protocol::payload::{Dialect, encode},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use crate::support::{
    AVERAGE, PASSWORD, World, average, eventually, mail::MailSink, outcome, process, second_factor::code_of, web::Web,
};

async fn sign_in(world: &World, username: &str, password: &str) -> (StatusCode, Value) {
    let body = json!({"username": username, "password": password});
    world.call(Method::POST, "token/user", None, Some(&body)).await
}

/// What signs a hub's tokens: as it is stored, and with the hub's key.
async fn signing_secret(world: &World) -> (Vec<u8>, Vec<u8>) {
    let options = SqliteConnectOptions::new().filename(world.data.path().join("hub.sqlite"));
    let query = sqlx::query_scalar::<_, Vec<u8>>("SELECT value FROM setting WHERE name = 'signing_secret'");
    let stored = query.fetch_one(&mut options.connect().await.unwrap()).await.unwrap();
    let key = SecretKey::from_file(&world.data.path().join("hub.key")).unwrap();
    let secret = key.open("signing", std::str::from_utf8(&stored).unwrap()).unwrap();
    (stored, secret)
}

fn task(organization: i64, call: Value) -> Value {
    json!({"name": "t", "description": "", "image": AVERAGE, "collaboration_id": 1, "databases": [{"label": "default"}],
        "organizations": [{"id": organization, "input": encode(&call, Dialect::Json)}]})
}

fn ages() -> Value {
    json!({"method": "partial_average", "kwargs": {"column_name": "age"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2022_39228_a_locked_account_answers_as_one_that_is_not_there() {
    let world = World::new().await;
    let unknown = sign_in(&world, "nobody at all", "Wrong-1234").await;
    for attempt in 0..8 {
        assert_eq!(sign_in(&world, "viewer", "Wrong-1234").await, unknown, "{attempt}");
    }
    assert_eq!(sign_in(&world, "viewer", PASSWORD).await, unknown, "it is locked, which is not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2024_21671_the_time_of_an_answer_does_not_tell_who_exists() {
    let world = World::new().await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    // By turns, so that whatever else happens on the machine happens to both.
    for index in 0..40 {
        let name = ["viewer", "admin1", "admin2", "admin3", "auditor", "root", "researcher"][index % 7];
        for (name, times) in [(name.to_owned(), &mut known), (format!("nobody{index}"), &mut unknown)] {
            let start = Instant::now();
            sign_in(&world, &name, "Wrong-1234").await;
            times.push(start.elapsed());
        }
    }
    // The shortest: what else the machine does only makes them longer.
    let shortest = |times: &[Duration]| times.iter().min().unwrap().as_secs_f64();
    let ratio = shortest(&known) / shortest(&unknown);
    assert!((0.7..1.4).contains(&ratio), "{ratio}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2024_24770_and_cve_2024_24769_recovery_tells_nothing_and_floods_no_mailbox() {
    let sink = MailSink::start().await;
    let world = World::with_mail(false, &sink).await;
    let lost = async |body: Value| world.call(Method::POST, "recover/lost", None, Some(&body)).await;
    let unknown = lost(json!({"username": "nobody"})).await;
    for _ in 0..5 {
        assert_eq!(lost(json!({"username": "viewer"})).await, unknown);
        assert_eq!(lost(json!({"email": "viewer@example.invalid"})).await, unknown);
    }
    // A second account, so that there is a mail to wait for after all others could have come.
    lost(json!({"username": "admin2"})).await;
    eventually(async || sink.mails().iter().any(|mail| mail.contains("admin2@example.invalid"))).await;
    let to_viewer = sink.mails().iter().filter(|mail| mail.contains("viewer@example.invalid")).count();
    assert_eq!(to_viewer, 1);
    let second = async |username: &str| {
        let body = json!({"username": username, "password": "Wrong-1234"});
        world.call(Method::POST, "recover/2fa/lost", None, Some(&body)).await
    };
    assert_eq!(second("viewer").await, second("nobody").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2024_27928_a_mailbox_alone_opens_no_account_with_a_second_factor() {
    let sink = MailSink::start().await;
    let world = World::with_mail(true, &sink).await;
    let (_, set_up) = sign_in(&world, "viewer", PASSWORD).await;
    let secret = set_up["otp_secret"].as_str().unwrap().to_owned();
    let body = json!({"username": "viewer", "password": PASSWORD, "mfa_code": code_of(&secret)});
    assert_eq!(world.call(Method::POST, "token/user", None, Some(&body)).await.0, 200);
    world.call(Method::POST, "recover/lost", None, Some(&json!({"username": "viewer"}))).await;
    eventually(async || !sink.mails().is_empty()).await;
    let stolen = json!({"reset_token": sink.code(), "password": "Stolen-1234"});
    assert_eq!(world.call(Method::POST, "recover/reset", None, Some(&stolen)).await.0, 200);
    let (_, answer) = sign_in(&world, "viewer", "Stolen-1234").await;
    assert!(answer.get("access_token").is_none() && answer.get("otp_secret").is_none(), "{answer}");
    let body = json!({"username": "viewer", "password": "Stolen-1234"});
    let (status, answer) = world.call(Method::POST, "recover/2fa/lost", None, Some(&body)).await;
    assert_eq!(status, 400, "{answer}");
    assert_eq!(sink.mails().len(), 1, "no mail that replaces the second factor");
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2025_43863_changing_a_password_is_no_way_to_guess_it() {
    let world = World::new().await;
    let token = world.token("viewer").await;
    let change = async |current: &str| {
        let body = json!({"current_password": current, "new_password": "Another-1234"});
        world.call(Method::PATCH, "password/change", Some(&token), Some(&body)).await.0
    };
    for _ in 0..6 {
        assert_eq!(change("Wrong-1234").await, 401);
    }
    assert_eq!(change(PASSWORD).await, 401, "locked, also for the right one");
}

/// The claims of a token, unchecked.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2023_23929_refresh_tokens_end() {
    let world = World::new().await;
    let (_, tokens) = sign_in(&world, "viewer", PASSWORD).await;
    let claims = claims(tokens["refresh_token"].as_str().unwrap());
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 48 * 3600);
    // One that has ended, signed with the hub's own secret, as it was when it was given.
    let (_, secret) = signing_secret(&world).await;
    let with_end = |end: i64| {
        let mut claims = claims.clone();
        claims["exp"] = json!(end);
        let key = jsonwebtoken::EncodingKey::from_secret(&secret);
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    let now = jiff::Timestamp::now().as_second();
    let refreshed = async |token: String| world.call(Method::POST, "token/refresh", Some(&token), None).await.0;
    assert_eq!(refreshed(with_end(now + 60)).await, 200);
    assert_eq!(refreshed(with_end(now - 3600)).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2025_43866_the_signing_secret_is_random_and_of_this_hub_only() {
    let secret = async || {
        let world = World::new().await;
        let (stored, secret) = signing_secret(&world).await;
        // The database alone does not tell it.
        assert!(!stored.windows(secret.len()).any(|part| part == secret));
        let other_key = SecretKey::from_material(&[1; 32]).unwrap();
        assert!(other_key.open("signing", std::str::from_utf8(&stored).unwrap()).is_err());
        secret
    };
    let (one, other) = (secret().await, secret().await);
    assert!(one.len() >= 32 && one != other);
    // Not a text, as UUIDs are.
    assert!(std::str::from_utf8(&one).is_err() || std::str::from_utf8(&other).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_54445_there_is_no_default_password_and_the_demo_listens_on_loopback_only() {
    let data = tempfile::tempdir().unwrap();
    let server = process::Server::start_with(data.path(), &[], &[("ATOLL_ROOT_PASSWORD", "")]);
    let http = reqwest::Client::new();
    for password in ["root", "admin", "password", PASSWORD, ""] {
        let body = json!({"username": "root", "password": password});
        let answer = http.post(format!("{}/api/token/user", server.url)).json(&body).send().await.unwrap();
        assert!([400, 401].contains(&answer.status().as_u16()), "{password}");
    }
    let demo = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"))
        .args(["serve", "--demo", "--listen", "0.0.0.0:0", "--data"])
        .arg(data.path().join("demo"))
        .output()
        .unwrap();
    assert!(!demo.status.success() && String::from_utf8_lossy(&demo.stderr).contains("loopback"));
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2023_22738_nobody_is_moved_to_another_organization_with_their_rights() {
    let world = World::new().await;
    let root = world.token("root").await;
    world.call(Method::PATCH, "user/2", Some(&root), Some(&json!({"organization_id": 3}))).await;
    let (_, user) = world.get("user/2", &root).await;
    assert_eq!(user["organization"]["id"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2024_32969_nobody_widens_their_own_rights() {
    let world = World::new().await;
    let root = world.token("root").await;
    let manager = json!({"username": "manager", "password": PASSWORD, "email": "m@example.org", "firstname": "m",
        "lastname": "m", "organization_id": 2, "roles": [7]});
    let (_, manager) = world.call(Method::POST, "user", Some(&root), Some(&manager)).await;
    let token = world.token("manager").await;
    let own = format!("user/{}", manager["id"]);
    for (method, path, body) in [
        (Method::PATCH, own.as_str(), json!({"roles": [1]})),
        (Method::PATCH, own.as_str(), json!({"rules": [1]})),
        (Method::POST, "role", json!({"name": "more", "rules": [17], "organization_id": 2})),
        (Method::PATCH, "user/1", json!({"roles": [1]})),
        (Method::PATCH, "role/7", json!({"rules": [1]})),
        (Method::POST, "role/7/rule/1", json!({})),
        (
            Method::POST,
            "user",
            json!({"username": "mighty", "password": PASSWORD, "email": "x@example.org",
            "firstname": "x", "lastname": "x", "organization_id": 2, "roles": [1]}),
        ),
        // Rights within a collaboration reach to its organizations: who adds one takes it over.
        (Method::POST, "collaboration/1/organization", json!({"id": 1})),
        (Method::PATCH, "collaboration/1", json!({"organization_ids": [1, 2, 3, 4]})),
        (Method::PATCH, "user/6", json!({"disabled": true})),
        (Method::POST, "user/6/reset-second-factor", json!({})),
    ] {
        let (status, answer) = world.call(method, path, Some(&token), Some(&body)).await;
        assert!([400, 401].contains(&status.as_u16()), "{path} {status} {answer}");
    }
    assert!(world.get("collaboration/1", &world.token("root").await).await.0.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2023_41882_tasks_and_results_of_other_collaborations_stay_theirs() {
    let world = World::new().await;
    let (root, researcher) = (world.token("root").await, world.token("researcher").await);
    let (_, other) = world.call(Method::POST, "organization", Some(&root), Some(&json!({"name": "elsewhere"}))).await;
    let stranger = json!({"username": "stranger", "password": PASSWORD, "email": "s@example.org", "firstname": "s",
        "lastname": "s", "organization_id": other["id"], "roles": [7]});
    assert_eq!(world.call(Method::POST, "user", Some(&root), Some(&stranger)).await.0, 201);
    assert_eq!(world.call(Method::POST, "task", Some(&researcher), Some(&task(2, ages()))).await.0, 201);
    let token = world.token("stranger").await;
    for path in ["task/1", "run/1", "result/1", "task/1?include=results", "collaboration/1", "collaboration/1/task"] {
        let (status, answer) = world.get(path, &token).await;
        assert!([401, 404, 405].contains(&status.as_u16()), "{path} {status} {answer}");
    }
    for path in ["task?include=results", "run?task_id=1", "result?task_id=1", "task?collaboration_id=1"] {
        let (status, answer) = world.get(path, &token).await;
        let is_empty = answer["data"].as_array().is_some_and(Vec::is_empty);
        assert!(status == 401 || is_empty, "{path} {status} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2023_41881_nothing_attaches_itself_to_an_id_that_is_used_again() {
    let world = World::new().await;
    let root = world.token("root").await;
    let create = async || {
        let token = world.token("researcher").await;
        let (_, task) = world.call(Method::POST, "task", Some(&token), Some(&task(2, ages()))).await;
        task["id"].as_i64().unwrap()
    };
    let first = create().await;
    assert_eq!(world.call(Method::DELETE, &format!("task/{first}"), Some(&root), None).await.0, 200);
    let second = create().await;
    assert!(second > first);
    for path in ["collaboration/1?delete_dependents=true"] {
        world.call(Method::DELETE, path, Some(&root), None).await;
    }
    let again = json!({"name": "again", "organization_ids": [2, 3], "encrypted": false});
    let (_, again) = world.call(Method::POST, "collaboration", Some(&root), Some(&again)).await;
    assert_ne!(again["id"], 1);
    let (_, tasks) = world.get("task", &root).await;
    assert_eq!(tasks["data"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2023_28635_a_name_is_never_taken_for_an_id() {
    let world = World::new().await;
    let root = world.token("root").await;
    for (path, body) in [
        ("organization", json!({"name": "13"})),
        ("collaboration", json!({"name": " 13 ", "organization_ids": [2], "encrypted": false})),
        (
            "user",
            json!({"username": "13", "password": PASSWORD, "email": "n@example.org", "firstname": "n",
            "lastname": "n", "organization_id": 2, "roles": [4]}),
        ),
    ] {
        assert_eq!(world.call(Method::POST, path, Some(&root), Some(&body)).await.0, 400, "{path}");
    }
    // What a node does with such names: tests/review/way_around.rs.
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2023_47631_a_parent_is_not_believed_and_subtasks_are_judged_as_their_own() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    let mut body = task(2, ages());
    assert_eq!(world.call(Method::POST, "task", Some(&token), Some(&body)).await.0, 201);
    body["parent_id"] = json!(1);
    assert_eq!(world.call(Method::POST, "task", Some(&token), Some(&body)).await.0, 400);
    // The node that allows only another user refuses the subtask, too.
    let _nodes = (
        world.start_node("example_org1").await,
        world
            .start_node_with("example_org2", |text| {
                text.push_str("share_config: false\npolicies:\n  allowed_users: [999]\n")
            })
            .await,
    );
    let client = world.client("researcher").await;
    let kwargs = json!({"column_name": "age", "organizations_to_include": [3]});
    let task = client.create_task(&average("central_average", &[2], kwargs)).await.unwrap();
    let (_, logs, results) = outcome(&client, task.id).await;
    assert!(results.is_empty(), "{logs:?}");
    let subtask = &client.subtasks(task.id).await.unwrap()[0];
    assert!(client.runs(subtask.id).await.unwrap()[0].log.contains("neither the user nor the organization"));
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2024_21649_names_of_images_functions_and_databases_run_nothing() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    for image in ["a b", "-v /:/host", "img;id", "img\nENV X=1", "$(id)", "`id`", ""] {
        let mut body = task(2, ages());
        body["image"] = json!(image);
        assert_eq!(world.call(Method::POST, "task", Some(&token), Some(&body)).await.0, 400, "{image:?}");
    }
    let _node = world.start_node("example_org1").await;
    let client = world.client("researcher").await;
    // Each of them with everything else right, so that it fails because of it alone.
    let right = average("partial_average", &[2], json!({"column_name": "age"}));
    let mut function = right.clone();
    function.call.function.push_str("\nPATH=/tmp");
    let mut database = right.clone();
    database.databases = vec!["default\nLD_PRELOAD=/tmp/x.so".to_owned()];
    for (spec, succeeds) in [(right, true), (function, false), (database, false)] {
        let task = client.create_task(&spec).await.unwrap();
        let (status, logs, _) = outcome(&client, task.id).await;
        assert_eq!(!status.is_failure(), succeeds, "{logs:?}");
        assert!(logs.iter().all(|log| !log.contains("\nLD_PRELOAD") && !log.contains("\nPATH")), "{logs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2023_23930_a_pickle_that_does_something_is_refused_where_it_is_sent() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    // os.system("true"), by hand.
    let pickle = b"\x80\x04cposix\nsystem\n(S'true'\ntR.";
    let mut body = task(2, ages());
    body["organizations"][0]["input"] = json!(STANDARD.encode(pickle));
    let (status, answer) = world.call(Method::POST, "task", Some(&token), Some(&body)).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2024_22193_an_encrypted_collaboration_takes_no_plain_input() {
    let world = World::new().await;
    let root = world.token("root").await;
    let encrypted = json!({"encrypted": true});
    assert_eq!(world.call(Method::PATCH, "collaboration/1", Some(&root), Some(&encrypted)).await.0, 200);
    let token = world.token("researcher").await;
    assert_eq!(world.call(Method::POST, "task", Some(&token), Some(&task(2, ages()))).await.0, 400);
    // The portal does not even offer it.
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    let first = web.request(Method::GET, "/tasks/new").send().await.unwrap();
    let (_, page) = web.get(first.headers()["location"].to_str().unwrap()).await;
    assert!(page.contains("Nothing is sent to them unencrypted"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2024_23823_and_cve_2024_24562_no_foreign_page_reads_answers_and_all_answers_have_their_headers() {
    let world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("admin1").await;
    let (_, page) = web.get("/").await;
    let stylesheet =
        page.split("href=\"").filter_map(|rest| rest.split('"').next()).find(|path| path.ends_with(".css"));
    let stylesheet = stylesheet.unwrap().to_owned();
    for path in [
        "/",
        "/login",
        "/tasks",
        "/reviews",
        "/audit",
        "/users",
        "/nowhere",
        "/favicon.svg",
        &stylesheet,
        "/api/version",
        "/api/task",
    ] {
        let request = web.request(Method::GET, path).header("origin", "https://evil.example");
        let answer = request.send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("access-control-allow-origin"), None, "{path}");
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert!(header("referrer-policy").is_some() && header("server").is_none(), "{path}");
        let policy = header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("frame-ancestors 'none'"), "{path} {policy}");
    }
    // A form of another site changes nothing.
    let foreign = web.form("/reviews", &[("action", "approve")]).header("origin", "https://evil.example");
    let foreign = foreign.header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
}
