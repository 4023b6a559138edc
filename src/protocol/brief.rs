//! Reading JSON with short errors. serde_json repeats in an error what was sent, written out for programmers: six times as
//! long as a text of 30 MB that stands where a number should, before anybody can cut it. So what has long texts is read once
//! without them: what is wrong with the rest is found there.

use std::{
    fmt::{self, Display, Write},
    io::{self, BufReader, Read, Seek},
};

use memchr::{memchr, memchr2};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest text that an error may repeat, in bytes.
const LONG: usize = 4 * 1024;
/// What stands in the place of a longer one: its beginning, if that is as plain as base64 is.
const BEGIN: usize = 100;
/// The most of a message that [`begin_of`] gives, in bytes.
const MESSAGE_LIMIT: usize = 400;
/// Bytes of a file that are read at once.
const PIECE: usize = 64 * 1024;

/// Reads a value, by whatever reads one.
pub fn read_slice<T, E>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<T, E>) -> Result<T, E> {
    let mut shortener = Shortener::default();
    if bytes.len() > LONG {
        let mut short = Vec::new();
        shortener.push(bytes, &mut short);
        if shortener.has_shortened {
            read(&short)?;
        }
    }
    read(bytes)
}

/// Reads a value of JSON.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    read_slice(bytes, |bytes| serde_json::from_slice(bytes))
}

/// Reads a value of JSON from a file.
pub fn from_file<T: DeserializeOwned>(mut file: impl Read + Seek) -> Result<T, serde_json::Error> {
    let mut shortening = Shortening::of(&mut file);
    io::copy(&mut shortening, &mut io::sink()).map_err(serde_json::Error::io)?;
    let has_shortened = shortening.shortener.has_shortened;
    file.rewind().map_err(serde_json::Error::io)?;
    if has_shortened {
        serde_json::from_reader::<_, T>(BufReader::with_capacity(PIECE, Shortening::of(&mut file)))?;
        file.rewind().map_err(serde_json::Error::io)?;
    }
    serde_json::from_reader(BufReader::with_capacity(PIECE, file))
}

/// Reads what is a value of JSON already.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    if has_long_texts(&value) {
        T::deserialize(&without_long_texts(&value))?;
    }
    serde_json::from_value(value)
}

fn has_long_texts(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() > LONG,
        Value::Array(items) => items.iter().any(has_long_texts),
        Value::Object(entries) => entries.iter().any(|(key, value)| key.len() > LONG || has_long_texts(value)),
        _ => false,
    }
}

fn without_long_texts(value: &Value) -> Value {
    let short = |text: &str| match text.len() > LONG {
        true => beginning(text.as_bytes()).iter().copied().map(char::from).collect(),
        false => text.to_owned(),
    };
    match value {
        Value::String(text) => Value::String(short(text)),
        Value::Array(items) => items.iter().map(without_long_texts).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (short(key), without_long_texts(value))).collect(),
        other => other.clone(),
    }
}

/// What stands in the place of a long text.
fn beginning(text: &[u8]) -> &[u8] {
    let begin = &text[..text.len().min(BEGIN)];
    if begin.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\') { begin } else { b"" }
}

/// Takes what is too long of the texts of JSON, as it comes.
#[derive(Default)]
struct Shortener {
    /// The text that has begun, up to where it is too long.
    text: Option<Vec<u8>>,
    is_too_long: bool,
    /// Behind a backslash.
    is_escaped: bool,
    has_shortened: bool,
}

impl Shortener {
    /// The next bytes; what is left of them and of those before is added to `short`.
    fn push(&mut self, mut bytes: &[u8], short: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.text.is_none() {
                let quote = memchr(b'"', bytes);
                let end = quote.map_or(bytes.len(), |place| place + 1);
                short.extend_from_slice(&bytes[..end]);
                self.text = quote.map(|_| Vec::new());
                bytes = &bytes[end..];
                continue;
            }
            let sign = match std::mem::take(&mut self.is_escaped) {
                true => None,
                false => Some(memchr2(b'"', b'\\', bytes)),
            };
            let (part, rest) = match sign {
                // Whatever stands behind a backslash.
                None => bytes.split_at(1),
                Some(None) => (bytes, [].as_slice()),
                Some(Some(place)) => {
                    self.is_escaped = bytes[place] == b'\\';
                    let (part, rest) = bytes.split_at(place + usize::from(self.is_escaped));
                    if !self.is_escaped {
                        self.keep(part);
                        self.end_text(short);
                        bytes = &rest[1..];
                        continue;
                    }
                    (part, rest)
                }
            };
            self.keep(part);
            bytes = rest;
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let Some(text) = &mut self.text else { return };
        if self.is_too_long {
            return;
        }
        text.extend_from_slice(&part[..part.len().min(LONG + 1)]);
        self.is_too_long = text.len() > LONG;
    }

    fn end_text(&mut self, short: &mut Vec<u8>) {
        let text = self.text.take().unwrap_or_default();
        let is_too_long = std::mem::take(&mut self.is_too_long);
        short.extend_from_slice(if is_too_long { beginning(&text) } else { &text });
        short.push(b'"');
        self.has_shortened |= is_too_long;
    }
}

