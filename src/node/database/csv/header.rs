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
/// like those below. And something has to speak for names: a column of numbers or times, or of nearly nothing, below a text. A name can be a number
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
    let is_surely_data = |(place, cell): &(usize, &str)| {
        let occurs = column(*place).any(|other| other == *cell);
        let begins_with_digit = cell.starts_with(|first: char| first.is_ascii_digit());
        let is_value = !is_counted(cell)
            && (is_number(cell)
                || is_time(cell)
                || is_no_word(cell)
                || is_missing(cell)
                || begins_with_digit && is_like_those(cell, column(*place)));
        occurs || is_value
    };
    if cells.iter().any(is_surely_data) {
        return true;
    }
    let alike = cells.iter().filter(|(place, cell)| has_digits_or_signs(cell) && is_like_those(cell, column(*place)));
    if 2 * alike.count() >= cells.len().max(1) && !counted {
        return true;
    }
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
        values > texts || missing > values + texts
    };
    !below.is_empty() && !cells.iter().any(|(place, _)| is_under_a_name(*place))
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
    if cell.parse::<Date>().is_ok()
        || cell.parse::<DateTime>().is_ok()
        || cell.parse::<Time>().is_ok()
        || cell.parse::<Timestamp>().is_ok()
    {
        return true;
    }
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let parts: Vec<&str> =
        cell.split(|letter: char| !letter.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let is_digits = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    let lower = cell.to_ascii_lowercase();
    // 01JAN1940, 01-Jan-1940, 1. February 1940
    let has_month =
        MONTHS.iter().any(|month| lower.contains(month)) && lower.starts_with(|first: char| first.is_ascii_digit());
    let has_year = lower.split(|letter: char| !letter.is_ascii_digit()).any(|digits| matches!(digits.len(), 2 | 4));
    parts.len() >= 3 && parts.iter().take(3).all(|part| is_digits(part)) || has_month && has_year
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
