//! Algorithms that a command of the node's machine runs.

use std::{fs, path::Path};

use atoll::protocol::{
    client::{HubClient, NewDecision, ReviewQuery},
    domain::TaskSpec,
    review::{Approval, Review, ReviewState, Verdict},
    status::Status,
};
use axum::{Router, body::to_bytes, extract::Request, http::StatusCode, response::IntoResponse};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{RunningNode, World, average, eventually, outcome};

const IMAGE: &str = "example.org/of-a-command:1";

/// The node of the first organization, where a script runs for the image; `more` are lines of its configuration.
async fn node(world: &World, script: &str, more: &str) -> RunningNode {
    let path = world.node_folder("example_org1").join("algorithm.sh");
    fs::write(&path, script).unwrap();
    let node = world
        .start_node_with("example_org1", |text| {
            text.push_str(&format!(
                "algorithms:\n  - image: {IMAGE}\n    command: [/bin/sh, {}]\n    environment: {{PLAIN: as it is}}\n    \
                 description: Counts what is asked for\n    discloses: one count\n{more}",
                path.display()
            ));
        })
        .await;
    world.wait_for_node(2, true).await;
    node
}

fn call(kwargs: Value) -> TaskSpec {
    TaskSpec { image: IMAGE.to_owned(), ..average("some_function", &[2], kwargs) }
}

/// What becomes of a call.
async fn called(client: &HubClient, kwargs: Value) -> (Status, String, Vec<Value>) {
    let task = client.create_task(&call(kwargs)).await.unwrap();
    let (status, logs, results) = outcome(client, task.id).await;
    (status, logs.join("\n"), results)
}

fn decoded(value: &Value) -> String {
    let text = value.as_str().unwrap().replace('!', "=");
    String::from_utf8(data_encoding::BASE32.decode(text.as_bytes()).unwrap()).unwrap()
}

