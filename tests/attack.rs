//! Floods against the running program, with what they cost it: memory above idle, and how much longer `/healthz` took
//! meanwhile than a server that does nothing else, asked at the same moments: what holds up both is the machine. `make attack` prints the table; the other attacks are `tests/disclosure`, `tests/access` and
//! `tests/hub/limits.rs`.

#[path = "support/mod.rs"]
mod support;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::{AVERAGE, process::Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// The most memory above idle, in kB.
const MEMORY: u64 = 150 * 1024;
/// The longest that `/healthz` may take beyond a server that does nothing.
const ANSWER: Duration = Duration::from_millis(250);

/// Resident memory of a process, in kB.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Answers as `/healthz` does, and does nothing else. Gives its address.
fn idle_server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let router = axum::Router::new().route("/healthz", axum::routing::get(async || "ok"));
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
    });
    format!("http://{address}")
}

/// Asks both servers until it is over; gives the longest difference, and the longest answer. It has a thread of its
/// own: a flood that keeps the test busy holds up no answer.
fn ask_for_health(url: &str, idle: &str, over: &AtomicBool) -> (Duration, Duration) {
    let ask = async |http: &Client, url: &str| {
        let begin = Instant::now();
        let status = http.get(format!("{url}/healthz")).send().await.unwrap().status();
        assert!(status.is_success(), "{status}");
        begin.elapsed()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let http = Client::builder().timeout(Duration::from_secs(120)).build().unwrap();
        let (mut beyond, mut longest) = (Duration::ZERO, Duration::ZERO);
        while !over.load(Ordering::Relaxed) {
            let (took, machine) = tokio::join!(ask(&http, url), ask(&http, idle));
            beyond = beyond.max(took.saturating_sub(machine));
            longest = longest.max(took);
            sleep(Duration::from_millis(5)).await;
        }
        (beyond, longest)
    })
}

struct Attack {
    server: Server,
    idle_server: String,
    http: Client,
    idle: u64,
    failed: Vec<String>,
}

impl Attack {
    async fn call(&self, method: Method, path: &str, token: &str, body: String) -> u16 {
        let request = self.http.request(method, format!("{}/{path}", self.server.url)).bearer_auth(token);
        let request = request.header("content-type", "application/json").body(body);
        // A server that closes the connection has answered, too.
        request.send().await.map_or(0, |answer| answer.status().as_u16())
    }

