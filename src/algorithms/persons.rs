//! The people whom the rows of a table are about, each once, in 40 bytes for each.

use super::{
    column::Number,
    dominance::Dominance,
    exact::{EXACT_WHOLE, Exact},
    guard::People,
    sketch::{Sketch, mix},
};

/// How many rows are gathered at least before they are looked for among the people who are known.
const GATHERED: usize = 1 << 16;

/// The part of the amounts that is left where decimals should come to nothing: 0.1 and 0.2 are not quite 0.3, …
const ROUGHLY: f64 = 1e-9;
/// … and of the largest amount of anybody.
const ROUGHLY_OF_ALL: f64 = 1e-14;

/// How near to nothing what somebody's values come to is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// As exactly as sums are told.
    None,
    /// As what is left when numbers were computed.
    Roughly,
}

/// So many people say well enough what the middle one has.
const SAMPLE: usize = 10_001;

/// People by their keys, with what their rows have in the column that is asked about.
#[derive(Default)]
pub struct Persons {
    /// In order.
    known: Vec<Person>,
    gathered: Vec<Person>,
}

/// What is known of somebody.
#[derive(Clone, Copy)]
pub struct Person {
    key: u64,
    /// What the values come to, …
    sum: Exact,
    /// … and without their signs.
    amount: f64,
    rows: u32,
    /// Rows with a value.
    values: u32,
}

impl Person {
    /// As one row tells, with its value if it has one.
    pub fn of_row(key: u64, value: Option<Number>) -> Person {
        let sum = value.map(Exact::from).unwrap_or_default();
        Person { key, sum, amount: sum.to_f64().abs(), rows: 1, values: u32::from(value.is_some()) }
    }

    fn add(&mut self, more: &Person) {
        self.sum = self.sum + more.sum;
        self.amount += more.amount;
        self.rows = self.rows.saturating_add(more.rows);
        self.values = self.values.saturating_add(more.values);
    }
}

impl Persons {
    /// Adds a row of somebody, who may be there already.
    pub fn add(&mut self, row: Person) {
        // Rows of one person often stand together.
        match self.gathered.last_mut().filter(|last| last.key == row.key) {
            Some(last) => last.add(&row),
            None => self.gathered.push(row),
        }
        // The more are known, the more are looked for at once: each is moved a few times only.
        if self.gathered.len() >= GATHERED.max(self.known.len() / 4) {
            self.settle();
        }
    }

    /// How many bytes they take, and will take when those gathered are settled.
    pub fn bytes(&self) -> usize {
        // Twice, while a larger place is there beside the one before.
        let larger = self.known.len() + self.gathered.len();
        (self.known.capacity() + larger + self.gathered.capacity()) * size_of::<Person>()
    }

    /// Looks for those gathered among those who are known.
    pub fn settle(&mut self) {
        self.gathered.sort_unstable_by_key(|person| person.key);
        self.gathered.dedup_by(|more, person| {
            let is_same = more.key == person.key;
            if is_same {
                person.add(more);
            }
            is_same
        });
        let (mut before, known) = (0, &mut self.known);
        self.gathered.retain(|person| {
            before += known[before..].iter().take_while(|other| other.key < person.key).count();
            match known.get_mut(before).filter(|other| other.key == person.key) {
                Some(other) => {
                    other.add(person);
                    false
                }
                None => true,
            }
        });
        // From the end, so that nothing needs a second place.
        let (mut old, mut new) = (self.known.len(), self.gathered.len());
        // As many as there are, and not twice as many: each time a quarter more comes than is there, and not one.
        self.known.reserve_exact(new);
        self.known.resize(old + new, Person::of_row(0, None));
        while new > 0 {
            let person = self.gathered[new - 1];
            if old > 0 && self.known[old - 1].key > person.key {
                self.known[old + new - 1] = self.known[old - 1];
                old -= 1;
            } else {
                self.known[old + new - 1] = person;
                new -= 1;
            }
        }
        self.gathered.clear();
    }

    /// Everybody, once they are settled.
    pub fn all(&self) -> People {
        let (mut names, mut rows) = (Sketch::default(), Sketch::default());
        for person in &self.known {
            names.add(person.key);
            rows.add(mix(person.key ^ mix(u64::from(person.rows))));
        }
        People { count: self.known.len() as u64, names, rows: Some(rows) }
    }

    /// Those with a value, once they are settled.
    pub fn taking_part(&self) -> People {
        let (mut count, mut names, mut rows) = (0, Sketch::default(), Sketch::default());
        for person in self.known.iter().filter(|person| person.values > 0) {
            count += 1;
            names.add(person.key);
            rows.add(mix(person.key ^ mix(u64::from(person.values))));
        }
        People { count, names, rows: Some(rows) }
    }

    fn with_values(&self) -> impl Iterator<Item = &Person> + Clone {
        self.known.iter().filter(|person| person.values > 0)
    }

