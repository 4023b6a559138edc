//! An algorithm that wants to tell what it may not, at a real node: while its result is held, the hub sees that it is
//! held, and nothing by which it could be told how the algorithm ended.

use std::fs;

use atoll::protocol::{
    client::{HubClient, ReviewQuery},
    domain::TaskSpec,
    review::ReviewState,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    support::{World, average, eventually},
    tried,
    variation::Variation,
};

const IMAGE: &str = "example.org/hostile:1";

/// What it does with the data: each ends in another way.
const DEEDS: [&str; 10] = [
    "echo 1 > $folder/output",
    "exit 17",
    "kill -9 $$",
    "head -c 3000000 /dev/zero | tr '\\0' 7 > $folder/output",
    "head -c 30000000 /dev/zero | tr '\\0' 7 > $folder/output",
    "yes 'age=61' | head -n 100000; echo 2 > $folder/output",
    "cat $folder/* 1>&2; echo 'not json' > $folder/output",
    "rm -f $folder/output; ln -s /etc/passwd $folder/output",
    "printf '{\"age of P1 is 61\": [[[[1]]]]}' > $folder/output",
    "rm -rf $folder/output; mkdir $folder/output",
];

async fn waiting(admin: &HubClient, count: usize) {
    eventually(async || {
        let query = ReviewQuery { state: Some(ReviewState::Waiting), per_page: 100, ..Default::default() };
        admin.reviews(&query).await.unwrap().items.len() == count
    })
    .await;
}

