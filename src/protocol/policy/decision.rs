//! What policies say to a request.

use std::sync::Arc;

use regex::Regex;

use super::rules::{ModeRule, Modes, Policies, ReleaseMode, ReviewMode};
use crate::protocol::image;

/// Who asks. What is not known is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requester {
    /// `None` too if the user has been deleted since.
    pub user_id: Option<i64>,
    pub username: Option<String>,
    pub organization_id: Option<i64>,
    pub organization: Option<String>,
}

/// The algorithm store of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// It names none, or one that has no such image.
    None,
    /// This one, by its address; it has the image.
    At(String),
    Unknown,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub image: &'a str,
    /// Other names under which the same code is called: what is said of one name is said of all.
    pub other_images: &'a [&'a str],
    /// `None`: not known, as of what a central function will call.
    pub function: Option<&'a str>,
    pub other_functions: &'a [&'a str],
    pub requester: &'a Requester,
    pub store: &'a Store,
    /// Labels of the databases that are read: none by a function that aggregates.
    pub databases: &'a [String],
    /// `None`: not known.
    pub columns: Option<&'a [String]>,
    /// Whether who asks may learn which columns there are.
    pub tells_columns: bool,
}

impl<'a> Request<'a> {
    /// The best answer for any of the image's names: yes, else doubt, else no.
    fn any_image(&self, says: impl Fn(&str) -> Option<bool>) -> Option<bool> {
        let answers: Vec<Option<bool>> =
            std::iter::once(self.image).chain(self.other_images.iter().copied()).map(says).collect();
        if answers.contains(&Some(true)) {
            return Some(true);
        }
        if answers.contains(&None) { None } else { Some(false) }
    }

    fn functions(&self, function: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::once(function).chain(self.other_functions.iter().copied())
    }
}

/// What policies say. The reason of a refusal can be read by whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Allowed,
    Refused(String),
    /// It cannot be told, for this reason. A node refuses then.
    Unknown(String),
}

impl Policies {
    /// Whether a request is allowed, apart from how often something was asked before.
    pub fn answer(&self, request: &Request<'_>) -> Answer {
        if self.is_unclear {
            return Answer::Unknown("its node has policies that are not understood here".to_owned());
        }
        let answers = [self.of_image(request), self.of_requester(request), self.of_function(request)];
        let databases = request.databases.iter().map(|label| self.of_database(label, request));
        let mut doubt = Answer::Allowed;
        for answer in answers.into_iter().chain(databases) {
            match answer {
                Answer::Refused(_) => return answer,
                Answer::Unknown(_) if doubt == Answer::Allowed => doubt = answer,
                _ => {}
            }
        }
        doubt
    }

    fn of_image(&self, request: &Request<'_>) -> Answer {
        let image = request.image;
        let by_name = self.allowed_algorithms.as_ref().map(|allowed| {
            match request.any_image(|image| image::allowed(allowed, image)) {
                Some(true) => Answer::Allowed,
                Some(false) => {
                    Answer::Refused(format!("the algorithm image \"{image}\" is not one of those it allows"))
                }
                None => Answer::Unknown(format!(
                    "the algorithm image \"{image}\" is not surely one of those it allows: another version is listed"
                )),
            }
        });
        let by_store = self.allowed_algorithm_stores.as_ref().map(|allowed| match request.store {
            Store::At(url) if allowed.iter().any(|entry| is_store(entry, url)) => Answer::Allowed,
            Store::At(_) | Store::None => {
                Answer::Refused("the algorithm comes from no store that it allows".to_owned())
            }
            Store::Unknown => Answer::Unknown("it is not known from which store the algorithm comes".to_owned()),
        });
        match (by_name, by_store) {
            (None, None) => Answer::Allowed,
            (Some(answer), None) | (None, Some(answer)) => answer,
            (Some(one), Some(other)) if self.allow_either_whitelist_or_store => match (&one, &other) {
                (Answer::Allowed, _) | (_, Answer::Refused(_)) => one,
                _ => other,
            },
            (Some(one), Some(other)) => match (&one, &other) {
                (Answer::Refused(_), _) | (_, Answer::Allowed) => one,
                _ => other,
            },
        }
    }

