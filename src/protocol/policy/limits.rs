use serde::{Deserialize, Serialize};

/// How much a result may tell of single people, in the manner of DataSHIELD's disclosure settings. What is missing
/// limits nothing; a node that says nothing has [`Limits::SAFE`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// People (rows, where the database does not say who they are about) that have to take part, or nothing is told.
    pub minimum_rows: Option<u64>,
    /// The smallest count that is told, zero aside (DataSHIELD: `nfilter.tab`).
    pub smallest_cell: Option<u64>,
    /// People that a number needs, and by how many the people of two answers have to differ (DataSHIELD:
    /// `nfilter.subset`).
    pub smallest_subset: Option<u64>,
    /// The most parameters of a model for each person, between 0 and 1 (DataSHIELD: `nfilter.glm`).
    pub largest_parameter_share: Option<f64>,
    /// The largest part of a sum that one value may have, or one person with several, between 0 and 1.
    pub largest_value_share: Option<f64>,
}

/// Who takes part in a number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TakingPart {
    /// Rows of the whole table.
    pub rows: u64,
    /// People who take part: rows with a value, where nothing says who they are about. Counted exactly as far as the
    /// limits need it.
    pub people: u64,
    /// Whether these are people and not rows.
    pub are_people: bool,
    /// The people with another value than the most frequent one, where these are few.
    pub smaller_cell: Option<u64>,
    /// The part of the sum that one person has, or one value where nobody is named.
    pub largest_share: Option<f64>,
    /// How few make nearly all that differs from what most have; `None` if they are not few.
    pub differing: Option<u64>,
}

impl Limits {
    /// What holds where nothing else is said.
    pub const SAFE: Limits = Limits {
        minimum_rows: Some(10),
        smallest_cell: Some(5),
        smallest_subset: Some(5),
        largest_parameter_share: Some(0.33),
        largest_value_share: Some(0.85),
    };

    /// Why numbers about these, `parameters` of them in all, are not told; `None` if they are. Nothing used is a plain
    /// zero, which tells of nobody.
    pub fn suppression(&self, part: &TakingPart, parameters: u64) -> Option<String> {
        let who = if part.are_people { "people" } else { "rows" };
        let below = |limit: Option<u64>, count: u64| limit.filter(|least| count < *least);
        // Whether there is anything in a table that is too small is not told either.
        if let Some(least) = below(self.minimum_rows, part.rows) {
            return Some(format!("the table has fewer than {least} {who} (minimum_rows)"));
        }
        if part.people == 0 {
            return None;
        }
        if let Some(least) = below(self.minimum_rows, part.people) {
            return Some(format!("fewer than {least} {who} have a value (minimum_rows)"));
        }
        if let Some(least) = below(self.smallest_subset, part.people) {
            return Some(format!("fewer than {least} {who} have a value (smallest_subset)"));
        }
        if let Some(least) = below(self.smallest_cell, part.people) {
            return Some(format!("the count is smaller than {least} (smallest_cell)"));
        }
        // Such a sum counts those who have another one, or tells their values.
        if let Some(least) = part.smaller_cell.and_then(|cell| below(self.smallest_cell, cell)) {
            return Some(format!("all but fewer than {least} {who} have the same value (smallest_cell)"));
        }
        // An amount, not an exact number: people and parameters are far below 2^53.
        let share = parameters as f64 / part.people as f64;
        if let Some(largest) = self.largest_parameter_share.filter(|largest| share > *largest) {
            return Some(format!("more than {largest} parameters for each of the {who} (largest_parameter_share)"));
        }
        let is_too_large = |largest: &f64| part.largest_share.is_some_and(|of_largest| of_largest > *largest);
        if let Some(largest) = self.largest_value_share.filter(is_too_large) {
            return Some(format!("one value is more than {largest} of the sum (largest_value_share)"));
        }
        let least = part.differing.and_then(|few| below(self.smallest_cell, few))?;
        Some(format!("fewer than {least} {who} make nearly all that differs (smallest_cell)"))
    }

    /// The limits that protect less than [`Limits::SAFE`], in words.
    pub fn weaker(&self) -> Vec<String> {
        let counts = [
            ("minimum_rows", self.minimum_rows, Limits::SAFE.minimum_rows),
            ("smallest_cell", self.smallest_cell, Limits::SAFE.smallest_cell),
            ("smallest_subset", self.smallest_subset, Limits::SAFE.smallest_subset),
        ];
        let shares = [
            ("largest_parameter_share", self.largest_parameter_share, Limits::SAFE.largest_parameter_share),
            ("largest_value_share", self.largest_value_share, Limits::SAFE.largest_value_share),
        ];
        let mut weaker = Vec::new();
        for (name, value, safe) in counts {
            if let (Some(value), Some(safe)) = (value, safe)
                && value < safe
            {
                weaker.push(format!("{name} {value} instead of {safe}"));
            }
        }
        for (name, value, safe) in shares {
            if let (Some(value), Some(safe)) = (value, safe)
                && value > safe
            {
                weaker.push(format!("{name} {value} instead of {safe}"));
            }
        }
        weaker
    }

