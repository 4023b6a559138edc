//! Identifiers as they are compared: exports write the same one differently.

use arrow_array::{Array, ArrayRef, cast::AsArray, types::Float64Type};
use arrow_cast::{
    cast,
    display::{ArrayFormatter, FormatOptions},
};
use arrow_schema::{ArrowError, DataType};
use unicode_normalization::UnicodeNormalization;

use super::column::is_missing;

/// Calls `see` with the identifier in each row of a column, as it is compared; `None`: nobody.
pub fn for_each_identifier(column: &ArrayRef, mut see: impl FnMut(Option<String>)) -> Result<(), ArrowError> {
    // Numbers as they are written out, and not as 1e16.
    let numbers = match column.data_type() {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => cast(column, &DataType::Float64).ok(),
        _ => None,
    };
    let numbers = numbers.as_ref().and_then(|numbers| numbers.as_primitive_opt::<Float64Type>());
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let mut text = String::new();
    for row in 0..column.len() {
        text.clear();
        if let Some(numbers) = numbers.filter(|_| !column.is_null(row)) {
            text = numbers.value(row).to_string();
        } else if !column.is_null(row) {
            formatter.value(row).write(&mut text)?;
        }
        see(if is_missing(text.trim()) { None } else { plain_identifier(&text) });
    }
    Ok(())
}

/// An identifier as it is compared: 7, "007" and "7.00" are the same person, and so are "AB-1", "ab 01" and "AB1". What
/// tells two people apart stays: "1-11" is not "11-1", and "3.1" not "3.10". Two who are taken for one would hide a
/// newcomer; one who is taken for two leaves as one and comes as the other. `None`: nobody.
pub fn plain_identifier(text: &str) -> Option<String> {
    // Most are in letters without accents, and need no tables of Unicode.
    let composed: String;
    let text = match text.is_ascii() {
        true => text.trim(),
        false => {
            composed = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
            composed.trim()
        }
    };
    if text.is_empty() {
        return None;
    }
    Some(whole_number(text).unwrap_or_else(|| groups(text)))
}

/// A whole number as every program writes it, if it is one: with ".0" where others have no value, and with "e+" where it
/// is long.
fn whole_number(text: &str) -> Option<String> {
    let (sign, number) = text.strip_prefix('-').map_or(("", text), |number| ("-", number));
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) {
        return plain_exponent(text);
    }
    if rest.bytes().all(|byte| byte == b'0') {
        let whole = whole.trim_start_matches('0');
        return Some(if whole.is_empty() { "0".to_owned() } else { format!("{sign}{whole}") });
    }
    plain_exponent(text)
}

/// A whole number that is written as 1.5e+16.
fn plain_exponent(text: &str) -> Option<String> {
    let (digits, exponent) = text.split_once("e+").or_else(|| text.split_once("E+"))?;
    let is_number = |text: &str, more: &[u8]| text.bytes().all(|byte| byte.is_ascii_digit() || more.contains(&byte));
    if !is_number(digits, b"-.") || !is_number(exponent, b"") {
        return None;
    }
    let number: f64 = format!("{digits}e{exponent}").parse().ok()?;
    (number.is_finite() && number.fract() == 0.0).then(|| format!("{number:.0}"))
}

/// The groups of letters and of digits, small letters only. Between a letter and a digit nothing matters; what stands
/// between two groups of the same kind, whatever it is, keeps them apart. Zeros at the beginning of a number do not count,
/// except in the middle of a code such as a0b012.
fn groups(text: &str) -> String {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Letters,
        Digits,
    }
    let mut plain = String::with_capacity(text.len());
    let (mut before, mut groups, mut is_apart, mut is_padding) = (None, 0, false, false);
    for letter in text.chars() {
        let kind = match letter {
            '0'..='9' => Kind::Digits,
            letter if letter.is_alphanumeric() => Kind::Letters,
            _ => {
                is_apart = true;
                continue;
            }
        };
        if before != Some(kind) || is_apart {
            if is_padding {
                // It was nothing but zeros.
                plain.push('0');
            }
            if before == Some(kind) {
                plain.push('|');
            }
            groups += 1;
            // Behind what begins the identifier, or behind a sign: P007, 05-0123.
            is_padding = kind == Kind::Digits && (is_apart || groups <= 2);
        }
        (before, is_apart) = (Some(kind), false);
        if is_padding && letter == '0' {
            continue;
        }
        is_padding = false;
        plain.push(letter.to_ascii_lowercase());
    }
    if is_padding {
        plain.push('0');
    }
    // One without letters and digits is what it is.
    if plain.is_empty() { text.to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_the_same_however_an_export_writes_it() {
        for spellings in [
            vec!["7", "007", "7.0", "7.00", " 7 ", "0007.000", "7."],
            vec!["NL-3000", "nl 3000", "NL.3000", "nl_3000", "NL-03000", "NL3000", "NL - 3000"],
            vec!["1e+16", "1E+16", "10000000000000000", "10000000000000000.0", "1.0e+16"],
            vec!["0", "000", "0.0", "-0"],
            vec!["0a-1b", "0A1B", "0a 1b"],
            vec!["P-7", "P-007", "p 07", "P7", "P007"],
            vec!["05-0123", "5-123", "5/0123", "05 123"],
            vec!["Jürgen-3", "Ju\u{308}rgen-3", "JÜRGEN 3"],
            vec!["ＡＢ１", "ab1"],
        ] {
            for spelling in &spellings {
                assert_eq!(plain_identifier(spelling), plain_identifier(spellings[0]), "{spelling}");
            }
        }
        assert_eq!((plain_identifier(" "), plain_identifier("")), (None, None));
    }

    #[test]
    fn two_identifiers_are_two_people() {
        for (one, other) in [
            ("1-11", "11-1"),
            ("1/2", "12"),
            ("1+1", "11"),
            ("3.1", "3.10"),
            ("1e3", "1000"),
            ("a0bc12", "ab0c12"),
            ("a00b12", "a0b012"),
            ("10", "1"),
            ("-7", "7"),
            ("P-70", "P-7"),
            ("P-107", "P-17"),
            ("P-0-7", "P-7"),
            ("a-bc", "ab-c"),
            ("--", "-"),
            ("0-0", "0"),
            ("P0", "P"),
            ("1.5e+1x", "15x"),
        ] {
            assert_ne!(plain_identifier(one), plain_identifier(other), "{one} {other}");
        }
        // Every code of a kind is one of its own.
        let codes = |format: &dyn Fn(u32, u32) -> String| {
            let all = (0..30).flat_map(|site| (0..300).map(move |subject| (site, subject)));
            let plain: std::collections::HashSet<Option<String>> =
                all.map(|(site, subject)| plain_identifier(&format(site, subject))).collect();
            plain.len()
        };
        let formats: [&dyn Fn(u32, u32) -> String; 7] = [
            &|site, subject| format!("{}.{}", site + 1, subject + 1),
            &|site, subject| format!("{site}-{subject}"),
            &|site, subject| format!("{site:02}-{subject:04}"),
            &|site, subject| format!("S{site}P{subject}"),
            &|site, subject| format!("S{site:02}P{subject:03}"),
            &|site, subject| format!("{:08x}", (site * 300 + subject).wrapping_mul(2_654_435_761)),
            &|site, subject| format!("{site:03}{subject:04}"),
        ];
        for (place, format) in formats.iter().enumerate() {
            assert_eq!(codes(format), 9_000, "{place}");
        }
    }
}
