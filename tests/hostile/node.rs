//! Whoever holds the key of one node, against a real hub: nothing of others is read or changed.

use std::collections::BTreeMap;

use atoll::protocol::socket::Socket;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Row, sqlite::SqliteConnectOptions};

use crate::{
    support::{World, average},
    tried,
    variation::Variation,
};

/// What belongs to others, as it is stored.
const OF_OTHERS: [(&str, &str); 9] = [
    ("people", "SELECT id, username, email, password_hash, organization_id FROM user"),
    ("rights", "SELECT user_id, role_id FROM user_role UNION ALL SELECT role_id, rule_id FROM role_rule"),
    ("organizations", "SELECT id, name, domain FROM organization"),
    ("collaborations", "SELECT id, name, encrypted FROM collaboration"),
    ("members", "SELECT collaboration_id, organization_id FROM collaboration_organization"),
    ("nodes", "SELECT id, name, api_key_hash, online FROM node WHERE organization_id <> 2"),
    ("facts", "SELECT node_id, key, value FROM node_config JOIN node ON node.id = node_id WHERE organization_id <> 2"),
    (
        "runs",
        "SELECT id, status, started_at, finished_at, log, (SELECT text FROM run_result WHERE run_id = run.id)
             FROM run WHERE organization_id <> 2",
    ),
    ("reviews", "SELECT id, state, hash FROM review WHERE organization_id <> 2"),
];

async fn of_others(world: &World) -> BTreeMap<&'static str, Vec<String>> {
    let options = SqliteConnectOptions::new().filename(world.data.path().join("hub.sqlite")).read_only(true);
    let mut database = options.connect().await.unwrap();
    let mut stored = BTreeMap::new();
    for (name, query) in OF_OTHERS {
        let rows = sqlx::query(query).fetch_all(&mut database).await.unwrap();
        let text = |row: &sqlx::sqlite::SqliteRow| {
            let cells = (0..row.len()).map(|index| {
                let text = row.try_get::<Option<String>, _>(index).ok().flatten();
                let number = row.try_get_unchecked::<Option<i64>, _>(index).ok().flatten();
                format!("{text:?} {number:?}")
            });
            cells.collect::<Vec<_>>().join(", ")
        };
        stored.insert(name, rows.iter().map(text).collect());
    }
    stored
}

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PATCH, Method::DELETE];
const PLACES: [&str; 33] = [
    "run/{}",
    "result/{}",
    "task/{}",
    "task",
    "kill/task",
    "kill/node/tasks",
    "node/{}",
    "node",
    "user/{}",
    "user",
    "organization/{}",
    "organization",
    "collaboration/{}",
    "collaboration/{}/organization",
    "collaboration/{}/node",
    "study",
    "study/{}",
    "role",
    "role/{}",
    "role/{}/rule/{}",
    "review",
    "review/{}",
    "review/{}/decision",
    "review/{}/use",
    "token/container",
    "recover/node",
    "password/change",
    "account",
    "audit",
    "audit/head",
    "column",
    "user/{}/invitation",
    "problem",
];

