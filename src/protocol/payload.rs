//! Inputs and results as they travel: base64 of JSON bytes (4.x), of `json.` followed by JSON (3.x clients called
//! with `data_format='json'`), or of a pickle (3.x clients called without). Encrypted payloads are recognised and
//! never guessed at.

use std::io::{Read, Write};

use base64::{Engine, engine::general_purpose::STANDARD, read::DecoderReader, write::EncoderStringWriter};
use serde_json::{Map, Value, json};

use super::{
    bounded::{self, BoundedError, MostValues},
    domain::FunctionCall,
    pickle::{self, PickleError},
    python_json,
};

const FORMAT_3X: &[u8] = b"json.";
/// The longest input whose function and arguments are read, in bytes of base64: several times what arguments may have.
pub const CALL_LIMIT: usize = 1024 * 1024;
/// The most values of an input whose function and arguments are read; an object counts as seven. Pages hold some, and so
/// does a node whose runs wait.
pub const CALL_VALUES: usize = 10_000;

/// The dialect in which a payload was written: an answer is given in the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Bare JSON, vantage6 4.x.
    Json,
    /// `json.` and then JSON, vantage6 3.x.
    Json3x,
    /// A pickle of plain data, vantage6 3.x by default.
    Pickle3x,
}

/// Why a payload cannot be read.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum PayloadError {
    /// It has the form of an encrypted payload (`key$iv$message`).
    #[error("the payload is encrypted")]
    Encrypted,
    /// It is not base64.
    #[error("the payload is not base64")]
    NotBase64,
    /// It is a pickle that is not read.
    #[error("the payload is a pickle that is not read: {0}")]
    Pickle(#[from] PickleError),
    /// The bytes are neither JSON nor `json.` and JSON.
    #[error("the payload is not JSON")]
    NotJson,
    /// It is larger than what is shown.
    #[error("it is too large to be shown here; the download has it")]
    TooLarge,
    /// It is an input that is longer than [`CALL_LIMIT`].
    #[error("its arguments are longer than 1 MiB")]
    CallTooLarge,
    /// It is an input of more than [`CALL_VALUES`].
    #[error("its arguments have more than 10,000 values")]
    CallOfTooMany,
    /// It is JSON, but does not name a function.
    #[error("the input has to be an object with a text \"method\"")]
    NoFunction,
    /// It has a key that nobody looks at.
    #[error("the input may only have \"method\", \"args\" and \"kwargs\", and has \"{0}\"")]
    MoreKeys(String),
    /// Its arguments have another shape.
    #[error("{0} of the input has to be {1}")]
    Arguments(&'static str, &'static str),
}

/// Encodes a JSON value as base64.
pub fn encode(value: &Value, dialect: Dialect) -> String {
    match dialect {
        Dialect::Json => STANDARD.encode(value.to_string()),
        Dialect::Json3x => STANDARD.encode([FORMAT_3X, value.to_string().as_bytes()].concat()),
        Dialect::Pickle3x => STANDARD.encode(pickle::encode(value)),
    }
}

/// Encodes JSON text as base64, as it was written. Only what has to be a pickle is read, and then it can be too much.
pub fn encode_text(text: &[u8], dialect: Dialect) -> Result<String, BoundedError> {
    match dialect {
        Dialect::Json => Ok(STANDARD.encode(text)),
        Dialect::Json3x => {
            let mut encoded = EncoderStringWriter::new(&STANDARD);
            // Into memory, which does not fail.
            let _ = encoded.write_all(FORMAT_3X).and_then(|()| encoded.write_all(text));
            Ok(encoded.into_inner())
        }
        Dialect::Pickle3x => Ok(encode(&bounded::from_slice(text)?, dialect)),
    }
}

/// Whether it has the form `key$iv$message` of the official clients; base64 has no `$`.
fn is_encrypted(payload: &str) -> bool {
    payload.split('$').count() == 3
}

/// Decodes a payload of any dialect. References of a pickle unfold to no more values than it has bytes, but for a few.
pub fn decode(payload: &str) -> Result<(Value, Dialect), PayloadError> {
    decode_within(payload, bounded::VALUE_LIMIT.min(payload.len().max(CALL_VALUES)))
}

