//! Python pickles of plain data, which clients of vantage6 3.x send unless told otherwise.
//!
//! A pickle is a program for a stack machine that may call anything. Only what builds dictionaries, lists, tuples,
//! texts, numbers, booleans and None is understood here; every other instruction refuses the whole pickle, so that
//! nothing of it is ever run. No library decodes with a bound on what shared references unfold to, hence this one.
//! Source: the comments of CPython's `pickletools.py`; protocols 2 to 5, which Python 3 writes.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

use super::bounded::OBJECT;

/// Containers inside one another; also what ends a container that holds itself.
const DEPTH_LIMIT: usize = 64;
/// Values in all, after references to the same object have been unfolded. Fewer than in JSON: they are in memory twice,
/// as objects and as values.
const VALUE_LIMIT: usize = 150_000;
/// So many bytes of a text count as a value.
const BYTES_A_VALUE: usize = 64;

/// Why a pickle is not read.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum PickleError {
    /// It calls or names something: an instruction that plain data have no need of.
    #[error("it holds more than plain data (instruction 0x{0:02x})")]
    NotPlain(u8),
    /// A dictionary's key is no text.
    #[error("a key of a dictionary is not a text")]
    KeyNotText,
    /// A number that is not read: an integer beyond 128 bits.
    #[error("a number is too large")]
    Number,
    /// Too deep, or too much after unfolding.
    #[error("it is nested too deeply or unfolds to too much")]
    TooMuch,
    /// It ends early, or its instructions make no sense.
    #[error("it is damaged")]
    Damaged,
}

/// Whether bytes are a pickle: protocol 2 and later begin with this instruction, which no text does.
pub fn is_pickle(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x80)
}

/// An object under construction. Others refer to it by its place, since it may be filled later than it is referred to.
enum Object {
    Leaf(Value),
    /// A number that JSON cannot hold, in the word that Python has for it.
    NotFinite(&'static str),
    List(Vec<usize>),
    Dictionary(Vec<(usize, usize)>),
}

struct Machine<'a> {
    rest: &'a [u8],
    objects: Vec<Object>,
    stack: Vec<usize>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u64, usize>,
    /// How many times an object was put into another one: the same one as often as somebody likes.
    placed: usize,
}

/// Reads a pickle of plain data; tuples become lists.
pub fn decode(bytes: &[u8]) -> Result<Value, PickleError> {
    decode_within(bytes, VALUE_LIMIT)
}

/// Reads a pickle of plain data that unfolds to at most so many values.
pub fn decode_within(bytes: &[u8], most: usize) -> Result<Value, PickleError> {
    let mut left = most.min(VALUE_LIMIT);
    let (machine, root) = build(bytes, left)?;
    machine.unfold(root, 0, &mut left)
}

/// A pickle with numbers that are not finite as JSON of Python, which has words for them; `None` if there are none.
pub fn python_json(bytes: &[u8]) -> Result<Option<String>, PickleError> {
    let mut left = VALUE_LIMIT;
    let (machine, root) = build(bytes, left)?;
    if !machine.objects.iter().any(|object| matches!(object, Object::NotFinite(_))) {
        return Ok(None);
    }
    // Within its limits.
    machine.unfold(root, 0, &mut left)?;
    let mut text = String::new();
    machine.write_python(root, &mut text);
    Ok(Some(text))
}

/// The objects of a pickle, with the place of the outermost one.
fn build(bytes: &[u8], most: usize) -> Result<(Machine<'_>, usize), PickleError> {
    let mut machine = Machine {
        rest: bytes,
        objects: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        placed: 0,
    };
    while !machine.step()? {
        // While it is read: a byte makes a value, and it may all be thrown away in the end.
        let Machine { objects, stack, marks, memo, placed, .. } = &machine;
        let kept = [objects.len(), stack.len(), marks.len(), memo.len(), *placed];
        if kept.into_iter().any(|length| length > most) {
            return Err(PickleError::TooMuch);
        }
    }
    let root = machine.pop()?;
    Ok((machine, root))
}

