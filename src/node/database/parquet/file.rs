//! One Parquet file: which columns it has, and what is in them, in batches of bounded size.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use parquet::{
    arrow::{
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
        parquet_to_arrow_schema,
    },
    errors::ParquetError,
    file::metadata::{
        ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
        ParquetStatisticsPolicy, RowGroupMetaData,
    },
    schema::types::{SchemaDescriptor, Type},
};

use super::super::{BATCH_BYTES, BATCH_ROWS, unreadable};
use crate::algorithms::{AlgorithmError, Batches};

/// Bytes that a value takes at least, as text or as a number.
const VALUE_BYTES: i64 = 16;
/// What the library does when a file has what it does not expect.
const PANICKED: &str = "the reader panicked";
/// How a Parquet file begins, and how it ends if its footer is encrypted.
const MAGIC: [u8; 4] = *b"PAR1";
const MAGIC_ENCRYPTED: [u8; 4] = *b"PARE";

/// An open file.
pub struct ParquetFile {
    file: File,
    metadata: ParquetMetaData,
    /// Its columns in their order. One of a type that is not known is there without it, and with the reason: it spoils none of
    /// the others.
    columns: Vec<(String, Result<FieldRef, String>)>,
}

impl ParquetFile {
    pub fn open(path: &Path) -> Result<Self, AlgorithmError> {
        let file = File::open(path).map_err(unreadable)?;
        // Statistics of values: nobody asks for them, and writers have many ways to write them wrongly.
        let options = ParquetMetaDataOptions::new()
            .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
        let read = || ParquetMetaDataReader::new().with_metadata_options(Some(options.clone())).parse_and_finish(&file);
        let metadata = caught(read).map_err(|reason| damaged(what_is_wrong(&file), reason))?;
        let columns = columns(&metadata);
        Ok(ParquetFile { file, metadata, columns })
    }

    /// Names and types of the columns; one of a type that cannot be read has the null type.
    pub fn fields(&self) -> Vec<Field> {
        let field = |(name, kind): &(String, Result<FieldRef, String>)| match kind {
            Ok(field) => field.as_ref().clone(),
            Err(_) => Field::new(name, DataType::Null, true),
        };
        self.columns.iter().map(field).collect()
    }

    /// The batches with the columns at these places, which are in order.
    pub fn read(self, places: &[usize]) -> Result<Batches, AlgorithmError> {
        let mut fields = Vec::with_capacity(places.len());
        for (name, kind) in places.iter().filter_map(|place| self.columns.get(*place)) {
            match kind {
                Ok(field) => fields.push(as_view(field)),
                Err(reason) => {
                    return Err(damaged(
                        "one of its columns has a type that is not known",
                        format!("{name}: {reason}"),
                    ));
                }
            }
        }
        let reader = || {
            let metadata = only(&self.metadata, places)?;
            let rows = rows_at_once(&metadata);
            let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
            let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), options)?;
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.file, metadata).with_batch_size(rows).build()
        };
        let mut reader = Some(caught(reader).map_err(|reason| damaged(DAMAGED, reason))?);
        Ok(Box::new(std::iter::from_fn(move || {
            match caught(|| reader.as_mut().and_then(Iterator::next).transpose()) {
                Ok(batch) => batch.map(Ok),
                Err(reason) => {
                    // After a fault nothing that it says is right.
                    reader = None;
                    Some(Err(damaged(DAMAGED, reason)))
                }
            }
        })))
    }
}

const DAMAGED: &str = "its file is damaged";

/// What the library says can hold more than others may read.
fn damaged(told: &'static str, reason: String) -> AlgorithmError {
    AlgorithmError::Damaged { told, reason }
}

/// What the library reads; why it cannot, also where it ends in a panic.
fn caught<T, E: ToString>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err(PANICKED.to_owned()),
    }
}

/// Why a file whose footer cannot be read is of no use.
fn what_is_wrong(mut file: &File) -> &'static str {
    let mut bytes = [0; 4];
    let mut at = |place| file.seek(place).and_then(|_| file.read_exact(&mut bytes)).is_ok().then_some(bytes);
    match (at(SeekFrom::Start(0)), at(SeekFrom::End(-4))) {
        (_, Some(MAGIC_ENCRYPTED)) => "its file is encrypted",
        (Some(MAGIC), Some(MAGIC)) => "its file is damaged, or written in a way that is not known",
        (Some(MAGIC), _) => "its file is cut off",
        _ => "its file is not Parquet",
    }
}

