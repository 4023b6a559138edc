//! Who may do what at which endpoint.

use atoll::protocol::payload::{Dialect, encode};
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::{
    DELETE, GET, PATCH, POST, ask_for_review,
    support::{ALLOWED_ORIGIN, AVERAGE, PASSWORD, World},
    task_body,
};

/// Who asks, in the order of the expectations below: nobody, viewer (organization 4), researcher (2), admin1 (2),
/// root (1), node of organization 2, container of a task at organization 2, admin of organization 3, a
/// Collaboration Admin of organization 2, an Auditor.
const CALLERS: [&str; 10] =
    ["nobody", "viewer", "researcher", "admin1", "root", "node", "container", "admin2", "manager", "auditor"];

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_at_every_endpoint_what_its_rules_say() {
    let world = World::new().await;
    let root = world.token("root").await;
    let (status, outsider) = world.call(POST, "organization", Some(&root), Some(&json!({"name": "outsider"}))).await;
    assert_eq!(status, 201);
    let outsider = outsider["id"].as_i64().unwrap();
    let body = json!({"name": "others", "encrypted": false, "organization_ids": [outsider]});
    let (_, others) = world.call(POST, "collaboration", Some(&root), Some(&body)).await;
    let others = others["id"].as_i64().unwrap();
    let manager = json!({"username": "manager", "password": PASSWORD, "email": "m@example.org", "organization_id": 2,
        "roles": [7]});
    assert_eq!(world.call(POST, "user", Some(&root), Some(&manager)).await.0, 201);
    let researcher = world.token("researcher").await;
    let (status, task) = world.call(POST, "task", Some(&researcher), Some(&task_body(&[2]))).await;
    assert_eq!(status, 201, "{task}");
    let node = world.node_token("example_org1").await;
    let review = ask_for_review(&world, &node, 1, &task["id"]).await;
    assert_eq!(review["id"], 1, "{review}");
    let body = json!({"task_id": task["id"], "image": AVERAGE});
    let (_, container) = world.call(POST, "token/container", Some(&node), Some(&body)).await;
    let tokens = [
        None,
        Some(world.token("viewer").await),
        Some(researcher),
        Some(world.token("admin1").await),
        Some(root),
        Some(node),
        Some(container["container_token"].as_str().unwrap().to_owned()),
        Some(world.token("admin2").await),
        Some(world.token("manager").await),
        Some(world.token("auditor").await),
    ];
    let user = json!({"username": "someone", "password": "Abcdefg-1", "email": "x@example.org", "organization_id": 3});
    let study = json!({"name": "study", "collaboration_id": 1, "organization_ids": [2, 3]});
    let input = encode(&json!({"method": "column_headers"}), Dialect::Json);
    let column = json!({"collaboration_id": 1, "db_label": "default", "organizations": [{"id": 3, "input": input}]});
    // Columns as in CALLERS. Only calls that change nothing when they succeed, or that nobody below root may do.
    let others_collaboration = format!("collaboration/{others}");
    let others_organization = format!("organization/{outsider}");
    let decision = json!({"verdict": "approve", "hash": "x"});
    let table: Vec<(Method, &str, Option<Value>, [u16; 10])> = vec![
        (GET, "version", None, [200; 10]),
        (GET, "health", None, [200; 10]),
        (GET, "organization", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 200]),
        (GET, "organization/3", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 200]),
        (GET, &others_organization, None, [401, 401, 401, 401, 200, 401, 401, 401, 200, 200]),
        (GET, "organization/999", None, [401, 404, 404, 404, 404, 404, 404, 404, 404, 404]),
        (
            PATCH,
            "organization/3",
            Some(json!({"country": "Germany"})),
            [401, 401, 401, 401, 200, 401, 401, 200, 200, 401],
        ),
        (
            PATCH,
            "organization/2",
            Some(json!({"country": "Netherlands"})),
            [401, 401, 401, 200, 200, 200, 401, 401, 200, 401],
        ),
        (POST, "organization", Some(json!({"name": "root"})), [401, 401, 401, 401, 400, 401, 401, 401, 401, 401]),
        (DELETE, "organization/1", None, [401, 401, 401, 401, 400, 401, 401, 401, 401, 401]),
        (GET, "collaboration", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 200]),
        (GET, "collaboration/1", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 200]),
        (GET, &others_collaboration, None, [401, 401, 401, 401, 200, 401, 401, 401, 401, 200]),
        (
            PATCH,
            "collaboration/1",
            Some(json!({"name": "example_collab1"})),
            [401, 401, 401, 401, 200, 401, 401, 401, 200, 401],
        ),
        (DELETE, "collaboration/1", None, [401, 401, 401, 401, 400, 401, 401, 401, 401, 401]),
        (
            POST,
            "collaboration/1/organization",
            Some(json!({"id": 2})),
            [401, 401, 401, 401, 200, 401, 401, 401, 401, 401],
        ),
        (GET, "node", None, [401, 200, 200, 200, 200, 200, 401, 200, 200, 200]),
        (GET, "node/2", None, [401, 200, 200, 200, 200, 401, 401, 200, 200, 200]),
        (
            PATCH,
            "node/1",
            Some(json!({"name": "example_org1 node"})),
            [401, 401, 401, 200, 200, 200, 401, 401, 200, 401],
        ),
        (
            PATCH,
            "node/2",
            Some(json!({"name": "example_org2 node"})),
            [401, 401, 401, 401, 200, 401, 401, 200, 401, 401],
        ),
        (
            POST,
            "node",
            Some(json!({"collaboration_id": 1, "organization_id": 3})),
            [401, 401, 401, 401, 400, 401, 401, 400, 401, 401],
        ),
        (DELETE, "node/999", None, [401, 404, 404, 404, 404, 401, 401, 404, 404, 404]),
        (GET, "user", None, [401, 200, 200, 200, 200, 401, 401, 200, 200, 200]),
        // A node may know who asks it.
        (GET, "user/1", None, [401, 401, 200, 200, 200, 200, 401, 401, 200, 200]),
        (POST, "user", Some(user), [401, 401, 401, 401, 201, 401, 401, 400, 401, 401]),
        (PATCH, "user/1", Some(json!({"firstname": "Rosa"})), [401, 401, 200, 200, 200, 401, 401, 401, 200, 401]),
        (DELETE, "user/9", None, [401, 401, 401, 401, 200, 401, 401, 404, 404, 404]),
        (GET, "role", None, [401, 200, 200, 200, 200, 401, 401, 200, 200, 200]),
        (GET, "role/1", None, [401, 200, 200, 200, 200, 401, 401, 200, 200, 200]),
        (PATCH, "role/4", Some(json!({"description": "x"})), [401, 401, 401, 400, 400, 401, 401, 400, 400, 401]),
        (DELETE, "role/4", None, [401, 401, 401, 400, 400, 401, 401, 400, 400, 401]),
        (POST, "role", Some(json!({"name": "Root", "rules": []})), [401, 400, 400, 400, 400, 400, 400, 400, 400, 400]),
        (GET, "rule", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 200]),
        (GET, "rule/1", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 200]),
        (GET, "study", None, [401, 200, 200, 200, 200, 200, 401, 200, 200, 200]),
        (POST, "study", Some(study), [401, 401, 401, 401, 201, 401, 401, 401, 400, 401]),
        (GET, "study/1", None, [401, 401, 200, 200, 200, 200, 200, 200, 200, 401]),
        (PATCH, "study/1", Some(json!({"name": "study"})), [401, 401, 401, 401, 200, 401, 401, 401, 200, 401]),
        (GET, "task", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 200]),
        (GET, "task/1", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 401]),
        (GET, "task/1/status", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 401]),
        (GET, "task?include=runs,results", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 200]),
        (POST, "task", Some(task_body(&[3])), [401, 401, 201, 401, 401, 401, 201, 401, 201, 401]),
        (POST, "column", Some(column), [401, 401, 201, 401, 401, 401, 401, 401, 201, 401]),
        (DELETE, "task/1", None, [401, 401, 999, 401, 999, 401, 401, 401, 999, 401]),
        (GET, "run", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 200]),
        (GET, "run/1", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 401]),
        (PATCH, "run/2", Some(json!({"log": "x"})), [401, 401, 401, 401, 401, 401, 401, 401, 401, 401]),
        (GET, "result", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 200]),
        (GET, "result/1", None, [401, 200, 200, 200, 200, 200, 200, 200, 200, 401]),
        (GET, "review", None, [401, 401, 401, 200, 200, 401, 401, 200, 200, 200]),
        (GET, "review/1", None, [401, 404, 404, 200, 200, 200, 401, 404, 200, 200]),
        (GET, "review/2", None, [401, 404, 404, 404, 404, 404, 401, 404, 404, 404]),
        // A node that says something impossible, and an approval that there is not.
        (
            PATCH,
            "review/1",
            Some(json!({"state": "approved", "because": "x".repeat(1025)})),
            [401, 401, 401, 401, 401, 400, 401, 401, 401, 401],
        ),
        (POST, "review/1/use", Some(json!({"run_id": 1})), [401, 401, 401, 401, 401, 409, 401, 401, 401, 401]),
        // With another hash than what waits.
        (POST, "review/1/decision", Some(decision), [401, 404, 404, 409, 401, 401, 401, 404, 401, 401]),
        (POST, "kill/task", Some(json!({"id": 1})), [401, 401, 999, 401, 999, 401, 401, 401, 999, 401]),
        (POST, "kill/node/tasks", Some(json!({"id": 1})), [401, 401, 401, 400, 400, 401, 401, 401, 400, 401]),
        (POST, "token/user/validate", None, [401, 200, 200, 200, 200, 401, 401, 200, 200, 200]),
        (
            POST,
            "token/container",
            Some(json!({"task_id": 1, "image": "other"})),
            [401, 401, 401, 401, 401, 401, 401, 401, 401, 401],
        ),
        (GET, "audit", None, [401, 401, 401, 200, 200, 401, 401, 200, 200, 200]),
        (GET, "audit/chain", None, [401, 401, 401, 200, 200, 401, 401, 200, 200, 200]),
        (GET, "audit?organization_id=3", None, [401, 401, 401, 401, 200, 401, 401, 200, 401, 200]),
        (GET, "account", None, [401, 200, 200, 200, 200, 401, 401, 200, 200, 200]),
        (PATCH, "account", Some(json!({"notice_of_tasks": true})), [401, 200, 200, 200, 200, 401, 401, 200, 200, 200]),
        (
            POST,
            "account/second-factor",
            Some(json!({"password": "wrong"})),
            [401, 400, 400, 400, 400, 401, 401, 400, 400, 400],
        ),
        (POST, "user/6/invitation", None, [401, 401, 401, 401, 401, 401, 401, 401, 401, 401]),
        (POST, "user/5/invitation", None, [401, 401, 401, 401, 400, 401, 401, 401, 401, 401]),
        (POST, "user/4/end-sessions", None, [401, 401, 401, 401, 200, 401, 401, 401, 401, 401]),
        (POST, "user/4/reset-second-factor", None, [401, 401, 401, 401, 200, 401, 401, 401, 401, 401]),
        (POST, "recover/node", Some(json!({"id": 2})), [401, 401, 401, 401, 200, 401, 401, 200, 401, 401]),
        (POST, "collaboration/1/node", Some(json!({"id": 2})), [401, 401, 401, 401, 400, 401, 401, 401, 400, 401]),
        (DELETE, "collaboration/1/node", Some(json!({"id": 999})), [401, 401, 401, 401, 404, 401, 401, 401, 404, 401]),
        (POST, "study/1/organization", Some(json!({"id": 2})), [401, 401, 401, 401, 200, 401, 401, 401, 200, 401]),
        (POST, "role/8/rule/1", None, [401, 401, 401, 400, 400, 401, 401, 400, 400, 401]),
        (DELETE, "role/8/rule/1", None, [401, 401, 401, 400, 400, 401, 401, 400, 400, 401]),
        (GET, "rule?role_id=1", None, [401, 200, 200, 200, 200, 401, 401, 200, 200, 200]),
        (GET, "algorithmstore?collaboration_id=1", None, [401, 200, 200, 200, 200, 200, 401, 200, 200, 200]),
    ];
    let mut wrong = Vec::new();
    for (method, path, body, expected) in &table {
        for (index, token) in tokens.iter().enumerate() {
            // 999: would end the task that the rest of the table needs; tried by a test of its own.
            if expected[index] == 999 {
                continue;
            }
            let (status, answer) = world.call(method.clone(), path, token.as_deref(), body.as_ref()).await;
            if status.as_u16() != expected[index] {
                wrong.push(format!("{} {method} {path}: {status}, not {}: {answer}", CALLERS[index], expected[index]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_an_organization_but_root_deletes_its_node() {
    let world = World::new().await;
    let root = world.token("root").await;
    // An account that administers the collaboration, of the second organization.
    let (_, roles) = world.get("role?per_page=100", &root).await;
    let role = roles["data"].as_array().unwrap().iter().find(|role| role["name"] == "Collaboration Admin").unwrap();
    let manager = json!({"username": "manager", "password": PASSWORD, "email": "m@example.org", "organization_id": 3,
        "roles": [role["id"]]});
    let (status, answer) = world.call(POST, "user", Some(&root), Some(&manager)).await;
    assert_eq!(status, 201, "{answer}");
    let manager = world.token("manager").await;
    assert_eq!(world.call(DELETE, "node/1", Some(&manager), None).await.0, 401);
    let taken_out = world.call(DELETE, "collaboration/1/node", Some(&manager), Some(&json!({"id": 1}))).await;
    assert_eq!(taken_out.0, 401, "{}", taken_out.1);
    assert_eq!(world.call(DELETE, "node/2", Some(&manager), None).await.0, 200, "of the own organization");
    assert_eq!(world.call(DELETE, "node/1", Some(&root), None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_hold_only_what_may_be_seen() {
    let world = World::new().await;
    let names = async |user: &str, path: &str| -> Vec<String> {
        let token = world.token(user).await;
        let (_, page) = world.get(path, &token).await;
        let key = if path.starts_with("user") { "username" } else { "name" };
        page["data"].as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("viewer", "user").await, ["admin3", "viewer"]);
    assert_eq!(names("researcher", "organization").await, ["example_org1", "example_org2", "example_org3"]);
    assert_eq!(names("root", "organization").await.len(), 4);
    assert_eq!(names("viewer", "node").await.len(), 3);
    let root = world.token("root").await;
    let (_, text) = world.get("user?per_page=100", &root).await;
    assert!(!text.to_string().contains("otp_secret") && !text.to_string().contains("argon2"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hands_on_rights_that_they_do_not_have() {
    let world = World::new().await;
    let admin = world.token("admin1").await;
    let with_root = json!({"username": "evil", "password": "Abcdefg-1", "email": "e@example.org", "roles": [1]});
    let (status, _) = world.call(POST, "user", Some(&admin), Some(&with_root)).await;
    assert_eq!(status, 401);
    let (status, _) = world.call(PATCH, "user/2", Some(&admin), Some(&json!({"roles": [1]}))).await;
    assert_eq!(status, 401, "nobody changes their own roles");
    let (status, _) = world.call(POST, "role", Some(&admin), Some(&json!({"name": "wide", "rules": [1]}))).await;
    assert_eq!(status, 401);
    let viewer = json!({"username": "newcomer", "password": "Abcdefg-1", "email": "n@example.org", "roles": [4]});
    let (status, answer) = world.call(POST, "user", Some(&admin), Some(&viewer)).await;
    assert_eq!(status, 201, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_a_name_that_reads_like_that_of_another() {
    let world = World::new().await;
    let admin = world.token("admin1").await;
    let named = |name: &str| json!({"username": name, "password": "Abcdefg-1", "email": "n@example.org"});
    let (status, answer) = world.call(POST, "user", Some(&admin), Some(&named("Researcher"))).await;
    assert!(status == 400 && answer.to_string().contains("already exists"), "{answer}");
    let root = world.token("root").await;
    for name in [
        "Example_Org1",
        "example org1",
        "example_org1 ",
        " another",
        "ano\u{200b}ther",
        "\u{202e}rehto",
        "an\u{43e}ther",
        "ano\nther",
        "ｅｘａｍｐｌｅ_org1",
    ] {
        let body = json!({"name": name});
        let (status, answer) = world.call(PATCH, "organization/4", Some(&root), Some(&body)).await;
        assert_eq!(status, 400, "{name:?}: {answer}");
        assert_eq!(world.call(POST, "organization", Some(&root), Some(&body)).await.0, 400, "{name:?}");
    }
    let role = json!({"name": "organization  admin", "rules": [], "organization_id": 2});
    assert_eq!(world.call(POST, "role", Some(&admin), Some(&role)).await.0, 400);
    // Own names can be changed; user 2 is admin1.
    for (name, expected) in [("Root", 400), ("Admin1", 200), ("admin1", 200)] {
        let (status, answer) = world.call(PATCH, "user/2", Some(&admin), Some(&json!({"username": name}))).await;
        assert_eq!(status, expected, "{name}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_use_the_api_only_if_they_were_named() {
    let world = World::new().await;
    let allowed = async |origin: &str| {
        let asked = world
            .http
            .request(Method::OPTIONS, format!("{}/task", world.url))
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type");
        let answer = asked.send().await.unwrap();
        assert!(!answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), "never with cookies");
        answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(allowed(ALLOWED_ORIGIN).await.as_deref(), Some(ALLOWED_ORIGIN));
    assert_eq!(allowed("https://evil.example").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_an_organization_are_changed_by_its_own_admins_only_whatever_a_role_permits() {
    let world = World::new().await;
    let root = world.token("root").await;
    let (_, rules) = world.get("rule?per_page=200", &root).await;
    let rule = |resource: &str, scope: &str, operation: &str| {
        let is = |rule: &&Value| {
            let text = |name: &str| rule[name].as_str().unwrap().to_ascii_lowercase();
            (text("name"), text("scope"), text("operation")) == (resource.into(), scope.into(), operation.into())
        };
        rules["data"].as_array().unwrap().iter().find(is).unwrap()["id"].as_i64().unwrap()
    };
    let (edit_users, edit_nodes) = (rule("user", "organization", "edit"), rule("node", "organization", "edit"));
    let wide: Vec<i64> = ["create", "edit", "delete", "view"]
        .map(|operation| rule("role", "collaboration", operation))
        .into_iter()
        .chain([edit_users, edit_nodes])
        .collect();
    let create = async |path: &str, body: Value| {
        let (status, answer) = world.call(POST, path, Some(&root), Some(&body)).await;
        assert!(status.is_success(), "{answer}");
        answer["id"].as_i64().unwrap()
    };
    let theirs = create("role", json!({"name": "Harmless", "rules": [], "organization_id": 2})).await;
    let own = create("role", json!({"name": "Wide", "rules": wide, "organization_id": 3})).await;
    create(
        "user",
        json!({"username": "reaching", "password": PASSWORD, "email": "r@example.org", "organization_id": 3,
            "roles": [own]}),
    )
    .await;
    let reaching = world.token("reaching").await;
    let new = json!({"name": "New", "rules": [edit_users], "organization_id": 2});
    for (method, path, body) in [
        (POST, "role".to_owned(), new),
        (POST, format!("role/{theirs}/rule/{edit_users}"), json!({})),
        (PATCH, format!("role/{theirs}"), json!({"rules": [edit_nodes]})),
        (DELETE, format!("role/{theirs}"), json!({})),
    ] {
        assert_eq!(world.call(method, &path, Some(&reaching), Some(&body)).await.0, 401, "{path}");
    }
    // In their own organization they may.
    let body = json!({"description": "of our own"});
    assert_eq!(world.call(PATCH, &format!("role/{own}"), Some(&reaching), Some(&body)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_into_policies_by_the_name_of_another() {
    let world = World::new().await;
    let root = world.token("root").await;
    let user = async |name: &str, organization: i64, role: i64| {
        let body = json!({"username": name, "password": PASSWORD, "email": format!("{name}@example.org"),
            "organization_id": organization, "roles": [role]});
        let (status, answer) = world.call(POST, "user", Some(&root), Some(&body)).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_i64().unwrap()
    };
    // A Collaboration Admin of another organization renames none.
    user("manager", 4, 7).await;
    let manager = world.token("manager").await;
    for (organization, expected) in [(2, 401), (4, 200)] {
        let (status, answer) = world
            .call(PATCH, &format!("organization/{organization}"), Some(&manager), Some(&json!({"name": "renamed"})))
            .await;
        assert_eq!(status, expected, "{answer}");
    }
    let admin = world.token("admin1").await;
    assert!(told(&world, "admin1").await.contains("is called"));
    // Its own one it may have again.
    for name in ["example_org3", "renamed"] {
        let (status, answer) = world.call(PATCH, "organization/4", Some(&manager), Some(&json!({"name": name}))).await;
        assert_eq!(status, 200, "{answer}");
    }
    // Nor does anybody take a name that was free for a moment; root may give it.
    let name = json!({"name": "example_org3"});
    assert_eq!(world.call(PATCH, "organization/2", Some(&admin), Some(&name)).await.0, 400);
    assert_eq!(world.call(PATCH, "organization/2", Some(&root), Some(&name)).await.0, 200);
    let leaver = user("leaver", 4, 3).await;
    assert_eq!(world.call(DELETE, &format!("user/{leaver}"), Some(&root), None).await.0, 200);
    let own = json!({"username": "Leaver"});
    let (status, answer) = world.call(PATCH, "user/2", Some(&admin), Some(&own)).await;
    assert!(status == 400 && answer.to_string().contains("had this name before"), "{answer}");
    let again = json!({"username": "leaver", "password": PASSWORD, "email": "l2@example.org", "organization_id": 2});
    assert_eq!(world.call(POST, "user", Some(&admin), Some(&again)).await.0, 400);
    assert_eq!(world.call(POST, "user", Some(&root), Some(&again)).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_sees_what_the_central_function_was_asked_and_nothing_else_of_it() {
    let world = World::new().await;
    let researcher = world.token("researcher").await;
    let mut body = task_body(&[2]);
    body["organizations"] = json!([{"id": 2, "input": body["organizations"][0]["input"]}, {"id": 4, "input": body["organizations"][0]["input"]}]);
    let (status, task) = world.call(POST, "task", Some(&researcher), Some(&body)).await;
    assert_eq!(status, 201, "{task}");
    let parent = task["id"].as_i64().unwrap();
    let node = world.node_token("example_org1").await;
    let asked = json!({"task_id": parent, "image": AVERAGE});
    let (status, container) = world.call(POST, "token/container", Some(&node), Some(&asked)).await;
    assert_eq!(status, 200, "{container}");
    let container = container["container_token"].as_str().unwrap().to_owned();
    let child = task_body(&[3]);
    let (status, child) = world.call(POST, "task", Some(&container), Some(&child)).await;
    assert_eq!(status, 201, "{child}");
    let (_, runs) = world.get(&format!("run?task_id={parent}"), &researcher).await;
    for run in runs["data"].as_array().unwrap() {
        let name = if run["organization"]["id"] == 2 { "example_org1" } else { "example_org3" };
        let token = world.node_token(name).await;
        let report =
            json!({"status": "completed", "finished_at": "2026-11-01T10:00:00", "log": "secret", "result": "e30="});
        let (status, answer) = world.call(PATCH, &format!("run/{}", run["id"]), Some(&token), Some(&report)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let other = world.node_token("example_org2").await;
    let (_, runs) = world.get(&format!("run?task_id={parent}"), &other).await;
    let runs = runs["data"].as_array().unwrap();
    assert!(runs.len() == 2 && runs.iter().all(|run| run["input"].is_string() && run["log"].is_null()), "{runs:?}");
    let (_, results) = world.get(&format!("result?task_id={parent}"), &other).await;
    assert_eq!(results["data"], json!([]));
    // Its own part has ended: there is nothing to check any more.
    let (_, own) = world.get(&format!("run?task_id={}", child["id"]), &other).await;
    let report = json!({"status": "completed", "finished_at": "2026-11-01T10:00:00", "result": "e30="});
    let path = format!("run/{}", own["data"][0]["id"]);
    assert_eq!(world.call(PATCH, &path, Some(&other), Some(&report)).await.0, 200);
    let (_, runs) = world.get(&format!("run?task_id={parent}"), &other).await;
    assert_eq!(runs["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_an_organization_moves_its_node() {
    let world = World::new().await;
    let root = world.token("root").await;
    let body = json!({"name": "second", "encrypted": false, "organization_ids": [2, 4]});
    let (_, second) = world.call(POST, "collaboration", Some(&root), Some(&body)).await;
    let manager = json!({"username": "manager", "password": PASSWORD, "email": "m@example.org", "organization_id": 4,
        "roles": [7]});
    assert_eq!(world.call(POST, "user", Some(&root), Some(&manager)).await.0, 201);
    let manager = world.token("manager").await;
    let path = format!("collaboration/{}/node", second["id"]);
    let (_, nodes) = world.get("node?organization_id=2", &root).await;
    let node = json!({"id": nodes["data"][0]["id"]});
    assert_eq!(world.call(POST, &path, Some(&manager), Some(&node)).await.0, 401);
    assert_eq!(world.call(POST, &path, Some(&root), Some(&node)).await.0, 201);
    assert!(told(&world, "admin1").await.contains("moved your node"));
}

/// What the account of somebody says of the acts of others.
async fn told(world: &World, name: &str) -> String {
    let (_, account) = world.get("account", &world.token(name).await).await;
    account.to_string()
}
