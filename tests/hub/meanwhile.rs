//! What ends or changes while something that began before is still on its way.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    DELETE, GET, PATCH, POST, ask_for_review,
    support::{AVERAGE, PASSWORD, World},
    task_body,
};

/// A request whose last byte is missing.
struct Held {
    stream: TcpStream,
    last: u8,
}

impl Held {
    async fn begin(world: &World, method: &Method, path: &str, token: &str, body: &Value) -> Held {
        let address = world.url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let body = body.to_string();
        let (first, last) = body.as_bytes().split_at(body.len() - 1);
        let head = format!(
            "{method} /api/{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(first).await.unwrap();
        // Until it was looked at who asks: nothing tells from outside.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        Held { stream, last: last[0] }
    }

    /// The status of the answer, when it has all arrived.
    async fn end(mut self) -> u16 {
        self.stream.write_all(&[self.last]).await.unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

async fn id_of(world: &World, root: &str, username: &str) -> i64 {
    let (_, users) = world.get(&format!("user?username={username}"), root).await;
    users["data"][0]["id"].as_i64().unwrap()
}

fn user(name: &str, organization_id: i64, roles: &[i64]) -> Value {
    json!({"username": name, "password": PASSWORD, "email": format!("{name}@example.org"),
        "organization_id": organization_id, "roles": roles})
}

/// The role of this name.
async fn role(world: &World, root: &str, name: &str) -> i64 {
    let (_, roles) = world.get("role?per_page=100", root).await;
    let roles = roles["data"].as_array().unwrap();
    roles.iter().find(|role| role["name"] == name).unwrap()["id"].as_i64().unwrap()
}

async fn container_of(world: &World, node: &str, task: &Value) -> String {
    let body = json!({"task_id": task["id"], "image": AVERAGE});
    let (status, container) = world.call(POST, "token/container", Some(node), Some(&body)).await;
    assert_eq!(status, 200, "{container}");
    container["container_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_sender_lost_the_right_while_it_was_on_its_way_changes_nothing() {
    let world = World::new().await;
    let root = world.token("root").await;
    let (admin_role, viewer_role) =
        (role(&world, &root, "Organization Admin").await, role(&world, &root, "Viewer").await);
    let (admin, researcher) = (world.token("admin1").await, world.token("researcher").await);
    let (_, task) = world.call(POST, "task", Some(&researcher), Some(&task_body(&[2]))).await;
    let node = world.node_token("example_org1").await;
    let (_, runs) = world.get("run?state=open", &node).await;
    let run = runs["data"][0]["id"].as_i64().unwrap();
    let review = ask_for_review(&world, &node, run, &task["id"]).await;
    let decision = json!({"verdict": "approve", "hash": review["hash"], "reason": ""});
    let requests = [
        (POST, "user".to_owned(), user("planted", 2, &[admin_role])),
        (POST, "role".to_owned(), json!({"name": "planted", "rules": [], "organization_id": 2})),
        (PATCH, "organization/2".to_owned(), json!({"country": "Elsewhere"})),
        (POST, "recover/node".to_owned(), json!({"id": 1})),
        (POST, format!("review/{}/decision", review["id"]), decision),
    ];
    for (number, (method, path, body)) in requests.iter().enumerate() {
        // Deactivated, and with another role.
        for (change, expected) in
            [(json!({"disabled": true}), 401), (json!({"roles": [viewer_role]}), 409), (json!({"password": 1}), 401)]
        {
            let name = format!("admin-{number}-{expected}-{}", change.to_string().len());
            let (status, made) = world.call(POST, "user", Some(&admin), Some(&user(&name, 2, &[admin_role]))).await;
            assert_eq!(status, 201, "{made}");
            let token = world.token(&name).await;
            let held = Held::begin(&world, method, path, &token, body).await;
            let done = match change.get("password") {
                None => world.call(PATCH, &format!("user/{}", made["id"]), Some(&admin), Some(&change)).await,
                Some(_) => {
                    let passwords = json!({"current_password": PASSWORD, "new_password": "Another-one-1"});
                    world.call(PATCH, "password/change", Some(&token), Some(&passwords)).await
                }
            };
            assert_eq!(done.0, 200, "{}", done.1);
            // On a busy machine it is looked at who asks only when the change is made.
            let status = held.end().await;
            assert!([expected, 401].contains(&status), "{status}: {method} {path} after {change}");
        }
    }
    let (_, users) = world.get("user?username=planted", &root).await;
    assert_eq!(users["data"], json!([]));
    // A user's task, and a node's result.
    let researcher_id = id_of(&world, &root, "researcher").await;
    let held = Held::begin(&world, &POST, "task", &researcher, &task_body(&[2])).await;
    let disabled = json!({"disabled": true});
    let path = format!("user/{researcher_id}");
    assert_eq!(world.call(PATCH, &path, Some(&root), Some(&disabled)).await.0, 200);
    assert_eq!(held.end().await, 401);
    let result = json!({"status": "completed", "finished_at": "2026-01-01T00:00:00", "result": "e30="});
    let held = Held::begin(&world, &PATCH, &format!("run/{run}"), &node, &result).await;
    let (status, key) = world.call(POST, "recover/node", Some(&root), Some(&json!({"id": 1}))).await;
    assert_eq!(status, 200, "{key}");
    assert_eq!(held.end().await, 401);
    let (_, runs) = world.get(&format!("run/{run}"), &root).await;
    assert_eq!(runs["finished_at"], Value::Null, "{runs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_not_lost_when_others_join_or_leave_the_collaboration_meanwhile() {
    let world = World::new().await;
    let (root, researcher) = (world.token("root").await, world.token("researcher").await);
    let node = world.node_token("example_org1").await;
    let member = json!({"id": 4});
    for change in [DELETE, POST] {
        let (_, task) = world.call(POST, "task", Some(&researcher), Some(&task_body(&[2]))).await;
        let (_, runs) = world.get(&format!("run?task_id={}", task["id"]), &researcher).await;
        let path = format!("run/{}", runs["data"][0]["id"]);
        let result = json!({"status": "completed", "finished_at": "2026-01-01T00:00:00", "result": "e30="});
        let held = Held::begin(&world, &PATCH, &path, &node, &result).await;
        let (status, told) = world.call(change, "collaboration/1/organization", Some(&root), Some(&member)).await;
        assert_eq!(status, 200, "{told}");
        assert_eq!(held.end().await, 200);
        let (_, stored) = world.get(&format!("result?task_id={}", task["id"]), &researcher).await;
        assert_eq!(stored["data"][0]["result"], "e30=");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_grows_while_somebody_gets_it_makes_no_decider() {
    let world = World::new().await;
    let root = world.token("root").await;
    let admin = world.token("admin2").await;
    let body = json!({"name": "helpers", "rules": [], "organization_id": 3});
    let (status, made) = world.call(POST, "role", Some(&admin), Some(&body)).await;
    assert_eq!(status, 201, "{made}");
    // The rules by which somebody decides, of which the last one is given at the same time.
    let admin_role = role(&world, &root, "Organization Admin").await;
    let (_, rules) = world.get(&format!("rule?role_id={admin_role}&per_page=200"), &root).await;
    let all: Vec<i64> = rules["data"].as_array().unwrap().iter().map(|rule| rule["id"].as_i64().unwrap()).collect();
    for round in 0..6 {
        let name = format!("grows{round}");
        let (_, made) = world
            .call(
                POST,
                "role",
                Some(&admin),
                Some(&json!({"name": name, "rules": [],
            "organization_id": 3})),
            )
            .await;
        let id = made["id"].as_i64().unwrap();
        let grow = async {
            tokio::time::sleep(std::time::Duration::from_millis(10 * round)).await;
            world.call(PATCH, &format!("role/{id}"), Some(&root), Some(&json!({"rules": all}))).await
        };
        let planted = user(&name, 3, &[id]);
        let (created, grown) = tokio::join!(world.call(POST, "user", Some(&root), Some(&planted)), grow);
        assert!(created.0 != 201 || grown.0 != 200, "{} {}", created.1, grown.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_ends_with_whatever_it_was_made_for() {
    let world = World::new().await;
    let root = world.token("root").await;
    let admin_role = role(&world, &root, "Organization Admin").await;
    let admin = world.token("admin1").await;
    let reset = async |code: &str| {
        let body = json!({"reset_token": code, "password": "Chosen-by-myself-1"});
        world.call(POST, "recover/reset", None, Some(&body)).await.0.as_u16()
    };
    let (_, helper) = world.call(POST, "user", Some(&admin), Some(&user("helper", 2, &[admin_role]))).await;
    for (number, what) in
        ["role", "address", "sessions", "off and on", "another", "nothing", "inviter"].into_iter().enumerate()
    {
        let name = format!("invitee{number}");
        let (_, invitee) = world.call(POST, "user", Some(&admin), Some(&user(&name, 2, &[]))).await;
        let path = format!("user/{}", invitee["id"]);
        let inviter = world.token("helper").await;
        let invite = async || {
            let (status, answer) = world.call(POST, &format!("{path}/invitation"), Some(&inviter), None).await;
            assert_eq!(status, 200, "{answer}");
            answer["code"].as_str().unwrap().to_owned()
        };
        let code = invite().await;
        let edit = async |body: Value| {
            let (status, answer) = world.call(PATCH, &path, Some(&admin), Some(&body)).await;
            assert_eq!(status, 200, "{answer}");
        };
        match what {
            "role" => edit(json!({"roles": [admin_role]})).await,
            "address" => edit(json!({"email": "other@example.org"})).await,
            "sessions" => {
                assert_eq!(world.call(POST, &format!("{path}/end-sessions"), Some(&admin), None).await.0, 200);
            }
            "off and on" => {
                edit(json!({"disabled": true})).await;
                edit(json!({"disabled": false})).await;
            }
            "another" => assert_ne!(invite().await, code),
            "inviter" => {
                let path = format!("user/{}", helper["id"]);
                let off = json!({"disabled": true});
                assert_eq!(world.call(PATCH, &path, Some(&admin), Some(&off)).await.0, 200);
            }
            _ => {
                assert_eq!(reset(&code).await, 200, "{what}");
                continue;
            }
        }
        assert_eq!(reset(&code).await, 400, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subtask_stays_in_the_study_of_its_task_and_ends_with_the_rights_of_who_began_it() {
    let world = World::new().await;
    let root = world.token("root").await;
    let study = json!({"name": "two of three", "collaboration_id": 1, "organization_ids": [2, 4]});
    let (status, study) = world.call(POST, "study", Some(&root), Some(&study)).await;
    assert_eq!(status, 201, "{study}");
    let researcher = world.token("researcher").await;
    let mut body = task_body(&[2]);
    body["study_id"] = study["id"].clone();
    let (status, task) = world.call(POST, "task", Some(&researcher), Some(&body)).await;
    assert_eq!(status, 201, "{task}");
    let node = world.node_token("example_org1").await;
    let container = container_of(&world, &node, &task).await;
    let subtask = |organization: i64| task_body(&[organization]);
    assert_eq!(world.call(POST, "task", Some(&container), Some(&subtask(3))).await.0, 400, "outside of the study");
    let (status, child) = world.call(POST, "task", Some(&container), Some(&subtask(4))).await;
    assert_eq!((status.as_u16(), &child["study"]["id"]), (201, &study["id"]), "{child}");
    let path = format!("user/{}", id_of(&world, &root, "researcher").await);
    for (change, status) in
        [(json!({"disabled": true}), 401), (json!({"disabled": false}), 201), (json!({"roles": []}), 401)]
    {
        let (edited, answer) = world.call(PATCH, &path, Some(&root), Some(&change)).await;
        assert_eq!(edited, 200, "{answer}");
        assert_eq!(world.call(POST, "task", Some(&container), Some(&subtask(4))).await.0, status, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_with_something_that_may_not_be_deleted_by_itself() {
    let world = World::new().await;
    let root = world.token("root").await;
    let manager_role = role(&world, &root, "Collaboration Admin").await;
    assert_eq!(world.call(POST, "user", Some(&root), Some(&user("manager", 4, &[manager_role]))).await.0, 201);
    let manager = world.token("manager").await;
    let study = json!({"name": "two of three", "collaboration_id": 1, "organization_ids": [2, 4]});
    let (_, study) = world.call(POST, "study", Some(&root), Some(&study)).await;
    let researcher = world.token("researcher").await;
    let mut body = task_body(&[2]);
    body["study_id"] = study["id"].clone();
    let (_, task) = world.call(POST, "task", Some(&researcher), Some(&body)).await;
    let of_task = format!("task/{}", task["id"]);
    assert_eq!(world.call(DELETE, &of_task, Some(&manager), None).await.0, 401);
    let of_study = format!("study/{}?delete_dependents=true", study["id"]);
    assert_eq!(world.call(DELETE, &of_study, Some(&manager), None).await.0, 401);
    assert_eq!(world.call(GET, &of_task, Some(&researcher), None).await.0, 200);
    // Nor is an organization thrown out by who may not choose the members.
    let out = json!({"id": 2});
    assert_eq!(world.call(DELETE, "collaboration/1/organization", Some(&manager), Some(&out)).await.0, 401);
    let (status, left) = world.call(DELETE, "collaboration/1/organization", Some(&root), Some(&out)).await;
    assert_eq!(status, 200, "{left}");
    let (_, of_study_left) = world.get(&format!("study/{}", study["id"]), &root).await;
    let (_, members) = world.get(&format!("organization?study_id={}", study["id"]), &root).await;
    assert_eq!(members["data"].as_array().unwrap().len(), 1, "{of_study_left} {members}");
    let admin = world.token("admin1").await;
    let (_, told) = world.get("account", &admin).await;
    assert!(told.to_string().contains("taken your organization out"), "{told}");
}