/// A body that means something to the place, with something else in it.
fn body(variation: &mut Variation, place: &str, id: i64) -> Value {
    let mut body = match place.split('/').next().unwrap_or_default() {
        "run" => json!({"status": "completed", "finished_at": "2026-11-01T10:00:00", "result": "e30=", "log": "x"}),
        "task" => json!({"name": "t", "image": "i", "collaboration_id": 1, "description": "", "databases": [],
            "organizations": [{"id": id, "input": "e30="}]}),
        "kill" => json!({"id": id, "task_id": id, "node_id": id}),
        "node" => json!({"name": "mine", "collaboration_id": id, "organization_id": id}),
        "user" => json!({"username": "mallory", "email": "m@example.org", "password": "Long-enough-1-2", "roles": [id],
            "organization_id": id, "firstname": "M", "lastname": "M"}),
        "organization" | "collaboration" | "study" | "role" => json!({"name": "mine", "organization_ids": [2, id],
            "encrypted": 1, "description": "d", "rules": [1, 2, 3], "id": id}),
        "review" => json!({"run_id": id, "verdict": "approve", "hash": "0", "request": {}, "subject": "run"}),
        "token" => json!({"task_id": id, "image": "harbor2.vantage6.ai/demo/average"}),
        "audit" => json!({"head": "1:00", "known": "1:00", "lost": "9:00"}),
        _ => json!({"id": id, "current_password": "x", "new_password": "Long-enough-1-2"}),
    };
    if variation.below(2) == 0
        && let Some(fields) = body.as_object_mut()
    {
        let names: Vec<String> = fields.keys().cloned().collect();
        let name = variation.one_of(&names).clone();
        fields.insert(name, variation.value());
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_node_s_key_reads_and_changes_nothing_of_others() {
    let world = World::new().await;
    let _other = world.start_node("example_org2").await;
    world.wait_for_node(3, true).await;
    let researcher = world.client("researcher").await;
    let ages = |organizations: &[i64]| average("partial_average", organizations, json!({"column_name": "age"}));
    // Tasks of another organization: one has ended, one is open at an organization whose node is away.
    let ended = researcher.create_task(&ages(&[3])).await.unwrap();
    crate::support::outcome(&researcher, ended.id).await;
    let open = researcher.create_task(&ages(&[4])).await.unwrap();
    crate::give_away(&world, &[ended.id, open.id]).await;
    let own = researcher.create_task(&ages(&[2])).await.unwrap();
    let ids: Vec<i64> = [ended.id, open.id, own.id].into_iter().chain(1..6).chain([-1, 0, i64::MAX]).collect();
    let before = of_others(&world).await;
    let token = world.node_token("example_org1").await;
    let mut socket = Socket::connect(&world.url.parse().unwrap(), &token.clone().into()).await.unwrap();
    world.wait_for(2, true).await;
    let mut variation = Variation::new();
    let mut told = Vec::new();
    for _ in 0..1_500 {
        let (method, id) = (variation.one_of(&METHODS).clone(), *variation.one_of(&ids));
        let place = *variation.one_of(&PLACES);
        let mut path = place.replace("{}", &id.to_string());
        if variation.below(8) == 0 {
            path = format!("{path}?{}={}", variation.one_of(&["include", "task_id", "sort", "node_id"]), id);
        }
        // The own key and tokens stay as they are.
        if method != Method::GET && (path == "recover/node" || path.starts_with("node/1")) {
            continue;
        }
        let sent = (method != Method::GET).then(|| body(&mut variation, place, id));
        let answered = tried(&world, &method, &path, &token, sent.as_ref()).await;
        let Some((status, answer)) = answered else { continue };
        assert!(!status.is_server_error(), "seed {}: {method} {path} {sent:?}: {status} {answer}", variation.seed);
        // Results and inputs are of those who asked and those who compute.
        if method == Method::GET && status == StatusCode::OK && place.starts_with("result") && id != own.id {
            told.push(format!("{path} {answer}"));
        }
    }
    for _ in 0..300 {
        let name = *variation.one_of(&["algorithm_status_change", "algorithm_log", "node_info_update", "ping", "x"]);
        let id = *variation.one_of(&ids);
        let payload = match variation.below(3) {
            0 => variation.value(),
            1 => json!({"run_id": id, "task_id": id, "status": "failed", "log": "forged", "collaboration_id": 1,
                "organization_id": 3, "node_id": 2}),
            _ => json!({"run_id": variation.value(), "status": variation.value(), "log": variation.text()}),
        };
        if socket.emit(name, &payload).await.is_err() {
            socket = Socket::connect(&world.url.parse().unwrap(), &token.clone().into()).await.unwrap();
        }
    }
    let (status, _) = world.call(Method::GET, "version", None, None).await;
    assert_eq!(status, 200);
    assert_eq!(of_others(&world).await, before, "seed {}", variation.seed);
    let secret = world.client("root").await.results(ended.id).await.unwrap();
    assert!(secret[0].value.is_some(), "{secret:?}");
    assert!(told.is_empty(), "seed {}: {told:?}", variation.seed);
    // The hub still does its work.
    let again = researcher.create_task(&ages(&[3])).await.unwrap();
    let (status, logs, _) = crate::support::outcome(&researcher, again.id).await;
    assert_eq!(status.to_string(), "completed", "{logs:?}");
    println!("attack: a node tried 1,500 requests and 300 events: nothing of others was read or changed");
}
