//! Role × page × endpoint: nothing is reachable by guessing an id.

use std::{collections::BTreeSet, path::Path};

use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use walkdir::WalkDir;

use crate::support::{
    PASSWORD, World, average, eventually,
    web::{Web, session_cookie},
};

/// Nobody, and somebody of each role; `stranger` administers an organization outside the collaboration.
const CALLERS: [&str; 9] =
    ["nobody", "viewer", "researcher", "admin1", "admin2", "stranger", "manager", "auditor", "root"];

/// 403 or 404: which of several questions the hub answers first does not matter, as long as neither says that there is
/// something.
const GONE: u16 = 0;

/// What each page answers to each of them; [`GONE`] where it must not tell.
#[rustfmt::skip]
const PAGES: [(&str, [u16; 9]); 51] = [
    // nobody, viewer, researcher, admin1, admin2, stranger, manager, auditor, root
    ("/", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/collaborations", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/collaborations/1", [303, 200, 200, 200, 200, 403, 200, 200, 200]),
    ("/collaborations/999", [303, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE]),
    ("/collaborations/new", [303, 403, 403, 403, 403, 403, 403, 403, 200]),
    ("/organizations", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/organizations/2", [303, 200, 200, 200, 200, 403, 200, 200, 200]),
    ("/organizations/3/delete", [303, 403, 403, 403, 403, 403, 403, 403, 200]),
    ("/account", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/account/second-factor", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/account/second-factor/confirm", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/account/second-factor/remove", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/account/email", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/account/password", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/account/sessions/all", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/organizations/new", [303, 403, 403, 403, 403, 403, 403, 403, 200]),
    ("/tasks", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    // An auditor reads what happened, not results.
    ("/tasks/1", [303, 200, 200, 200, 200, 403, 200, 403, 200]),
    ("/tasks/1/results.csv", [303, 200, 200, 200, 200, 403, 200, 403, 200]),
    ("/tasks/1/results.json", [303, 200, 200, 200, 200, 403, 200, 403, 200]),
    ("/tasks/1/delete", [303, 403, 200, 403, 403, 403, 200, 403, 200]),
    ("/tasks/1/cancel", [303, 403, 200, 403, 403, 403, 200, 403, 200]),
    ("/tasks/999", [303, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE]),
    ("/tasks/drafts/1/discard", [303, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE]),
    ("/runs/1/log", [303, 200, 200, 200, 200, 403, 200, 403, 200]),
    ("/reviews", [303, 403, 403, 200, 200, 200, 200, 200, 200]),
    // The manager is of the same organization; nobody else's admin learns that it is there.
    ("/reviews/1", [303, 403, 403, 200, 404, 404, 200, 200, 200]),
    ("/audit", [303, 403, 403, 200, 200, 200, 200, 200, 200]),
    ("/audit.csv", [303, 403, 403, 200, 200, 200, 200, 200, 200]),
    ("/users", [303, 403, 403, 200, 200, 200, 200, 403, 200]),
    ("/users/1", [303, 403, 403, 200, 403, 403, 200, 403, 200]),
    ("/users/999", [303, 403, 403, GONE, GONE, GONE, GONE, 403, GONE]),
    ("/roles", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/roles/5", [303, 200, 200, 200, 200, 200, 200, 200, 200]),
    ("/nodes/1", [303, 200, 200, 200, 200, 403, 200, 200, 200]),
    // Nothing is offered that the hub would refuse.
    ("/collaborations/1/edit", [303, 403, 403, 403, 403, 403, 200, 403, 200]),
    ("/collaborations/1/delete", [303, 403, 403, 403, 403, 403, 403, 403, 200]),
    ("/collaborations/1/studies/new", [303, 403, 403, 403, 403, 403, 200, 403, 200]),
    ("/studies/1/edit", [303, 403, 403, 403, 403, 403, 200, 403, 200]),
    ("/organizations/2/edit", [303, 403, 403, 200, 403, 403, 200, 403, 200]),
    ("/nodes/1/key", [303, 403, 403, 200, 403, 403, 200, 403, 200]),
    ("/nodes/1/delete", [303, 403, 403, 403, 403, 403, 200, 403, 200]),
    ("/users/new", [303, 403, 403, 200, 200, 200, 200, 403, 200]),
    ("/users/1/edit", [303, 403, 403, 200, 403, 403, 200, 403, 200]),
    ("/users/1/delete", [303, 403, 403, 200, 403, 403, 200, 403, 200]),
    ("/roles/new", [303, 403, 403, 200, 200, 200, 200, 403, 200]),
    ("/roles/5/edit", [303, 403, 403, 403, 403, 403, 403, 403, 403]),
    ("/roles/5/delete", [303, 403, 403, 403, 403, 403, 403, 403, 403]),
    // Leads to the first step.
    ("/tasks/new", [303, 403, 303, 403, 403, 403, 303, 403, 303]),
    // Without a second factor there are none.
    ("/account/recovery-codes", [303, 303, 303, 303, 303, 303, 303, 303, 303]),
    ("/nodes/999", [303, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE]),
];

/// A world with a stranger, a manager, a task, a waiting review at example_org1 (organization 2), a study.
async fn world() -> (World, crate::support::RunningNode) {
    let world = World::new().await;
    let root = world.token("root").await;
    let organization = json!({"name": "elsewhere"});
    let (status, organization) = world.call(Method::POST, "organization", Some(&root), Some(&organization)).await;
    assert_eq!(status, 201, "{organization}");
    for (name, organization_id, role) in [("stranger", organization["id"].as_i64().unwrap(), 6), ("manager", 2, 7)] {
        let user = json!({"username": name, "password": PASSWORD, "email": format!("{name}@example.org"),
            "firstname": name, "lastname": name, "organization_id": organization_id, "roles": [role]});
        let (status, answer) = world.call(Method::POST, "user", Some(&root), Some(&user)).await;
        assert_eq!(status, 201, "{answer}");
    }
    let study = json!({"name": "study", "collaboration_id": 1, "organization_ids": [2, 3]});
    assert_eq!(world.call(Method::POST, "study", Some(&root), Some(&study)).await.0, 201);
    let node = world.start_node_with("example_org1", |text| text.push_str("policies:\n  review: always\n")).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    researcher.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    eventually(async || admin.review(1).await.is_ok()).await;
    (world, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_answers_each_role_as_it_may() {
    let (world, _node) = world().await;
    let mut web = Web::new(&world, &["127.0.0.1/32"]).await;
    let mut cookies = Vec::new();
    for (index, name) in CALLERS.iter().enumerate() {
        if *name != "nobody" {
            // Each from an address of its own: how often one may try is limited.
            let form = web.form("/login", &[("username", name), ("password", PASSWORD)]);
            let answer = form.header("x-forwarded-for", format!("198.51.100.{index}")).send().await.unwrap();
            assert_eq!(answer.status(), 303, "{name}");
            let cookie = session_cookie(&answer);
            cookies.push(cookie.split(';').next().unwrap().to_owned());
        } else {
            cookies.push(String::new());
        }
    }
    let mut wrong = Vec::new();
    for (path, expected) in PAGES {
        for (index, name) in CALLERS.iter().enumerate() {
            web.cookie = cookies[index].clone();
            let (status, page) = web.get(path).await;
            let is_gone = expected[index] == GONE && [403, 404].contains(&status.as_u16());
            if !is_gone && status.as_u16() != expected[index] {
                wrong.push(format!("{name} {path}: {status}, not {}", expected[index]));
            }
            assert!(!page.contains("panicked"), "{name} {path}");
        }
    }
    // Streams say to those who may not hear them that there is nothing, and end: a browser would ask again and again.
    for (path, name) in [
        ("/events?of=/tasks/1", "stranger"),
        ("/events?of=/tasks/1", "auditor"),
        ("/events?of=/reviews", "viewer"),
        ("/events?of=/reviews", "researcher"),
        ("/events?of=/reviews/1", "viewer"),
        ("/events?of=/reviews/1", "researcher"),
        ("/events?of=/reviews/1", "admin2"),
        ("/events?of=/reviews/1", "nobody"),
        ("/events?of=/tasks/1", "nobody"),
        ("/events?of=/reviews", "nobody"),
    ] {
        web.cookie = cookies[CALLERS.iter().position(|caller| *caller == name).unwrap()].clone();
        let (status, stream) = web.get(path).await;
        if stream.contains("partial_average") || stream.contains("example_org1") || stream.len() > 200 {
            wrong.push(format!("{name} {path}: {status} {stream}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_refused_to_those_who_may_not_make_them_whatever_page_they_send() {
    let (world, _node) = world().await;
    let mut web = Web::new(&world, &["127.0.0.1/32"]).await;
    let review = world.client("admin1").await.review(1).await.unwrap();
    let hash = review.hash.clone();
    let everybody = ["nobody", "viewer", "researcher", "admin2", "stranger", "manager", "auditor", "root"];
    for (index, name) in everybody.into_iter().enumerate() {
        web.cookie = String::new();
        if name != "nobody" {
            let form = web.form("/login", &[("username", name), ("password", PASSWORD)]);
            let answer = form.header("x-forwarded-for", format!("198.51.100.{index}")).send().await.unwrap();
            web.cookie = session_cookie(&answer).split(';').next().unwrap().to_owned();
        }
        let chosen = format!("1:{hash}");
        let mut attempts: Vec<(&str, Vec<(&str, &str)>)> = vec![
            ("/reviews/1", vec![("verdict", "approve"), ("hash", &hash), ("scope", "run")]),
            ("/reviews", vec![("action", "approve"), ("review", &chosen)]),
        ];
        if name == "manager" {
            // Within the collaboration they may do much, but not end it, nor give themselves more.
            attempts.extend([
                ("/collaborations/1/delete", vec![]),
                ("/collaborations/1/edit", vec![("name", "example_collab1"), ("organization_ids", "2")]),
                ("/organizations/4/delete", vec![]),
                ("/organizations/new", vec![("name", "taken")]),
                ("/collaborations/new", vec![("name", "taken"), ("organization_ids", "2")]),
                ("/users/1/edit", vec![("email", "taken@example.org"), ("roles", "1")]),
                ("/users/6/active", vec![]),
            ]);
        } else if name != "root" {
            attempts.extend([
                ("/nodes/1", vec![("name", "taken")]),
                ("/nodes/1/key", vec![]),
                ("/nodes/1/delete", vec![]),
                ("/collaborations/1/edit", vec![("name", "taken"), ("organization_ids", "2")]),
                ("/collaborations/1/delete", vec![]),
                ("/studies/1/delete", vec![]),
                ("/organizations/2/edit", vec![("name", "taken")]),
                ("/organizations/4/delete", vec![]),
                ("/users/4/active", vec![]),
                ("/users/4/delete", vec![]),
                ("/users/4/invite", vec![]),
                ("/users/4/end-sessions", vec![]),
                ("/users/4/reset-second-factor", vec![]),
                ("/users/1/edit", vec![("email", "taken@example.org"), ("roles", "1")]),
                ("/roles/5/edit", vec![("name", "taken"), ("rules", "1")]),
                ("/organizations/new", vec![("name", "taken")]),
                ("/collaborations/new", vec![("name", "taken"), ("organization_ids", "2")]),
            ]);
        }
        // An organization's admin registers its own node.
        if !["admin2", "manager", "root"].contains(&name) {
            attempts.push(("/collaborations/1/nodes", vec![]));
        }
        if !["researcher", "manager", "root"].contains(&name) {
            attempts.extend([("/tasks/1/cancel", vec![]), ("/tasks/1/delete", vec![])]);
        }
        for (path, fields) in attempts {
            let (status, place, page) = web.post(path, &fields).await;
            // Refused, or a message where it was sent from; nowhere an API key or an invitation.
            assert!([303, 403, 404, 422].contains(&status.as_u16()), "{name} {path}: {status} {place}");
            assert!(!page.contains("api-key"), "{name} {path}");
        }
    }
    let root = world.token("root").await;
    assert_eq!(world.client("admin1").await.review(1).await.unwrap(), review);
    let (_, node) = world.get("node/1", &root).await;
    assert_eq!(node["name"], "example_org1 node");
    let (_, collaboration) = world.get("collaboration/1?include=organizations", &root).await;
    assert_eq!(
        (collaboration["name"].as_str(), collaboration["organizations"].as_array().unwrap().len()),
        (Some("example_collab1"), 3)
    );
    let (_, names) = world.get("organization?name=taken", &root).await;
    assert_eq!(names["data"].as_array().unwrap().len(), 0);
    assert_eq!(world.get("study/1", &root).await.0, 200);
    let (_, task) = world.get("task/1", &root).await;
    assert_eq!(task["status"], "pending", "{task}");
    assert_eq!(world.get("organization/4", &root).await.0, 200);
    let (_, user) = world.get("user/1?include_permissions=1", &root).await;
    assert_eq!(user["permissions"]["roles"], json!([5]));
    // Who was to be deactivated, deleted, or signed out, is there.
    world.token("admin3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_take_over_no_account_and_who_is_deactivated_is_out_at_once() {
    let world = World::new().await;
    let (root, admin) = (world.token("root").await, world.token("admin1").await);
    let invite = async |id: i64, token: &str| {
        world.call(Method::POST, &format!("user/{id}/invitation"), Some(token), None).await
    };
    // In use, another organization's, one's own, and one with more rights than one's own.
    world.token("researcher").await;
    assert_eq!(invite(1, &admin).await.0, 400);
    for id in [3, 2, 6] {
        assert_eq!(invite(id, &admin).await.0, 401, "{id}");
    }
    let user = json!({"username": "powerful", "password": PASSWORD, "email": "p@example.org", "firstname": "p",
        "lastname": "p", "organization_id": 2, "roles": [7]});
    let (_, powerful) = world.call(Method::POST, "user", Some(&root), Some(&user)).await;
    let id = powerful["id"].as_i64().unwrap();
    assert_eq!(invite(id, &admin).await.0, 401, "an admin who could sign in as it would have its rights");
    let (status, invitation) = invite(id, &root).await;
    assert_eq!(status, 200, "{invitation}");
    let reset = json!({"reset_token": invitation["code"], "password": "Another-1234"});
    assert_eq!(world.call(Method::POST, "recover/reset", None, Some(&reset)).await.0, 200);
    assert_eq!(world.call(Method::POST, "recover/reset", None, Some(&reset)).await.0, 400, "good once");

    let researcher = world.token("researcher").await;
    let off = json!({"disabled": true});
    assert_eq!(world.call(Method::PATCH, "user/2", Some(&admin), Some(&off)).await.0, 400, "not oneself");
    assert_eq!(world.call(Method::PATCH, "user/1", Some(&admin), Some(&off)).await.0, 200);
    assert_eq!(world.get("task", &researcher).await.0, 401);
    let sign_in = json!({"username": "researcher", "password": PASSWORD});
    let unknown = json!({"username": "not there", "password": PASSWORD});
    let (status, answer) = world.call(Method::POST, "token/user", None, Some(&sign_in)).await;
    assert_eq!((status, answer), world.call(Method::POST, "token/user", None, Some(&unknown)).await);
    assert_eq!(invite(1, &admin).await.0, 400);
    assert_eq!(world.call(Method::PATCH, "user/1", Some(&admin), Some(&json!({"disabled": false}))).await.0, 200);
    let researcher = world.token("researcher").await;
    assert_eq!(world.call(Method::POST, "user/1/end-sessions", Some(&admin), None).await.0, 200);
    assert_eq!(world.get("task", &researcher).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_makes_a_decider_of_their_own_or_takes_one_over() {
    let (world, _node) = world().await;
    let (root, manager) = (world.token("root").await, world.token("manager").await);
    // Once somebody who decides has signed in.
    for admin in ["admin2", "admin3"] {
        world.token(admin).await;
    }
    let user = |name: &str, organization: i64, roles: Value| {
        json!({"username": name, "password": PASSWORD,
        "email": format!("{name}@example.org"), "firstname": name, "lastname": name, "organization_id": organization,
        "roles": roles})
    };
    // By a new user, by giving a role, by a rule; of an organization that has its deciders. 89: review edit.
    for (token, who) in [(&root, "root"), (&manager, "manager")] {
        for (method, path, body) in [
            (Method::POST, "user", user(&format!("a{who}"), 3, json!([6]))),
            (Method::PATCH, "user/1", json!({"roles": [5, 6]})),
            (Method::PATCH, "user/5", json!({"rules": [89]})),
            (Method::PATCH, "user/3", json!({"email": "mine@example.org"})),
        ] {
            // The manager is of organization 2, where user 1 is: there the role is not theirs to give.
            let (status, answer) = world.call(method, path, Some(token), Some(&body)).await;
            assert_eq!(status, 401, "{who} {path} {answer}");
        }
    }
    // By a rule that a role gets which somebody has already, or by taking those away who decide.
    let role = json!({"name": "plain", "rules": [], "organization_id": 3});
    let (_, role) = world.call(Method::POST, "role", Some(&root), Some(&role)).await;
    let plain = user("plain", 3, json!([role["id"]]));
    let (status, answer) = world.call(Method::POST, "user", Some(&root), Some(&plain)).await;
    assert_eq!(status, 201, "{answer}");
    for (method, path, body) in [
        (Method::POST, format!("role/{}/rule/89", role["id"]), json!({})),
        (Method::PATCH, format!("role/{}", role["id"]), json!({"rules": [89]})),
        (Method::DELETE, "user/3".to_owned(), json!({})),
    ] {
        let (status, answer) = world.call(method, &path, Some(&root), Some(&body)).await;
        assert_eq!(status, 401, "{path} {answer}");
    }
    // To keep somebody out is another matter; they are still those who decide.
    assert_eq!(world.call(Method::PATCH, "user/3", Some(&root), Some(&json!({"disabled": true}))).await.0, 200);
    let another = user("another", 3, json!([6]));
    assert_eq!(world.call(Method::POST, "user", Some(&root), Some(&another)).await.0, 401);
    // The first one of an organization has to come from somewhere.
    let (_, empty) = world.call(Method::POST, "organization", Some(&root), Some(&json!({"name": "new one"}))).await;
    let first = user("first", empty["id"].as_i64().unwrap(), json!([6]));
    assert_eq!(world.call(Method::POST, "user", Some(&root), Some(&first)).await.0, 201);
    // An admin takes over nobody with more rights.
    let admin = world.token("admin1").await;
    let (_, users) = world.get("user?username=manager", &root).await;
    let id = users["data"][0]["id"].as_i64().unwrap();
    let mine = json!({"email": "mine@example.org"});
    assert_eq!(world.call(Method::PATCH, &format!("user/{id}"), Some(&admin), Some(&mine)).await.0, 401);
    for path in ["end-sessions", "reset-second-factor"] {
        assert_eq!(world.call(Method::POST, &format!("user/{id}/{path}"), Some(&admin), None).await.0, 401, "{path}");
    }
    let off = json!({"disabled": true});
    assert_eq!(world.call(Method::PATCH, &format!("user/{id}"), Some(&admin), Some(&off)).await.0, 401);
    // Nor the rules of roles that they may not see.
    assert_eq!(world.get(&format!("rule?role_id={}", role["id"]), &admin).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_offered_about_those_who_decide_is_what_the_hub_takes() {
    let world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    for (name, offered) in [("root", false), ("admin1", true)] {
        web.sign_in(name).await;
        let (_, page) = web.get("/users/2").await;
        let own = name == "admin1";
        assert_eq!(page.contains("only those who do so there change their roles"), !offered, "{name}");
        let (status, _) = web.get("/users/2/delete").await;
        assert_eq!(status.as_u16(), if offered { 200 } else { 403 }, "{name}");
        let (_, form) = web.get("/users/2/edit").await;
        assert_eq!(form.contains("name=\"roles\""), offered && !own, "{name}");
        // One's own address is changed on the page of the account, which asks for the password.
        assert_eq!(form.contains("name=\"email\""), offered && !own, "{name}");
        let (status, place, _) = web
            .post("/users/2/edit", &[("firstname", name), ("lastname", "A"), ("email", "admin1@example.invalid")])
            .await;
        assert_eq!((status.as_u16(), place.as_str()), (303, "/users/2"), "{name}: what is offered is taken");
        // About others nothing is taken away.
        let (_, form) = web.get("/users/1/edit").await;
        assert!(form.contains("name=\"roles\""), "{name}");
    }
}

#[test]
fn the_matrix_has_every_page() {
    let route = Regex::new(r#"\.route\(\s*"([^"]+)",\s*get\("#).unwrap();
    let number = Regex::new(r"/[0-9]+").unwrap();
    let known: BTreeSet<String> =
        PAGES.iter().map(|(path, _)| number.replace_all(path, "/{id}").into_owned()).collect();
    let rooms = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages");
    let modules = WalkDir::new(rooms).into_iter().map(Result::unwrap).filter(|entry| entry.file_name() == "mod.rs");
    let texts = modules.map(|entry| std::fs::read_to_string(entry.path()).unwrap());
    let pages: BTreeSet<String> = texts
        .flat_map(|text| route.captures_iter(&text).map(|found| found[1].to_owned()).collect::<Vec<_>>())
        // For those who are nobody yet.
        .filter(|path| !["/login", "/password", "/second-factor"].iter().any(|start| path.starts_with(start)))
        .collect();
    assert!(pages.len() > 40, "{pages:?}");
    assert_eq!(pages.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
}
