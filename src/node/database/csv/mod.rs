//! Tables as text: values with separators between them.

pub mod header;
mod layout;
mod records;

use std::{fs::File, path::Path, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use self::{
    layout::{Extra, Layout, not_utf8},
    records::{Columns, Fault, Records, Texts},
};
use super::{BATCH_BYTES, BATCH_ROWS, LINE};
use crate::algorithms::{AlgorithmError, Batches, DecimalMark, OF_A_LINE, Table};

/// What the configuration says of a file; what it does not say, the file tells.
#[derive(Debug, Clone, Default)]
pub struct Format {
    pub separator: Option<u8>,
    pub decimal: Option<DecimalMark>,
    /// Whether the first line names the columns.
    pub header: Option<bool>,
    /// Columns that the configuration names: where the first line has one it is no data.
    pub named: Vec<String>,
    /// The names of the columns, instead of those of the file.
    pub columns: Vec<String>,
}

impl From<Fault> for AlgorithmError {
    fn from(fault: Fault) -> Self {
        of_a_line(fault.to_string())
    }
}

/// A fault of a line; in which one it is the organization's own people read.
fn of_a_line(reason: String) -> AlgorithmError {
    AlgorithmError::Damaged { told: OF_A_LINE, reason }
}

/// Opens a file. Every column is text: only its values tell whether it holds numbers, and guessing from the first rows would
/// be wrong for the rest.
pub fn open(path: &Path, format: &Format, with_lines: bool) -> Result<Table, AlgorithmError> {
    let layout = Layout::of(path, format)?;
    let shift = usize::from(layout.extra == Extra::RowNames);
    let named = layout.names.iter().enumerate().filter_map(|(place, name)| Some((place + shift, name.as_ref()?)));
    let (places, mut fields): (Vec<usize>, Vec<Field>) =
        named.map(|(place, name)| (place, Field::new(name, DataType::Utf8, true))).unzip();
    if fields.is_empty() {
        return Err(AlgorithmError::Unreadable("no column of it has a name".to_owned()));
    }
    if with_lines {
        fields.push(Field::new(LINE, DataType::UInt64, false));
    }
    let schema = Arc::new(Schema::new(fields));
    let (path, of_all) = (path.to_owned(), schema.clone());
    let read = Box::new(move |columns: &[usize]| -> Result<Batches, AlgorithmError> {
        let schema = of_all.project(columns).map_err(|error| AlgorithmError::Unreadable(error.to_string()))?;
        let asks_lines = columns.last().is_some_and(|last| *last == places.len());
        let places = columns.iter().filter_map(|column| places.get(*column).copied()).collect();
        Ok(Box::new(Reading {
            records: layout.open(&path)?,
            layout,
            columns: Columns::at(places),
            schema: Arc::new(schema),
            lines: Vec::new(),
            asks_lines,
            is_over: false,
        }))
    });
    Ok(Table {
        schema,
        untyped: Some(format.decimal.unwrap_or_default()),
        identifiers: Vec::new(),
        has_person: false,
        read,
    })
}

/// A pass over a file.
struct Reading {
    records: Records<File>,
    layout: Layout,
    columns: Columns,
    schema: SchemaRef,
    /// In which line each row of the batch begins.
    lines: Vec<u64>,
    /// Whether that is a column, behind the others.
    asks_lines: bool,
    is_over: bool,
}

impl Reading {
    fn batch(&mut self) -> Result<Option<RecordBatch>, AlgorithmError> {
        self.columns.clear();
        self.lines.clear();
        while self.lines.len() < BATCH_ROWS && self.columns.bytes() < BATCH_BYTES {
            match self.records.read(&mut self.columns)? {
                None => {
                    self.is_over = true;
                    break;
                }
                Some(record) if record.is_blank => self.columns.undo(),
                Some(record) => {
                    self.layout.require_fits(&record)?;
                    self.lines.push(record.line);
                }
            }
        }
        if self.lines.is_empty() {
            return Ok(None);
        }
        let arrays = self.columns.columns.iter_mut().map(|texts| array(std::mem::take(texts), &self.lines));
        let mut arrays = arrays.collect::<Result<Vec<ArrayRef>, _>>()?;
        if self.asks_lines {
            arrays.push(Arc::new(UInt64Array::from(self.lines.clone())));
        }
        let batch = RecordBatch::try_new(self.schema.clone(), arrays);
        batch.map(Some).map_err(|error| AlgorithmError::Unreadable(error.to_string()))
    }
}

impl Iterator for Reading {
    type Item = Result<RecordBatch, AlgorithmError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let batch = self.batch().transpose();
        self.is_over |= matches!(batch, Some(Err(_)));
        batch
    }
}