    /// What the values of everybody come to who has one, once they are settled. What is nothing but rounding is nothing. Sums of
    /// whole numbers are exact, and nothing is rounded.
    pub fn sums(&self, are_whole: bool, rounding: Rounding) -> impl Iterator<Item = Exact> + Clone {
        self.sums_from(Exact::default(), are_whole, rounding)
    }

    /// The same of the differences of the values from this one.
    pub fn sums_from(
        &self,
        reference: Exact,
        are_whole: bool,
        rounding: Rounding,
    ) -> impl Iterator<Item = Exact> + Clone {
        let amount = move |person: &Person| person.amount + reference.to_f64().abs() * f64::from(person.values);
        let finite = self.with_values().map(amount).filter(|amount| amount.is_finite());
        let largest = finite.fold(0.0, f64::max);
        let (part, nothing) = match rounding {
            _ if are_whole && largest < EXACT_WHOLE => (0.0, 0.0),
            Rounding::None => (0.0, 0.0),
            Rounding::Roughly => (ROUGHLY, largest * ROUGHLY_OF_ALL),
        };
        self.with_values().map(move |person| match amount(person) {
            amount if amount.is_infinite() => Exact::from(Number::Float(f64::INFINITY)),
            amount => match person.sum.minus(reference, person.values) {
                sum if sum.to_f64().abs() <= (amount * part).max(nothing) => Exact::default(),
                sum => sum,
            },
        })
    }

    /// The mean value of everybody who has one, with all its digits.
    pub fn exact_means(&self) -> impl Iterator<Item = Exact> + Clone {
        self.with_values().map(|person| person.sum.divided(f64::from(person.values)))
    }

    /// The mean value of everybody who has one, in the same order.
    pub fn means(&self, are_whole: bool, rounding: Rounding) -> impl Iterator<Item = f64> + Clone {
        let sums = self.sums(are_whole, rounding).zip(self.with_values());
        sums.map(|(sum, person)| sum.to_f64() / f64::from(person.values))
    }

    /// What tells different mean values apart, in the same order.
    pub fn mean_bits(&self) -> impl Iterator<Item = u64> + Clone {
        self.with_values().map(|person| person.sum.part_bits(person.values))
    }

    /// About what the middle one has of these numbers, which are in the order of the people: that of their keys, so that each
    /// part of them says what all have.
    pub fn middle(&self, numbers: impl Iterator<Item = Exact>) -> Option<Exact> {
        let step = self.known.len().div_ceil(SAMPLE).max(1);
        let mut sample: Vec<Exact> = numbers.step_by(step).filter(|number| number.to_f64().is_finite()).collect();
        if sample.is_empty() {
            return None;
        }
        let middle = sample.len() / 2;
        Some(*sample.select_nth_unstable_by(middle, Exact::total_cmp).1)
    }

    /// These numbers as differences from the middle one, of which so many are few: an offset is nobody's.
    pub fn differences_from_middle(&self, numbers: impl Iterator<Item = Exact> + Clone, few: usize) -> Dominance {
        let mut dominance = Dominance::of(few);
        if let Some(middle) = self.middle(numbers.clone()) {
            numbers.for_each(|number| dominance.see(number.minus(middle, 1).to_f64()));
        }
        dominance
    }

    /// How many values everybody has who has one, in the same order.
    pub fn counts(&self) -> impl Iterator<Item = f64> + Clone {
        self.with_values().map(|person| f64::from(person.values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_counted_once_whatever_the_order() {
        let mut persons = Persons::default();
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for round in 0..3 {
            for number in 0..200_000 {
                let who = (number * 7 + round) % 200_000;
                let value = (who < 1_000).then_some(Number::Float(who as f64));
                persons.add(Person::of_row(spread(who), value));
            }
        }
        persons.settle();
        let mut once = Sketch::default();
        (0..200_000).for_each(|number| once.add(spread(number)));
        let all = persons.all();
        assert!(all.count == 200_000 && all.names == once);
        let mut some = Sketch::default();
        (0..1_000).for_each(|number| some.add(spread(number)));
        let taking_part = persons.taking_part();
        assert!(taking_part.count == 1_000 && taking_part.names == some);
        let mut sums: Vec<f64> = persons.sums(true, Rounding::None).map(Exact::to_f64).collect();
        sums.sort_unstable_by(f64::total_cmp);
        assert!(sums.iter().enumerate().all(|(who, sum)| *sum == 3.0 * who as f64));
        // One has a row more.
        persons.add(Person::of_row(spread(5), None));
        persons.settle();
        let more = persons.all();
        assert!(more.names == all.names && more.rows != all.rows);
        let mut nobody = Persons::default();
        nobody.settle();
        assert_eq!((nobody.all().count, nobody.sums(false, Rounding::Roughly).count()), (0, 0));
    }
}
