use std::io::{BufRead, BufReader, Read};

use memchr::{memchr, memchr3};

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;
/// So many bytes are looked at one by one.
const NEAR: usize = 16;
/// The longest value that is kept, in bytes.
const LONGEST_VALUE: usize = 1024 * 1024;

/// Why a file is not read on, and in which line that is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("a quotation mark that opens in line {line} does not close")]
    UnclosedQuote { line: u64 },
    #[error("in line {line} something stands behind a closing quotation mark")]
    TextBehindQuote { line: u64 },
    #[error("a value in line {line} is longer than 1 MB; does a quotation mark there not close?")]
    TooLong { line: u64 },
    #[error("{0}")]
    Io(std::io::ErrorKind),
}

/// A line of values; more lines of text if a value in quotation marks has line breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The line in which it begins, from 1.
    pub line: u64,
    /// How many values it has.
    pub values: usize,
    /// Whether nothing but blanks stands there.
    pub is_blank: bool,
    /// Whether nothing stands behind the last separator.
    pub ends_empty: bool,
}

/// Where values go.
pub trait Sink {
    /// Adds to the value at this place in a record; `false` if it is too long.
    fn push(&mut self, place: usize, part: &[u8]) -> bool;
    fn end_value(&mut self, place: usize);
    fn end_record(&mut self) {}
}

/// All values of one record.
#[derive(Debug, Clone, Default)]
pub struct Row(pub Vec<Vec<u8>>);

impl Sink for Row {
    fn push(&mut self, place: usize, part: &[u8]) -> bool {
        self.0.resize_with(self.0.len().max(place + 1), Vec::new);
        self.0[place].extend_from_slice(part);
        self.0[place].len() <= LONGEST_VALUE
    }

    fn end_value(&mut self, place: usize) {
        self.0.resize_with(self.0.len().max(place + 1), Vec::new);
    }
}

/// What nobody asks for.
pub struct Nothing;

impl Sink for Nothing {
    fn push(&mut self, _: usize, _: &[u8]) -> bool {
        true
    }

    fn end_value(&mut self, _: usize) {}
}

/// The values of some columns, as Arrow keeps texts: one behind the other, and where each ends.
#[derive(Debug, Default)]
pub struct Columns {
    /// Which columns, in order.
    places: Vec<usize>,
    pub columns: Vec<Texts>,
    /// The next of `places` that a record can have.
    next: usize,
    /// All bytes of values.
    bytes: usize,
}

/// The values of one column.
#[derive(Debug)]
pub struct Texts {
    pub bytes: Vec<u8>,
    /// One more than there are values, from 0 on.
    pub ends: Vec<i32>,
}

impl Default for Texts {
    fn default() -> Self {
        Texts { bytes: Vec::new(), ends: vec![0] }
    }
}

#[cfg(test)]
impl Texts {
    /// The value of a row.
    pub fn get(&self, row: usize) -> &[u8] {
        let place = |row: usize| self.ends.get(row).map_or(0, |end| *end as usize);
        self.bytes.get(place(row)..place(row + 1)).unwrap_or_default()
    }
}

impl Columns {
    /// For the columns at these places, each once and in order.
    pub fn at(places: Vec<usize>) -> Self {
        let columns = places.iter().map(|_| Texts::default()).collect();
        Columns { places, columns, next: 0, bytes: 0 }
    }

    /// How many bytes all values have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        for texts in &mut self.columns {
            texts.bytes.clear();
            texts.ends.truncate(1);
        }
        self.bytes = 0;
    }

    fn is_wanted(&self, place: usize) -> bool {
        self.places.get(self.next) == Some(&place)
    }

    /// Takes the last record away.
    pub fn undo(&mut self) {
        for texts in &mut self.columns {
            texts.ends.pop();
            let end = texts.ends.last().map_or(0, |end| *end as usize);
            self.bytes -= texts.bytes.len().saturating_sub(end);
            texts.bytes.truncate(end);
        }
    }
}

impl Sink for Columns {
    fn push(&mut self, place: usize, part: &[u8]) -> bool {
        if self.is_wanted(place) {
            let texts = &mut self.columns[self.next];
            texts.bytes.extend_from_slice(part);
            self.bytes += part.len();
            let begin = texts.ends.last().map_or(0, |end| *end as usize);
            return texts.bytes.len() - begin <= LONGEST_VALUE;
        }
        true
    }

    fn end_value(&mut self, place: usize) {
        if self.is_wanted(place) {
            let texts = &mut self.columns[self.next];
            // A batch ends long before.
            texts.ends.push(i32::try_from(texts.bytes.len()).unwrap_or(i32::MAX));
            self.next += 1;
        }
    }