/// What the hub knows of a run, without its number and its times.
fn seen(run: &Value, review: &Value) -> String {
    let mut text = format!("{run} {review}");
    text.retain(|letter| !letter.is_ascii_digit());
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_result_is_held_the_hub_cannot_tell_how_an_algorithm_ended() {
    let world = World::new().await;
    let path = world.node_folder("example_org1").join("algorithm.sh");
    let cases: String =
        DEEDS.iter().enumerate().map(|(number, deed)| format!("*deed-{number}-*) {deed} ;;\n")).collect();
    let script = format!(
        "decode() {{ printf %s \"$1\" | tr '!' = | base32 -d; }}\nfolder=$(dirname \"$(decode \"$INPUT_FILE\")\")\n\
         case $(cat $folder/input) in\n{cases}esac\n"
    );
    fs::write(&path, script).unwrap();
    let _node = world
        .start_node_with("example_org1", |text| {
            text.push_str(&format!(
                "algorithms:\n  - image: {IMAGE}\n    command: [/bin/sh, {}]\n    description: d\n    discloses: d\n\
                 policies: {{release: review}}\n",
                path.display()
            ));
        })
        .await;
    world.wait_for_node(2, true).await;
    let (client, admin, root) =
        (world.client("researcher").await, world.client("admin1").await, world.token("root").await);
    let mut order: Vec<usize> = (0..DEEDS.len()).collect();
    Variation::new().shuffle(&mut order);
    let mut views = Vec::new();
    for (count, deed) in order.iter().enumerate() {
        // Of the same length, so that the question does not tell them apart.
        let asked = json!({"deed": format!("deed-{deed}-")});
        let task = TaskSpec { image: IMAGE.to_owned(), ..average("some_function", &[2], asked) };
        let task = client.create_task(&task).await.unwrap();
        waiting(&admin, count + 1).await;
        let run = client.runs(task.id).await.unwrap().remove(0).id;
        let (_, mut run) = world.get(&format!("run/{run}"), &root).await;
        let (_, reviews) = world.get(&format!("review?task_id={}", task.id), &root).await;
        run["input"] = Value::Null;
        let mut review = reviews["data"][0].clone();
        review["hash"] = Value::Null;
        review["request"]["asked"] = Value::Null;
        review["request"]["unusual"] = Value::Null;
        views.push((*deed, seen(&run, &review)));
    }
    let (_, first) = &views[0];
    for (deed, view) in &views {
        assert_eq!(view, first, "{} can be told from {}", DEEDS[*deed], DEEDS[views[0].0]);
    }
    println!("attack: {} ends of an algorithm look alike at the hub while they are held", DEEDS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_an_algorithm_is_good_for_its_own_task_and_nothing_else() {
    let world = World::new().await;
    let researcher = world.client("researcher").await;
    let ages = |organizations: &[i64]| average("partial_average", organizations, json!({"column_name": "age"}));
    // Of another organization, at a third one.
    let others = researcher.create_task(&ages(&[4])).await.unwrap();
    crate::give_away(&world, &[others.id]).await;
    let own = researcher.create_task(&average("central_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    let node = world.node_token("example_org1").await;
    let body = json!({"task_id": own.id, "image": own.image});
    let (_, answer) = world.call(Method::POST, "token/container", Some(&node), Some(&body)).await;
    let token = answer["container_token"].as_str().unwrap();
    let mut variation = Variation::new();
    let mut wrong = Vec::new();
    for _ in 0..400 {
        let method = variation.one_of(&[Method::GET, Method::POST, Method::PATCH, Method::DELETE]).clone();
        let id = *variation.one_of(&[others.id, own.id, 1, 2, 3, 4]);
        let place = *variation.one_of(&[
            "run/{}",
            "result/{}",
            "task/{}",
            "task",
            "user/{}",
            "user",
            "node/{}",
            "node",
            "role",
            "role/{}",
            "audit",
            "review",
            "review/{}/decision",
            "account",
            "collaboration/{}",
            "organization/{}",
            "token/container",
            "recover/node",
            "password/change",
            "kill/task",
            "algorithmstore",
            "study",
            "column",
            "problem",
            "rule",
            "user/{}/end-sessions",
            "run",
            "result",
            "token/refresh",
        ]);
        let path = place.replace("{}", &id.to_string());
        let sent = (method != Method::GET).then(|| {
            json!({"id": id, "task_id": id, "image": variation.text(), "name": "t", "collaboration_id": 1,
                "databases": [], "organizations": [{"id": id, "input": "e30="}], "status": "completed",
                "finished_at": "2026-11-01T10:00:00", "result": "e30=", "description": variation.text()})
        });
        let answered = tried(&world, &method, &path, token, sent.as_ref()).await;
        let Some((status, answer)) = answered else { continue };
        assert!(!status.is_server_error(), "seed {}: {method} {path}: {status} {answer}", variation.seed);
        // It reads its own collaboration and what belongs to its own task, which rules there are, and asks for subtasks.
        let first = place.split('/').next().unwrap_or_default();
        let is_read = method == Method::GET
            && matches!(
                first,
                "run" | "result" | "task" | "organization" | "collaboration" | "node" | "study" | "rule"
            );
        let asks = method == Method::POST && path == "task";
        let is_of_others =
            [format!("run/{}", others.id), format!("result/{}", others.id), format!("task/{}", others.id)];
        if status.is_success() && (!(is_read || asks) || is_of_others.contains(&path)) {
            wrong.push(format!("{method} {path}: {status} {answer}"));
        }
        if asks && status.is_success() && answer["image"] != own.image.as_str() {
            wrong.push(format!("another image: {answer}"));
        }
    }
    assert!(wrong.is_empty(), "seed {}: {wrong:#?}", variation.seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_takes_part_does_not_read_what_the_others_computed() {
    let world = World::new().await;
    let researcher = world.client("researcher").await;
    let (first, third) = (world.node_token("example_org1").await, world.node_token("example_org3").await);
    let algorithm_of = async |node: &str, task: i64| -> String {
        let (_, shown) = world.get(&format!("task/{task}"), node).await;
        let body = json!({"task_id": task, "image": shown["image"]});
        let (_, answer) = world.call(Method::POST, "token/container", Some(node), Some(&body)).await;
        answer["container_token"].as_str().unwrap().to_owned()
    };
    let central =
        researcher.create_task(&average("central_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    let asks = algorithm_of(&first, central.id).await;
    let partial = |organizations: [i64; 2]| {
        json!({"name": "t", "image": central.image, "collaboration_id": 1, "databases": [{"label": "default"}],
            "organizations": organizations.map(|id| json!({"id": id, "input": "e30="}))})
    };
    let (status, subtask) = world.call(Method::POST, "task", Some(&asks), Some(&partial([2, 4]))).await;
    assert_eq!(status, 201, "{subtask}");
    // As a task of its own, and as a part of somebody's job.
    let alone =
        researcher.create_task(&average("partial_average", &[2, 4], json!({"column_name": "age"}))).await.unwrap();
    for task in [alone.id, subtask["id"].as_i64().unwrap()] {
        let (_, runs) = world.get(&format!("run?task_id={task}"), &world.token("root").await).await;
        let run_at = |organization: i64| {
            let runs = runs["data"].as_array().unwrap();
            runs.iter().find(|run| run["organization"]["id"] == organization).unwrap()["id"].as_i64().unwrap()
        };
        let result =
            json!({"status": "completed", "finished_at": "2026-11-01T10:00:00", "result": "NzE0Mjk=", "log": "71429"});
        let report = format!("run/{}", run_at(2));
        assert_eq!(world.call(Method::PATCH, &report, Some(&first), Some(&result)).await.0, 200);
        let takes_part = algorithm_of(&third, task).await;
        for path in [
            format!("result/{}", run_at(2)),
            format!("run/{}", run_at(2)),
            format!("run?task_id={task}"),
            format!("result?task_id={task}"),
            format!("result?include=metadata&task_id={task}"),
            format!("task/{task}?include=results,runs"),
            "task?include=results".to_owned(),
            "task?include=runs".to_owned(),
            "run".to_owned(),
            "result".to_owned(),
        ] {
            for token in [&takes_part, &third] {
                let (_, answer) = world.get(&path, token).await;
                let answer = answer.to_string();
                assert!(!answer.contains("NzE0Mjk") && !answer.contains("71429"), "{path}: {answer}");
            }
        }
        // It knows who takes part, and reads its own run.
        let (_, shown) = world.get(&format!("run?task_id={task}"), &takes_part).await;
        assert_eq!(shown["data"].as_array().unwrap().len(), 2, "{shown}");
        assert_eq!(world.get(&format!("run/{}", run_at(4)), &takes_part).await.0, 200);
        assert_eq!(world.get(&format!("task/{task}"), &takes_part).await.0, 200);
    }
    // Nor the task that it takes part in, and those beside it.
    let takes_part = algorithm_of(&third, subtask["id"].as_i64().unwrap()).await;
    assert_eq!(world.get(&format!("task/{}", central.id), &takes_part).await.0, 401);
    // Who asked for them reads the results.
    let (_, read) = world.get(&format!("result?task_id={}", subtask["id"]), &asks).await;
    assert!(read.to_string().contains("NzE0Mjk"), "{read}");
    // Which stands in the log, as what people read does.
    let (_, log) = world.get("audit?action=result.read&outcome=done", &world.token("root").await).await;
    let actors: Vec<&str> =
        log["data"].as_array().unwrap().iter().filter_map(|entry| entry["actor"].as_str()).collect();
    assert_eq!(actors, [format!("algorithm of task {}", central.id)], "{log}");
}
