//! The web application beside a hub, over HTTP: sessions, limits, a hub that goes away. The site has to be built
//! (make build).

mod support;

use atoll::protocol::domain::TaskSpec;
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Method, StatusCode, header};
use serde_json::json;
use support::{
    PASSWORD, World, average,
    browser::Browser,
    eventually,
    web::{Web, session_cookie},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::test(flavor = "multi_thread")]
async fn one_address_can_try_to_sign_in_only_so_often_by_page_and_by_api() {
    let world = World::new().await;
    let web = Web::new(&world, &["127.0.0.1/32"]).await;
    let from = async |address: &str, path: &str| {
        let request = match path {
            "/login" => web.form(path, &[("username", "nobody"), ("password", "wrong")]),
            "/api/token/node" => web.request(Method::POST, path).json(&json!({"api_key": uuid::Uuid::new_v4()})),
            _ => web.request(Method::POST, path).json(&json!({"username": "nobody", "password": "wrong"})),
        };
        request.header("x-forwarded-for", address).send().await.unwrap().status()
    };
    // Page and API have one limit. While the attempts go on, a few more become allowed.
    let mut attempts = 0;
    loop {
        let page = from("198.51.100.1", "/login").await;
        let api = from("198.51.100.1", "/api/token/user").await;
        attempts += 2;
        if [page, api] == [StatusCode::TOO_MANY_REQUESTS; 2] {
            break;
        }
        assert!(attempts < 80, "never refused");
    }
    assert!(attempts > 20, "{attempts}");
    assert_eq!(from("198.51.100.2", "/login").await, StatusCode::UNPROCESSABLE_ENTITY, "another address");
    let nodes = futures::future::join_all((0..30).map(|_| from("198.51.100.1", "/api/token/node"))).await;
    assert!(nodes.contains(&StatusCode::UNAUTHORIZED), "nodes are counted by themselves");
    assert!(nodes.contains(&StatusCode::TOO_MANY_REQUESTS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_whose_session_ended_while_it_was_on_its_way_changes_nothing() {
    let world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("admin1").await;
    let address = web.url.trim_start_matches("http://").to_owned();
    let send = async |end: bool| {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let form = "name=planted&description=&rules=88";
        let (first, last) = form.as_bytes().split_at(form.len() - 1);
        let head = format!(
            "POST /roles/new HTTP/1.1\r\nHost: {address}\r\nCookie: {}\r\nOrigin: {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            web.cookie,
            web.url,
            form.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(first).await.unwrap();
        if end {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            assert_eq!(web.post("/logout", &[]).await.0, StatusCode::SEE_OTHER);
        }
        stream.write_all(last).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let taken = send(false).await;
    assert!(taken.to_lowercase().contains("location: /roles/"), "{taken}");
    let refused = send(true).await;
    assert!(refused.to_lowercase().contains("location: /login"), "{refused}");
    let (_, roles) = world.get("role?name=planted", &world.token("root").await).await;
    assert_eq!(roles["data"].as_array().unwrap().len(), 1, "{roles}");
}

/// A proxy before the hub of a world that passes everything on, but keeps the answer to what creates a task.
async fn proxy_that_loses_new_tasks(world: &World) -> String {
    let hub = world.url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/api", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let hub = hub.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(hub).await.unwrap();
                let (mut of_client, mut of_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
                let mut loses = false;
                loop {
                    tokio::select! {
                        read = client.read(&mut of_client) => match read {
                            Ok(length) if length > 0 => {
                                loses |= of_client.starts_with(b"POST /api/task ");
                                server.write_all(&of_client[..length]).await.unwrap();
                            }
                            _ => return,
                        },
                        read = server.read(&mut of_server) => match read {
                            Ok(length) if length > 0 && !loses => {
                                if client.write_all(&of_server[..length]).await.is_err() { return }
                            }
                            // The other press comes meanwhile.
                            _ => return tokio::time::sleep(std::time::Duration::from_secs(2)).await,
                        },
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn two_presses_whose_answer_is_lost_make_one_task() {
    let world = World::new().await;
    let mut web = Web::before(&world, &proxy_that_loses_new_tasks(&world).await).await;
    web.sign_in("researcher").await;
    let overview = web.overview().await;
    let press = || web.post(&overview, &[("action", "create")]);
    let (one, other) = tokio::join!(press(), press());
    assert_eq!(
        (one.0, other.0),
        (StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE),
        "{} {}",
        one.2,
        other.2
    );
    assert!(one.2.contains("not certain") && other.2.contains("not certain"));
    let (_, tasks) = world.get("task", &world.token("researcher").await).await;
    assert_eq!(tasks["data"].as_array().unwrap().len(), 1, "{tasks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_while_the_hub_was_away_is_there_when_it_is_back() {
    let mut world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    let (_, place, _) = web.post("/tasks/new?step=collaboration", &[("collaboration", "1"), ("action", "next")]).await;
    let draft = place.split("draft=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    world.stop().await;
    let step = format!("/tasks/new?draft={draft}&step=function");
    let fields = [("function", "other"), ("image", "my/image"), ("method", "my_method"), ("kwargs", "{\"typed\": 1}")];
    let (status, place, _) = web.post(&step, &fields).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (status, page) = web.get(&place).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("The hub cannot be reached"), "{page}");
    world.start_again().await;
    let (status, page) = web.get(&place).await;
    assert_eq!(status, StatusCode::OK);
    for typed in ["my/image", "my_method", "typed"] {
        assert!(page.contains(typed), "{typed} in {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_come_back_by_themselves_after_the_hub_was_away() {
    let mut world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    assert_eq!(web.get("/tasks").await.0, StatusCode::OK);
    world.stop().await;
    let (status, page) = web.get("/tasks").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("Try again"));
    assert_eq!(web.get("/login").await.0, StatusCode::SEE_OTHER, "still signed in");
    world.start_again().await;
    assert_eq!(web.get("/tasks").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_and_fields_have_a_size_limit_with_a_clear_answer() {
    let world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    let (status, _, page) = web
        .post(
            "/tasks/new?step=function",
            &[("function", "other"), ("kwargs", &"x".repeat(200_000)), ("action", "next")],
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("too long"), "{page}");
    // What was typed is there again, and the session has not kept it.
    let description = format!("begin {}end of it", "x".repeat(9_000));
    let overview = web.overview().await;
    let name = overview.replace("step=overview", "step=name");
    let fields = [("name", "average"), ("description", description.as_str()), ("action", "next")];
    let (status, _, page) = web.post(&name, &fields).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("too long") && page.contains("end of it"), "{page:.300}");
    assert!(!web.get(&name).await.1.contains("end of it"));
    let (status, _, page) = web.post("/tasks/new?step=function", &[("kwargs", &"x".repeat(600_000))]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(page.contains("too large"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_goes_away_after_pressing_leaves_one_task() {
    let world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    let overview = web.overview().await;
    let press = || web.form(&overview, &[("action", "create")]);
    // Given up at once, at different moments of the work.
    for milliseconds in [1, 2, 4, 8, 16, 32] {
        let _ = press().timeout(std::time::Duration::from_millis(milliseconds)).send().await;
    }
    let place = press().send().await.unwrap();
    assert_eq!(place.status(), StatusCode::SEE_OTHER);
    assert_eq!(world.client("researcher").await.tasks(&Default::default()).await.unwrap().total, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_given_after_the_hub_is_back_wins_over_one_that_waited() {
    let mut world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    let (_, place, _) = web.post("/tasks/new?step=collaboration", &[("collaboration", "1")]).await;
    let answer = async |image: &str| {
        web.post(&place, &[("function", "other"), ("image", image), ("method", "m"), ("kwargs", "")]).await
    };
    world.stop().await;
    answer("the/first").await;
    world.start_again().await;
    let (status, _, page) = answer("the/second").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
    let (_, page) = web.get(&place).await;
    assert!(page.contains("the/second") && !page.contains("the/first"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_the_cookie_is_bound_to_the_host_and_browsers_stay_with_https() {
    let world = World::new().await;
    let web = Web::with(&world, &[], true).await;
    let answer = web.form("/login", &[("username", "researcher"), ("password", PASSWORD)]).send().await.unwrap();
    let cookie = session_cookie(&answer);
    assert!(cookie.starts_with("__Host-atoll="), "{cookie}");
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{attribute} in {cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert_eq!(answer.headers()[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_a_task_of_a_study_stays_in_the_study() {
    let world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    let root = world.token("root").await;
    let study = json!({"name": "two of three", "collaboration_id": 1, "organization_ids": [2, 3]});
    let (_, study) = world.call(Method::POST, "study", Some(&root), Some(&study)).await;
    let client = world.client("researcher").await;
    let spec = average("central_average", &[2], json!({"column_name": "age"}));
    let task = client.create_task(&TaskSpec { study_id: study["id"].as_i64(), ..spec }).await.unwrap();
    let (status, place, _) = web.post(&format!("/tasks/{}/repeat", task.id), &[]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (_, page) = web.get(&place).await;
    assert!(page.contains("example_collab1, study 1"), "{page}");
    assert!(page.contains("include data from example_org1, example_org2<"), "{page}");
    let (status, place, page) = web.post(&place, &[("action", "create")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
    let again = place.rsplit('/').next().unwrap().parse().unwrap();
    assert_eq!(client.task(again).await.unwrap().study_id, study["id"].as_i64());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_longer_accepted_by_the_hub_is_told_and_goes_on_where_they_were() {
    let mut world = World::new().await;
    let web = Web::new(&world, &[]).await;
    let mut browser = Browser::new();
    let credentials = [("username", "researcher"), ("password", PASSWORD)];
    let at = |path: &str| format!("{}{path}", web.url);
    browser.post(&at("/login"), &credentials).await;
    let (_, place, _) = browser.post(&at("/tasks/new?step=collaboration"), &[("collaboration", "1")]).await;
    let fields = [("function", "other"), ("image", "my/image"), ("method", "my_method"), ("kwargs", "")];
    let (_, next, _) = browser.post(&at(&place), &fields).await;
    // The hub loses the key with which it signed all tokens, as after a move to another machine.
    world.forget_tokens().await;
    let (status, login, _) = browser.open(&at(&next)).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(login.starts_with("/login?next=%2Ftasks%2Fnew%3Fdraft%3D"), "{login}");
    let (status, page) = browser.get(&at(&login)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Your sign-in has ended"), "{page}");
    let wanted = page.split("name=\"next\" value=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let (status, back, page) = browser.post(&at("/login"), &[&credentials[..], &[("next", &wanted)]].concat()).await;
    assert_eq!((status, back), (StatusCode::SEE_OTHER, next), "{page}");
    assert!(browser.get(&at(&place)).await.1.contains("my/image"), "the draft is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_outlives_a_sign_out_with_what_was_sent_after_it_and_is_its_user_s() {
    let world = World::new().await;
    let web = Web::new(&world, &[]).await;
    let mut browser = Browser::new();
    let at = |path: &str| format!("{}{path}", web.url);
    let of = |username: &'static str| [("username", username), ("password", PASSWORD)];
    browser.post(&at("/login"), &of("researcher")).await;
    let (_, place, _) = browser.post(&at("/tasks/new?step=collaboration"), &[("collaboration", "1")]).await;
    browser.post(&at("/logout"), &[]).await;
    // The page is still open in another tab.
    let typed =
        [("function", "other"), ("image", "my/image"), ("method", "my_method"), ("kwargs", ""), ("action", "next")];
    let (status, login, _) = browser.post(&at(&place), &typed).await;
    let next = login
        .strip_prefix("/login?again=kept&next=")
        .unwrap()
        .replace("%2F", "/")
        .replace("%3F", "?")
        .replace("%3D", "=")
        .replace("%26", "&");
    assert_eq!((status, next.as_str()), (StatusCode::SEE_OTHER, place.as_str()));
    let mut other = Browser::new();
    other.post(&at("/login"), &of("root")).await;
    let (status, elsewhere, _) = other.open(&at(&place)).await;
    assert_eq!((status, elsewhere.as_str()), (StatusCode::SEE_OTHER, "/tasks/new"));
    let (_, back, _) = browser.post(&at("/login"), &[&of("researcher")[..], &[("next", &next)]].concat()).await;
    assert_eq!(back, place);
    let (status, page) = browser.get(&at(&place)).await;
    assert!(status == StatusCode::OK && page.contains("my/image") && page.contains("my_method"), "{page}");
    // Nor is a task of one made by the address of another one's draft.
    let form = [("step", "collaboration"), ("collaboration", "1")];
    let (_, _, page) = other.post(&at(&place.replace("step=function", "step=collaboration")), &form).await;
    let draft_of = |text: &str| text.split("draft=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_ne!(draft_of(&page), draft_of(&place), "{page}");
    // Of a draft that nobody has nothing is kept.
    let invented = place.replace(place.split("draft=").nth(1).unwrap().split('&').next().unwrap(), &"0".repeat(32));
    let mut stranger = Browser::new();
    assert_eq!(stranger.post(&at(&invented), &typed).await.0, StatusCode::SEE_OTHER);
    assert_eq!(browser.open(&at(&invented)).await.1, "/tasks/new");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_users_a_page_is_shown_found_and_named() {
    let world = World::new().await;
    let database = sqlx::sqlite::SqliteConnectOptions::new().filename(world.data.path().join("hub.sqlite"));
    let mut database = sqlx::ConnectOptions::connect(&database).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 10500)
         INSERT INTO user (username, email, firstname, lastname, organization_id, password_hash)
         SELECT printf('person%05d', n), printf('p%05d@example.org', n), 'Ägidius', printf('Nummer %05d', n), 2, ''
         FROM number",
    )
    .execute(&mut database)
    .await
    .unwrap();
    let mut web = Web::beside(&world, &[]).await;
    web.sign_in("root").await;
    let (_, page) = web.get("/users").await;
    assert_eq!(page.matches("/users/").count() - page.matches("/users/new").count(), 50, "{page}");
    // The last one of them is found, and a page far behind.
    let (_, page) = web.get("/users?q=%C3%A4gidius+nummer+10500").await;
    assert!(page.contains("person10500") && page.contains("1–1 of 1"), "{page}");
    let (_, page) = web.get("/users?page=210").await;
    assert!(page.contains("person10"), "{page}");
    // A task of somebody who is not on the first page.
    sqlx::query(
        "INSERT INTO task (name, description, image, collaboration_id, init_organization_id, init_user_id, job_id,
         created_at, status) SELECT 'theirs', '', 'image', 1, 2, id, 77, '2026-01-01T00:00:00', 'completed'
         FROM user WHERE username = 'person10500'",
    )
    .execute(&mut database)
    .await
    .unwrap();
    let (_, page) = web.get("/tasks").await;
    assert!(page.contains("Ägidius Nummer 10500") && !page.contains("Nummer 00001"), "{page}");
    let (_, page) = web.get("/tasks?user=person10500").await;
    assert!(page.contains("theirs"), "{page}");
    let (_, page) = web.get("/tasks?user=person10499").await;
    assert!(!page.contains("theirs") && page.contains("No task matches"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_large_to_be_shown_is_downloaded_as_it_came() {
    let world = World::new().await;
    let researcher = world.client("researcher").await;
    let task = researcher.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    let run = researcher.runs(task.id).await.unwrap()[0].id;
    let text = format!("[{}1.10, 9007199254740993.0]", "0,".repeat(600_000));
    let report = json!({"status": "completed", "finished_at": "2026-11-01T10:00:00", "result": STANDARD.encode(&text)});
    let node = world.node_token("example_org1").await;
    let (status, answer) = world.call(Method::PATCH, &format!("run/{run}"), Some(&node), Some(&report)).await;
    assert_eq!(status, 200, "{answer}");
    let mut web = Web::beside(&world, &[]).await;
    web.sign_in("researcher").await;
    let (status, page) = web.get(&format!("/tasks/{}", task.id)).await;
    assert!(status.is_success() && page.contains("too large to be shown here; the download has it"), "{page}");
    let (status, download) = web.get(&format!("/tasks/{}/results.json", task.id)).await;
    assert_eq!(status, 200);
    assert!(download.contains(&text), "{:.300}", download);
    assert!(serde_json::from_str::<serde_json::Value>(&download).is_ok());
    let (_, table) = web.get(&format!("/tasks/{}/results.csv", task.id)).await;
    assert!(table.contains("the JSON download has it"), "{table:.300}");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_with_more_columns_than_a_spreadsheet_takes_are_downloaded_as_json() {
    let world = World::new().await;
    let researcher = world.client("researcher").await;
    let node = world.node_token("example_org1").await;
    let mut web = Web::beside(&world, &[]).await;
    web.sign_in("researcher").await;
    for (columns, expected) in [(9_999, 200), (10_001, 413)] {
        let spec = average("partial_average", &[2], json!({"column_name": "age"}));
        let task = researcher.create_task(&spec).await.unwrap();
        let run = researcher.runs(task.id).await.unwrap()[0].id;
        let result: serde_json::Map<String, serde_json::Value> =
            (0..columns).map(|column| (format!("c{column}"), json!(column))).collect();
        let result = STANDARD.encode(serde_json::Value::from(result).to_string());
        let report = json!({"status": "completed", "finished_at": "2026-11-01T10:00:00", "result": result});
        world.call(Method::PATCH, &format!("run/{run}"), Some(&node), Some(&report)).await;
        let (status, table) = web.get(&format!("/tasks/{}/results.csv", task.id)).await;
        assert_eq!(status, expected, "{table:.300}");
        assert_eq!(table.contains("JSON download has all of them"), expected == 413);
        assert_eq!(web.get(&format!("/tasks/{}/results.json", task.id)).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_file_can_have_are_not_found() {
    let world = World::new().await;
    let web = Web::new(&world, &[]).await;
    for path in [format!("/pkg/{}", "a".repeat(300)), "/pkg/%00".into(), "/pkg/..%2f..%2fhub.key".into()] {
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(web.request(method, &path).send().await.unwrap().status(), StatusCode::NOT_FOUND, "{path:.40}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_arguments_cannot_be_read_says_so_and_is_not_repeated_without_them() {
    let world = World::new().await;
    let researcher = world.client("researcher").await;
    let arguments = json!({"column_name": "x".repeat(900_000)});
    let task = researcher.create_task(&average("partial_average", &[2], arguments)).await.unwrap();
    let mut web = Web::beside(&world, &[]).await;
    web.sign_in("researcher").await;
    let (status, page) = web.get(&format!("/tasks/{}", task.id)).await;
    assert!(status.is_success() && page.contains("arguments are longer than 1 MiB"), "{page}");
    assert!(!page.contains("/repeat"), "{page}");
    let (status, _, page) = web.post(&format!("/tasks/{}/repeat", task.id), &[]).await;
    assert!(status == 400 && page.contains("cannot be repeated here"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_with_nan_says_why_no_form_repeats_it() {
    let world = World::new().await;
    let token = world.token("researcher").await;
    let mut web = Web::beside(&world, &[]).await;
    web.sign_in("researcher").await;
    // As JSON of Python and as a pickle of `{"method": "f", "kwargs": {"x": [nan]}}`.
    let pickle = b"\x80\x03}(X\x06\0\0\0methodX\x01\0\0\0fX\x06\0\0\0kwargs}X\x01\0\0\0x]G\x7f\xf8\0\0\0\0\0\0asu.";
    for input in [&br#"{"method": "f", "kwargs": {"x": [NaN]}}"#[..], pickle] {
        let task = json!({"name": "nan", "description": "", "image": "some/image", "collaboration_id": 1, "databases": [],
            "organizations": [{"id": 2, "input": STANDARD.encode(input)}]});
        let (status, made) = world.call(Method::POST, "task", Some(&token), Some(&task)).await;
        assert_eq!(status, 201, "{made}");
        let (_, page) = web.get(&format!("/tasks/{}", made["id"])).await;
        assert!(page.contains("NaN") && page.contains("JSON as Python writes it"), "{page}");
        assert!(!page.contains("/repeat"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_fifty_streams_of_events_at_once() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    let task = client.create_task(&average("partial_average", &[2], json!({}))).await.unwrap();
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    let path = format!("/events?of=/tasks/{}", task.id);
    let first = async || {
        let mut stream = web.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        let message = stream.chunk().await.unwrap().unwrap();
        (String::from_utf8(message.to_vec()).unwrap(), stream)
    };
    let mut streams = Vec::new();
    for _ in 0..50 {
        let (message, stream) = first().await;
        assert!(message.starts_with("event: message\n"), "{message}");
        streams.push(stream);
    }
    let crowded = format!("event: crowded\ndata: /tasks/{}\n\n", task.id);
    let (message, mut stream) = first().await;
    assert_eq!(message, crowded);
    assert_eq!(stream.chunk().await.unwrap(), None, "a stream of nothing ends");
    streams.pop();
    eventually(async || first().await.0 != crowded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_tells_of_many_pages_and_what_is_over_ends_alone() {
    let world = World::new().await;
    let client = world.client("researcher").await;
    let (one, other) = (
        client.create_task(&average("partial_average", &[2], json!({}))).await.unwrap().id,
        client.create_task(&average("partial_average", &[3], json!({}))).await.unwrap().id,
    );
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    for wrong in ["", "?of=", "?of=/account", "?of=/tasks/1&of=/tasks/x", "?page=/tasks/1"] {
        assert_eq!(web.get(&format!("/events{wrong}")).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let many: String = (1..=201).map(|id| format!("&of=/tasks/{id}")).collect();
    assert_eq!(web.get(&format!("/events?{many}")).await.0, StatusCode::BAD_REQUEST);
    // One that is there twice, one that is not there.
    let path = format!("/events?of=/tasks/{one}&of=/tasks/{one}&of=/tasks/{other}&of=/tasks/99999");
    let mut stream = web.request(Method::GET, &path).send().await.unwrap();
    let mut received = String::new();
    let mut until = async |text: &str| {
        let reading = async {
            while !received.contains(text) {
                let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
                received.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), reading)
            .await
            .unwrap_or_else(|_| panic!("no {text} in {received}"));
        std::mem::take(&mut received)
    };
    let mut begun = String::new();
    for start in [
        format!("event: message\ndata: /tasks/{one}\n"),
        format!("event: message\ndata: /tasks/{other}\n"),
        "event: gone\ndata: /tasks/99999\n".to_owned(),
    ] {
        if !begun.contains(&start) {
            begun.push_str(&until(&start).await);
        }
    }
    assert_eq!(begun.matches(&format!("data: /tasks/{one}\n")).count(), 1, "{begun}");
    client.kill_task(one).await.unwrap();
    until(&format!("event: final\ndata: /tasks/{one}\n")).await;
    client.kill_task(other).await.unwrap();
    until(&format!("event: final\ndata: /tasks/{other}\n")).await;
    while let Some(chunk) = stream.chunk().await.unwrap() {
        assert!(!String::from_utf8_lossy(&chunk).contains("event: "), "all is told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_fifty_sessions_and_those_that_are_used_least_end() {
    let world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    let mut cookies = Vec::new();
    for _ in 0..52 {
        web.cookie.clear();
        web.sign_in("researcher").await;
        cookies.push(web.cookie.clone());
    }
    let mut open = Vec::new();
    for cookie in cookies {
        web.cookie = cookie;
        open.push(web.request(Method::GET, "/account").send().await.unwrap().status() == StatusCode::OK);
    }
    assert_eq!(open.iter().filter(|is_open| **is_open).count(), 50);
    assert!(open[51], "the newest one is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_portal_refuses_by_itself_stands_in_the_log() {
    let world = World::new().await;
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("viewer").await;
    assert_eq!(web.get("/audit").await.0, StatusCode::FORBIDDEN);
    assert_eq!(web.post("/users/3/end-sessions", &[("confirm", "yes")]).await.0, StatusCode::FORBIDDEN);
    let root = world.token("root").await;
    eventually(async || {
        let (_, log) = world.get("audit?action=page.view&outcome=refused", &root).await;
        let noted = |page: &str| log["data"].as_array().unwrap().iter().any(|entry| entry["details"] == page);
        noted("GET /audit") && noted("POST /users/3/end-sessions")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_among_twenty_thousand_is_typed_and_searched_for() {
    let world = World::new().await;
    let file = world.node_folder("example_org1").join("default.csv");
    let write = |odd: &str| {
        let names: Vec<String> = (0..20_000).map(|number| format!("measurement_{number}")).collect();
        let (names, row) = (names.join(","), ["7"; 20_000].join(","));
        std::fs::write(&file, format!("age{odd},{names}\n{0}\n{0}\n", format!("60,{row}"))).unwrap();
    };
    write("");
    let node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    let mut web = Web::new(&world, &[]).await;
    web.sign_in("researcher").await;
    let step = web.wizard_until("argument_column_name").await;
    let (_, page) = web.get(&step).await;
    assert!(page.contains("20001 columns. Type a name or a part of it.") && page.len() < 100_000, "{page}");
    let typed = |column| [("argument_column_name", column), ("action", "update")];
    let (_, _, page) = web.post(&step, &typed("ment_1999")).await;
    assert!(page.contains("in the name: measurement_1999, measurement_19990"), "{page}");
    let (status, _, page) = web.post(&step, &[("argument_column_name", "ment_19999")]).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("There is: measurement_19999.") && page.contains("value=\"ment_19999\""), "{page}");
    let (status, ..) = web.post(&step, &[("argument_column_name", "measurement_19999")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (_, page) = web.get("/collaborations/1").await;
    assert!(page.contains("measurement_9,") && page.contains(" more") && page.len() < 100_000, "{}", page.len());
    node.stop().await;
    // What cannot be told is said, and may be typed; the rest is there.
    write(&format!(",{}", "x".repeat(10_000)));
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("\n60", "\n60,1")).unwrap();
    let _node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    let (_, page) = web.get("/collaborations/1").await;
    assert!(page.contains("and 1 more, whose names are too many or too long to be told"), "{page:.3000}");
    let step = web.wizard_until("argument_column_name").await;
    let (_, page) = web.get(&step).await;
    assert!(page.contains("any name can be typed"), "{page}");
    assert_eq!(web.post(&step, &[("argument_column_name", "of_our_own")]).await.0, StatusCode::SEE_OTHER);
}
