//! Names of columns as everybody uses them, of whatever kind their file is.

use std::collections::{HashMap, HashSet};

use crate::protocol::name::one_line;

/// Without blanks around them, with one blank in the place of blanks and line breaks. One that comes again is numbered as
/// pandas does it (`age`, `age.1`). `None`: a column without a name, which nobody can ask for.
pub fn column_names<'a>(written: impl IntoIterator<Item = &'a str>) -> Vec<Option<String>> {
    let plain: Vec<String> = written.into_iter().map(one_line).collect();
    let given: HashSet<&String> = plain.iter().collect();
    let mut used: HashSet<String> = HashSet::new();
    // The next number to try for each name.
    let mut next: HashMap<&String, u32> = HashMap::new();
    plain
        .iter()
        .map(|name| {
            if name.is_empty() {
                return None;
            }
            if used.insert(name.clone()) {
                return Some(name.clone());
            }
            let number = next.entry(name).or_insert(1);
            loop {
                let numbered = format!("{name}.{number}");
                *number += 1;
                if !given.contains(&numbered) && used.insert(numbered.clone()) {
                    return Some(numbered);
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_a_name_of_its_own_or_none() {
        let names = |text: &'static str| -> Vec<String> {
            column_names(text.split('|')).into_iter().map(Option::unwrap_or_default).collect()
        };
        assert_eq!(names("age|age|age"), ["age", "age.1", "age.2"]);
        assert_eq!(names(" age|age\u{a0}|age.1"), ["age", "age.2", "age.1"]);
        assert_eq!(names("|age| |Weight\n  (kg)"), ["", "age", "", "Weight (kg)"]);
        // However many there are.
        let many = column_names(std::iter::repeat_n("a", 200_000));
        assert_eq!(many[199_999].as_deref(), Some("a.199999"));
    }
}
