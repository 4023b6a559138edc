//! What a browser without scripts does: it keeps cookies and sends forms. It can go from one portal to another, as
//! behind a balancer.

use std::collections::BTreeMap;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header, redirect::Policy};

/// A browser.
#[derive(Clone)]
pub struct Browser {
    http: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new() -> Browser {
        Browser { http: Client::builder().redirect(Policy::none()).build().unwrap(), cookies: BTreeMap::new() }
    }

    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.http.request(method, url).header(header::COOKIE, cookies.join("; "))
    }

    /// Opens a page; its status and text.
    pub async fn get(&mut self, url: &str) -> (StatusCode, String) {
        let (status, _, text) = self.open(url).await;
        (status, text)
    }

    /// Opens a page; its status, the place to go on at, and its text.
    pub async fn open(&mut self, url: &str) -> (StatusCode, String, String) {
        self.answered(self.request(Method::GET, url)).await
    }

    /// Sends a form; the status, the place to go on at, and the page.
    pub async fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> (StatusCode, String, String) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.request(Method::POST, url);
        self.answered(request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)).await
    }

    async fn answered(&mut self, request: RequestBuilder) -> (StatusCode, String, String) {
        let answer = request.send().await.unwrap();
        self.keep_cookies(&answer);
        let place = answer.headers().get(header::LOCATION).map(|place| place.to_str().unwrap().to_owned());
        (answer.status(), place.unwrap_or_default(), answer.text().await.unwrap())
    }

    /// Loses a cookie.
    pub fn forget(&mut self, name: &str) {
        self.cookies.remove(name).expect("the cookie was there");
    }

    fn keep_cookies(&mut self, answer: &Response) {
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
