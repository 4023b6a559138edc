//! Whether this node runs what it is asked to. The server shows the same policies beforehand; the decision is here.

use super::config::Policies;
use crate::protocol::image;

/// Who asks for what.
pub struct Request<'a> {
    pub image: &'a str,
    /// `None` if the user has been deleted since.
    pub user_id: Option<i64>,
    pub organization_id: Option<i64>,
    pub organization_name: &'a str,
}

/// The reason why a request is refused; `None` if it is allowed.
pub fn refusal(policies: &Policies, request: &Request<'_>) -> Option<String> {
    if let Some(allowed) = &policies.allowed_algorithms
        // What cannot be told is not allowed.
        && image::allowed(allowed, request.image) != Some(true)
    {
        return Some(format!("the algorithm image \"{}\" is not one of those it allows", request.image));
    }
    // As in vantage6: where both lists are given, a match in either suffices.
    let user_allowed = policies.allowed_users.as_ref().map(|allowed| {
        let id = request.user_id.map(|id| id.to_string());
        allowed.iter().any(|entry| Some(entry) == id.as_ref())
    });
    let organization_allowed = policies.allowed_organizations.as_ref().map(|allowed| {
        let id = request.organization_id.map(|id| id.to_string());
        // An entry of digits is an id and never a name (CVE-2023-28635).
        let is_id = |entry: &str| entry.bytes().all(|byte| byte.is_ascii_digit());
        allowed.iter().any(|entry| match is_id(entry) {
            true => Some(entry) == id.as_ref(),
            false => entry == request.organization_name,
        })
    });
    match (user_allowed, organization_allowed) {
        (None, None) | (Some(true), _) | (_, Some(true)) => None,
        _ => Some("neither the user nor the organization that asks is one of those it allows".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request<'static> {
        Request {
            image: "harbor2.vantage6.ai/demo/average",
            user_id: Some(2),
            organization_id: Some(3),
            organization_name: "example_org2",
        }
    }

    fn list(entries: &[&str]) -> Option<Vec<String>> {
        Some(entries.iter().map(|entry| (*entry).to_owned()).collect())
    }

    #[test]
    fn nothing_said_allows_everything() {
        assert_eq!(refusal(&Policies::default(), &request()), None);
    }

    #[test]
    fn only_images_that_are_surely_allowed_run() {
        for (pattern, allowed) in [
            ("harbor2.vantage6.ai/demo/average", true),
            ("^harbor2\\.vantage6\\.ai/demo/.*", true),
            ("harbor2.vantage6.ai/demo", false),
            ("([", false),
            ("harbor2.vantage6.ai/demo/average:other", false),
        ] {
            let policies = Policies { allowed_algorithms: list(&[pattern]), ..Default::default() };
            assert_eq!(refusal(&policies, &request()).is_none(), allowed, "{pattern}");
        }
    }

    #[test]
    fn ids_and_names_are_never_mixed_up() {
        let of = |users, organizations| Policies {
            allowed_users: users,
            allowed_organizations: organizations,
            ..Default::default()
        };
        assert!(refusal(&of(list(&["2"]), None), &request()).is_none());
        assert!(refusal(&of(list(&["3"]), None), &request()).is_some());
        assert!(refusal(&of(list(&["7"]), list(&["example_org2"])), &request()).is_none());
        let numeric_name = Request { organization_name: "7", ..request() };
        assert!(refusal(&of(None, list(&["7"])), &numeric_name).is_some());
        assert!(refusal(&of(list(&[]), None), &request()).is_some());
    }
}
