//! What a function counts beside its result, in the same pass over the data: who takes part, whether the values are
//! identifiers, whether one of them dominates.

use std::collections::{HashMap, hash_map::Entry};

use arrow_array::{ArrayRef, RecordBatch};

use super::{
    AlgorithmError, Table,
    column::Number,
    dominance::Dominance,
    exact::Exact,
    most_frequent::{MostFrequent, other_than_most},
    persons::{Person, Persons, Rounding},
    reference::{FromMiddle, References},
    sketch::{Sketch, SketchKey, mix},
    spelling::for_each_identifier,
};
use crate::protocol::{
    name::plain_name,
    policy::{Limits, TakingPart},
};

/// Different values without any that occurs twice, after which a column surely holds identifiers.
const SURELY_IDENTIFIERS: usize = 1_000_000;

/// From this number on those who have another value than the others are not few, whatever the limits say: each is counted.
const MOST_OF_FEW: usize = 1_000;

/// What the node lets its functions tell.
#[derive(Clone)]
pub struct Disclosure {
    pub limits: Limits,
    /// Columns of identifiers that functions may use.
    pub allowed_identifiers: Vec<String>,
    /// With which people become keys.
    pub key: SketchKey,
    /// The keys of those who are left out as if they were not there.
    pub left_out: Vec<u64>,
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
    /// Who has a value and takes part.
    pub taking_part: Group,
    /// Who is in the table.
    pub table: Group,
}

/// Rows, and who they are about where the database says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub rows: u64,
    pub people: Option<People>,
}

/// People, each once.
#[derive(Clone, PartialEq, Eq)]
pub struct People {
    pub count: u64,
    pub names: Sketch,
    /// How many rows each has: of a whole table all, of those who take part those with a value.
    pub rows: Option<Sketch>,
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
    /// So many are too few for a cell.
    few: usize,
    rows: u64,
    used: u64,
    /// Where the database says who its rows are about.
    by_person: Option<ByPerson>,
    most_frequent: MostFrequent,
    /// Values as they are written: those that differ by little can be one person's.
    most_frequent_exactly: MostFrequent,
    references: References,
    /// As they are written, too.
    references_exactly: References,
    early: FromMiddle,
    identifiers: Identifiers,
    dominance: Dominance,
    /// Whether something was seen that is no number, …
    is_numeric: bool,
    /// … or one that is no whole number, or too large to be surely one.
    are_whole: bool,
    /// Whether true or false was seen, and whether other numbers.
    has_booleans: bool,
    has_numbers: bool,
}

/// What is counted by person.
#[derive(Default)]
struct ByPerson {
    persons: Persons,
    /// Whom the rows of the present batch are about.
    batch: Vec<About>,
    unnamed: u64,
}

/// Whom a row is about.
#[derive(Clone, Copy)]
enum About {
    /// The key, as long as no value of the row was seen.
    Person(u64),
    /// Somebody whose row was counted.
    Counted,
    Unnamed,
    LeftOut,
}

/// A value as it is compared with others: whether it is a whole number, and its bits.
pub type Value = (bool, u64);

/// The bits of a float beyond the first nine digits or so.
const BEYOND_NINE_DIGITS: u64 = (1 << 22) - 1;

/// From here on floats do not hold every whole number.
pub(super) const EXACT: f64 = (1_u64 << 53) as f64;

/// Whether every value is an integer that only one row has, or the rows of one person.
enum Identifiers {
    /// The values with whose they are.
    SoFar(HashMap<u64, Option<u64>>),
    No,
    Surely,
}

fn value(number: Number) -> Value {
    match number {
        // 1 and 1.0 are the same value, as text and in a column of floats; beyond 2^53 floats are no exact integers.
        Number::Boolean(value) => (true, f64::from(u8::from(value)).to_bits()),
        Number::Integer(value) if value.unsigned_abs() <= 1 << 53 => (true, (value as f64).to_bits()),
        Number::Integer(value) => (true, !(value as u64)),
        // There are two zeros, and many that are no number.
        Number::Float(0.0) => (true, 0.0_f64.to_bits()),
        Number::Float(value) if value.is_nan() => (false, f64::NAN.to_bits()),
        Number::Float(value) if value.fract() == 0.0 => (true, value.to_bits()),
        Number::Float(value) => rounded(value),
        Number::Decimal { parts, .. } if number.is_whole() => (true, mix(parts as u64 ^ mix((parts >> 64) as u64))),
        Number::Decimal { .. } => rounded(number.to_f64()),
    }
}

