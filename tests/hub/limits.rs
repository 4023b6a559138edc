//! docs/limits.md, row by row.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use atoll::protocol::socket::{Socket, SocketError};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};

use crate::{
    GET, PATCH, POST,
    support::{AVERAGE, PASSWORD, World, average, web::Web},
    task_body,
};

const DOCUMENT: &str = include_str!("../../docs/limits.md");

/// The first cells of the rows of all tables.
fn rows() -> Vec<&'static str> {
    let cells = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.filter(|cell| *cell != "input").collect()
}

fn text(length: usize) -> String {
    "x".repeat(length)
}

/// Waits until a connection for events is ended by the server.
async fn ended(socket: &mut Socket) {
    let closed = async { while socket.next().await.is_ok() {} };
    timeout(Duration::from_secs(20), closed).await.expect("the connection is ended");
}

/// What a task with this change is answered.
async fn task_with(world: &World, token: &str, key: &str, value: Value) -> u16 {
    let mut body = task_body(&[2]);
    body[key] = value;
    world.call(POST, "task", Some(token), Some(&body)).await.0.as_u16()
}

/// How many seconds it takes until the other side closes a connection over which nothing but this is sent.
async fn until_closed(world: &World, send: &[u8]) -> u64 {
    let address = world.url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(send).await.unwrap();
    let begin = Instant::now();
    // It may be reset.
    let _ = timeout(Duration::from_secs(60), stream.read_to_end(&mut Vec::new())).await.expect("it is closed");
    begin.elapsed().as_secs()
}

