use axum::http::{Uri, uri::PathAndQuery};

/// Takes empty segments out of a path, as vantage6's servers do: rules and limits for `/api/token/user` would not know
/// `/api//token/user`.
pub(super) fn normalize(uri: &mut Uri) {
    if !uri.path().contains("//") {
        return;
    }
    let mut path = String::with_capacity(uri.path().len());
    for character in uri.path().chars() {
        if character != '/' || !path.ends_with('/') {
            path.push(character);
        }
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    // A path without some of its slashes is a path.
    parts.path_and_query = path.parse::<PathAndQuery>().ok().or(parts.path_and_query);
    if let Ok(normal) = Uri::from_parts(parts) {
        *uri = normal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_segments_are_taken_out_and_nothing_else() {
        for (path, expected) in [
            ("/api//token/user", "/api/token/user"),
            ("//", "/"),
            ("///api///token//user//?a=b//c", "/api/token/user/?a=b//c"),
            ("/api/token/user?next=//evil", "/api/token/user?next=//evil"),
            ("/api/%2F/x", "/api/%2F/x"),
        ] {
            let mut uri: Uri = path.parse().unwrap();
            normalize(&mut uri);
            assert_eq!(uri.to_string(), expected);
        }
    }
}
