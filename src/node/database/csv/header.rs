//! Whether the first line of a file names its columns, and how.

use std::collections::HashMap;

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
};

use crate::{algorithms::is_missing, protocol::name::plain_name};

/// Whether a first line looks like data and not like names: then nothing of it may be told. `below` are lines that follow.
///
/// What is a name is never sure. So one cell is enough that no name is (a number, a date, a missing value, a text without
/// letters, one that stands below or is written like those below and begins with a digit), or if half of the cells are written
/// like those below. And something has to speak for names: a word without blanks above a column of numbers or times, or two
/// texts above such columns. A name can be a number
/// (of a wide table) if these go up one by one from 0, 1 or a year, beside one text at most.
pub fn looks_like_data(first: &[String], below: &[Vec<String>]) -> bool {
    holds_data(first, below, false)
}

/// The same, unless a program wrote the names: then nothing has to speak for them.
fn holds_data(first: &[String], below: &[Vec<String>], are_written: bool) -> bool {
    let cells: Vec<(usize, &str)> = first
        .iter()
        .enumerate()
        .map(|(place, cell)| (place, cell.trim()))
        .filter(|(_, cell)| !cell.is_empty())
        .collect();
    let column = |place: usize| below.iter().filter_map(move |row| row.get(place).map(|cell| cell.trim()));
    let counted = are_counted(&cells, |place| column(place).collect());
    let is_counted = |cell: &str| counted && cell.parse::<i64>().is_ok();
    // What stands above nothing speaks for nothing: only the first line may have something there.
    let is_under_a_name = |place: usize| {
        let (mut values, mut texts) = (0, 0);
        for cell in column(place) {
            match () {
                () if is_missing(cell) => {}
                () if is_number(cell) || is_time(cell) => values += 1,
                () => texts += 1,
            }
        }
        // A line of words among numbers is a second line of names, or of a title.
        let begins_well = column(place).take(2).all(|cell| is_missing(cell) || is_number(cell) || is_time(cell));
        begins_well && values > texts
    };
    // A name in one piece, but for its unit.
    let is_word = |cell: &str| {
        let word =
            cell.strip_suffix(')').and_then(|begin| begin.rsplit_once('(')).map_or(cell, |(word, _)| word.trim());
        !word.contains(char::is_whitespace) && !word.contains(':')
    };
    // Such as of a patient, with more digits than letters; a year can be part of a name.
    let is_identifier = |cell: &str| {
        let mut numbers = cell.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| digits.len() >= 3);
        let is_year = |digits: &str| digits.parse::<u32>().is_ok_and(|year| (1800..=2100).contains(&year));
        let (letters, digits) =
            (cell.chars().filter(|c| c.is_alphabetic()).count(), cell.bytes().filter(u8::is_ascii_digit).count());
        digits >= letters && numbers.any(|digits| !is_year(digits))
    };
    // Of genes, several stand above numbers.
    let is_above_numbers = |(place, cell): &&(usize, &str)| {
        let mut numbers = column(*place).filter(|cell| !is_missing(cell)).map(is_number).peekable();
        cell.chars().any(char::is_alphabetic) && numbers.peek().is_some() && numbers.all(|is_number| is_number)
    };
    let are_many = cells.iter().filter(is_above_numbers).count() >= 2 && below.len() >= 3;
    let under_names: Vec<&(usize, &str)> =
        cells.iter().filter(|(place, cell)| is_under_a_name(*place) && (are_many || !is_identifier(cell))).collect();
    let names = under_names.len();
    let is_surely_data = |named: &(usize, &str)| {
        let (place, cell) = named;
        let occurs = column(*place).any(|other| other == *cell);
        let begins_with_digit = cell.starts_with(|first: char| first.is_ascii_digit());
        let begins_with_sign = cell.starts_with(|first: char| {
            matches!(first, '<' | '>' | '=' | '~' | '≤' | '≥' | '$' | '¢'..='¥' | '\u{20a0}'..='\u{20cf}' | '+' | '-')
        });
        // An amount with its unit, above numbers.
        let unit = cell.trim_start_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, '.' | ','));
        let is_amount = begins_with_digit && unit.chars().count() <= 3 && is_under_a_name(*place);
        // Such as a code of a disease.
        let has_own_form = {
            let shape = shape(cell);
            let has = |kind: fn(char) -> bool| shape.chars().any(kind);
            has(|letter| letter == '9') && has(|sign| !sign.is_alphanumeric() && !matches!(sign, ' ' | '_'))
        };
        // As addresses and stages have, but for what is numbered.
        let is_code = has_digit(cell) && !is_numbered(cell);
        let is_among_codes =
            is_code && are_mostly(column(*place), |other| has_digit(other) && !is_number(other) && !is_time(other));
        // Beside nothing, which many lines of data have, too.
        let is_alone = is_code && column(*place).next().is_some() && column(*place).all(is_missing);
        let is_comment = cell.starts_with('#') && cell.len() > 1;
        let lower = cell.to_lowercase();
        let is_answer = ANSWERS.iter().any(|answer| lower == answer.to_lowercase());
        // A quotation mark that ends in another line.
        let is_of_lines = cell.split_once(['\n', '\r']).is_some_and(|(_, rest)| rest.contains([',', ';', '\t', '|']));
        let is_value = !is_counted(cell)
            && (is_number(cell)
                || is_time(cell)
                || is_no_word(cell)
                || is_missing(cell) && (names < 2 || !is_above_numbers(&named))
                || begins_with_sign
                || is_amount
                || cell.contains('@')
                || has_own_form && is_like_those(cell, column(*place))
                || is_among_codes
                || is_alone
                || is_about(cell)
                || is_comment
                || is_answer
                || is_of_lines
                || is_made_like_those(cell, &column(*place).filter(|other| !is_missing(other)).collect::<Vec<_>>())
                || begins_with_digit && (cell.contains(' ') || is_like_those(cell, column(*place))));
        occurs || is_value
    };
    if cells.iter().any(is_surely_data) {
        return true;
    }
    // Numbers of patients, codes and months do not name anything. Several that are alike may, above numbers: genes do.
    let odd: Vec<&(usize, &str)> = cells.iter().filter(|(_, cell)| !is_counted(cell) && has_odd_digits(cell)).collect();
    let mut alike: HashMap<String, usize> = HashMap::new();
    for (_, cell) in odd.iter().copied().filter(is_above_numbers) {
        *alike.entry(shape(cell)).or_default() += 1;
    }
    // Nor does a line of data have words above many columns of numbers, or above some of them beside what can be a marker.
    let is_name = |cell: &(usize, &str)| {
        is_above_numbers(&cell)
            && (names >= 5
                || names >= 3 && is_marker(cell.1)
                || alike.get(&shape(cell.1)).is_some_and(|alike| *alike >= 2))
    };
    if odd.iter().any(|cell| !is_name(cell)) {
        return true;
    }
    if are_written {
        return false;
    }
    // Nothing says what stands in the only line.
    if below.is_empty() && !counted {
        return true;
    }
    let alike = cells.iter().filter(|(place, cell)| has_digits_or_signs(cell) && is_like_those(cell, column(*place)));
    if 2 * alike.count() >= cells.len().max(1) && !counted {
        return true;
    }
    !below.is_empty() && !counted && names < 2 && !under_names.iter().any(|(_, cell)| is_word(cell))
}