/// Whether of what a node tells of itself is kept what fits, however it is written.
async fn told_of_itself(world: &World) -> bool {
    let token = world.node_token("example_org2").await;
    let mut node = Socket::connect(&world.url.parse().unwrap(), &token.clone().into()).await.unwrap();
    world.wait_for(3, true).await;
    let mut tell = async |facts: Value| {
        let (taken, mut is_taken) = oneshot::channel();
        node.emit_with("node_info_update", &facts, Some(taken)).await.unwrap();
        // The answer is heard while the next event is waited for.
        tokio::select! {
            told = &mut is_taken => told.unwrap(),
            event = async { while node.next().await.is_ok() {} } => panic!("the connection has ended: {event:?}"),
        }
        let (_, nodes) = world.get("node?organization_id=3", &world.token("root").await).await;
        nodes["data"][0]["config"].as_array().unwrap().len()
    };
    let few = tell(json!({"encryption": "False", "other": ["a", "b"]})).await;
    // A key of 9,000 bytes is stored with each of its values.
    let long = tell(json!({"k".repeat(9_000): vec!["x"; 300]})).await;
    let many = tell(json!({"k": vec!["x"; 60_000]})).await;
    // With one more that says that some are left out.
    (few, long, many) == (3, 2 * 1024 * 1024 / 9_001 + 1, 50_001)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_that_is_documented_holds() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    let root = world.token("root").await;
    let ok = task_with(&world, &token, "name", json!("fits")).await;
    assert_eq!(ok, 201);
    let post =
        |length: usize| format!("POST /api/token/user HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{{");
    let (post_of_allowed, post_of_too_large) = (post(9_000), post(90_000));
    let (silent, without_end, slow, refused) = tokio::join!(
        until_closed(&world, b""),
        until_closed(&world, b"GET /api/version HTTP/1.1\r\nHost: a\r\n"),
        until_closed(&world, post_of_allowed.as_bytes()),
        until_closed(&world, post_of_too_large.as_bytes()),
    );
    for row in rows() {
        let status = match row {
            "body before signing in (sign-in, recovery, keys, own account)" => {
                let body = json!({"username": text(17 << 10), "password": "x"});
                world.call(POST, "token/user", None, Some(&body)).await.0.as_u16() == 413
            }
            "body of a request to the API" => {
                let body = json!({"name": text((64 << 10) + 1)});
                world.call(PATCH, "organization/2", Some(&root), Some(&body)).await.0 == 413
            }
            "text of what was sent in the answer that refuses it" => {
                let node = world.node_token("example_org1").await;
                let long = || text(3 << 20);
                let mut all = true;
                for (method, path, who, body) in [
                    (POST, "task", &token, json!({long(): 1})),
                    (POST, "task", &token, json!({"collaboration_id": long()})),
                    (POST, "task", &token, json!({"organizations": long()})),
                    (POST, "task", &token, json!({"organizations": [{long(): 1}]})),
                    (PATCH, "run/1", &node, json!({long(): 1})),
                    (POST, "review", &node, json!({"subject": text(900 << 10)})),
                    (POST, "role", &root, json!({text(60 << 10): 1})),
                    (POST, "role", &root, json!({"name": "n", "rules": vec![text(50); 1_000]})),
                ] {
                    let (status, answer) = world.call(method, path, Some(who), Some(&body)).await;
                    all &= status == 400 && answer.to_string().len() < 4_096;
                }
                all
            }
            "body of a request for a review" => {
                let node = world.node_token("example_org1").await;
                let body = |bytes: usize| json!({"hash": text(bytes)});
                let (fits, _) = world.call(POST, "review", Some(&node), Some(&body(900 << 10))).await;
                fits == 400 && world.call(POST, "review", Some(&node), Some(&body(1 << 20))).await.0 == 413
            }
            "bytes of the databases of a task with their parameters" => {
                let large = json!([{"label": "default", "query": text(65 << 10)}]);
                let label = json!([{"label": text(65 << 10)}]);
                task_with(&world, &token, "databases", large).await == 400
                    && task_with(&world, &token, "databases", label).await == 400
            }
            "ids in a list of roles, rules or organizations" => {
                let many: Vec<i64> = (1..=1_001).collect();
                let mut all = true;
                for (method, path, name) in [
                    (PATCH, "user/5", "roles"),
                    (PATCH, "user/5", "rules"),
                    (POST, "role", "rules"),
                    (PATCH, "collaboration/1", "organization_ids"),
                ] {
                    let body = json!({"name": "many", name: many});
                    let body = if path.starts_with("user") { json!({name: many}) } else { body };
                    let (status, answer) = world.call(method, path, Some(&root), Some(&body)).await;
                    let told = answer.to_string();
                    all &= status == 400 && (told.contains("length") || told.contains("At most"));
                }
                all
            }
            "bytes of a task with its runs and results" => {
                let organizations: Vec<Value> =
                    [2, 3, 4].map(|id| json!({"id": id, "input": STANDARD.encode(text(6 << 20))})).to_vec();
                let (_, task) = {
                    let mut body = crate::task_body(&[2]);
                    body["organizations"] = json!(organizations);
                    world.call(POST, "task", Some(&token), Some(&body)).await
                };
                let id = task["id"].as_i64().unwrap();
                // Of so many bytes, a third each.
                let (fits, _) = world.get(&format!("task/{id}?include=runs"), &token).await;
                let more = "UPDATE run_input SET text = text || text || text
                            WHERE run_id IN (SELECT id FROM run WHERE task_id = ?)";
                let mut database = crate::audit::connect(&world).await;
                sqlx::query(more).bind(id).execute(&mut database).await.unwrap();
                let (large, _) = world.get(&format!("task/{id}?include=runs"), &token).await;
                assert_eq!(world.call(Method::DELETE, &format!("task/{id}"), Some(&token), None).await.0, 200);
                fits == 200 && large == 413
            }
            "message over Socket.IO" | "connection over Socket.IO without a token" => {
                let address = format!("{}/socket.io/?EIO=4&transport=polling", world.url.trim_end_matches("/api"));
                let ask = async |method: Method, address: &str, token: &str, body: String| {
                    let mut request = world.http.request(method, address).body(body);
                    if !token.is_empty() {
                        request = request.bearer_auth(token);
                    }
                    let answer = request.send().await.unwrap();
                    (answer.status().as_u16(), answer.text().await.unwrap())
                };
                assert_eq!(ask(GET, &address, "", String::new()).await.0, 401);
                let (status, opened) = ask(GET, &address, &token, String::new()).await;
                assert_eq!(status, 200, "{opened}");
                let session = opened.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap();
                let large = ask(POST, &format!("{address}&sid={session}"), "", format!("4{}", text(1_100_000))).await.0;
                // With a token that is no good one is told so, and sends nothing but that one wants to be.
                let (status, opened) = ask(GET, &address, "eyJ.x.y", String::new()).await;
                assert_eq!(status, 200, "{opened}");
                let session = opened.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap();
                let address = format!("{address}&sid={session}");
                let small = ask(POST, &address, "", "40/tasks,".to_owned()).await.0;
                let more = ask(POST, &address, "", format!("4{}", text(2_000))).await.0;
                // Over a WebSocket, from a node.
                let node = world.node_token("example_org3").await;
                let mut socket = Socket::connect(&world.url.parse().unwrap(), &node.into()).await.unwrap();
                // It may be closed before all is sent.
                let _ = socket.emit("algorithm_log", &json!({"log": text(1_100_000)})).await;
                ended(&mut socket).await;
                (large >= 400, small, more) == (true, 200, 401)
            }
            "message of a user by WebSocket" => {
                let mut socket = Socket::connect(&world.url.parse().unwrap(), &token.clone().into()).await.unwrap();
                let _ = socket.emit("algorithm_log", &json!({"log": text(17 << 10)})).await;
                ended(&mut socket).await;
                true
            }
            "message of a user by WebSocket that tells something" => {
                let mut socket = Socket::connect(&world.url.parse().unwrap(), &token.clone().into()).await.unwrap();
                socket.emit("algorithm_log", &json!({"log": "a"})).await.unwrap();
                ended(&mut socket).await;
                true
            }
            "WebSocket with a token that is not good" => {
                let refused = Socket::connect(&world.url.parse().unwrap(), &"eyJ.x.y".to_owned().into()).await;
                matches!(refused, Err(SocketError::Refused(401)))
            }
            "connections for events of one user or node" => {
                let other = world.token("viewer").await;
                let mut sockets = Vec::new();
                for _ in 0..50 {
                    sockets.push(Socket::connect(&world.url.parse().unwrap(), &other.clone().into()).await.unwrap());
                }
                let more = async |token: &str| {
                    Socket::connect(&world.url.parse().unwrap(), &token.to_owned().into()).await.map(drop)
                };
                assert!(matches!(more(&other).await, Err(SocketError::Refused(429))));
                let first = &mut sockets[0];
                assert!(tokio::time::timeout(Duration::from_millis(100), first.next()).await.is_err());
                // Places are free again when connections end.
                sockets.truncate(1);
                crate::support::eventually(async || more(&other).await.is_ok()).await;
                let node = world.node_token("example_org2").await;
                let mut sockets = Vec::new();
                for _ in 0..16 {
                    sockets.push(Socket::connect(&world.url.parse().unwrap(), &node.clone().into()).await.unwrap());
                }
                matches!(more(&node).await, Err(SocketError::Refused(429)))
            }
            "input of a task, result of a run" => {
                let input = STANDARD.encode(text(25 << 20));
                task_with(&world, &token, "organizations", json!([{"id": 2, "input": input}])).await == 413
            }
            "headers of a request" => {
                let address = format!("{}/version", world.url);
                let answer = world.http.get(address).header("x-long", text(17 << 10)).send().await;
                answer.is_err() || answer.is_ok_and(|answer| answer.status() == 431)
            }
            "parameter of a list" => world.get(&format!("task?name={}", text(4097)), &token).await.0 == 400,
            "items on a page of a list" => {
                let (status, answer) = world.get("rule?per_page=99999", &root).await;
                status == 200 && answer["links"]["self"].as_str().unwrap().contains("per_page=1000")
            }
            "bytes on a page of a list" => {
                let input = STANDARD.encode(format!("\"{}\"", text(13 << 20)));
                for _ in 0..2 {
                    let status =
                        task_with(&world, &token, "organizations", json!([{"id": 2, "input": input.clone()}])).await;
                    assert_eq!(status, 201);
                }
                // As the official node reads: without a number of items, by counting pages.
                let node = world.node_token("example_org1").await;
                let (mut ids, mut page, mut all) = (BTreeSet::new(), 0, false);
                while !all {
                    page += 1;
                    let (status, runs) = world.get(&format!("run?state=open&include=task&page={page}"), &node).await;
                    assert_eq!(status, 200, "{runs}");
                    ids.extend(runs["data"].as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()));
                    all = runs["links"]["next"].is_null();
                }
                let (_, total) = world.get("run?state=open&per_page=1", &node).await;
                let last = total["links"]["last"].as_str().unwrap();
                page > 1 && last.contains(&format!("page={}&", ids.len()))
            }
            "bytes of the runs and results that a page of tasks includes" => {
                world.get("task?include=runs,results&per_page=5", &token).await.0 == 413
                    && world.get("task?include=runs,results&per_page=1", &token).await.0 == 200
            }
            "bytes of what a node tells of itself" => told_of_itself(&world).await,
            "organizations of a task" => {
                let many: Vec<Value> = (0..1_001).map(|id| json!({"id": id + 2, "input": "e30="})).collect();
                let mut body = crate::task_body(&[2]);
                body["organizations"] = json!(many);
                let (status, answer) = world.call(POST, "task", Some(&token), Some(&body)).await;
                status == 400 && answer.to_string().contains("length")
            }
            "databases of a task" => {
                let many: Vec<Value> = (0..101).map(|id| json!({"label": format!("d{id}")})).collect();
                task_with(&world, &token, "databases", json!(many)).await == 400
            }
            "subtasks of a task" => {
                let node = world.node_token("example_org1").await;
                let (_, parent) = world.call(POST, "task", Some(&token), Some(&task_body(&[2]))).await;
                let parent = parent["id"].as_i64().unwrap();
                let asked = json!({"task_id": parent, "image": AVERAGE});
                let (_, container) = world.call(POST, "token/container", Some(&node), Some(&asked)).await;
                let container = container["container_token"].as_str().unwrap();
                let subtask = task_body(&[2]);
                let first = world.call(POST, "task", Some(container), Some(&subtask)).await;
                assert_eq!(first.0, 201, "{}", first.1);
                let more = "INSERT INTO task (name, description, image, collaboration_id, job_id, parent_id,
                                init_organization_id, created_at, status)
                            SELECT name, description, image, collaboration_id, job_id, parent_id, init_organization_id,
                                created_at, status
                            FROM task, json_each('[' || substr(replace(hex(zeroblob(9999)), '00', ',0'), 2) || ']')
                            WHERE task.id = ?";
                let mut database = crate::audit::connect(&world).await;
                sqlx::query(more).bind(first.1["id"].as_i64()).execute(&mut database).await.unwrap();
                world.call(POST, "task", Some(container), Some(&subtask)).await.0 == 400
            }
            "values in the parameters of a database" => {
                let many = json!([{"label": "default", "preprocessing": vec![0; 2_001]}]);
                task_with(&world, &token, "databases", many).await == 400
            }
            "values in a pickle of a 3.x client" => {
                // Protocol 2, a list of None, each of them thrown away at its end.
                let mut pickle = vec![0x80, 2, b']', b'('];
                pickle.extend(vec![b'N'; 600_000]);
                pickle.extend(b"e.");
                let input = STANDARD.encode(pickle);
                task_with(&world, &token, "organizations", json!([{"id": 2, "input": input}])).await == 400
            }
            "name" => task_with(&world, &token, "name", json!(text(129))).await == 400,
            "description" => task_with(&world, &token, "description", json!(text(1025))).await == 400,
            "image" => task_with(&world, &token, "image", json!(text(1025))).await == 400,
            "new password" => {
                let change = |new: &str| json!({"current_password": PASSWORD, "new_password": new});
                let mut all = true;
                for new in ["elevenchars", &text(129), "password1234", "qwertyuiopas", "Researcher-2026-researcher"] {
                    all &= world.call(PATCH, "password/change", Some(&token), Some(&change(new))).await.0 == 400;
                }
                all
            }
            "password at sign-in" => {
                let body = json!({"username": "researcher", "password": text(1025)});
                world.call(POST, "token/user", None, Some(&body)).await.0 == 400
            }
            "code of the second factor" => {
                let body = json!({"username": "researcher", "password": PASSWORD, "mfa_code": text(21)});
                world.call(POST, "token/user", None, Some(&body)).await.0 == 400
            }
            "reason of a decision" => {
                let node = world.node_token("example_org1").await;
                let (_, task) = world.call(POST, "task", Some(&token), Some(&task_body(&[2]))).await;
                let (_, runs) = world.get(&format!("run?task_id={}", task["id"]), &node).await;
                let run = runs["data"][0]["id"].as_i64().unwrap();
                let review = crate::ask_for_review(&world, &node, run, &task["id"]).await;
                let admin = world.token("admin1").await;
                let path = format!("review/{}/decision", review["id"]);
                let decide = async |bytes: usize| {
                    let body = json!({"verdict": "reject", "hash": review["hash"], "reason": text(bytes)});
                    world.call(POST, &path, Some(&admin), Some(&body)).await.0
                };
                decide(1025).await == 400 && decide(1024).await.is_success()
            }
            "log of a run" => {
                let node = world.node_token("example_org1").await;
                let (_, runs) = world.get("run?per_page=1&state=open", &node).await;
                let id = runs["data"][0]["id"].as_i64().unwrap();
                let log = format!("{}ü", text((1 << 20) - 1));
                let body = json!({"log": log, "status": "active"});
                let (status, answer) = world.call(PATCH, &format!("run/{id}"), Some(&node), Some(&body)).await;
                status == 200 && answer["log"].as_str().unwrap().len() == (1 << 20) - 1
            }
            "pattern in a policy" => {
                let long = format!("^{}$", text(600));
                atoll::protocol::image::allowed(&[long], AVERAGE).is_none()
            }
            "time until the first byte of a connection" => (8..15).contains(&silent),
            "time for the headers of a request" => (8..15).contains(&without_end),
            "pace of a body" => (18..35).contains(&slow),
            "time for the rest of a body that is refused" => (18..35).contains(&refused),
            "attempts of users from one address" => {
                let web = Web::beside(&world, &["127.0.0.1/32"]).await;
                let right = json!({"username": "viewer", "password": PASSWORD});
                let mut answers = Vec::new();
                for _ in 0..160 {
                    let answer = web.request(Method::POST, "/api/token/user").json(&right);
                    let answer = answer.header("x-forwarded-for", "198.51.100.9").send().await.unwrap();
                    answers.push(answer.status().as_u16());
                }
                answers[..110].iter().all(|status| *status == 200) && answers.contains(&429)
            }
            "failures of one address, one after the other" => {
                let web = Web::new(&world, &[]).await;
                let wrong = json!({"username": "nobody", "password": "wrong"});
                let mut status = 0;
                for _ in 0..22 {
                    let answer = web.request(Method::POST, "/api//token/user").json(&wrong).send().await.unwrap();
                    status = answer.status().as_u16();
                }
                status == 429
            }
            "wrong passwords of an account from one place" => {
                let attempt = async |password: &str| {
                    let body = json!({"username": "viewer", "password": password});
                    world.call(POST, "token/user", None, Some(&body)).await.0
                };
                for _ in 0..5 {
                    assert_eq!(attempt("wrong").await, 401);
                }
                attempt(PASSWORD).await == 401
            }
            row => panic!("docs/limits.md says \"{row}\", and nothing checks it"),
        };
        assert!(status, "{row}");
    }
    // Nothing of it did any harm.
    assert_eq!(world.call(GET, "version", None, None).await.0, 200);
    let client = world.client("researcher").await;
    client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
}

