//! Names as they are compared, and as they may be.

use unicode_normalization::UnicodeNormalization;

/// Letters and digits only, without capitals, in the one form that Unicode has for them; what has none of these as it
/// is. Two names that are taken for one count as one, which tells less.
pub fn plain_name(name: &str) -> String {
    let folded: String = name.nfkc().flat_map(char::to_lowercase).nfkc().collect::<String>().replace('ß', "ss");
    let plain: String = folded.chars().filter(|letter| letter.is_alphanumeric()).collect();
    if plain.is_empty() { folded.trim().to_owned() } else { plain }
}

/// A name in one line: without blanks around it, with one blank in the place of blanks and line breaks.
pub fn one_line(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Why a name may not be given, if it may not: one that looks like another would be taken for that.
pub fn misleading(name: &str) -> Option<&'static str> {
    let is_unseen = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}')
    };
    let is_latin = |letter: char| matches!(letter, 'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}');
    let is_like_latin = |letter: char| matches!(letter, '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}');
    if name.trim() != name {
        return Some("it begins or ends with a space");
    }
    if name.chars().any(is_unseen) {
        return Some("it has characters that are not seen");
    }
    // As they are compared: wide letters and the like are those that they look like.
    let plain: String = name.nfkc().collect();
    if plain.chars().any(is_latin) && plain.chars().any(is_like_latin) {
        return Some("it mixes letters of several scripts");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_however_an_export_writes_it() {
        for (one, other) in [
            ("age", " Age"),
            ("älter", "ÄLTER"),
            ("größe_nr", "gro\u{308}ße nr"),
            ("Score", "score\t"),
            ("Score", "Score\u{a0}"),
            ("Score 1", "Score.1"),
            ("score", "sc\u{200b}ore"),
        ] {
            assert_eq!(plain_name(one), plain_name(other), "{one:?} {other:?}");
        }
        assert_ne!(plain_name("age"), plain_name("weight"));
        assert_ne!(plain_name("+"), plain_name("-"));
    }

    #[test]
    fn a_name_that_looks_like_another_is_misleading() {
        for name in [
            " Probe",
            "Probe ",
            "Pro\nbe",
            "Pro\u{200b}be",
            "\u{202e}eborP",
            "\u{435}xample",
            "Pr\u{3bf}be",
            "Probe\u{a0}",
        ] {
            assert!(misleading(name).is_some(), "{name:?}");
        }
        for name in
            ["example_org1", "Institut für Bio-Medizin (Süd)", "Больница 7", "東京病院", "Νοσοκομείο", "St. Mary's"]
        {
            assert_eq!(misleading(name), None, "{name:?}");
        }
    }
}