/// Whether one of these columns is among some names.
pub fn has_one_of<S: AsRef<str>>(names: &[S], columns: &[String]) -> bool {
    let columns: Vec<String> = columns.iter().map(|column| plain_name(column)).collect();
    names.iter().any(|name| columns.contains(&plain_name(name.as_ref())))
}

/// What the type of a column says of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Number,
    Time,
    Text,
}

/// Whether names of columns of these kinds look like the first line of data, which a program took for names: the same of a file
/// whose values are not looked at.
pub fn names_look_like_data(names: &[(&str, Kind)]) -> bool {
    let value = |(_, kind): &(&str, Kind)| match kind {
        Kind::Number => "0.12345".to_owned(),
        Kind::Time => "1987-06-05".to_owned(),
        Kind::Text => "a text of some words".to_owned(),
    };
    let first: Vec<String> = names.iter().map(|(name, _)| (*name).to_owned()).collect();
    holds_data(&first, &vec![names.iter().map(value).collect(); 3], true)
}

/// Whether the whole numbers among some cells are names that count up. Years are none above other years.
fn are_counted<'a>(cells: &[(usize, &str)], column: impl Fn(usize) -> Vec<&'a str>) -> bool {
    let numbers: Vec<(usize, i64)> =
        cells.iter().filter_map(|(place, cell)| Some((*place, cell.parse().ok()?))).collect();
    let goes_up = numbers.windows(2).all(|pair| pair[0].1.checked_add(1) == Some(pair[1].1));
    let texts = cells.iter().filter(|(_, cell)| cell.parse::<i64>().is_err()).collect::<Vec<_>>();
    // Such as of patients, in the first line of data.
    let goes_on = |place: usize, first: i64| {
        let next: Vec<&str> = column(place).into_iter().take(3).collect();
        !next.is_empty() && (first + 1..).zip(next).all(|(number, cell)| cell.parse() == Ok(number))
    };
    if numbers.iter().any(|(place, number)| goes_on(*place, *number)) {
        return false;
    }
    let is_first_alone = match texts.as_slice() {
        [] => numbers.len() >= 3 || numbers.len() == 2 && numbers[0].1 == 0,
        [(0, text)] => numbers.len() >= 3 && !text.contains(char::is_whitespace),
        _ => false,
    };
    let is_year = |number: &i64| (1800..=2100).contains(number);
    let are_above_years = |place: usize| {
        let below: Vec<&str> = column(place).into_iter().filter(|cell| !is_missing(cell)).collect();
        let years = below.iter().filter(|cell| cell.parse().is_ok_and(|number| is_year(&number))).count();
        2 * years > below.len() && below.len() >= 2
    };
    let begins_well = match numbers.first() {
        Some((_, 0 | 1)) => true,
        Some((_, first)) => is_year(first) && !numbers.iter().any(|(place, _)| are_above_years(*place)),
        None => false,
    };
    goes_up && is_first_alone && begins_well
}

