//! Socket.IO: who hears what, and until when.

use std::time::Duration;

use atoll::protocol::{
    event::Event,
    socket::{Socket, SocketError},
    status::Status,
};
use serde_json::json;

use crate::{
    DELETE, GET, PATCH, POST,
    support::{PASSWORD, World, average, eventually},
};

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_those_who_may_hear_them() {
    let world = World::new().await;
    let url = world.url.parse().unwrap();
    let token = world.token("researcher").await;
    let mut researcher = Socket::connect(&url, &token.into()).await.unwrap();
    let stranger = Socket::connect(&url, &"no.token.at-all".to_owned().into()).await;
    assert!(matches!(stranger, Err(SocketError::Refused(401))));
    let node = world.start_node("example_org1").await;
    let mut heard = Vec::new();
    let client = world.client("researcher").await;
    let mut created = None;
    while !heard.iter().any(|event| matches!(event, Event::StatusChange(change) if change.status == Status::Completed))
    {
        let (name, payload) = tokio::time::timeout(Duration::from_secs(20), researcher.next()).await.unwrap().unwrap();
        heard.extend(Event::from_v4(&name, payload));
        if created.is_none() && heard.iter().any(|event| matches!(event, Event::NodeOnline(_))) {
            created = Some(
                client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap(),
            );
        }
    }
    let has = |wanted: fn(&Event) -> bool| heard.iter().any(wanted);
    assert!(has(|event| matches!(event, Event::NewTask(task) if task.parent_id.is_none())));
    assert!(has(|event| matches!(event, Event::RunChanged { .. })));
    assert!(has(|event| matches!(event, Event::Log(lines) if lines.log.contains("Started function"))));
    node.stop().await;
    eventually(async || {
        let (name, _) = researcher.next().await.unwrap();
        name == "node-offline"
    })
    .await;
}