/// Decodes a payload of fewer values than `most`.
fn decode_within(payload: &str, most: usize) -> Result<(Value, Dialect), PayloadError> {
    if is_encrypted(payload) {
        return Err(PayloadError::Encrypted);
    }
    let bytes = STANDARD.decode(payload.trim()).map_err(|_| PayloadError::NotBase64)?;
    if pickle::is_pickle(&bytes) {
        return Ok((pickle::decode_within(&bytes, most)?, Dialect::Pickle3x));
    }
    let (text, dialect) = text_of(&bytes);
    match bounded::from_slice_within(text, most) {
        Ok(value) => Ok((value, dialect)),
        Err(BoundedError::NotJson) => Err(PayloadError::NotJson),
        Err(BoundedError::TooMuch) => Err(PayloadError::TooLarge),
    }
}

/// The JSON text in the bytes of a payload that is no pickle.
fn text_of(bytes: &[u8]) -> (&[u8], Dialect) {
    match bytes.strip_prefix(FORMAT_3X) {
        Some(text) => (text, Dialect::Json3x),
        None => (bytes, Dialect::Json),
    }
}

/// The JSON text of a payload as it was written, of any size; an error for what is none.
pub fn json_text(payload: &str) -> Result<Vec<u8>, PayloadError> {
    if is_encrypted(payload) {
        return Err(PayloadError::Encrypted);
    }
    let mut bytes = STANDARD.decode(payload.trim()).map_err(|_| PayloadError::NotBase64)?;
    if pickle::is_pickle(&bytes) {
        if let Some(text) = pickle::python_json(&bytes)? {
            return Ok(text.into_bytes());
        }
        let value = pickle::decode(&bytes)?;
        return serde_json::to_vec(&value).map_err(|_| PayloadError::NotJson);
    }
    if bytes.starts_with(FORMAT_3X) {
        bytes.drain(..FORMAT_3X.len());
    }
    if bytes.len() != python_json::without_mark(&bytes).len() {
        bytes.drain(..bytes.len() - python_json::without_mark(&bytes).len());
    }
    if python_json::is_json(&bytes) { Ok(bytes) } else { Err(PayloadError::NotJson) }
}

/// Bytes of a payload that are looked at at once.
const PIECE: usize = 64 * 1024;

/// The dialect of a payload that anybody can read. Of JSON no more is looked at than that it is text, piece by piece.
pub fn dialect_of(payload: &str) -> Result<Dialect, PayloadError> {
    if is_encrypted(payload) {
        return Err(PayloadError::Encrypted);
    }
    let payload = payload.trim();
    let mut reader = DecoderReader::new(payload.as_bytes(), &STANDARD);
    let mut piece = vec![0; PIECE];
    let (mut kept, mut found) = (0, None);
    loop {
        let mut length = kept;
        while length < PIECE {
            match reader.read(&mut piece[length..]).map_err(|_| PayloadError::NotBase64)? {
                0 => break,
                read => length += read,
            }
        }
        let bytes = &piece[..length];
        let dialect = match found {
            Some(dialect) => dialect,
            None if bytes.is_empty() => return Err(PayloadError::NotJson),
            None if pickle::is_pickle(bytes) => {
                let bytes = STANDARD.decode(payload).map_err(|_| PayloadError::NotBase64)?;
                return pickle::decode(&bytes).map(|_| Dialect::Pickle3x).map_err(PayloadError::from);
            }
            None if bytes.starts_with(FORMAT_3X) => Dialect::Json3x,
            None => Dialect::Json,
        };
        found = Some(dialect);
        let is_last = length < PIECE;
        match std::str::from_utf8(bytes) {
            Ok(_) if is_last => return Ok(dialect),
            Ok(_) => kept = 0,
            // A character goes on in the next piece.
            Err(error) if error.error_len().is_none() && !is_last => {
                piece.copy_within(error.valid_up_to()..length, 0);
                kept = length - error.valid_up_to();
            }
            Err(_) => return Err(PayloadError::NotJson),
        }
    }
}

/// Encodes a function call as a run's `input` of the 4.x API.
pub fn encode_call(call: &FunctionCall) -> String {
    if let Some(written) = &call.written {
        return STANDARD.encode(written);
    }
    let mut input = Map::new();
    input.insert("method".into(), json!(call.function));
    if !call.args.is_empty() {
        input.insert("args".into(), json!(call.args));
    }
    input.insert("kwargs".into(), Value::Object(call.kwargs.clone()));
    encode(&Value::Object(input), Dialect::Json)
}

