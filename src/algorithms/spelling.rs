//! Identifiers as they are compared: exports write the same one differently.

use unicode_normalization::UnicodeNormalization;

use crate::protocol::name::plain_name;

/// An identifier as it is compared: 7, "007" and "7.00" are the same person, and so are "AB-1", "ab 01" and "ab 1".
/// `None`: nobody.
pub fn plain_identifier(text: &str) -> Option<String> {
    let text: String = text.nfkc().collect();
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !whole.is_empty() && are_digits(whole) && are_digits(rest) {
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        return Some(format!("{sign}{}{point}{rest}", whole.trim_start_matches('0')));
    }
    // As large numbers are written that are not whole ones to a program.
    if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite() && number.fract() == 0.0) {
        return Some(format!("{number:.0}"));
    }
    Some(without_leading_zeros(text))
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
        assert_eq!((plain_identifier(" "), plain_identifier("")), (None, None));
        assert_ne!(plain_identifier("-7"), plain_identifier("7"));
        assert_ne!(plain_identifier("P-70"), plain_identifier("P-7"));
        assert_ne!(plain_identifier("P-107"), plain_identifier("P-17"));
        assert!(plain_identifier("--").is_some() && plain_identifier("00-00").is_some());
    }
}
