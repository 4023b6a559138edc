//! Whether the first line of a file names its columns, and how.

use std::collections::HashSet;

use jiff::civil::{Date, DateTime, Time};

use crate::{algorithms::is_missing, protocol::name::one_line};

/// Whether a first line looks like data and not like names: then nothing of it may be told. `below` are lines that follow.
/// A name can look like a number (a year of a wide table), but then they go up one by one.
pub fn looks_like_data(first: &[String], below: &[Vec<String>]) -> bool {
    let numbers: Vec<Option<i64>> = first.iter().map(|cell| cell.trim().parse().ok()).collect();
    let whole: Vec<i64> = numbers.iter().copied().flatten().collect();
    let are_counted = whole.len() > 1 && whole.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    first.iter().enumerate().any(|(place, cell)| {
        let cell = cell.trim();
        match () {
            () if cell.is_empty() => false,
            () if numbers[place].is_some() => !are_counted || occurs(cell, place, below),
            () => is_number(cell) || is_time(cell) || is_missing(cell) || occurs(cell, place, below),
        }
    })
}

/// Whether a value stands below, in the same column.
fn occurs(cell: &str, place: usize, below: &[Vec<String>]) -> bool {
    below.iter().any(|row| row.get(place).is_some_and(|other| other.trim() == cell))
}

fn is_number(cell: &str) -> bool {
    // As in Germany, too.
    cell.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.' | ','))
        && cell.replace(',', ".").parse::<f64>().is_ok()
}

/// Dates and times in the ways in which exports write them.
fn is_time(cell: &str) -> bool {
    if cell.parse::<Date>().is_ok() || cell.parse::<DateTime>().is_ok() || cell.parse::<Time>().is_ok() {
        return true;
    }
    let date = cell.split_whitespace().next().unwrap_or_default();
    let parts: Vec<&str> = date.split(['.', '/', '-']).collect();
    parts.len() == 3
        && parts.iter().all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit()))
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
            ("x", vec![]),
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
