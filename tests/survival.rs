//! The program as a process: killed at any moment it loses nothing that it answered.

mod support;

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use support::{eventually, process::Server};

async fn post(url: &str, path: &str, token: &str, body: Value) -> Option<Value> {
    let request = reqwest::Client::new().post(format!("{url}/api/{path}")).bearer_auth(token).json(&body);
    let response = request.send().await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    response.json().await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_answered_is_lost_by_a_kill() {
    let data = tempfile::TempDir::new().unwrap();
    let mut answered: Vec<String> = Vec::new();
    for round in 0..3 {
        let server = Server::start(data.path(), &[]);
        let body = json!({"username": "root", "password": "Root-pass-1"});
        let tokens = post(&server.url, "token/user", "", body).await.expect("root signs in");
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        let list = reqwest::Client::new()
            .get(format!("{}/api/organization?per_page=1000", server.url))
            .bearer_auth(&token)
            .send()
            .await
            .unwrap();
        let list: Value = list.json().await.unwrap();
        let names: Vec<&str> =
            list["data"].as_array().unwrap().iter().filter_map(|item| item["name"].as_str()).collect();
        for name in &answered {
            assert!(names.contains(&name.as_str()), "{name} was answered and is lost");
        }
        // Writes one after the other until the process is killed in the middle of one.
        let (url, writer_token) = (server.url.clone(), token.clone());
        let writer = tokio::spawn(async move {
            let mut done = Vec::new();
            for number in 0.. {
                let name = format!("organization {round} {number}");
                match post(&url, "organization", &writer_token, json!({"name": name})).await {
                    Some(_) => done.push(name),
                    None => break,
                }
            }
            done
        });
        // Long enough for some to be answered, whatever the machine.
        let enough = std::time::Duration::from_millis(300);
        tokio::time::sleep(enough).await;
        drop(server);
        let done = writer.await.unwrap();
        assert!(!done.is_empty());
        answered.extend(done);
    }
}

#[test]
fn the_demo_listens_on_loopback_only() {
    let data = tempfile::TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_atoll"))
        .args(["serve", "--demo", "--listen", "0.0.0.0:0", "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback only"));
}

#[test]
fn a_demo_organization_that_is_mistyped_is_told() {
    for flag in ["--without-node", "--review-at"] {
        let data = tempfile::TempDir::new().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_atoll"))
            .args(["serve", "--demo", "--listen", "127.0.0.1:0", flag, "example_org9", "--data"])
            .arg(data.path())
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("no organization example_org9"), "{output:?}");
    }
}

#[test]
fn a_second_start_takes_seconds_and_flags_can_be_variables() {
    let data = tempfile::TempDir::new().unwrap();
    drop(Server::start(data.path(), &["--demo"]));
    let begin = std::time::Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_atoll"))
        .arg("serve")
        .env("ATOLL_LISTEN", "127.0.0.1:0")
        .env("ATOLL_DATA", data.path())
        .env("ATOLL_DEMO", "true")
        .env("ATOLL_SITE", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/site"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines.find_map(|line| line.unwrap().strip_prefix("Data of the demo: ").map(str::to_owned));
    let took = begin.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told.as_deref(), data.path().to_str());
    assert!(took.as_secs() < 10, "{took:?}");
}

