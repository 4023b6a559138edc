//! Who may import whom (docs/architecture.md): read from the `crate::` paths of every file.

use std::{fs, path::Path};

const ROOMS: [&str; 12] = [
    "protocol",
    "audit",
    "serve",
    "session",
    "sqlite",
    "pages",
    "islands",
    "portal",
    "hub",
    "node",
    "algorithms",
    "demo",
];

/// Rooms with those that they may use.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("protocol", &[]),
    ("serve", &[]),
    ("sqlite", &[]),
    ("audit", &["protocol"]),
    ("algorithms", &["protocol"]),
    ("islands", &[]),
    ("session", &["protocol"]),
    ("pages", &["session", "islands", "protocol", "serve"]),
    ("portal", &["pages", "session", "protocol", "serve"]),
    ("hub", &["audit", "protocol", "serve", "sqlite"]),
    ("node", &["algorithms", "audit", "protocol", "serve", "sqlite"]),
    ("demo", &["hub", "pages"]),
];

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that a file's text names after `crate::`, in single paths and in braces.
fn used(text: &str) -> Vec<&'static str> {
    let flat: String = text.split_whitespace().collect();
    ROOMS
        .into_iter()
        .filter(|room| {
            let named = [format!("crate::{room}::"), format!("crate::{room};"), format!("crate::{room},")];
            let in_braces = flat.split("crate::{").skip(1).any(|rest| {
                // Only names at the first level of the braces are rooms.
                let mut depth = 0;
                let mut start = true;
                for (index, character) in rest.char_indices() {
                    if start && depth == 0 && rest[index..].starts_with(room) {
                        let after = &rest[index + room.len()..];
                        if after.starts_with("::") || after.starts_with(',') || after.starts_with('}') {
                            return true;
                        }
                    }
                    start = false;
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => return false,
                        '}' => depth -= 1,
                        ',' => start = true,
                        _ => {}
                    }
                }
                false
            });
            in_braces || named.iter().any(|name| flat.contains(name.as_str()))
        })
        .collect()
}

#[test]
fn no_room_imports_one_that_it_may_not_know() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (room, allowed) in ALLOWED {
        let mut found = Vec::new();
        match source.join(room) {
            folder if folder.is_dir() => files(&folder, &mut found),
            _ => found.push(source.join(format!("{room}.rs"))),
        }
        assert!(!found.is_empty(), "{room}");
        for file in found {
            for other in used(&fs::read_to_string(&file).unwrap()) {
                if other != room && !allowed.contains(&other) {
                    wrong.push(format!("{} uses {other}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn imports_are_found_in_every_form() {
    assert_eq!(used("use crate::hub::Hub;"), ["hub"]);
    assert_eq!(
        used("use crate::{\n    protocol::{client::HubClient, hub::x},\n    session::Draft,\n};"),
        ["protocol", "session"]
    );
    assert_eq!(used("let x = crate::node::Station::new();"), ["node"]);
}
