//! The wire format against JSON of the shapes that vantage6 4.x servers send: what is read is written again as it was.

use atoll::protocol::{
    domain::{Algorithm, Collaboration, Partitioning, Rule, Run, RunResult, Task, TaskSpec, User},
    status::Status,
    wire::v4,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Reads and writes a golden document; panics unless both are the same.
fn round_trip<T: DeserializeOwned + Serialize>(golden: Value) -> T {
    let value: T = serde_json::from_value(golden.clone()).unwrap();
    assert_eq!(serde_json::to_value(&value).unwrap(), golden);
    value
}

fn link(resource: &str, id: i64) -> Value {
    json!({"id": id, "link": format!("/api/{resource}/{id}"), "methods": ["GET", "PATCH"]})
}

fn task() -> Value {
    json!({"id": 3, "name": "average", "description": "", "image": "harbor2.vantage6.ai/demo/average", "job_id": 2,
        "created_at": "2026-11-22T17:00:02.000001", "status": "completed", "finished_at": "2026-11-22T17:00:09.5",
        "collaboration": link("collaboration", 1), "study": null, "parent": null, "children": "/api/task?parent_id=3",
        "init_org": link("organization", 2), "init_user": link("user", 1), "algorithm_store": link("algorithmstore", 4),
        "databases": [{"label": "default", "parameters": "{}"}], "runs": "/api/run?task_id=3",
        "results": "/api/result?task_id=3"})
}

fn run() -> Value {
    json!({"id": 7, "input": "eyJtZXRob2QiOiAicGFydGlhbF9hdmVyYWdlIiwgImt3YXJncyI6IHsiY29sdW1uX25hbWUiOiAiYWdlIn19",
        "assigned_at": "2026-11-22T17:00:02", "started_at": "2026-11-22T17:00:03.000001", "finished_at": null,
        "status": "active", "log": "first line\n", "cleanup_at": null, "blob_storage_used": false,
        "organization": link("organization", 2), "task": link("task", 3), "results": link("result", 7),
        "node": {"id": 1, "name": "station", "ip": null, "status": "online"}, "ports": []})
}

#[test]
fn a_task_survives_and_becomes_a_domain_task() {
    let task = Task::from(round_trip::<v4::Task>(task()));
    assert_eq!((task.id, task.status, task.store_id, task.parent_id), (3, Status::Completed, Some(4), None));
    assert_eq!(task.databases, ["default"]);
    assert_eq!(task.created_at.unwrap().to_string(), "2026-11-22T17:00:02.000001Z");
}

#[test]
fn a_task_with_runs_and_results_included_survives() {
    let mut golden = task();
    golden["runs"] = json!([run()]);
    golden["results"] = json!([{"id": 7, "result": null, "cleanup_at": null, "blob_storage_used": false,
        "run": link("run", 7), "task": link("task", 3)}]);
    let task: v4::Task = round_trip(golden);
    assert_eq!(task.runs.into_items().unwrap().len(), 1);
}

#[test]
fn a_run_survives_and_its_input_is_decoded() {
    let run = Run::from(round_trip::<v4::Run>(run()));
    assert_eq!((run.organization_id, run.task_id), (Some(2), Some(3)));
    assert!(run.node.unwrap().online);
    let call = run.call.unwrap().unwrap();
    assert_eq!((call.function.as_str(), &call.kwargs["column_name"]), ("partial_average", &json!("age")));
}

#[test]
fn a_run_with_its_task_included_is_read() {
    let mut golden = run();
    golden["task"] = task();
    let run: v4::Run = serde_json::from_value(golden).unwrap();
    assert!(matches!(run.task, Some(v4::RunTask::Task(task)) if task.image.ends_with("average")));
}

#[test]
fn an_unknown_status_and_unknown_fields_break_nothing() {
    let mut golden = run();
    golden["status"] = json!("awaiting the moon");
    golden["something_new"] = json!({"a": [1]});
    let run = Run::from(serde_json::from_value::<v4::Run>(golden).unwrap());
    assert_eq!(run.status, Status::Unknown("awaiting the moon".to_owned()));
}

#[test]
fn a_result_is_there_not_there_or_not_readable() {
    let of = |payload: Value| {
        let golden = json!({"id": 7, "result": payload, "cleanup_at": null, "blob_storage_used": false,
            "run": link("run", 7), "task": link("task", 3)});
        RunResult::from(round_trip::<v4::ResultItem>(golden)).value
    };
    assert_eq!(of(json!(null)), None);
    assert_eq!(of(json!("MA==")), Some(Ok(json!(0))));
    assert!(of(json!("a$b$c")).unwrap().is_err());
}

#[test]
fn a_user_s_secret_is_dropped_where_it_comes_in() {
    let golden = json!({"id": 1, "type": "user", "ip": null, "last_seen": null, "status": "online",
        "username": "researcher", "firstname": "Rosa", "lastname": "", "email": "r@example.org",
        "otp_secret": "JBSWY3DPEHPK3PXP", "last_email_failed_login_sent": null,
        "last_email_recover_password_sent": null, "roles": "/api/role?user_id=1", "rules": "/api/rule?user_id=1",
        "organization": link("organization", 2)});
    let user: v4::User = serde_json::from_value(golden.clone()).unwrap();
    let written = serde_json::to_value(&user).unwrap();
    assert!(!written.to_string().contains("JBSWY3DPEHPK3PXP"));
    let mut without = golden;
    without.as_object_mut().unwrap().remove("otp_secret");
    assert_eq!(written, without);
    assert_eq!(User::from(user).display_name(), "Rosa");
}

#[test]
fn rules_of_scopes_that_are_not_known_are_no_rules() {
    let rule = |scope: &str| -> v4::Rule {
        round_trip(json!({"id": 1, "name": "task", "description": "x", "scope": scope, "operation": "VIEW",
            "users": "/api/user?rule_id=1"}))
    };
    assert!(Rule::try_from(rule("COLLABORATION")).is_ok());
    assert!(Rule::try_from(rule("GALAXY")).is_err());
}

#[test]
fn collaborations_come_with_and_without_their_organizations() {
    let mut golden = json!({"id": 1, "name": "c", "encrypted": false,
        "organizations": "/api/organization?collaboration_id=1", "nodes": "/api/node?collaboration_id=1",
        "tasks": "/api/task?collaboration_id=1", "algorithm_stores": "/api/algorithmstore?collaboration_id=1",
        "studies": "/api/study?collaboration_id=1"});
    assert!(Collaboration::from(round_trip::<v4::Collaboration>(golden.clone())).organizations.is_empty());
    let address = |parameter: &str| format!("/api/x?{parameter}=2");
    golden["organizations"] = json!([{"id": 2, "name": "example_org1", "domain": "", "address1": "Street 1",
        "address2": null, "zipcode": "", "country": "Netherlands", "public_key": "",
        "collaborations": address("organization_id"), "nodes": address("organization_id"),
        "users": address("organization_id"), "tasks": address("init_org_id"), "runs": address("organization_id"),
        "studies": address("organization_id")}]);
    let collaboration = Collaboration::from(round_trip::<v4::Collaboration>(golden));
    assert_eq!(collaboration.organizations[0].address, ["Street 1", "Netherlands"]);
}

#[test]
fn pages_have_links_and_sign_in_has_three_answers() {
    let page: v4::Page<v4::TaskStatus> = round_trip(json!({"data": [{"status": "pending"}],
        "links": {"first": "/api/task?page=1", "self": "/api/task?page=1", "next": "/api/task?page=2",
            "last": "/api/task?page=2"}}));
    assert_eq!(page.links.next.as_deref(), Some("/api/task?page=2"));
    let answer = |json: Value| serde_json::from_value::<v4::SignInReply>(json).unwrap();
    let tokens = json!({"access_token": "a", "refresh_token": "r", "refresh_url": "/api/token/refresh", "user_url": "/api/user/1"});
    assert!(matches!(answer(tokens), v4::SignInReply::Tokens(_)));
    assert!(matches!(answer(json!({"msg": "Please include your code"})), v4::SignInReply::SecondFactor { .. }));
    let set_up = json!({"qr_uri": "otpauth://x", "otp_secret": "s", "msg": "set up"});
    assert!(matches!(answer(set_up), v4::SignInReply::SetUpSecondFactor { .. }));
}

#[test]
fn a_store_s_algorithm_becomes_functions_with_typed_arguments() {
    let wire: v4::StoreAlgorithm = serde_json::from_value(json!({"id": 5, "name": "Average", "description": null,
        "image": "i", "digest": "sha256:abc", "status": "approved", "partitioning": "horizontal",
        "functions": [{"id": 1, "name": "central", "display_name": "", "description": "", "type": "central",
            "standalone": null, "databases": [{"id": 1, "name": "Database", "description": ""}],
            "arguments": [{"id": 2, "name": "n", "display_name": "N", "description": "", "type": "integer",
                "has_default_value": true, "default_value": "3", "conditional_on_id": null,
                "conditional_operator": null, "conditional_value": null, "is_frontend_only": false,
                "allowed_values": [{"value": "3"}]}], "ui_visualizations": []}]}))
    .unwrap();
    let algorithm = Algorithm::from(wire);
    assert_eq!(algorithm.image, "i@sha256:abc");
    let function = &algorithm.functions[0];
    assert_eq!((function.display_name.as_str(), function.partitioning), ("central", Partitioning::Central));
    assert!(function.standalone);
    assert_eq!(function.arguments[0].default, Some(Some("3".to_owned())));
}

#[test]
fn a_new_task_has_the_body_of_the_4_x_api() {
    let spec = TaskSpec {
        name: "n".into(),
        description: "d".into(),
        image: "i".into(),
        collaboration_id: 1,
        study_id: None,
        store_id: Some(4),
        databases: vec!["default".into()],
        organizations: vec![2, 3],
        call: atoll::protocol::domain::FunctionCall { function: "f".into(), ..Default::default() },
    };
    let input = "eyJtZXRob2QiOiJmIiwia3dhcmdzIjp7fX0=";
    assert_eq!(
        serde_json::to_value(v4::NewTask::from(&spec)).unwrap(),
        json!({"name": "n", "description": "d", "image": "i", "collaboration_id": 1, "store_id": 4,
            "databases": [{"label": "default"}], "organizations": [{"id": 2, "input": input}, {"id": 3, "input": input}]})
    );
}