    fn of_requester(&self, request: &Request<'_>) -> Answer {
        match listed(&self.allowed_users, &self.allowed_organizations, request.requester) {
            Some(true) => Answer::Allowed,
            Some(false) => {
                Answer::Refused("neither the user nor the organization that asks is one of those it allows".to_owned())
            }
            None => Answer::Unknown("it allows users or organizations by name, and the name is not known".to_owned()),
        }
    }

    fn of_function(&self, request: &Request<'_>) -> Answer {
        let Some(rules) = &self.allowed_functions else { return Answer::Allowed };
        let image = request.image;
        let of_image = rules.iter().filter(|rule| fits(rule.image.as_deref(), image) != Some(false));
        let (mut doubt, mut allowed) = (false, Vec::new());
        for rule in of_image {
            doubt |= fits(rule.image.as_deref(), image).is_none();
            allowed.extend(rule.functions.iter().map(String::as_str));
        }
        match request.function {
            _ if allowed.is_empty() => {
                Answer::Refused(format!("it allows no function of the algorithm image \"{image}\""))
            }
            None => Answer::Unknown(format!("of this image it allows only {}", allowed.join(", "))),
            Some(function) if !request.functions(function).any(|name| allowed.contains(&name)) => {
                Answer::Refused(format!(
                    "it does not allow the function \"{function}\"; of this image it allows {}",
                    allowed.join(", ")
                ))
            }
            Some(_) if doubt => Answer::Unknown("it allows the functions of another version of this image".to_owned()),
            Some(_) => Answer::Allowed,
        }
    }

    fn of_database(&self, label: &str, request: &Request<'_>) -> Answer {
        let Some(rules) = &self.allowed_databases else { return Answer::Allowed };
        let of_label: Vec<_> = rules.iter().filter(|rule| rule.database == label).collect();
        if of_label.is_empty() {
            return Answer::Refused(format!("it does not allow the database \"{label}\" to who asks"));
        }
        let answers: Vec<_> =
            of_label.iter().map(|rule| listed(&rule.users, &rule.organizations, request.requester)).collect();
        let sure = self.columns_of(label, request.requester);
        match (sure, request.columns) {
            (Columns::All, _) => Answer::Allowed,
            (Columns::These(allowed), Some(columns)) if columns.iter().all(|column| allowed.contains(column)) => {
                Answer::Allowed
            }
            _ if answers.contains(&None) => Answer::Unknown(format!(
                "it allows the database \"{label}\" to some by name, and the name is not known"
            )),
            // As of one that is not there.
            (Columns::None, _) => Answer::Refused(format!("it does not allow the database \"{label}\" to who asks")),
            (Columns::These(_), None) if !request.tells_columns => Answer::Unknown(format!(
                "of the database \"{label}\" it allows only some columns, and it is not known which ones this reads"
            )),
            (Columns::These(allowed), None) => Answer::Unknown(format!(
                "of the database \"{label}\" it allows only {}, and it is not known which columns this reads",
                allowed.join(", ")
            )),
            (Columns::These(allowed), Some(columns)) => {
                let refused: Vec<&str> =
                    columns.iter().filter(|column| !allowed.contains(column)).map(String::as_str).collect();
                let others = match request.tells_columns {
                    true => format!("; it allows {}", allowed.join(", ")),
                    false => String::new(),
                };
                Answer::Refused(format!(
                    "of the database \"{label}\" it does not allow the column \"{}\" to who asks{others}",
                    refused.join("\", \"")
                ))
            }
        }
    }

    /// The columns of a database that somebody may surely use.
    pub fn columns_of(&self, label: &str, requester: &Requester) -> Columns {
        let Some(rules) = &self.allowed_databases else { return Columns::All };
        let fitting = rules.iter().filter(|rule| rule.database == label);
        let fitting = fitting.filter(|rule| listed(&rule.users, &rule.organizations, requester) == Some(true));
        fitting.fold(Columns::None, |found, rule| match (found, &rule.columns) {
            (Columns::All, _) | (_, None) => Columns::All,
            (Columns::None, Some(columns)) => Columns::These(columns.clone()),
            (Columns::These(mut all), Some(columns)) => {
                all.extend(columns.iter().filter(|column| !all.contains(column)).cloned().collect::<Vec<_>>());
                Columns::These(all)
            }
        })
    }