/// Reads without what is too long.
struct Shortening<R> {
    from: R,
    shortener: Shortener,
    piece: Vec<u8>,
    ready: Vec<u8>,
    /// How much of that was read.
    done: usize,
}

impl<R: Read> Shortening<R> {
    fn of(from: R) -> Self {
        Shortening { from, shortener: Shortener::default(), piece: vec![0; PIECE], ready: Vec::new(), done: 0 }
    }
}

impl<R: Read> Read for Shortening<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.done == self.ready.len() {
            (self.done, self.ready) = (0, std::mem::take(&mut self.ready));
            self.ready.clear();
            let length = self.from.read(&mut self.piece)?;
            if length == 0 {
                return Ok(0);
            }
            self.shortener.push(&self.piece[..length], &mut self.ready);
        }
        let length = into.len().min(self.ready.len() - self.done);
        into[..length].copy_from_slice(&self.ready[self.done..self.done + length]);
        self.done += length;
        Ok(length)
    }
}

/// The beginning of what somebody may have sent, for a message; no more than that is written.
pub fn begin_of(text: impl Display) -> String {
    let mut begin = Begin(String::new());
    // What is too long ends the writing.
    if write!(begin, "{text}").is_err() {
        begin.0.push('…');
    }
    begin.0
}

/// The beginning of a text.
struct Begin(String);

impl Write for Begin {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MESSAGE_LIMIT.saturating_sub(self.0.len());
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::{collections::BTreeMap, io::Cursor};

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Typed {
        #[serde(default)]
        id: Option<i64>,
        #[serde(default)]
        list: Vec<Kind>,
        #[serde(default)]
        more: BTreeMap<String, u8>,
        #[serde(default)]
        text: String,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    enum Kind {
        Plain,
        Of(i64),
        With { number: i64 },
    }

    #[test]
    fn no_error_is_long_whatever_was_sent_in_whatever_place() {
        // Six bytes are written for each.
        for long in ["\u{7f}".repeat(100_000), "\\\"x".repeat(100_000), "é".repeat(100_000), "a".repeat(100_000)] {
            for value in [
                json!({"id": long}),
                json!({"list": [long]}),
                json!({"list": [{"Of": long}]}),
                json!({"list": [{"With": {"number": long}}]}),
                json!({"list": long}),
                json!({"more": {"x": long}}),
                json!({"more": {&long: 300}}),
                json!({&long: 1}),
                json!(long),
                json!({"text": long, "id": "x"}),
            ] {
                let text = value.to_string();
                for error in [
                    from_slice::<Typed>(text.as_bytes()).unwrap_err(),
                    from_file::<Typed>(Cursor::new(text.as_bytes())).unwrap_err(),
                    from_value::<Typed>(value).unwrap_err(),
                ] {
                    assert!(error.to_string().len() < 300, "{:.500}", error.to_string());
                }
            }
        }
        for (text, expected) in [
            (r#"{"id": "x"}"#, "invalid type: string \"x\", expected i64 at line 1 column 10"),
            (
                r#"{"other": 1}"#,
                "unknown field `other`, expected one of `id`, `list`, `more`, `text` at line 1 column 8",
            ),
            (r#"{"id": 1"#, "EOF while parsing an object at line 1 column 8"),
        ] {
            assert_eq!(from_slice::<Typed>(text.as_bytes()).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn values_are_what_they_are_otherwise() {
        let long = "\\\"\u{7f}é\n".repeat(50_000);
        let value =
            json!({"id": 7, "list": ["Plain", {"Of": 3}, {"With": {"number": 4}}], "text": long, "more": {"a\"\\": 2}});
        let text = value.to_string();
        let expected: Typed = serde_json::from_str(&text).unwrap();
        assert_eq!(from_slice::<Typed>(text.as_bytes()).unwrap(), expected);
        assert_eq!(from_file::<Typed>(Cursor::new(text.as_bytes())).unwrap(), expected);
        assert_eq!(from_value::<Typed>(value.clone()).unwrap(), expected);
        assert_eq!(from_slice::<Value>(text.as_bytes()).unwrap(), value);
    }

    #[test]
    fn what_is_short_stays_byte_by_byte_however_it_comes() {
        let text = json!({"a\\\"b": ["x\\", "\"", "é", 1, {"": null}], "z": "\u{1f600}\t"}).to_string();
        for size in 1..20 {
            let (mut shortener, mut short) = (Shortener::default(), Vec::new());
            text.as_bytes().chunks(size).for_each(|part| shortener.push(part, &mut short));
            assert!(short == text.as_bytes() && !shortener.has_shortened, "{size}");
        }
        let long = format!("[\"{}\\\"\", \"y\"]", "x".repeat(LONG));
        for size in [1, 7, 4_097] {
            let (mut shortener, mut short) = (Shortener::default(), Vec::new());
            long.as_bytes().chunks(size).for_each(|part| shortener.push(part, &mut short));
            assert!(short == format!("[\"{}\", \"y\"]", "x".repeat(BEGIN)).as_bytes() && shortener.has_shortened);
        }
    }
}
