//! JSON as Python writes it: with `NaN` and `Infinity`, with halves of characters (`"\ud800"`), with a byte order mark, and
//! nested as deep as you like
//! (<https://docs.python.org/3/library/json.html#standard-compliance-and-interoperability>). Algorithms and the official
//! client send it, so it is passed on as it came; to be shown it is rewritten.

use std::ops::Range;

use serde::de::IgnoredAny;

/// How deep lists and objects are read; a library refuses 128. What is deeper becomes a text of itself, …
const DEEPEST: usize = 100;
/// … of which so many bytes are shown, …
const DEEP_SHOWN: usize = 10_000;
/// … and of all of them together.
const ALL_DEEP_SHOWN: usize = 1_000_000;

/// The same as JSON of RFC 8259: what that cannot say becomes a text of the same letters. `None` if nothing has to be rewritten, also of what is no JSON at all.
pub fn rewritten(text: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(text).ok()?;
    let mut rewriting = Rewriting { text, ..Rewriting::default() };
    let mut place = 0;
    let mut depth = 0_usize;
    while let Some(byte) = text.get(place) {
        place = match byte {
            b'"' => rewriting.string(place),
            b'[' | b'{' if depth == DEEPEST => rewriting.deep(place),
            b'[' | b'{' => {
                depth += 1;
                place + 1
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                place + 1
            }
            b'-' | b'N' | b'I' => rewriting.word(place),
            _ => place + 1,
        };
    }
    rewriting.end()
}

/// Without the byte order mark.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Whether it is JSON, also as Python writes it. Nothing of it is kept.
pub fn is_json(text: &[u8]) -> bool {
    let text = without_mark(text);
    let rewritten = rewritten(text);
    serde_json::from_slice::<IgnoredAny>(rewritten.as_deref().unwrap_or(text)).is_ok()
}

const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

#[derive(Default)]
struct Rewriting<'a> {
    text: &'a [u8],
    rewritten: Vec<u8>,
    /// So much of the text stands in what is rewritten.
    done: usize,
    /// So much of what is deep is shown.
    deep_shown: usize,
}