#[test]
fn a_weak_password_of_root_is_refused_and_the_next_start_begins_anew() {
    let data = tempfile::TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_atoll"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .env("ATOLL_ROOT_PASSWORD", "weak")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("ATOLL_ROOT_PASSWORD") && told.contains("at least 12 characters"), "{told}");
    // With a good one it starts, and the account is there.
    let server = Server::start(data.path(), &[]);
    let body = json!({"username": "root", "password": "Root-pass-1"});
    let answer = tokio::runtime::Runtime::new().unwrap().block_on(post(&server.url, "token/user", "", body));
    assert!(answer.unwrap()["access_token"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_in_front_of_another_hub_has_none_of_its_own() {
    let (hub_data, portal_data) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
    let hub = Server::start(hub_data.path(), &["--demo"]);
    let portal = Server::start(portal_data.path(), &["--hub", &format!("{}/api/", hub.url)]);
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client
        .post(format!("{}/login", portal.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("username=researcher&password=Atoll-demo-1")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!(client.get(format!("{}/api/version", portal.url)).send().await.unwrap().status(), 404);
    assert!(!portal_data.path().join("hub.sqlite").exists());
}

#[test]
fn a_demo_and_a_real_hub_are_never_mistaken_for_one_another() {
    let refused = |data: &Path, arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_atoll"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(arguments)
            .env("ATOLL_ROOT_PASSWORD", "Root-pass-1")
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (demo, real) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
    drop(Server::start(demo.path(), &["--demo"]));
    drop(Server::start(real.path(), &[]));
    assert!(refused(demo.path(), &[]).contains("whose passwords everybody knows"));
    assert!(refused(real.path(), &["--demo"]).contains("no demo"));
}

#[test]
fn options_that_cannot_be_meant_are_refused_and_their_secrets_not_repeated() {
    let data = tempfile::TempDir::new().unwrap();
    for (arguments, told) in [
        (&["--hub", "nonsense"][..], "--hub (ATOLL_HUB) is no address"),
        (&["--hub", "ftp://host/api"], "--hub (ATOLL_HUB) is no address"),
        (&["--hub", "http://somebody:secret-word@127.0.0.1:9/api"], "more than scheme, host, port and path"),
        (&["--hub", "http://127.0.0.1:9/api?x=1"], "more than scheme, host, port and path"),
        (&["--hub", "http://127.0.0.1:9/api", "--two-factor"], "cannot be used with"),
        (&["--hub", "http://127.0.0.1:9/api", "--allow-origin", "https://ui.example"], "cannot be used with"),
        (&["--allow-origin", "https://ui.example/path"], "not an origin"),
        (&["--sessions", "postgres://u:secret-word@127.0.0.1:1/x"], "ATOLL_SESSIONS"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_atoll"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .args(arguments)
            .env("ATOLL_ROOT_PASSWORD", "Root-pass-1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text.contains(told) && !text.contains("secret-word"), "{arguments:?}: {text}");
    }
}

#[test]
fn variables_without_a_value_count_as_not_given_and_databases_are_private() {
    let data = tempfile::TempDir::new().unwrap();
    let empty = [("ATOLL_HUB", ""), ("ATOLL_ALLOW_ORIGIN", ""), ("ATOLL_PUBLIC_URL", ""), ("ATOLL_SESSIONS", "")];
    drop(Server::start_with(data.path(), &[], &empty));
    for file in ["hub.sqlite", "sessions.sqlite"] {
        let mode = std::fs::metadata(data.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_second_server_on_one_data_folder_is_refused_and_says_why() {
    let data = tempfile::TempDir::new().unwrap();
    let _first = Server::start(data.path(), &[]);
    let second = Command::new(env!("CARGO_BIN_EXE_atoll"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another atoll serve uses"));
    // Nor on another folder that has a link to the same database.
    let other = tempfile::TempDir::new().unwrap();
    std::os::unix::fs::symlink(data.path().join("hub.sqlite"), other.path().join("hub.sqlite")).unwrap();
    let third = Command::new(env!("CARGO_BIN_EXE_atoll"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(other.path())
        .output()
        .unwrap();
    assert!(!third.status.success());
    assert!(String::from_utf8_lossy(&third.stderr).contains("another atoll serve uses"));
}

#[test]
fn the_password_of_root_is_not_shown_to_nobody() {
    let data = tempfile::TempDir::new().unwrap();
    let start = |script: &str| {
        let output = Command::new("sh")
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_atoll"), "serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .env_remove("ATOLL_ROOT_PASSWORD")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for script in ["\"$@\" >&-", "\"$@\" > /dev/null"] {
        let (started, told) = start(script);
        assert!(!started && told.contains("ATOLL_ROOT_PASSWORD"), "{script}: {told}");
    }
}

#[test]
fn plain_http_to_other_machines_has_to_be_said() {
    let data = tempfile::TempDir::new().unwrap();
    for (flag, url) in [("--hub", "http://vantage6.example/api"), ("--public-url", "http://10.0.0.1:3000")] {
        let refused = Command::new(env!("CARGO_BIN_EXE_atoll"))
            .args(["serve", "--listen", "127.0.0.1:0", flag, url, "--data"])
            .arg(data.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains("--allow-plain-http"), "{flag}: {told}");
    }
}

#[test]
fn secrets_open_with_the_key_that_they_were_stored_with_only() {
    let data = tempfile::TempDir::new().unwrap();
    let key = |text: &str| [("ATOLL_SECRET_KEY", text.repeat(8))];
    let start = |text: &str| {
        let [(name, value)] = key(text);
        Command::new(env!("CARGO_BIN_EXE_atoll"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .env(name, value)
            .output()
            .unwrap()
    };
    let [(name, value)] = key("first");
    drop(Server::start_with(data.path(), &[], &[(name, &value)]));
    assert!(!data.path().join("hub.key").exists());
    let other = start("other");
    assert!(!other.status.success());
    assert!(String::from_utf8_lossy(&other.stderr).contains("another secret key"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_at_sign_in_to_root_and_to_who_watches_and_is_over_when_there_is_room() {
    let data = tempfile::TempDir::new().unwrap();
    let server = Server::start_on_small_disk(data.path(), "4m", &[]);
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let get = async |path: &str, cookie: &str| {
        let answer = http.get(format!("{}{path}", server.url)).header("cookie", cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let sign_in = async || {
        let request = http.post(format!("{}/login", server.url)).header("origin", &server.url);
        request
            .body("username=root&password=Root-pass-1")
            .header("content-type", "application/x-www-form-urlencoded")
            .send()
            .await
            .unwrap()
    };
    let answer = sign_in().await;
    assert_eq!(answer.status(), 303);
    let cookie = support::web::session_cookie(&answer).split(';').next().unwrap().to_owned();
    let (status, page) = get("/", &cookie).await;
    assert!(status == 200 && !page.contains("This server needs you"), "{status} {page}");
    let body = json!({"username": "root", "password": "Root-pass-1"});
    let tokens = post(&server.url, "token/user", "", body).await.unwrap();
    let token = tokens["access_token"].as_str().unwrap().to_owned();
    let filler = format!("/proc/{}/root{}/filler", server.id(), data.path().display());
    let mut file = std::fs::File::create(&filler).unwrap();
    let mut fill = || while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {};
    // What the database has on the disk already is filled first.
    let mut number = 0;
    let mut store = async || {
        number += 1;
        let body = json!({"name": format!("organization {number}"), "public_key": "x".repeat(16_000)});
        let request = http.post(format!("{}/api/organization", server.url)).bearer_auth(&token).json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    let mut stored = Vec::new();
    while stored.last() != Some(&507) {
        fill();
        stored.push(store().await);
        assert!(stored.iter().all(|status| [201, 507].contains(status)) && stored.len() < 1_000, "{stored:?}");
    }
    let mut signed_in = Vec::new();
    while signed_in.last() != Some(&503) {
        fill();
        let answer = sign_in().await;
        signed_in.push(answer.status().as_u16());
        let page = answer.text().await.unwrap();
        assert!(
            signed_in.last() != Some(&503)
                || page.contains("disk of the server is full")
                || page.contains("its disk is full"),
            "{page}"
        );
        assert!(signed_in.iter().all(|status| [303, 503].contains(status)) && signed_in.len() < 100, "{signed_in:?}");
    }
    fill();
    assert_eq!(store().await, 507);
    let (status, health) = get("/healthz", "").await;
    assert!(status == 503 && health.contains("\"hub_stores\":false"), "{status} {health}");
    let (status, page) = get("/", &cookie).await;
    assert!(status == 200 && page.contains("This server needs you") && page.contains("is full"), "{status} {page}");
    let form = http.post(format!("{}/organizations/new", server.url)).header("origin", &server.url);
    let form = form.header("cookie", &cookie).header("content-type", "application/x-www-form-urlencoded");
    let page = form.body(format!("name=A+name+that+was+typed&address1={}", "x".repeat(100))).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("disk of the server is full") && page.contains("A name that was typed"), "{page}");
    std::fs::remove_file(&filler).unwrap();
    drop(file);
    assert_eq!(sign_in().await.status(), 303);
    assert_eq!(get("/healthz", "").await.0, 200);
    // What was answered is stored, during and after.
    assert_eq!(store().await, 201);
    let answered = 2 + stored.iter().filter(|status| **status == 201).count();
    let list =
        http.get(format!("{}/api/organization?per_page=1000", server.url)).bearer_auth(&token).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    assert_eq!(list["data"].as_array().unwrap().len(), answered);
    // Nobody has written to the file but the hub: once the end is signed again, the log says nothing else.
    let head = format!("/proc/{}/root{}/hub.audit-head", server.id(), data.path().display());
    let read = || std::fs::read_to_string(&head).unwrap();
    let before = read();
    assert_eq!(store().await, 201);
    eventually(async || read() != before).await;
    let url = format!("{}/api/audit?action=audit.mismatch", server.url);
    let told: Value = http.get(url).bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!(told["data"], json!([]), "{told}");
    assert!(!get("/", &cookie).await.1.contains("This server needs you"));
}

#[test]
fn the_log_holds_no_token_however_much_it_is_to_tell() {
    let data = tempfile::TempDir::new().unwrap();
    let path = data.path().join("log");
    let log = std::fs::File::create(&path).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_atoll"))
        .args(["serve", "--demo", "--listen", "127.0.0.1:0", "--site"])
        .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/site"))
        .arg("--data")
        .arg(data.path().join("data"))
        .env("RUST_LOG", "trace")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let told = || String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    let begin = std::time::Instant::now();
    // Nodes have signed in and connected.
    while told().matches("\"/socket.io/\"").count() + told().matches("the node is ready").count() < 3 {
        assert!(begin.elapsed().as_secs() < 60, "nodes are ready");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    std::thread::sleep(std::time::Duration::from_secs(2));
    server.kill().unwrap();
    server.wait().unwrap();
    let told = told();
    assert!(told.contains("TRACE"), "it is told in full");
    assert!(!told.contains("Bearer ey") && !told.contains("eyJ"), "a token stands in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_starts_again_without_an_organization_that_was_deleted() {
    let data = tempfile::TempDir::new().unwrap();
    let server = Server::start(data.path(), &["--demo"]);
    let body = json!({"username": "root", "password": support::PASSWORD});
    let tokens = post(&server.url, "token/user", "", body).await.unwrap();
    let gone = format!("{}/api/organization/4?delete_dependents=true", server.url);
    let gone = reqwest::Client::new().delete(gone).bearer_auth(tokens["access_token"].as_str().unwrap());
    assert_eq!(gone.send().await.unwrap().status(), 200);
    drop(server);
    drop(Server::start(data.path(), &["--demo"]));
}

/// What `atoll audit verify` says.
fn verified(data: &Path) -> (bool, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_atoll")).args(["audit", "verify", "--data"]).arg(data).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

async fn change_file(data: &Path, statements: &[&str]) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("hub.sqlite"));
    let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
    for statement in statements {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_the_program_by_force_and_takes_its_last_entries_away_is_told() {
    let data = tempfile::TempDir::new().unwrap();
    let server = Server::start(data.path(), &["--demo"]);
    let body = json!({"username": "root", "password": support::PASSWORD});
    let token = post(&server.url, "token/user", "", body.clone()).await.unwrap();
    let token = token["access_token"].as_str().unwrap();
    let log = |name: &str| std::fs::read_to_string(data.path().join(name)).unwrap();
    let before = log("hub.audit-head");
    let organization = json!({"name": "made by somebody"});
    post(&server.url, "organization", token, organization).await.unwrap();
    let begin = std::time::Instant::now();
    while log("hub.audit-head") == before {
        assert!(begin.elapsed().as_secs() < 30, "the end is signed soon");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // By force.
    drop(server);
    let (holds, text) = verified(data.path());
    assert!(holds, "{text}");
    let last = "(SELECT max(id) FROM audit)";
    let take_away = [
        "DROP TRIGGER audit_keeps_entries",
        &format!("DELETE FROM audit_head WHERE id = {last}"),
        &format!("DELETE FROM audit WHERE id = {last}"),
        "UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'audit'",
    ];
    change_file(data.path(), &take_away).await;
    let (holds, text) = verified(data.path());
    assert!(!holds && text.contains("is missing"), "{text}");
    // Nor does an end help that was signed before, in the file's place.
    let (id, hash, signature): (i64, String, String) = {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.path().join("hub.sqlite"));
        let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
        sqlx::query_as("SELECT id, hash, signature FROM audit_head WHERE origin = '' ORDER BY id LIMIT 1")
            .fetch_one(&mut connection)
            .await
            .unwrap()
    };
    for state in ["", "open ", "closed "] {
        std::fs::write(data.path().join("hub.audit-head"), format!("{id}:{hash} {state}{signature}\n")).unwrap();
        let server = Server::start(data.path(), &["--demo"]);
        let token = post(&server.url, "token/user", "", body.clone()).await.unwrap();
        let url = format!("{}/api/audit?action=audit.mismatch", server.url);
        let entries = reqwest::Client::new().get(url).bearer_auth(token["access_token"].as_str().unwrap());
        let entries = entries.send().await.unwrap().text().await.unwrap();
        assert!(entries.contains("has not signed what stands in the file"), "{entries}");
    }
    // What could have been taken away within the last second is said, too.
    drop(Server::start(data.path(), &["--demo"]));
    let (_, text) = verified(data.path());
    assert!(text.contains("The program was ended by force"), "{text}");
    // A start that fails ends the log.
    assert!(log("hub.audit-head").contains(" open "));
    let mut not_for_the_demo = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"));
    not_for_the_demo.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path());
    assert!(!not_for_the_demo.output().unwrap().status.success());
    assert!(log("hub.audit-head").contains(" closed "));
}

#[test]
fn the_demo_starts_again_without_doubts_about_its_logs() {
    let data = tempfile::TempDir::new().unwrap();
    let key = || {
        let config = std::fs::read_to_string(atoll::demo::node_config(data.path(), "example_org1")).unwrap();
        config.lines().find(|line| line.starts_with("api_key")).unwrap().to_owned()
    };
    Server::start(data.path(), &["--demo"]).end();
    // It signs the node's log.
    let before = key();
    Server::start(data.path(), &["--demo"]).end();
    assert_eq!(key(), before);
    let (holds, text) = verified(data.path());
    assert!(holds && !text.contains("may have been changed") && !text.contains("by force"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_backup_is_brought_back_no_token_of_before_is_somebody_elses() {
    let sign_in = async |server: &Server, username: &str, password: &str| {
        let body = json!({"username": username, "password": password});
        let tokens = post(&server.url, "token/user", "", body).await.expect("signed in");
        tokens["access_token"].as_str().unwrap().to_owned()
    };
    let user = |name: &str, role: i64| {
        json!({"username": name, "password": "Chosen-1234", "email": format!("{name}@example.org"), "firstname": "f",
            "lastname": "l", "organization_id": 2, "roles": [role]})
    };
    for with_head in [false, true] {
        let data = tempfile::TempDir::new().unwrap();
        let server = Server::start(data.path(), &["--demo"]);
        let root = sign_in(&server, "root", support::PASSWORD).await;
        assert_eq!(asks(&server, &root).await, 200);
        drop(server);
        let kept = tempfile::TempDir::new().unwrap();
        let files = ["hub.sqlite", "hub.sqlite-wal", "hub.audit-head"];
        let copy = |from: &Path, to: &Path, name: &str| {
            let _ = std::fs::remove_file(to.join(name));
            let _ = std::fs::copy(from.join(name), to.join(name));
        };
        files.iter().for_each(|name| copy(data.path(), kept.path(), name));
        let server = Server::start(data.path(), &["--demo"]);
        let root = sign_in(&server, "root", support::PASSWORD).await;
        let first = post(&server.url, "user", &root, user("somebody", 4)).await.unwrap();
        let old = sign_in(&server, "somebody", "Chosen-1234").await;
        assert_eq!(asks(&server, &old).await, 200);
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        drop(server);
        for name in files.iter().filter(|name| with_head || **name != "hub.audit-head") {
            copy(kept.path(), data.path(), name);
        }
        let server = Server::start(data.path(), &["--demo"]);
        let new_root = sign_in(&server, "root", support::PASSWORD).await;
        let second = post(&server.url, "user", &new_root, user("another", 1)).await.unwrap();
        assert_eq!(first["id"], second["id"], "ids come again");
        assert_eq!(asks(&server, &old).await, 401);
        // The log shows that the database is not the one whose end was signed: then nobody of before is signed in.
        assert_eq!(asks(&server, &root).await, if with_head { 200 } else { 401 });
        let gone = reqwest::Client::new().delete(format!("{}/api/user/{}", server.url, second["id"]));
        assert_eq!(gone.bearer_auth(new_root).send().await.unwrap().status(), 200);
    }
}

/// What somebody is answered who asks for organizations.
async fn asks(server: &Server, token: &str) -> u16 {
    let request = reqwest::Client::new().get(format!("{}/api/organization", server.url)).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_behind_the_end_of_a_program_that_has_ended_is_told() {
    let data = tempfile::TempDir::new().unwrap();
    let server = Server::start(data.path(), &["--demo"]);
    let body = json!({"username": "root", "password": support::PASSWORD});
    post(&server.url, "token/user", "", body.clone()).await.unwrap();
    server.end();
    let head = std::fs::read_to_string(data.path().join("hub.audit-head")).unwrap();
    assert!(head.contains(" closed "), "{head}");
    assert!(verified(data.path()).0);
    // As the program itself would, without any key.
    {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.path().join("hub.sqlite"));
        let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
        let entry = atoll::audit::Entry::done("user 2 (admin1)", "result.download", "run 1");
        atoll::audit::append(&mut connection, &entry).await.unwrap();
    }
    let (holds, text) = verified(data.path());
    assert!(!holds && text.contains("somebody has written entry"), "{text}");
    let server = Server::start(data.path(), &["--demo"]);
    let token = post(&server.url, "token/user", "", body).await.unwrap();
    let url = format!("{}/api/audit?action=audit.mismatch", server.url);
    let entries = reqwest::Client::new().get(url).bearer_auth(token["access_token"].as_str().unwrap());
    let entries = entries.send().await.unwrap().text().await.unwrap();
    assert!(entries.contains("somebody has written entry"), "{entries}");
}

/// A token of Root.
async fn root_token(server: &Server) -> String {
    let body = json!({"username": "root", "password": support::PASSWORD});
    let token = post(&server.url, "token/user", "", body).await.unwrap();
    token["access_token"].as_str().unwrap().to_owned()
}

/// What Root is told of at the start page.
async fn problems(server: &Server, token: &str) -> String {
    let request = reqwest::Client::new().get(format!("{}/api/problem", server.url)).bearer_auth(token);
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_cannot_look_at_its_log_or_sign_it_tells_root() {
    let ends =
        "CREATE TABLE audit_head (origin TEXT NOT NULL, id INTEGER NOT NULL, hash TEXT NOT NULL, at TEXT NOT NULL,
        key TEXT NOT NULL, signature BLOB NOT NULL, PRIMARY KEY (origin, id, hash))";
    for statements in [
        vec!["DROP TABLE audit_head"],
        // Of another type than is read.
        vec![
            "CREATE TEMP TABLE before AS SELECT origin, id, hash, at, key, CAST(signature AS BLOB) AS signature FROM audit_head",
            "DROP TABLE audit_head",
            ends,
            "INSERT INTO audit_head SELECT * FROM before",
        ],
    ] {
        let data = tempfile::TempDir::new().unwrap();
        let server =
            Server::start(data.path(), &["--demo", "--without-node", "example_org1,example_org2,example_org3"]);
        let token = root_token(&server).await;
        assert!(!problems(&server, &token).await.contains("audit log"));
        change_file(data.path(), &statements).await;
        eventually(async || problems(&server, &token).await.contains("audit log")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_the_log_that_takes_not_every_entry_is_made_anew_at_the_start() {
    let columns = "id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        subject TEXT NOT NULL, outcome TEXT NOT NULL, details TEXT NOT NULL, organization_id INTEGER, hash TEXT NOT NULL";
    let audit = format!("CREATE TABLE audit ({columns}, CHECK (action <> 'audit.mismatch')) STRICT");
    let change_ends = [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'id INTEGER NOT NULL', 'id INTEGER NOT NULL CHECK (id <= 4)')
         WHERE name = 'audit_head'",
    ];
    let change_entries = [
        "ALTER TABLE audit RENAME TO before",
        &audit,
        "INSERT INTO audit SELECT * FROM before",
        "DROP TRIGGER audit_keeps_entries",
        "DROP TABLE before",
        "CREATE TRIGGER audit_keeps_entries BEFORE DELETE ON audit
         BEGIN SELECT RAISE(ABORT, 'audit entries are not deleted'); END",
        "CREATE TRIGGER audit_keeps_words BEFORE UPDATE ON audit
         BEGIN SELECT RAISE(ABORT, 'audit entries are not changed'); END",
        "CREATE INDEX audit_of_organization ON audit (organization_id)",
        "CREATE INDEX audit_of_subject ON audit (subject, action)",
    ];
    for statements in [change_ends.as_slice(), change_entries.as_slice()] {
        let data = tempfile::TempDir::new().unwrap();
        let none = ["--demo", "--without-node", "example_org1,example_org2,example_org3"];
        Server::start(data.path(), &none).end();
        let (holds, before) = verified(data.path());
        assert!(holds, "{before}");
        change_file(data.path(), statements).await;
        let (holds, text) = verified(data.path());
        assert!(!holds && text.contains("tables of the database"), "{text}");
        let server = Server::start(data.path(), &none);
        let told = problems(&server, &root_token(&server).await).await;
        assert!(told.contains("tables of the database"), "{told}");
        server.end();
        let (holds, text) = verified(data.path());
        assert!(holds && text.contains("may have been changed"), "{text}");
        // And it takes what it did not.
        let server = Server::start(data.path(), &none);
        change_file(data.path(), &["DELETE FROM audit_head"]).await;
        let token = root_token(&server).await;
        eventually(async || problems(&server, &token).await.contains("directly")).await;
    }
}

/// Starts the demo without nodes, which has to fail.
fn fails_to_start(data: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atoll"));
    command.args(["serve", "--demo", "--without-node", "example_org1,example_org2,example_org3"]);
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data);
    assert!(!command.output().unwrap().status.success());
}

/// What the log says of itself.
async fn mismatches(server: &Server) -> String {
    let url = format!("{}/api/audit?action=audit.mismatch", server.url);
    let request = reqwest::Client::new().get(url).bearer_auth(root_token(server).await);
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_taken_away_with_all_people_is_missed() {
    let none = ["--demo", "--without-node", "example_org1,example_org2,example_org3"];
    let data = tempfile::TempDir::new().unwrap();
    Server::start(data.path(), &none).end();
    let take_away = [
        "PRAGMA foreign_keys = OFF",
        "CREATE TABLE saved AS SELECT * FROM user",
        "DROP TRIGGER audit_keeps_entries",
        "DROP TABLE audit",
        "DROP TABLE audit_head",
        "DROP TABLE audit_sink",
        "DELETE FROM user",
    ];
    change_file(data.path(), &take_away).await;
    std::fs::remove_file(data.path().join("hub.audit-head")).unwrap();
    // Without people the demo is made again, on top of what is left of it.
    fails_to_start(data.path());
    change_file(data.path(), &["INSERT INTO user SELECT * FROM saved", "DROP TABLE saved"]).await;
    let server = Server::start(data.path(), &none);
    let told = mismatches(&server).await;
    assert!(told.contains("was not there at the start") && told.contains("table audit"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_tell_what_is_wrong_signs_nothing() {
    let none = ["--demo", "--without-node", "example_org1,example_org2,example_org3"];
    let data = tempfile::TempDir::new().unwrap();
    let server = Server::start(data.path(), &none);
    root_token(&server).await;
    server.end();
    let head = data.path().join("hub.audit-head");
    std::fs::remove_file(&head).unwrap();
    // Nothing can be written behind the last number that there is.
    let last = "INSERT INTO audit VALUES (9223372036854775807, '', '', '', '', '', '', NULL, '')";
    change_file(data.path(), &[last]).await;
    fails_to_start(data.path());
    assert!(!head.exists());
    let back = [
        "DROP TRIGGER audit_keeps_entries",
        "DELETE FROM audit WHERE id = 9223372036854775807",
        "UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM audit) WHERE name = 'audit'",
    ];
    change_file(data.path(), &back).await;
    let told = mismatches(&Server::start(data.path(), &none)).await;
    assert!(told.contains("was not there at the start"), "{told}");
}

/// Statements that make a trigger which undoes changes of passwords.
fn planted(kind: &'static str, name: &'static str) -> Vec<&'static str> {
    let sql = format!(
        "CREATE TRIGGER {name} AFTER UPDATE OF password_hash ON user BEGIN
         UPDATE user SET password_hash = OLD.password_hash WHERE id = NEW.id; END"
    );
    let insert = format!("INSERT INTO sqlite_schema VALUES ('{kind}', '{name}', 'user', 0, '{sql}')");
    vec!["PRAGMA writable_schema = ON", insert.leak(), "PRAGMA schema_version = 1000"]
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_before_the_first_and_what_only_has_the_name_of_something_are_told() {
    let none = ["--demo", "--without-node", "example_org1,example_org2,example_org3"];
    for (statements, told) in [
        (
            vec![
                "INSERT INTO audit VALUES (-1, '2026-11-27T17:54:00.000000', 'user 3', 'review.approve', 'run 3', 'done', 'FORGED', 3, 'x')",
            ],
            "before the first one",
        ),
        (
            // A trigger may have the name of an index.
            vec![
                "CREATE TRIGGER audit_of_subject AFTER UPDATE OF disabled ON user WHEN NEW.disabled = 1
                 BEGIN UPDATE user SET disabled = 0 WHERE id = NEW.id; END",
                "DROP INDEX audit_of_subject",
                "CREATE INDEX audit_of_subject ON audit (subject, action)",
            ],
            "trigger audit_of_subject",
        ),
        (
            vec![
                "DROP TABLE ended_family",
                "CREATE TABLE ended_family (family TEXT PRIMARY KEY, until INTEGER NOT NULL, CHECK (0)) STRICT",
            ],
            "table ended_family",
        ),
        // As only somebody can write it who does not ask SQLite.
        (planted("trigger", "sqlite_evil"), "trigger sqlite_evil"),
        (planted("TRIGGER", "evil"), "trigger evil"),
        (
            vec![
                "CREATE UNIQUE INDEX zzu ON audit (CASE WHEN action = 'audit.mismatch' OR id = 1 THEN 0 ELSE id END)",
                "PRAGMA writable_schema = ON",
                "UPDATE sqlite_schema SET name = 'sqlite_evil', sql = replace(sql, 'zzu', 'sqlite_evil') WHERE name = 'zzu'",
                "PRAGMA schema_version = 1000",
            ],
            "index sqlite_evil",
        ),
        // An index without words, which points somewhere else.
        (
            vec![
                "DELETE FROM node_config",
                "PRAGMA writable_schema = ON",
                "INSERT INTO sqlite_schema SELECT 'index', 'audit_of_organization', 'audit', rootpage, NULL FROM sqlite_schema
                 WHERE name = 'config_of_node'",
                "PRAGMA schema_version = 1000",
            ],
            "index audit_of_organization",
        ),
        // The tables of the log by other letters, which made the file look new.
        (
            vec![
                "CREATE TRIGGER evil AFTER UPDATE ON user BEGIN UPDATE user SET disabled = 0; END",
                "ALTER TABLE audit RENAME TO zz",
                "ALTER TABLE zz RENAME TO AUDIT",
                "ALTER TABLE audit_head RENAME TO zz",
                "ALTER TABLE zz RENAME TO AUDIT_HEAD",
            ],
            "trigger evil",
        ),
        // As statistics of SQLite are called.
        (
            vec![
                "CREATE TABLE zz (u, r, FOREIGN KEY (u, r) REFERENCES user_role (user_id, role_id) ON DELETE RESTRICT)",
                "PRAGMA writable_schema = ON",
                "UPDATE sqlite_schema SET name = 'sqlite_stat7', tbl_name = 'sqlite_stat7', sql = replace(sql, 'zz', 'sqlite_stat7')
                 WHERE name = 'zz'",
                "PRAGMA schema_version = 1000",
            ],
            "table sqlite_stat7",
        ),
        (
            vec![
                "CREATE TEMP TABLE before AS SELECT * FROM _sqlx_migrations",
                "DROP TABLE _sqlx_migrations",
                "CREATE TABLE _sqlx_migrations (version BIGINT, description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL,
                 success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
                "INSERT INTO _sqlx_migrations SELECT * FROM temp.before",
                "INSERT INTO _sqlx_migrations SELECT * FROM temp.before WHERE version = 1",
                "CREATE TABLE spy (x)",
            ],
            "migration 1",
        ),
    ] {
        let data = tempfile::TempDir::new().unwrap();
        Server::start(data.path(), &none).end();
        change_file(data.path(), &statements).await;
        let (holds, text) = verified(data.path());
        assert!(!holds && text.contains(told), "{text}");
        let server = Server::start(data.path(), &none);
        let token = root_token(&server).await;
        let shown = problems(&server, &token).await;
        assert!(shown.contains(told), "{shown}");
        let entries = reqwest::Client::new().get(format!("{}/api/audit", server.url)).bearer_auth(&token);
        assert!(!entries.send().await.unwrap().text().await.unwrap().contains("FORGED"));
        server.end();
        // Of what could be put right nothing is left to be told.
        assert_eq!(verified(data.path()).0, told.starts_with("trigger") || told.starts_with("index"));
    }
    // While the hub runs it is told as well.
    let data = tempfile::TempDir::new().unwrap();
    let server = Server::start(data.path(), &none);
    let token = root_token(&server).await;
    let forged = "INSERT INTO audit VALUES (0, '2026-11-27T17:54:00.000000', 'user 3', 'review.approve', 'run 3', 'done', '', 3, 'x')";
    change_file(data.path(), &[forged]).await;
    eventually(async || {
        let entries = reqwest::Client::new().get(format!("{}/api/audit?action=audit.mismatch", server.url));
        entries.bearer_auth(&token).send().await.unwrap().text().await.unwrap().contains("has not written")
    })
    .await;
}