/// A number that was computed, as it is compared: 0.3 is also 0.1 added up three times.
fn rounded(value: f64) -> Value {
    match value {
        0.0 => (false, 0.0_f64.to_bits()),
        value if value.is_nan() => (false, f64::NAN.to_bits()),
        value => (false, (value.to_bits() + BEYOND_NINE_DIGITS / 2) & !BEYOND_NINE_DIGITS),
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
        let smallest_cell = disclosure.limits.smallest_cell.unwrap_or_default();
        let few = usize::try_from(smallest_cell).unwrap_or(usize::MAX).min(MOST_OF_FEW);
        Ok(Guard {
            disclosure,
            parameters,
            few: few.saturating_sub(1),
            rows: 0,
            used: 0,
            by_person: table.has_person.then(ByPerson::default),
            most_frequent: MostFrequent::new(few),
            most_frequent_exactly: MostFrequent::new(few),
            references: References::default(),
            references_exactly: References::default(),
            early: FromMiddle::of(few.saturating_sub(1)),
            identifiers: if is_allowed { Identifiers::No } else { Identifiers::SoFar(HashMap::new()) },
            dominance: Dominance::of(few.saturating_sub(1)),
            is_numeric: true,
            has_booleans: false,
            has_numbers: false,
            are_whole: true,
        })
    }

    /// The next batch: one that says who its rows are about does so in its last column.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<(), AlgorithmError> {
        let Some(by_person) = &mut self.by_person else {
            self.rows += batch.num_rows() as u64;
            return Ok(());
        };
        by_person.end_batch();
        let person = batch.columns().last().ok_or_else(|| {
            AlgorithmError::Unreadable("it has no column that says who its rows are about".to_owned())
        })?;
        read_people(person, self.disclosure, &mut by_person.batch)?;
        self.rows += by_person.batch.iter().filter(|person| !matches!(person, About::LeftOut)).count() as u64;
        // Whatever else stands in such a row: in which columns is not told.
        by_person.unnamed += by_person.batch.iter().filter(|person| matches!(person, About::Unnamed)).count() as u64;
        Ok(())
    }

    /// How many bytes it holds, and may hold before the next batch is over.
    pub fn bytes(&self) -> usize {
        self.by_person.as_ref().map_or(0, |by_person| by_person.persons.bytes())
    }

    /// Something that is no number, and in which row of the batch it stands. Who has it takes part: whether there is
    /// somebody who has is compared like an answer.
    pub fn see_other(&mut self, row: usize) {
        if self.by_person.as_mut().is_none_or(|by_person| by_person.see(row, Number::Integer(0)).is_some()) {
            self.used += 1;
            self.is_numeric = false;
        }
    }

    /// A number, and in which row of the batch it stands; whether it counts.
    pub fn see(&mut self, row: usize, number: Number) -> bool {
        let amount = number.to_f64();
        let person = match &mut self.by_person {
            Some(by_person) => match by_person.see(row, number) {
                Some(person) => Some(person),
                None => return false,
            },
            None => {
                self.dominance.see(amount);
                self.early.see(Exact::from(number));
                None
            }
        };
        self.used += 1;
        self.has_booleans |= matches!(number, Number::Boolean(_));
        self.has_numbers |= !matches!(number, Number::Boolean(_));
        self.are_whole &= number.is_whole();
        let value = value(number);
        self.references.see(value, Exact::from(number));
        self.most_frequent.see(person, value);
        // With all the digits with which it is added up.
        let exactly = match number {
            Number::Decimal { .. } => (false, Exact::from(number).bits()),
            _ if value.0 => value,
            _ => (false, amount.to_bits()),
        };
        self.most_frequent_exactly.see(person, exactly);
        self.references_exactly.see(exactly, Exact::from(number));
        // Long numbers are read as floats, in which different ones can be the same.
        let is_exact = !matches!(number, Number::Float(value) if value.abs() >= EXACT);
        self.identifiers.see(value, is_exact, person);
        true
    }

    /// Who took part, and why no number about them may be told, if none may. `otherwise` says what the column holds where
    /// that are no numbers.
    pub fn end(mut self, otherwise: &str) -> (ToldOf, Option<Refusal>) {
        let are_people = self.by_person.is_some();
        let mut told_of = ToldOf {
            taking_part: Group { rows: self.used, people: None },
            table: Group { rows: self.rows, people: None },
        };
        let (mut unnamed, mut smaller_cell, mut largest_share, mut differing) = (0, None, None, None);
        if let Some(mut by_person) = self.by_person.take() {
            by_person.end_batch();
            by_person.persons.settle();
            told_of.table.people = Some(by_person.persons.all());
            told_of.taking_part.people = Some(by_person.persons.taking_part());
            let are_whole = self.are_whole;
            let persons = &by_person.persons;
            let counts = persons.counts();
            // The count that stands beside a sum is a sum, too: of how many values each has.
            let mut references = self.references.values();
            references.extend(self.references_exactly.values());
            references.sort_unstable_by(Exact::total_cmp);
            references.dedup();
            let share = |parts: &mut dyn Iterator<Item = f64>| {
                let mut dominance = Dominance::default();
                parts.for_each(|part| dominance.see(part));
                dominance.largest_share()
            };
            let mut shares = vec![share(&mut counts.clone())];
            let mut cells = vec![other_than_most(counts.map(rounded))];
            // As they are told, with all digits, and as others may have computed them; whole numbers are exact anyway.
            let roundings: &[Rounding] =
                if are_whole { &[Rounding::None] } else { &[Rounding::None, Rounding::Roughly] };
            for rounding in roundings.iter().copied() {
                let of_sum = |number: Exact| match rounding {
                    Rounding::None => (true, number.bits()),
                    Rounding::Roughly => rounded(number.to_f64()),
                };
                let sums = persons.sums(are_whole, rounding);
                shares.push(share(&mut sums.clone().map(Exact::to_f64)));
                // One bill and its cancellation are nothing, as are no bills.
                let means = persons.means(are_whole, rounding);
                cells.extend([other_than_most(sums.map(of_sum)), other_than_most(means.map(rounded))]);
                if rounding == Rounding::None {
                    cells.push(other_than_most(persons.mean_bits().map(|bits| (true, bits))));
                }
                for reference in references.iter().copied() {
                    let differences = persons.sums_from(reference, are_whole, rounding);
                    shares.push(share(&mut differences.clone().map(Exact::to_f64)));
                    cells.push(other_than_most(differences.map(of_sum)));
                }
            }
            // An offset is nobody's, whatever it is: from what the middle one has, neither one may have nearly all, nor a
            // few.
            let counts = persons.counts().map(|count| Exact::from(Number::Float(count)));
            let mut from_middle = vec![
                persons.differences_from_middle(counts, self.few),
                persons.differences_from_middle(persons.sums(are_whole, Rounding::None), self.few),
                persons.differences_from_middle(persons.exact_means(), self.few),
            ];
            // What is left of the sum when each value is counted from there.
            for reference in references.into_iter().chain(persons.middle(persons.exact_means())) {
                let differences = persons.sums_from(reference, are_whole, Rounding::None);
                from_middle.push(persons.differences_from_middle(differences, self.few));
            }
            let people = persons.counts().count() as u64;
            for differences in from_middle {
                shares.push(differences.largest_part());
                differing = differing.or(differences.few(people));
            }
            let mut sums = Dominance::of(self.few);
            persons.sums(are_whole, Rounding::None).for_each(|sum| sums.see(sum.to_f64()));
            differing = differing.or(sums.few_left(people));
            largest_share = shares.into_iter().flatten().reduce(f64::max);
            smaller_cell = cells.into_iter().flatten().min();
            unnamed = by_person.unnamed;
        }
        if !are_people {
            let differences = self.early.differences();
            differing = differences.few(self.used).or(self.dominance.few_left(self.used));
            let of_references = [self.references.largest_share(), self.references_exactly.largest_share()];
            largest_share = of_references.into_iter().flatten().chain(differences.largest_part()).reduce(f64::max);
        }
        let people = told_of.taking_part.people.as_ref().map_or(self.used, |people| people.count);
        let part = TakingPart {
            rows: told_of.table.people.as_ref().map_or(self.rows, |people| people.count),
            people,
            are_people,
            smaller_cell: [self.most_frequent.others(people), self.most_frequent_exactly.others(people), smaller_cell]
                .into_iter()
                .flatten()
                .min(),
            largest_share: self.dominance.largest_share().into_iter().chain(largest_share).reduce(f64::max),
            // A text is as far from numbers as nothing is.
            differing: differing.filter(|_| self.is_numeric),
        };
        let nameless = || (unnamed > 0).then(|| "some rows do not say who they are about".to_owned());
        let reason = self.disclosure.limits.suppression(&part, self.parameters).or_else(nameless);
        let refusal = match reason {
            // Before anything is said of what somebody has.
            Some(reason) => Some(Refusal::Suppressed(reason)),
            // True beside numbers is a text, as pandas has it.
            None if !self.is_numeric || self.has_booleans && self.has_numbers => {
                Some(Refusal::NotNumeric(otherwise.to_owned()))
            }
            // Of few values all can be different by chance, and they are suppressed anyway.
            None if self.used > 1 && self.identifiers.are_all_different() => Some(Refusal::Identifiers),
            None => None,
        };
        (told_of, refusal)
    }
}