/// Decodes a run's `input` to the function and its arguments; an error for one that is longer than [`CALL_LIMIT`] or has
/// more than [`CALL_VALUES`].
pub fn decode_call(payload: &str) -> Result<(FunctionCall, Dialect), PayloadError> {
    if payload.len() > CALL_LIMIT && !is_encrypted(payload) {
        return Err(PayloadError::CallTooLarge);
    }
    let (value, dialect) = decode_within(payload, CALL_VALUES).map_err(|error| match error {
        PayloadError::TooLarge | PayloadError::Pickle(PickleError::TooMuch) => PayloadError::CallOfTooMany,
        error => error,
    })?;
    let Value::Object(mut input) = value else { return Err(PayloadError::NoFunction) };
    // Somebody means something by it: what is asked for would be something else.
    if let Some(key) = input.keys().find(|key| !matches!(key.as_str(), "method" | "args" | "kwargs" | "master")) {
        return Err(PayloadError::MoreKeys(key.chars().take(64).collect()));
    }
    let written = written_in_python(payload)?;
    let Some(Value::String(function)) = input.remove("method") else { return Err(PayloadError::NoFunction) };
    let args = match input.remove("args") {
        Some(Value::Array(args)) => args,
        None | Some(Value::Null) => Vec::new(),
        Some(_) => return Err(PayloadError::Arguments("args", "a list")),
    };
    let kwargs = match input.remove("kwargs") {
        Some(Value::Object(kwargs)) => kwargs,
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err(PayloadError::Arguments("kwargs", "an object")),
    };
    Ok((FunctionCall { function, args, kwargs, written }, dialect))
}

/// The most values that the call of an input can have, as [`decode_call`] reads it; an object counts as seven.
pub fn most_values(input: &str) -> usize {
    if input.len() > CALL_LIMIT {
        return 0;
    }
    let mut reader = DecoderReader::new(input.trim().as_bytes(), &STANDARD);
    let (mut piece, mut values, mut is_first) = (vec![0; PIECE], MostValues::default(), true);
    while let Ok(length @ 1..) = reader.read(&mut piece) {
        if std::mem::take(&mut is_first) && pickle::is_pickle(&piece) {
            // What references to the same objects come to is known only when they are followed.
            return decode_within(input, CALL_VALUES).map_or(0, |(value, _)| bounded::values_of(&value));
        }
        values.add(&piece[..length]);
    }
    values.most().min(CALL_VALUES)
}

