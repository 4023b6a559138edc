//! What users do about their own account.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    GET, PATCH, POST,
    support::{
        PASSWORD, World, eventually,
        mail::MailSink,
        second_factor::{code_at, code_of},
        web::Web,
    },
};

async fn sign_in(world: &World, username: &str, code: Option<&str>) -> (u16, Value) {
    let body = json!({"username": username, "password": PASSWORD, "mfa_code": code});
    let (status, answer) = world.call(POST, "token/user", None, Some(&body)).await;
    (status.as_u16(), answer)
}

async fn call(world: &World, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
    let (status, answer) = world.call(method, path, Some(token), Some(&body)).await;
    (status.as_u16(), answer)
}

/// Changes something behind the hub's back.
async fn in_database(world: &World, statement: &str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.data.path().join("hub.sqlite"));
    let mut database = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query(statement).execute(&mut database).await.unwrap();
}

/// Sets up a second factor for oneself: its key and the recovery codes.
async fn set_up(world: &World, token: &str, proof: Value) -> (String, Vec<String>, String) {
    let (status, begun) = call(world, POST, "account/second-factor", token, proof).await;
    assert_eq!(status, 200, "{begun}");
    let key = begun["otp_secret"].as_str().unwrap().to_owned();
    let (status, answer) =
        call(world, POST, "account/second-factor/confirm", token, json!({"mfa_code": "000000"})).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer["errors"]["mfa_code"].is_array(), "{answer}");
    let first = json!({"mfa_code": code_of(&key)});
    let (status, answer) = call(world, POST, "account/second-factor/confirm", token, first).await;
    assert_eq!(status, 200, "{answer}");
    // The tokens of before have ended.
    assert_eq!(call(world, GET, "account", token, Value::Null).await.0, 401);
    let codes = answer["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
    (key, codes.collect(), answer["tokens"]["access_token"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_that_one_set_up_is_asked_for_and_recovery_codes_stand_in_once() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    for (proof, field) in [(json!({"password": "wrong"}), "password"), (json!({}), "password")] {
        let (status, answer) = call(&world, POST, "account/second-factor", &token, proof).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer["errors"][field].is_array(), "{answer}");
    }
    let (status, begun) = call(&world, POST, "account/second-factor", &token, json!({"password": PASSWORD})).await;
    assert_eq!(status, 200, "{begun}");
    assert!(sign_in(&world, "researcher", None).await.1["access_token"].is_string(), "begun only: nothing holds yet");
    let (key, codes, token) = set_up(&world, &token, json!({"password": PASSWORD})).await;
    assert_ne!(begun["otp_secret"], json!(key), "beginning again makes another one");
    assert_eq!(codes.len(), 10);
    let (_, account) = call(&world, GET, "account", &token, Value::Null).await;
    assert_eq!((&account["second_factor"], &account["recovery_codes"]), (&json!(true), &json!(10)), "{account}");
    let (status, answer) = sign_in(&world, "researcher", None).await;
    assert_eq!((status, answer["access_token"].is_null()), (200, true), "{answer}");
    assert_eq!(sign_in(&world, "researcher", Some(&code_of(&key))).await.0, 401, "used when it was set up");
    assert_eq!(sign_in(&world, "researcher", Some(&code_at(&key, 1))).await.0, 200);
    let typed = codes[0].replace('-', " ").to_lowercase();
    assert_eq!(sign_in(&world, "researcher", Some(&typed)).await.0, 200, "however it is typed");
    assert_eq!(sign_in(&world, "researcher", Some(&codes[0])).await.0, 401, "once");
    assert!(sign_in(&world, "viewer", None).await.1["access_token"].is_string(), "others need none");
    // The account is read with everything that there is to see of a user.
    let (_, account) = call(&world, GET, "account", &token, Value::Null).await;
    let (_, user) = call(&world, GET, "user/1", &token, Value::Null).await;
    assert!(!format!("{account}{user}").contains(&key));
    assert_eq!(account["recovery_codes"], 9);
    let root = world.token("root").await;
    let (_, log) = world.get("audit?per_page=200", &root).await;
    for action in ["second_factor.begin", "second_factor.set", "recovery_code.use"] {
        assert!(log.to_string().contains(action), "{action}: {log}");
    }
    assert!(!log.to_string().contains(&key) && !codes.iter().any(|code| log.to_string().contains(code)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_at_once_with_one_recovery_code_one_gets_in() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    let (_, codes, _) = set_up(&world, &token, json!({"password": PASSWORD})).await;
    for code in &codes[..3] {
        let tries = (0..3).map(|_| sign_in(&world, "researcher", Some(code)));
        let answers = futures::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 1, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sits_at_an_open_browser_cannot_replace_the_second_factor() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    let (key, codes, token) = set_up(&world, &token, json!({"password": PASSWORD})).await;
    let without_code = json!({"password": PASSWORD});
    for path in ["account/second-factor", "account/second-factor/remove", "account/recovery-codes"] {
        let (status, answer) = call(&world, POST, path, &token, without_code.clone()).await;
        assert_eq!(status, 400, "{path} {answer}");
        assert!(answer["errors"]["mfa_code"].is_array(), "{path} {answer}");
    }
    let proof = |code: &str| json!({"password": PASSWORD, "mfa_code": code});
    let (status, fresh) = call(&world, POST, "account/recovery-codes", &token, proof(&codes[0])).await;
    assert_eq!(status, 200, "{fresh}");
    let fresh = fresh["recovery_codes"][0].as_str().unwrap();
    assert_eq!(sign_in(&world, "researcher", Some(&codes[1])).await.0, 401, "those of before are gone");
    // Another app: the old one holds until the new one has shown a code.
    let (other, codes, token) = set_up(&world, &token, proof(fresh)).await;
    assert_eq!(sign_in(&world, "researcher", Some(&code_at(&key, 1))).await.0, 401);
    assert_eq!(sign_in(&world, "researcher", Some(&code_at(&other, 1))).await.0, 200);
    let (status, answer) = call(&world, POST, "account/second-factor/remove", &token, proof(&codes[0])).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["access_token"].as_str().unwrap();
    assert!(sign_in(&world, "researcher", None).await.1["access_token"].is_string());
    assert_eq!(call(&world, POST, "account/recovery-codes", token, without_code).await.0, 400, "nothing to recover");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_that_was_begun_is_confirmed_soon_and_not_by_guessing() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    let begin = async || {
        let (_, begun) = call(&world, POST, "account/second-factor", &token, json!({"password": PASSWORD})).await;
        json!({"mfa_code": code_of(begun["otp_secret"].as_str().unwrap())})
    };
    let confirm = async |code: &Value| call(&world, POST, "account/second-factor/confirm", &token, code.clone()).await;
    let late = begin().await;
    in_database(&world, "UPDATE user SET otp_next_until = '2026-01-01T00:00:00.000000'").await;
    let (status, answer) = confirm(&late).await;
    assert!(status == 400 && answer.to_string().contains("half hour"), "{answer}");
    let right = begin().await;
    for _ in 0..5 {
        assert_eq!(confirm(&json!({"mfa_code": "000000"})).await.0, 400);
    }
    let (status, answer) = confirm(&right).await;
    assert!(status == 400 && answer.to_string().contains("too many wrong codes"), "{answer}");
    assert_eq!(call(&world, GET, "account", &token, Value::Null).await.1["second_factor"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_the_password_gives_no_new_attempts_at_the_second_factor() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    let (key, _, token) = set_up(&world, &token, json!({"password": PASSWORD})).await;
    let wrong = json!({"password": PASSWORD, "mfa_code": "000000"});
    for _ in 0..4 {
        assert_eq!(call(&world, POST, "account/second-factor/remove", &token, wrong.clone()).await.0, 400);
    }
    let change = json!({"current_password": PASSWORD, "new_password": "Another-1234"});
    let (status, changed) = call(&world, PATCH, "password/change", &token, change).await;
    assert_eq!(status, 200);
    assert_eq!(
        call(&world, GET, "account", &token, Value::Null).await.0,
        401,
        "all tokens end, in the same second too"
    );
    let token = changed["access_token"].as_str().unwrap();
    let wrong = json!({"password": "Another-1234", "mfa_code": "000000"});
    assert_eq!(call(&world, POST, "account/second-factor/remove", token, wrong).await.0, 400);
    let right = json!({"password": "Another-1234", "mfa_code": code_at(&key, 1)});
    assert_eq!(call(&world, POST, "account/second-factor/remove", token, right).await.0, 400, "locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_everybody_needs_one_it_is_replaced_and_not_removed() {
    let world = World::with(true).await;
    let (_, answer) = sign_in(&world, "viewer", None).await;
    let key = answer["otp_secret"].as_str().unwrap().to_owned();
    let (_, answer) = sign_in(&world, "viewer", Some(&code_of(&key))).await;
    let token = answer["access_token"].as_str().unwrap().to_owned();
    let proof = json!({"password": PASSWORD, "mfa_code": code_at(&key, 1)});
    let (status, answer) = call(&world, POST, "account/second-factor/remove", &token, proof.clone()).await;
    assert_eq!(status, 400, "{answer}");
    let (other, _, _) = set_up(&world, &token, proof).await;
    assert_eq!(sign_in(&world, "viewer", Some(&code_at(&other, 1))).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ends_ones_own_sessions_and_nodes_have_no_account() {
    let world = World::new().await;
    let (token, other) = (world.token("researcher").await, world.token("viewer").await);
    assert_eq!(call(&world, POST, "account/end-sessions", &token, json!({})).await.0, 200);
    assert_eq!(call(&world, GET, "task", &token, Value::Null).await.0, 401);
    assert_eq!(call(&world, GET, "task", &other, Value::Null).await.0, 200);
    let node = world.node_token("example_org1").await;
    for (method, path) in [(GET, "account"), (POST, "account/end-sessions"), (PATCH, "account")] {
        assert_eq!(call(&world, method, path, &node, json!({})).await.0, 401, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_mailed_where_mail_is_sent_and_not_again_and_again() {
    let sink = MailSink::start().await;
    let world = World::with_mail(false, &sink).await;
    let root = world.token("root").await;
    let user = json!({"username": "guest", "password": "Unknown-1234", "email": "guest@example.org", "firstname": "g",
        "lastname": "g", "organization_id": 2, "roles": [4]});
    let (_, user) = call(&world, POST, "user", &root, user).await;
    let path = format!("user/{}/invitation", user["id"]);
    let (status, first) = call(&world, POST, &path, &root, json!({})).await;
    assert_eq!((status, &first["mailed"]), (200, &json!(true)), "{first}");
    let (_, second) = call(&world, POST, &path, &root, json!({})).await;
    assert_eq!(second["mailed"], false, "{second}");
    // Who made it does not belong to the organization: its admins are told, too.
    let to = |address: &str| {
        sink.mails().into_iter().filter(|mail| mail.contains(&format!("To: {address}"))).collect::<Vec<_>>()
    };
    eventually(async || to("admin1@").len() == 3).await;
    let told = to("admin1@").concat();
    for what in ["has made the account \"guest\"", "an invitation for the account \"guest\""] {
        assert!(told.replace("=\r\n", "").contains(what), "{told}");
    }
    let mails = to("guest@example.org");
    assert_eq!(mails.len(), 1);
    // Quoted-printable: lines end with "=", and "=" is "=3D".
    let plain = mails[0].replace("=\r\n", "").replace("=3D", "=");
    assert!(plain.contains("To: guest@example.org") && plain.contains("/password/reset#"), "{plain}");
    assert!(plain.contains(first["code"].as_str().unwrap()), "{plain}");
    let reset = json!({"reset_token": first["code"], "password": "Chosen-1234"});
    assert_eq!(call(&world, POST, "recover/reset", &root, reset).await.0, 200);
    let body = json!({"username": "guest", "password": "Chosen-1234"});
    assert_eq!(world.call(POST, "token/user", None, Some(&body)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_waits_for_the_mail_server_and_stands_in_no_file() {
    // Nobody listens there.
    let away = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let world = World::with_mail_server(&format!("smtp://{away}")).await;
    let (status, _) = call(&world, POST, "recover/lost", "", json!({"username": "researcher"})).await;
    assert_eq!(status, 200);
    let mut database = crate::audit::connect(&world).await;
    let job = "SELECT body, until - unixepoch() FROM job WHERE subject = 'Your new Atoll password'";
    let mut waiting: Option<(String, i64)> = None;
    crate::support::eventually(async || {
        waiting = sqlx::query_as(job).fetch_optional(&mut database).await.unwrap();
        waiting.is_some()
    })
    .await;
    let (body, seconds) = waiting.unwrap();
    assert!(body.starts_with("v1.") && !body.contains("password/reset"), "{body}");
    assert!((3_500..=3_600).contains(&seconds), "{seconds}");
    // The change and the mail are one: the entry stands there with it.
    let (_, log) = world.get("audit?action=password.mail", &world.token("root").await).await;
    assert_eq!(log["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_notices_gets_none() {
    let sink = MailSink::start().await;
    let world = World::with_mail(false, &sink).await;
    let researcher = world.token("researcher").await;
    let (_, account) = call(&world, GET, "account", &researcher, Value::Null).await;
    assert_eq!(account["notice_of_tasks"], true, "{account}");
    let (status, account) = call(&world, PATCH, "account", &researcher, json!({"notice_of_tasks": false})).await;
    assert_eq!(status, 200, "{account}");
    assert_eq!((&account["notice_of_tasks"], &account["notice_of_reviews"]), (&json!(false), &json!(true)));
    let client = world.client("researcher").await;
    let _node = world.start_node("example_org1").await;
    let run = async || {
        let spec = crate::support::average("partial_average", &[2], json!({"column_name": "age"}));
        let task = client.create_task(&spec).await.unwrap();
        crate::support::outcome(&client, task.id).await;
    };
    run().await;
    assert_eq!(call(&world, PATCH, "account", &researcher, json!({"notice_of_tasks": true})).await.0, 200);
    run().await;
    crate::support::eventually(async || !sink.mails().is_empty()).await;
    // The first that comes is of the later task.
    let mail = sink.mails()[0].clone();
    assert!(mail.contains("your task 2 has ended"), "{mail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_root_did_to_an_account_stands_on_its_page_also_where_no_mail_is_sent() {
    let world = World::new().await;
    let root = world.token("root").await;
    let (_, users) = world.get("user?username=researcher", &root).await;
    let id = &users["data"][0]["id"];
    assert_eq!(call(&world, PATCH, &format!("user/{id}"), &root, json!({"email": "other@example.org"})).await.0, 200);
    assert_eq!(call(&world, POST, &format!("user/{id}/end-sessions"), &root, json!({})).await.0, 200);
    let (_, nodes) = world.get("node?organization_id=2", &root).await;
    assert_eq!(call(&world, POST, "recover/node", &root, json!({"id": nodes["data"][0]["id"]})).await.0, 200);
    let told = async |username: &str| {
        let (_, account) = world.get("account", &world.token(username).await).await;
        account["messages"].as_array().unwrap().iter().map(|message| message["what"].to_string()).collect::<Vec<_>>()
    };
    let of_user = told("researcher").await;
    assert!(of_user[0].contains("ended all your sessions") && of_user[1].contains("other@example.org"), "{of_user:?}");
    let of_admin = told("admin1").await;
    assert!(of_admin.len() == 1 && of_admin[0].contains("replaced the key of node"), "{of_admin:?}");
    assert_eq!(told("viewer").await.len() + told("root").await.len(), 0);
    // On the start page until it was seen, then on that of the account.
    let mut web = Web::beside(&world, &[]).await;
    web.sign_in("researcher").await;
    let has = async |path: &str| web.get(path).await.1.contains("ended all your sessions");
    assert!(has("/").await && has("/account").await);
    let (_, account) = world.get("account", &world.token("researcher").await).await;
    let last = account["messages"][0]["id"].to_string();
    let answer = web.form("/account/messages", &[("until", &last)]).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!((has("/").await, has("/account").await), (false, true));
    let (_, account) = world.get("account", &world.token("admin1").await).await;
    assert_eq!(account["messages"][0]["seen"], false, "another's stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_of_an_account_is_not_noted() {
    let world = World::new().await;
    let root = world.token("root").await;
    let viewer = world.token("viewer").await;
    let entries = async || world.get("audit?action=account.edit", &root).await.1["data"].as_array().unwrap().len();
    for (body, expected) in [
        (json!({}), 0),
        (json!({"notice_of_tasks": true, "notice_of_reviews": true}), 0),
        (json!({"notice_of_tasks": false}), 1),
        (json!({"notice_of_tasks": false, "seen_until": 99}), 1),
    ] {
        let (status, answer) = world.call(PATCH, "account", Some(&viewer), Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(entries().await, expected, "{body}");
    }
}