impl ByPerson {
    /// The key of whom a row is about, that has this value; 0 for nobody. `None` if it is left out.
    fn see(&mut self, row: usize, value: Number) -> Option<u64> {
        match self.batch.get_mut(row) {
            Some(about @ About::Person(_)) => {
                let About::Person(key) = std::mem::replace(about, About::Counted) else { return None };
                self.persons.add(Person::of_row(key, Some(value)));
                Some(key)
            }
            Some(About::LeftOut) => None,
            Some(About::Unnamed | About::Counted) | None => Some(0),
        }
    }

    /// Counts those whose rows have no value.
    fn end_batch(&mut self) {
        for about in self.batch.drain(..) {
            if let About::Person(key) = about {
                self.persons.add(Person::of_row(key, None));
            }
        }
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

/// Whom the rows are about.
fn read_people(column: &ArrayRef, disclosure: &Disclosure, people: &mut Vec<About>) -> Result<(), AlgorithmError> {
    let see = |identifier: Option<String>| {
        people.push(match identifier.map(|identifier| disclosure.key.key(identifier.as_bytes())) {
            Some(key) if disclosure.left_out.contains(&key) => About::LeftOut,
            Some(key) => About::Person(key),
            None => About::Unnamed,
        });
    };
    for_each_identifier(column, see)
        .map_err(|_| AlgorithmError::Unreadable("the column that says who its rows are about".to_owned()))
}