    /// Whether there is anybody who may use a column.
    pub fn anybody_may_use(&self, label: &str, column: &String) -> bool {
        self.allowed_databases.as_ref().is_none_or(|rules| {
            let of_label = rules.iter().filter(|rule| rule.database == label);
            of_label.into_iter().any(|rule| rule.columns.as_ref().is_none_or(|columns| columns.contains(column)))
        })
    }

    /// Whether a token may be sent to this address to ask what the store has: only if the policies name it, over TLS
    /// unless on this machine, and to private addresses only if they stand there letter by letter.
    pub fn may_ask_store(&self, url: &str) -> bool {
        let Some(allowed) = &self.allowed_algorithm_stores else { return false };
        let Ok(parsed) = url.parse::<url::Url>() else { return false };
        // What is looked at is what is asked: not a text that means another address to whoever asks.
        if parsed.as_str().trim_end_matches('/') != url.trim_end_matches('/') {
            return false;
        }
        // Parts that a pattern could take for something else.
        let is_plain = parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.query().is_none()
            && parsed.fragment().is_none();
        if !is_plain {
            return false;
        }
        let host = parsed.host();
        let is_loopback = match &host {
            Some(url::Host::Domain(name)) => *name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => return false,
        };
        if parsed.scheme() != "https" && !(is_loopback && parsed.scheme() == "http") {
            return false;
        }
        let is_private = match &host {
            Some(url::Host::Domain(name)) => is_loopback || !name.contains('.'),
            Some(_) => true,
            None => true,
        };
        let is_named = allowed.iter().any(|entry| entry.trim_end_matches('/') == url.trim_end_matches('/'));
        // A pattern's dots match slashes: an address with more of them has another host than the pattern means.
        let slashes = |text: &str| text.trim_end_matches('/').matches('/').count();
        let fits = |entry: &String| slashes(entry) == slashes(url) && is_store(entry, url);
        is_named || !is_private && allowed.iter().any(fits)
    }

    /// Whether a run waits for an admin.
    pub fn review_mode(&self, request: &Request<'_>) -> ReviewMode {
        mode(&self.review, request, ReviewMode::Always)
    }

    /// Whether a result waits for an admin.
    pub fn release_mode(&self, request: &Request<'_>) -> ReleaseMode {
        mode(&self.release, request, ReleaseMode::Review)
    }
}

/// Columns of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    All,
    These(Vec<String>),
    None,
}

/// The mode of the first rule that fits. If it cannot be told whether one does, it is the strictest: a rule that is
/// not understood must not let anything through.
fn mode<M: Copy>(modes: &Modes<M>, request: &Request<'_>, strictest: M) -> M {
    let rules = match modes {
        Modes::One(mode) => return *mode,
        Modes::Rules(rules) => rules,
    };
    for rule in rules {
        match rule_fits(rule, request) {
            Some(true) => return rule.mode,
            Some(false) => {}
            None => return strictest,
        }
    }
    strictest
}

fn rule_fits<M>(rule: &ModeRule<M>, request: &Request<'_>) -> Option<bool> {
    let function = match (&rule.function, request.function) {
        (None, _) => Some(true),
        (Some(_), None) => None,
        (Some(name), Some(function)) => Some(request.functions(function).any(|known| known == name)),
    };
    let parts = [
        request.any_image(|image| fits(rule.image.as_deref(), image)),
        function,
        listed(&rule.users, &rule.organizations, request.requester),
    ];
    if parts.contains(&Some(false)) {
        return Some(false);
    }
    parts.iter().all(|part| *part == Some(true)).then_some(true)
}

