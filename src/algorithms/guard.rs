//! What a function counts beside its result, in the same pass over the data: who takes part, whether the values are
//! identifiers, whether one of them dominates.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};

use super::{
    AlgorithmError, Table,
    column::Number,
    distinct::Distinct,
    sketch::{Sketch, SketchKey},
    spelling::{plain_identifier, plain_name},
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
    /// With which people and values become keys.
    pub key: SketchKey,
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
    /// It holds something else than numbers: what that is.
    NotNumeric(String),
}

/// Of whom a result tells.
#[derive(Debug, Clone)]
pub struct ToldOf {
    /// Rows that took part.
    pub rows: u64,
    /// Who they are about, where the database says it.
    pub people: Option<People>,
}

/// Who took part, with their values.
#[derive(Clone, PartialEq, Eq)]
pub struct People {
    /// How many different people that are.
    pub count: u64,
    /// Each of them once.
    pub names: Sketch,
    /// The value of each row.
    pub values: Sketch,
}

impl std::fmt::Debug for People {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} people", self.count)
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
    /// Whether something was seen that is no number.
    is_numeric: bool,
}

/// What is counted by person.
#[derive(Default)]
struct ByPerson {
    people: Distinct,
    values: Values,
    /// The keys of the rows of the present batch; `None` where nobody is named.
    keys: Vec<Option<u64>>,
    unnamed: u64,
}

/// A value as it is compared with others: whether it is a whole number, and its bits.
type Value = (bool, u64);

/// From here on floats do not hold every whole number.
const EXACT: f64 = (1_u64 << 53) as f64;

/// The value of everything that is not a number.
const NO_NUMBER: u64 = u64::MAX;

/// The values of the rows, as a sketch. Values that come again and again are added to it together.
struct Values {
    sketch: Sketch,
    recent: Vec<Option<(u64, u32)>>,
}

/// How many values are counted before they are added. A power of two.
const RECENT_VALUES: usize = 1024;

/// How often a value occurs: rows, or the first people who have it.
#[derive(Default)]
struct Tally {
    rows: u64,
    people: HashSet<u64>,
}

/// Whether every value is an integer that only one row has, or the rows of one person.
enum Identifiers {
    /// The values with whose they are.
    SoFar(HashMap<u64, Option<u64>>),
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
        if !is_allowed && table.identifiers.iter().any(|named| plain_name(named) == plain_name(column)) {
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
            identifiers: if is_allowed { Identifiers::No } else { Identifiers::SoFar(HashMap::new()) },
            dominance: Dominance { sum: 0.0, largest: 0.0, by_person: HashMap::new() },
            is_numeric: true,
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

    /// Something that is no number, and in which row of the batch it stands. Who has it takes part: whether there is
    /// somebody who has is compared like an answer.
    pub fn see_other(&mut self, row: usize) {
        self.used += 1;
        self.is_numeric = false;
        if let Some(by_person) = &mut self.by_person {
            by_person.see(row, NO_NUMBER, &self.disclosure.key);
        }
    }

    /// A number, and in which row of the batch it stands.
    pub fn see(&mut self, row: usize, number: Number) {
        self.used += 1;
        let value = value(number);
        let person = self.by_person.as_mut().map(|by_person| by_person.see(row, value.1, &self.disclosure.key));
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
        // Long numbers are read as floats, in which different ones can be the same.
        let is_exact = !matches!(number, Number::Float(value) if value.abs() >= EXACT);
        self.identifiers.see(value, is_exact, person);
        if self.used < MANY_VALUES || person.is_some() && self.dominance.by_person.len() < MANY_VALUES as usize {
            let size = match number {
                Number::Integer(value) => value as f64,
                Number::Float(value) => value,
            };
            self.dominance.see(person, size.abs());
        }
    }

    /// Who took part, and why no number about them may be told, if none may. `otherwise` says what the column holds where
    /// that are no numbers.
    pub fn end(mut self, otherwise: &str) -> (ToldOf, Option<Refusal>) {
        let (people, unnamed) = match self.by_person.as_mut().map(std::mem::take) {
            Some(by_person) => {
                (Some(people_of(by_person.people, by_person.values, &self.disclosure.key)), by_person.unnamed)
            }
            None => (None, 0),
        };
        let part = TakingPart {
            rows: self.rows,
            people: people.as_ref().map_or(self.used, |people| people.count),
            are_people: self.by_person.is_some(),
            smaller_cell: self.smaller_cell(),
            largest_share: self.largest_share(),
        };
        let nameless = || (unnamed > 0).then(|| "some rows do not say who they are about".to_owned());
        let reason = self.disclosure.limits.suppression(&part, self.parameters).or_else(nameless);
        let refusal = match reason {
            _ if !self.is_numeric => Some(Refusal::NotNumeric(otherwise.to_owned())),
            Some(reason) => Some(Refusal::Suppressed(reason)),
            // Of few values all can be different by chance, and they are suppressed anyway.
            None if self.used > 1 && self.identifiers.are_all_different() => Some(Refusal::Identifiers),
            None => None,
        };
        (ToldOf { rows: self.used, people }, refusal)
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
    /// The key of who a row is about, who has this value in it.
    fn see(&mut self, row: usize, value: u64, key: &SketchKey) -> u64 {
        self.values.add(value, key);
        let Some(person) = self.keys.get(row).copied().flatten() else {
            self.unnamed += 1;
            return 0;
        };
        self.people.add(person);
        person
    }
}

impl Default for Values {
    fn default() -> Self {
        Values { sketch: Sketch::default(), recent: vec![None; RECENT_VALUES] }
    }
}

impl Values {
    fn add(&mut self, value: u64, key: &SketchKey) {
        // Small numbers differ in the high bits of a float.
        let place = (value ^ (value >> 32) ^ (value >> 47)) as usize % RECENT_VALUES;
        match &mut self.recent[place] {
            Some((known, times)) if *known == value && *times < u32::MAX => *times += 1,
            other => {
                if let Some((before, times)) = other.replace((value, 1)) {
                    self.sketch.add(key_of_value(before, key), times);
                }
            }
        }
    }

    /// The sketch of all of them.
    fn end(mut self, key: &SketchKey) -> Sketch {
        for (value, times) in self.recent.into_iter().flatten() {
            self.sketch.add(key_of_value(value, key), times);
        }
        self.sketch
    }
}

fn key_of_value(value: u64, key: &SketchKey) -> u64 {
    // Nobody's name has these bytes.
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    key.key(&[0xff, a, b, c, d, e, f, g, h])
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
    fn see(&mut self, (is_integer, bits): Value, is_exact: bool, person: Option<u64>) {
        let Identifiers::SoFar(seen) = self else { return };
        if !is_integer {
            *self = Identifiers::No;
            return;
        }
        if !is_exact {
            return;
        }
        match seen.entry(bits) {
            Entry::Occupied(owner) if person.is_none() || *owner.get() != person => *self = Identifiers::No,
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert(person);
                if seen.len() > SURELY_IDENTIFIERS {
                    *self = Identifiers::Surely;
                }
            }
        }
    }

    fn are_all_different(&self) -> bool {
        !matches!(self, Identifiers::No)
    }
}

fn people_of(mut people: Distinct, values: Values, key: &SketchKey) -> People {
    people.settle();
    People { count: people.count(), names: people.into_sketch(), values: values.end(key) }
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

/// The keys of those whom the rows are about.
fn keys_of(person: &ArrayRef, key: &SketchKey, keys: &mut Vec<Option<u64>>) -> Result<(), AlgorithmError> {
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
