//! An algorithm store that answers what it wants, in front of which a real portal stands.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    honeypot::Honeypot,
    peak,
    support::{PASSWORD, World, browser::Browser, process::Server},
    variation::Variation,
};

const SCRIPT: &str = "<script>document.title='pwned'</script>";

/// An algorithm whose every text is hostile.
fn algorithm(text: &str) -> Value {
    json!({"id": 1, "name": format!("Bad {text}"), "image": format!("evil/{text}"), "description": text,
        "partitioning": "horizontal", "vantage6_version": "4.15", "status": "approved",
        "functions": [{"id": 1, "name": "f", "display_name": text, "description": text, "type": "federated",
            "arguments": [{"id": 1, "name": text, "type": "string", "description": text}],
            "databases": [{"id": 1, "name": text, "description": text}], "ui_visualizations": []}]})
}

/// Answers by the number in the path.
async fn answer(request: Request, honeypot: &str, varied: &[Value]) -> Response {
    let number: usize = request.uri().path().trim_matches('/').split('/').next().unwrap_or("0").parse().unwrap_or(0);
    let json = |value: Value| ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response();
    let page = |items: Vec<Value>| json(json!({"data": items, "links": {}}));
    match number {
        1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        2 => "<html>".into_response(),
        3 => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, format!("{honeypot}/api/algorithm"))]).into_response()
        }
        4 => Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'['; 1 << 16]))).into_response(),
        // It never answers.
        5 => std::future::pending().await,
        6 => page(vec![algorithm(SCRIPT)]),
        7 => page(vec![algorithm(&"x".repeat(300_000))]),
        8 => page((0..100).map(|_| algorithm("the same page for ever")).collect()),
        9 => "[".repeat(300_000).into_response(),
        10 => page(vec![algorithm("\u{202e}\u{0}\"'></option></select>")]),
        number => json(json!({"data": varied[number % varied.len()], "links": 5})),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lies_hides_no_other_store_and_runs_nothing_in_a_browser() {
    let world = World::new().await;
    let honeypot = Honeypot::start().await;
    let mut variation = Variation::new();
    let varied: Vec<Value> = (0..8).map(|_| variation.value()).collect();
    let stores = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store_url = format!("http://{}", stores.local_addr().unwrap());
    let lure = honeypot.url.clone();
    let router = Router::new().fallback(async move |request: Request| answer(request, &lure, &varied).await);
    tokio::spawn(async move { axum::serve(stores, router).await.unwrap() });
    // A hub that names these stores beside its own one.
    let (hub, http) = (world.url.trim_end_matches("/api").to_owned(), reqwest::Client::new());
    let forward = async move |request: Request| {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let mut headers = parts.headers;
        headers.remove("host");
        let path = parts.uri.to_string();
        let sent = http.request(parts.method, format!("{hub}{path}")).headers(headers).body(body).send();
        let answer = sent.await.unwrap();
        let status = answer.status();
        if path.starts_with("/api/algorithmstore") && status.is_success() {
            let mut links: Value = answer.json().await.unwrap();
            for number in 1..19 {
                let link = json!({"id": 100 + number, "name": format!("Store {number}"),
                    "url": format!("{store_url}/{number}/api"), "all_collaborations": true});
                links["data"].as_array_mut().unwrap().push(link);
            }
            return axum::Json(links).into_response();
        }
        let total = answer.headers().get("total-count").cloned();
        let mut response = (status, answer.bytes().await.unwrap()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if let Some(total) = total {
            response.headers_mut().insert("total-count", total);
        }
        response
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}/api", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(forward)).await.unwrap() });
    let data = TempDir::new().unwrap();
    let portal = Server::start(data.path(), &["--hub", &proxy]);
    let mut browser = Browser::new();
    let credentials = [("username", "researcher"), ("password", PASSWORD)];
    assert_eq!(browser.post(&format!("{}/login", portal.url), &credentials).await.0, 303);
    let idle = peak(portal.id());
    let begin = std::time::Instant::now();
    let step = format!("{}/tasks/new?step=collaboration", portal.url);
    let (status, place, page) = browser.post(&step, &[("collaboration", "1")]).await;
    assert_eq!(status, 303, "{page}");
    let (status, page) = browser.get(&format!("{}{place}", portal.url)).await;
    assert_eq!(status, 200, "{page}");
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    assert!(page.contains("partial_average"), "the good store is there: {page}");
    assert!(!page.contains(SCRIPT) && page.contains("&lt;script&gt;"), "a name is text");
    assert!(page.contains("Store 1 ") || page.contains("Store 1"), "what does not answer is named");
    // What was chosen there is text at each further step, too.
    let chosen =
        page.split("value=\"").filter_map(|rest| rest.split('"').next()).find(|value| value.starts_with("106:"));
    let chosen = chosen.expect("the hostile function can be chosen").to_owned();
    let (mut next, mut steps) = (place, 0);
    for fields in [vec![("function", chosen.as_str())], vec![("organizations", "2")], vec![("database_0", "default")]] {
        let (status, place, page) = browser.post(&format!("{}{next}", portal.url), &fields).await;
        assert!(!page.contains(SCRIPT));
        if status != 303 {
            break;
        }
        next = place;
        let (status, page) = browser.get(&format!("{}{next}", portal.url)).await;
        assert_eq!(status, 200, "{page}");
        assert!(!page.contains(SCRIPT), "{next}");
        steps += 1;
    }
    assert!(steps >= 1, "{next}");
    assert!(honeypot.caught().is_empty(), "{:?}", honeypot.caught());
    let above = peak(portal.id()) - idle;
    println!("attack: 18 stores that lie: {above} MB above idle, the page after {:?}", begin.elapsed());
    assert!(above < 150, "{above} MB");
}