    /// What a record does not have is missing.
    fn end_record(&mut self) {
        for texts in &mut self.columns[self.next..] {
            texts.ends.push(i32::try_from(texts.bytes.len()).unwrap_or(i32::MAX));
        }
        self.next = 0;
    }
}

/// Reads records as RFC 4180 has them, and as spreadsheets and statistics programs write them: any separator of one byte,
/// line ends of all systems, values in quotation marks with separators and line breaks in them. What others take in silence
/// (a quotation mark that does not close, text behind one that does) is a fault.
pub struct Records<R> {
    reader: BufReader<R>,
    separator: u8,
    line: u64,
    /// A line feed that comes next belongs to the line end before.
    skips_line_feed: bool,
}

enum State {
    Begin,
    Plain,
    Quoted,
    /// Behind a quotation mark within a quoted value.
    Closed,
}

impl<R: Read> Records<R> {
    /// `line`: the number of the first line.
    pub fn new(reader: R, separator: u8, line: u64) -> Self {
        Records { reader: BufReader::with_capacity(PIECE, reader), separator, line, skips_line_feed: false }
    }

    /// Reads the next record; `None` at the end.
    pub fn read(&mut self, sink: &mut impl Sink) -> Result<Option<Record>, Fault> {
        if self.skips_line_feed {
            self.skips_line_feed = false;
            if self.reader.fill_buf().map_err(|error| Fault::Io(error.kind()))?.first() == Some(&b'\n') {
                self.reader.consume(1);
            }
        }
        let mut record = Record { line: self.line, values: 0, is_blank: true, ends_empty: true };
        let (mut state, mut quote_line, mut is_begun) = (State::Begin, self.line, false);
        loop {
            let rest = match self.reader.fill_buf() {
                Ok(rest) => rest,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::Io(error.kind())),
            };
            if rest.is_empty() {
                return match state {
                    State::Quoted => Err(Fault::UnclosedQuote { line: quote_line }),
                    _ if !is_begun => Ok(None),
                    _ => {
                        sink.end_value(record.values);
                        sink.end_record();
                        record.values += 1;
                        Ok(Some(record))
                    }
                };
            }
            is_begun = true;
            let mut at = 0;
            while let Some(first) = rest.get(at).copied() {
                let end = match state {
                    State::Begin if first == b'"' => {
                        (record.is_blank, record.ends_empty) = (false, false);
                        quote_line = self.line;
                        state = State::Quoted;
                        at += 1;
                        continue;
                    }
                    State::Begin | State::Plain => {
                        let rest = &rest[at..];
                        let end = end_of(rest, self.separator);
                        let part = &rest[..end.unwrap_or(rest.len())];
                        if !part.is_empty() {
                            let is_blank = part.iter().all(u8::is_ascii_whitespace);
                            record.is_blank &= is_blank;
                            record.ends_empty &= is_blank;
                            if !sink.push(record.values, part) {
                                return Err(Fault::TooLong { line: self.line });
                            }
                        }
                        state = State::Plain;
                        at += part.len();
                        let Some(end) = end.map(|end| rest[end]) else { continue };
                        at += 1;
                        end
                    }
                    State::Quoted => {
                        let rest = &rest[at..];
                        let end = memchr(b'"', rest);
                        let part = &rest[..end.unwrap_or(rest.len())];
                        self.line += line_feeds(part);
                        if !sink.push(record.values, part) {
                            return Err(Fault::TooLong { line: quote_line });
                        }
                        if end.is_some() {
                            state = State::Closed;
                        }
                        at += part.len() + usize::from(end.is_some());
                        continue;
                    }
                    State::Closed => {
                        at += 1;
                        match first {
                            b'"' => {
                                if !sink.push(record.values, b"\"") {
                                    return Err(Fault::TooLong { line: quote_line });
                                }
                                state = State::Quoted;
                                continue;
                            }
                            end if end == self.separator || end == b'\n' || end == b'\r' => end,
                            b' ' | b'\t' => continue,
                            _ => return Err(Fault::TextBehindQuote { line: self.line }),
                        }
                    }
                };
                sink.end_value(record.values);
                record.values += 1;
                if end != self.separator {
                    self.reader.consume(at);
                    sink.end_record();
                    self.line += 1;
                    self.skips_line_feed = end == b'\r';
                    return Ok(Some(record));
                }
                record.is_blank = false;
                record.ends_empty = true;
                state = State::Begin;
            }
            self.reader.consume(at);
        }
    }
}