/// Whether more than half of some cells, those that are missing left out, are so.
fn are_mostly<'a>(cells: impl Iterator<Item = &'a str>, are: impl Fn(&str) -> bool) -> bool {
    let (mut so, mut all) = (0, 0);
    for cell in cells.filter(|cell| !is_missing(cell)) {
        all += 1;
        so += usize::from(are(cell));
    }
    2 * so > all
}

fn has_digit(text: &str) -> bool {
    text.contains(|letter: char| letter.is_ascii_digit())
}

/// Whether a text is a word with a small number behind it, such as `icd10` or `code_2`.
fn is_numbered(cell: &str) -> bool {
    let lower = cell.trim_end_matches(['+', '-']).to_lowercase();
    let word = lower.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let is_short = (1..=2).contains(&(lower.len() - word.len()));
    let word = word.trim_end_matches(['_', '.']);
    // Codes of diseases are named by their edition in many ways.
    is_short && word.chars().count() >= 2 && word.chars().all(|letter| letter.is_alphabetic() || letter == '_')
        || lower.contains("icd")
}

/// Whether a text is an amount that is not known exactly, such as `ca. 60`.
fn is_about(cell: &str) -> bool {
    const ABOUT: [&str; 14] = [
        "ca",
        "circa",
        "c",
        "approx",
        "approximately",
        "about",
        "abt",
        "etwa",
        "ungefähr",
        "rund",
        "over",
        "under",
        "über",
        "unter",
    ];
    let lower = cell.to_lowercase();
    let word: String = lower.chars().take_while(|letter| letter.is_alphabetic()).collect();
    let rest = lower[word.len()..].trim_start_matches(['.', ' ', '\u{a0}']);
    rest.len() + word.len() < lower.len()
        && ABOUT.contains(&word.as_str())
        && rest.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether a text with many digits is the name of a marker, as `CA125` and `miR-155` are, or of a variant (`rs429358`).
fn is_marker(cell: &str) -> bool {
    let is_digit = |letter: char| letter.is_ascii_digit();
    let begin = cell.trim_end_matches(char::is_alphabetic);
    let word = begin.trim_end_matches(is_digit);
    let digits = &begin[word.len()..];
    let word = word.trim_end_matches('-');
    let is_word = !word.is_empty() && word.chars().all(char::is_alphabetic);
    let is_year = digits.parse::<u32>().is_ok_and(|year| (1800..=2100).contains(&year));
    is_word && !digits.starts_with('0') && (digits.len() <= 3 || is_year || word == "rs" && begin == cell)
}

/// How a text is written: its letters, digits and signs, each run as one.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for letter in text.chars() {
        let kind = match letter {
            letter if letter.is_alphabetic() => 'a',
            letter if letter.is_numeric() => '9',
            letter if letter.is_whitespace() => ' ',
            sign => sign,
        };
        if !shape.ends_with(kind) {
            shape.push(kind);
        }
    }
    shape
}