fn fits(entry: Option<&str>, image: &str) -> Option<bool> {
    entry.map_or(Some(true), |entry| image::allowed(&[entry.to_owned()], image))
}

/// Whether somebody is listed by user or by organization, as in vantage6: a match in either suffices. `None` if a name
/// would have to be known.
fn listed(users: &Option<Vec<String>>, organizations: &Option<Vec<String>>, requester: &Requester) -> Option<bool> {
    let answers: Vec<Option<bool>> = [
        users.as_ref().map(|list| contains(list, requester.user_id, requester.username.as_deref())),
        organizations.as_ref().map(|list| contains(list, requester.organization_id, requester.organization.as_deref())),
    ]
    .into_iter()
    .flatten()
    .collect();
    if answers.is_empty() || answers.contains(&Some(true)) {
        return Some(true);
    }
    if answers.contains(&None) { None } else { Some(false) }
}

/// An entry of digits is an id and never a name (CVE-2023-28635).
fn contains(entries: &[String], id: Option<i64>, name: Option<&str>) -> Option<bool> {
    let is_id = |entry: &&String| !entry.is_empty() && entry.bytes().all(|byte| byte.is_ascii_digit());
    let (ids, names): (Vec<&String>, Vec<&String>) = entries.iter().partition(is_id);
    let id = id.map(|id| id.to_string());
    if ids.into_iter().any(|entry| Some(entry) == id.as_ref()) {
        return Some(true);
    }
    match name {
        _ if names.is_empty() => Some(false),
        // Somebody who is gone has no name any more.
        None if id.is_none() => Some(false),
        None => None,
        Some(name) => Some(names.into_iter().any(|entry| entry == name)),
    }
}

/// A pattern of a store's address, which begins at the start; `None` if it cannot be read.
pub(super) fn store_pattern(entry: &str) -> Option<Arc<Regex>> {
    image::pattern(&format!("^(?:{entry})$"))
}

