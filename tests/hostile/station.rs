//! A real station, as a process, of which a hostile hub asks what it wants.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    honeypot::Honeypot,
    hub::{Answer, HostileHub, honest, run, task},
    peak,
    support::{AVERAGE, eventually},
    variation::Variation,
};

const KEY: &str = "9c2f4ab0-77d1-4d5e-9f4e-6f0a2a6d3b11";
/// Stands in the data, and nowhere else.
const SECRET: &str = "73010199";
const SECRET_COLUMN: &str = "cause_of_death_code";
/// The most memory of a station, in MB.
const MEMORY: u64 = 256;

/// `atoll node`, killed when it is dropped.
struct Node {
    child: Child,
    folder: TempDir,
}

impl Node {
    fn start(port: u16, policies: &str) -> Node {
        let folder = TempDir::new().unwrap();
        let rows: String = (0..40).map(|row| format!("P{row},{},{SECRET}\n", 20 + row % 20)).collect();
        std::fs::write(folder.path().join("d.csv"), format!("patient,age,{SECRET_COLUMN}\n{rows}")).unwrap();
        let config = format!(
            "api_key: {KEY}\nserver_url: http://127.0.0.1\nport: {port}\napi_path: /api\nshare_config: false\n\
             databases:\n  - {{label: default, type: csv, uri: d.csv, person: patient}}\n  \
             - {{label: other, type: csv, uri: d.csv, person: patient}}\n\
             policies:\n  allowed_algorithms: ['{AVERAGE}']\n  allowed_users: [5]\n  \
             allowed_databases: [{{database: default, columns: [age]}}]\n{policies}"
        );
        std::fs::write(folder.path().join("node.yaml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_atoll"))
            .args(["node", "--config"])
            .arg(folder.path().join("node.yaml"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Node { child, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// That it lives and has kept its measure.
    fn check(&mut self, what: &str) {
        assert!(self.child.try_wait().unwrap().is_none(), "the station has ended after {what}: {}", self.log());
        let peak = peak(self.child.id());

        assert!(peak < MEMORY, "{peak} MB after {what}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What never leaves, whatever is asked.
fn check_nothing_secret(hub: &HostileHub, folder: &Path) {
    let reports = hub.all_reports();
    for secret in [SECRET, SECRET_COLUMN, KEY, folder.to_str().unwrap()] {
        assert!(!reports.contains(secret), "{secret} has left");
    }
}

/// Another request than the one that is allowed, or the same in other words.
fn vary(variation: &mut Variation, id: i64) -> Value {
    let mut task = task(id);
    let mut function = "partial_average".to_owned();
    let mut kwargs = json!({"column_name": "age"});
    let mut input = None;
    for _ in 0..=variation.below(2) {
        let (text, value) = (variation.text(), variation.value());
        match variation.below(16) {
            5 | 6 if !kwargs.is_object() => {}
            0 => task["image"] = json!(format!("{AVERAGE}{text}")),
            1 => task["image"] = json!(format!("{text}{AVERAGE}")),
            2 => task["image"] = value,
            3 => function = text,
            4 => {
                function =
                    (*variation.one_of(&["central_average", "partial_average_", "PARTIAL_AVERAGE", "main"])).into()
            }
            5 => kwargs["column_name"] = value,
            6 => kwargs["column_name"] = json!(*variation.one_of(&["patient", " age", "AGE", "age\0", "other"])),
            7 => kwargs = value,
            8 => task["databases"] = json!([{"label": text, "parameters": "{}"}]),
            9 => task["databases"] = json!([{"label": "other"}, {"label": "default"}]),
            10 => task["databases"] = json!([{"label": "default", "parameters": value.to_string()}]),
            11 => task["init_user"] = json!({"id": *variation.one_of(&[0, -5, 6, i64::MAX]), "link": text}),
            12 => task["init_user"] = Value::Null,
            13 => task["parent"] = json!({"id": *variation.one_of(&[id, 1, -1, i64::MAX]), "link": text}),
            14 => task["init_org"] = Value::Null,
            _ => input = Some(text),
        }
    }
    let mut run = run(id, task, &function, kwargs);
    if let Some(input) = input {
        run["input"] = json!(input);
    }
    run
}

/// A result that was reported, without when it was given for the first time.
fn numbers(end: &Value) -> Value {
    let bytes = STANDARD.decode(end["result"].as_str().unwrap()).unwrap();
    let mut result: Value = serde_json::from_slice(&bytes).unwrap();
    result.as_object_mut().unwrap().remove("answered_at");
    result
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_hub_asks_nothing_leaves_but_the_one_answer_that_is_allowed() {
    let hub = HostileHub::start().await;
    let mut variation = Variation::new();
    let mut node = Node::start(hub.port, "");
    hub.wait_for_node().await;
    let allowed = hub.ask(honest(1)).await;
    assert_eq!(allowed["status"], "completed", "{allowed} {}", node.log());
    let asked: Vec<Value> = (1_000..1_300).map(|id| vary(&mut variation, id)).collect();
    // A list with one thing in it that is none of the protocol is not read at all: they come one by one.
    let mut answered = 0;
    for batch in asked.chunks(25) {
        hub.open(batch.to_vec()).await;
        let ids: Vec<i64> = batch.iter().map(|run| run["id"].as_i64().unwrap()).collect();
        let is_read = |run: &Value| serde_json::from_value::<atoll::protocol::wire::v4::Run>(run.clone()).is_ok();
        let unreadable: Vec<i64> =
            batch.iter().filter(|run| !is_read(run)).map(|run| run["id"].as_i64().unwrap()).collect();
        hub.forget(&unreadable);
        hub.emit("new_task", json!({"id": 1})).await;
        let last = hub.ask(honest(ids[0] + 100_000)).await;
        assert_eq!(last["status"], "completed", "seed {}: {last}", variation.seed);
        eventually(async || {
            hub.emit("new_task", json!({"id": 1})).await;
            ids.iter().all(|id| unreadable.contains(id) || hub.end_of(*id).is_some())
        })
        .await;
        for (id, run) in ids.iter().zip(batch) {
            let Some(end) = hub.end_of(*id) else { continue };
            answered += 1;
            if !end["result"].is_null() {
                assert_eq!(numbers(&end), numbers(&allowed), "seed {}: {run}", variation.seed);
            }
        }
        node.check("what was asked");
    }
    check_nothing_secret(&hub, node.folder.path());
    println!("attack: a hub asked {} times, {answered} were answered: nothing but the one answer left", asked.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_names_others_and_repeats_itself_gets_each_run_once_and_none_of_others() {
    let hub = HostileHub::start().await;
    let mut node = Node::start(hub.port, "");
    hub.wait_for_node().await;
    let mut elsewhere = honest(50);
    elsewhere["organization"]["id"] = json!(3);
    let mut other_collaboration = honest(51);
    other_collaboration["task"]["collaboration"]["id"] = json!(2);
    hub.open([elsewhere, other_collaboration]).await;
    let first = hub.ask(honest(60)).await;
    assert_eq!(first["status"], "completed", "{first}");
    assert!(!hub.reported_about(50) && !hub.reported_about(51), "{}", hub.all_reports());
    // Kills of what is not there, of others, of everything; words without meaning; then one that is in time.
    let mut variation = Variation::new();
    for number in 0..400 {
        let payload = match number % 4 {
            0 => variation.value(),
            1 => {
                json!({"collaboration_id": 1, "node_id": null, "kill_list": [{"run_id": 60}], "run_id": variation.value()})
            }
            2 => json!({"collaboration_id": 2, "node_id": 1, "kill_list": null}),
            _ => json!({"collaboration_id": 1, "kill_list": variation.value()}),
        };
        let event =
            *variation.one_of(&["kill_containers", "new_task", "review_change", "algorithm_log", "message", ""]);
        hub.emit(event, payload).await;
    }
    hub.emit("new_task", json!({"padding": "x".repeat(3 << 20)})).await;
    let last = hub.ask(honest(61)).await;
    assert_eq!(last["status"], "completed", "seed {}: {last}", variation.seed);
    node.check("events without meaning");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_on_short_pages_and_without_what_they_ask_for_are_all_taken_once() {
    for on_page in [1, 2, 7, 50] {
        let hub = HostileHub::start().await;
        hub.shorten_pages(on_page);
        hub.open((1..=15).map(honest)).await;
        let mut node = Node::start(hub.port, "");
        hub.wait_for_node().await;
        eventually(async || (1..=15).all(|id| hub.end_of(id).is_some_and(|end| end["status"] == "completed"))).await;
        let reports = hub.all_reports();
        assert_eq!(reports.matches("\"completed\"").count(), 15, "{reports}");
        node.check("short pages");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_sense_or_end_neither_stop_a_station_nor_fill_it_nor_get_its_token() {
    let hub = HostileHub::start().await;
    let honeypot = Honeypot::start().await;
    let mut node = Node::start(hub.port, "");
    hub.wait_for_node().await;
    assert_eq!(hub.ask(honest(1)).await["status"], "completed");
    let mut variation = Variation::new();
    let deep = "[".repeat(200_000);
    let long = json!({"data": [honest(2)], "msg": "x".repeat(50 << 20)}).to_string();
    let mut answers = vec![
        Answer::Status(500),
        Answer::Status(204),
        Answer::Status(401),
        Answer::Redirect(format!("{}/stolen", honeypot.url)),
        Answer::Text("<html>a proxy's page</html>".to_owned()),
        Answer::Text(deep),
        Answer::Text(long.clone()),
        Answer::Endless,
        Answer::ManyPages(long),
        Answer::Text(format!("{{\"data\":[{}{{}}]}}", "{\"id\":1,\"status\":\"pending\"},".repeat(1_500_000))),
        Answer::Text(format!("{{\"data\":[{{\"id\":1,\"ports\":[{}0]}}]}}", "{\"\":0},".repeat(5_000_000))),
        Answer::Text(format!("{{\"data\":[{}{{}}]}}", "{},".repeat(140_000))),
        Answer::Text(json!({"data": variation.value(), "links": variation.value()}).to_string()),
        Answer::Text(variation.value().to_string()),
    ];
    variation.shuffle(&mut answers);
    let mut id = 100;
    for part in ["GET run?", "GET task/", "GET organization/", "GET collaboration/", "PATCH run/"] {
        for answer in &answers {
            id += 1;
            hub.lie(part, answer.clone());
            hub.open([honest(id)]).await;
            // Until the lie was told, or for a moment where it is not asked for.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(400), async {
                while hub.end_of(id).is_none() {
                    hub.emit("new_task", json!({"id": 1})).await;
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            })
            .await;
            node.check(&format!("{part} {:.60}", format!("{answer:?}")));
        }
    }
    hub.tell_the_truth();
    let last = hub.ask(honest(90_000)).await;
    assert_eq!(last["status"], "completed", "{last} {}", node.log());
    assert!(honeypot.caught().is_empty(), "{:?}", honeypot.caught());
    check_nothing_secret(&hub, node.folder.path());
    println!("attack: a hub gave {} answers without sense or end: {} MB at the most", id - 100, peak(node.child.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_sends_its_token_to_no_store_but_those_of_its_list() {
    let hub = HostileHub::start().await;
    let (listed, honeypot) = (Honeypot::start().await, Honeypot::start().await);
    let policies = format!("  allowed_algorithm_stores: ['{}/api']\n", listed.url);
    let mut node = Node::start(hub.port, &policies);
    hub.wait_for_node().await;
    let port = honeypot.url.rsplit(':').next().unwrap();
    let listed_port = listed.url.rsplit(':').next().unwrap();
    let urls = [
        format!("{}/api", honeypot.url),
        format!("{}/api/../../", honeypot.url),
        format!("http://127.0.0.1:{listed_port}@127.0.0.1:{port}/api"),
        format!("http://localhost:{port}/api"),
        format!("http://[::ffff:127.0.0.1]:{port}/api"),
        format!("http://0x7f000001:{port}/api"),
        format!("http://127.0.0.1:{listed_port}.127.0.0.1.nip.io:{port}/api"),
        format!("http://127.0.0.1:{listed_port}#@127.0.0.1:{port}/api"),
        format!("http://127.0.0.1:{listed_port}\\@127.0.0.1:{port}/api"),
        format!("//127.0.0.1:{port}/api"),
        "file:///etc/passwd".to_owned(),
        "http://169.254.169.254/latest".to_owned(),
        String::new(),
    ];
    for (number, url) in urls.iter().enumerate() {
        hub.link_store(url);
        let id = 10 + number as i64;
        let mut task = task(id);
        task["algorithm_store"] = json!({"id": number + 1, "link": ""});
        let end = hub.ask(run(id, task, "partial_average", json!({"column_name": "age"}))).await;
        assert_ne!(end["status"], "completed", "{url}: {end}");
    }
    assert!(honeypot.caught().is_empty(), "{:?}", honeypot.caught());
    node.check("stores that are not listed");
}
