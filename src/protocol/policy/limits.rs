use serde::{Deserialize, Serialize};

/// How much a result may tell of single people, in the manner of DataSHIELD's disclosure settings. What is missing
/// limits nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Rows that a table needs, or nothing is computed from it.
    pub minimum_rows: Option<u64>,
    /// The smallest count that is told, zero aside (DataSHIELD: `nfilter.tab`).
    pub smallest_cell: Option<u64>,
    /// Rows that a part of a table needs for a number that is computed from it (DataSHIELD: `nfilter.subset`).
    pub smallest_subset: Option<u64>,
    /// The most parameters of a model for each row that it is computed from, between 0 and 1 (DataSHIELD:
    /// `nfilter.glm`).
    pub largest_parameter_share: Option<f64>,
}

impl Limits {
    /// Why numbers that are computed from `used` of a table's `rows`, `parameters` of them in all, are not told;
    /// `None` if they are. Nothing used is a plain zero, which tells of nobody.
    pub fn suppression(&self, rows: u64, used: u64, parameters: u64) -> Option<String> {
        if let Some(least) = self.minimum_rows.filter(|least| rows < *least) {
            return Some(format!("the table has fewer than {least} rows (minimum_rows)"));
        }
        if used == 0 {
            return None;
        }
        if let Some(least) = self.smallest_subset.filter(|least| used < *least) {
            return Some(format!("fewer than {least} rows have a value (smallest_subset)"));
        }
        if let Some(least) = self.smallest_cell.filter(|least| used < *least) {
            return Some(format!("the count is smaller than {least} (smallest_cell)"));
        }
        // An amount, not an exact number: rows and parameters are far below 2^53.
        let share = parameters as f64 / used as f64;
        self.largest_parameter_share
            .filter(|largest| share > *largest)
            .map(|largest| format!("more than {largest} parameters for each row (largest_parameter_share)"))
    }

    /// The limits that are set, by the names of the configuration.
    pub fn named(&self) -> Vec<(&'static str, String)> {
        let counts = [
            ("minimum_rows", self.minimum_rows),
            ("smallest_cell", self.smallest_cell),
            ("smallest_subset", self.smallest_subset),
        ];
        let counts = counts.into_iter().filter_map(|(name, value)| Some((name, value?.to_string())));
        let share = self.largest_parameter_share.map(|share| ("largest_parameter_share", share.to_string()));
        counts.chain(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_about_few_is_suppressed_and_zero_is_not() {
        let limits = Limits { minimum_rows: Some(5), smallest_cell: Some(3), ..Default::default() };
        assert_eq!(limits.suppression(5, 0, 1), None);
        assert_eq!(limits.suppression(5, 3, 1), None);
        assert!(limits.suppression(5, 2, 1).unwrap().contains("smaller than 3"));
        // Whether there is anything in a table that is too small is not told either.
        assert!(limits.suppression(4, 0, 1).unwrap().contains("fewer than 5 rows"));
        let subset = Limits { smallest_subset: Some(4), ..Default::default() };
        assert!(subset.suppression(9, 3, 1).is_some() && subset.suppression(9, 4, 1).is_none());
        assert_eq!(Limits::default().suppression(1, 1, 9), None);
    }

    #[test]
    fn a_model_has_at_most_a_share_of_parameters_per_row() {
        let limits = Limits { largest_parameter_share: Some(0.25), ..Default::default() };
        assert_eq!(limits.suppression(8, 8, 2), None);
        assert!(limits.suppression(8, 8, 3).is_some());
    }
}
