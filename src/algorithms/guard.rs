//! What a function counts beside its result, in the same pass over the data: who takes part, whether the values are
//! identifiers, whether one of them dominates.

use std::collections::{HashMap, HashSet};

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};

use super::{
    AlgorithmError, Table,
    column::Number,
    people::{People, PeopleKey},
};
use crate::protocol::policy::{Limits, MANY_VALUES, TakingPart};

/// Different values without any that occurs twice, after which a column surely holds identifiers.
const SURELY_IDENTIFIERS: usize = 1_000_000;

/// What the node lets its functions tell.
#[derive(Clone)]
pub struct Disclosure {
    pub limits: Limits,
    /// Columns of identifiers that functions may use.
    pub allowed_identifiers: Vec<String>,
    /// With which people become keys.
    pub key: PeopleKey,
}

/// A result, and who took part in it.
#[derive(Debug)]
pub struct Computed {
    /// As long as nothing is refused.
    pub value: serde_json::Value,
    pub refusal: Option<Refusal>,
    pub told_of: ToldOf,
}

/// Why nothing may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Too few take part, or the like.
    Suppressed(String),
    /// Every value is another one.
    Identifiers,
}

/// Of whom a result tells.
#[derive(Debug)]
pub struct ToldOf {
    /// Rows that took part.
    pub rows: u64,
    /// Who they are about, where the database says it.
    pub people: Option<People>,
    /// How many different people that are.
    pub persons: Option<u64>,
}

impl std::fmt::Debug for People {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("People")
    }
}

/// Watches a pass over the values of one column.
pub struct Guard<'a> {
    disclosure: &'a Disclosure,
    parameters: u64,
    /// How many people are counted exactly.
    most: usize,
    rows: u64,
    used: u64,
    /// Where the database says who its rows are about.
    by_person: Option<ByPerson>,
    /// The first two values, with how often each occurs; a third one ends it.
    two_values: Option<Vec<(Value, Tally)>>,
    identifiers: Identifiers,
    dominance: Dominance,
}

/// What is counted by person.
#[derive(Default)]
struct ByPerson {
    people: People,
    seen: HashSet<u64>,
    /// The keys of the rows of the present batch; `None` where nobody is named.
    keys: Vec<Option<u64>>,
    unnamed: u64,
}

/// A value as it is compared with others.
type Value = (bool, u64);

/// How often a value occurs: rows, or the first people who have it.
#[derive(Default)]
struct Tally {
    rows: u64,
    people: HashSet<u64>,
}

/// Whether every value is an integer and another one.
enum Identifiers {
    SoFar(HashSet<u64>),
    No,
    Surely,
}

/// The parts of a sum, as long as they are few: by person, else by row.
struct Dominance {
    sum: f64,
    largest: f64,
    by_person: HashMap<u64, f64>,
}

fn value(number: Number) -> Value {
    match number {
        // 1 and 1.0 are the same value, as text and in a column of floats; beyond 2^53 floats are no exact integers.
        Number::Integer(value) if value.unsigned_abs() <= 1 << 53 => (true, (value as f64).to_bits()),
        Number::Integer(value) => (true, !(value as u64)),
        // There are two zeros, and many that are no number.
        Number::Float(0.0) => (true, 0.0_f64.to_bits()),
        Number::Float(value) if value.is_nan() => (false, f64::NAN.to_bits()),
        Number::Float(value) => (value.fract() == 0.0, value.to_bits()),
    }
}