    async fn sign_in(&self, path: &str, body: Value) -> String {
        let answer = self.http.post(format!("{}/api/token/{path}", self.server.url)).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Runs a flood and measures.
    async fn run(&mut self, name: &str, flood: impl Future<Output = ()>) {
        let (over, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let memory = std::thread::spawn({
            let (over, peak, id) = (over.clone(), peak.clone(), self.server.id());
            move || {
                while !over.load(Ordering::Relaxed) {
                    peak.fetch_max(resident(id), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        let health = std::thread::spawn({
            let (over, url, idle) = (over.clone(), self.server.url.clone(), self.idle_server.clone());
            move || ask_for_health(&url, &idle, &over)
        });
        flood.await;
        over.store(true, Ordering::Relaxed);
        memory.join().unwrap();
        let (beyond, longest) = health.join().unwrap();
        // Until it is over for the server, too: the next one begins by itself.
        sleep(Duration::from_millis(500)).await;
        let above = peak.load(Ordering::Relaxed).saturating_sub(self.idle);
        let cost = format!(
            "{name}: {} MB above idle, /healthz within {} ms, {} ms beyond an idle server",
            above >> 10,
            longest.as_millis(),
            beyond.as_millis()
        );
        println!("attack: {cost}");
        if above > MEMORY || beyond > ANSWER {
            self.failed.push(cost);
        }
    }
}

fn task(input: String, databases: Value) -> String {
    json!({"name": "flood", "description": "", "image": AVERAGE, "collaboration_id": 1, "databases": databases,
        "organizations": [{"id": 2, "input": input}]})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_flood_takes_memory_or_holds_up_others() {
    let data = tempfile::TempDir::new().unwrap();
    let all = "example_org1,example_org2,example_org3";
    let server = Server::start(data.path(), &["--demo", "--without-node", all]);
    let http = Client::builder().pool_max_idle_per_host(64).timeout(Duration::from_secs(120)).build().unwrap();
    let mut attack = Attack { server, idle_server: idle_server(), http, idle: 0, failed: Vec::new() };
    let token = attack.sign_in("user", json!({"username": "researcher", "password": support::PASSWORD})).await;
    let mut nodes = Vec::new();
    for organization in all.split(',') {
        let config = std::fs::read_to_string(data.path().join("demo").join(organization).join("node.yaml")).unwrap();
        let key = config.lines().find_map(|line| line.strip_prefix("api_key: ")).unwrap().to_owned();
        nodes.push(attack.sign_in("node", json!({"api_key": key})).await);
    }
    let node = nodes[0].clone();
    let mut callers = vec![token.clone()];
    for username in ["admin1", "admin2", "admin3", "root"] {
        callers.push(attack.sign_in("user", json!({"username": username, "password": support::PASSWORD})).await);
    }
    let no_redirects = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let cookie_of = async |username: &str| {
        let form = format!("username={username}&password={}", support::PASSWORD);
        let request = no_redirects.post(format!("{}/login", attack.server.url)).body(form);
        let signed_in = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!(signed_in.status(), 303);
        let cookies = signed_in.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
        cookies.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    };
    let (of_admin, cookie) = (cookie_of("admin1").await, cookie_of("researcher").await);
    // What a browser is known by.
    let known = cookie.split("; ").filter(|cookie| cookie.contains("browser")).collect::<Vec<_>>().join("; ");
    assert!(!known.is_empty(), "{cookie}");
    sleep(Duration::from_millis(500)).await;
    attack.idle = resident(attack.server.id());
    println!("attack: idle at {} MB", attack.idle >> 10);
    // Cheap to clone; the borrow of `attack` ends with each flood.
    let caller = |attack: &Attack| Attack {
        server: Server::of(&attack.server),
        idle_server: attack.idle_server.clone(),
        http: attack.http.clone(),
        idle: 0,
        failed: Vec::new(),
    };
    let remote = caller(&attack);

    let nested = format!("{{\"username\":\"a\",\"password\":\"b\",\"mfa_code\":[{}0]}}", "[],".repeat(9_000_000));
    attack
        .run("sign-in bodies of 27 MB from anybody, 8 at once", async {
            let answers =
                join_all((0..8).map(|_| remote.call(Method::POST, "api/token/user", "", nested.clone()))).await;
            assert!(answers.iter().all(|status| matches!(status, 413 | 429 | 0)), "{answers:?}");
        })
        .await;
    attack
        .run("400 wrong passwords by paths with empty segments", async {
            let body = json!({"username": "nobody", "password": "wrong"}).to_string();
            let paths = ["api//token/user", "/api/token//user", "//api///token/user"];
            let calls = (0..400).map(|number| remote.call(Method::POST, paths[number % 3], "", body.clone()));
            let answers = join_all(calls).await;
            let looked_at = answers.iter().filter(|status| **status == 401).count();
            assert!(looked_at <= 130 && answers.contains(&429), "{looked_at} of {answers:?}");
        })
        .await;
    attack
        .run("40 uploads of a result that stall after 4 MB", async {
            let address = remote.server.url.trim_start_matches("http://").to_owned();
            let begin = format!(
                "PATCH /api/run/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {node}\r\nContent-Type: application/json\
                 \r\nContent-Length: 30000000\r\n\r\n{{\"result\": \""
            );
            let stalled = join_all((0..40).map(async |_| {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                stream.write_all(begin.as_bytes()).await.unwrap();
                // A server that does not want it may close, or not read it.
                let _ = timeout(Duration::from_secs(1), stream.write_all(&vec![b'x'; 4 << 20])).await;
                stream
            }))
            .await;
            sleep(Duration::from_secs(2)).await;
            drop(stalled);
        })
        .await;
    // Bodies that stall shortly before their end, of one sender at the same address.
    let stall = async |begin: String, bytes: usize, connections: usize| {
        let address = remote.server.url.trim_start_matches("http://").to_owned();
        let stalled = join_all((0..connections).map(async |_| {
            let mut stream = TcpStream::connect(&address).await.ok()?;
            // A server that does not want it may close, or not read it.
            let _ = stream.write_all(begin.as_bytes()).await;
            let _ = timeout(Duration::from_secs(1), stream.write_all(&vec![b'x'; bytes])).await;
            Some(stream)
        }))
        .await;
        sleep(Duration::from_secs(2)).await;
        drop(stalled);
    };
    attack
        .run("400 requests for reviews that stall after 1 MB", async {
            let begin = format!(
                "POST /api/review HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {node}\r\nContent-Type: application/json\
                 \r\nContent-Length: 1040000\r\n\r\n{{\"a\": \""
            );
            stall(begin, 1_000_000, 400).await;
        })
        .await;
    attack
        .run("600 forms that stall after 250 kB", async {
            let begin = format!(
                "POST /tasks/new HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nCookie: {cookie}\r\nContent-Type: \
                 application/x-www-form-urlencoded\r\nContent-Length: 262000\r\n\r\nname=",
                remote.server.url.trim_start_matches("http://")
            );
            stall(begin, 250_000, 600).await;
        })
        .await;
    let databases: Vec<Value> = (0..400_000).map(|_| json!({"label": "a"})).collect();
    let body = task("e30=".to_owned(), json!(databases));
    attack
        .run("tasks with 400,000 databases, 4 at once", async {
            let answers = join_all((0..4).map(|_| remote.call(Method::POST, "api/task", &token, body.clone()))).await;
            assert_eq!(answers, [400; 4]);
        })
        .await;
    let mut pickle = vec![0x80, 2];
    for _ in 0..12_000_000 {
        // Pushed and thrown away.
        pickle.extend(b"N0");
    }
    pickle.extend(b"N.");
    let body = task(STANDARD.encode(pickle), json!([]));
    attack
        .run("a pickle of 12 million values, twice", async {
            for _ in 0..2 {
                let status = remote.call(Method::POST, "api/task", &token, body.clone()).await;
                assert!(matches!(status, 400 | 413), "{status}");
            }
        })
        .await;
    let input = STANDARD.encode(format!("[{}0]", "[],".repeat(5_000_000)));
    let body = task(input, json!([]));
    attack
        .run("tasks with inputs of 20 MB, 4 at once", async {
            let answers = join_all((0..4).map(|_| remote.call(Method::POST, "api/task", &token, body.clone()))).await;
            assert_eq!(answers, [201; 4]);
        })
        .await;
    attack
        .run("lists of these tasks' runs, 30 at once", async {
            let lists = (0..30).map(|number| {
                let path = if number % 3 == 0 { "api/run?per_page=1" } else { "api/run?per_page=1000" };
                remote.call(Method::GET, path, &token, String::new())
            });
            let answers = join_all(lists).await;
            assert!(answers.iter().all(|status| matches!(status, 200 | 503)), "{answers:?}");
        })
        .await;
    let runs = attack.http.get(format!("{}/api/run?per_page=1&sort=id", attack.server.url));
    let runs: Value = runs.bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    let (run, task_of_run) = (runs["data"][0]["id"].as_i64().unwrap(), runs["data"][0]["task"]["id"].as_i64().unwrap());
    let result = json!({"status": "completed", "finished_at": "2026-11-01T11:00:00", "result": "x".repeat(2_000_000)});
    let path = format!("api/run/{run}");
    assert_eq!(remote.call(Method::PATCH, &path, &node, result.to_string()).await, 200);
    attack
        .run("one run, its result, and its task with both, 40 at once", async {
            let paths = [
                format!("api/run/{run}"),
                format!("api/result/{run}"),
                format!("api/task/{task_of_run}?include=runs,results"),
                "api/task?include=runs,results&per_page=1000".to_owned(),
                "api/result?include=metadata&per_page=1000".to_owned(),
            ];
            let reads = (0..40).map(|number| remote.call(Method::GET, &paths[number % 5], &token, String::new()));
            let answers = join_all(reads).await;
            assert!(answers.iter().all(|status| matches!(status, 200 | 413 | 503)), "{answers:?}");
            assert!(answers.contains(&200), "{answers:?}");
        })
        .await;
    attack
        .run("12 readers of large answers who take a byte and no more, while a node asks for its runs", async {
            let address = remote.server.url.trim_start_matches("http://").to_owned();
            let ask = format!("GET /api/run/{run} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
            let slow = join_all((0..12).map(async |_| {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                stream.write_all(ask.as_bytes()).await.unwrap();
                stream
            }))
            .await;
            sleep(Duration::from_millis(300)).await;
            for _ in 0..3 {
                let path = "api/run?state=open&include=task";
                assert_eq!(remote.call(Method::GET, path, &node, String::new()).await, 200);
            }
            drop(slow);
        })
        .await;
    let body = task(STANDARD.encode(format!("\"{}\"", "x".repeat(18_000_000))), json!([]));
    let made = attack.http.post(format!("{}/api/task", attack.server.url)).bearer_auth(&token);
    let made = made.header("content-type", "application/json").body(body.clone()).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    let whole = made["id"].as_i64().unwrap();
    let runs = attack.http.get(format!("{}/api/run?task_id={whole}&without=input", attack.server.url));
    let runs: Value = runs.bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!(runs["data"][0]["input"], Value::Null);
    let result = json!({"status": "completed", "finished_at": "2026-11-01T11:00:00", "result": "x".repeat(24_000_000)});
    let path = format!("api/run/{}", runs["data"][0]["id"]);
    assert_eq!(remote.call(Method::PATCH, &path, &node, result.to_string()).await, 200);
    drop((made, runs, result));
    attack
        .run("answers of 24 MB to five who do not read them, while twelve inputs of 24 MB come", async {
            let address = remote.server.url.trim_start_matches("http://").to_owned();
            let slow = join_all(callers.iter().map(async |caller| {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                let ask = format!(
                    "GET /api/task/{whole}?include=results HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {caller}\r\n\r\n"
                );
                stream.write_all(ask.as_bytes()).await.unwrap();
                stream
            }))
            .await;
            let senders = callers.iter().cycle().take(12);
            let sent = join_all(senders.map(|caller| remote.call(Method::POST, "api/task", caller, body.clone())));
            let answers = sent.await;
            assert!(answers.iter().all(|status| matches!(status, 201 | 401 | 503)), "{answers:?}");
            assert!(answers.iter().filter(|status| **status == 201).count() >= 3, "{answers:?}");
            drop(slow);
        })
        .await;
    // As JSON of Python: 280,000 values.
    let result = STANDARD.encode(format!("[{}0]", "[0.5],".repeat(140_000)));
    let result = json!({"status": "completed", "finished_at": "2026-11-01T11:00:00", "result": result});
    assert_eq!(remote.call(Method::POST, "api/task", &token, task("e30=".to_owned(), json!([]))).await, 201);
    let runs = attack.http.get(format!("{}/api/run?per_page=1&sort=-id&without=input", attack.server.url));
    let runs: Value = runs.bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    let (run, wide) = (runs["data"][0]["id"].as_i64().unwrap(), runs["data"][0]["task"]["id"].as_i64().unwrap());
    assert_eq!(remote.call(Method::PATCH, &format!("api/run/{run}"), &node, result.to_string()).await, 200);
    attack
        .run("pages of tasks with large inputs and results, 40 at once", async {
            let pages = (0..40).map(async |number| {
                let page = if number % 2 == 0 { whole } else { wide };
                let page = remote.http.get(format!("{}/tasks/{page}", remote.server.url)).header("cookie", &cookie);
                page.send().await.unwrap().status().as_u16()
            });
            let answers = join_all(pages).await;
            // Others of the same user wait, some of them too long.
            assert!(answers.iter().step_by(2).all(|status| *status == 200), "{answers:?}");
            assert!(answers.iter().skip(1).step_by(2).filter(|status| **status == 200).count() >= 5, "{answers:?}");
        })
        .await;
    let lists = [&b"\x80\x02]("[..], &b"]Na".repeat(70_000), b"e."].concat();
    let body = task(STANDARD.encode(lists), json!([]));
    attack
        .run("pickles of as many values as are read, 4 at once", async {
            let answers = join_all((0..4).map(|_| remote.call(Method::POST, "api/task", &token, body.clone()))).await;
            assert_eq!(answers, [201; 4]);
        })
        .await;
    // Half a kilobyte that references unfold to 148,000 values: `[[[[]] * 50] * 50] * 58` in Python.
    let mut lists = b"]q\x01".to_vec();
    for (place, times) in [(2, 50), (3, 50), (4, 58)] {
        lists = [b"](".to_vec(), lists, [b'h', place - 1].repeat(times - 1), vec![b'e', b'q', place]].concat();
    }
    let begin = b"\x80\x02}(X\x06\0\0\0methodX\x01\0\0\0fX\x04\0\0\0args";
    let unfolding = [&begin[..], &lists, b"u."].concat();
    let whole: Value = serde_json::from_str(&task(STANDARD.encode(unfolding), json!([]))).unwrap();
    let made = attack.http.post(format!("{}/api/task", attack.server.url)).bearer_auth(&token).json(&whole);
    let unfolds = made.send().await.unwrap().json::<Value>().await.unwrap()["id"].as_i64().unwrap();
    attack
        .run("pages of a task whose arguments unfold, 60 at once", async {
            let pages = (0..60).map(async |_| {
                let page = remote.http.get(format!("{}/tasks/{unfolds}", remote.server.url)).header("cookie", &cookie);
                let page = page.send().await.unwrap().text().await.unwrap();
                assert!(page.contains("more than 10,000 values"), "{page:.500}");
            });
            join_all(pages).await;
        })
        .await;
    // Requests of as many objects as may be asked for.
    let admin = callers[2].clone();
    let objects = format!("[{}0]", "{\"\":0},".repeat(1_100));
    let mut reviews = Vec::new();
    for _ in 0..60 {
        let input = STANDARD.encode(format!("{{\"method\":\"f\",\"args\":{objects}}}"));
        let body: Value = serde_json::from_str(&task(input, json!([]))).unwrap();
        let made = attack.http.post(format!("{}/api/task", attack.server.url)).bearer_auth(&token).json(&body);
        let task = made.send().await.unwrap().json::<Value>().await.unwrap()["id"].as_i64().unwrap();
        let runs = attack.http.get(format!("{}/api/run?task_id={task}&without=input", attack.server.url));
        let runs: Value = runs.bearer_auth(&token).send().await.unwrap().json().await.unwrap();
        let asked = json!({"image": "some/image", "digest": "", "function": "f", "args": serde_json::from_str::<Value>(&objects).unwrap(),
            "kwargs": {}, "databases": [], "columns": null, "organization_id": 2, "collaboration_id": 1, "user_id": 1,
            "requester_organization_id": 2, "beginner_user_id": null, "beginner_organization_id": null});
        let asked: atoll::protocol::review::Asked = serde_json::from_value(asked).unwrap();
        let review = json!({"run_id": runs["data"][0]["id"], "subject": "run", "hash": asked.hash(), "mode": "always",
            "expires_at": "2099-01-01T00:00:00", "request": {"asked": asked, "does": "", "discloses": "", "task_id": task,
                "task_name": "flood", "purpose": "", "parent_id": null, "username": null, "requester_organization": null, "unusual": []}});
        let made = attack.http.post(format!("{}/api/review", attack.server.url)).bearer_auth(&node).json(&review);
        let made = made.send().await.unwrap();
        let status = made.status();
        let made: Value = made.json().await.unwrap();
        assert_eq!(status, 201, "{made}");
        reviews.push(made["id"].as_i64().unwrap());
    }
    let page = async |path: String| {
        let page = remote.http.get(format!("{}{path}", remote.server.url)).header("cookie", &of_admin);
        page.send().await.unwrap().text().await.unwrap()
    };
    attack
        .run("60 reviews of 1,100 objects each, in 20 lists and 30 pages at once", async {
            let lists = join_all((0..20).map(|_| page("/reviews".to_owned())));
            let pages = join_all((0..30).map(|number| page(format!("/reviews/{}", reviews[number]))));
            let (lists, pages) = tokio::join!(lists, pages);
            for list in lists {
                assert_eq!(list.matches("name=\"review\"").count(), 60, "{list:.500}");
            }
            assert!(pages.iter().all(|page| page.contains("What is asked for")));
        })
        .await;
    for review in reviews {
        let end = json!({"verdict": "reject", "reason": "flood", "hash": ""});
        let _ = remote.call(Method::POST, &format!("api/review/{review}/decision"), &admin, end.to_string()).await;
    }
    // Two results of 100 long columns, and a run that goes on.
    let organizations = [2, 3, 4].map(|id| json!({"id": id, "input": "e30="}));
    let body = json!({"name": "flood", "description": "", "image": AVERAGE, "collaboration_id": 1, "databases": [],
        "organizations": organizations});
    let made = attack.http.post(format!("{}/api/task", attack.server.url)).bearer_auth(&token).json(&body);
    let made: Value = made.send().await.unwrap().json().await.unwrap();
    let long = made["id"].as_i64().unwrap();
    let runs = attack.http.get(format!("{}/api/run?task_id={long}&sort=id", attack.server.url)).bearer_auth(&token);
    let runs: Value = runs.send().await.unwrap().json().await.unwrap();
    let run = |number: usize| format!("api/run/{}", runs["data"][number]["id"]);
    let columns: serde_json::Map<String, Value> =
        (0..100).map(|number| (format!("{number}{}", "n".repeat(180)), json!("<&\"".repeat(1_500)))).collect();
    let result = json!({"status": "completed", "finished_at": "2026-11-01T11:00:00",
        "result": STANDARD.encode(Value::from(columns).to_string()), "log": "<&\" ".repeat(60_000)});
    for number in [0, 1] {
        let status = remote.call(Method::PATCH, &run(number), &nodes[number], result.to_string()).await;
        assert_eq!(status, 200);
    }
    attack
        .run("50 streams of the states of a task with long columns and logs, which nobody reads", async {
            let address = remote.server.url.trim_start_matches("http://").to_owned();
            let ask = format!("GET /events?of=/tasks/{long} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n");
            let slow = join_all((0..50).map(async |_| {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.set_recv_buffer_size(4096).unwrap();
                let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
                stream.write_all(ask.as_bytes()).await.unwrap();
                let mut begin = [0; 12];
                stream.read_exact(&mut begin).await.unwrap();
                assert_eq!(&begin, b"HTTP/1.1 200");
                stream
            }))
            .await;
            for number in 0..10 {
                let log = json!({"status": "active", "log": format!("{}{number}", "<&\" ".repeat(60_000))});
                assert_eq!(remote.call(Method::PATCH, &run(2), &nodes[2], log.to_string()).await, 200);
                sleep(Duration::from_millis(300)).await;
            }
            drop(slow);
        })
        .await;
    // A central function that has asked often.
    let status = remote.call(Method::POST, "api/task", &token, task("e30=".to_owned(), json!([]))).await;
    assert_eq!(status, 201);
    let tasks = attack.http.get(format!("{}/api/task?per_page=1&sort=-id", attack.server.url)).bearer_auth(&token);
    let tasks: Value = tasks.send().await.unwrap().json().await.unwrap();
    let parent = tasks["data"][0]["id"].as_i64().unwrap();
    let asked = json!({"task_id": parent, "image": AVERAGE});
    let container = attack.http.post(format!("{}/api/token/container", attack.server.url)).bearer_auth(&node);
    let container: Value = container.json(&asked).send().await.unwrap().json().await.unwrap();
    let container = container["container_token"].as_str().unwrap();
    let organizations = [2, 3, 4].map(|id| json!({"id": id, "input": "e30="}));
    let subtask = json!({"name": "subtask", "description": "", "image": AVERAGE, "collaboration_id": 1, "databases": [],
        "organizations": organizations});
    for _ in 0..400 {
        assert_eq!(remote.call(Method::POST, "api/task", container, subtask.to_string()).await, 201);
    }
    attack
        .run("six pages and ten unread streams of a task with 400 subtasks", async {
            let address = remote.server.url.trim_start_matches("http://").to_owned();
            let ask = format!("GET /events?of=/tasks/{parent} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n");
            let slow = join_all((0..10).map(async |_| {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                stream.write_all(ask.as_bytes()).await.unwrap();
                stream
            }))
            .await;
            let pages = (0..6).map(async |_| {
                let page = remote.http.get(format!("{}/tasks/{parent}", remote.server.url)).header("cookie", &cookie);
                page.send().await.unwrap().text().await.unwrap()
            });
            for page in join_all(pages).await {
                assert!(page.contains("Of 400 subtasks the newest 50 are shown."), "{page:.500}");
                assert!(page.contains(&format!("/tasks?parent={parent}")));
            }
            let last = remote.http.get(format!("{}/tasks?parent={parent}&page=20", remote.server.url));
            let last = last.header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
            assert_eq!(last.matches("<th scope=\"row\">").count(), 20, "{last}");
            assert!(last.contains(&format!("Subtasks of task {parent}")));
            drop(slow);
        })
        .await;
    attack
        .run("nested events of three nodes, over 16 connections each", async {
            let address = format!("{}/socket.io/?EIO=4&transport=polling", remote.server.url);
            let event = format!("42/tasks,[\"algorithm_status_change\",[{}0]]", "[0],".repeat(24_000));
            let facts = (0..20_000).map(|number| format!("\"{number}\":{{}},")).collect::<String>();
            let facts = format!("42/tasks,[\"node_info_update\",{{{facts}\"a\":0}}]");
            let events = [vec![event.as_str(); 6], vec![facts.as_str(); 1]].concat().join("\u{1e}");
            let floods = nodes.iter().flat_map(|node| [node; 16]).map(async |node| {
                let send = |request: reqwest::RequestBuilder| async { request.bearer_auth(node).send().await };
                let opened = send(remote.http.get(&address)).await.unwrap().text().await.unwrap();
                let Some(session) = opened.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()) else {
                    return;
                };
                let session = format!("{address}&sid={session}");
                let _ = send(remote.http.post(&session).body("40/tasks,")).await;
                for _ in 0..4 {
                    let _ = send(remote.http.post(&session).body(events.clone())).await;
                }
            });
            join_all(floods).await;
        })
        .await;
    // Six bytes are written for each where somebody writes it out for programmers.
    let odd = "\u{7f}".repeat(30_000_000);
    attack
        .run("texts of 30 MB in the place of a number, and of 1 MB in events of three nodes", async {
            let body = format!("{{\"name\":\"x\",\"organizations\":[{{\"id\":\"{odd}\",\"input\":\"e30=\"}}]}}");
            let calls = join_all((0..3).map(|_| remote.call(Method::POST, "api/task", &token, body.clone())));
            let address = format!("{}/socket.io/?EIO=4&transport=polling", remote.server.url);
            let event = format!(
                "42/tasks,[\"algorithm_log\",{{\"log\":\"a\",\"task_id\":1,\"run_id\":\"{}\"}}]",
                &odd[..1_000_000]
            );
            let events = join_all(nodes.iter().flat_map(|node| [node; 8]).map(async |node| {
                let send = |request: reqwest::RequestBuilder| async { request.bearer_auth(node).send().await };
                let opened = send(remote.http.get(&address)).await.unwrap().text().await.unwrap();
                let Some(session) = opened.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()) else {
                    return;
                };
                let session = format!("{address}&sid={session}");
                let _ = send(remote.http.post(&session).body("40/tasks,")).await;
                for _ in 0..10 {
                    let _ = send(remote.http.post(&session).body(event.clone())).await;
                }
            }));
            let (answers, _) = tokio::join!(calls, events);
            assert!(answers.iter().all(|status| matches!(status, 400 | 503)), "{answers:?}");
        })
        .await;
    let described = json!({"name": "flood", "description": "a".repeat(1024), "image": AVERAGE, "collaboration_id": 1,
        "databases": [], "organizations": [{"id": 2, "input": "e30="}]})
    .to_string();
    for _ in 0..20 {
        join_all((0..100).map(|_| remote.call(Method::POST, "api/task", &token, described.clone()))).await;
    }
    attack
        .run(
            "lists of 2,000 rows narrowed by patterns that fit nearly, of six callers, while strangers ask, too",
            async {
                let path = format!("api/task?description=%25{}b", "a".repeat(190));
                let mut of_lists = callers.clone();
                of_lists.push(node.clone());
                let lists = join_all(of_lists.iter().flat_map(|caller| [caller; 4]).map(async |caller| {
                    let mut answers = Vec::new();
                    for _ in 0..3 {
                        answers.push(remote.call(Method::GET, &path, caller, String::new()).await);
                    }
                    answers
                }));
                let body = json!({"api_key": "00000000-0000-4000-8000-000000000000"}).to_string();
                let strangers =
                    join_all((0..1_000).map(|_| remote.call(Method::POST, "api/token/node", "", body.clone())));
                let others = async {
                    let begin = Instant::now();
                    let status = remote.call(Method::GET, "api/organization/2", &token, String::new()).await;
                    (status, begin.elapsed())
                };
                let (lists, strangers, (status, took)) = tokio::join!(lists, strangers, others);
                assert!(lists.concat().iter().all(|status| matches!(status, 200 | 429 | 503)), "{lists:?}");
                assert!(strangers.iter().all(|status| matches!(status, 401 | 429)), "{strangers:?}");
                assert!(status == 200 && took < Duration::from_secs(2), "{status} after {took:?}");
                let too_long = format!("api/task?description={}", "a".repeat(300));
                assert_eq!(remote.call(Method::GET, &too_long, &token, String::new()).await, 400);
            },
        )
        .await;
    attack
        .run("1,500 forms of somebody signed in, each with 12 kB of headers, that are never whole", async {
            let address = remote.server.url.trim_start_matches("http://").to_owned();
            let headers: String = (0..100).map(|number| format!("X-{number}: {}\r\n", "h".repeat(110))).collect();
            let begin = format!(
                "POST /tasks/new HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nCookie: {cookie}\r\n{headers}\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 200000\r\n\r\n{}",
                "a".repeat(60_000)
            );
            let halves = join_all((0..1_500).map(async |_| {
                let mut stream = TcpStream::connect(&address).await.ok()?;
                let _ = timeout(Duration::from_secs(5), stream.write_all(begin.as_bytes())).await;
                Some(stream)
            }))
            .await;
            sleep(Duration::from_secs(2)).await;
            drop(halves);
        })
        .await;
    // Objects with a name of no letters: of all JSON they unfold to most.
    let organizations = [2, 3, 4].map(|id| json!({"id": id, "input": "e30="}));
    let body = json!({"name": "flood", "description": "", "image": AVERAGE, "collaboration_id": 1, "databases": [],
        "organizations": organizations});
    let results = [
        ("145,000 objects each", format!("[{}0]", "{\"\":0},".repeat(145_000))),
        (
            "objects within objects",
            format!("[{}0]", format!("{}0{},", "{\"\":".repeat(99), "}".repeat(99)).repeat(3_000)),
        ),
        ("90,000 columns each", {
            let columns: Vec<String> = (0..90_000).map(|number| format!("\"k{number}\":{{\"a\":0}}")).collect();
            format!("{{{}}}", columns.join(","))
        }),
        ("10,000 records, one of which has 9,900 names", {
            let names: Vec<String> = (0..9_900).map(|number| format!("\"{number}\":0")).collect();
            format!("[{{{}}}{}]", names.join(","), ",{\"0\":0}".repeat(10_000))
        }),
        ("1,480 records with a name of its own each", {
            let records: Vec<String> = (0..1_480).map(|number| format!("{{\"{number}\":0}}")).collect();
            format!("[{}]", records.join(","))
        }),
        (
            "20 MB within lists that nobody reads so deep",
            format!("{}{}0{}", "[".repeat(101), "\"\\n\",".repeat(4_000_000), "]".repeat(101)),
        ),
        (
            "20 MB of what no JSON has, within such lists",
            format!("{}{}{}", "[".repeat(101), "\u{1}".repeat(20_000_000), "]".repeat(101)),
        ),
    ];
    for (what, result) in results {
        let made = attack.http.post(format!("{}/api/task", attack.server.url)).bearer_auth(&token).json(&body);
        let made: Value = made.send().await.unwrap().json().await.unwrap();
        let task = made["id"].as_i64().unwrap();
        let runs = attack.http.get(format!("{}/api/run?task_id={task}&sort=id", attack.server.url));
        let runs: Value = runs.bearer_auth(&token).send().await.unwrap().json().await.unwrap();
        let end =
            json!({"status": "completed", "finished_at": "2026-11-01T11:00:00", "result": STANDARD.encode(result)});
        for (number, node) in nodes.iter().enumerate() {
            let path = format!("api/run/{}", runs["data"][number]["id"]);
            assert_eq!(remote.call(Method::PATCH, &path, node, end.to_string()).await, 200);
        }
        attack
            .run(&format!("pages, downloads and streams of three results at once, of {what}"), async {
                let page = format!("{}/tasks/{task}", remote.server.url);
                let paths = [page.clone(), format!("{page}/results.csv"), format!("{page}/results.json")];
                let address = remote.server.url.trim_start_matches("http://").to_owned();
                let ask =
                    format!("GET /events?of=/tasks/{task} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n");
                let streams = join_all((0..5).map(async |_| {
                    let mut stream = TcpStream::connect(&address).await.unwrap();
                    stream.write_all(ask.as_bytes()).await.unwrap();
                    stream
                }));
                let answers = join_all((0..9).map(async |number| {
                    let answer = remote.http.get(&paths[number % 3]).header("cookie", &cookie).send().await.unwrap();
                    let status = answer.status().as_u16();
                    (status, answer.bytes().await.map_or(0, |bytes| bytes.len()))
                }));
                let (streams, answers) = tokio::join!(streams, answers);
                // A table can have more cells than a spreadsheet takes.
                assert!(
                    answers.iter().all(|(status, length)| matches!(status, 200 | 413) && *length > 0),
                    "{answers:?}"
                );
                drop(streams);
            })
            .await;
    }
    attack
        .run("200 new accounts at once, and 200 with a name that there is", async {
            let (one, other) = (&callers[1], &callers[2]);
            let calls = (0..400).map(async |number| {
                let username = if number % 2 == 0 { format!("new{number}") } else { "admin2".to_owned() };
                let new = json!({"username": username, "password": "Zq7!vbnm<i>kLpw", "firstname": "a", "lastname": "b",
                    "email": format!("new{number}@example.org"), "roles": []});
                let caller = if number % 4 < 2 { one } else { other };
                (number, remote.call(Method::POST, "api/user", caller, new.to_string()).await)
            });
            let answers = join_all(calls).await;
            assert!(
                answers.iter().all(|(number, status)| match number % 2 {
                    0 => matches!(status, 201 | 429),
                    _ => *status == 400,
                }),
                "{answers:?}"
            );
            assert!(answers.iter().filter(|(_, status)| *status == 201).count() >= 40, "{answers:?}");
        })
        .await;
    attack
        .run("110 forms of each of 12 addresses that sign in at once, while somebody who is known does", async {
            let form = |client: Client, url: String, username: String| async move {
                let request =
                    client.post(format!("{url}/login")).body(format!("username={username}&password=wrong-password"));
                let request = request.header("content-type", "application/x-www-form-urlencoded");
                request.header("origin", &url).send().await.map_or(0, |answer| answer.status().as_u16())
            };
            let floods = (1..=12).map(async |number| {
                let client = Client::builder().local_address(std::net::IpAddr::from([127, 0, 9, number]));
                let client = client.timeout(Duration::from_secs(120)).build().unwrap();
                let one = |attempt: usize| form(client.clone(), remote.server.url.clone(), format!("nobody{attempt}"));
                join_all((0..110).map(one)).await
            });
            let known = async {
                sleep(Duration::from_millis(500)).await;
                let begin = Instant::now();
                let right = format!("username=researcher&password={}", support::PASSWORD);
                let request = no_redirects.post(format!("{}/login", remote.server.url)).body(right);
                let request =
                    request.header("content-type", "application/x-www-form-urlencoded").header("cookie", &known);
                (request.send().await.unwrap().status().as_u16(), begin.elapsed())
            };
            let (answers, (status, took)) = tokio::join!(join_all(floods), known);
            let answers = answers.concat();
            assert!(answers.iter().all(|status| matches!(status, 422 | 429 | 503)), "{answers:?}");
            assert!(status == 303 && took < Duration::from_secs(5), "{status} after {took:?}");
        })
        .await;
    attack
        .run("3,000 half requests, each from an address of its own, and 20 others that come then", async {
            let address: std::net::SocketAddr = remote.server.url.trim_start_matches("http://").parse().unwrap();
            let from = async |ip: [u8; 4]| {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.bind((ip, 0).into()).unwrap();
                socket.connect(address).await.unwrap()
            };
            let mut halves = Vec::new();
            for number in 0..3_000_u16 {
                let [high, low] = number.to_be_bytes();
                let mut stream = from([127, 2, high, low]).await;
                stream.write_all(b"GET / HTTP/1.1\r\nX: a").await.unwrap();
                halves.push(stream);
                // It is about who gives way, not about how fast they come.
                if number % 100 == 0 {
                    sleep(Duration::from_millis(20)).await;
                }
            }
            for number in 0..20 {
                let mut stream = from([127, 3, 0, number]).await;
                sleep(Duration::from_millis(50)).await;
                stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "{number}: {answer}");
            }
            drop(halves);
        })
        .await;
    attack
        .run("1,500 connections that say nothing", async {
            let address = remote.server.url.trim_start_matches("http://").to_owned();
            let silent = join_all((0..1_500).map(|_| TcpStream::connect(&address))).await;
            assert!(silent.iter().all(Result::is_ok));
            let status = remote.call(Method::GET, "api/version", "", String::new()).await;
            assert_eq!(status, 200);
        })
        .await;
    attack
        .run("1,500 forms in pieces of one byte, with many headers, that are never whole", async {
            let address = remote.server.url.trim_start_matches("http://").to_owned();
            let headers: String = (0..80).map(|number| format!("X-{number}: {}\r\n", "h".repeat(100))).collect();
            let text = format!(
                "POST /login HTTP/1.1\r\nHost: a\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\n\
                 Transfer-Encoding: chunked\r\n\r\n{}",
                "1\r\na\r\n".repeat(16_000)
            );
            let halves = join_all((0..1_500).map(async |_| {
                let mut stream = TcpStream::connect(&address).await.ok()?;
                let _ = timeout(Duration::from_secs(10), stream.write_all(text.as_bytes())).await;
                Some(stream)
            }))
            .await;
            sleep(Duration::from_secs(2)).await;
            drop(halves);
        })
        .await;
    assert!(attack.failed.is_empty(), "{:#?}", attack.failed);
}