/// Where a value ends that is not in quotation marks.
fn end_of(rest: &[u8], separator: u8) -> Option<usize> {
    let is_end = |byte: &u8| *byte == separator || *byte == b'\n' || *byte == b'\r';
    // Most values are short: to look at many bytes at once takes a while to begin.
    let near = &rest[..rest.len().min(NEAR)];
    near.iter().position(is_end).or_else(|| {
        let end = memchr3(separator, b'\n', b'\r', &rest[near.len()..])?;
        Some(near.len() + end)
    })
}

/// Line ends within a value; two bytes that are one line end are counted as one.
fn line_feeds(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rows = Vec<Vec<String>>;

    /// All records, read in pieces of some bytes, with every column.
    fn all(text: &[u8], piece: usize, width: usize) -> Result<(Rows, Vec<Record>), Fault> {
        let mut records = Records::new(text, b',', 1);
        records.reader = BufReader::with_capacity(piece, text);
        let mut columns = Columns::at((0..width).collect());
        let (mut rows, mut told) = (Vec::new(), Vec::new());
        while let Some(record) = records.read(&mut columns)? {
            let row = columns.columns.iter().map(|texts| String::from_utf8_lossy(texts.get(rows.len())).into_owned());
            rows.push(row.collect());
            told.push(record);
        }
        Ok((rows, told))
    }

    #[test]
    fn records_are_those_that_a_well_known_reader_finds() {
        let parts = ["a", "", "\"b,\"\"c\"", "\"x\r\ny\"", " 1 ", "5\" nail", "\"\"", "é"];
        let mut number: u64 = 7;
        let mut next = |below: usize| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(number >> 33).unwrap() % below
        };
        for _ in 0..2_000 {
            let width = 1 + next(4);
            let ends = ["\n", "\r\n"][next(2)];
            let mut text = String::new();
            for _ in 0..next(5) {
                let row: Vec<&str> = (0..width).map(|_| parts[next(parts.len())]).collect();
                text.push_str(&(row.join(",") + ends));
            }
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
            let expected: Rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
            let (mut rows, told) = all(text.as_bytes(), 1 + next(9), width).unwrap();
            // The other one leaves empty lines out by itself.
            let mut is_blank = told.iter().map(|record| record.is_blank);
            rows.retain(|_| !is_blank.next().unwrap());
            assert_eq!(rows, expected, "{text:?}");
        }
    }

    #[test]
    fn faults_name_the_line() {
        assert_eq!(all(b"age,note\n60,\"abc\n70,x\n80,y\n", 4, 2), Err(Fault::UnclosedQuote { line: 2 }));
        assert_eq!(
            all(b"a\n\"x\ny\"\n\"z\n", 5, 1),
            Err(Fault::UnclosedQuote { line: 4 }),
            "line breaks in values count"
        );
        assert_eq!(all(b"a,b\r\n1,\"x\"y\r\n", 3, 2), Err(Fault::TextBehindQuote { line: 2 }));
        let long = [b"a,b\n1,\"".as_slice(), &[b'x'; LONGEST_VALUE + 1], b"\"\n"].concat();
        assert_eq!(all(&long, PIECE, 2), Err(Fault::TooLong { line: 2 }));
        // Of a column that nobody asked for that does not matter.
        assert!(all(&long, PIECE, 1).is_ok());
    }

    #[test]
    fn records_say_what_they_are() {
        let (rows, told) = all(b"a,b\rc,\r  \r\n\"\"\r1,2,3", 2, 2).unwrap();
        assert_eq!(rows, [["a", "b"], ["c", ""], ["  ", ""], ["", ""], ["1", "2"]]);
        let lines: Vec<u64> = told.iter().map(|record| record.line).collect();
        let values: Vec<usize> = told.iter().map(|record| record.values).collect();
        assert_eq!((lines, values), (vec![1, 2, 3, 4, 5], vec![2, 2, 1, 1, 3]));
        let blank: Vec<bool> = told.iter().map(|record| record.is_blank).collect();
        assert_eq!(blank, [false, false, true, false, false]);
        let ends_empty: Vec<bool> = told.iter().map(|record| record.ends_empty).collect();
        assert_eq!(ends_empty, [false, true, true, false, false]);
    }

    #[test]
    fn a_record_that_is_taken_back_leaves_nothing() {
        let mut records = Records::new(b"abc,d\nef,g".as_slice(), b',', 1);
        let mut columns = Columns::at(vec![0]);
        records.read(&mut columns).unwrap();
        records.read(&mut columns).unwrap();
        columns.undo();
        assert_eq!(
            (columns.columns[0].get(0), columns.columns[0].ends.len(), columns.bytes()),
            (b"abc".as_slice(), 2, 3)
        );
    }
}