/// The values of a column as an array; an error with the line of what is not UTF-8.
fn array(texts: Texts, lines: &[u64]) -> Result<ArrayRef, AlgorithmError> {
    let (bytes, ends) = (Buffer::from_vec(texts.bytes), OffsetBuffer::new(ScalarBuffer::from(texts.ends)));
    match StringArray::try_new(ends.clone(), bytes.clone(), None) {
        Ok(array) => Ok(Arc::new(array)),
        Err(_) => {
            let text = |row: usize| &bytes[ends[row] as usize..ends[row + 1] as usize];
            let row = (0..lines.len()).find(|row| std::str::from_utf8(text(*row)).is_err()).unwrap_or_default();
            Err(not_utf8(lines.get(row).copied().unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use std::io::Write;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        file
    }

    /// The names of the columns, and the values of each.
    fn table_of(text: &[u8], format: &Format) -> Result<Vec<(String, Vec<String>)>, AlgorithmError> {
        let file = file(text);
        let names: Vec<String> =
            open(file.path(), format, false)?.schema.fields().iter().map(|field| field.name().clone()).collect();
        let values = |place: usize| -> Result<Vec<String>, AlgorithmError> {
            let mut values = Vec::new();
            for batch in (open(file.path(), format, false)?.read)(&[place])? {
                values.extend(batch?.column(0).as_string::<i32>().iter().map(|value| value.unwrap().to_owned()));
            }
            Ok(values)
        };
        names.into_iter().enumerate().map(|(place, name)| Ok((name, values(place)?))).collect()
    }

    fn column(name: &str, values: &[&str]) -> (String, Vec<String>) {
        (name.to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
    }

    fn as_it_is(text: &str) -> Result<Vec<(String, Vec<String>)>, AlgorithmError> {
        table_of(text.as_bytes(), &Format::default())
    }

    #[test]
    fn files_are_read_as_they_are_written() {
        for (text, expected) in [
            (
                "\u{feff}name,age\nAnn,60\n\"Bo, jr\",\n",
                vec![column("name", &["Ann", "Bo, jr"]), column("age", &["60", ""])],
            ),
            ("id;age\r\n1;60\r\n2;70\r\n", vec![column("id", &["1", "2"]), column("age", &["60", "70"])]),
            ("id\tage\r1\t60\r", vec![column("id", &["1"]), column("age", &["60"])]),
            ("sep=;\nid;age\n1;60\n", vec![column("id", &["1"]), column("age", &["60"])]),
            ("id;Weight\n1;60,5\n", vec![column("id", &["1"]), column("Weight", &["60,5"])]),
            ("age\n60\n\n70\n  \n\"\"\n\n", vec![column("age", &["60", "70", ""])]),
            // A short line, and a footer.
            (
                "id,age,note\n1,60\n2,70,x\nTotal\n",
                vec![
                    column("id", &["1", "2", "Total"]),
                    column("age", &["60", "70", ""]),
                    column("note", &["", "x", ""]),
                ],
            ),
            // Trailing separators, and the names of rows.
            ("id,age,\n1,60\n2,70,\n", vec![column("id", &["1", "2"]), column("age", &["60", "70"])]),
            (
                "\"age\",\"w\"\n\"a\",60,1.5\n\"b\",70,NA\n",
                vec![column("age", &["60", "70"]), column("w", &["1.5", "NA"])],
            ),
            (",age\n0,60\n1,70\n", vec![column("age", &["60", "70"])]),
            ("age,age, age\n1,10,5\n", vec![column("age", &["1"]), column("age.1", &["10"]), column("age.2", &["5"])]),
            ("\"Age\n(years)\",x y\n1,2\n", vec![column("Age (years)", &["1"]), column("x y", &["2"])]),
        ] {
            assert_eq!(as_it_is(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_configuration_says_what_a_file_does_not() {
        let format = |columns: &[&str], header: Option<bool>, separator: Option<u8>| Format {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            header,
            separator,
            ..Format::default()
        };
        let read = |text: &str, format: Format| table_of(text.as_bytes(), &format);
        let no_header = "10001,1950-02-03,60\n10002,1961-07-08,70\n";
        let error = as_it_is(no_header).unwrap_err().to_string();
        assert!(error.contains("header: false") && !error.contains("10001"), "{error}");
        let names: Vec<String> =
            read(no_header, format(&[], Some(false), None)).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["column_1", "column_2", "column_3"]);
        let named = read(no_header, format(&["id", "birth", "age"], None, None)).unwrap();
        assert_eq!(named[2], column("age", &["60", "70"]));
        let renamed = read("a,b\n1,2\n", format(&["x", "y"], Some(true), None)).unwrap();
        assert_eq!(renamed, [column("x", &["1"]), column("y", &["2"])]);
        assert_eq!(read("1,2\n3,4\n", format(&[], Some(true), None)).unwrap()[1], column("2", &["4"]));
        assert_eq!(read("a|b;c\n1|2;3\n", format(&[], None, Some(b'|'))).unwrap()[1], column("b;c", &["2;3"]));
        let error = as_it_is("a|b;c\n1|2;3\n").unwrap_err().to_string();
        assert!(error.contains("separator:"), "{error}");
        let error = read("1,2,3\n", format(&["x", "y"], None, None)).unwrap_err().in_full();
        assert!(error.contains("line 1 has 3 values"), "{error}");
    }

    #[test]
    fn a_comma_that_stands_before_decimals_separates_nothing() {
        let comma = || Format { decimal: Some(DecimalMark::Comma), ..Format::default() };
        let read = |text: &str, format: Format| table_of(text.as_bytes(), &format);
        let weights = "Weight\n60,0\n61,3\n";
        assert_eq!(read(weights, comma()).unwrap(), [column("Weight", &["60,0", "61,3"])]);
        let error = read("id,weight\nP0,60,0\nP0,61,3\n", comma()).unwrap_err().to_string();
        assert!(error.contains("looks like data"), "{error}");
        let explicit = Format { separator: Some(b','), ..comma() };
        assert_eq!(read("id,weight\nP0,\"60,5\"\n", explicit).unwrap()[1], column("weight", &["60,5"]));
        assert_eq!(read("id;weight\nP0;60,5\n", comma()).unwrap()[1], column("weight", &["60,5"]));
        // Where nothing is said, names of rows could be the parts of a number.
        let numbered = ["dose\n1,5\n2,5\n3,5\n4,25\n", "patient,age,crea\n1,60,0,9\n2,61,1,1\n3,60,1,2\n"];
        for text in [weights, "id,weight\nP0,60,0\nP0,61,3\n"].into_iter().chain(numbered) {
            let error = as_it_is(text).unwrap_err().to_string();
            assert!(error.contains("decimal:"), "{text:?}: {error}");
            let point = Format { decimal: Some(DecimalMark::Point), ..Format::default() };
            assert!(read(text, point).is_ok(), "{text:?}");
        }
        let by_r = as_it_is("\"age\",\"w\"\n\"1\",60,1.5\n\"2\",70,2.5\n").unwrap();
        assert_eq!(by_r, [column("age", &["60", "70"]), column("w", &["1.5", "2.5"])]);
    }

    #[test]
    fn faults_name_the_line_and_no_value() {
        for (text, told) in [
            ("age,note\n60,\"secret\n70,x\n80,y\n", "opens in line 2 does not close"),
            ("sep=,\nage,note\n60,\"secret\n", "opens in line 3 does not close"),
            ("age,note\n60,\"x\"secret\n", "in line 2 something stands behind"),
            ("age,note\n60,x\n\n70,secret,y\n", "line 4 has 3 values, and there are 2 columns"),
            // Names of rows are in all lines, or in none; and what is empty at the end of all lines can be either.
            ("age,w\na,60,1\nb,70\n", "line 2 has 3 values"),
            ("age,w\na,60,\nb,70,\n", "line 2 has 3 values"),
            ("note,age,patient\nfell, twice,22,70000\nx,60,70001\n", "line 2 has 4 values"),
            ("Report for Ann Miller; ward 3\nid;age;sex;ward\n1;60;f;3\n2;70;m;4\n", "most lines have more values"),
            ("Report for Ann Miller\nid;age;sex\n1;60;f\n2;70;m\n", "does not name the columns"),
            ("age,w\na,60,1\nb,70,2,3\n", "line 2 has 3 values"),
            ("age,w\n60,1,\n70,2,secret\n80,1,\n", "line 2 has 3 values"),
            ("", "empty"),
        ] {
            let error = as_it_is(text).unwrap_err();
            assert!(error.in_full().contains(told) && !error.in_full().contains("secret"), "{text:?}: {error}");
            let of_a_line = told.contains(|letter: char| letter.is_ascii_digit());
            assert!(
                !of_a_line || !error.to_string().contains("line 4") && !error.to_string().contains("line 2"),
                "{error}"
            );
        }
        let latin = [b"age,name\n".as_slice(), &b"60,a\n".repeat(6), b"60,Bj\xf6rn\n"].concat();
        let error = table_of(&latin, &Format::default()).unwrap_err().in_full();
        assert!(error.contains("line 8 is not UTF-8"), "{error}");
        let error = open(Path::new("/nowhere/patients.csv"), &Format::default(), false).err().unwrap().to_string();
        assert!(error.contains("not there") && !error.contains("patients"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        assert!(open(folder.path(), &Format::default(), false).err().unwrap().to_string().contains("a folder"));
    }

    #[test]
    fn a_column_that_nobody_asks_for_costs_nothing_and_spoils_nothing() {
        let bad = [b"age,name\n60,Bj\xf6rn\n".as_slice(), b"70,", &[b'x'; 2_000_000], b"\n"].concat();
        let file = file(&bad);
        let mut ages =
            (open(file.path(), &Format { header: Some(true), ..Format::default() }, false).unwrap().read)(&[0])
                .unwrap();
        assert_eq!(ages.next().unwrap().unwrap().num_rows(), 2);
        let wide = (0..5_000).map(|number| format!("c{number}")).collect::<Vec<_>>().join(",");
        let rows = ["7"; 5_000].join(",");
        let text = format!("{wide}\n{}", format!("{rows}\n").repeat(100));
        let file = self::file(text.as_bytes());
        let mut batches = (open(file.path(), &Format::default(), false).unwrap().read)(&[4_999]).unwrap();
        let batch = batches.next().unwrap().unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (100, 1));
    }

    #[test]
    fn batches_are_bounded_by_their_bytes() {
        let text = format!("note\n{}", format!("{}\n", "x".repeat(1_000_000)).repeat(20));
        let file = file(text.as_bytes());
        let rows: Vec<usize> =
            (open(file.path(), &Format { header: Some(true), ..Format::default() }, false).unwrap().read)(&[0])
                .unwrap()
                .map(|batch| batch.unwrap().num_rows())
                .collect();
        assert_eq!((rows.iter().sum::<usize>(), rows.iter().max()), (20, Some(&9)));
    }
}
