//! What a file holds, as its first bytes tell: nothing of a file that is none of text is taken for text.

use crate::algorithms::AlgorithmError;

/// How files of a kind begin, and what to do with them.
const KINDS: [(&[u8], &str); 19] = [
    (b"PAR1", "it is Parquet; write type: parquet"),
    (b"\x1f\x8b", "it is compressed (gzip); unpack it"),
    (b"BZh", "it is compressed (bzip2); unpack it"),
    (b"\xfd7zXZ\0", "it is compressed (xz); unpack it"),
    (b"\x28\xb5\x2f\xfd", "it is compressed (zstd); unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "it is an archive (7z); unpack it"),
    (b"PK\x03\x04", "it is a ZIP archive or an Excel workbook; export it as CSV in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "it is an old Office file, such as of Excel; export it as CSV in UTF-8"),
    (b"\xff\xfe", "it is UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "it is UTF-16; save it as UTF-8"),
    (b"SQLite format 3\0", "it is an SQLite database"),
    (b"ARROW1", "it is Arrow or Feather; write it as Parquet"),
    (b"\x89HDF", "it is HDF5; write it as Parquet or CSV"),
    (b"$FL2", "it is of SPSS; export it as CSV in UTF-8"),
    (b"$FL3", "it is of SPSS; export it as CSV in UTF-8"),
    (b"<stata_dta>", "it is of Stata; export it as CSV in UTF-8"),
    (b"HEADER RECORD*******", "it is of SAS; export it as CSV in UTF-8"),
    (b"%PDF", "it is PDF"),
    (b"<?xml", "it is XML"),
];

/// An error for the beginning of what is no text in UTF-8, or begins with none of values.
pub fn require_text(start: &[u8]) -> Result<(), AlgorithmError> {
    let is = |what: &str| Err(AlgorithmError::Unreadable(format!("its file is not CSV: {what}")));
    if let Some((_, what)) = KINDS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return is(what);
    }
    if start.contains(&0) {
        return is("it holds bytes that text does not have; if it is UTF-16, save it as UTF-8");
    }
    let text = start.trim_ascii_start();
    match text {
        [] => Err(AlgorithmError::Unreadable("its file is empty".to_owned())),
        [b'{', ..] | [b'[', b'{' | b'[', ..] => is("it is JSON"),
        [b'<', ..] => is("it is XML or HTML"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_told_by_its_kind() {
        for (start, told) in [
            (b"PAR1\x15\x04".as_slice(), "type: parquet"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"PK\x03\x04\x14", "Excel"),
            (b"\xff\xfea\0g\0e\0", "UTF-16"),
            (b"a\0g\0e\0\n\0", "UTF-16"),
            (b" [{\"age\": 60}]", "JSON"),
            (b"<html>", "HTML"),
            (b" \r\n", "empty"),
            (b"", "empty"),
        ] {
            let error = require_text(start).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        for text in ["id,age\n", "\"age\"\n", "[note],age\n", "PARITY,age\n", "é\n"] {
            assert!(require_text(text.as_bytes()).is_ok(), "{text}");
        }
    }
}
