//! The program as a process: killed at any moment it loses nothing that it answered.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

/// `atoll serve` on a free port.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path, arguments: &[&str]) -> Server {
        let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/site");
        let mut child = Command::new(env!("CARGO_BIN_EXE_atoll"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(data)
            .arg("--site")
            .arg(site)
            .args(arguments)
            .env("ATOLL_ROOT_PASSWORD", "Root-pass-1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .find_map(|line| line.unwrap().strip_prefix("Atoll is at ").map(str::to_owned))
            .expect("the address is printed; if not, is the site built? (make build)");
        Server { child, url: url.trim_end_matches('/').to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