impl<'a> Guard<'a> {
    /// For a pass over this column, about which so many numbers are to be told. An error if it is named as one of
    /// identifiers.
    pub fn new(
        table: &Table,
        column: &str,
        parameters: u64,
        disclosure: &'a Disclosure,
    ) -> Result<Self, AlgorithmError> {
        let is_allowed = disclosure.allowed_identifiers.iter().any(|allowed| allowed == column);
        if !is_allowed && table.identifiers.iter().any(|named| is_same_name(named, column)) {
            return Err(AlgorithmError::Identifiers(column.to_owned()));
        }
        let most = usize::try_from(disclosure.limits.most_needed(parameters)).unwrap_or(usize::MAX);
        Ok(Guard {
            disclosure,
            parameters,
            most,
            rows: 0,
            used: 0,
            by_person: table.has_person.then(ByPerson::default),
            two_values: Some(Vec::with_capacity(2)),
            identifiers: if is_allowed { Identifiers::No } else { Identifiers::SoFar(HashSet::new()) },
            dominance: Dominance { sum: 0.0, largest: 0.0, by_person: HashMap::new() },
        })
    }

    /// The next batch: one that says who its rows are about does so in its last column.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<(), AlgorithmError> {
        self.rows += batch.num_rows() as u64;
        if let Some(by_person) = &mut self.by_person {
            let person = batch.columns().last().ok_or_else(|| {
                AlgorithmError::Unreadable("it has no column that says who its rows are about".to_owned())
            })?;
            by_person.keys.clear();
            keys_of(person, &self.disclosure.key, &mut by_person.keys)?;
        }
        Ok(())
    }

    /// A number, and in which row of the batch it stands.
    pub fn see(&mut self, row: usize, number: Number) {
        self.used += 1;
        let person = self.by_person.as_mut().map(|by_person| by_person.see(row, self.most));
        let value = value(number);
        if let Some(tallies) = &mut self.two_values {
            let place = tallies.iter().position(|(known, _)| *known == value);
            match place {
                Some(place) => tallies[place].1.see(person, self.most),
                None if tallies.len() == 2 => self.two_values = None,
                None => {
                    let mut tally = Tally::default();
                    tally.see(person, self.most);
                    tallies.push((value, tally));
                }
            }
        }
        self.identifiers.see(value);
        if self.used < MANY_VALUES || person.is_some() && self.dominance.by_person.len() < MANY_VALUES as usize {
            let size = match number {
                Number::Integer(value) => value as f64,
                Number::Float(value) => value,
            };
            self.dominance.see(person, size.abs());
        }
    }

    /// Who took part, and why no number about them may be told, if none may.
    pub fn end(self) -> (ToldOf, Option<Refusal>) {
        let part = TakingPart {
            rows: self.rows,
            people: self.by_person.as_ref().map_or(self.used, |by_person| by_person.seen.len() as u64),
            are_people: self.by_person.is_some(),
            smaller_cell: self.smaller_cell(),
            largest_share: self.largest_share(),
        };
        let unnamed = self.by_person.as_ref().map_or(0, |by_person| by_person.unnamed);
        let nameless = || (unnamed > 0).then(|| "some rows do not say who they are about".to_owned());
        let reason = self.disclosure.limits.suppression(&part, self.parameters).or_else(nameless);
        let refusal = match reason {
            Some(reason) => Some(Refusal::Suppressed(reason)),
            // Of few values all can be different by chance, and they are suppressed anyway.
            None if self.used > 1 && self.identifiers.are_all_different(self.used) => Some(Refusal::Identifiers),
            None => None,
        };
        let persons = self.by_person.as_ref().map(|by_person| by_person.seen.len() as u64);
        let told_of = ToldOf { rows: self.used, people: self.by_person.map(|by_person| by_person.people), persons };
        (told_of, refusal)
    }

    fn smaller_cell(&self) -> Option<u64> {
        match self.two_values.as_deref() {
            Some([(_, one), (_, other)]) => {
                let by_person = self.by_person.is_some();
                Some(one.count(by_person).min(other.count(by_person)))
            }
            _ => None,
        }
    }

    fn largest_share(&self) -> Option<f64> {
        let dominance = &self.dominance;
        let of_people = dominance.by_person.values().copied().fold(0.0, f64::max);
        let (count, largest) = match self.by_person {
            Some(_) => (dominance.by_person.len() as u64, of_people),
            None => (self.used, dominance.largest),
        };
        let is_told = count > 0 && count < MANY_VALUES && dominance.sum > 0.0 && dominance.sum.is_finite();
        is_told.then(|| largest / dominance.sum)
    }
}

