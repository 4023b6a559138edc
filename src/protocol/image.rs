//! Names of algorithm images, and which of them a node's policy allows.

use std::sync::{Arc, LazyLock};

use moka::sync::Cache;
use regex::{Regex, RegexBuilder};

/// The longest pattern, in bytes, …
const PATTERN_LENGTH: usize = 500;
/// … and the memory that it takes when it is compiled, tried from the least to the most.
const PATTERN_MEMORY: [usize; 3] = [16 * 1024, 64 * 1024, 256 * 1024];
/// The memory of all that are kept.
const PATTERNS_MEMORY: u64 = 32 * 1024 * 1024;

/// A pattern, if it can be read and is not too large, and the memory that it may take.
type Compiled = (Option<Arc<Regex>>, u32);

/// Patterns of policies, compiled once: a node shares hundreds, and each look at a page asks all of them.
static PATTERNS: LazyLock<Cache<String, Compiled>> = LazyLock::new(|| {
    Cache::builder().weigher(|_, (_, memory): &Compiled| *memory).max_capacity(PATTERNS_MEMORY).build()
});

/// A pattern that was compiled before, or is now; `None` if it cannot be read, or is too large.
pub fn pattern(text: &str) -> Option<Arc<Regex>> {
    if text.len() > PATTERN_LENGTH {
        return None;
    }
    let compiled = PATTERNS.get_with_by_ref(text, || {
        let within = |memory: &usize| {
            let compiled = RegexBuilder::new(text).size_limit(*memory).dfa_size_limit(*memory).build().ok()?;
            // The program, and what is built of it as it is used.
            Some((Some(Arc::new(compiled)), 2 * *memory as u32))
        };
        PATTERN_MEMORY.iter().find_map(within).unwrap_or((None, 1024))
    });
    compiled.0
}

/// The characters that make an entry of a policy a regular expression, as in vantage6.
pub const PATTERN_CHARACTERS: [char; 13] = ['*', '\\', '?', '$', '^', '[', ']', '(', ')', '{', '}', '|', '+'];

/// Whether an image is one of those that a policy allows: by its exact name, by its name without tag and digest, or
/// by a regular expression that begins at the start. `None` if that cannot be told by names alone: another tag or
/// digest of the same name is listed, which may be the same image, or an expression cannot be read here.
pub fn allowed(entries: &[String], image: &str) -> Option<bool> {
    let answers: Vec<Option<bool>> = entries.iter().map(|entry| matches(entry, image)).collect();
    if answers.contains(&Some(true)) {
        return Some(true);
    }
    if answers.contains(&None) { None } else { Some(false) }
}

fn matches(entry: &str, image: &str) -> Option<bool> {
    if entry == image || entry == name_of(image) {
        return Some(true);
    }
    if entry.contains(PATTERN_CHARACTERS) {
        return pattern(&format!("^(?:{entry})")).map(|regex| regex.is_match(image));
    }
    if name_of(entry) == name_of(image) { None } else { Some(false) }
}

/// The name of an image without tag and digest.
fn name_of(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    // A colon before the last slash is that of a port.
    match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entry: &str, image: &str) -> Option<bool> {
        allowed(&[entry.to_owned()], image)
    }

    #[test]
    fn an_image_is_allowed_exactly_by_its_name_or_by_an_expression() {
        let image = "registry:5000/demo/average@sha256:0123";
        assert_eq!(check(image, image), Some(true));
        assert_eq!(check("registry:5000/demo/average", image), Some(true));
        assert_eq!(check("registry:5000/demo/average", "registry:5000/demo/average:1"), Some(true));
        assert_eq!(check(r"registry:5000/demo/.*", image), Some(true));
        assert_eq!(check("demo/.*", image), Some(false), "not in the middle");
        assert_eq!(check("registry:5000/demo/other", image), Some(false));
    }

    #[test]
    fn another_version_of_the_same_name_may_be_the_same_image() {
        assert_eq!(check("demo/average:2", "demo/average@sha256:0123"), None);
        assert_eq!(check("(", "demo/average"), None);
        let both = ["demo/average:2".to_owned(), "demo/average".to_owned()];
        assert_eq!(allowed(&both, "demo/average:3"), Some(true));
    }
}
