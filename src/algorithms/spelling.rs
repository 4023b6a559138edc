//! Identifiers as they are compared: exports write the same one differently.

use unicode_normalization::UnicodeNormalization;

use crate::protocol::name::plain_name;

/// An identifier as it is compared: 7, "007" and "7.00" are the same person, and so are "AB-1", "ab 01" and "ab 1".
/// `None`: nobody.
pub fn plain_identifier(text: &str) -> Option<String> {
    // Most are, and need no tables of Unicode.
    if text.is_ascii() {
        let text = text.trim();
        return plain_number(text).unwrap_or_else(|| Some(plain_ascii(text)));
    }
    let text: String = text.nfkc().collect();
    let text = text.trim();
    plain_number(text).unwrap_or_else(|| Some(without_leading_zeros(text)))
}

/// What is no text: nobody, or a number. `None` if it is one.
fn plain_number(text: &str) -> Option<Option<String>> {
    if text.is_empty() {
        return Some(None);
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !whole.is_empty() && are_digits(whole) && are_digits(rest) {
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        return Some(Some(format!("{sign}{}{point}{rest}", whole.trim_start_matches('0'))));
    }
    // As large numbers are written that are not whole ones to a program.
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && number.fract() == 0.0)?;
    Some(Some(format!("{number:.0}")))
}

/// The same as [`without_leading_zeros`], of letters without accents.
fn plain_ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut after_digit = false;
    for letter in text.chars() {
        if !letter.is_ascii_alphanumeric() {
            after_digit = false;
        } else if letter != '0' || after_digit {
            after_digit = letter.is_ascii_digit();
            plain.push(letter.to_ascii_lowercase());
        }
    }
    if plain.is_empty() { plain_name(text) } else { plain }
}

/// The plain name, each group of digits without the zeros that it begins with.
fn without_leading_zeros(text: &str) -> String {
    let mut plain = String::new();
    for group in text.split(|letter: char| !letter.is_alphanumeric()) {
        let mut after_digit = false;
        for letter in plain_name(group).chars() {
            if letter == '0' && !after_digit {
                continue;
            }
            after_digit = letter.is_ascii_digit();
            plain.push(letter);
        }
    }
    if plain.is_empty() { plain_name(text) } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_the_same_however_an_export_writes_it() {
        for spellings in [
            vec!["7", "007", "7.0", "7.00", " 7 ", "0007.000"],
            vec!["NL-3000", "nl 3000", "NL.3000", "nl_3000", "NL-03000", "NL-00 3000"],
            vec!["1e16", "10000000000000000", "10000000000000000.0"],
            vec!["1.5", "01.50"],
            vec!["0", "000", "0.0"],
            vec!["0a-1b", "0A1B"],
            vec!["P-7", "P-007", "p 07", "P7"],
            vec!["Jürgen-3", "Ju\u{308}rgen-3"],
        ] {
            for spelling in &spellings {
                assert_eq!(plain_identifier(spelling), plain_identifier(spellings[0]), "{spelling}");
            }
        }
        for text in
            ["P-007", "00-00", "--", "a0b00c", "ab 01", "1e16", "1e", "-", "0", "-00.50", "x.0y", "P 0", "+7", "inf"]
        {
            // The longer way for the same letters.
            let wide: String = text.chars().map(|letter| if letter == 'x' { 'ｘ' } else { letter }).collect();
            let general = plain_number(text).unwrap_or_else(|| Some(without_leading_zeros(text)));
            assert_eq!((plain_identifier(text), plain_identifier(&wide)), (general.clone(), general), "{text}");
        }
        assert_eq!((plain_identifier(" "), plain_identifier("")), (None, None));
        assert_ne!(plain_identifier("-7"), plain_identifier("7"));
        assert_ne!(plain_identifier("P-70"), plain_identifier("P-7"));
        assert_ne!(plain_identifier("P-107"), plain_identifier("P-17"));
        assert!(plain_identifier("--").is_some() && plain_identifier("00-00").is_some());
    }
}