impl ByPerson {
    /// The key of who a row is about.
    fn see(&mut self, row: usize, most: usize) -> u64 {
        let Some(key) = self.keys.get(row).copied().flatten() else {
            self.unnamed += 1;
            return 0;
        };
        self.people.add(key);
        if self.seen.len() < most {
            self.seen.insert(key);
        }
        key
    }
}

impl Tally {
    fn see(&mut self, person: Option<u64>, most: usize) {
        self.rows += 1;
        if let Some(person) = person.filter(|_| self.people.len() < most) {
            self.people.insert(person);
        }
    }

    fn count(&self, by_person: bool) -> u64 {
        if by_person { self.people.len() as u64 } else { self.rows }
    }
}

impl Identifiers {
    fn see(&mut self, (is_integer, bits): Value) {
        let Identifiers::SoFar(seen) = self else { return };
        if !is_integer || !seen.insert(bits) {
            *self = Identifiers::No;
        } else if seen.len() > SURELY_IDENTIFIERS {
            *self = Identifiers::Surely;
        }
    }

    fn are_all_different(&self, used: u64) -> bool {
        match self {
            Identifiers::SoFar(seen) => seen.len() as u64 == used,
            Identifiers::No => false,
            Identifiers::Surely => true,
        }
    }
}

impl Dominance {
    fn see(&mut self, person: Option<u64>, size: f64) {
        self.sum += size;
        match person {
            Some(person) => *self.by_person.entry(person).or_default() += size,
            None => self.largest = self.largest.max(size),
        }
    }
}

/// Whether two names are one column's, also where an export writes it differently.
fn is_same_name(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// An identifier as it is compared: 7, "007" and "7.00" are the same person, and so are "AB-1" and "ab 1". Two that are
/// taken for one count as one, which tells less. `None`: nobody.
fn plain_identifier(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
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
    let plain: String = text.chars().filter(|letter| letter.is_alphanumeric()).collect();
    Some(if plain.is_empty() { text } else { plain }).filter(|text| !text.is_empty())
}

/// The keys of those whom the rows are about.
fn keys_of(person: &ArrayRef, key: &PeopleKey, keys: &mut Vec<Option<u64>>) -> Result<(), AlgorithmError> {
    let options = FormatOptions::default();
    let unreadable = |_| AlgorithmError::Unreadable("the column that says who its rows are about".to_owned());
    let formatter = ArrayFormatter::try_new(person, &options).map_err(unreadable)?;
    let mut text = String::new();
    for row in 0..person.len() {
        if person.is_null(row) {
            keys.push(None);
            continue;
        }
        text.clear();
        formatter.value(row).write(&mut text).map_err(unreadable)?;
        keys.push(plain_identifier(&text).map(|identifier| key.key(identifier.as_bytes())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_the_same_however_an_export_writes_it() {
        for (same, spellings) in [
            ("7", vec!["7", "007", "7.0", "7.00", " 7 ", "0007.000"]),
            ("nl3000", vec!["NL-3000", "nl 3000", "NL.3000", "nl_3000"]),
            ("10000000000000000", vec!["1e16", "10000000000000000", "10000000000000000.0"]),
            ("1.5", vec!["1.5", "01.50"]),
            ("", vec!["0", "000", "0.0"]),
            ("0a1b", vec!["0a-1b", "0A1B"]),
        ] {
            for spelling in spellings {
                assert_eq!(plain_identifier(spelling).as_deref(), Some(same), "{spelling}");
            }
        }
        assert_eq!((plain_identifier(" "), plain_identifier("")), (None, None));
        assert_ne!(plain_identifier("-7"), plain_identifier("7"));
        assert_eq!(plain_identifier("--").as_deref(), Some("--"));
    }
}
