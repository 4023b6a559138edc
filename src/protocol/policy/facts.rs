//! Policies as a node shares them: flat keys with texts, since servers of the 4.x line store nothing else. Keys of
//! vantage6 nodes keep their meaning; rules are JSON texts under keys of their own.

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::rules::{ModeRule, Modes, Policies};

/// The longest text of one fact, in bytes; a longer one is cut and then not understood, which says "unknown".
const TEXT_LIMIT: usize = 8_000;

/// Of a list that a node shares, so many entries are looked at; with more, what it allows is not known for sure.
const LISTED: usize = 200;

impl Policies {
    /// What is shared of them: keys, each with one text or more.
    pub fn facts(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut facts: Vec<(&'static str, Vec<String>)> = Vec::new();
        let all = || vec!["all".to_owned()];
        facts.push(("allowed_algorithms", self.allowed_algorithms.clone().unwrap_or_else(all)));
        let lists = [
            ("allowed_algorithm_stores", &self.allowed_algorithm_stores),
            ("allowed_users", &self.allowed_users),
            ("allowed_orgs", &self.allowed_organizations),
        ];
        for (key, list) in lists {
            match list {
                // An empty list allows nobody; without any fact it would look like everybody.
                Some(list) if list.is_empty() => facts.push((key, vec![String::new()])),
                Some(list) => facts.push((key, list.clone())),
                None => {}
            }
        }
        if self.allow_either_whitelist_or_store {
            facts.push(("allow_either_whitelist_or_store", vec!["true".to_owned()]));
        }
        facts.extend(self.allowed_functions.as_deref().map(|rules| ("allowed_functions", texts(rules))));
        facts.extend(self.allowed_databases.as_deref().map(|rules| ("allowed_databases", texts(rules))));
        facts.extend(self.limits().named().into_iter().map(|(name, value)| (name, vec![value])));
        if !self.allowed_identifiers.is_empty() {
            facts.push(("allowed_identifiers", self.allowed_identifiers.clone()));
        }
        facts.extend(self.runs_per_user_per_day.map(|runs| ("runs_per_user_per_day", vec![runs.to_string()])));
        facts.push(("review", of_modes(&self.review)));
        facts.push(("release", of_modes(&self.release)));
        let standard = Policies::default();
        if self.review_expires_after_days != standard.review_expires_after_days {
            facts.push(("review_expires_after_days", vec![self.review_expires_after_days.to_string()]));
        }
        if !self.decisions_from_hub {
            facts.push(("decisions_from_hub", vec!["false".to_owned()]));
        }
        facts
    }

    /// All of them in one text: a hash first, since lists may be long and the text cut.
    pub fn summary(&self) -> String {
        let hash = format!("{:x}", Sha256::digest(serde_json::json!(self.facts()).to_string()));
        let facts: Vec<String> =
            self.facts().into_iter().map(|(key, values)| format!("{key} {}", values.join(" "))).collect();
        format!("{}; {}", &hash[..16], facts.join("; "))
    }

    /// The policies that a node shares; `values` are the texts of a key.
    pub fn from_facts(values: impl Fn(&str) -> Vec<String>) -> Policies {
        let mut policies = Policies::default();
        let mut unclear = false;
        let mut list = |key: &str| {
            let mut values = values(key);
            // Patterns are compiled and tried at each look: no node needs so many.
            if values.len() > LISTED {
                unclear = true;
                values.truncate(LISTED);
            }
            let is_all = values.is_empty() || values == ["all"];
            values.retain(|value| !value.is_empty());
            (!is_all).then_some(values)
        };
        policies.allowed_algorithms = list("allowed_algorithms");
        policies.allowed_algorithm_stores = list("allowed_algorithm_stores");
        policies.allowed_users = list("allowed_users");
        policies.allowed_organizations = list("allowed_orgs");
        policies.allow_either_whitelist_or_store = values("allow_either_whitelist_or_store") == ["true"];
        policies.allowed_functions = rules(&values("allowed_functions"), &mut unclear);
        policies.allowed_databases = rules(&values("allowed_databases"), &mut unclear);
        policies.minimum_rows = number(&values("minimum_rows"), &mut unclear);
        policies.smallest_cell = number(&values("smallest_cell"), &mut unclear);
        policies.smallest_subset = number(&values("smallest_subset"), &mut unclear);
        policies.largest_parameter_share = number(&values("largest_parameter_share"), &mut unclear);
        policies.largest_value_share = number(&values("largest_value_share"), &mut unclear);
        policies.allowed_identifiers = values("allowed_identifiers").into_iter().take(LISTED).collect();
        policies.runs_per_user_per_day = number(&values("runs_per_user_per_day"), &mut unclear);
        policies.review = to_modes(&values("review"), &mut unclear).unwrap_or_default();
        policies.release = to_modes(&values("release"), &mut unclear).unwrap_or_default();
        if let Some(days) = number(&values("review_expires_after_days"), &mut unclear) {
            policies.review_expires_after_days = days;
        }
        policies.decisions_from_hub = values("decisions_from_hub") != ["false"];
        policies.is_unclear = unclear;
        policies
    }
}

fn text(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    text[..text.floor_char_boundary(TEXT_LIMIT)].to_owned()
}

/// At least one: a list without rules allows nothing.
fn texts(rules: &[impl Serialize]) -> Vec<String> {
    if rules.is_empty() { vec![String::new()] } else { rules.iter().map(text).collect() }
}

fn of_modes<M: Serialize>(modes: &Modes<M>) -> Vec<String> {
    match modes {
        Modes::One(mode) => vec![text(mode)],
        Modes::Rules(rules) => texts(rules),
    }
}

fn rules<T: DeserializeOwned>(texts: &[String], unclear: &mut bool) -> Option<Vec<T>> {
    let read = |text: &String| match serde_json::from_str(text) {
        Ok(rule) => Some(rule),
        Err(_) => {
            *unclear = true;
            None
        }
    };
    let listed = &texts[..texts.len().min(LISTED)];
    let rules = (!texts.is_empty()).then(|| listed.iter().filter(|text| !text.is_empty()).filter_map(read).collect());
    // As of lists: what is not read makes the others unclear.
    *unclear |= texts.len() > LISTED;
    rules
}

fn number<T: std::str::FromStr>(texts: &[String], unclear: &mut bool) -> Option<T> {
    let parsed = texts.first()?.parse().ok();
    *unclear |= parsed.is_none();
    parsed
}

fn to_modes<M: DeserializeOwned>(texts: &[String], unclear: &mut bool) -> Option<Modes<M>> {
    if let [single] = texts
        && let Ok(mode) = serde_json::from_str(single)
    {
        return Some(Modes::One(mode));
    }
    rules::<ModeRule<M>>(texts, unclear).map(Modes::Rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::policy::ReviewMode;

    /// Policies after they were shared.
    fn shared(policies: &Policies) -> Policies {
        let facts = policies.facts();
        Policies::from_facts(|key| {
            facts.iter().filter(|(known, _)| *known == key).flat_map(|(_, values)| values.clone()).collect()
        })
    }

    #[test]
    fn policies_that_are_shared_say_the_same() {
        let policies: Policies = serde_json::from_value(serde_json::json!({
            "allowed_algorithms": ["a"], "allowed_users": [2, "rosa"], "allowed_organizations": [],
            "allowed_algorithm_stores": ["https://store.example"], "allow_either_whitelist_or_store": true,
            "allowed_functions": [{"image": "a", "functions": ["f"]}],
            "allowed_databases": [{"database": "default", "columns": ["age"], "users": ["rosa"]}],
            "minimum_rows": 5, "smallest_cell": 3, "largest_parameter_share": 0.25, "runs_per_user_per_day": 9,
            "review": [{"function": "f", "mode": "first_time"}, {"mode": "always"}], "release": "review"
        }))
        .unwrap();
        assert_eq!(shared(&policies), policies);
        assert_eq!(shared(&Policies::default()), Policies::default());
        let nothing = Policies {
            allowed_databases: Some(Vec::new()),
            allowed_functions: Some(Vec::new()),
            review: Modes::Rules(Vec::new()),
            ..Default::default()
        };
        assert_eq!(shared(&nothing), nothing);
    }

    #[test]
    fn what_is_not_understood_is_unclear_and_not_left_out() {
        let of = |key: &'static str, value: &'static str| {
            Policies::from_facts(move |asked| if asked == key { vec![value.to_owned()] } else { Vec::new() })
        };
        assert!(of("allowed_databases", "{\"database\": \"default\", \"later\": 1}").is_unclear);
        assert!(of("minimum_rows", "many").is_unclear);
        assert!(of("review", "\"sometimes\"").is_unclear);
        assert!(!of("review", "\"always\"").is_unclear);
        let rules = vec!["{\"image\": \"a.*\", \"mode\": \"always\"}".to_owned(); 9_000];
        let many = Policies::from_facts(|key| if key == "review" { rules.clone() } else { Vec::new() });
        let Modes::Rules(read) = many.review else { panic!("they are rules") };
        assert!(read.len() == LISTED && many.is_unclear);
        assert_eq!(of("review", "\"always\"").review, Modes::One(ReviewMode::Always));
    }
}