/// Whether a text is written like most of some others.
fn is_like_those<'a>(cell: &str, others: impl Iterator<Item = &'a str>) -> bool {
    let own = shape(cell);
    are_mostly(others, |other| shape(other) == own)
}

/// What stands in the place of an answer, and never names a column: in English, German, Dutch, French, Spanish and Italian.
const ANSWERS: [&str; 80] = [
    "unknown",
    "not known",
    "n/k",
    "refused",
    "not done",
    "unbekannt",
    "onbekend",
    "inconnu",
    "desconocido",
    "sconosciuto",
    "neg",
    "neg.",
    "negative",
    "pos.",
    "positive",
    "negativ",
    "positiv",
    "negatief",
    "positief",
    "négatif",
    "négative",
    "positif",
    "negativo",
    "positivo",
    "negativa",
    "positiva",
    "ja",
    "nein",
    "nee",
    "oui",
    "sí",
    "pending",
    "ausstehend",
    "in progress",
    "hemolyzed",
    "haemolysed",
    "hemolysed",
    "hämolytisch",
    "insufficient",
    "not enough",
    "trace",
    "traces",
    "spuren",
    "lod",
    "<lod",
    "bdl",
    "n.d.",
    "n. d.",
    "k.a.",
    "k. a.",
    "k.a",
    "keine angabe",
    "keine",
    "n.a.",
    "n. a.",
    "o.b.",
    "o. b.",
    "oB",
    "unauffällig",
    "abnormal",
    "auffällig",
    "verweigert",
    "geweigerd",
    "refusé",
    "declined",
    "deceased",
    "verstorben",
    "lebt",
    "overleden",
    "décédé",
    "never",
    "never smoker",
    "ex-smoker",
    "nie",
    "nooit",
    "jamais",
    "stable",
    "no complications",
    "keine komplikationen",
    "detected",
];
/// Whether a text that is more than words is made as most of these are: with as many letters at the same places, as numbers of
/// patients are, or codes of one length out of letters and digits; or, with blanks, as a line of an address.
fn is_made_like_those(cell: &str, others: &[&str]) -> bool {
    if !cell.chars().any(|letter| letter.is_ascii_digit() || matches!(letter, '+' | '-')) {
        return false;
    }
    let are_most =
        |is_alike: &dyn Fn(&str) -> bool| 2 * others.iter().filter(|other| is_alike(other)).count() > others.len();
    let form = form(cell);
    let is_code = |text: &str| {
        let has = |kind: fn(&u8) -> bool| text.bytes().any(|byte| kind(&byte));
        text.len() >= 6
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_alphabetic)
    };
    are_most(&|other| self::form(other) == form)
        || cell.contains(' ') && are_most(&|other| shape(other) == shape(cell))
        || is_code(cell) && are_most(&|other| other.len() == cell.len() && is_code(other))
}

