//! Whether one value, or one person, makes most of a sum.

/// Up to this many people are added up exactly; of more, those with large parts.
const PEOPLE: usize = 30;

/// The parts of a sum. Of people it keeps those with the largest parts, in memory of one size (Misra and Gries, "Finding
/// repeated elements", 1982, with amounts): what is taken off everybody so that somebody else has room is known, so a part
/// is never taken for smaller than it is.
#[derive(Default)]
pub struct Dominance {
    sum: f64,
    largest_row: f64,
    people: Vec<u64>,
    /// What each of them has, beyond what was taken off.
    parts: Vec<f64>,
    taken_off: f64,
    /// No part is smaller.
    smallest: f64,
}

impl Dominance {
    /// Another amount, of somebody or of a row of its own.
    pub fn see(&mut self, person: Option<u64>, amount: f64) {
        self.sum += amount;
        let Some(person) = person else {
            self.largest_row = self.largest_row.max(amount);
            return;
        };
        if let Some(place) = self.people.iter().position(|known| *known == person) {
            self.parts[place] += amount;
            return;
        }
        let mut amount = amount;
        if self.people.len() == PEOPLE {
            // Everybody loses what the one with the least has, this one too.
            if amount > self.smallest {
                self.smallest = self.parts.iter().copied().fold(f64::INFINITY, f64::min);
            }
            let loss = amount.min(self.smallest);
            self.taken_off += loss;
            self.smallest -= loss;
            amount -= loss;
            self.parts.iter_mut().for_each(|part| *part -= loss);
            if self.smallest <= 0.0 {
                let mut parts = self.parts.iter();
                self.people.retain(|_| parts.next().is_some_and(|part| *part > 0.0));
                self.parts.retain(|part| *part > 0.0);
            }
            if amount <= 0.0 {
                return;
            }
        }
        self.smallest = if self.people.is_empty() { amount } else { self.smallest.min(amount) };
        self.people.push(person);
        self.parts.push(amount);
    }

    /// The part of the sum that the largest one has, if that is more than nothing and finite. Of more than 30 people it
    /// can be too large by a thirtieth.
    pub fn largest_share(&self) -> Option<f64> {
        let of_people = self.parts.iter().copied().fold(0.0, f64::max) + self.taken_off;
        let largest = if self.people.is_empty() { self.largest_row } else { of_people };
        (self.sum > 0.0 && self.sum.is_finite()).then(|| largest / self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(amounts: impl IntoIterator<Item = (Option<u64>, f64)>) -> f64 {
        let mut dominance = Dominance::default();
        amounts.into_iter().for_each(|(person, amount)| dominance.see(person, amount));
        dominance.largest_share().unwrap_or_default()
    }

    #[test]
    fn of_rows_and_of_few_people_the_largest_part_is_exact() {
        assert_eq!(share((1..=4).map(|amount| (None, f64::from(amount)))), 0.4);
        let people = (0..30).flat_map(|person| [(Some(person), 1.0), (Some(person), person as f64)]);
        assert_eq!(share(people), 30.0 / (30.0 + 435.0));
        assert_eq!((share([]), share([(Some(1), 0.0)]), share([(None, f64::INFINITY)])), (0.0, 0.0, 0.0));
    }

    #[test]
    fn whoever_has_most_of_a_sum_is_found_among_many_in_any_order() {
        let many = 0..10_000_u64;
        // One has 9,000 rows of a hundred between everybody's rows of one.
        let rich: Vec<(Option<u64>, f64)> =
            many.clone().flat_map(|person| [(Some(person), 10.0), (Some(77), 100.0)]).collect();
        let expected = 100.0 / 110.0;
        for amounts in [rich.clone(), rich.iter().rev().copied().collect()] {
            let found = share(amounts);
            assert!((expected..expected + 1.0 / 30.0).contains(&found), "{found}");
        }
        let mut first = rich.clone();
        first.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        assert!((expected..expected + 1.0 / 30.0).contains(&share(first)));
        // Equal ones, and one who has a tenth.
        assert!(share(many.clone().map(|person| (Some(person), 10.0))) < 1.0 / 30.0);
        let tenth = many.flat_map(|person| [(Some(person), 9.0), (Some(77), 1.0)]);
        assert!((0.1..0.1 + 1.0 / 30.0).contains(&share(tenth)));
    }
}
