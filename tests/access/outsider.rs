//! What those from outside an organization tried on its people, its studies, its log and its history.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{AVERAGE, PASSWORD, World, mail::MailSink};
use atoll::protocol::payload::{Dialect, encode};

/// The demo's organizations; researcher and admin1 are of the first one.
const FIRST: i64 = 2;
const SECOND: i64 = 3;
const THIRD: i64 = 4;

fn task_body(organizations: &[i64], function: &str) -> Value {
    let input = encode(&json!({"method": function, "kwargs": {"column_name": "age"}}), Dialect::Json);
    let organizations: Vec<Value> = organizations.iter().map(|id| json!({"id": id, "input": input})).collect();
    json!({"name": "a task", "description": "", "image": AVERAGE, "collaboration_id": 1,
        "databases": [{"label": "default"}], "organizations": organizations})
}

/// Something that is to be answered so; the answer.
async fn expect(world: &World, status: u16, method: Method, path: &str, token: &str, body: Value) -> Value {
    let (answered, answer) = world.call(method, path, Some(token), Some(&body)).await;
    assert_eq!(answered.as_u16(), status, "{path} {body}: {answer}");
    answer
}

async fn create_task(world: &World, token: &str, organizations: &[i64], function: &str) -> i64 {
    expect(world, 201, Method::POST, "task", token, task_body(organizations, function)).await["id"].as_i64().unwrap()
}

/// Ids of the rules on these things that reach as far as one's organization, or oneself.
async fn rules(world: &World, root: &str, things: &[&str]) -> Vec<Value> {
    let mut ids = Vec::new();
    for thing in things {
        for scope in ["ORGANIZATION", "OWN"] {
            let (_, rules) = world.get(&format!("rule?name={thing}&scope={scope}&per_page=100"), root).await;
            ids.extend(rules["data"].as_array().unwrap().iter().map(|rule| rule["id"].clone()));
        }
    }
    ids
}

/// The run of a task at an organization.
async fn run_at(world: &World, token: &str, task: i64, organization: i64) -> i64 {
    let (_, runs) = world.get(&format!("run?task_id={task}&organization_id={organization}"), token).await;
    runs["data"][0]["id"].as_i64().unwrap()
}