/// The columns of a file. Types beyond those of Parquet stand beside them, as Arrow has them; where that cannot be read
/// they are what Parquet calls them, and where one of these is not known the others are.
fn columns(metadata: &ParquetMetaData) -> Vec<(String, Result<FieldRef, String>)> {
    let of_file = metadata.file_metadata();
    let schema = of_file.schema_descr();
    let known = caught(|| parquet_to_arrow_schema(schema, of_file.key_value_metadata()))
        .or_else(|_| caught(|| parquet_to_arrow_schema(schema, None)));
    let roots = schema.root_schema().get_fields();
    match known {
        Ok(known) if known.fields().len() == roots.len() => {
            known.fields().iter().map(|field| (field.name().clone(), Ok(field.clone()))).collect()
        }
        _ => roots.iter().map(|root| (root.name().to_owned(), kind(root))).collect(),
    }
}

/// The type of one column.
fn kind(root: &Arc<Type>) -> Result<FieldRef, String> {
    let schema = caught(|| parquet_to_arrow_schema(&with_roots("schema", vec![root.clone()])?, None))?;
    schema.fields().first().cloned().ok_or_else(|| "it has no values".to_owned())
}

fn with_roots(name: &str, roots: Vec<Arc<Type>>) -> Result<SchemaDescriptor, ParquetError> {
    Ok(SchemaDescriptor::new(Arc::new(Type::group_type_builder(name).with_fields(roots).build()?)))
}

/// What a file would say if it had the columns at these places and no others.
fn only(metadata: &ParquetMetaData, places: &[usize]) -> Result<ParquetMetaData, ParquetError> {
    let of_file = metadata.file_metadata();
    let schema = of_file.schema_descr();
    let roots = schema.root_schema().get_fields();
    let roots = places.iter().filter_map(|place| roots.get(*place).cloned()).collect();
    let reduced = Arc::new(with_roots(schema.name(), roots)?);
    let is_asked = |leaf: &usize| places.binary_search(&schema.get_column_root_idx(*leaf)).is_ok();
    let leaves: Vec<usize> = (0..schema.num_columns()).filter(is_asked).collect();
    let groups = metadata.row_groups().iter().map(|group| {
        let columns = leaves.iter().filter_map(|leaf| group.columns().get(*leaf).cloned()).map(with_true_dictionary);
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RowGroupMetaData::builder(reduced.clone()).set_num_rows(group.num_rows()).set_column_metadata(columns).build()
    });
    let groups = groups.collect::<Result<Vec<_>, _>>()?;
    let created_by = of_file.created_by().map(str::to_owned);
    let of_file = FileMetaData::new(of_file.version(), of_file.num_rows(), created_by, None, reduced, None);
    Ok(ParquetMetaData::new(of_file, groups))
}

/// Some writers say that a dictionary stands at 0, or behind the data, where there is none.
fn with_true_dictionary(column: ColumnChunkMetaData) -> Result<ColumnChunkMetaData, ParquetError> {
    let is_true = |place: i64| place > 0 && place < column.data_page_offset();
    match column.dictionary_page_offset() {
        Some(place) if !is_true(place) => column.into_builder().set_dictionary_page_offset(None).build(),
        _ => Ok(column),
    }
}

/// How many rows make a batch of some megabytes. One row of lists can hold many values.
fn rows_at_once(metadata: &ParquetMetaData) -> usize {
    let bytes_of_row = |group: &RowGroupMetaData| {
        let bytes = |column: &ColumnChunkMetaData| {
            column.uncompressed_size().max(column.num_values().saturating_mul(VALUE_BYTES))
        };
        let bytes = group.columns().iter().map(bytes).fold(0, i64::saturating_add);
        usize::try_from(bytes / group.num_rows().max(1)).unwrap_or_default()
    };
    let largest = metadata.row_groups().iter().map(bytes_of_row).max().unwrap_or_default();
    (BATCH_BYTES / largest.max(1)).clamp(1, BATCH_ROWS)
}

/// The same field, with its texts where they were read: one that stands a million times in a column is there once.
fn as_view(field: &FieldRef) -> FieldRef {
    let of_all = |fields: &Fields| fields.iter().map(as_view).collect();
    let kind = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::List(of) => DataType::List(as_view(of)),
        DataType::LargeList(of) => DataType::LargeList(as_view(of)),
        DataType::FixedSizeList(of, size) => DataType::FixedSizeList(as_view(of), *size),
        DataType::Struct(fields) => DataType::Struct(of_all(fields)),
        // Dictionaries of these are not read.
        DataType::Dictionary(_, of) if *of.as_ref() == DataType::Boolean || of.is_decimal() => of.as_ref().clone(),
        DataType::Map(of, is_sorted) => DataType::Map(as_view(of), *is_sorted),
        _ => return field.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(kind))
}
