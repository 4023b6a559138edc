use axum::http::{Uri, uri::PathAndQuery};

/// Writes a path in its one form: without empty segments, as vantage6's servers do, without a slash at its end, and with letters
/// and digits as themselves (RFC 3986, section 6.2.2.2). Rules and limits for `/api/token/user` would not know `/api//token/user`, nor the
/// audit log `/api/user/%33`.
pub(super) fn normalize(uri: &mut Uri) {
    // Socket.IO's own path has one.
    let has_end = uri.path().len() > 1 && uri.path().ends_with('/') && !uri.path().trim_matches('/').eq(SOCKET);
    if !uri.path().contains("//") && !uri.path().contains('%') && !has_end {
        return;
    }
    let mut path = String::with_capacity(uri.path().len());
    let mut rest = uri.path();
    while let Some(character) = rest.chars().next() {
        if let Some(decoded) = unreserved(rest) {
            path.push(decoded);
            rest = &rest[3..];
            continue;
        }
        // A percent sign that encodes nothing would encode something together with what is decoded behind it.
        if character == '%' && !is_encoded(rest) {
            path.push_str("%25");
            rest = &rest[1..];
            continue;
        }
        if character != '/' || !path.ends_with('/') {
            path.push(character);
        }
        rest = &rest[character.len_utf8()..];
    }
    if path.len() > 1 && path.trim_matches('/') != SOCKET {
        path.truncate(path.trim_end_matches('/').len());
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

const SOCKET: &str = "socket.io";

fn is_encoded(text: &str) -> bool {
    text.get(1..3).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// The letter, digit or sign at the beginning of a text that need not have been encoded.
fn unreserved(text: &str) -> Option<char> {
    let digits =
        text.strip_prefix('%')?.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    let character = char::from(u8::from_str_radix(digits, 16).ok()?);
    (character.is_ascii_alphanumeric() || "-._~".contains(character)).then_some(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_form() {
        for (path, expected) in [
            ("/api//token/user", "/api/token/user"),
            ("//", "/"),
            ("///api///token//user//?a=b//c", "/api/token/user?a=b//c"),
            ("/tasks/", "/tasks"),
            ("/tasks/?q=a/", "/tasks?q=a/"),
            ("/", "/"),
            ("/?a=b", "/?a=b"),
            ("/socket.io/?EIO=4", "/socket.io/?EIO=4"),
            ("//socket.io//", "/socket.io/"),
            ("/api/token/user?next=//evil", "/api/token/user?next=//evil"),
            ("/api/%2F/x", "/api/%2F/x"),
            ("/api/user/%33?a=%33", "/api/user/3?a=%33"),
            ("/%61pi//%6eode/%2b%c3%a4%4", "/api/node/%2b%c3%a4%254"),
            ("/api/user/%%33%33?a=%%3", "/api/user/%2533?a=%%3"),
        ] {
            let mut uri: Uri = path.parse().unwrap();
            normalize(&mut uri);
            assert_eq!(uri.to_string(), expected);
        }
    }
}