/// Waits until the connection is ended by the server.
async fn ended(socket: &mut Socket) {
    let closed = async { while socket.next().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("the connection is ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_right_to_hear_hears_nothing_more() {
    let world = World::new().await;
    let root = world.token("root").await;
    let token = world.token("viewer").await;
    let mut viewer = Socket::connect(&world.url.parse().unwrap(), &token.into()).await.unwrap();
    let client = world.client("researcher").await;
    let create = async || {
        client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    };
    // Until the connection is in its rooms, events pass it by.
    eventually(async || {
        create().await;
        tokio::time::timeout(Duration::from_millis(200), viewer.next()).await.is_ok()
    })
    .await;
    let (_, users) = world.get("user?username=viewer", &root).await;
    let id = users["data"][0]["id"].as_i64().unwrap();
    let change = json!({"roles": [], "rules": []});
    let (status, answer) = world.call(PATCH, &format!("user/{id}"), Some(&root), Some(&change)).await;
    assert_eq!(status, 200, "{answer}");
    // What was under way may still come; then it is still.
    while tokio::time::timeout(Duration::from_millis(500), viewer.next()).await.is_ok() {}
    create().await;
    assert!(tokio::time::timeout(Duration::from_millis(500), viewer.next()).await.is_err());
    let (status, answer) = world.call(DELETE, &format!("user/{id}"), Some(&root), None).await;
    assert_eq!(status, 200, "{answer}");
    ended(&mut viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_logs_reach_nobody_who_may_not_read_the_run() {
    let world = World::new().await;
    let url = world.url.parse().unwrap();
    let root = world.token("root").await;
    let (_, rules) = world.get("rule?per_page=1000", &root).await;
    let is_wanted = |rule: &&serde_json::Value| {
        let rule = (rule["name"].as_str(), rule["scope"].as_str(), rule["operation"].as_str());
        [("event", "collaboration", "receive"), ("collaboration", "organization", "view")].iter().any(
            |(name, scope, operation)| {
                rule == (Some(name), Some(scope), Some(operation))
                    || rule == (Some(name), Some(&scope.to_uppercase()), Some(&operation.to_uppercase()))
            },
        )
    };
    let few: Vec<_> = rules["data"].as_array().unwrap().iter().filter(is_wanted).map(|rule| &rule["id"]).collect();
    assert_eq!(few.len(), 2, "{rules}");
    let listener = json!({"username": "listener", "password": PASSWORD, "email": "l@example.org",
        "organization_id": 3, "rules": few});
    let (status, answer) = world.call(crate::POST, "user", Some(&root), Some(&listener)).await;
    assert_eq!(status, 201, "{answer}");
    let other = world.node_token("example_org3").await;
    let mut deaf = [
        Socket::connect(&url, &world.token("listener").await.into()).await.unwrap(),
        Socket::connect(&url, &other.into()).await.unwrap(),
    ];
    let mut researcher = Socket::connect(&url, &world.token("researcher").await.into()).await.unwrap();
    let _node = world.start_node("example_org1").await;
    let client = world.client("researcher").await;
    let task = client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    // What was told before the last status was told before.
    let names = async |socket: &mut Socket| {
        let mut names = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.unwrap().unwrap();
            let is_last = matches!(Event::from_v4(&next.0, next.1.clone()),
                Some(Event::StatusChange(change)) if change.task_id == task.id && change.status == Status::Completed);
            names.push(next.0);
            if is_last {
                return names;
            }
        }
    };
    assert!(names(&mut researcher).await.contains(&"algorithm_log".to_owned()));
    for socket in &mut deaf {
        let heard = names(socket).await;
        assert!(!heard.contains(&"algorithm_log".to_owned()), "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_sessions_and_replaced_keys_end_connections_too() {
    let world = World::new().await;
    let root = world.token("root").await;
    let mut viewer = Socket::connect(&world.url.parse().unwrap(), &world.token("viewer").await.into()).await.unwrap();
    let node = world.node_token("example_org1").await;
    let mut node = Socket::connect(&world.url.parse().unwrap(), &node.into()).await.unwrap();
    world.wait_for(2, true).await;
    // In a later second than the tokens were issued.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (status, answer) = world.call(crate::POST, "user/5/end-sessions", Some(&root), None).await;
    assert_eq!(status, 200, "{answer}");
    ended(&mut viewer).await;
    let (status, answer) = world.call(crate::POST, "recover/node", Some(&root), Some(&json!({"id": 1}))).await;
    assert_eq!(status, 200, "{answer}");
    ended(&mut node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_node_is_cut_off_and_tells_nothing_more() {
    let world = World::new().await;
    let root = world.token("root").await;
    let token = world.node_token("example_org1").await;
    let mut node = Socket::connect(&world.url.parse().unwrap(), &token.into()).await.unwrap();
    world.wait_for(2, true).await;
    let (_, nodes) = world.get("node?organization_id=2", &root).await;
    let path = format!("node/{}", nodes["data"][0]["id"]);
    assert_eq!(world.call(DELETE, &path, Some(&root), None).await.0, 200);
    ended(&mut node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_websockets_gets_events_by_polling_and_without_arguments_that_are_none() {
    let world = World::new().await;
    let token = world.node_token("example_org1").await;
    let address = format!("{}/socket.io/?EIO=4&transport=polling", world.url.trim_end_matches("/api"));
    let get = async |address: &str| {
        let answer = world.http.get(address).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    };
    let opening = get(&address).await;
    let opening: serde_json::Value = serde_json::from_str(opening.trim_start_matches('0')).unwrap();
    let session = format!("{address}&sid={}", opening["sid"].as_str().unwrap());
    let joined = world.http.post(&session).bearer_auth(&token).body("40/tasks,{}").send().await.unwrap();
    assert_eq!(joined.status(), 200, "{}", joined.text().await.unwrap());
    let mut heard = String::new();
    while !heard.contains("sync") {
        heard += &get(&session).await;
    }
    // The official node has no place for an argument.
    assert!(heard.contains(r#"42/tasks,["sync"]"#), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_begins_connections_for_events_without_end() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    let address = format!("{}/socket.io/?EIO=4&transport=polling", world.url.trim_end_matches("/api"));
    let begin = async |token: &str| world.http.get(&address).bearer_auth(token).send().await.unwrap().status().as_u16();
    let mut answers = Vec::new();
    for _ in 0..60 {
        answers.push(begin(&token).await);
    }
    assert!(answers[..50].iter().all(|status| *status == 200) && answers[59] == 429, "{answers:?}");
    // Others are let in.
    assert_eq!(begin(&world.token("viewer").await).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_sends_more_than_can_be_dealt_with_is_cut_off_and_holds_up_nobody() {
    let world = World::new().await;
    let address = format!("{}/socket.io/?EIO=4&transport=polling", world.url.trim_end_matches("/api"));
    let token = world.node_token("example_org1").await;
    let ask = async |method: reqwest::Method, address: &str, body: String| {
        let answer = world.http.request(method, address).bearer_auth(&token).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (_, opened) = ask(GET, &address, String::new()).await;
    let session = opened.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap();
    let address = format!("{address}&sid={session}");
    assert_eq!(ask(POST, &address, "40/tasks,".to_owned()).await.0, 200);
    let researcher = world.client("researcher").await;
    let is_online =
        async || researcher.nodes().await.unwrap().iter().any(|node| node.organization_id == Some(2) && node.online);
    eventually(&is_online).await;
    // Pings cost nothing, however many.
    let pings = vec!["42/tasks,[\"ping\"]"; 40_000].join("\u{1e}");
    let begin = std::time::Instant::now();
    assert_eq!(ask(POST, &address, pings).await.0, 200);
    world.token("viewer").await;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    // Each of these is written to the disk.
    let facts: Vec<String> = (0..2_600)
        .map(|number| format!(r#"42/tasks,["node_info_update",{{"database_labels":["d{number}"]}}]"#))
        .collect();
    let _ = ask(POST, &address, facts.join("\u{1e}")).await;
    eventually(async || !is_online().await).await;
    world.token("viewer").await;
}
