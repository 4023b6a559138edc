//! Tables of Parquet files.

mod file;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_schema::{DataType, Field, Schema};

use self::file::ParquetFile;
use super::{
    column_names::column_names,
    csv::header::{Kind, has_one_of, names_look_like_data},
    unreadable,
};
use crate::algorithms::{AlgorithmError, Batches, Table};

/// Opens a Parquet file, or a folder of them as one table, as Spark and others write it. Names that look like data are names
/// if somebody says so, or if one of the columns that the configuration names is among them.
pub fn open(path: &Path, are_names: bool, of_configuration: &[String]) -> Result<Table, AlgorithmError> {
    let files = files(path)?;
    let mut fields = files.iter().map(|file| Ok::<_, AlgorithmError>(opened(file)?.fields()));
    let written =
        fields.next().ok_or_else(|| AlgorithmError::Unreadable("its folder has no Parquet file".to_owned()))??;
    for other in fields {
        if !are_same(&written, &other?) {
            return Err(AlgorithmError::Unreadable("the files of its folder have not the same columns".to_owned()));
        }
    }
    // A program that took a file's first line for names wrote it.
    let named: Vec<(&str, Kind)> = written
        .iter()
        .filter(|field| !is_index(field.name()))
        .map(|field| (field.name().as_str(), kind(field.data_type())))
        .collect();
    let are_names = are_names || has_one_of(&named.iter().map(|(name, _)| *name).collect::<Vec<_>>(), of_configuration);
    if !are_names && names_look_like_data(&named) {
        return Err(AlgorithmError::Unreadable(
            "the names of its columns look like the data of a first line: write it with names, or header: true if these \
             are names"
                .to_owned(),
        ));
    }
    let names = column_names(written.iter().map(|field| field.name().as_str()));
    // Such as the row numbers that pandas writes.
    let named = written.iter().zip(names).enumerate().filter_map(|(place, (field, name))| {
        let name = name.filter(|name| !is_index(name))?;
        Some((place, field.clone().with_name(name)))
    });
    let (places, fields): (Vec<usize>, Vec<Field>) = named.unzip();
    let read = Box::new(move |columns: &[usize]| -> Result<Batches, AlgorithmError> {
        let places: Vec<usize> = columns.iter().filter_map(|column| places.get(*column).copied()).collect();
        // One file after the other is open.
        Ok(Box::new(files.into_iter().flat_map(move |file| match opened(&file).and_then(|file| file.read(&places)) {
            Ok(batches) => batches,
            Err(error) => Box::new(std::iter::once(Err(error))),
        })))
    });
    let schema = Arc::new(Schema::new(fields));
    Ok(Table { schema, untyped: None, identifiers: Vec::new(), has_person: false, read })
}

/// Opens one of the files; an error says which for those who may know.
fn opened(file: &Path) -> Result<ParquetFile, AlgorithmError> {
    ParquetFile::open(file).map_err(|error| match error {
        AlgorithmError::Damaged { told, reason } => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            AlgorithmError::Damaged { told, reason: format!("{name}: {reason}") }
        }
        error => error,
    })
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
        // Whatever its ending: some writers give none.
        files.push(entry.path());
    }
    files.sort();
    Ok(files)
}