fn is_store(entry: &str, url: &str) -> bool {
    let (entry, url) = (entry.trim_end_matches('/'), url.trim_end_matches('/'));
    let is_pattern = entry.contains(image::PATTERN_CHARACTERS);
    entry == url || is_pattern && store_pattern(entry).is_some_and(|pattern| pattern.is_match(url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::policy::{DatabaseRule, FunctionRule};

    const IMAGE: &str = "harbor2.vantage6.ai/demo/average";

    fn rosa() -> Requester {
        Requester {
            user_id: Some(2),
            username: Some("rosa".into()),
            organization_id: Some(3),
            organization: Some("example_org2".into()),
        }
    }

    fn list(entries: &[&str]) -> Option<Vec<String>> {
        Some(entries.iter().map(|entry| (*entry).to_owned()).collect())
    }

    /// What policies say to this person, who asks for `partial_average` of the column `age` of `default`.
    fn answer_to(policies: &Policies, requester: &Requester) -> Answer {
        policies.answer(&Request {
            image: IMAGE,
            other_images: &[],
            other_functions: &[],
            function: Some("partial_average"),
            requester,
            store: &Store::At("https://store.example/api".into()),
            databases: &["default".to_owned()],
            columns: Some(&["age".to_owned()]),
            tells_columns: true,
        })
    }

    fn is_allowed(policies: &Policies) -> bool {
        answer_to(policies, &rosa()) == Answer::Allowed
    }

    #[test]
    fn tokens_go_to_stores_that_are_meant_and_to_no_others() {
        let stores = [
            r"https://.*\.vantage6\.ai/api",
            "http://127.0.0.1:7600/api",
            "https://10.0.0.5/api",
            "http://plain.example/api",
        ];
        let policies = Policies { allowed_algorithm_stores: list(&stores), ..Default::default() };
        for meant in [
            "https://store.vantage6.ai/api",
            "https://a.vantage6.ai/api/",
            "http://127.0.0.1:7600/api",
            "https://10.0.0.5/api",
        ] {
            assert!(policies.may_ask_store(meant), "{meant}");
        }
        for other in [
            "https://evil.example/x.vantage6.ai/api",
            "https://evil.example/api?x=.vantage6.ai/api",
            "https://a.vantage6.ai:443@evil.example/api",
            r"https://evil.example\.vantage6.ai/api",
            "https://evil.example\t.vantage6.ai/api",
            "http://a.vantage6.ai/api",
            "http://127.0.0.1:7601/api",
            "https://10.0.0.6/api",
            "http://plain.example/api",
            "ftp://a.vantage6.ai/api",
            "nonsense",
        ] {
            assert!(!policies.may_ask_store(other), "{other}");
        }
        assert!(!Policies::default().may_ask_store("https://store.vantage6.ai/api"), "no list, no token");
    }

    #[test]
    fn nothing_said_allows_everything() {
        assert!(is_allowed(&Policies::default()));
    }

    #[test]
    fn only_images_that_are_surely_allowed_run() {
        for (pattern, allowed) in [
            (IMAGE, true),
            ("^harbor2\\.vantage6\\.ai/demo/.*", true),
            ("harbor2.vantage6.ai/demo", false),
            ("([", false),
            ("harbor2.vantage6.ai/demo/average:other", false),
        ] {
            let policies = Policies { allowed_algorithms: list(&[pattern]), ..Default::default() };
            assert_eq!(is_allowed(&policies), allowed, "{pattern}");
        }
    }

    #[test]
    fn a_store_allows_by_its_whole_address() {
        let of = |stores: &[&str], images: &[&str], either| Policies {
            allowed_algorithm_stores: list(stores),
            allowed_algorithms: list(images),
            allow_either_whitelist_or_store: either,
            ..Default::default()
        };
        assert!(is_allowed(&of(&["https://store.example/api/"], &[IMAGE], false)));
        assert!(is_allowed(&of(&["https://store\\..*"], &[IMAGE], false)));
        assert!(!is_allowed(&of(&["https://store.example"], &[IMAGE], false)));
        assert!(!is_allowed(&of(&["https://store-example/api"], &[IMAGE], false)));
        assert!(!is_allowed(&of(&["https://stor..example/api"], &[IMAGE], false)), "a dot alone makes no pattern");
        assert!(!is_allowed(&of(&["https://other.example/api"], &[IMAGE], false)));
        assert!(is_allowed(&of(&["https://other.example/api"], &[IMAGE], true)));
        assert!(is_allowed(&of(&["https://store.example/api"], &["other"], true)));
        assert!(!is_allowed(&of(&["https://store.example/api"], &["other"], false)));
        assert!(!is_allowed(&of(&["https://other.example/api"], &["other"], true)));
    }

    #[test]
    fn ids_and_names_are_never_mixed_up() {
        let of = |users, organizations| Policies {
            allowed_users: users,
            allowed_organizations: organizations,
            ..Default::default()
        };
        assert!(is_allowed(&of(list(&["2"]), None)));
        assert!(is_allowed(&of(list(&["rosa"]), None)));
        assert!(!is_allowed(&of(list(&["3"]), None)));
        assert!(is_allowed(&of(list(&["7"]), list(&["example_org2"]))));
        assert!(!is_allowed(&of(list(&[]), None)));
        let named_as_ids = Requester { username: Some("7".into()), organization: Some("8".into()), ..rosa() };
        for policies in [of(list(&["7"]), None), of(None, list(&["8"]))] {
            assert!(matches!(answer_to(&policies, &named_as_ids), Answer::Refused(_)));
        }
    }

    #[test]
    fn a_name_that_is_not_known_is_no_match_and_no_refusal() {
        let nameless = Requester { username: None, ..rosa() };
        let policies = Policies { allowed_users: list(&["rosa"]), ..Default::default() };
        assert!(matches!(answer_to(&policies, &nameless), Answer::Unknown(_)));
        let by_id_too = Policies { allowed_users: list(&["rosa", "2"]), ..Default::default() };
        assert_eq!(answer_to(&by_id_too, &nameless), Answer::Allowed);
        let deleted = Requester { user_id: None, ..nameless };
        assert!(matches!(answer_to(&policies, &deleted), Answer::Refused(_)));
    }

    #[test]
    fn only_listed_functions_of_an_image_run() {
        let of = |image: Option<&str>, function: &str| Policies {
            allowed_functions: Some(vec![FunctionRule {
                image: image.map(str::to_owned),
                functions: vec![function.to_owned()],
            }]),
            ..Default::default()
        };
        assert!(is_allowed(&of(None, "partial_average")));
        assert!(is_allowed(&of(Some(IMAGE), "partial_average")));
        assert!(!is_allowed(&of(Some("other"), "partial_average")));
        assert!(!is_allowed(&of(Some(&format!("{IMAGE}:2")), "partial_average")));
        let Answer::Refused(reason) = answer_to(&of(None, "central_average"), &rosa()) else { panic!() };
        assert!(reason.contains("partial_average") && reason.contains("it allows central_average"), "{reason}");
    }

    #[test]
    fn databases_and_columns_are_for_those_to_whom_they_are_allowed() {
        let rule = |columns: Option<&[&str]>, users: Option<&[&str]>| DatabaseRule {
            database: "default".to_owned(),
            columns: columns.and_then(list),
            users: users.and_then(list),
            organizations: None,
        };
        let of = |rules: &[DatabaseRule]| Policies { allowed_databases: Some(rules.to_vec()), ..Default::default() };
        assert!(!is_allowed(&of(&[])));
        assert!(is_allowed(&of(&[rule(None, None)])));
        assert!(is_allowed(&of(&[rule(Some(&["age"]), Some(&["rosa"]))])));
        assert!(!is_allowed(&of(&[rule(Some(&["height"]), None)])));
        assert!(!is_allowed(&of(&[rule(None, Some(&["ben"]))])));
        assert!(is_allowed(&of(&[rule(Some(&["height"]), None), rule(Some(&["age"]), Some(&["2"]))])));
        let Answer::Refused(reason) = answer_to(&of(&[rule(Some(&["height"]), None)]), &rosa()) else { panic!() };
        assert!(reason.contains("column \"age\"") && reason.ends_with("it allows height"), "{reason}");
    }

    #[test]
    fn the_first_rule_that_fits_says_whether_a_run_waits_and_doubt_is_strict() {
        let rule = |function: Option<&str>, users: Option<&[&str]>, mode| ModeRule {
            image: None,
            function: function.map(str::to_owned),
            users: users.and_then(list),
            organizations: None,
            mode,
        };
        let of = |rules: Vec<ModeRule<ReviewMode>>, requester: &Requester| {
            let policies = Policies { review: Modes::Rules(rules), ..Default::default() };
            policies.review_mode(&Request {
                image: IMAGE,
                other_images: &[],
                other_functions: &[],
                function: Some("partial_average"),
                requester,
                store: &Store::None,
                databases: &[],
                columns: None,
                tells_columns: true,
            })
        };
        use ReviewMode::*;
        assert_eq!(of(vec![rule(Some("partial_average"), None, Never), rule(None, None, Always)], &rosa()), Never);
        assert_eq!(of(vec![rule(Some("other"), None, Never), rule(None, None, FirstTime)], &rosa()), FirstTime);
        assert_eq!(of(vec![rule(Some("other"), None, Never)], &rosa()), Always);
        assert_eq!(of(vec![rule(None, Some(&["rosa"]), Never)], &rosa()), Never);
        let policies = Policies {
            review: Modes::Rules(vec![rule(Some("partial_average"), None, Always), rule(None, None, Never)]),
            ..Default::default()
        };
        let by_other_name = Request {
            image: "demo/average@sha256:00",
            other_images: &[IMAGE],
            function: Some("average_partial"),
            other_functions: &["partial_average"],
            requester: &rosa(),
            store: &Store::None,
            databases: &[],
            columns: None,
            tells_columns: true,
        };
        assert_eq!(policies.review_mode(&by_other_name), Always, "the same code by another name");
        let nameless = Requester { username: None, ..rosa() };
        assert_eq!(of(vec![rule(None, Some(&["ben"]), FirstTime), rule(None, None, Never)], &nameless), Always);
    }
}
