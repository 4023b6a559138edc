//! The node's own page.

use std::time::{Duration, Instant};

use atoll::protocol::status::Status;

use crate::support::{World, eventually, outcome, port::free_port};
use crate::{ages, node, reviews, waiting};

#[tokio::test(flavor = "multi_thread")]
async fn the_node_s_own_page_decides_and_opens_with_a_code_only() {
    let world = World::new().await;
    let port = free_port();
    let config = format!("review_page: 127.0.0.1:{port}\npolicies:\n  review: always\n");
    let _node = node(&world, "example_org1", &config).await;
    let (researcher, admin) = (world.client("researcher").await, world.client("admin1").await);
    let mut spec = ages(&[2]);
    spec.description = "<script>alert(1)</script>".to_owned();
    let task = researcher.create_task(&spec).await.unwrap();
    waiting(&admin, 1).await;
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let page = format!("http://127.0.0.1:{port}");
    let get = async |path: &str, cookie: &str| {
        let answer = browser.get(format!("{page}{path}")).header("cookie", cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let post = async |path: &str, cookie: &str, fields: &[(&str, &str)]| {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = browser.post(format!("{page}{path}")).header("cookie", cookie);
        request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap()
    };
    assert_eq!(get("/", "").await.0, 303);
    assert_eq!(get("/reviews/1", "atoll-node=guessed").await.0, 303);
    // Another site's name that leads here, and another site's form.
    let rebound = browser.get(&page).header("host", format!("evil.example:{port}")).send().await.unwrap();
    assert_eq!(rebound.status(), 421);
    assert!(rebound.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let foreign = browser.post(format!("{page}/sign-in")).header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    // A wrong code harms no other one, and each is good once.
    let code = async || reviews(&world, "example_org1", &["code"]).await.1.lines().next().unwrap().to_owned();
    let first = code().await;
    for (code, name, status) in
        [("WRONG", "dana", 422), (first.as_str(), "dana", 303), (first.as_str(), "dana", 422), ("", "", 422)]
    {
        assert_eq!(post("/sign-in", "", &[("code", code), ("name", name)]).await.status(), status, "{code}");
    }
    let second = code().await;
    // Nor does the right one wait behind wrong ones of another process.
    let wrong = (0..60).map(|_| post("/sign-in", "", &[("code", "23456-23456"), ("name", "mallory")]));
    let begin = Instant::now();
    let wrong = async {
        let answers = futures::future::join_all(wrong).await;
        assert!(answers.iter().all(|answer| matches!(answer.status().as_u16(), 422 | 429)));
    };
    let right = async {
        // Behind them.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let signed_in = post("/sign-in", "", &[("code", &code().await), ("name", "dana")]).await;
        (signed_in.status(), begin.elapsed())
    };
    let (right, ()) = futures::join!(right, wrong);
    assert!(right.0 == 303 && right.1 < Duration::from_secs(5), "{right:?}");
    let signed_in = post("/sign-in", "", &[("code", &second.to_lowercase()), ("name", "dana")]).await;
    assert_eq!(signed_in.status(), 303);
    let set = signed_in.headers()["set-cookie"].to_str().unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let again = post("/sign-in", "", &[("code", second.as_str()), ("name", "dana")]).await;
    assert_eq!(again.status(), 422, "a code is good once");

    let (_, list) = get("/", &cookie).await;
    assert!(list.contains("partial_average") && list.contains("waiting"), "{list}");
    let (_, shown) = get("/reviews/1", &cookie).await;
    assert!(!shown.contains("<script>") && shown.contains("&lt;script&gt;"), "{shown}");
    let hash = shown.split("name=\"hash\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(post("/reviews/1", "", &[("verdict", "approve"), ("hash", &hash)]).await.status(), 303);
    assert_eq!(post("/reviews/1", &cookie, &[("verdict", "reject"), ("hash", &hash)]).await.status(), 422);
    assert_eq!(post("/reviews/1", &cookie, &[("verdict", "approve"), ("hash", "0")]).await.status(), 422);
    assert_eq!(researcher.task_status(task.id).await.unwrap(), Status::Pending);
    let approved = post("/reviews/1", &cookie, &[("verdict", "approve"), ("hash", &hash), ("scope", "run")]).await;
    assert_eq!(approved.status(), 303);
    let (status, logs, _) = outcome(&researcher, task.id).await;
    assert_eq!(status, Status::Completed);
    assert!(logs[0].contains("Approved by dana at the node"), "{logs:?}");
    assert_eq!(post("/sign-out", &cookie, &[]).await.status(), 303);
    assert_eq!(get("/", &cookie).await.0, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_s_own_page_says_what_the_server_is_not_told() {
    let world = World::new().await;
    let port = free_port();
    let folder = world.node_folder("example_org1");
    std::fs::write(folder.join("odd.csv"), format!("age,{},weight\n60,1,70\n61,2,71\n62,3,72\n", "x".repeat(2_000)))
        .unwrap();
    std::fs::write(folder.join("none.csv"), "Ann Miller;1950-02-03\nBo Smith;1961-07-08\n").unwrap();
    let _node = world
        .start_node_as_written("example_org1", |text| {
            *text = text.replace(
                "databases:\n",
                "databases:\n  - {label: odd, type: csv, uri: odd.csv}\n  - {label: none, type: csv, uri: none.csv}\n",
            );
            text.push_str(&format!("review_page: 127.0.0.1:{port}\n"));
        })
        .await;
    world.wait_for(2, true).await;
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let page = format!("http://127.0.0.1:{port}");
    let code = reviews(&world, "example_org1", &["code"]).await.1.lines().next().unwrap().to_owned();
    let fields = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("code", code.as_str()), ("name", "dana")])
        .finish();
    let request = browser.post(format!("{page}/sign-in")).header("content-type", "application/x-www-form-urlencoded");
    let signed_in = request.body(fields).send().await.unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    eventually(async || {
        let list = browser.get(&page).header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
        list.contains("Of the 3 columns of \"odd\" the names of 2 are told")
            && list.contains("Nothing is told of the columns of \"none\": the database cannot be read: its first line looks like data")
            && !list.contains("Miller")
    })
    .await;
}