async fn report(world: &World, node: &str, run: i64, status: &str) {
    let body = json!({"status": status, "finished_at": "2026-11-26T10:00:00+00:00"});
    expect(world, 200, Method::PATCH, &format!("run/{run}"), node, body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_administers_users_without_deciding_removes_nobody_who_decides() {
    let sink = MailSink::start().await;
    let world = World::with_mail(false, &sink).await;
    let root = world.token("root").await;
    world.token("admin2").await;
    let of_users = rules(&world, &root, &["user", "role"]).await;
    let user = json!({"username": "helper", "password": PASSWORD, "email": "helper@example.org", "firstname": "",
        "lastname": "", "organization_id": SECOND, "roles": [], "rules": of_users});
    let helper = expect(&world, 201, Method::POST, "user", &root, user.clone()).await;
    let token = world.token("helper").await;
    expect(&world, 401, Method::DELETE, "user/3", &token, json!({})).await;
    let mut decider = user.clone();
    (decider["username"], decider["email"], decider["roles"]) = (json!("second"), json!("s@example.org"), json!([6]));
    expect(&world, 401, Method::POST, "user", &root, decider.clone()).await;
    expect(&world, 401, Method::POST, "user", &token, decider).await;
    // Whoever decides may, and who is deleted is told.
    let admin = world.token("admin2").await;
    expect(&world, 200, Method::DELETE, &format!("user/{}", helper["id"]), &admin, json!({})).await;
    crate::support::eventually(async || sink.mails().iter().any(|mail| mail.contains("deleted your account"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_lent_after_their_organization_has_left() {
    let world = World::new().await;
    let (root, researcher) = (world.token("root").await, world.token("researcher").await);
    let task = create_task(&world, &researcher, &[THIRD], "central_average").await;
    let node = world.node_token("example_org3").await;
    let asked = json!({"task_id": task, "image": AVERAGE});
    let token = expect(&world, 200, Method::POST, "token/container", &node, asked).await;
    let token = token["container_token"].as_str().unwrap().to_owned();
    let subtask = task_body(&[SECOND], "partial_average");
    expect(&world, 201, Method::POST, "task", &token, subtask.clone()).await;
    expect(&world, 200, Method::PATCH, "collaboration/1", &root, json!({"organization_ids": [SECOND, THIRD]})).await;
    expect(&world, 401, Method::POST, "task", &researcher, task_body(&[SECOND], "partial_average")).await;
    expect(&world, 401, Method::POST, "task", &token, subtask).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_is_taken_out_is_told_by_whatever_way_and_leaves_the_studies() {
    let world = World::new().await;
    let (root, admin) = (world.token("root").await, world.token("admin2").await);
    let study = json!({"name": "study", "collaboration_id": 1, "organization_ids": [FIRST, SECOND]});
    let study = expect(&world, 201, Method::POST, "study", &root, study).await["id"].clone();
    expect(&world, 200, Method::GET, &format!("study/{study}"), &admin, json!({})).await;
    expect(&world, 200, Method::PATCH, "collaboration/1", &root, json!({"organization_ids": [FIRST, THIRD]})).await;
    expect(&world, 401, Method::GET, &format!("study/{study}"), &admin, json!({})).await;
    expect(&world, 200, Method::POST, "collaboration/1/organization", &root, json!({"id": SECOND})).await;
    let (_, account) = world.get("account", &admin).await;
    let told: Vec<&str> =
        account["messages"].as_array().unwrap().iter().map(|message| message["what"].as_str().unwrap()).collect();
    for part in
        ["put your organization into study", "taken your organization out of collaboration 1", "into collaboration 1"]
    {
        assert!(told.iter().any(|what| what.contains(part)), "{part}: {told:?}");
    }
    let (_, log) = world.get("audit?per_page=100", &admin).await;
    let log = log["data"].to_string();
    assert!(log.contains("organizations -3") && log.contains("organizations +3"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_deactivated_first_is_told_of_the_rest_and_no_flood_hides_it() {
    let world = World::new().await;
    let root = world.token("root").await;
    let off = |disabled: bool| json!({"disabled": disabled});
    expect(&world, 200, Method::PATCH, "user/3", &root, off(true)).await;
    let (_, nodes) = world.get(&format!("node?organization_id={SECOND}"), &root).await;
    expect(&world, 200, Method::POST, "recover/node", &root, json!({"id": nodes["data"][0]["id"]})).await;
    expect(&world, 200, Method::PATCH, "user/3", &root, off(false)).await;
    for _ in 0..60 {
        expect(&world, 200, Method::POST, "user/3/end-sessions", &root, json!({})).await;
    }
    let (_, account) = world.get("account", &world.token("admin2").await).await;
    let messages = account["messages"].as_array().unwrap();
    let told = |part: &str| messages.iter().filter(|message| message["what"].as_str().unwrap().contains(part)).count();
    assert_eq!((told("replaced the key of node"), told("ended all your sessions")), (1, 1), "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_task_ended_does_not_change_with_an_organization_that_is_deleted() {
    let world = World::new().await;
    let (root, researcher) = (world.token("root").await, world.token("researcher").await);
    let task = create_task(&world, &researcher, &[SECOND, THIRD], "partial_average").await;
    // A central function at the organization that is deleted, which has asked another one.
    let central = create_task(&world, &researcher, &[THIRD], "central_average").await;
    let node = world.node_token("example_org3").await;
    let asked = json!({"task_id": central, "image": AVERAGE});
    let token = expect(&world, 200, Method::POST, "token/container", &node, asked).await;
    let token = token["container_token"].as_str().unwrap().to_owned();
    let subtask = create_task(&world, &token, &[SECOND], "partial_average").await;
    let other = world.node_token("example_org2").await;
    let goes_on = run_at(&world, &root, task, SECOND).await;
    let active = json!({"status": "active", "started_at": "2026-11-26T10:00:00+00:00"});
    expect(&world, 200, Method::PATCH, &format!("run/{goes_on}"), &other, active).await;
    report(&world, &node, run_at(&world, &root, task, THIRD).await, "crashed").await;
    report(&world, &other, run_at(&world, &root, subtask, SECOND).await, "failed").await;
    let status = async |id: i64| world.get(&format!("task/{id}"), &researcher).await.1["status"].clone();
    let ended = status(task).await;
    assert_eq!(ended, "crashed");
    expect(&world, 200, Method::DELETE, &format!("organization/{THIRD}?delete_dependents=true"), &root, json!({}))
        .await;
    report(&world, &other, goes_on, "completed").await;
    assert_eq!(status(task).await, ended, "one of its runs has crashed");
    // What another organization has computed stays, with who asked for it.
    assert_eq!(status(subtask).await, "failed");
    let (_, of_subtask) = world.get(&format!("task/{subtask}"), &researcher).await;
    assert_eq!(of_subtask["init_org"]["id"], FIRST, "{of_subtask}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_with_something_else_has_an_entry_of_its_own() {
    let world = World::new().await;
    let (root, researcher) = (world.token("root").await, world.token("researcher").await);
    let ids = [
        create_task(&world, &researcher, &[SECOND], "partial_average").await,
        create_task(&world, &researcher, &[SECOND], "partial_average").await,
    ];
    expect(&world, 200, Method::DELETE, "user/1?delete_dependents=true", &root, json!({})).await;
    let (_, log) = world.get("audit?action=task.delete", &root).await;
    let subjects: Vec<String> =
        log["data"].as_array().unwrap().iter().map(|entry| entry["subject"].as_str().unwrap().to_owned()).collect();
    assert!(ids.iter().all(|id| subjects.contains(&format!("task {id}"))), "{subjects:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_organization_its_nodes_and_people_have_entries_and_so_has_what_it_computed_for_others() {
    let world = World::new().await;
    let root = world.token("root").await;
    create_task(&world, &world.token("researcher").await, &[THIRD], "partial_average").await;
    let (_, people) = world.get(&format!("user?organization_id={THIRD}"), &root).await;
    let gone = format!("organization/{THIRD}?delete_dependents=true");
    expect(&world, 200, Method::DELETE, &gone, &root, json!({})).await;
    let entries = async |action: &str, token: &str| -> Vec<(String, i64)> {
        let (_, log) = world.get(&format!("audit?action={action}&per_page=100"), token).await;
        let entry = |entry: &Value| {
            (entry["subject"].as_str().unwrap().to_owned(), entry["organization_id"].as_i64().unwrap_or_default())
        };
        log["data"].as_array().unwrap().iter().map(entry).collect()
    };
    assert!(entries("node.delete", &root).await.contains(&("node 3".to_owned(), THIRD)));
    let users = entries("user.delete", &root).await;
    for person in people["data"].as_array().unwrap() {
        assert!(users.contains(&(format!("user {}", person["id"]), THIRD)), "{users:?}");
    }
    let admin = world.token("admin1").await;
    assert_eq!(entries("organization.delete", &admin).await, [(format!("organization {THIRD}"), FIRST)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_their_sign_in_touched_is_told_whoever_did_it() {
    let world = World::new().await;
    let root = world.token("root").await;
    // Both belong to the same organization.
    let (_, found) = world.get("user?username=auditor", &root).await;
    let id = found["data"][0]["id"].as_i64().unwrap();
    let edit = json!({"email": "elsewhere@example.org"});
    expect(&world, 200, Method::PATCH, &format!("user/{id}"), &root, edit).await;
    for act in ["reset-second-factor", "end-sessions"] {
        expect(&world, 200, Method::POST, &format!("user/{id}/{act}"), &root, json!({})).await;
    }
    let (_, account) = world.get("account", &world.token("auditor").await).await;
    for part in ["changed the e-mail address", "second factor", "ended all your sessions"] {
        assert!(account["messages"].to_string().contains(part), "{part}: {account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_organization_reads_of_what_was_done_and_tried_with_what_is_its_own() {
    let world = World::new().await;
    let (root, researcher) = (world.token("root").await, world.token("researcher").await);
    let task = create_task(&world, &researcher, &[SECOND, THIRD], "partial_average").await;
    expect(&world, 200, Method::POST, "kill/task", &researcher, json!({"id": task})).await;
    // Tried by somebody of another organization, in bodies and in paths.
    let (_, nodes) = world.get(&format!("node?organization_id={SECOND}"), &root).await;
    let node = nodes["data"][0]["id"].as_i64().unwrap();
    expect(&world, 401, Method::POST, "recover/node", &researcher, json!({"id": node})).await;
    let made = json!({"name": "a", "rules": [], "organization_id": SECOND});
    expect(&world, 401, Method::POST, "role", &researcher, made).await;
    expect(&world, 401, Method::DELETE, "collaboration/1/node", &researcher, json!({"id": node})).await;
    expect(&world, 401, Method::DELETE, "%6eode/%32", &researcher, json!({})).await;
    // What is done to something that belongs to several.
    expect(&world, 200, Method::DELETE, &format!("task/{task}"), &researcher, json!({})).await;
    expect(&world, 200, Method::PATCH, "collaboration/1", &root, json!({"encrypted": true})).await;
    let (_, log) = world.get("audit?per_page=100", &world.token("admin2").await).await;
    let lines: Vec<String> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| format!("{} {} {}", entry["action"], entry["subject"], entry["outcome"]).replace('"', ""))
        .collect();
    for line in [
        format!("task.stop task {task} done"),
        format!("task.delete task {task} done"),
        "collaboration.edit collaboration 1 done".to_owned(),
        format!("node.new_key key {node} refused"),
        "role.create role refused".to_owned(),
        "member.remove collaboration 1 refused".to_owned(),
        "node.delete node 2 refused".to_owned(),
    ] {
        assert!(lines.contains(&line), "{line}: {lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_ends_when_whoever_invited_may_less() {
    let world = World::new().await;
    let (root, admin) = (world.token("root").await, world.token("admin1").await);
    let user = json!({"username": "invited", "password": PASSWORD, "email": "i@example.org", "firstname": "",
        "lastname": "", "organization_id": FIRST, "roles": [6]});
    let invited = expect(&world, 201, Method::POST, "user", &admin, user).await["id"].clone();
    let code = expect(&world, 200, Method::POST, &format!("user/{invited}/invitation"), &admin, json!({})).await;
    let viewer = json!({"roles": [2]});
    // By another admin of the organization.
    let second = json!({"username": "another", "password": PASSWORD, "email": "a@example.org", "firstname": "",
        "lastname": "", "organization_id": FIRST, "roles": [6]});
    expect(&world, 201, Method::POST, "user", &admin, second).await;
    expect(&world, 200, Method::PATCH, "user/2", &world.token("another").await, viewer).await;
    let reset = json!({"reset_token": code["code"], "password": "Another-1234"});
    assert_eq!(world.call(Method::POST, "recover/reset", None, Some(&reset)).await.0, StatusCode::BAD_REQUEST);
    // Names that would be taken for one another in a policy.
    for username in ["rese.archer", "r-esearcher", "RESEARCHER_"] {
        let user = json!({"username": username, "password": PASSWORD, "email": "x@example.org", "firstname": "",
            "lastname": "", "organization_id": FIRST, "roles": []});
        expect(&world, 400, Method::POST, "user", &root, user).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_fill_the_hub_with_ends_of_its_log() {
    let world = World::new().await;
    let node = world.node_token("example_org2").await;
    let mut refused = 0;
    for number in (1..=100).rev() {
        let head = format!("{number}:{}", "a".repeat(64));
        let body = json!({"head": head, "known": null, "lost": null});
        refused += usize::from(world.call(Method::POST, "audit/head", Some(&node), Some(&body)).await.0 == 429);
    }
    assert!(refused >= 60, "{refused}");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.data.path().join("hub.sqlite"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM audit_head WHERE origin = 'node 2'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!((2..=20).contains(&kept), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_reads_no_results_of_others_by_the_forms_of_older_clients() {
    let world = World::new().await;
    let [first, second, third] = [
        world.node_token("example_org1").await,
        world.node_token("example_org2").await,
        world.node_token("example_org3").await,
    ];
    let admin2 = world.token("admin2").await;
    // Asked for by somebody of the second organization, and aggregated at the third one: the first one computes a part.
    let root = world.token("root").await;
    let (_, roles) = world.get("role?name=Researcher", &root).await;
    let researcher = json!({"username": "second", "password": PASSWORD, "email": "s@example.org", "firstname": "s",
        "lastname": "s", "organization_id": SECOND, "roles": [roles["data"][0]["id"]]});
    expect(&world, 201, Method::POST, "user", &root, researcher).await;
    let second_user = world.token("second").await;
    let task = create_task(&world, &second_user, &[SECOND, THIRD], "central_average").await;
    let body = json!({"task_id": task, "image": AVERAGE});
    let container = expect(&world, 200, Method::POST, "token/container", &third, body).await;
    let container = container["container_token"].as_str().unwrap();
    create_task(&world, container, &[FIRST], "partial_average").await;
    let secret = encode(&json!({"secret": 42}), Dialect::Json);
    let run = run_at(&world, &admin2, task, SECOND).await;
    let end = json!({"status": "completed", "finished_at": "2026-11-26T10:00:00+00:00", "result": secret});
    expect(&world, 200, Method::PATCH, &format!("run/{run}"), &second, end).await;
    for path in [
        format!("result?task_id={task}"),
        format!("result?task_id={task}&include=metadata"),
        "result?include=metadata&per_page=100".to_owned(),
    ] {
        let (status, answer) = world.get(&path, &first).await;
        assert!(status == 200 && !answer.to_string().contains(&secret), "{path}: {answer}");
        let (_, answer) = world.get(&path, &second_user).await;
        assert!(answer.to_string().contains(&secret), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_algorithm_of_an_organization_that_has_left_asks_for_nothing() {
    let world = World::new().await;
    let (token, root, third) =
        (world.token("researcher").await, world.token("root").await, world.node_token("example_org3").await);
    let task = create_task(&world, &token, &[THIRD], "central_average").await;
    let body = json!({"task_id": task, "image": AVERAGE});
    let container = expect(&world, 200, Method::POST, "token/container", &third, body).await;
    let container = container["container_token"].as_str().unwrap();
    create_task(&world, container, &[FIRST], "partial_average").await;
    expect(&world, 200, Method::DELETE, "collaboration/1/organization", &root, json!({"id": THIRD})).await;
    expect(&world, 401, Method::POST, "task", container, task_body(&[FIRST], "partial_average")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_from_elsewhere_does_is_told_where_nobody_decides_and_is_not_pushed_out() {
    let world = World::new().await;
    let root = world.token("root").await;
    let made = json!({"name": "example_org5"});
    let organization = expect(&world, 201, Method::POST, "organization", &root, made).await["id"].clone();
    let viewer = json!({"username": "watcher", "password": PASSWORD, "email": "w@example.org", "firstname": "w",
        "lastname": "w", "organization_id": organization, "roles": [3]});
    expect(&world, 201, Method::POST, "user", &root, viewer).await;
    let watcher = world.token("watcher").await;
    let user = |name: String| {
        json!({"username": name, "password": PASSWORD, "email": format!("{name}@example.org"), "firstname": "n",
            "lastname": "n", "organization_id": organization, "roles": [3]})
    };
    for number in 0..60 {
        expect(&world, 201, Method::POST, "user", &root, user(format!("other{number}"))).await;
    }
    let (_, account) = world.get("account", &watcher).await;
    let messages = account["messages"].as_array().unwrap();
    assert!(messages.len() >= 60 && messages.iter().any(|message| message.to_string().contains("other0")), "{account}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_number_is_written_in_one_way_in_a_path() {
    let world = World::new().await;
    let root = world.token("root").await;
    for path in ["user/%2B3", "user/+3", "task/%2B1", "run/+1", "role/+3/rule/1", "role/3/rule/%2B1"] {
        let method = if path.starts_with("role") { Method::DELETE } else { Method::GET };
        assert_eq!(world.call(method, path, Some(&root), None).await.0, 404, "{path}");
    }
    assert_eq!(world.get("user/3", &root).await.0, 200);
}