/// What a sign-in on the page is answered, and the cookies that it sets.
async fn sign_in_at(web: &Web, address: &str, cookies: &str, username: &str, password: &str) -> (u16, String) {
    let form = [("username", username), ("password", password)];
    let request = web.form("/login", &form).header("x-forwarded-for", address).header("cookie", cookies);
    let answer = request.send().await.unwrap();
    let cookies = answer.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    let cookies: Vec<String> = cookies.map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect();
    (answer.status().as_u16(), cookies.join("; "))
}

fn browser_of(cookies: &str) -> String {
    cookies.split("; ").find(|cookie| cookie.starts_with("atoll-browser=")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_before_another_hub_lets_known_browsers_in_beside_strangers() {
    let world = World::new().await;
    // With limits of its own, as a portal elsewhere has them.
    let web = Web::before_another_hub(&world, &["127.0.0.1/32"]).await;
    let page = async |cookies: &str, username: &str, password: &str| {
        sign_in_at(&web, "192.0.2.77", cookies, username, password).await
    };
    let browser = browser_of(&page("", "researcher", PASSWORD).await.1);
    let again = browser_of(&page(&browser, "researcher", PASSWORD).await.1);
    for _ in 0..25 {
        page("", "nobody", "wrong").await;
    }
    assert_eq!(page("", "researcher", PASSWORD).await.0, 429);
    assert_eq!(page("atoll-browser=invented", "researcher", PASSWORD).await.0, 429);
    assert_eq!(page(&again, "viewer", PASSWORD).await.0, 429, "it is known for the one who was signed in there");
    assert_eq!(page(&again, "researcher", PASSWORD).await.0, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn right_keys_and_known_places_are_let_in_whatever_strangers_do() {
    let world = World::new().await;
    let web = Web::beside(&world, &["127.0.0.1/32"]).await;
    let limited_there = std::cell::Cell::new(0);
    let from = async |address: &str, path: &str, body: &Value| {
        let request = web.request(Method::POST, path).json(body).header("x-forwarded-for", address);
        let status = request.send().await.unwrap().status().as_u16();
        limited_there.set(limited_there.get() + u64::from(status == 429 && address == "192.0.2.77"));
        status
    };
    let sign_in = |password: &str| json!({"username": "viewer", "password": password});
    assert_eq!(from("198.51.100.1", "/api/token/user", &sign_in(PASSWORD)).await, 200);
    // Strangers everywhere: sixty wrong passwords from sixteen addresses.
    for number in 0..60 {
        from(&format!("203.0.113.{}", number % 16), "/api/token/user", &sign_in("wrong")).await;
    }
    assert_eq!(
        from("203.0.113.200", "/api/token/user", &sign_in(PASSWORD)).await,
        401,
        "a place where they never were"
    );
    assert_eq!(from("198.51.100.1", "/api/token/user", &sign_in(PASSWORD)).await, 200, "where they were before");
    // Somebody at the address of those who try: a browser in which they were signed in before.
    let page = async |cookies: &str, password: &str| {
        let (status, cookies) = sign_in_at(&web, "192.0.2.77", cookies, "researcher", password).await;
        limited_there.set(limited_there.get() + u64::from(status == 429));
        (status, cookies)
    };
    let (status, cookies) = page("", PASSWORD).await;
    assert_eq!(status, 303, "{cookies}");
    let browser = browser_of(&cookies);
    for _ in 0..25 {
        let wrong = json!({"username": "nobody", "password": "wrong"});
        from("192.0.2.77", "/api/token/user", &wrong).await;
    }
    assert_eq!(page("", PASSWORD).await.0, 429);
    assert_eq!(page("atoll-browser=invented", PASSWORD).await.0, 429);
    assert_eq!(page(&browser, PASSWORD).await.0, 303);
    // Of before a change of how somebody signs in it is no known one any more.
    let mut database = crate::audit::connect(&world).await;
    let epoch = "UPDATE user SET token_epoch = token_epoch + ? WHERE username = 'researcher'";
    sqlx::query(epoch).bind(1).execute(&mut database).await.unwrap();
    assert_eq!(page(&browser, PASSWORD).await.0, 429);
    sqlx::query(epoch).bind(-1).execute(&mut database).await.unwrap();
    // It is no way to try passwords of others, or many of this one.
    let mut refused = Vec::new();
    for _ in 0..8 {
        refused.push(page(&browser, "wrong").await.0);
    }
    assert!(refused.iter().all(|status| *status != 303), "{refused:?}");
    assert_ne!(page(&browser, PASSWORD).await.0, 303, "locked for this browser");
    // Nor one to keep the server busy.
    let mut limited = Vec::new();
    for _ in 0..20 {
        limited.push(page(&browser, "wrong").await.0);
    }
    assert_eq!(limited.last(), Some(&429), "{limited:?}");
    // Forty-five stations behind one address, beside one with a wrong key.
    let key = world.api_key("example_org1");
    for _ in 0..45 {
        let wrong = json!({"api_key": uuid::Uuid::new_v4()});
        from("192.0.2.7", "/api/token/node", &wrong).await;
        assert_eq!(from("192.0.2.7", "/api/token/node", &json!({"api_key": key})).await, 200);
    }
    assert_eq!(from("192.0.2.7", "/api/token/node", &json!({"api_key": uuid::Uuid::new_v4()})).await, 429);
    // All of it is noted, also of a browser that is known.
    let root = world.token("root").await;
    drop(world.hub.end().await);
    let (_, log) = world.get("audit?action=sign_in.limit", &root).await;
    let noted = log["data"].as_array().unwrap().iter().flat_map(|entry| entry["details"].as_str().unwrap().split(", "));
    let there: u64 = noted
        .filter_map(|details| details.strip_prefix("192.0.2.77 ")?.strip_suffix(" times")?.parse::<u64>().ok())
        .sum();
    assert_eq!(there, limited_there.get());
}
