//! Filters, sorting, pages, and bad input.

use atoll::protocol::{client::TaskQuery, status::Status};
use serde_json::{Value, json};

use crate::{
    POST,
    support::{PASSWORD, World, average},
    task_body,
};

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_filtered_sorted_and_paged() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    for name in ["b_one", "a%two", "c three"] {
        let spec =
            atoll::protocol::domain::TaskSpec { name: name.to_owned(), ..average("partial_average", &[2], json!({})) };
        client.create_task(&spec).await.unwrap();
    }
    client.kill_task(1).await.unwrap();
    let names = async |query: TaskQuery| -> Vec<String> {
        let query = TaskQuery { page: 1, per_page: 10, ..query };
        client.tasks(&query).await.unwrap().items.into_iter().map(|task| task.name).collect()
    };
    let all = TaskQuery::default;
    assert_eq!(names(all()).await, ["c three", "a%two", "b_one"]);
    assert_eq!(names(TaskQuery { sort: Some("name".into()), ..all() }).await, ["a%two", "b_one", "c three"]);
    assert_eq!(names(TaskQuery { sort: Some("-name".into()), ..all() }).await, ["c three", "b_one", "a%two"]);
    assert_eq!(names(TaskQuery { name: Some("%".into()), ..all() }).await, ["a%two"]);
    assert_eq!(names(TaskQuery { name: Some("_".into()), ..all() }).await, ["b_one"]);
    assert_eq!(names(TaskQuery { status: Some(Status::Killed), ..all() }).await, ["b_one"]);
    assert_eq!(names(TaskQuery { status: Some(Status::Pending), ..all() }).await.len(), 2);
    assert_eq!(names(TaskQuery { init_user_id: Some(2), ..all() }).await.len(), 0);
    assert_eq!(names(TaskQuery { collaboration_id: Some(1), only_top_level: true, ..all() }).await.len(), 3);
    let page = client.tasks(&TaskQuery { page: 2, per_page: 2, ..all() }).await.unwrap();
    assert_eq!((page.items.len(), page.total), (1, 3));
    let token = world.token("researcher").await;
    let (_, page) = world.get("task?per_page=2&page=1&name=%25", &token).await;
    assert_eq!(page["links"]["next"], "/api/task?name=%25&page=2&per_page=2");
    assert_eq!(page["links"]["last"], "/api/task?name=%25&page=2&per_page=2");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_at_its_field_and_never_a_server_error() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    let root = world.token("root").await;
    let without = |field: &str| {
        let mut body = task_body(&[2]);
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let with = |field: &str, value: Value| {
        let mut body = task_body(&[2]);
        body[field] = value;
        body
    };
    for (body, field) in [
        (without("image"), "image"),
        (without("organizations"), "organizations"),
        (without("collaboration_id"), "_schema"),
        (with("name", json!("42")), "name"),
        (with("name", json!(" ")), "name"),
        (with("name", json!("x".repeat(129))), "name"),
        (with("name", json!(7)), "name"),
        (with("image", json!("a b; rm -rf /")), "image"),
        (with("image", json!("-v")), "image"),
        (with("organizations", json!([])), "organizations"),
        (with("organizations", json!([{"id": 2, "input": "e30="}, {"id": 2, "input": "e30="}])), "organizations"),
        (with("organizations", json!([{"id": 1, "input": "e30="}])), "organizations"),
        (with("organizations", json!([{"id": 2, "input": "not base64"}])), "organizations[0].input"),
        (with("organizations", json!([{"id": 2, "input": "gASVCg=="}])), "organizations[0].input"),
        (with("databases", json!([{"label": ""}])), "databases"),
        (with("databases", json!([{"label": "x", "evil": 1}])), "databases"),
        (with("collaboration_id", json!("one")), "collaboration_id"),
        (with("store_id", json!(99)), "store_id"),
    ] {
        let (status, answer) = world.call(POST, "task", Some(&token), Some(&body)).await;
        assert_eq!(status, 400, "{field}: {answer}");
        assert!(answer["errors"][field].is_array(), "{field}: {answer}");
        assert!(answer["msg"].is_string());
    }
    for path in
        ["task?page=0", "task?per_page=x", "task?sort=password", "task?collaboration_id=x", "run?started_from=soon"]
    {
        let (status, answer) = world.get(path, &token).await;
        assert_eq!(status, 400, "{path}: {answer}");
    }
    for (path, expected) in
        [("task/abc", 404), ("task/99999999999999999999", 404), ("nowhere", 404), ("task/1/status", 404)]
    {
        let (status, answer) = world.get(path, &token).await;
        assert_eq!(status.as_u16(), expected, "{path}: {answer}");
        assert!(answer["msg"].is_string(), "{path}: {answer}");
    }
    // Not JSON, JSON of another kind, deeply nested, empty: to every endpoint that takes a body.
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for path in [
        "task",
        "user",
        "organization",
        "collaboration",
        "study",
        "node",
        "role",
        "kill/task",
        "token/user",
        "token/node",
    ] {
        for body in ["", "{", "[]", "null", "\"x\"", "{\"name\": {\"a\": 1}}", "\u{0}", nested.as_str()] {
            let response = world
                .http
                .post(format!("{}/{path}", world.url))
                .bearer_auth(&root)
                .header("content-type", "application/json")
                .body(body.to_owned())
                .send()
                .await
                .unwrap();
            let status = response.status();
            let shown: String = body.chars().take(20).collect();
            assert!(status.is_client_error(), "{path} {shown}: {status}");
            let answer: Value = response.json().await.unwrap();
            assert!(answer["msg"].is_string(), "{path} {shown}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_are_found_by_name_and_address_and_own_parts_of_the_api_take_no_unknown_parameter() {
    let world = World::new().await;
    let root = world.token("root").await;
    let (_, all) = world.get("algorithmstore", &root).await;
    let (name, url) = (all["data"][0]["name"].as_str().unwrap(), all["data"][0]["url"].as_str().unwrap());
    let part = format!("name=%25{}%25", &name[1..3]);
    for (query, found) in [
        (format!("name={}", name.replace(' ', "%20")), 1),
        (part, 1),
        ("name=other".to_owned(), 0),
        (format!("url={url}/"), 1),
        ("url=https://store.example".to_owned(), 0),
    ] {
        let (status, answer) = world.get(&format!("algorithmstore?{query}"), &root).await;
        assert_eq!((status.as_u16(), answer["data"].as_array().unwrap().len()), (200, found), "{query}");
    }
    for path in ["problem?all=1", "audit/chain?id=1", "account?user_id=1"] {
        assert_eq!(world.get(path, &root).await.0, 400, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_belongs_to_a_study_is_for_those_who_see_the_study() {
    let world = World::new().await;
    let (root, researcher) = (world.token("root").await, world.token("researcher").await);
    let study = json!({"name": "study", "collaboration_id": 1, "organization_ids": [2, 3]});
    let (_, study) = world.call(POST, "study", Some(&root), Some(&study)).await;
    let outside = json!({"name": "elsewhere"});
    let (_, outside) = world.call(POST, "organization", Some(&root), Some(&outside)).await;
    let stranger = json!({"username": "stranger", "password": PASSWORD, "email": "s@example.org", "firstname": "",
        "lastname": "", "organization_id": outside["id"], "roles": [6]});
    assert_eq!(world.call(POST, "user", Some(&root), Some(&stranger)).await.0, 201);
    let stranger = world.token("stranger").await;
    for path in ["organization", "node"] {
        let path = format!("{path}?study_id={}", study["id"]);
        assert_eq!(
            (world.get(&path, &researcher).await.0, world.get(&path, &stranger).await.0.as_u16()),
            (reqwest::StatusCode::OK, 401),
            "{path}"
        );
    }
}