/// The JSON text of a payload, if it is JSON of Python only.
fn written_in_python(payload: &str) -> Result<Option<String>, PayloadError> {
    let bytes = STANDARD.decode(payload.trim()).map_err(|_| PayloadError::NotBase64)?;
    if pickle::is_pickle(&bytes) {
        return Ok(pickle::python_json(&bytes)?);
    }
    let text = python_json::without_mark(text_of(&bytes).0);
    if python_json::rewritten(text).is_none() {
        return Ok(None);
    }
    String::from_utf8(text.to_vec()).map(Some).map_err(|_| PayloadError::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_dialects_survive_the_way_there_and_back() {
        let value = json!({"method": "master", "kwargs": {"column_name": "größe £"}});
        for dialect in [Dialect::Json, Dialect::Json3x, Dialect::Pickle3x] {
            assert_eq!(decode(&encode(&value, dialect)), Ok((value.clone(), dialect)));
            assert_eq!(encode_text(value.to_string().as_bytes(), dialect), Ok(encode(&value, dialect)));
        }
    }

    #[test]
    fn a_golden_input_of_the_official_client_is_read() {
        // base64 of {"method": "partial_average", "kwargs": {"column_name": "age"}}
        let input = "eyJtZXRob2QiOiAicGFydGlhbF9hdmVyYWdlIiwgImt3YXJncyI6IHsiY29sdW1uX25hbWUiOiAiYWdlIn19";
        let (call, dialect) = decode_call(input).unwrap();
        assert_eq!(call.function, "partial_average");
        assert_eq!(call.kwargs["column_name"], "age");
        assert_eq!(dialect, Dialect::Json);
    }

    #[test]
    fn what_is_no_input_is_refused_by_its_reason() {
        assert_eq!(decode("abc$def$ghi"), Err(PayloadError::Encrypted));
        assert_eq!(decode("!"), Err(PayloadError::NotBase64));
        assert_eq!(decode("bm8="), Err(PayloadError::NotJson));
        assert_eq!(decode("gASVCg=="), Err(PayloadError::Pickle(PickleError::Damaged)));
        assert_eq!(decode_call(&encode(&json!([1]), Dialect::Json)), Err(PayloadError::NoFunction));
        assert_eq!(decode_call(&"A".repeat(CALL_LIMIT + 1)), Err(PayloadError::CallTooLarge));
        assert_eq!(decode_call(&format!("a$b${}", "A".repeat(CALL_LIMIT))), Err(PayloadError::Encrypted));
    }

    #[test]
    fn the_dialect_is_told_without_reading_the_json() {
        for dialect in [Dialect::Json, Dialect::Json3x, Dialect::Pickle3x] {
            assert_eq!(dialect_of(&encode(&json!({"method": "größe"}), dialect)), Ok(dialect));
        }
        // Characters that lie across the borders of pieces.
        for shift in 0..4 {
            let text = format!("{}{}", "x".repeat(PIECE - shift), "£€😀".repeat(PIECE));
            assert_eq!(dialect_of(&STANDARD.encode(&text)), Ok(Dialect::Json));
            let mut broken = text.into_bytes();
            broken.truncate(broken.len() - 1);
            assert_eq!(dialect_of(&STANDARD.encode(&broken)), Err(PayloadError::NotJson));
        }
        assert_eq!(dialect_of("a$b$c"), Err(PayloadError::Encrypted));
        assert_eq!(dialect_of("!"), Err(PayloadError::NotBase64));
        assert_eq!(dialect_of(""), Err(PayloadError::NotJson));
        assert_eq!(dialect_of("gASVCg=="), Err(PayloadError::Pickle(PickleError::Damaged)));
    }

    #[test]
    fn what_python_writes_is_shown_and_passed_on_as_it_came() {
        let text =
            "\u{feff}{\"method\": \"f\", \"kwargs\": {\"a\": NaN, \"b\": 12345678901234567890123, \"c\": 0.1000}}";
        for begin in ["", "json."] {
            let payload = STANDARD.encode(format!("{begin}{text}"));
            let (call, _) = decode_call(&payload).unwrap();
            assert_eq!(json!(call.kwargs).to_string(), r#"{"a":"NaN","b":12345678901234567890123,"c":0.1000}"#);
            let written = text.trim_start_matches('\u{feff}');
            assert_eq!(call.written.as_deref(), Some(written));
            assert_eq!(encode_call(&call), STANDARD.encode(written));
            assert_eq!(json_text(&payload).unwrap(), written.as_bytes());
        }
        let more = STANDARD.encode(r#"{"method": "f", "kwargs": {"a": NaN}, "other": 1}"#);
        assert_eq!(decode_call(&more), Err(PayloadError::MoreKeys("other".to_owned())));
        // Nobody is asked anything else than what they wrote.
        for (text, told) in [
            (r#"{"method":"f","kwarg":{"organizations_to_include":[2]}}"#, "\"kwarg\""),
            (r#"{"method":"f","organizations_to_include":[2]}"#, "organizations_to_include"),
            (r#"{"method":"f","args":{"organizations_to_include":[2]}}"#, "args of the input has to be a list"),
            (r#"{"method":"f","args":"x"}"#, "a list"),
            (r#"{"method":"f","kwargs":[[2]]}"#, "kwargs of the input has to be an object"),
            (r#"{"method":"f","kwargs":"{}"}"#, "an object"),
        ] {
            let error = decode_call(&STANDARD.encode(text)).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        for text in [r#"{"method":"f"}"#, r#"{"method":"f","args":null,"kwargs":null,"master":1}"#] {
            assert!(decode_call(&STANDARD.encode(text)).is_ok(), "{text}");
        }
        // {"method": "f", "kwargs": {"x": [nan, -inf, 1.5, "NaN", {}]}} as a pickle of Python.
        let pickled = "gAN9cQAoWAYAAABtZXRob2RxAVgBAAAAZnECWAYAAABrd2FyZ3NxA31xBFgBAAAAeHEFXXEGKEd/+AAAAAAAAEf/8AAAAAAAAEc/\
                       +AAAAAAAAFgDAAAATmFOcQd9cQhlc3Uu";
        let (call, dialect) = decode_call(pickled).unwrap();
        assert_eq!(
            (dialect, json!(call.kwargs).to_string()),
            (Dialect::Pickle3x, r#"{"x":["NaN","-Infinity",1.5,"NaN",{}]}"#.to_owned())
        );
        let text = r#"{"method":"f","kwargs":{"x":[NaN,-Infinity,1.5,"NaN",{}]}}"#;
        assert_eq!((call.written.as_deref(), json_text(pickled)), (Some(text), Ok(text.as_bytes().to_vec())));
        let plain = STANDARD.encode(r#"{"method": "f", "kwargs": {"a": "NaN"}}"#);
        assert_eq!(decode_call(&plain).unwrap().0.written, None);
    }

    #[test]
    fn falsy_results_are_results() {
        for value in [json!(0), json!(false), json!(null), json!("")] {
            assert_eq!(decode(&encode(&value, Dialect::Json)).unwrap().0, value);
        }
    }
}
