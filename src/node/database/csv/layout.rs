//! How a file is written: its separator, its first line, and whether its lines have more values than that.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::{
    super::{column_names::column_names, content, unreadable},
    Format,
    header::{has_one_of, looks_like_data},
    of_a_line,
    records::{Fault, Nothing, Record, Records, Row},
};
use crate::algorithms::{AlgorithmError, DecimalMark};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// So many bytes are looked at, …
const SAMPLE_BYTES: u64 = 1024 * 1024;
/// … and so many lines.
const SAMPLE_LINES: usize = 1_000;
/// Separators beside the comma.
const OTHER_SEPARATORS: [u8; 3] = [b';', b'\t', b'|'];

/// How a file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Where its lines begin, in bytes, and how many lines stand before.
    pub start: u64,
    pub lines_before: u64,
    pub separator: u8,
    pub has_header: bool,
    /// The name of each column; `None` has none.
    pub names: Vec<Option<String>>,
    pub extra: Extra,
}

/// What stands in lines with one value more than there are names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// Nothing does.
    Nothing,
    /// The first value is the name of the row, as R writes tables: in each line.
    RowNames,
}

/// The first lines of a file.
struct Sample {
    bytes: Vec<u8>,
    /// Whether that is all of it.
    is_whole: bool,
    /// The number of its first line.
    line: u64,
}

impl Layout {
    /// Looks at the beginning of a file.
    pub fn of(path: &Path, format: &Format) -> Result<Layout, AlgorithmError> {
        let mut file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(AlgorithmError::Unreadable("it is a folder, and not a file".to_owned()));
        }
        let mut bytes = Vec::new();
        file.by_ref().take(SAMPLE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        content::require_text(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes))?;
        let mut start = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut lines_before = 0;
        let mut separator = format.separator;
        // As Excel writes and reads it.
        if let Some((said, length)) = separator_line(&bytes[start..]) {
            start += length;
            lines_before = 1;
            separator = separator.or(Some(said));
        }
        let is_whole = (bytes.len() as u64) < SAMPLE_BYTES;
        let sample = Sample { bytes: bytes.split_off(start), is_whole, line: lines_before + 1 };
        let separator = match separator {
            Some(separator) => separator,
            None => sample.separator(format.decimal)?,
        };
        let mut rows = sample.rows(separator)?;
        let Some((Row(first), _)) = rows.first().cloned() else {
            let told = if is_whole { "its file is empty" } else { "its first line is longer than 1 MB" };
            return Err(AlgorithmError::Unreadable(told.to_owned()));
        };
        let may_be_decimals = format.separator.is_none() && format.decimal.is_none() && separator == b',';
        let has_header = format.header.unwrap_or(format.columns.is_empty());
        // A line of another kind, such as a title: its words are no names.
        let width = first.len();
        let fitting = rows.iter().skip(1).filter(|(_, record)| record.values <= width + 1).count();
        if has_header && format.header.is_none() && 2 * fitting < rows.len().saturating_sub(1) {
            return Err(AlgorithmError::Unreadable(
                "most lines have more values than the first one, which so does not name the columns: take lines before the \
                 names away, or write header: true if these are names"
                    .to_owned(),
            ));
        }
        if has_header {
            rows.remove(0);
        }
        let names = match (format.columns.is_empty(), has_header) {
            (true, true) => {
                let first: Option<Vec<String>> = first.into_iter().map(|name| String::from_utf8(name).ok()).collect();
                let first = first.ok_or_else(|| not_utf8(lines_before + 1))?;
                let texts = |(Row(row), _): &(Row, Record)| {
                    row.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
                };
                let mut below: Vec<Vec<String>> = rows.iter().map(texts).collect();
                let records: Vec<Record> = rows.iter().map(|(_, record)| *record).collect();
                if extra_of(&records, first.len(), true) == Extra::RowNames {
                    if may_be_decimals && have_decimals(&below) && !sample.begins_with_quotes() {
                        return Err(AlgorithmError::Unreadable(
                            "its lines have one value more than the first one, which can be decimals or names of rows: write \
                             decimal: \",\" or decimal: \".\""
                                .to_owned(),
                        ));
                    }
                    below.iter_mut().for_each(|row| drop(row.remove(0)));
                }
                if format.header.is_none() && !has_one_of(&first, &format.named) && looks_like_data(&first, &below) {
                    return Err(AlgorithmError::Unreadable(
                        "its first line looks like data and not like names of columns: write header: false, or columns: \
                         with their names, or header: true if these are names"
                            .to_owned(),
                    ));
                }
                column_names(first.iter().map(String::as_str))
            }
            (true, false) => (1..=first.len()).map(|number| Some(format!("column_{number}"))).collect(),
            (false, _) => column_names(format.columns.iter().map(String::as_str)),
        };
        let records: Vec<Record> = rows.into_iter().map(|(_, record)| record).collect();
        let extra = extra_of(&records, names.len(), has_header);
        Ok(Layout { start: start as u64, lines_before, separator, has_header, names, extra })
    }

    /// The lines of the file, behind its names.
    pub fn open(&self, path: &Path) -> Result<Records<File>, AlgorithmError> {
        let mut file = File::open(path).map_err(unreadable)?;
        file.seek(SeekFrom::Start(self.start)).map_err(unreadable)?;
        let mut records = Records::new(file, self.separator, self.lines_before + 1);
        if self.has_header {
            while records.read(&mut Nothing)?.is_some_and(|record| record.is_blank) {}
        }
        Ok(records)
    }

    /// An error for a record that has too many values.
    pub fn require_fits(&self, record: &Record) -> Result<(), AlgorithmError> {
        let width = self.names.len();
        let fits = match self.extra {
            Extra::Nothing => record.values <= width,
            Extra::RowNames => record.values == width + 1,
        };
        if fits {
            return Ok(());
        }
        let (line, values) = (record.line, record.values);
        Err(of_a_line(format!("line {line} has {values} values, and there are {width} columns")))
    }
}