fn word(number: f64) -> &'static str {
    match number {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

impl<'a> Machine<'a> {
    /// One instruction; true at the end.
    fn step(&mut self) -> Result<bool, PickleError> {
        let instruction = self.take(1)?[0];
        match instruction {
            b'.' => return Ok(true),
            0x80 => drop(self.take(1)?),
            // A frame's length is only a hint for readers of streams.
            0x95 => drop(self.take(8)?),
            b'N' => self.push(Object::Leaf(Value::Null)),
            0x88 => self.push(Object::Leaf(Value::Bool(true))),
            0x89 => self.push(Object::Leaf(Value::Bool(false))),
            b'J' => {
                let bytes = self.array::<4>()?;
                self.push(Object::Leaf(i32::from_le_bytes(bytes).into()));
            }
            b'K' => {
                let number = self.little_endian(1)?;
                self.push(Object::Leaf(number.into()));
            }
            b'M' => {
                let number = self.little_endian(2)?;
                self.push(Object::Leaf(number.into()));
            }
            0x8a => {
                let length = self.little_endian(1)?;
                let number = integer(self.take(length)?)?;
                self.push(Object::Leaf(number));
            }
            b'G' => {
                let number = f64::from_be_bytes(self.array::<8>()?);
                self.push(match Number::from_f64(number) {
                    Some(number) => Object::Leaf(Value::Number(number)),
                    None => Object::NotFinite(word(number)),
                });
            }
            0x8c => self.text(1)?,
            b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b']' | b')' => self.push(Object::List(Vec::new())),
            b'}' => self.push(Object::Dictionary(Vec::new())),
            b'(' => self.marks.push(self.stack.len()),
            b't' => {
                let items = self.since_mark()?;
                self.push(Object::List(items));
            }
            0x85..=0x87 => {
                let count = usize::from(instruction - 0x84);
                let start = self.stack.len().checked_sub(count).ok_or(PickleError::Damaged)?;
                let items = self.stack.split_off(start);
                self.push(Object::List(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'q' => {
                let name = self.little_endian(1)? as u64;
                self.remember(name)?;
            }
            b'r' => {
                let name = self.little_endian(4)? as u64;
                self.remember(name)?;
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            other => return Err(PickleError::NotPlain(other)),
        }
        Ok(false)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(PickleError::Damaged)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        self.take(N)?.try_into().map_err(|_| PickleError::Damaged)
    }

    fn little_endian(&mut self, count: usize) -> Result<usize, PickleError> {
        let bytes = self.take(count)?;
        let number = bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).map_err(|_| PickleError::Damaged)
    }

    fn text(&mut self, length_bytes: usize) -> Result<(), PickleError> {
        let length = self.little_endian(length_bytes)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| PickleError::Damaged)?;
        self.push(Object::Leaf(Value::from(text)));
        Ok(())
    }

    fn push(&mut self, object: Object) {
        self.stack.push(self.objects.len());
        self.objects.push(object);
    }

    /// The top of the stack, but nothing from below the last mark.
    fn pop(&mut self) -> Result<usize, PickleError> {
        match self.marks.last() {
            Some(mark) if *mark >= self.stack.len() => Err(PickleError::Damaged),
            _ => self.stack.pop().ok_or(PickleError::Damaged),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<usize>, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::Damaged)?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<&mut Object, PickleError> {
        let place = self.stack.last().ok_or(PickleError::Damaged)?;
        self.objects.get_mut(*place).ok_or(PickleError::Damaged)
    }

    fn append(&mut self, items: Vec<usize>) -> Result<(), PickleError> {
        self.placed += items.len();
        match self.top()? {
            Object::List(list) => list.extend(items),
            _ => return Err(PickleError::Damaged),
        }
        Ok(())
    }

    fn set(&mut self, items: &[usize]) -> Result<(), PickleError> {
        self.placed += items.len();
        let (pairs, []) = items.as_chunks::<2>() else { return Err(PickleError::Damaged) };
        match self.top()? {
            Object::Dictionary(entries) => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(PickleError::Damaged),
        }
        Ok(())
    }

    fn remember(&mut self, name: u64) -> Result<(), PickleError> {
        let place = self.stack.last().ok_or(PickleError::Damaged)?;
        self.memo.insert(name, *place);
        Ok(())
    }

    fn recall(&mut self, name_bytes: usize) -> Result<(), PickleError> {
        let name = self.little_endian(name_bytes)? as u64;
        let place = self.memo.get(&name).ok_or(PickleError::Damaged)?;
        self.stack.push(*place);
        Ok(())
    }

    /// What [`Machine::unfold`] takes, as text.
    fn write_python(&self, place: usize, text: &mut String) {
        match &self.objects[place] {
            Object::Leaf(value) => text.push_str(&value.to_string()),
            Object::NotFinite(word) => text.push_str(word),
            Object::List(items) => {
                for (number, item) in items.iter().enumerate() {
                    text.push(if number == 0 { '[' } else { ',' });
                    self.write_python(*item, text);
                }
                text.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            Object::Dictionary(entries) => {
                for (number, (key, value)) in entries.iter().enumerate() {
                    text.push(if number == 0 { '{' } else { ',' });
                    self.write_python(*key, text);
                    text.push(':');
                    self.write_python(*value, text);
                }
                text.push_str(if entries.is_empty() { "{}" } else { "}" });
            }
        }
    }

    fn unfold(&self, place: usize, depth: usize, left: &mut usize) -> Result<Value, PickleError> {
        *left = left.checked_sub(1).ok_or(PickleError::TooMuch)?;
        if depth > DEPTH_LIMIT {
            return Err(PickleError::TooMuch);
        }
        match &self.objects[place] {
            Object::Leaf(value) => {
                let size = value.as_str().map_or(0, |text| text.len() / BYTES_A_VALUE);
                *left = left.checked_sub(size).ok_or(PickleError::TooMuch)?;
                Ok(value.clone())
            }
            // As in JSON of Python, where it is shown.
            Object::NotFinite(word) => Ok(Value::from(*word)),
            Object::List(items) => items.iter().map(|item| self.unfold(*item, depth + 1, left)).collect(),
            Object::Dictionary(entries) => {
                let mut map = Map::new();
                let size = if entries.is_empty() { 0 } else { OBJECT };
                *left = left.checked_sub(size).ok_or(PickleError::TooMuch)?;
                for (key, value) in entries {
                    let Object::Leaf(Value::String(key)) = &self.objects[*key] else {
                        return Err(PickleError::KeyNotText);
                    };
                    // It is there once in the pickle, and once in each dictionary here.
                    *left = left.checked_sub(1 + key.len() / BYTES_A_VALUE).ok_or(PickleError::TooMuch)?;
                    map.insert(key.clone(), self.unfold(*value, depth + 1, left)?);
                }
                Ok(Value::Object(map))
            }
        }
    }
}

/// A little-endian two's complement integer of any length.
fn integer(bytes: &[u8]) -> Result<Value, PickleError> {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    wide.get_mut(..bytes.len()).ok_or(PickleError::Number)?.copy_from_slice(bytes);
    let number = i128::from_le_bytes(wide);
    Number::from_i128(number).map(Value::Number).ok_or(PickleError::Number)
}

/// Writes a value as a pickle of protocol 3.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = vec![0x80, 3];
    write(value, &mut bytes);
    bytes.push(b'.');
    bytes
}

fn write(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.push(b'N'),
        Value::Bool(true) => bytes.push(0x88),
        Value::Bool(false) => bytes.push(0x89),
        Value::Number(number) => match number.as_i128() {
            Some(integer) => {
                bytes.extend([0x8a, 16]);
                bytes.extend(integer.to_le_bytes());
            }
            None if number.as_str().contains(['.', 'e', 'E']) => {
                bytes.push(b'G');
                // What is too large is infinite to Python, too.
                bytes.extend(number.as_str().parse().unwrap_or(f64::NAN).to_be_bytes());
            }
            // A whole number in words of protocol 0, which all later ones read.
            None => {
                bytes.push(b'L');
                bytes.extend(number.as_str().as_bytes());
                bytes.extend(b"L\n");
            }
        },
        Value::String(text) => write_text(text, bytes),
        Value::Array(items) => {
            bytes.extend(b"](");
            items.iter().for_each(|item| write(item, bytes));
            bytes.push(b'e');
        }
        Value::Object(map) => {
            bytes.extend(b"}(");
            for (key, value) in map {
                write_text(key, bytes);
                write(value, bytes);
            }
            bytes.push(b'u');
        }
    }
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    bytes.push(0x8d);
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde_json::json;

    use super::*;

    fn decode_base64(text: &str) -> Result<Value, PickleError> {
        decode(&STANDARD.decode(text).unwrap())
    }

    #[test]
    fn what_is_put_into_a_list_again_and_again_counts_as_well() {
        for (opening, end) in [(b']', b'e'), (b'}', b'u')] {
            let mut pickle = vec![0x80, 2, opening, b'q', 0];
            for _ in 0..3 {
                pickle.push(b'(');
                pickle.extend(b"h\0".repeat(VALUE_LIMIT - 10_000));
                pickle.push(end);
            }
            // Whatever follows is not read any more.
            pickle.push(b'!');
            assert_eq!(decode(&pickle), Err(PickleError::TooMuch));
        }
    }

    #[test]
    fn what_is_only_remembered_counts_as_well() {
        let mut pickle = vec![0x80, 4, b'N'];
        pickle.extend(vec![0x94; VALUE_LIMIT + 2]);
        pickle.push(b'.');
        assert!(matches!(decode(&pickle), Err(PickleError::TooMuch)));
    }

    #[test]
    fn what_python_wrote_is_read() {
        let input = "gASVOgAAAAAAAAB9lCiMBm1ldGhvZJSMBm1hc3RlcpSMBmt3YXJnc5R9lIwLY29sdW1uX25hbWWUjANhZ2WUc2gCiHUu";
        let expected = json!({"method": "master", "kwargs": {"column_name": "age"}, "master": true});
        assert_eq!(decode_base64(input).unwrap(), expected);
        let expected = json!({
            "a": [1, -1, 255, 256, 70000, -3000000000_i64, 9223372036854775807_i64, 0.5, null, true, false, "größe"],
            "t": [1, [2, 3], [4, 5, 6], [7, 8, 9, 10], []],
            "s": [["x"], ["x"]], "l": "y".repeat(300), "e": {}, "one": {"k": 1},
        });
        // Made by Python 3.10 with base64.b64encode(pickle.dumps(value, protocol)).
        for pickle in
            [include_str!("../../tests/support/pickle-2.txt"), include_str!("../../tests/support/pickle-4.txt")]
        {
            assert_eq!(decode_base64(pickle.trim()).unwrap(), expected);
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let value = json!({"a": [1, -1, u64::MAX, i64::MIN, 0.25, null, true, false, "ö"], "b": {"c": {}, "d": []}});
        assert_eq!(decode(&encode(&value)).unwrap(), value);
        let exact = "[1180591620717411303424,-1180591620717411303424,12345.678901234567,1e+300]";
        let value: Value = serde_json::from_str(exact).unwrap();
        assert_eq!(decode(&encode(&value)).unwrap().to_string(), exact);
        // 2 ** 70, as Python writes it, and what has more digits than it may have here.
        assert_eq!(decode_base64("gASVDAAAAAAAAACKCQAAAAAAAAAAQC4=").unwrap().to_string(), "1180591620717411303424");
        let longer: Value = serde_json::from_str(&format!("[{}]", "9".repeat(60))).unwrap();
        assert!(encode(&longer).ends_with(format!("L{}L\ne.", "9".repeat(60)).as_bytes()));
    }

    #[test]
    fn more_than_plain_data_is_refused() {
        let cases = [
            // os.system("…") by way of __reduce__
            ("gASVKwAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjBB0b3VjaCAvdG1wL293bmVklIWUUpQu", PickleError::NotPlain(0x93)),
            // {1, 2}
            ("gASVCQAAAAAAAACPlChLAUsCkC4=", PickleError::NotPlain(0x8f)),
            // b"ab"
            ("gASVBgAAAAAAAABDAmFilC4=", PickleError::NotPlain(b'C')),
            // {1: 2}
            ("gASVCAAAAAAAAAB9lEsBSwJzLg==", PickleError::KeyNotText),
            // a list that holds itself
            ("gASVBgAAAAAAAABdlGgAYS4=", PickleError::TooMuch),
            // cut off, no end, an end without a value, a value taken from below a mark
            ("gASVOgAAAAAAAAB9lCiMBm1ldGhv", PickleError::Damaged),
            ("gAM=", PickleError::Damaged),
            ("gAMu", PickleError::Damaged),
            ("gANdKGEu", PickleError::Damaged),
        ];
        for (pickle, error) in cases {
            assert_eq!(decode_base64(pickle), Err(error), "{pickle}");
        }
    }

    #[test]
    fn keys_are_counted_in_each_dictionary() {
        // One key of 100 kB, in 10,000 dictionaries.
        let mut pickle = b"\x80\x04](X".to_vec();
        pickle.extend(100_000_u32.to_le_bytes());
        pickle.extend(b"k".repeat(100_000));
        pickle.extend(b"q\0");
        pickle.extend(b"}h\0Ns".repeat(10_000));
        pickle.extend(b"e.");
        assert_eq!(decode(&pickle), Err(PickleError::TooMuch));
    }

    #[test]
    fn a_small_pickle_cannot_unfold_to_much() {
        // Each of 40 lists holds the one before twice.
        let mut laughs = vec![0x80, 3, b']', b'q', 0];
        for depth in 0..40 {
            laughs.extend([b']', b'q', depth + 1, b'(', b'h', depth, b'h', depth, b'e']);
        }
        laughs.push(b'.');
        assert_eq!(decode(&laughs), Err(PickleError::TooMuch));
        // One long text, a hundred thousand times.
        let mut copies = vec![0x80, 3, b']', b'(', b'X', 0, 0, 16, 0];
        copies.extend(vec![b'y'; 1 << 20]);
        copies.extend(b"q\x00");
        copies.extend(b"h\x00".repeat(100_000));
        copies.extend(b"e.");
        assert_eq!(decode(&copies), Err(PickleError::TooMuch));
    }
}