/// Writes what a script prints to where the node looks for the result.
fn with_output(script: &str) -> String {
    format!(
        "decode() {{ printf %s \"$1\" | tr '!' = | base32 -d; }}\nfolder=$(dirname \"$(decode \"$INPUT_FILE\")\")\n{script}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gets_its_input_the_limits_by_name_its_database_and_no_secret_of_the_node() {
    let world = World::new().await;
    let script = with_output(
        "{ printf '{\"input\": '; cat $folder/input; printf ', \"variables\": {'; \
         env | sed -n 's/^\\([A-Z_]*\\)=\\(.*\\)$/\"\\1\": \"\\2\",/p'; printf '\"END\": \"\"}}'; } > $folder/output; \
         test -s $folder/token && test \"$(stat -c %a $folder)\" = 700",
    );
    let policies =
        "policies: {smallest_cell: 4, largest_parameter_share: 0.2}\nalgorithm_env: {PRIVACY_THRESHOLD: 7}\n";
    let _node = node(&world, &script, policies).await;
    let client = world.client("researcher").await;
    let (status, log, results) = called(&client, json!({"threshold": "größer £"})).await;
    assert_eq!(status, Status::Completed, "{log}");
    assert_eq!(
        results[0]["input"],
        json!({"method": "some_function", "args": [], "kwargs": {"threshold": "größer £"}})
    );
    let variables = results[0]["variables"].as_object().unwrap();
    let value = |name: &str| decoded(&variables[name]);
    assert_eq!((value("SMALLEST_CELL").as_str(), value("LARGEST_PARAMETER_SHARE").as_str()), ("4", "0.2"));
    assert_eq!(value("LARGEST_VALUE_SHARE"), "1", "what the configuration does not say here");
    assert_eq!(value("PRIVACY_THRESHOLD"), "7");
    assert_eq!(variables["PLAIN"], "as it is");
    assert_eq!(value("USER_REQUESTED_DATABASE_LABELS"), "default");
    assert_eq!(value("DEFAULT_DATABASE_TYPE"), "csv");
    let database = value("DEFAULT_DATABASE_URI");
    assert!(Path::new(&database).is_absolute() && database.ends_with("default.csv"), "{database}");
    assert!(!variables.contains_key("MY_OTHER_DATABASE_DATABASE_URI"), "a database that was not asked for");
    assert_eq!(format!("{}:{}{}", value("HOST"), value("PORT"), value("API_PATH")), world.url);
    // Nothing of the node's own environment: cargo sets this one for it.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok() && !variables.contains_key("CARGO_MANIFEST_DIR"));
    assert!(!Path::new(&value("INPUT_FILE")).exists(), "its folder is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_with_the_fitting_status() {
    let world = World::new().await;
    let script = with_output(
        "case $(cat $folder/input) in\n\
         *fails*) exit 3 ;;\n\
         *silent*) ;;\n\
         *broken*) echo '{\"count\": ' > $folder/output ;;\n\
         *linked*) ln -sf /etc/hostname $folder/output ;;\n\
         *piped*) rm $folder/output && mkfifo $folder/output ;;\n\
         *detached*) echo 5 > $folder/output; setsid sleep 60 & ;;\n\
         *large*) head -c 22000000 /dev/zero | tr '\\0' 1 > $folder/output ;;\n\
         esac",
    );
    let more = "  - {image: 'example.org/missing', command: [/nowhere/program]}\n\
         policies: {allowed_databases: [{database: default, columns: [age]}], allowed_algorithms: ['^example.org']}\n";
    let first_node = node(&world, &script, more).await;
    let client = world.client("researcher").await;
    // Which columns it reads is not known.
    let (status, log, _) = called(&client, json!({})).await;
    assert_eq!(status, Status::NotAllowed, "{log}");
    assert!(log.contains("it allows only age"), "{log}");
    first_node.stop().await;
    let _node = world
        .start_node_with("example_org1", |text| {
            *text = text.replace("allowed_databases: [{database: default, columns: [age]}], ", "");
        })
        .await;
    for (what, expected, message) in [
        ("fails", Status::Crashed, "exit status: 3"),
        ("silent", Status::Crashed, "wrote no result"),
        ("broken", Status::Crashed, "is not JSON"),
        ("large", Status::Crashed, "larger than 20 MB"),
        ("linked", Status::Crashed, "wrote no result"),
        ("piped", Status::Crashed, "wrote no result"),
    ] {
        let (status, log, results) = called(&client, json!({"what": what})).await;
        assert_eq!((status, results), (expected, vec![]), "{what}: {log}");
        assert!(log.contains(message), "{what}: {log}");
    }
    // What it leaves behind holds nothing up.
    let (status, log, results) = called(&client, json!({"what": "detached"})).await;
    assert_eq!((status, results), (Status::Completed, vec![json!(5)]), "{log}");
    for (image, database, expected, message) in [
        ("example.org/missing", "default", Status::StartFailed, "cannot be started"),
        ("example.org/unknown", "default", Status::NoDockerImage, "those that its configuration names"),
        (IMAGE, "nowhere", Status::StartFailed, "no database \"nowhere\""),
    ] {
        let mut spec = call(json!({}));
        (spec.image, spec.databases) = (image.to_owned(), vec![database.to_owned()]);
        let task = client.create_task(&spec).await.unwrap();
        let (status, logs, _) = outcome(&client, task.id).await;
        assert_eq!(status, expected, "{logs:?}");
        assert!(logs[0].contains(message) && !logs[0].contains("/nowhere/"), "{logs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2023_23930_a_pickle_that_an_algorithm_writes_is_no_result() {
    let world = World::new().await;
    let marker = world.node_folder("example_org1").join("pickle-was-run");
    // What Python's pickle.dumps makes of an object whose __reduce__ is os.system("touch …").
    let pickle = format!("cposix\\nsystem\\n(S'touch {}'\\ntR.", marker.display());
    let script = with_output(&format!("printf \"{pickle}\" > $folder/output"));
    let _node = node(&world, &script, "").await;
    let client = world.client("researcher").await;
    let (status, log, results) = called(&client, json!({})).await;
    assert_eq!((status, results), (Status::Crashed, vec![]), "{log}");
    assert!(log.contains("is not JSON"), "{log}");
    assert!(!marker.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_arrives_as_it_was_written_however_many_values_it_has() {
    let world = World::new().await;
    let many = "{ printf '[1.50, '; yes '0,' | head -n 1500000 | tr -d '\\n'; printf '12345678901234567890123 ]'; }";
    let first_node = node(&world, &with_output(&format!("{many} > $folder/output")), "").await;
    let client = world.client("researcher").await;
    let task = client.create_task(&call(json!({}))).await.unwrap();
    let ended = async || {
        eventually(async || client.runs(task.id).await.unwrap().iter().all(|run| run.status.is_final())).await;
        client.task_status(task.id).await.unwrap()
    };
    assert_eq!(ended().await, Status::Completed);
    let (_, results) = world.get(&format!("result?task_id={}", task.id), &world.token("researcher").await).await;
    let text = STANDARD.decode(results["data"][0]["result"].as_str().unwrap()).unwrap();
    let expected = format!("[1.50, {}12345678901234567890123 ]", "0,".repeat(1_500_000));
    assert!(text == expected.as_bytes(), "{:?}", String::from_utf8_lossy(&text[..100]));
    // Nobody can look at so many before they leave.
    first_node.stop().await;
    let _node = world.start_node_with("example_org1", |text| text.push_str("policies: {release: review}\n")).await;
    let admin = world.client("admin1").await;
    let task = client.create_task(&call(json!({}))).await.unwrap();
    approve(&admin, &waiting(&admin).await).await;
    let (status, logs, results) = outcome(&client, task.id).await;
    assert_eq!((status, results), (Status::Crashed, vec![]), "{logs:?}");
    assert!(logs[0].contains("more than 300000 values"), "{logs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_stops_it_with_all_that_it_started() {
    let world = World::new().await;
    let noted = world.node_folder("example_org1").join("started");
    let script = with_output(&format!("sleep 600 & echo $! $folder > {0}.new; mv {0}.new {0}; wait", noted.display()));
    let _node = node(&world, &script, "").await;
    let client = world.client("researcher").await;
    let task = client.create_task(&call(json!({}))).await.unwrap();
    eventually(async || noted.exists()).await;
    client.kill_task(task.id).await.unwrap();
    assert_eq!(outcome(&client, task.id).await.0, Status::Killed);
    let noted = fs::read_to_string(noted).unwrap();
    let (id, folder) = noted.trim().split_once(' ').unwrap();
    let process = Path::new("/proc").join(id).join("cmdline");
    // One that has ended and that nobody asks about has no command line.
    eventually(async || fs::read(&process).map_or(true, |line| line.is_empty())).await;
    eventually(async || !Path::new(folder).exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_that_was_ended_by_force_left_behind_is_gone_before_runs_are_taken() {
    let world = World::new().await;
    let runs = world.node_folder("example_org1").join("node.runs");
    let left = runs.join("atoll-run-left");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("token"), "eyJ").unwrap();
    let started = left.join("started");
    // In a session of its own, and with a child.
    let script = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", started.display());
    let mut command = std::process::Command::new("setsid");
    command.args(["sh", "-c", &script]).env("ATOLL_RUN_FOLDER", &left);
    let mut of_before = command.spawn().unwrap();
    let mut elsewhere =
        std::process::Command::new("sleep").arg("600").env("ATOLL_RUN_FOLDER", "/elsewhere/x").spawn().unwrap();
    eventually(async || started.exists()).await;
    let child = fs::read_to_string(&started).unwrap().trim().to_owned();
    let is_there = || fs::read_to_string(format!("/proc/{child}/cmdline")).is_ok_and(|command| !command.is_empty());
    assert!(is_there());
    let _node = node(&world, &with_output("printf '\"%s\"' $ATOLL_RUN_FOLDER > $folder/output"), "").await;
    eventually(async || of_before.try_wait().unwrap().is_some() && !is_there()).await;
    assert!(!left.exists() && elsewhere.try_wait().unwrap().is_none());
    elsewhere.kill().unwrap();
    elsewhere.wait().unwrap();
    let (status, log, results) = called(&world.client("researcher").await, json!({})).await;
    assert_eq!(status, Status::Completed, "{log}");
    assert!(results[0].as_str().unwrap().starts_with(runs.to_str().unwrap()), "{results:?}");
    eventually(async || fs::read_dir(&runs).unwrap().next().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_algorithm_makes_read_only_is_removed_and_keeps_no_node_from_starting() {
    let world = World::new().await;
    let runs = world.node_folder("example_org1").join("node.runs");
    let left = runs.join("atoll-run-left/cache/module");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("file"), "x").unwrap();
    let read_only = |path: &Path| {
        std::process::Command::new("chmod").args(["-R", "a-w"]).arg(path).status().unwrap();
    };
    read_only(&runs.join("atoll-run-left"));
    let script = "mkdir -p $folder/cache/module; touch $folder/cache/module/file; chmod -R a-w $folder/cache; \
                  echo 1 > $folder/output";
    let _node = node(&world, &with_output(script), "").await;
    let (status, log, _) = called(&world.client("researcher").await, json!({})).await;
    assert_eq!(status, Status::Completed, "{log}");
    eventually(async || fs::read_dir(&runs).unwrap().next().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_prints_leaves_unless_results_are_held() {
    let world = World::new().await;
    let script = with_output(
        "echo printed; echo printed too >&2; head -c 9000 /dev/zero | tr '\\0' x; echo; echo last; echo 1 > $folder/output",
    );
    let first_node = node(&world, &script, "").await;
    let client = world.client("researcher").await;
    let (status, log, _) = called(&client, json!({})).await;
    assert_eq!(status, Status::Completed, "{log}");
    assert!(log.contains(" printed\n") && log.contains(" printed too\n") && log.contains(" last\n"), "{log}");
    assert!(log.lines().all(|line| line.len() < 2_100), "a long line is cut");
    first_node.stop().await;
    let first_node = world.start_node_with("example_org1", |text| text.push_str("policies: {release: review}\n")).await;
    let admin = world.client("admin1").await;
    let task = client.create_task(&call(json!({}))).await.unwrap();
    let review = waiting(&admin).await;
    approve(&admin, &review).await;
    let (status, logs, _) = outcome(&client, task.id).await;
    assert_eq!(status, Status::Completed, "{logs:?}");
    assert!(!logs[0].contains("printed"), "{logs:?}");
    first_node.stop().await;
}

async fn waiting(admin: &HubClient) -> Review {
    let query = ReviewQuery { state: Some(ReviewState::Waiting), per_page: 100, ..Default::default() };
    let mut found = Vec::new();
    eventually(async || {
        found = admin.reviews(&query).await.unwrap().items;
        found.len() == 1
    })
    .await;
    admin.review(found.remove(0).review.id).await.unwrap()
}

async fn approve(admin: &HubClient, review: &Review) {
    let approval = Some(Approval { this_run_only: true, ..Default::default() });
    let decision =
        NewDecision { verdict: Verdict::Approve, hash: review.hash.clone(), reason: String::new(), approval };
    admin.decide_review(review.id, &decision).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ghsa_47w6_gwp4_w6vc_a_review_is_void_when_the_code_was_changed_while_it_waited() {
    let world = World::new().await;
    let _node = node(&world, &with_output("echo 1 > $folder/output"), "policies: {review: always}\n").await;
    let (client, admin) = (world.client("researcher").await, world.client("admin1").await);
    let task = client.create_task(&call(json!({}))).await.unwrap();
    let first = waiting(&admin).await;
    assert!(first.request.asked.digest.starts_with("sha256:"), "{first:?}");
    assert_eq!(
        (first.request.does.as_str(), first.request.discloses.as_str()),
        ("Counts what is asked for", "one count")
    );
    let script = world.node_folder("example_org1").join("algorithm.sh");
    fs::write(&script, with_output("echo 2 > $folder/output")).unwrap();
    approve(&admin, &first).await;
    let mut second = first.clone();
    eventually(async || {
        second = waiting(&admin).await;
        second.hash != first.hash
    })
    .await;
    assert_ne!(second.request.asked.digest, first.request.asked.digest);
    assert!(second.request.unusual.iter().any(|text| text.contains("has changed since")), "{second:?}");
    approve(&admin, &second).await;
    let (status, logs, results) = outcome(&client, task.id).await;
    assert_eq!((status, results), (Status::Completed, vec![json!(2)]), "{logs:?}");
    assert!(logs[0].contains("was changed while this waited"), "{logs:?}");
    let void = admin.review(first.id).await.unwrap();
    assert_eq!(void.state, ReviewState::Void);
    assert!(void.decision.is_some() && void.void_because.contains("what the run asks for has changed"), "{void:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_for_the_data_that_there_are_until_they_were_read() {
    let world = World::new().await;
    let folder = world.node_folder("example_org1");
    let (go, begun, data) = (folder.join("go"), folder.join("begun"), folder.join("default.csv"));
    // It reads late.
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.02; done; wc -l < {} > $folder/output",
        begun.display(),
        go.display(),
        data.display()
    );
    let policies = "policies: {review: always}\n";
    let first_node = node(&world, &with_output(&script), policies).await;
    let (client, admin) = (world.client("researcher").await, world.client("admin1").await);
    fs::write(&go, "").unwrap();
    let rows = fs::read_to_string(&data).unwrap().lines().count();
    let approve_four = async |review: &Review| {
        let approval = Some(Approval { runs: Some(4), ..Default::default() });
        let decision =
            NewDecision { verdict: Verdict::Approve, hash: review.hash.clone(), reason: String::new(), approval };
        admin.decide_review(review.id, &decision).await.unwrap();
    };
    let admit = || fs::write(&data, format!("{}P9,1\n", fs::read_to_string(&data).unwrap())).unwrap();
    let task = client.create_task(&call(json!({}))).await.unwrap();
    approve_four(&waiting(&admin).await).await;
    assert_eq!(outcome(&client, task.id).await.2, [json!(rows)]);
    // The second one starts by the same approval, and somebody is admitted before it has read.
    let start = async || {
        for file in [&go, &begun] {
            let _ = fs::remove_file(file);
        }
        let task = client.create_task(&call(json!({}))).await.unwrap();
        eventually(async || begun.exists()).await;
        task.id
    };
    let second = start().await;
    admit();
    fs::write(&go, "").unwrap();
    let review = waiting(&admin).await;
    assert_eq!(review.run_id, client.runs(second).await.unwrap()[0].id);
    approve_four(&review).await;
    let (_, logs, results) = outcome(&client, second).await;
    assert_eq!(results, [json!(rows + 1)], "{logs:?}");
    assert!(logs[0].contains("The data were changed after this was approved"), "{logs:?}");
    // Nor does a restart help.
    let third = start().await;
    first_node.stop().await;
    admit();
    let _node = world.start_node_with("example_org1", |_| ()).await;
    assert_eq!(waiting(&admin).await.run_id, client.runs(third).await.unwrap()[0].id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_makes_keys_of_does_not_reach_the_hub_before_the_release() {
    let world = World::new().await;
    let script = with_output("printf '{\"Jan de Vries\": 1, \"others\": [7, 8]}' > $folder/output");
    let _node = node(&world, &script, "policies: {release: review}\n").await;
    let (client, admin) = (world.client("researcher").await, world.client("admin1").await);
    client.create_task(&call(json!({}))).await.unwrap();
    let review = waiting(&admin).await;
    assert!(!serde_json::to_string(&review).unwrap().contains("Jan"), "{review:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_lines_the_first_thousand_are_kept() {
    let world = World::new().await;
    let _node = node(&world, &with_output("yes | head -n 5000; echo 1 > $folder/output"), "").await;
    let (status, log, _) = called(&world.client("researcher").await, json!({})).await;
    assert_eq!(status, Status::Completed);
    assert!(log.contains("prints more than is kept"), "{log}");
    assert_eq!(log.lines().filter(|line| line.ends_with(" y")).count(), 1_000);
}

/// A proxy before the hub that takes no body of more than a megabyte, as many are set up.
async fn narrow_proxy(world: &World) -> u16 {
    let (hub, http) = (world.url.trim_end_matches("/api").to_owned(), reqwest::Client::new());
    let forward = async move |request: Request| {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, 1 << 20).await else {
            return (StatusCode::PAYLOAD_TOO_LARGE, "too large".to_owned()).into_response();
        };
        let mut headers = parts.headers;
        headers.remove("host");
        let sent = http.request(parts.method, format!("{hub}{}", parts.uri)).headers(headers).body(body).send();
        let answer = sent.await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, headers, answer.bytes().await.unwrap()).into_response()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(forward)).await.unwrap() });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_the_server_never_takes_ends_the_run_and_is_not_computed_again() {
    let world = World::new().await;
    let port = narrow_proxy(&world).await;
    let runs = world.node_folder("example_org1").join("runs");
    let script = with_output(&format!(
        "echo once >> {}; {{ printf '\"'; head -c 2000000 /dev/zero | tr '\\0' x; printf '\"'; }} > $folder/output",
        runs.display()
    ));
    let path = world.node_folder("example_org1").join("algorithm.sh");
    fs::write(&path, script).unwrap();
    let _node = world
        .start_node_with("example_org1", |text| {
            let (server, rest) =
                text.split_once("port:").map(|(server, rest)| (server.to_owned(), rest.to_owned())).unwrap();
            let rest = rest.split_once('\n').unwrap().1;
            *text = format!(
                "{server}port: {port}\n{rest}algorithms:\n  - {{image: '{IMAGE}', command: [/bin/sh, {}]}}\n",
                path.display()
            );
        })
        .await;
    let (status, log, results) = called(&world.client("researcher").await, json!({})).await;
    assert_eq!((status, results), (Status::Failed, vec![]), "{log}");
    assert!(log.contains("the server does not take the result"), "{log}");
    assert_eq!(fs::read_to_string(runs).unwrap(), "once\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_programs_with_one_key_that_start_at_once_one_computes() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    let mut tasks = Vec::new();
    for _ in 0..6 {
        tasks.push(client.create_task(&call(json!({}))).await.unwrap().id);
    }
    let counted = world.data.path().join("counted");
    let script = with_output(&format!("echo started >> {}; sleep 0.2; echo 1 > $folder/output", counted.display()));
    let _node = node_twice(&world, &script).await;
    for task in tasks {
        assert_eq!(outcome(&client, task).await.0, Status::Completed);
    }
    assert_eq!(fs::read_to_string(&counted).unwrap().lines().count(), 6, "each run once");
}

/// The node of an organization, and a copy of it with a file of its own, at the same moment.
async fn node_twice(world: &World, script: &str) -> [RunningNode; 2] {
    let state = |name: &str| {
        let name = name.to_owned();
        let path = world.node_folder("example_org1").join("algorithm.sh");
        fs::write(&path, script).unwrap();
        move |text: &mut String| {
            let begin = text.find("algorithms:").unwrap_or(text.len());
            text.truncate(begin);
            text.push_str(&format!(
                "algorithms:\n  - image: {IMAGE}\n    command: [/bin/sh, {}]\n    environment: {{PLAIN: as it is}}\n    \
                 description: Counts what is asked for\n    discloses: one count\nstate_file: {name}.sqlite\n",
                path.display()
            ));
        }
    };
    // Both read the configuration before either has connected.
    let one = world.start_node_with("example_org1", state("one")).await;
    let other = world.start_node_with("example_org1", state("other")).await;
    [one, other]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_organization_that_asks_on_the_way_has_to_be_allowed() {
    let script = with_output("echo 1 > $folder/output");
    for (organizations, expected) in [("[example_org3]", Status::NotAllowed), ("[3, 4]", Status::Completed)] {
        let world = World::new().await;
        let policies = format!(
            "policies: {{allowed_users: [researcher], allowed_organizations: {organizations}, review: never}}\n"
        );
        let _node = node(&world, &script, &policies).await;
        let client = world.client("researcher").await;
        let body = |organization: i64| {
            let spec = TaskSpec { organizations: vec![organization], ..call(json!({})) };
            serde_json::to_value(atoll::protocol::wire::v4::NewTask::from(&spec)).unwrap()
        };
        // The second organization asks the third one, and that asks the first one.
        let mut token = world.token("researcher").await;
        let mut last = Value::Null;
        for (asked, next) in [(3, Some("example_org2")), (4, Some("example_org3")), (2, None)] {
            let (status, task) = world.call(Method::POST, "task", Some(&token), Some(&body(asked))).await;
            assert_eq!(status, 201, "{task}");
            if let Some(organization) = next {
                let node = world.node_token(organization).await;
                let container = json!({"task_id": task["id"], "image": IMAGE});
                let (status, made) = world.call(Method::POST, "token/container", Some(&node), Some(&container)).await;
                assert_eq!(status, 200, "{made}");
                token = made["container_token"].as_str().unwrap().to_owned();
            }
            last = task;
        }
        let (status, logs, _) = outcome(&client, last["id"].as_i64().unwrap()).await;
        assert_eq!(status, expected, "{organizations}: {logs:?}");
    }
}