/// What stands in lines with one value more than there are names. Only if all have one more, these are names of rows; where
/// the last one is empty in most lines it can be a separator at their ends as well, and is a fault.
fn extra_of(records: &[Record], width: usize, may_be_names: bool) -> Extra {
    let are_longer = !records.is_empty() && records.iter().all(|record| record.values == width + 1);
    let empty = records.iter().filter(|record| record.ends_empty).count();
    if are_longer && 2 * empty < records.len() && may_be_names { Extra::RowNames } else { Extra::Nothing }
}

/// Whether two neighbours in each line can be one number with a comma.
fn have_decimals(lines: &[Vec<String>]) -> bool {
    let is_digits = |cell: &String| !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = |cell: &String| is_digits(&cell.trim_start_matches(['-', '+']).to_owned());
    let has = |line: &Vec<String>| line.windows(2).any(|pair| is_number(&pair[0]) && is_digits(&pair[1]));
    lines.iter().all(has)
}

/// `sep=;` as a line of its own: the separator, and how many bytes the line has.
fn separator_line(text: &[u8]) -> Option<(u8, usize)> {
    let [separator, rest @ ..] = text.strip_prefix(b"sep=")? else { return None };
    let end = match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\n' | b'\r', ..] => 1,
        _ => return None,
    };
    Some((*separator, b"sep=".len() + 1 + end))
}

impl Sample {
    /// Whether each line begins with a quotation mark, as names of rows that R writes do, and no decimal number does.
    fn begins_with_quotes(&self) -> bool {
        let lines = self.bytes.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.trim_ascii().is_empty());
        lines.skip(1).all(|line| line.trim_ascii_start().first() == Some(&b'"'))
    }

    /// Its lines with values, and what they are. A line that goes on behind the sample is not among them.
    fn rows(&self, separator: u8) -> Result<Vec<(Row, Record)>, Fault> {
        let mut records = Records::new(self.bytes.as_slice(), separator, self.line);
        let mut rows = Vec::new();
        loop {
            let mut row = Row::default();
            match records.read(&mut row) {
                Ok(Some(record)) if !record.is_blank => rows.push((row, record)),
                Ok(Some(_)) => {}
                Ok(None) => break,
                // Its end can be behind the sample.
                Err(_) if !self.is_whole => break,
                Err(fault) => return Err(fault),
            }
            if rows.len() > SAMPLE_LINES {
                return Ok(rows);
            }
        }
        if !self.is_whole {
            rows.pop();
        }
        Ok(rows)
    }

    /// Whether most lines below the first one have several values.
    fn separates_below(&self) -> bool {
        [b','].iter().chain(&OTHER_SEPARATORS).any(|separator| {
            let Ok(rows) = self.rows(*separator) else { return false };
            let below = rows.iter().skip(1);
            let number = below.clone().count();
            number > 0 && 2 * below.filter(|(_, record)| record.values > 2).count() > number
        })
    }

    /// The separator: the comma, unless only another one separates, or it stands before decimals. An error if it can be
    /// either.
    fn separator(&self, decimal: Option<DecimalMark>) -> Result<u8, AlgorithmError> {
        // Whether it separates values of the first line, and all lines in the same way.
        let separates = |separator: u8| -> (bool, bool) {
            let Ok(rows) = self.rows(separator) else { return (false, false) };
            let Some(first) = rows.first().map(|(_, first)| first.values) else { return (false, false) };
            (first > 1, rows.iter().all(|(_, record)| record.values == first || record.values == first + 1))
        };
        let is_decimal = decimal == Some(DecimalMark::Comma);
        let by_comma = !is_decimal && separates(b',').0;
        let others = OTHER_SEPARATORS.map(|other| (other, separates(other)));
        let at_all: Vec<u8> = others.iter().filter(|(_, (first, _))| *first).map(|(other, _)| *other).collect();
        let everywhere: Vec<u8> =
            others.iter().filter(|(_, (first, all))| *first && *all).map(|(other, _)| *other).collect();
        match (by_comma, at_all.as_slice(), everywhere.as_slice()) {
            // One column.
            (_, [], _) if is_decimal => Ok(OTHER_SEPARATORS[0]),
            // Unless it is a title, before lines that it separates.
            (false, [], _) if self.separates_below() => Err(AlgorithmError::Unreadable(
                "its first line does not name the columns: lines below have more values. Take it away, or write separator:"
                    .to_owned(),
            )),
            (false, [], _) | (true, _, []) => Ok(b','),
            (false, [other], _) | (false, _, [other]) => Ok(*other),
            _ => Err(AlgorithmError::Unreadable(
                "its values can be separated in more than one way: write separator: with the one that is meant"
                    .to_owned(),
            )),
        }
    }
}

/// An error for a line that is not UTF-8.
pub fn not_utf8(line: u64) -> AlgorithmError {
    of_a_line(format!("line {line} is not UTF-8; save the file as UTF-8"))
}