fn are_same(one: &[Field], other: &[Field]) -> bool {
    let columns = |fields: &[Field]| -> Vec<(String, DataType)> {
        fields.iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    columns(one) == columns(other)
}

/// What a type says of the values.
fn kind(kind: &DataType) -> Kind {
    match kind {
        DataType::Dictionary(_, of) => self::kind(of),
        DataType::Boolean => Kind::Number,
        kind if kind.is_numeric() => Kind::Number,
        kind if kind.is_temporal() => Kind::Time,
        _ => Kind::Text,
    }
}

/// Whether pandas has named a column for its own use.
fn is_index(name: &str) -> bool {
    name.strip_prefix("__index_level_").is_some_and(|rest| rest.trim_end_matches("__").parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{BATCH_BYTES, BATCH_ROWS},
        *,
    };
    use arrow_array::{
        ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, cast::AsArray, types::Int64Type,
    };
    use parquet::{
        arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
        file::{
            metadata::{KeyValue, ParquetMetaDataReader, ParquetMetaDataWriter},
            properties::WriterProperties,
            writer::SerializedFileWriter,
        },
        schema::parser::parse_message_type,
    };

    #[test]
    fn a_column_of_a_parquet_file_is_read_in_batches() {
        let ages: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
        let names: ArrayRef = Arc::new(StringArray::from(vec!["x"; 100_000]));
        let batch = RecordBatch::try_from_iter([("name", names), ("age", ages)]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let table = open(file.path(), false, &[]).unwrap();
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
        let table = open(file.path(), false, &[]).unwrap();
        let names: Vec<&str> = table.schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["age", "age.1", "Weight (kg)"]);
    }

    /// Writes a file with some columns of one number.
    fn write(file: &Path, columns: &[(&str, i64)]) {
        let columns = columns.iter().map(|(name, value)| (*name, Arc::new(Int64Array::from(vec![*value])) as ArrayRef));
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(std::fs::File::create(file).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn a_folder_is_one_table() {
        let folder = tempfile::tempdir().unwrap();
        let open = || open(folder.path(), false, &[]);
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
        // Whatever they are called.
        write(&folder.path().join("part-00002"), &[("age", 80), ("__index_level_0__", 2), ("weight", 8)]);
        write(&folder.path().join("part-3.PARQUET"), &[("age", 90), ("__index_level_0__", 3), ("weight", 9)]);
        let rows: usize = (open().unwrap().read)(&[1]).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(rows, 4);
        std::fs::write(folder.path().join("notes.txt"), "of Monday").unwrap();
        let error = open().err().unwrap();
        assert!(error.to_string().contains("not Parquet") && error.in_full().contains("notes.txt"), "{error}");
        std::fs::remove_file(folder.path().join("notes.txt")).unwrap();
        write(&folder.path().join("part-2.parquet"), &[("age", 60)]);
        assert!(open().err().unwrap().to_string().contains("not the same columns"));
        std::fs::create_dir(folder.path().join("year=2020")).unwrap();
        assert!(open().err().unwrap().to_string().contains("has folders"));
    }

    #[test]
    fn one_column_that_is_not_known_spoils_no_others() {
        // A group of nothing: Arrow has no type for it.
        let schema = parse_message_type("message m { required group g { } required int64 age; }").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer =
            SerializedFileWriter::new(file.reopen().unwrap(), Arc::new(schema), Default::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<parquet::data_type::Int64Type>().write_batch(&[60, 70], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let table = open(file.path(), false, &[]).unwrap();
        assert_eq!(table.schema.fields().len(), 2);
        let batch = (table.read)(&[1]).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().values().to_vec(), [60, 70]);
        let error = (open(file.path(), false, &[]).unwrap().read)(&[0]).unwrap().next().unwrap().unwrap_err();
        assert!(error.to_string().contains("a type that is not known") && error.in_full().contains("(g: "), "{error}");
    }

    #[test]
    fn a_first_line_that_became_names_is_not_told() {
        // Names, and whether numbers stand below.
        let opened = |names: &[(&str, bool)], are_names: bool| {
            let file = tempfile::NamedTempFile::new().unwrap();
            let column = |is_number: bool| -> ArrayRef {
                if is_number { Arc::new(Int64Array::from(vec![1])) } else { Arc::new(StringArray::from(vec!["Bo"])) }
            };
            let batch =
                RecordBatch::try_from_iter(names.iter().map(|(name, is_number)| (*name, column(*is_number)))).unwrap();
            let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            open(file.path(), are_names, &[])
        };
        for odd in [
            "1950-02-03",
            "61",
            "0",
            "3.5",
            "-1.5",
            "+2.3",
            ".5",
            ",5",
            "-2e3",
            "Feb 3 1950",
            "Mai 1950",
            "True",
            "NaN",
            "inf",
            "<5",
            "120/80",
            "1/2",
            "C50.1",
            "P0001",
            "ann@example.org",
            "ann(at)x.org",
            "−1.5",
            "12,50 €",
            "60 kg",
            "NA",
            "unknown",
            "ca. 60",
            "03.02.1950",
        ] {
            for is_number in [false, true] {
                // Markers may stand above numbers.
                if is_number && odd == "P0001" {
                    continue;
                }
                let names = [("Miller", false), ("HIV positive", false), (odd, is_number), ("melanoma", false)];
                let error = opened(&names, false).err().unwrap_or_else(|| panic!("{odd} {is_number}")).to_string();
                assert!(error.contains("header: true") && !error.contains("Miller"), "{odd}: {error}");
                assert!(opened(&names, true).is_ok(), "{odd}");
            }
        }
        for names in [
            &["patient", "age", "icd10", "q1_2019", "__index_level_0__"][..],
            &["0", "1", "2"],
            &["0", "1", "2", "__index_level_0__"],
            &["gene", "1007_s_at", "1053_x_at"],
            &["patient", "age", "weight", "CA125", "NT-proBNP", "LDL", "HbA1c"],
            &["sample", "ENSG00000141510", "ENSG00000012048"],
            &["id", "HbA1c", "systolic (mmHg)", "Age at diagnosis"],
        ] {
            let typed: Vec<(&str, bool)> = names.iter().enumerate().map(|(place, name)| (*name, place > 0)).collect();
            assert!(opened(&typed, false).is_ok(), "{names:?}");
        }
    }

    #[test]
    fn a_dictionary_where_none_can_be_is_none() {
        let ages: ArrayRef = Arc::new(Int64Array::from(vec![60, 70]));
        let batch = RecordBatch::try_from_iter([("age", ages)]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
        let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file.reopen().unwrap()).unwrap();
        let written = metadata.row_group(0).column(0);
        let data = usize::try_from(written.data_page_offset() + written.compressed_size()).unwrap();
        for place in [-1, 0, 1_000_000] {
            let column = written.clone().into_builder().set_dictionary_page_offset(Some(place)).build().unwrap();
            let group = metadata.row_group(0).clone().into_builder().set_column_metadata(vec![column]).build().unwrap();
            let metadata = metadata.clone().into_builder().set_row_groups(vec![group]).build();
            let mut odd = bytes[..data].to_vec();
            ParquetMetaDataWriter::new(&mut odd, &metadata).finish().unwrap();
            std::fs::write(file.path(), odd).unwrap();
            let batch = (open(file.path(), false, &[]).unwrap().read)(&[0]).unwrap().next().unwrap().unwrap();
            assert_eq!(batch.column(0).as_primitive::<Int64Type>().values().to_vec(), [60, 70], "{place}");
        }
    }

    #[test]
    fn what_a_writer_says_of_its_own_types_may_be_unreadable() {
        let ages: ArrayRef = Arc::new(Int64Array::from(vec![60, 70]));
        let wide: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8; 16], [2; 16]].into_iter()).unwrap());
        let batch = RecordBatch::try_from_iter([("wide", wide), ("age", ages)]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let said = KeyValue::new("ARROW:schema".to_owned(), "/////////".to_owned());
        let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![said])).build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(file.reopen().unwrap(), batch.schema(), options).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let batch = (open(file.path(), false, &[]).unwrap().read)(&[1]).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().values().to_vec(), [60, 70]);
    }

    #[test]
    fn batches_are_bounded_by_their_bytes_and_a_text_that_comes_often_is_there_once() {
        let rows = 20_000;
        let long = "x".repeat(100_000);
        let often: ArrayRef = Arc::new(StringArray::from(vec![long.as_str(); rows]));
        let different: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{row:05}{}", &long[..5_000]))));
        let batch = RecordBatch::try_from_iter([("often", often), ("different", different)]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let mut seen = 0;
        for batch in (open(file.path(), false, &[]).unwrap().read)(&[0]).unwrap() {
            let batch = batch.unwrap();
            assert!(batch.get_array_memory_size() < 2 * BATCH_BYTES, "{}", batch.get_array_memory_size());
            seen +=
                batch.column(0).as_string_view().iter().filter(|text| text.is_some_and(|text| text == long)).count();
        }
        assert_eq!(seen, rows);
        let most =
            (open(file.path(), false, &[]).unwrap().read)(&[1]).unwrap().map(|batch| batch.unwrap().num_rows()).max();
        assert!(most.is_some_and(|most| most * 5_005 <= BATCH_BYTES), "{most:?}");
    }

    #[test]
    fn what_is_not_parquet_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            open(file.path(), false, &[]).err().unwrap()
        };
        assert!(told(b"").to_string().contains("not Parquet"));
        assert!(told(b"age\n60\n").to_string().contains("not Parquet"));
        assert!(told(b"PAR1 and no end").to_string().contains("cut off"));
        assert!(told(b"PAR1\x10\0\0\0PARE").to_string().contains("encrypted"));
        let damaged = told(b"PAR1\xff\xff\xff\xff\x04\0\0\0PAR1");
        assert!(damaged.to_string().contains("damaged") && damaged.in_full().len() > damaged.to_string().len());
    }
}