impl Rewriting<'_> {
    fn replace(&mut self, what: Range<usize>, with: &[u8]) {
        if self.rewritten.is_empty() {
            self.rewritten.reserve(self.text.len());
        }
        self.rewritten.extend_from_slice(&self.text[self.done..what.start]);
        self.rewritten.extend_from_slice(with);
        self.done = what.end;
    }

    fn quote(&mut self, what: Range<usize>) -> usize {
        let end = what.end;
        let quoted = [b"\"", &self.text[what.clone()], b"\""].concat();
        self.replace(what, &quoted);
        end
    }

    /// Behind the string that begins here.
    fn string(&mut self, begin: usize) -> usize {
        let mut place = begin + 1;
        loop {
            match memchr::memchr2(b'"', b'\\', self.text.get(place..).unwrap_or_default()) {
                None => return self.text.len(),
                Some(found) if self.text[place + found] == b'"' => return place + found + 1,
                Some(found) => place = self.escape(place + found),
            }
        }
    }

    /// Behind the escape that begins here. Half a character cannot be shown.
    fn escape(&mut self, begin: usize) -> usize {
        match (self.unit(begin), self.unit(begin + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => begin + 12,
            (Some(0xd800..0xe000), _) => {
                self.replace(begin..begin + 6, b"\\ufffd");
                begin + 6
            }
            (Some(_), _) => begin + 6,
            (None, _) => begin + 2,
        }
    }

    /// The unit of UTF-16 that is escaped here.
    fn unit(&self, begin: usize) -> Option<u16> {
        let digits = self.text.get(begin..begin + 6)?.strip_prefix(b"\\u")?;
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        u16::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| is_hex)?, 16).ok()
    }

    /// Behind the word that begins here, or behind its first letter.
    fn word(&mut self, begin: usize) -> usize {
        let rest = &self.text[begin..];
        if let Some(word) = WORDS.iter().find(|word| rest.starts_with(word)) {
            return self.quote(begin..begin + word.len());
        }
        begin + 1
    }

    /// Behind the string that begins here.
    fn end_of_string(&self, begin: usize) -> usize {
        let mut place = begin + 1;
        loop {
            match memchr::memchr2(b'"', b'\\', self.text.get(place..).unwrap_or_default()) {
                None => return self.text.len(),
                Some(found) if self.text[place + found] == b'"' => return place + found + 1,
                Some(found) => place += found + 2,
            }
        }
    }

    /// Behind the list or object that begins here.
    fn deep(&mut self, begin: usize) -> usize {
        let (mut place, mut depth) = (begin, 0_usize);
        while let Some(byte) = self.text.get(place) {
            match byte {
                b'"' => {
                    place = self.end_of_string(place);
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
            place += 1;
            if depth == 0 {
                let deep = &self.text[begin..place];
                // No JSON has them, and they would become six times as long.
                if deep.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
                    return place;
                }
                let most = deep.len().min(DEEP_SHOWN).min(ALL_DEEP_SHOWN - self.deep_shown);
                self.deep_shown += most;
                let shown = String::from_utf8_lossy(&deep[..most]);
                let end = if deep.len() > most { "…" } else { "" };
                let quoted = serde_json::to_vec(&format!("{shown}{end}")).unwrap_or_default();
                self.replace(begin..place, &quoted);
                return place;
            }
        }
        place
    }

    fn end(mut self) -> Option<Vec<u8>> {
        if self.done == 0 {
            return None;
        }
        self.rewritten.extend_from_slice(&self.text[self.done..]);
        Some(self.rewritten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Value {
        let rewritten = rewritten(text.as_bytes()).unwrap_or(text.as_bytes().to_vec());
        serde_json::from_slice(&rewritten).unwrap()
    }

    #[test]
    fn what_python_writes_is_read() {
        for (text, expected) in [
            ("NaN", json!("NaN")),
            (r#"{"a":[NaN, Infinity,-Infinity]}"#, json!({"a": ["NaN", "Infinity", "-Infinity"]})),
            (r#"["\ud800", "\udc00x", "\ud83d\ude00", "\\ud800"]"#, json!(["\u{fffd}", "\u{fffd}x", "😀", "\\ud800"])),
            (r#"{"\ud800":"NaN \" NaN"}"#, json!({"\u{fffd}": "NaN \" NaN"})),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_json_of_python_is_known() {
        let deep = [vec![b'['; 5_000], vec![b']'; 5_000]].concat();
        let controls = [vec![b'['; 101], vec![1; 1_000_000], vec![b']'; 101]].concat();
        assert!(!is_json(&controls) && rewritten(&controls).is_none());
        let long = [vec![b'['; 101], b"\"x\",".repeat(100_000), vec![b']'; 101]].concat();
        assert!(is_json(&long) && rewritten(&long).is_some_and(|text| text.len() < 25_000));
        for text in [&b"\xef\xbb\xbf[NaN]"[..], b"{\"a\":-Infinity}", b"7", b"[12345678901234567890123]", &deep] {
            assert!(is_json(text), "{}", String::from_utf8_lossy(text));
        }
        for text in [&b""[..], b"nan", b"[NaN", b"{NaN:1}x", b"\x80\x04N.", b"[1,]"] {
            assert!(!is_json(text), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn what_is_nested_too_deep_becomes_a_text() {
        let deep = format!("{}[\"]\",NaN]{}", "[".repeat(5_000), "]".repeat(5_000));
        let mut value = read(&deep);
        for _ in 0..DEEPEST {
            value = value[0].take();
        }
        let text = format!("{}[\"]\",NaN]{}", "[".repeat(4_900), "]".repeat(4_900));
        assert_eq!(value, json!(text));
    }

    #[test]
    fn what_is_json_or_none_at_all_stays() {
        for text in [
            r#"{"a":[1,-2,2.5e3,"NaN","x\"Infinity",true,null,""]}"#,
            "",
            "[",
            "\"",
            "\"\\",
            "\"\\u",
            "\"\\ud8",
            "-",
            "007",
            "[00000000000000000000000001]",
            "Nan",
            "1-2",
            "é",
        ] {
            assert_eq!(rewritten(text.as_bytes()), None, "{text}");
        }
        // Without an end there is nothing to put into a text.
        assert_eq!(rewritten("[".repeat(5_000).as_bytes()), None);
        assert_eq!(rewritten(b"\xff\xfe["), None);
    }
}
