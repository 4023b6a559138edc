//! Whether all but a few have the same value: a sum then tells who has another one, or how many.

use std::collections::HashSet;

use super::guard::Value;

/// Values that nearly everybody may have, each with those who have another one.
///
/// If fewer than `few` have another value than the most frequent one, one of the first `few` people has it as the first
/// value. So these are looked at and no others, and each only as long as few have another one.
pub struct MostFrequent {
    few: usize,
    candidates: Vec<(Value, Others)>,
    /// The first people, or rows.
    first: Others,
}

/// People by their keys; rows where nobody is named.
#[derive(Clone, Default)]
struct Others {
    rows: usize,
    people: HashSet<u64>,
}

impl Others {
    fn add(&mut self, person: Option<u64>) {
        match person {
            Some(person) => drop(self.people.insert(person)),
            None => self.rows += 1,
        }
    }

    fn count(&self) -> usize {
        self.rows + self.people.len()
    }
}

impl MostFrequent {
    /// For a column in which no fewer than this many may differ from all others.
    pub fn new(few: usize) -> Self {
        MostFrequent { few, candidates: Vec::new(), first: Others::default() }
    }

    /// A value of somebody, or of a row of its own.
    pub fn see(&mut self, person: Option<u64>, value: Value) {
        let is_first = self.first.count() < self.few;
        if !is_first && self.candidates.is_empty() {
            return;
        }
        for (known, others) in &mut self.candidates {
            if *known != value {
                others.add(person);
            }
        }
        if is_first && person.is_none_or(|person| !self.first.people.contains(&person)) {
            if self.candidates.iter().all(|(known, _)| *known != value) {
                // Everybody before had another one.
                self.candidates.push((value, self.first.clone()));
            }
            self.first.add(person);
        }
        let few = self.few;
        self.candidates.retain(|(_, others)| others.count() < few);
    }

    /// How many of so many in all have another value than the most frequent one; `None` if they are not few, or nobody,
    /// or most.
    pub fn others(&self, all: u64) -> Option<u64> {
        let fewest = self.candidates.iter().map(|(_, others)| others.count() as u64).min()?;
        (fewest > 0 && fewest <= all / 2).then_some(fewest)
    }
}

/// How many have another value than most; `None` if nobody has, or most have not the same one.
pub fn other_than_most(values: impl Iterator<Item = Value> + Clone) -> Option<u64> {
    // What more than half have is left when different ones have been struck out in pairs (Boyer and Moore, "MJRTY: a fast
    // majority vote algorithm", 1981).
    let (mut candidate, mut lead) = (None, 0_u64);
    for value in values.clone() {
        if lead == 0 {
            candidate = Some(value);
        }
        lead = if candidate == Some(value) { lead + 1 } else { lead - 1 };
    }
    let (mut all, mut others) = (0, 0);
    for value in values {
        all += 1;
        others += u64::from(candidate != Some(value));
    }
    (others > 0 && others <= all / 2).then_some(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_another_value_than_most_are_counted() {
        let of = |values: &[u64]| other_than_most(values.iter().map(|value| (true, *value)));
        assert_eq!((of(&[]), of(&[7]), of(&[1, 1]), of(&[1, 2, 3, 4])), (None, None, None, None));
        assert_eq!((of(&[1, 1, 2]), of(&[2, 1, 1]), of(&[1, 2, 1, 3, 1])), (Some(1), Some(1), Some(2)));
    }

    fn others(values: impl IntoIterator<Item = (Option<u64>, u64)>) -> Option<u64> {
        let (mut most_frequent, mut people, mut rows) = (MostFrequent::new(5), HashSet::new(), 0);
        for (person, value) in values {
            most_frequent.see(person, (true, value));
            people.extend(person);
            rows += 1;
        }
        most_frequent.others(if people.is_empty() { rows } else { people.len() as u64 })
    }

    /// Every row is about somebody else.
    fn of_rows(values: &[u64]) -> Option<u64> {
        let by_person = others(values.iter().enumerate().map(|(person, value)| (Some(person as u64), *value)));
        let by_row = others(values.iter().map(|value| (None, *value)));
        assert_eq!(by_person, by_row, "{values:?}");
        by_row
    }

    #[test]
    fn the_few_with_another_value_are_counted_in_whatever_order_they_come() {
        for few in 0..8 {
            for place in [0, 1, 3, 20, 40] {
                let mut values = vec![0; 40];
                values.splice(place..place, 1..=few);
                assert_eq!(of_rows(&values), Some(few).filter(|few| (1..5).contains(few)), "{few} at {place}");
            }
        }
        let half: Vec<u64> = (0..40).map(|row| row % 2).collect();
        let different: Vec<u64> = (0..40).collect();
        assert_eq!((of_rows(&half), of_rows(&different), of_rows(&[])), (None, None, None));
        assert_eq!((of_rows(&different[..4]), of_rows(&[1, 1, 2, 3])), (None, Some(2)));
    }

    #[test]
    fn rows_of_one_person_are_one_person() {
        let everybody = (0..40).map(|person| (Some(person), 0));
        let visits = (0..30).map(|visit| (Some(7), 100 + visit));
        assert_eq!(others(everybody.clone().chain(visits.clone())), Some(1));
        assert_eq!(others(visits.chain(everybody.clone())), Some(1));
        let both = everybody.flat_map(|row| [row, (row.0, 1)]);
        assert_eq!(others(both), None);
    }
}
