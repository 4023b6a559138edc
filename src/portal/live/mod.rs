//! `GET /events?of=/tasks/1&of=/reviews`: how pages change, as server-sent events. One stream carries what all open
//! pages of a browser show, since a browser opens six connections to a server at most (HTTP/1.1).

mod reviews;
mod stream;
mod task;
mod told;
mod upstream;

use std::{collections::BTreeSet, fmt, str::FromStr};

use axum::{
    Extension,
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Response},
};

pub use stream::{Live, STREAMS};

use crate::pages::User;

/// The most pages of one stream.
const PAGES: usize = 200;

/// A page that changes while it is open, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Followed {
    Task(i64),
    Review(i64),
    /// All reviews that wait.
    Reviews,
}

impl FromStr for Followed {
    type Err = StatusCode;
    fn from_str(path: &str) -> Result<Followed, StatusCode> {
        let number = |id: &str| id.parse().map_err(|_| StatusCode::BAD_REQUEST);
        match (path, path.strip_prefix("/tasks/"), path.strip_prefix("/reviews/")) {
            ("/reviews", ..) => Ok(Followed::Reviews),
            (_, Some(id), _) => number(id).map(Followed::Task),
            (.., Some(id)) => number(id).map(Followed::Review),
            _ => Err(StatusCode::BAD_REQUEST),
        }
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Followed::Task(id) => write!(formatter, "/tasks/{id}"),
            Followed::Review(id) => write!(formatter, "/reviews/{id}"),
            Followed::Reviews => formatter.write_str("/reviews"),
        }
    }
}

/// The handler. Each message names its event and, in the first line of its data, the page; the rest is the page's HTML
/// (`message`; `final`: the last one). Without HTML: `gone` and `signed-out` (of all pages without a name): nothing more
/// comes; `crowded`: the user has too many pages open for this one; `alive`: nothing has changed.
pub async fn events(
    Extension(live): Extension<Live>,
    user: Option<User>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Response {
    let followed: Result<BTreeSet<Followed>, StatusCode> =
        asked.iter().filter(|(name, _)| name == "of").map(|(_, path)| path.parse()).collect();
    match followed {
        Ok(followed) if (1..=PAGES).contains(&followed.len()) => stream::open(live, user, followed),
        Ok(_) => StatusCode::BAD_REQUEST.into_response(),
        Err(status) => status.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_change_are_named_by_their_paths() {
        for page in [Followed::Task(7), Followed::Review(9_007_199_254_740_993), Followed::Reviews] {
            assert_eq!(page.to_string().parse(), Ok(page));
        }
        for path in ["", "/", "/tasks", "/tasks/", "/tasks/x", "/tasks/7/", "/reviews/", "tasks/7", "/tasks/7/results"]
        {
            assert_eq!(path.parse::<Followed>(), Err(StatusCode::BAD_REQUEST), "{path}");
        }
    }
}
