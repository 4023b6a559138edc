use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use super::{BATCH_ROWS, column_names::column_names, unreadable};
use crate::algorithms::{AlgorithmError, Batches, Table};

/// Rows read at once of however many columns.
const LEAST_ROWS: usize = 256;

/// Opens a Parquet file, or a folder of them as one table, as Spark and others write it.
pub fn open(path: &Path) -> Result<Table, AlgorithmError> {
    let files = files(path)?;
    let mut builders = files.iter().map(|file| builder(file));
    let first =
        builders.next().ok_or_else(|| AlgorithmError::Unreadable("its folder has no Parquet file".to_owned()))??;
    for other in builders {
        if !have_same_columns(first.schema(), other?.schema()) {
            return Err(AlgorithmError::Unreadable("the files of its folder have not the same columns".to_owned()));
        }
    }
    let written = first.schema().fields().clone();
    let names = column_names(written.iter().map(|field| field.name().as_str()));
    // Such as the row numbers that pandas writes.
    let named = written.iter().zip(names).enumerate().filter_map(|(place, (field, name))| {
        let name = name.filter(|name| !is_index(name))?;
        Some((place, field.as_ref().clone().with_name(name)))
    });
    let (places, fields): (Vec<usize>, Vec<Field>) = named.unzip();
    let read = Box::new(move |columns: &[usize]| -> Result<Batches, AlgorithmError> {
        let roots: Vec<usize> = columns.iter().filter_map(|column| places.get(*column).copied()).collect();
        // One file after the other is open.
        Ok(Box::new(files.into_iter().flat_map(move |file| match of_file(&file, &roots) {
            Ok(batches) => batches,
            Err(error) => Box::new(std::iter::once(Err(error))),
        })))
    });
    let schema = Arc::new(Schema::new(fields));
    Ok(Table { schema, untyped: None, identifiers: Vec::new(), has_person: false, read })
}

/// The files of a database: itself, or those of its folder in the order of their names.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, AlgorithmError> {
    if !path.metadata().map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What others write beside their files, such as _SUCCESS.
        if name.starts_with(['.', '_']) {
            continue;
        }
        if entry.path().is_dir() {
            return Err(AlgorithmError::Unreadable("its folder has folders: name one of them".to_owned()));
        }
        if name.ends_with(".parquet") {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn builder(file: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, AlgorithmError> {
    let file = File::open(file).map_err(unreadable)?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| why(error, "its file is not Parquet"))
}

/// The batches of a file with the columns at these places.
fn of_file(file: &Path, roots: &[usize]) -> Result<Batches, AlgorithmError> {
    let builder = builder(file)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
    // Of many columns fewer rows at a time, so that a batch stays as large as one of a column.
    let rows = (BATCH_ROWS / roots.len().max(1)).max(LEAST_ROWS);
    let reader = builder.with_projection(mask).with_batch_size(rows).build();
    let reader = reader.map_err(|error| why(error, "its file is not Parquet"))?;
    Ok(Box::new(reader.map(|batch| batch.map_err(|error| why(error, "its file is damaged")))))
}

/// An error in words. What the library says can hold more than others may read: it stands in the node's log.
fn why(error: impl std::fmt::Display, told: &str) -> AlgorithmError {
    tracing::warn!(%error, "a Parquet file cannot be read");
    AlgorithmError::Unreadable(told.to_owned())
}

fn have_same_columns(one: &Schema, other: &Schema) -> bool {
    let columns = |schema: &Schema| -> Vec<(String, DataType)> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    columns(one) == columns(other)
}

/// Whether pandas has named a column for its own use.
fn is_index(name: &str) -> bool {
    name.strip_prefix("__index_level_").is_some_and(|rest| rest.trim_end_matches("__").parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, cast::AsArray, types::Int64Type};
    use parquet::arrow::ArrowWriter;

    #[test]
    fn a_column_of_a_parquet_file_is_read_in_batches() {
        let ages: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
        let names: ArrayRef = Arc::new(StringArray::from(vec!["x"; 100_000]));
        let batch = RecordBatch::try_from_iter([("name", names), ("age", ages)]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let table = open(file.path()).unwrap();
        let sizes: Vec<usize> = (table.read)(&[1]).unwrap().map(|batch| batch.unwrap().num_rows()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 100_000);
        assert!(sizes.iter().all(|size| *size <= BATCH_ROWS));
    }

    #[test]
    fn names_are_written_as_everywhere() {
        let column = || -> ArrayRef { Arc::new(Int64Array::from(vec![1])) };
        let names = [" age", "age\n", "Weight  (kg)"];
        let batch = RecordBatch::try_from_iter(names.map(|name| (name, column()))).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let table = open(file.path()).unwrap();
        let names: Vec<&str> = table.schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["age", "age.1", "Weight (kg)"]);
    }

    /// Writes a file with some columns of one number.
    fn write(file: &Path, columns: &[(&str, i64)]) {
        let columns = columns.iter().map(|(name, value)| (*name, Arc::new(Int64Array::from(vec![*value])) as ArrayRef));
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(file).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn a_folder_is_one_table() {
        let folder = tempfile::tempdir().unwrap();
        let open = || open(folder.path());
        assert!(open().err().unwrap().to_string().contains("no Parquet file"));
        write(&folder.path().join("part-1.parquet"), &[("age", 70), ("__index_level_0__", 1), ("weight", 7)]);
        write(&folder.path().join("part-0.parquet"), &[("age", 60), ("__index_level_0__", 0), ("weight", 6)]);
        std::fs::write(folder.path().join("_SUCCESS"), "").unwrap();
        let table = open().unwrap();
        let names: Vec<&str> = table.schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["age", "weight"]);
        let mut weights = Vec::new();
        for batch in (table.read)(&[1]).unwrap() {
            weights.extend(batch.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec());
        }
        assert_eq!(weights, [6, 7]);
        write(&folder.path().join("part-2.parquet"), &[("age", 60)]);
        assert!(open().err().unwrap().to_string().contains("not the same columns"));
        std::fs::create_dir(folder.path().join("year=2020")).unwrap();
        assert!(open().err().unwrap().to_string().contains("has folders"));
    }

    #[test]
    fn what_is_not_parquet_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(open(file.path()).err().unwrap().to_string().contains("not Parquet"));
    }
}
