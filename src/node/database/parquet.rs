use std::{fs::File, path::Path};

use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use super::{BATCH_ROWS, unreadable};
use crate::algorithms::{AlgorithmError, Batches, Table};

/// Opens a Parquet file.
pub fn open(path: &Path) -> Result<Table, AlgorithmError> {
    let not_parquet = |_| AlgorithmError::Unreadable("its file is not Parquet".to_owned());
    let file = File::open(path).map_err(unreadable)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(not_parquet)?;
    let schema = builder.schema().clone();
    let read = Box::new(move |columns: &[usize]| -> Result<Batches, AlgorithmError> {
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(not_parquet)?;
        Ok(Box::new(
            reader.map(|batch| batch.map_err(|_| AlgorithmError::Unreadable("its file is damaged".to_owned()))),
        ))
    });
    Ok(Table { schema, untyped: None, identifiers: Vec::new(), has_person: false, read })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

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
    fn what_is_not_parquet_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(open(file.path()).err().unwrap().to_string().contains("not Parquet"));
    }
}
