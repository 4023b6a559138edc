//! What the hub's audit log says, and to whom.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

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
    let edit = json!({"name": "example_org2 node"});
    assert_eq!(world.call(Method::PATCH, "node/2", Some(&root), Some(&edit)).await.0, 200);
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
