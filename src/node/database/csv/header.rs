//! Whether the first line of a file names its columns, and how.

use std::collections::HashSet;

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
};

use crate::{algorithms::is_missing, protocol::name::one_line};

/// Whether a first line looks like data and not like names: then nothing of it may be told. `below` are lines that follow.
///
/// What is a name is never sure. So one cell is enough that no name is (a number, a date, a missing value, a text without
/// letters, one that stands below or is written like those below and begins with a digit), or if half of the cells are written
/// like those below. And something has to speak for names: a word without blanks above a column of numbers or times, or of nearly nothing, or two
/// texts above such columns. A name can be a number
/// (of a wide table) if these go up one by one from 0, 1 or a year, beside one text at most.
pub fn looks_like_data(first: &[String], below: &[Vec<String>]) -> bool {
    let cells: Vec<(usize, &str)> = first
        .iter()
        .enumerate()
        .map(|(place, cell)| (place, cell.trim()))
        .filter(|(_, cell)| !cell.is_empty())
        .collect();
    let counted = are_counted(&cells);
    let is_counted = |cell: &str| counted && cell.parse::<i64>().is_ok();
    let column = |place: usize| below.iter().filter_map(move |row| row.get(place).map(|cell| cell.trim()));
    // A line of data would have nothing there, too, where most lines have nothing.
    let is_under_a_name = |place: usize| {
        let (mut values, mut texts, mut missing) = (0, 0, 0);
        for cell in column(place) {
            match () {
                () if is_missing(cell) => missing += 1,
                () if is_number(cell) || is_time(cell) => values += 1,
                () => texts += 1,
            }
        }
        // A line of words among numbers is a second line of names, or of a title.
        let begins_well = column(place).take(2).all(|cell| is_missing(cell) || is_number(cell) || is_time(cell));
        begins_well && values > texts || missing > values + texts
    };
    // A name in one piece.
    let is_word = |cell: &str| !cell.contains(char::is_whitespace) && !cell.contains(':');
    // Such as of a patient; a year can be part of a name.
    let has_long_number = |cell: &str| {
        let numbers = cell.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| digits.len() >= 3);
        numbers.into_iter().any(|digits| !digits.parse::<u32>().is_ok_and(|year| (1800..=2100).contains(&year)))
    };
    let under_names: Vec<&(usize, &str)> =
        cells.iter().filter(|(place, cell)| !has_long_number(cell) && is_under_a_name(*place)).collect();
    let names = under_names.len();
    let is_surely_data = |(place, cell): &(usize, &str)| {
        let occurs = column(*place).any(|other| other == *cell);
        let begins_with_digit = cell.starts_with(|first: char| first.is_ascii_digit());
        let begins_with_sign = cell.starts_with(|first: char| {
            matches!(first, '<' | '>' | '=' | '~' | '≤' | '≥' | '€' | '$' | '£' | '+' | '-')
        });
        let is_comment = cell.starts_with('#') && cell.len() > 1;
        let is_value = !is_counted(cell)
            && (is_number(cell)
                || is_time(cell)
                || is_no_word(cell)
                || is_missing(cell) && names < 2
                || begins_with_sign
                || is_comment
                || begins_with_digit && (cell.contains(' ') || is_like_those(cell, column(*place))));
        occurs || is_value
    };
    if cells.iter().any(is_surely_data) {
        return true;
    }
    let alike = cells.iter().filter(|(place, cell)| has_digits_or_signs(cell) && is_like_those(cell, column(*place)));
    if 2 * alike.count() >= cells.len().max(1) && !counted {
        return true;
    }
    !below.is_empty() && !counted && names < 2 && !under_names.iter().any(|(_, cell)| is_word(cell))
}

/// Whether the whole numbers among some cells are names that count up.
fn are_counted(cells: &[(usize, &str)]) -> bool {
    let numbers: Vec<i64> = cells.iter().filter_map(|(_, cell)| cell.parse().ok()).collect();
    let goes_up = numbers.len() > 1 && numbers.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    let texts = cells.iter().filter(|(_, cell)| cell.parse::<i64>().is_err()).collect::<Vec<_>>();
    let is_first_alone = texts.is_empty() || texts.len() == 1 && texts[0].0 == 0;
    goes_up && is_first_alone && numbers.first().is_some_and(|first| matches!(first, 0 | 1 | 1800..=2100))
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
    let (mut alike, mut all) = (0, 0);
    for other in others.filter(|other| !is_missing(other)) {
        all += 1;
        alike += usize::from(shape(other) == own);
    }
    2 * alike > all
}

fn has_digits_or_signs(cell: &str) -> bool {
    cell.chars().any(|letter| !letter.is_alphabetic() && !letter.is_whitespace())
}

/// Whether there is no letter in a text that is no name anyway.
fn is_no_word(cell: &str) -> bool {
    !cell.chars().any(char::is_alphabetic) && !matches!(cell, "#" | "%" | "№") && cell.parse::<i64>().is_err()
}

fn is_number(cell: &str) -> bool {
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
        return is_month(&first) && cell.bytes().filter(u8::is_ascii_digit).count() >= 3;
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
    MONTHS.iter().any(|month| word == *month || word == &month[..3])
}

/// The names of columns as everybody uses them: without blanks around them, one blank in the place of blanks and line breaks.
/// One that comes again is numbered as pandas does it (`age`, `age.1`). `None`: a column without a name, which nobody can
/// ask for.
pub fn names(first: &[String]) -> Vec<Option<String>> {
    let plain: Vec<String> = first.iter().map(|name| one_line(name)).collect();
    let mut used: HashSet<String> = HashSet::new();
    let given: HashSet<&String> = plain.iter().collect();
    plain
        .iter()
        .map(|name| {
            if name.is_empty() {
                return None;
            }
            if used.insert(name.clone()) {
                return Some(name.clone());
            }
            let numbered = (1..).map(|number: u32| format!("{name}.{number}"));
            let free = numbered.into_iter().find(|name| !used.contains(name) && !given.contains(name))?;
            used.insert(free.clone());
            Some(free)
        })
        .collect()
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
            ("x", vec![]),
            ("patient|icd10|age", vec!["P1|C50|60", "P2|C51|70"]),
            ("First Name|born|%", vec!["Ann Miller|1950-02-03|5"]),
            ("1|2|3", vec!["4.5|6.5|7.5"]),
            ("x|y", vec!["NA|", "|NA"]),
            ("id|T12|age", vec!["1|5|60"]),
            ("id|NA|K", vec!["1|140|4.1"]),
            ("24h_marker|10_y_decline", vec!["1|5"]),
        ] {
            let below: Vec<Vec<String>> = below.into_iter().map(row).collect();
            assert!(!looks_like_data(&row(first), &below), "{first}");
        }
    }

    #[test]
    fn each_column_has_a_name_of_its_own_or_none() {
        let names = |text: &str| -> Vec<String> {
            super::names(&row(text)).into_iter().map(Option::unwrap_or_default).collect()
        };
        assert_eq!(names("age|age|age"), ["age", "age.1", "age.2"]);
        assert_eq!(names(" age|age\u{a0}|age.1"), ["age", "age.2", "age.1"]);
        assert_eq!(names("|age| |Weight\n  (kg)"), ["", "age", "", "Weight (kg)"]);
    }
}
