//! The people whom the rows of a table are about, each once, in 32 bytes for each.

use super::{
    guard::{EXACT, People},
    sketch::{Sketch, mix},
};

/// How many rows are gathered at least before they are looked for among the people who are known.
const GATHERED: usize = 1 << 16;

/// The part of the amounts that a sum of floats can be off.
const ROUNDING: f64 = 1e-9;
/// The part of the largest amount that is left where two values should be the same.
const ROUNDING_OF_ALL: f64 = 1e-14;

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
    sum: f64,
    /// … and without their signs.
    amount: f64,
    rows: u32,
    /// Rows with a value.
    values: u32,
}

impl Person {
    /// As one row tells, with its value if it has one.
    pub fn of_row(key: u64, value: Option<f64>) -> Person {
        let sum = value.unwrap_or_default();
        Person { key, sum, amount: sum.abs(), rows: 1, values: u32::from(value.is_some()) }
    }

    fn add(&mut self, more: &Person) {
        self.sum += more.sum;
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

    /// What the values of everybody come to who has one, once they are settled. What is nothing but rounding is nothing:
    /// beside the values of the same person, or beside the largest amount of anybody. Sums of whole numbers are exact,
    /// and nothing is rounded.
    pub fn sums(&self, are_whole: bool) -> impl Iterator<Item = f64> + Clone {
        self.sums_from(0.0, are_whole)
    }

    /// The same of the differences of the values from this one.
    pub fn sums_from(&self, reference: f64, are_whole: bool) -> impl Iterator<Item = f64> + Clone {
        let amount = move |person: &Person| person.amount + reference.abs() * f64::from(person.values);
        let finite = self.with_values().map(amount).filter(|amount| amount.is_finite());
        let largest = finite.fold(0.0, f64::max);
        let (rounding, nothing) = match are_whole && largest < EXACT {
            true => (0.0, 0.0),
            false => (ROUNDING, largest * ROUNDING_OF_ALL),
        };
        self.with_values().map(move |person| match amount(person) {
            amount if amount.is_infinite() => f64::INFINITY,
            amount => match person.sum - reference * f64::from(person.values) {
                sum if sum.abs() <= (amount * rounding).max(nothing) => 0.0,
                sum => sum,
            },
        })
    }

    /// The mean value of everybody who has one, in the same order.
    pub fn means(&self, are_whole: bool) -> impl Iterator<Item = f64> + Clone {
        self.sums(are_whole).zip(self.with_values()).map(|(sum, person)| sum / f64::from(person.values))
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
                let value = (who < 1_000).then_some(who as f64);
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
        let mut sums: Vec<f64> = persons.sums(true).collect();
        sums.sort_unstable_by(f64::total_cmp);
        assert!(sums.iter().enumerate().all(|(who, sum)| *sum == 3.0 * who as f64));
        // One has a row more.
        persons.add(Person::of_row(spread(5), None));
        persons.settle();
        let more = persons.all();
        assert!(more.names == all.names && more.rows != all.rows);
        let mut nobody = Persons::default();
        nobody.settle();
        assert_eq!((nobody.all().count, nobody.sums(false).count()), (0, 0));
    }
}
