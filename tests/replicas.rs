//! Several portals in front of one hub, with their sessions in a real PostgreSQL. The site has to be built
//! (make build).

mod support;

use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::json;
use support::{
    PASSWORD, World, average, browser::Browser, postgres::Postgres, process::Server, second_factor::code_of,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// A portal in front of the world's hub, whose sessions are in the database.
fn replica(world: &World, database: &Postgres, data: &TempDir) -> Server {
    Server::start_with(data.path(), &["--hub", &world.url], &[("ATOLL_SESSIONS", &database.url())])
}

/// A world, a database, and two portals that start at the same moment.
struct Replicas {
    world: World,
    database: Postgres,
    data: [TempDir; 2],
    one: Server,
    other: Server,
}

impl Replicas {
    async fn start(two_factor: bool) -> Replicas {
        let world = World::with(two_factor).await;
        let database = Postgres::start();
        let data = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(|| replica(&world, &database, &data[0]));
            let other = replica(&world, &database, &data[1]);
            (one.join().unwrap(), other)
        });
        Replicas { world, database, data, one, other }
    }
}

async fn signed_in(server: &Server) -> Browser {
    let mut browser = Browser::new();
    let (status, ..) =
        browser.post(&format!("{}/login", server.url), &[("username", "researcher"), ("password", PASSWORD)]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_at_one_replica_goes_on_at_another_when_it_is_killed() {
    let Replicas { world, database, data, one, other } = Replicas::start(false).await;
    let mut browser = signed_in(&one).await;
    let step = "/tasks/new?step=collaboration";
    let (status, place, page) = browser.post(&format!("{}{step}", one.url), &[("collaboration", "1")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
    // The draft that was begun there is here.
    let (status, page) = browser.get(&format!("{}{place}", other.url)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Average"), "{page}");
    drop(one);
    let fields = [("function", "other"), ("image", "my/image"), ("method", "my_method"), ("kwargs", "")];
    let (status, place, page) = browser.post(&format!("{}{place}", other.url), &fields).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
    // A third takes the place of the one that was killed.
    let third = replica(&world, &database, &data[0]);
    let (status, page) = browser.get(&format!("{}{place}", third.url)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Organizations"), "{page}");
    let earlier = place.replace("step=organizations", "step=function");
    let (_, page) = browser.get(&format!("{}{earlier}", third.url)).await;
    assert!(page.contains("my/image") && page.contains("my_method"), "{page}");
    assert!(!data.iter().any(|folder| folder.path().join("sessions.sqlite").exists()));
}

/// A browser with a draft that is ready to be sent, and its address.
async fn with_draft(server: &Server) -> (Browser, String) {
    let mut browser = signed_in(server).await;
    let mut place = "/tasks/new?step=collaboration".to_owned();
    for fields in [
        vec![("collaboration", "1")],
        vec![("function", "other"), ("image", "my/image"), ("method", "my_method"), ("kwargs", "")],
        vec![("organizations", "2")],
        vec![],
        vec![],
        vec![("name", "pressed twice")],
    ] {
        if place.contains("step=overview") {
            break;
        }
        let (status, next, page) = browser.post(&format!("{}{place}", server.url), &fields).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{place}: {page}");
        place = next;
    }
    (browser, place)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_presses_at_two_replicas_one_task_comes_also_of_many_at_once() {
    let Replicas { world, one, other, database: _database, data: _data } = Replicas::start(false).await;
    // More than there are connections to the database.
    let drafts: Vec<(Browser, String)> = stream::iter(0..12).map(|_| with_draft(&one)).buffered(3).collect().await;
    let press = async |server: &Server, mut browser: Browser, place: &str| {
        let (status, task, page) =
            browser.post(&format!("{}{place}", server.url), &[("action", "create"), ("name", "twice")]).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
        task
    };
    let presses = drafts.iter().map(async |(browser, place)| {
        futures::join!(press(&one, browser.clone(), place), press(&other, browser.clone(), place))
    });
    for (first, second) in futures::future::join_all(presses).await {
        assert!(first.starts_with("/tasks/"), "{first}");
        assert_eq!(first, second);
    }
    let tasks = world.get("task?per_page=100", &world.token("root").await).await.1;
    assert_eq!(tasks["data"].as_array().unwrap().len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_at_one_replica_ends_pages_and_streams_of_the_other() {
    let Replicas { world, one, other, database: _database, data: _data } = Replicas::start(false).await;
    let client = world.client("researcher").await;
    let task = client.create_task(&average("partial_average", &[2], json!({"column_name": "age"}))).await.unwrap();
    let mut browser = signed_in(&one).await;
    let events =
        browser.request(Method::GET, &format!("{}/events?of=/tasks/{}", other.url, task.id)).send().await.unwrap();
    assert_eq!(events.status(), StatusCode::OK);
    let mut events = events.bytes_stream();
    let mut received = String::new();
    let mut read_until = async |text: &str| {
        let reading = async {
            while !received.contains(text) {
                let chunk = events.next().await.expect("the stream goes on").unwrap();
                received.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        timeout(Duration::from_secs(20), reading).await.unwrap_or_else(|_| panic!("no {text} in {received}"));
    };
    read_until("pending").await;
    let old = browser.clone();
    let (status, ..) = browser.post(&format!("{}/logout", one.url), &[]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    read_until("signed-out").await;
    for server in [&one, &other] {
        let mut thief = old.clone();
        assert_eq!(thief.get(&format!("{}/tasks", server.url)).await.0, StatusCode::SEE_OTHER);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_may_go_to_another_replica_than_the_password_and_only_from_the_same_browser() {
    let Replicas { one, other, world: _world, database: _database, data: _data } = Replicas::start(true).await;
    let mut browser = Browser::new();
    let credentials = [("username", "researcher"), ("password", PASSWORD), ("next", "/collaborations")];
    let (status, place, _) = browser.post(&format!("{}/login", one.url), &credentials).await;
    assert_eq!((status, place.as_str()), (StatusCode::SEE_OTHER, "/login/code"));
    let (status, page) = browser.get(&format!("{}/login/code", other.url)).await;
    assert_eq!(status, StatusCode::OK);
    let key = page.split("class=\"secret\">").nth(1).expect("the key for typing").split('<').next().unwrap();
    let code = code_of(key);
    // Whoever has the session's cookie alone cannot go on.
    let mut thief = browser.clone();
    thief.forget("atoll-code");
    let (status, place, _) = thief.post(&format!("{}/login/code", other.url), &[("code", &code)]).await;
    assert_eq!((status, place.as_str()), (StatusCode::SEE_OTHER, "/login?again=code"));
    let (status, place, page) = browser.post(&format!("{}/login/code", other.url), &[("code", &code)]).await;
    assert_eq!((status, place.as_str()), (StatusCode::SEE_OTHER, "/collaborations"), "{page}");
    assert_eq!(browser.get(&format!("{}/collaborations", one.url)).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_a_page_says_so_and_afterwards_one_is_still_signed_in() {
    let Replicas { mut database, one, other: _other, world: _world, data: _data } = Replicas::start(false).await;
    let mut browser = signed_in(&one).await;
    database.stop();
    let (status, page) = browser.clone().get(&format!("{}/tasks", one.url)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("Nobody can be recognised at the moment") && page.contains("Try again"), "{page}");
    assert_eq!(Browser::new().get(&format!("{}/healthz", one.url)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let credentials = [("username", "researcher"), ("password", PASSWORD)];
    let (status, _, page) = Browser::new().post(&format!("{}/login", one.url), &credentials).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("Nobody can be recognised at the moment"), "{page}");
    database.start_again();
    let (status, page) = browser.get(&format!("{}/tasks", one.url)).await;
    assert_eq!(status, StatusCode::OK, "{page}");
}

#[test]
fn an_address_that_is_none_is_refused_without_being_repeated() {
    let data = TempDir::new().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_atoll"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .env("ATOLL_SESSIONS", "mysql://somebody:secret-word@host/database")
        .env("ATOLL_ROOT_PASSWORD", "Root-pass-1")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("ATOLL_SESSIONS") && !told.contains("secret-word"), "{told}");
}
