use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IgnoredAny, IntoDeserializer, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use super::Limits;

/// The `policies` of a node's configuration: keys of vantage6 4.x and Atoll's own. What is missing allows everything;
/// a key that is not known is an error, since a policy with a typing mistake would protect nothing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// Images: exact, by name without tag and digest, or as regular expressions.
    #[serde(default, deserialize_with = "one_or_many")]
    pub allowed_algorithms: Option<Vec<String>>,
    /// Addresses of algorithm stores, exact or as regular expressions: what they have is allowed.
    #[serde(default, deserialize_with = "one_or_many")]
    pub allowed_algorithm_stores: Option<Vec<String>>,
    /// Whether an image is allowed if either list above allows it; else both have to.
    #[serde(default)]
    pub allow_either_whitelist_or_store: bool,
    /// Users, by id or by name. Whoever is listed here or whose organization is listed below may ask.
    #[serde(default, deserialize_with = "one_or_many")]
    pub allowed_users: Option<Vec<String>>,
    /// Organizations, by id or by name.
    #[serde(default, deserialize_with = "one_or_many")]
    pub allowed_organizations: Option<Vec<String>>,
    /// The functions that are allowed, by image; no others are.
    #[serde(default)]
    pub allowed_functions: Option<Vec<FunctionRule>>,
    /// The databases and columns that are allowed, and to whom; no others are.
    #[serde(default)]
    pub allowed_databases: Option<Vec<DatabaseRule>>,
    /// The disclosure limits, see [`Limits`]: a weaker value than the safe one has to be written. `None` only of a node
    /// that shares none, as those of vantage6.
    #[serde(default = "safe_minimum_rows")]
    pub minimum_rows: Option<u64>,
    #[serde(default = "safe_cell")]
    pub smallest_cell: Option<u64>,
    #[serde(default = "safe_subset")]
    pub smallest_subset: Option<u64>,
    #[serde(default = "safe_parameter_share")]
    pub largest_parameter_share: Option<f64>,
    #[serde(default = "safe_value_share")]
    pub largest_value_share: Option<f64>,
    /// Columns of identifiers that functions may use all the same, by name.
    #[serde(default)]
    pub allowed_identifiers: Vec<String>,
    /// The most runs that a user may start on one day (UTC).
    #[serde(default)]
    pub runs_per_user_per_day: Option<u32>,
    /// When an admin decides before a run starts.
    #[serde(default)]
    pub review: Modes<ReviewMode>,
    /// When an admin decides before a result leaves.
    #[serde(default)]
    pub release: Modes<ReleaseMode>,
    /// After how many days without a decision a run or its result is refused.
    #[serde(default = "default_expiry")]
    pub review_expires_after_days: u32,
    /// Whether decisions that are taken at the hub count, or only those taken at the node itself.
    #[serde(default = "yes")]
    pub decisions_from_hub: bool,
    /// Keys of vantage6 that have no meaning here: no image is pulled, and the node runs no "basics".
    #[serde(default, rename = "allow_basics_algorithm")]
    pub(super) _allow_basics_algorithm: Ignored,
    #[serde(default, rename = "require_algorithm_pull")]
    pub(super) _require_algorithm_pull: Ignored,
    /// Whether some of it could not be understood; only of policies that another node shares.
    #[serde(skip)]
    pub is_unclear: bool,
}

impl Default for Policies {
    fn default() -> Self {
        Policies {
            allowed_algorithms: None,
            allowed_algorithm_stores: None,
            allow_either_whitelist_or_store: false,
            allowed_users: None,
            allowed_organizations: None,
            allowed_functions: None,
            allowed_databases: None,
            minimum_rows: safe_minimum_rows(),
            smallest_cell: safe_cell(),
            smallest_subset: safe_subset(),
            largest_parameter_share: safe_parameter_share(),
            largest_value_share: safe_value_share(),
            allowed_identifiers: Vec::new(),
            runs_per_user_per_day: None,
            review: Modes::default(),
            release: Modes::default(),
            review_expires_after_days: default_expiry(),
            decisions_from_hub: true,
            _allow_basics_algorithm: Ignored,
            _require_algorithm_pull: Ignored,
            is_unclear: false,
        }
    }
}

/// A value that is not looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Ignored)
    }
}

/// By how many people answers are compared at most: what is kept of each is a table of one size.
const LARGEST_SUBSET: u64 = 50;

fn safe_minimum_rows() -> Option<u64> {
    Limits::SAFE.minimum_rows
}

fn safe_cell() -> Option<u64> {
    Limits::SAFE.smallest_cell
}

fn safe_subset() -> Option<u64> {
    Limits::SAFE.smallest_subset
}

fn safe_parameter_share() -> Option<f64> {
    Limits::SAFE.largest_parameter_share
}

fn safe_value_share() -> Option<f64> {
    Limits::SAFE.largest_value_share
}

fn default_expiry() -> u32 {
    30
}

fn yes() -> bool {
    true
}

/// Functions of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionRule {
    /// As in `allowed_algorithms`; missing: every image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    pub functions: Vec<String>,
}

/// A database, and who may use what of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseRule {
    /// The label.
    pub database: String,
    /// Missing: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Users, by id or by name; whoever is listed here or whose organization is listed below. Both missing: everybody.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
    /// Organizations, by id or by name.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Option::is_none")]
    pub organizations: Option<Vec<String>>,
}