/// Whether there are digits in a text as in what identifies somebody or says what they have, and not as in names of columns,
/// which number (`item_123`, `age.1`), or say when (`q1_2019`).
fn has_odd_digits(cell: &str) -> bool {
    // A unit is none of a name.
    let cell = cell.strip_suffix(']').and_then(|cell| cell.rsplit_once('[')).map_or(cell, |(name, _)| name.trim_end());
    if cell.contains(['[', '@']) || cell.contains("(at)") {
        return true;
    }
    let letters: Vec<char> = cell.chars().collect();
    let digits = letters.iter().filter(|letter| letter.is_ascii_digit()).count();
    let is_joined = cell.contains('_') && !cell.contains(['.', '/', '>', '-']);
    let words = cell.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty()).count();
    if digits >= 3 && !(is_joined && words > 0) {
        return true;
    }
    // A digit beside a sign, but for a number at the end of a word.
    let at = |place: Option<usize>| place.and_then(|place| letters.get(place)).copied().unwrap_or(' ');
    letters.iter().enumerate().any(|(place, sign)| {
        let (before, after) = (at(place.checked_sub(1)), at(Some(place + 1)));
        match sign {
            '/' | '>' => before.is_ascii_digit() || after.is_ascii_digit(),
            '.' => before.is_ascii_digit() && after.is_ascii_digit(),
            _ => false,
        }
    })
}

/// How a text is written: each letter, large or small, its digits as one, and either of two signs.
fn form(text: &str) -> String {
    let mut form = String::new();
    for letter in text.chars() {
        let kind = match letter {
            letter if letter.is_uppercase() => 'A',
            letter if letter.is_alphabetic() => 'a',
            letter if letter.is_numeric() => '9',
            '+' | '-' => '-',
            other => other,
        };
        if kind != '9' || !form.ends_with(kind) {
            form.push(kind);
        }
    }
    form
}

fn has_digits_or_signs(cell: &str) -> bool {
    cell.chars().any(|letter| !letter.is_alphabetic() && !letter.is_whitespace())
}

/// Whether there is no letter in a text that is no name anyway.
fn is_no_word(cell: &str) -> bool {
    !cell.chars().any(char::is_alphabetic) && !matches!(cell, "#" | "%" | "№") && cell.parse::<i64>().is_err()
}

fn is_number(cell: &str) -> bool {
    if ["True", "TRUE", "true", "False", "FALSE", "false"].contains(&cell) {
        return true;
    }
    // As in Germany, too.
    let is_infinite =
        ["inf", "infinity", "nan"].iter().any(|word| cell.trim_start_matches(['+', '-']).eq_ignore_ascii_case(word));
    is_infinite
        || cell.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.' | ','))
            && cell.replace(',', ".").parse::<f64>().is_ok()
}

