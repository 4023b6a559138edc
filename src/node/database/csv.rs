use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use arrow_csv::ReaderBuilder;
use arrow_schema::{DataType, Field, Schema};

use super::{BATCH_ROWS, unreadable};
use crate::algorithms::{AlgorithmError, Batches, Table};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Opens a comma-separated file with a header line. Every column is text: only its values tell whether it holds
/// numbers, and guessing from the first rows would be wrong for the rest.
pub fn open(path: &Path) -> Result<Table, AlgorithmError> {
    let mut file = File::open(path).map_err(unreadable)?;
    skip_byte_order_mark(&mut file)?;
    let mut reader = csv::Reader::from_reader(BufReader::new(file));
    let header = reader.headers().map_err(|_| AlgorithmError::Unreadable("its header is not CSV".to_owned()))?;
    let fields: Vec<Field> = header.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    if fields.is_empty() {
        return Err(AlgorithmError::Unreadable("its file is empty".to_owned()));
    }
    let schema = Arc::new(Schema::new(fields));
    let (path, of_batches) = (path.to_owned(), schema.clone());
    let read = Box::new(move |columns: &[usize]| -> Result<Batches, AlgorithmError> {
        let mut file = File::open(&path).map_err(unreadable)?;
        skip_byte_order_mark(&mut file)?;
        let reader = ReaderBuilder::new(of_batches)
            .with_header(true)
            .with_batch_size(BATCH_ROWS)
            .with_projection(columns.to_vec())
            .build(file)
            .map_err(|_| AlgorithmError::Unreadable("its file is not CSV".to_owned()))?;
        // The reader's own messages can contain values.
        Ok(Box::new(reader.map(|batch| {
            batch.map_err(|_| {
                AlgorithmError::Unreadable("a line has not as many values as there are columns".to_owned())
            })
        })))
    });
    Ok(Table { schema, untyped: true, identifiers: Vec::new(), has_person: false, read })
}

fn skip_byte_order_mark(file: &mut File) -> Result<(), AlgorithmError> {
    let mut start = [0; 3];
    let marked = file.read_exact(&mut start).is_ok() && start == BYTE_ORDER_MARK;
    file.seek(SeekFrom::Start(if marked { 3 } else { 0 })).map_err(unreadable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        file
    }

    #[test]
    fn only_the_columns_asked_for_are_read() {
        let file = file(b"\xEF\xBB\xBFname,age\nAnn,60\n\"Bo, jr\",\n");
        let table = open(file.path()).unwrap();
        assert_eq!(table.schema.field(0).name(), "name");
        let batches: Vec<_> = (table.read)(&[1]).unwrap().map(Result::unwrap).collect();
        assert_eq!((batches[0].num_rows(), batches[0].num_columns()), (2, 1));
    }

    #[test]
    fn failures_do_not_contain_values_or_paths() {
        let file = file(b"name,age\nsecret\n");
        let table = open(file.path()).unwrap();
        let error = (table.read)(&[0]).unwrap().next().unwrap().unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        let error = open(Path::new("/nowhere/patients.csv")).err().unwrap().to_string();
        assert!(error.contains("not there") && !error.contains("patients"), "{error}");
    }
}
