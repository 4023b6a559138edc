//! Values from which all others may be counted. Who knows sum and number of values knows the sum of their differences from
//! any value, too: 1 and 2 tell what 0 and 1 tell, and so do 100 and 101.

use super::{dominance::Dominance, exact::Exact, guard::Value};

/// Different values that are counted exactly.
const COUNTED: usize = 64;
/// The most frequent ones of them from which is counted.
const MOST_FREQUENT: usize = 2;

/// One part in so many is left at least of a value that clearly more than half have.
const MAJORITY: u64 = 50;

/// Watches the values of a column for those that are worth counting from.
#[derive(Default)]
pub struct References {
    /// Different values, one of each as it is written, and how often each was seen, as long as they are few.
    counted: Vec<(Value, Exact, u64)>,
    has_more: bool,
    /// What is left when different values have been struck out in pairs (Boyer and Moore, "MJRTY: a fast majority vote
    /// algorithm", 1981): if more than half have the same value it is this one.
    majority: Option<(Value, Exact)>,
    lead: u64,
    all: u64,
}

impl References {
    /// Another value, as it is compared with others and as it is.
    pub fn see(&mut self, value: Value, amount: Exact) {
        self.all += 1;
        if self.lead == 0 {
            self.majority = Some((value, amount));
        }
        let is_majority = self.majority.is_some_and(|(known, _)| known == value);
        self.lead = if is_majority { self.lead + 1 } else { self.lead - 1 };
        if self.has_more {
            return;
        }
        let is_full = self.counted.len() == COUNTED;
        match self.counted.iter_mut().find(|(known, ..)| *known == value) {
            Some((.., count)) => *count += 1,
            None if is_full => {
                self.has_more = true;
                self.counted = Vec::new();
            }
            None => self.counted.push((value, amount, 1)),
        }
    }

    /// The values: the two most frequent ones, or, where they are too many to be counted, that of most. Nothing is none: from
    /// there everything is counted.
    pub fn values(&self) -> Vec<Exact> {
        let mut counted = self.counted.clone();
        counted.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        // What is left of many by chance is little.
        let is_majority = self.lead.saturating_mul(MAJORITY) >= self.all;
        let mut values: Vec<Exact> = match self.has_more {
            true => self.majority.filter(|_| is_majority).map(|(_, amount)| amount).into_iter().collect(),
            false => counted.into_iter().take(MOST_FREQUENT).map(|(_, amount, _)| amount).collect(),
        };
        values.retain(|value| *value != Exact::default() && value.to_f64().is_finite());
        values
    }

    /// The largest share that one value has of all differences from one of these; where they are too many to be counted
    /// nobody knows.
    pub fn largest_share(&self) -> Option<f64> {
        let share = |reference: Exact| {
            let mut dominance = Dominance::default();
            let difference = |amount: Exact| amount.minus(reference, 1).to_f64();
            self.counted.iter().for_each(|(_, amount, count)| dominance.see_times(difference(*amount), *count));
            dominance.largest_share()
        };
        self.values().into_iter().filter_map(share).reduce(f64::max)
    }
}

/// So many of the first values say where the middle is, if few are not more than half of them.
const FIRST: usize = 65;

/// Values as differences from the middle of the first ones: where they are too many to be counted, an offset could hide that
/// one of them, or a few, dominate.
pub struct FromMiddle {
    first: Vec<Exact>,
    /// So many of them are awaited.
    awaited: usize,
    middle: Option<Exact>,
    differences: Dominance,
}

impl FromMiddle {
    /// So many are few.
    pub fn of(few: usize) -> Self {
        FromMiddle { first: Vec::new(), awaited: FIRST.max(2 * few + 3), middle: None, differences: Dominance::of(few) }
    }

    /// Another value: a decimal one can differ from the middle by less than a float of its size can.
    pub fn see(&mut self, value: Exact) {
        if let Some(middle) = self.middle {
            self.differences.see(value.minus(middle, 1).to_f64());
            return;
        }
        self.first.push(value);
        if self.first.len() == self.awaited {
            let middle = middle_of(&self.first);
            self.middle = Some(middle);
            self.first.drain(..).for_each(|value| self.differences.see(value.minus(middle, 1).to_f64()));
        }
    }

    /// All differences.
    pub fn differences(mut self) -> Dominance {
        if self.middle.is_none() && !self.first.is_empty() {
            let middle = middle_of(&self.first);
            self.first.iter().for_each(|value| self.differences.see(value.minus(middle, 1).to_f64()));
        }
        self.differences
    }
}

/// About the middle one.
fn middle_of(values: &[Exact]) -> Exact {
    let mut sorted = values.to_vec();
    let place = sorted.len() / 2;
    *sorted.select_nth_unstable_by(place, Exact::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::column::Number;

    /// The references, as floats.
    fn values(of: &References) -> Vec<f64> {
        of.values().into_iter().map(Exact::to_f64).collect()
    }

    fn exact(value: f64) -> Exact {
        Exact::from(Number::Float(value))
    }

    fn seen(values: impl IntoIterator<Item = f64>) -> References {
        let mut references = References::default();
        values.into_iter().for_each(|value| references.see((true, value.to_bits()), exact(value)));
        references
    }

    #[test]
    fn the_most_frequent_values_are_references() {
        assert_eq!(values(&seen((0..41).map(|row| f64::from(1 + row % 2)))), [1.0, 2.0]);
        assert_eq!(values(&seen((0..40).map(|row| f64::from(row % 2)))), [1.0]);
        let most = |few: u32| values(&seen((0..60).map(move |row| if row < few { 100.0 } else { f64::from(row) })))[0];
        assert_eq!((most(54), most(31), most(20)), (100.0, 100.0, 100.0));
        // Of more than can be counted that of most.
        let many = seen((0..1_000).map(|row| if row % 2 == 0 || row < 50 { 7.5 } else { f64::from(row) }));
        assert_eq!(values(&many), [7.5]);
        assert!(seen([]).values().is_empty());
    }

    #[test]
    fn an_offset_hides_no_value_that_dominates() {
        let dominated = |offset: f64| {
            let few = [1.0, 1.0, 1.0, 1.0, 1.0, 4_611.0];
            seen(std::iter::repeat_n(0.0, 54).chain(few).map(move |value| value + offset)).largest_share()
        };
        assert!(dominated(100.0).unwrap() > 0.99);
        // Also where they are too many to be counted.
        let mut many = FromMiddle::of(4);
        (0..65)
            .map(|row| 70_000.0 + f64::from(row % 40) / 100.0)
            .chain([75_000.3])
            .for_each(|value| many.see(exact(value)));
        assert!(many.differences().largest_part().unwrap() > 0.99);
        let mut even = FromMiddle::of(4);
        (0..200).map(|row| 70_000.0 + f64::from(row)).for_each(|value| even.see(exact(value)));
        let even = even.differences();
        assert!(even.largest_part().unwrap() < 0.1 && even.few(200).is_none());
        let even = seen((0..60).map(|row| {
            f64::from(if row < 10 {
                1
            } else if row < 49 {
                2
            } else {
                3
            })
        }));
        assert!(even.largest_share().unwrap() < 0.1, "differences that make up for one another are nobody's");
    }
}
