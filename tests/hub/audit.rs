//! What the hub's audit log says, and to whom.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use crate::{
    PATCH, POST,
    support::{PASSWORD, World},
    task_body,
};

/// All entries that somebody may read, the newest first, as `actor action subject outcome`.
async fn entries(world: &World, username: &str, filter: &str) -> Vec<String> {
    let token = world.token(username).await;
    let (status, answer) = world.get(&format!("audit?per_page=200&{filter}"), &token).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    let entries = answer["data"].as_array().unwrap().iter();
    entries.map(|entry| ["actor", "action", "subject", "outcome"].map(|key| text(entry, key)).join(" ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what_stands_in_the_log_without_secrets() {
    let world = World::new().await;
    for (username, password) in [("researcher", "Wrong-password-1"), ("My-Secret-Password-1", "x")] {
        let body = json!({"username": username, "password": password});
        assert_eq!(world.call(Method::POST, "token/user", None, Some(&body)).await.0, StatusCode::UNAUTHORIZED);
    }
    let (researcher, root) = (world.token("researcher").await, world.token("root").await);
    let (_, task) = world.call(Method::POST, "task", Some(&researcher), Some(&task_body(&[2, 3]))).await;
    let path = format!("task/{}", task["id"]);
    assert_eq!(world.call(Method::DELETE, &path, Some(&world.token("viewer").await), None).await.0, 401);
    assert_eq!(world.call(Method::DELETE, &path, Some(&researcher), None).await.0, 200);
    let user = json!({"username": "newcomer", "password": PASSWORD, "email": "a@example.org", "firstname": "N",
        "lastname": "C", "organization_id": 3, "roles": [4]});
    let (status, user) = world.call(Method::POST, "user", Some(&root), Some(&user)).await;
    assert_eq!(status, 201, "{user}");
    let log = entries(&world, "root", "").await;
    for entry in [
        "user 1 (researcher) sign_in user 1 refused",
        "somebody sign_in an unknown name refused",
        "user 1 (researcher) task.create task 1 done",
        "user 5 (viewer) task.delete task 1 refused",
        "user 1 (researcher) task.delete task 1 done",
        "user 6 (root) user.create user 8 done",
    ] {
        assert!(log.iter().any(|line| line == entry), "{entry}: {log:#?}");
    }
    let (_, whole) = world.get("audit?per_page=200", &root).await;
    for secret in ["Secret", PASSWORD, "Wrong-password-1", "eyJ"] {
        assert!(!whole.to_string().contains(secret), "{secret}");
    }
    let (_, chain) = world.get("audit/chain", &root).await;
    assert_eq!(chain["holds"], true, "{chain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_say_what_was_changed_and_who_was_refused() {
    let world = World::new().await;
    let (root, researcher) = (world.token("root").await, world.token("researcher").await);
    let edit = json!({"firstname": "Rosa", "email": "secret@example.org", "roles": [2, 3], "disabled": true});
    let (status, answer) = world.call(Method::PATCH, "user/5", Some(&root), Some(&edit)).await;
    assert_eq!(status, 200, "{answer}");
    let role = json!({"name": "Readers", "rules": [1, 2], "organization_id": 2});
    let (status, role) = world.call(Method::POST, "role", Some(&root), Some(&role)).await;
    assert_eq!(status, 201, "{role}");
    let path = format!("role/{}", role["id"]);
    assert_eq!(world.call(Method::PATCH, &path, Some(&root), Some(&json!({"rules": [2, 3]}))).await.0, 200);
    for (path, edit) in [("organization/3", json!({"country": "Norway"})), ("node/2", json!({"name": "another name"}))]
    {
        assert_eq!(world.call(Method::PATCH, path, Some(&root), Some(&edit)).await.0, 200);
    }
    let lost = json!({"username": "viewer", "password": "Wrong-password-1"});
    assert_eq!(world.call(Method::POST, "recover/2fa/lost", None, Some(&lost)).await.0, 401);
    let organization = json!({"id": 3});
    let (status, _) =
        world.call(Method::DELETE, "collaboration/1/organization", Some(&root), Some(&organization)).await;
    assert_eq!(status, 200);
    let decision = json!({"verdict": "approve", "hash": "0"});
    world.call(Method::POST, "review/7/decision", Some(&researcher), Some(&decision)).await;
    world.node_token("example_org1").await;
    let wrong = json!({"api_key": "00000000-0000-4000-8000-000000000000"});
    assert_eq!(world.call(Method::POST, "token/node", None, Some(&wrong)).await.0, 401);
    let (_, log) = world.get("audit?per_page=200", &root).await;
    let lines: Vec<String> = log["data"].as_array().unwrap().iter().map(Value::to_string).collect();
    for parts in [
        ["user.edit", "e-mail; first name; deactivated; roles ", "done"],
        ["role.edit", "rules +3 -1", "done"],
        ["organization.edit", "country", "done"],
        ["node.edit", "name", "done"],
        ["sign_in", "user 5 (viewer)", "refused"],
        ["member.remove", "organizations -3", "done"],
        ["review.decide", "user 1 (researcher)", "failed"],
        ["node.sign_in", "node 1", "done"],
        ["node.sign_in", "an unknown key", "refused"],
    ] {
        assert!(lines.iter().any(|line| parts.iter().all(|part| line.contains(part))), "{parts:?}: {lines:#?}");
    }
    assert!(!lines.concat().contains("secret@example.org") && !lines.concat().contains("Rosa"));
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_read_of_their_organization_auditors_of_all_and_nobody_else_anything() {
    let world = World::new().await;
    let root = world.token("root").await;
    // What changes nothing is no deed, however often.
    let edit = |name: &str| json!({"name": name});
    for name in ["example_org2 node", "example_org2 node", "example_org2 station"] {
        assert_eq!(world.call(Method::PATCH, "node/2", Some(&root), Some(&edit(name))).await.0, 200);
    }
    for (path, body) in
        [("user/6", json!({})), ("user/6", json!({"firstname": null})), ("organization/2", json!({"name": null}))]
    {
        assert_eq!(world.call(Method::PATCH, path, Some(&root), Some(&body)).await.0, 200, "{path}");
    }
    let researcher = world.token("researcher").await;
    world.call(Method::POST, "task", Some(&researcher), Some(&task_body(&[2]))).await;
    for username in ["researcher", "viewer"] {
        let token = world.token(username).await;
        for path in ["audit", "audit/chain", "audit?organization_id=2"] {
            assert_eq!(world.get(path, &token).await.0, 401, "{username} {path}");
        }
    }
    let (own, other) = (entries(&world, "admin1", "").await, entries(&world, "admin2", "").await);
    assert!(own.iter().any(|line| line.contains("task.create")) && !own.iter().any(|line| line.contains("node.edit")));
    // Root did it, to a node of this organization.
    assert!(other.contains(&"user 6 (root) node.edit node 2 done".to_owned()), "{other:?}");
    assert!(!other.iter().any(|line| line.contains("task.create")), "{other:?}");
    let token = world.token("admin2").await;
    assert_eq!(world.get("audit?organization_id=2", &token).await.0, 401);
    let all = entries(&world, "auditor", "").await;
    let edits = all.iter().filter(|line| line.contains(".edit")).count();
    assert_eq!(edits, 1, "{all:?}");
    assert!(own.iter().chain(&other).all(|line| all.contains(line)));
    // It reads and changes nothing.
    let auditor = world.token("auditor").await;
    for (method, path) in
        [(Method::DELETE, "task/1"), (Method::POST, "task"), (Method::DELETE, "audit"), (Method::PATCH, "node/1")]
    {
        let (status, _) = world.call(method, path, Some(&auditor), Some(&task_body(&[2]))).await;
        assert!([401, 400, 405].contains(&status.as_u16()), "{path} {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_the_log_and_results_that_are_read_stand_in_it() {
    let world = World::new().await;
    let researcher = world.client("researcher").await;
    let _node = world.start_node("example_org1").await;
    let ages = crate::support::average("partial_average", &[2], json!({"column_name": "age"}));
    let task = researcher.create_task(&ages).await.unwrap();
    crate::support::outcome(&researcher, task.id).await;
    for _ in 0..3 {
        researcher.results(task.id).await.unwrap();
    }
    let run = researcher.runs(task.id).await.unwrap()[0].id;
    for _ in 0..2 {
        researcher.result_for_download(run).await.unwrap();
    }
    let of = async |filter: &str| entries(&world, "auditor", filter).await;
    // Shown often, noted once; each download is noted.
    assert_eq!(of("action=result.read").await.len(), 1);
    assert_eq!(of("action=result&outcome=done").await.len(), 3);
    assert_eq!(of("action=sign_in&actor=RESEARCHER").await.len(), 1);
    assert_eq!(of(&format!("subject=run%20{run}&action=result.download")).await.len(), 2);
    assert_eq!(of("until=2020-01-01").await.len(), 0);
    let token = world.token("auditor").await;
    assert_eq!(world.get("audit?from=yesterday", &token).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_read_is_noted_by_whatever_path() {
    let world = World::new().await;
    let (token, root, node) =
        (world.token("researcher").await, world.token("root").await, world.node_token("example_org1").await);
    let paths = ["result?include=metadata&task_id={}", "task/{}?include=results", "result?task_id={}"];
    for path in paths {
        let (_, task) = world.call(POST, "task", Some(&token), Some(&task_body(&[2]))).await;
        let id = task["id"].as_i64().unwrap();
        let (_, runs) = world.get(&format!("run?task_id={id}"), &node).await;
        let run = runs["data"][0]["id"].as_i64().unwrap();
        let report = json!({"status": "completed", "finished_at": "2026-11-01T11:00:00", "result": "e30="});
        assert_eq!(world.call(PATCH, &format!("run/{run}"), Some(&node), Some(&report)).await.0, 200);
        let (status, answer) = world.get(&path.replace("{}", &id.to_string()), &token).await;
        assert!(status == 200 && answer.to_string().contains("e30="), "{path} {answer}");
        let (_, log) = world.get("audit?action=result.read&per_page=1", &root).await;
        assert_eq!(log["data"][0]["subject"], format!("run {run}"), "{path}");
    }
}

/// What stands in the hub's tables, but for the log, and for what is counted and kept without being a change.
async fn what_is_stored(world: &World) -> String {
    let mut connection = connect(world).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT IN
         ('audit', 'audit_head', 'sign_in_place', 'setting', 'refresh_token', '_sqlx_migrations')",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let mut all = String::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("SELECT 'quote(' || name || ')' FROM pragma_table_info(?)")
            .bind(&table)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let rows: Vec<String> = sqlx::query_scalar(&format!("SELECT {} FROM \"{table}\"", columns.join(" || ',' || ")))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        all += &format!("{table}\n{}\n", rows.join("\n"));
    }
    all
}

pub async fn connect(world: &World) -> sqlx::SqliteConnection {
    SqliteConnectOptions::new().filename(world.data.path().join("hub.sqlite")).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_change_is_stored_without_its_entry() {
    let world = World::new().await;
    let (root, researcher) = (world.token("root").await, world.token("researcher").await);
    let create = async |path: &str, token: &str, body: Value| {
        let (status, answer) = world.call(POST, path, Some(token), Some(&body)).await;
        assert!(status.is_success(), "{path} {answer}");
        answer["id"].as_i64().unwrap()
    };
    let role = create("role", &root, json!({"name": "Readers", "rules": [1, 2], "organization_id": 2})).await;
    let study = json!({"name": "Part", "collaboration_id": 1, "organization_ids": [2]});
    let study = create("study", &root, study).await;
    let collaboration =
        create("collaboration", &root, json!({"name": "Other", "organization_ids": [2], "encrypted": false}));
    let collaboration = collaboration.await;
    let task = create("task", &researcher, task_body(&[2])).await;
    let proof = json!({"password": PASSWORD});
    let user = json!({"username": "new", "password": "Coral-reef-7-keeper", "email": "new@example.org"});
    let changes = [
        (POST, "user".to_owned(), &root, user),
        (PATCH, "user/5".to_owned(), &root, json!({"firstname": "Other", "roles": [2]})),
        (POST, "user/5/end-sessions".to_owned(), &root, json!({})),
        (POST, "user/5/reset-second-factor".to_owned(), &root, json!({})),
        (Method::DELETE, "user/1?delete_dependents=true".to_owned(), &root, json!(null)),
        (POST, "role".to_owned(), &root, json!({"name": "More", "rules": [1]})),
        (PATCH, format!("role/{role}"), &root, json!({"name": "Others", "rules": [3]})),
        (POST, format!("role/{role}/rule/5"), &root, json!(null)),
        (Method::DELETE, format!("role/{role}/rule/1"), &root, json!(null)),
        (Method::DELETE, format!("role/{role}"), &root, json!(null)),
        (POST, "organization".to_owned(), &root, json!({"name": "Fourth"})),
        (PATCH, "organization/3".to_owned(), &root, json!({"country": "Norway"})),
        (Method::DELETE, "organization/3?delete_dependents=true".to_owned(), &root, json!(null)),
        (POST, "node".to_owned(), &root, json!({"collaboration_id": collaboration, "organization_id": 2})),
        (PATCH, "node/2".to_owned(), &root, json!({"name": "another name"})),
        (POST, "recover/node".to_owned(), &root, json!({"id": 2})),
        (Method::DELETE, "node/2".to_owned(), &root, json!(null)),
        (
            POST,
            "collaboration".to_owned(),
            &root,
            json!({"name": "Third", "organization_ids": [2], "encrypted": false}),
        ),
        (PATCH, "collaboration/1".to_owned(), &root, json!({"name": "Renamed", "organization_ids": [2, 3]})),
        (POST, format!("collaboration/{collaboration}/organization"), &root, json!({"id": 3})),
        (Method::DELETE, "collaboration/1/organization".to_owned(), &root, json!({"id": 3})),
        (POST, format!("collaboration/{collaboration}/node"), &root, json!({"id": 1})),
        (Method::DELETE, "collaboration/1/node".to_owned(), &root, json!({"id": 2})),
        (Method::DELETE, "collaboration/1?delete_dependents=true".to_owned(), &root, json!(null)),
        (POST, "study".to_owned(), &root, json!({"name": "New", "collaboration_id": 1, "organization_ids": [2]})),
        (PATCH, format!("study/{study}"), &root, json!({"name": "Renamed", "organization_ids": [3]})),
        (POST, format!("study/{study}/organization"), &root, json!({"id": 3})),
        (Method::DELETE, format!("study/{study}/organization"), &root, json!({"id": 2})),
        (Method::DELETE, format!("study/{study}"), &root, json!(null)),
        (POST, "task".to_owned(), &researcher, task_body(&[2])),
        (POST, "kill/task".to_owned(), &researcher, json!({"id": task})),
        (Method::DELETE, format!("task/{task}"), &researcher, json!(null)),
        (PATCH, "account".to_owned(), &root, json!({"notice_of_tasks": false})),
        (POST, "account/end-sessions".to_owned(), &root, json!({})),
        (POST, "account/email".to_owned(), &root, json!({"email": "other@example.org", "password": PASSWORD})),
        (POST, "account/second-factor".to_owned(), &root, proof.clone()),
        (POST, "account/second-factor/remove".to_owned(), &root, proof),
        (
            PATCH,
            "password/change".to_owned(),
            &root,
            json!({"current_password": PASSWORD, "new_password": "Coral-reef-7-keeper"}),
        ),
    ];
    let before = what_is_stored(&world).await;
    // A full disk, and somebody who has put something in the way of entries.
    for way in ["SELECT RAISE(ABORT, 'there is no room')", "SELECT RAISE(IGNORE)"] {
        let full = format!("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN {way}; END");
        sqlx::query(&full).execute(&mut connect(&world).await).await.unwrap();
        for (method, path, token, body) in &changes {
            let body = Some(body).filter(|body| !body.is_null());
            let (status, answer) = world.call(method.clone(), path, Some(token), body).await;
            assert!(status.is_server_error(), "{method} {path}: {status} {answer}");
            assert_eq!(what_is_stored(&world).await, before, "{method} {path}");
        }
        sqlx::query("DROP TRIGGER full").execute(&mut connect(&world).await).await.unwrap();
    }
    // Each of them would have changed something.
    for (method, path, token, body) in &changes[..4] {
        let (status, answer) = world.call(method.clone(), path, Some(token), Some(body)).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
    }
    assert_ne!(what_is_stored(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_reading_is_noted_and_a_flood_of_it_only_counted() {
    let world = World::new().await;
    let viewer = world.token("viewer").await;
    for _ in 0..40 {
        assert_eq!(world.get("audit", &viewer).await.0, 401);
    }
    let researcher = world.token("researcher").await;
    assert_eq!(world.get("audit/chain", &researcher).await.0, 401);
    // A review that somebody may not see does not exist for them; that they asked is noted.
    assert_eq!(world.get("review/7", &researcher).await.0, 404);
    let hidden = entries(&world, "root", "action=review.view").await;
    assert_eq!(hidden, ["user 1 (researcher) review.view review 7 refused"]);
    drop(world.hub.end().await);
    let refused = entries(&world, "root", "action=audit.view").await;
    assert_eq!(refused.len(), 7, "{refused:?}");
    assert_eq!(refused[1], "user 1 (researcher) audit.view audit log refused");
    let (_, log) = world.get("audit?action=audit.view&per_page=1", &world.token("root").await).await;
    assert_eq!(log["data"][0]["details"], "35 times more within a minute: audit log (35)", "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_try_to_sign_in_too_often_are_noted_once() {
    let world = World::new().await;
    let root = world.token("root").await;
    let web = crate::support::web::Web::new(&world, &["127.0.0.1/32"]).await;
    let body = json!({"username": "nobody", "password": "x"});
    let mut limited = 0;
    for _ in 0..60 {
        let request = web.request(POST, "/api/token/user").json(&body).header("x-forwarded-for", "192.0.2.7");
        limited += usize::from(request.send().await.unwrap().status() == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(limited > 30, "{limited}");
    drop(world.hub.end().await);
    let (_, log) = world.get("audit?action=sign_in.limit", &root).await;
    assert_eq!(log["data"].as_array().unwrap().len(), 1, "{log}");
    assert_eq!(log["data"][0]["details"], format!("192.0.2.7 {limited} times"));
    assert_eq!(log["data"][0]["outcome"], "refused");
}