/// When an admin decides whether a run may start; the stricter the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewMode {
    /// It starts by itself.
    Never,
    /// It starts by itself once exactly the same was approved before.
    FirstTime,
    /// Every run waits, unless an approval says that it holds for more than one.
    Always,
}

/// When an admin decides whether a result may leave; the stricter the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseMode {
    /// It is sent when the function has ended.
    Never,
    /// It is held until somebody has looked at it.
    Review,
}

/// One mode for everything, or rules of which the first that fits counts. Where none fits, the strictest mode does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modes<M> {
    One(M),
    Rules(Vec<ModeRule<M>>),
}

// By hand, since an untagged enum does not say what is wrong.
impl<'de, M: Deserialize<'de>> Deserialize<'de> for Modes<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrRules<M>(PhantomData<M>);
        impl<'de, M: Deserialize<'de>> Visitor<'de> for OneOrRules<M> {
            type Value = Modes<M>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a mode or a list of rules")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Modes<M>, E> {
                M::deserialize(text.into_deserializer()).map(Modes::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, rules: A) -> Result<Modes<M>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(rules)).map(Modes::Rules)
            }
        }
        deserializer.deserialize_any(OneOrRules(PhantomData))
    }
}

/// A mode for some functions and requesters. What is missing fits everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeRule<M> {
    /// As in `allowed_algorithms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The function's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Users, by id or by name; whoever is listed here or whose organization is listed below.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
    /// Organizations, by id or by name.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Option::is_none")]
    pub organizations: Option<Vec<String>>,
    pub mode: M,
}

impl Default for Modes<ReviewMode> {
    fn default() -> Self {
        Modes::One(ReviewMode::Never)
    }
}

impl Default for Modes<ReleaseMode> {
    fn default() -> Self {
        Modes::One(ReleaseMode::Never)
    }
}

impl Policies {
    /// How much results may tell.
    pub fn limits(&self) -> Limits {
        Limits {
            minimum_rows: self.minimum_rows,
            smallest_cell: self.smallest_cell,
            smallest_subset: self.smallest_subset,
            largest_parameter_share: self.largest_parameter_share,
            largest_value_share: self.largest_value_share,
        }
    }

    /// What is wrong with policies that could be read; `None` if nothing is.
    pub fn mistake(&self) -> Option<String> {
        let rules = self.allowed_functions.iter().flatten().filter_map(|rule| rule.image.as_ref());
        let mut images = self.allowed_algorithms.iter().flatten().chain(rules);
        let is_unreadable = |entry: &&String| {
            entry.contains(crate::protocol::image::PATTERN_CHARACTERS)
                && crate::protocol::image::pattern(&format!("^(?:{entry})")).is_none()
        };
        if let Some(pattern) = images.find(is_unreadable) {
            return Some(format!("\"{pattern}\" is no regular expression, or too large a one"));
        }
        let allowed = self.allowed_algorithms.iter().flatten();
        // By an alternative without letters, say; who writes `.*` means it.
        let fits_all = |entry: &&String| {
            !entry.contains(".*")
                && entry.contains(crate::protocol::image::PATTERN_CHARACTERS)
                && crate::protocol::image::pattern(&format!("^(?:{entry})")).is_some_and(|pattern| pattern.is_match(""))
        };
        if let Some(pattern) = allowed.into_iter().find(fits_all) {
            return Some(format!(
                "allowed_algorithms: \"{pattern}\" fits every image: take the line away if that is meant"
            ));
        }
        let patterns = self.allowed_algorithm_stores.iter().flatten();
        if let Some(pattern) = patterns.into_iter().find(|pattern| super::decision::store_pattern(pattern).is_none()) {
            return Some(format!("allowed_algorithm_stores: \"{pattern}\" is no regular expression"));
        }
        let named = |name: &str, is_missing: bool| {
            is_missing.then(|| format!("{name} has no value; without the line the safe one holds"))
        };
        let missing = named("minimum_rows", self.minimum_rows.is_none())
            .or_else(|| named("smallest_cell", self.smallest_cell.is_none()))
            .or_else(|| named("smallest_subset", self.smallest_subset.is_none()))
            .or_else(|| named("largest_parameter_share", self.largest_parameter_share.is_none()))
            .or_else(|| named("largest_value_share", self.largest_value_share.is_none()));
        if missing.is_some() {
            return missing;
        }
        if self.smallest_subset.is_some_and(|least| least > LARGEST_SUBSET) {
            return Some(format!("smallest_subset can be {LARGEST_SUBSET} at most: answers are not compared by more"));
        }
        for (name, share) in [
            ("largest_parameter_share", self.largest_parameter_share),
            ("largest_value_share", self.largest_value_share),
        ] {
            if share.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
                return Some(format!("{name} has to be above 0 and at most 1"));
            }
        }
        if !(1..=3650).contains(&self.review_expires_after_days) {
            return Some("review_expires_after_days has to be between 1 and 3650".to_owned());
        }
        None
    }
}

/// A list of texts and numbers, or a single one. Numbers become their text.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Item {
        Number(i64),
        Text(String),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Items {
        Many(Vec<Item>),
        One(Item),
    }
    let text = |item| match item {
        Item::Number(number) => number.to_string(),
        Item::Text(text) => text,
    };
    Ok(Option::<Items>::deserialize(deserializer)?.map(|items| match items {
        Items::Many(items) => items.into_iter().map(text).collect(),
        Items::One(item) => vec![text(item)],
    }))
}