    /// Those that can keep something from being told, by their names.
    pub fn in_force(&self) -> Vec<(&'static str, String)> {
        let limits = |name: &str, value: &str| match name {
            "largest_parameter_share" | "largest_value_share" => value.parse::<f64>().is_ok_and(|share| share < 1.0),
            _ => value.parse::<u64>().is_ok_and(|count| count > 1),
        };
        self.named().into_iter().filter(|(name, value)| limits(name, value)).collect()
    }

    /// The limits that are set, by the names of the configuration.
    pub fn named(&self) -> Vec<(&'static str, String)> {
        let counts = [
            ("minimum_rows", self.minimum_rows),
            ("smallest_cell", self.smallest_cell),
            ("smallest_subset", self.smallest_subset),
        ];
        let counts = counts.into_iter().filter_map(|(name, value)| Some((name, value?.to_string())));
        let shares = [
            ("largest_parameter_share", self.largest_parameter_share),
            ("largest_value_share", self.largest_value_share),
        ];
        counts.chain(shares.into_iter().filter_map(|(name, value)| Some((name, value?.to_string())))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: u64, used: u64) -> TakingPart {
        TakingPart { rows, people: used, ..Default::default() }
    }

    #[test]
    fn a_number_about_few_is_suppressed_and_zero_is_not() {
        let limits = Limits { minimum_rows: Some(3), smallest_cell: Some(3), ..Default::default() };
        assert_eq!(limits.suppression(&rows(5, 0), 1), None);
        assert_eq!(limits.suppression(&rows(5, 3), 1), None);
        assert!(limits.suppression(&rows(5, 2), 1).unwrap().contains("fewer than 3 rows have a value"));
        // Whether there is anything in a table that is too small is not told either.
        assert!(limits.suppression(&rows(2, 0), 1).unwrap().contains("fewer than 3 rows"));
        let cell = Limits { smallest_cell: Some(3), ..Default::default() };
        assert!(cell.suppression(&rows(5, 2), 1).unwrap().contains("smaller than 3"));
        let subset = Limits { smallest_subset: Some(4), ..Default::default() };
        assert!(subset.suppression(&rows(9, 3), 1).is_some() && subset.suppression(&rows(9, 4), 1).is_none());
        assert_eq!(Limits::default().suppression(&rows(1, 1), 9), None);
    }

    #[test]
    fn a_model_has_at_most_a_share_of_parameters_per_row() {
        let limits = Limits { largest_parameter_share: Some(0.25), ..Default::default() };
        assert_eq!(limits.suppression(&rows(8, 8), 2), None);
        assert!(limits.suppression(&rows(8, 8), 3).is_some());
    }

    #[test]
    fn those_with_another_value_may_not_be_few_and_no_value_may_dominate() {
        let part = TakingPart { smaller_cell: Some(4), ..rows(40, 40) };
        assert!(Limits::SAFE.suppression(&part, 1).unwrap().contains("same value"));
        assert_eq!(Limits::SAFE.suppression(&TakingPart { smaller_cell: Some(5), ..part }, 1), None);
        let part = TakingPart { smaller_cell: None, differing: Some(4), ..part };
        let reason = Limits::SAFE.suppression(&part, 1).unwrap();
        assert!(reason.contains("make nearly all that differs"), "{reason}");
        assert_eq!(Limits::SAFE.suppression(&TakingPart { differing: None, ..part }, 1), None);
        let part = TakingPart { largest_share: Some(0.9), ..rows(20, 20) };
        assert!(Limits::SAFE.suppression(&part, 1).unwrap().contains("0.85 of the sum"));
    }

    #[test]
    fn what_protects_less_than_usual_is_named() {
        assert!(Limits::SAFE.weaker().is_empty());
        let weaker = Limits { minimum_rows: Some(1), largest_value_share: Some(1.0), ..Limits::SAFE }.weaker();
        assert_eq!(weaker, ["minimum_rows 1 instead of 10", "largest_value_share 1 instead of 0.85"]);
        assert!(Limits { smallest_cell: Some(50), ..Limits::SAFE }.weaker().is_empty());
    }
}
