//! Values from which all others may be counted. Who knows sum and number of values knows the sum of their differences from
//! any value, too: 1 and 2 tell what 0 and 1 tell, and so do 100 and 101.

use super::dominance::Dominance;

/// Different values that are counted exactly.
const COUNTED: usize = 64;
/// The lead of a majority (in parts of all values) from which on it is one; of a column of different values it is nothing.
const LEAST_LEAD: u64 = 10;

/// Watches the values of a column for those that are worth counting from.
#[derive(Default)]
pub struct References {
    /// Different values and how often each was seen, as long as they are few.
    counted: Vec<(f64, u64)>,
    has_more: bool,
    /// What is left when different values have been struck out in pairs (Boyer and Moore, "MJRTY: a fast majority vote
    /// algorithm", 1981).
    majority: f64,
    lead: u64,
    seen: u64,
}

impl References {
    /// Another value.
    pub fn see(&mut self, value: f64) {
        self.seen += 1;
        if self.lead == 0 {
            self.majority = value;
        }
        self.lead = if self.majority == value { self.lead + 1 } else { self.lead - 1 };
        if self.has_more {
            return;
        }
        let is_full = self.counted.len() == COUNTED;
        match self.counted.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None if is_full => {
                self.has_more = true;
                self.counted = Vec::new();
            }
            None => self.counted.push((value, 1)),
        }
    }

    /// The values: that of most, and both of a column that has two. Nothing is none: from there everything is counted.
    pub fn values(&self) -> Vec<f64> {
        let mut values = Vec::new();
        if self.lead * LEAST_LEAD >= self.seen {
            values.push(self.majority);
        }
        if !self.has_more && self.counted.len() == 2 {
            values.extend(self.counted.iter().map(|(value, _)| *value));
        }
        values.retain(|value| *value != 0.0 && value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        values
    }

    /// The largest share that one value has of all differences from one of these; where they are too many to be counted
    /// nobody knows.
    pub fn largest_share(&self) -> Option<f64> {
        let share = |reference: f64| {
            let mut dominance = Dominance::default();
            self.counted.iter().for_each(|(value, count)| dominance.see_times(value - reference, *count));
            dominance.largest_share()
        };
        self.values().into_iter().filter_map(share).reduce(f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: impl IntoIterator<Item = f64>) -> References {
        let mut references = References::default();
        values.into_iter().for_each(|value| references.see(value));
        references
    }

    #[test]
    fn both_of_two_values_are_references_and_that_of_most() {
        assert_eq!(seen((0..40).map(|row| f64::from(1 + row % 2))).values(), [1.0, 2.0]);
        assert_eq!(seen((0..40).map(|row| f64::from(row % 2))).values(), [1.0]);
        let most = (0..60).map(|row| if row < 54 { 100.0 } else { f64::from(row) });
        assert_eq!(seen(most).values(), [100.0]);
        assert!(seen((0..1_000).map(f64::from)).values().is_empty());
        assert!(seen([]).values().is_empty());
    }

    #[test]
    fn an_offset_hides_no_value_that_dominates() {
        let dominated = |offset: f64| {
            let few = [1.0, 1.0, 1.0, 1.0, 1.0, 4_611.0];
            seen(std::iter::repeat_n(0.0, 54).chain(few).map(move |value| value + offset)).largest_share()
        };
        assert!(dominated(100.0).unwrap() > 0.99);
        assert!(seen((0..60).map(|row| f64::from(100 + row % 3))).largest_share().is_none_or(|share| share < 0.1));
    }
}