/// Dates and times in the ways in which exports write them.
fn is_time(cell: &str) -> bool {
    if !cell.starts_with(|first: char| first.is_ascii_digit()) {
        // Feb 3 1950
        let first = cell.split(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default().to_ascii_lowercase();
        return is_month(&first) && cell.bytes().filter(u8::is_ascii_digit).count() >= 2;
    }
    if cell.parse::<Date>().is_ok()
        || cell.parse::<DateTime>().is_ok()
        || cell.parse::<Time>().is_ok()
        || cell.parse::<Timestamp>().is_ok()
    {
        return true;
    }
    let parts: Vec<&str> =
        cell.split(|letter: char| !letter.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let is_digits = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    let lower = cell.to_ascii_lowercase();
    // 01JAN1940, 01-Jan-1940, 1. February 1940
    let has_month = lower.split(|letter: char| !letter.is_alphabetic()).any(is_month);
    let has_year = lower.split(|letter: char| !letter.is_ascii_digit()).any(|digits| matches!(digits.len(), 2 | 4));
    parts.len() >= 3 && parts.iter().take(3).all(|part| is_digits(part)) || has_month && has_year
}

/// Whether a word is a month, whole or by its first three letters.
fn is_month(word: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    // German, Dutch and French ones that begin otherwise.
    const OTHERS: [&str; 17] = [
        "januar", "märz", "mai", "juni", "juli", "oktober", "dezember", "okt", "dez", "maart", "mei", "mrt", "janvier",
        "mars", "avril", "juin", "août",
    ];
    MONTHS.iter().any(|month| word == *month || word == &month[..3]) || OTHERS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Vec<String> {
        text.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn a_first_line_of_data_is_not_taken_for_names() {
        for (first, below) in [
            ("10001|1950-02-03|60", vec!["10002|1961-07-08|70"]),
            ("Ann|60", vec!["Bo|70"]),
            ("Ann|F", vec!["Bo|M", "Cy|F"]),
            ("a1|3.5", vec![]),
            ("a1|1,5", vec![]),
            ("P-1|-2e3", vec![]),
            ("P-1|03.02.1950", vec![]),
            ("P-1|2/3/1950 10:12", vec![]),
            ("P-1|10:12:00", vec![]),
            ("P-1|NA", vec![]),
            ("NA|smoker|60|1.5", vec!["NA|NA|70|2.5", "Bo|NA|80|3.5"]),
            ("Maier|negative", vec!["Huber|70.5", "Gruber|81", "Bauer|66"]),
            ("Maier|k.A.", vec!["Huber|70.5", "Gruber|81", "Bauer|66"]),
            ("Maier|Hypertonie|Aspirin", vec!["Huber||", "Gruber||", "Bauer||"]),
            ("deceased|x", vec!["41|1", "42|1"]),
            ("a|note\n60,b", vec!["60|c", "70|d"]),
            ("|NA|Fatima|NA|", vec!["||Bo||", "||||", "|||3|", "|x|||", "||||"]),
            ("1|2", vec!["2|2", "3|1"]),
            ("7|12|13", vec![]),
            // In whatever way others write dates and amounts.
            ("P-0000|01JAN1940|C18.0", vec!["P-0001|02FEB1951|C19.1"]),
            ("Ann Miller|05-Mar-1951|hepatitis C", vec!["Bo Smith|06-Apr-1961|hepatitis B"]),
            ("Ann Miller|1. Feb. 1940|x", vec![]),
            ("Ann Miller|1940-02-03T10:00:00Z", vec![]),
            ("Ann0 Miller|60 kg", vec!["Bo1 Smith|70 kg"]),
            ("Ann Miller|2:10 PM", vec!["Bo Smith|3:12 AM"]),
            ("Ann Miller|120/80", vec!["Bo Smith|n.a."]),
            ("Ann Miller|<1", vec!["Bo Smith|5"]),
            ("Ann Miller|?", vec!["Bo Smith|5"]),
            ("Ann Miller|inf", vec!["Bo Smith|5"]),
            ("Ann0 Miller|59|60", vec!["Bo1 Smith|70|71"]),
            ("Ann0 Miller||", vec!["Bo1 Smith|5|6"]),
            ("Ann Miller||", vec!["Bo Smith|5|6"]),
            ("Ann Miller|hepatitis C", vec!["Bo Smith|hepatitis B"]),
            ("Ann Miller|60 kg", vec!["Bo 1|61", "Cy Jones|62"]),
            ("Ann Miller|<1 year", vec!["Bo Smith|31"]),
            ("Ann Miller|not done", vec!["Bo Smith|3.1"]),
            ("Ann Miller|HIV positive", vec!["Bo Smith|", "Cy Jones|"]),
            ("Ann Miller|Feb 3 1950", vec!["Bo Smith|1961-02-02"]),
            ("NL0012|hepatitis C", vec!["1001|asthma", "1002|gout"]),
            ("P0012|never smoked", vec!["1001|5", "1002|6"]),
            ("Patient|Ann Miller", vec!["Diagnosis|HIV", "id|crp", "1|5", "2|6", "3|7"]),
            ("# extract for Ann Miller", vec!["5", "6"]),
            ("Ann Miller|1961|1962", vec!["Bo Smith|1950|1999", "Cy Jones|1948|2001"]),
            ("Miller|1950|1951|1952", vec!["Smith|1961|1970|1999", "Jones|1948|1999|2001"]),
            ("Miller|1|2", vec!["Smith|2|2", "Jones|3|1"]),
            ("Miller|ann@x.org|none", vec!["Smith|bo@x.org|asthma", "Jones|cy@x.org|none"]),
            ("Ann|Miller|unknown|C50.1", vec!["Bo|Smith|60|C1.1", "Cy|Jones|70|C2.5"]),
            ("Miller|45y", vec!["Smith|60", "Jones|70"]),
            ("Miller|¥45k", vec!["Smith|60", "Jones|70"]),
            // What names nothing, whatever stands below.
            ("Miller|Ann|E11.8|allergisch", vec!["Smithc|Bo|I10|", "Smithd|Cy|C50|", "Smithe|Di|I10.90|"]),
            ("A123456780|Miller|verstorben", vec!["99123|Smithc|", "88123|Smithd|"]),
            ("A0042X|Miller|verstorben", vec!["0000005|Smithc|", "0000006|Smithd|"]),
            ("KH1-0042-A|Miller|positiv", vec!["UK3/0042|Smithc|5.1", "KH1-0042|Smithd|6"]),
            ("Miller|Mai 1950|verstorben", vec!["Smithc|1950|", "Smithd|Juni 1970|"]),
            ("Miller|c.68_69delAG|pathogen", vec!["Smithc|wt|", "Smithd|c.5266dupC|"]),
            ("Miller|Ann|HIV1/2|reaktiv", vec!["Smithc|Bo|CRP|5", "Smithd|Cy|HbA1c|6"]),
            ("ann.miller[at]web.de|verstorben", vec!["x1@web.de|", "x2@web.de|"]),
            ("P0001|Miller|HIV", vec![]),
            ("Miller|E11.8", vec![]),
            // One that is written like those below it says it for the whole line.
            ("AB123456C|Miller|Ann|refused", vec!["AB123458C|Smithc|Boc|22", "AB123459C|Smithd|Bod|23"]),
            ("P0001|Main Street 5|Miller|Ann", vec!["P0002|High Road 2|Smithc|22", "P0003|Low Lane 4|Smithd|23"]),
            ("a3f9c2d1e4|Miller|palliative", vec!["b71d02d1e2|Smithc|22", "0fe902d1e2|Smithd|23"]),
            ("P0001|C50|stage|F", vec!["P0002|C52|22|2", "P0003|C53|23|3"]),
            ("Miller|HIV+|stage", vec!["Smithc|HIV-|22", "Smithd|HIV-|23"]),
            ("Miller|deceased|unknown", vec!["Smithc||22", "Smithd||23"]),
            ("P0001|Miller|melanoma|Berlin", vec!["P0002|Smithc||Bonn", "P0003|Smithd||Bonn"]),
            ("Miller|Main Street 5|stage", vec!["Smithc|High Road 2|22", "Smithd|Low Lane 4|23"]),
            ("P00045|K00231", vec!["P00046|17", "P00047|18", "P00048|19"]),
            // Codes, addresses and times that are written otherwise than those below, and numbers that go on.
            ("Huber|SW1A 1AA|DNR", vec!["Smith|M1 1AE|", "Jones|CR2 6XH|", "Novak|B33 8TH|"]),
            ("Huber|pT2N1Mx|neg", vec!["Smith|T3N0M0|5.1", "Jones|cT1N1M0|3", "Rossi|pT4aN2M1|2.2"]),
            ("Huber|May 49|pregnant", vec!["Smith|1950|", "Jones|June 1970|", "Lopez|1958|"]),
            ("Huber|May-49|HIV", vec!["Smith||", "Jones||"]),
            ("Huber|ca.60|neg", vec!["Smith|61|5.1", "Jones|70|3"]),
            ("Huber|approx 60|neg", vec!["Smith|61|5.1", "Jones|70|3"]),
            ("ND0012x|neg|haem|clot", vec!["54321|5.1|6.2|7.0", "11223|4|5|6", "99887|1|2|3"]),
            ("Huber|Köln|Meierstraat 71-2|pregnant", vec!["a|Delft|Jansenstraat 5|", "b|Bonn|Lopezstraat 7a|"]),
            ("1|2|3", vec!["2|44|17", "3|9|30", "4|7|7"]),
            ("1|2", vec!["2|5", "3|7"]),
            ("1|2", vec!["12|5", "7|7"]),
            ("1950|1951", vec!["44|61", "30|20"]),
            ("Huber|Hauptstr. 5|ann(at)x.org|m 60|KRAS-G12D", vec!["Smith||||", "Jones||||", "Lopez||||"]),
            ("Huber|HLA-B27|x", vec!["Smith||5", "Jones||6"]),
            ("Huber|Mai50|HIV", vec!["Smith||", "Jones||"]),
            ("Huber|1998|1999|2000", vec!["Smith|||2001", "Jones||1997|2003", "Lopez|||"]),
            ("Huber|1950|1951|1952", vec!["Smith|1960|5|7", "Jones|1971|6|8"]),
        ] {
            let below: Vec<Vec<String>> = below.into_iter().map(row).collect();
            assert!(looks_like_data(&row(first), &below), "{first}");
        }
    }

    #[test]
    fn names_are_names() {
        for (first, below) in [
            ("id|age", vec!["1|60"]),
            ("|age", vec!["0|60"]),
            ("country|1999|2000|2001", vec!["NL|3.5|4|1999"]),
            ("0|1|2", vec!["5.1|7|a"]),
            ("V1|CD4+|Weight, kg|e1|inf-status", vec!["1|2|3|4|5"]),
            ("age (years)|date_of_birth|q1_2019", vec!["1|2|3"]),
            ("x", vec!["5"]),
            ("mean.1|age.1|item_123|q1_2019", vec!["1|2|3|4", "2|3|4|5"]),
            ("patient|icd10|age", vec!["P1|C50|60", "P2|C51|70"]),
            ("First Name|born|%", vec!["Ann Miller|1950-02-03|5"]),
            ("1|2|3", vec!["4.5|6.5|7.5"]),
            ("id|T12|age", vec!["1|5|60"]),
            ("id|NA|K", vec!["1|140|4.1"]),
            ("24h_marker|10_y_decline", vec!["1|5"]),
            ("patient|ENSG00000139618|ENSG00000141510", vec!["P1|0.5|1.5", "P2|0.1|2", "P3|0.7|1"]),
            ("id|rs123456|rs99887", vec!["a|0|1", "b|1|2", "c|2|0"]),
            ("id|glucose_120min", vec!["P1|5.5", "P2|6.1"]),
            ("id|item_123", vec!["P1|5", "P2|6"]),
            ("Patient ID|Sex|Age (years)", vec!["P1|F|60", "P2|M|70"]),
            ("patient|ICD10|CD4+|T-score", vec!["P1|C50|60|-2", "P2|C51|70|-1"]),
            ("Patient-ID|q1|q2", vec!["P-1|1|2", "P-2|2|3"]),
            ("id|0|1|2", vec!["P1|5|6|7", "P2|6|7|8"]),
            ("id|CA125|age|weight", vec!["P1|5|6|7", "P2|6|7|8", "P3|4|5|6"]),
            ("id|miR-155|S100B|rs429358|age", vec!["P1|5|6|7|60", "P2|6|7|8|70", "P3|1|2|3|4"]),
            ("id|ICD-10 code|code_2|age", vec!["P1|C50.1|A2|60", "P2|C52|B3|70"]),
            ("id|C1/C2|age|weight|height|bmi|sbp", vec!["P1|5|60|70|170|22|120", "P2|6|70|80|180|23|130"]),
            ("0|1", vec!["5|6", "6|7"]),
            ("id|CRP [mg/l]|Leuko [10^9/l]|age", vec!["1|5|6|60", "2|7|8|70", "3|7|8|70"]),
        ] {
            let below: Vec<Vec<String>> = below.into_iter().map(row).collect();
            assert!(!looks_like_data(&row(first), &below), "{first}");
        }
    }
}
