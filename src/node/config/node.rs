use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{
        Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::Value;
use strsim::normalized_damerau_levenshtein;
use sysinfo::System;
use url::Url;

use super::algorithm::{self, AlgorithmConfig};
use crate::{
    algorithms::DecimalMark,
    node::NodeError,
    protocol::{
        is_unprotected,
        policy::{Ignored, Policies},
    },
};

/// A node's configuration: the keys of vantage6 4.x node files that have a meaning here. Unknown keys are ignored,
/// since such files also configure Docker, VPN and proxies.
#[derive(Debug, Clone, Deserialize)]
pub struct NodeConfig {
    /// The key that the server gave when the node was registered.
    pub api_key: SecretString,
    /// The server without port and path, such as `https://vantage6.example`.
    pub server_url: String,
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default = "default_api_path")]
    pub api_path: String,
    pub databases: Databases,
    /// Whether the server may be reached by plain HTTP, where key, tokens and results can be read on their way.
    #[serde(default)]
    pub allow_plain_http: bool,
    #[serde(default)]
    pub policies: Policies,
    /// Algorithms that this node runs beside those built in.
    #[serde(default)]
    pub algorithms: Vec<AlgorithmConfig>,
    /// Variables that each of them gets (vantage6 4.x).
    #[serde(default, deserialize_with = "algorithm::texts")]
    pub algorithm_env: BTreeMap<String, String>,
    /// Whether the server is told labels, types and columns of the databases, and the policies.
    #[serde(default = "yes")]
    pub share_config: bool,
    /// Whether log lines are sent while a run goes on.
    #[serde(default = "yes")]
    pub share_algorithm_logs: bool,
    /// The file in which the node remembers reviews, held results, started runs and its audit log; beside the
    /// configuration if it is not said. A relative path counts from the folder of the configuration file.
    #[serde(default)]
    pub state_file: Option<PathBuf>,
    /// Address and port of the node's own page for reviews, on loopback only; without, there is no page.
    #[serde(default)]
    pub review_page: Option<SocketAddr>,
    /// How much memory the built-in functions may take in all, such as `2GB`; half of the machine's if it is not said.
    #[serde(default)]
    pub memory: Option<ByteSize>,
    /// A second file that gets every entry of the audit log, for who ships logs elsewhere. A relative path counts from
    /// the folder of the configuration file.
    #[serde(default)]
    pub audit_file: Option<PathBuf>,
    /// Keys of the file that have no meaning here.
    #[serde(skip)]
    pub ignored: Vec<String>,
}

/// The keys that have a meaning here.
const KEYS: [&str; 15] = [
    "api_key",
    "server_url",
    "port",
    "api_path",
    "databases",
    "allow_plain_http",
    "policies",
    "algorithms",
    "algorithm_env",
    "share_config",
    "share_algorithm_logs",
    "state_file",
    "review_page",
    "memory",
    "audit_file",
];
/// Less would be a mistake in its unit.
const LEAST_MEMORY: ByteSize = ByteSize::mb(10);
/// Where nobody knows how much there is.
const USUAL_MEMORY: ByteSize = ByteSize::gb(1);
/// How alike a key has to be to one of them, from 0 to 1, to be a typing mistake.
const ALIKE: f64 = 0.8;

/// The keys that have no meaning here; an error if one looks like a typing mistake: policies that are not read protect
/// nothing.
fn ignored_keys(text: &str) -> Result<Vec<String>, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    let keys: BTreeMap<String, IgnoredAny> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    let ignored: Vec<String> = keys.into_keys().filter(|key| !KEYS.contains(&key.as_str())).collect();
    for key in &ignored {
        if let Some(meant) = KEYS.iter().find(|known| normalized_damerau_levenshtein(known, key) >= ALIKE) {
            return Err(format!("there is no key \"{key}\"; is \"{meant}\" meant?"));
        }
        if key.to_ascii_lowercase().contains("polic") {
            return Err(format!("there is no key \"{key}\"; is \"policies\" meant?"));
        }
        if is_policy(key) {
            return Err(format!("\"{key}\" has to stand below \"policies\""));
        }
    }
    Ok(ignored)
}

/// Whether policies have such a key.
fn is_policy(key: &str) -> bool {
    let one = serde_json::json!({ key: null });
    !serde_json::from_value::<Policies>(one).is_err_and(|error| error.to_string().contains("unknown field"))
}

/// A key that stands there without a value, such as a list all of whose lines are comments: it would limit nothing. Keys that
/// have no meaning here may.
fn key_without_value(file: &Value) -> Option<String> {
    let of_databases = file["databases"].as_array().into_iter().flatten().filter_map(Value::as_object);
    let is_own = |key: &str| DATABASE_KEYS.contains(&key) || READING_KEYS.contains(&key);
    let lacks = |(key, value): &(&String, &Value)| value.is_null() && is_own(key);
    let of_databases = || of_databases.flatten().find(lacks).map(|(key, _)| format!("databases: {key}"));
    let is_empty = |key: &&&str| file.get(**key).is_some_and(Value::is_null);
    let at_top = KEYS.iter().chain(&["encryption"]).find(is_empty).map(|key| (*key).to_owned());
    at_top.or_else(|| null_in(&file["policies"], "policies")).or_else(of_databases)
}

/// In which line a key stands, by the last word of its path.
fn line_of(text: &str, path: &str) -> String {
    let key = format!("{}:", path.rsplit(": ").next().unwrap_or(path));
    let is_whole = |before: &str| !before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    let begins = |line: &str| line.match_indices(&key).any(|(place, _)| is_whole(&line[..place]));
    text.lines().position(begins).map(|line| format!(" (line {})", line + 1)).unwrap_or_default()
}

/// What vantage6 would protect by, and this node does not.
fn protection_that_is_missing(file: &Value) -> Option<&'static str> {
    let encryption = &file["encryption"];
    let is_on = match encryption {
        Value::Object(encryption) => encryption.get("enabled").is_some_and(|enabled| *enabled != Value::Bool(false)),
        other => !other.is_null() && *other != Value::Bool(false),
    };
    if is_on {
        return Some(
            "encryption is on, and this node has none: it takes part in collaborations without encryption only. Write \
             encryption: {enabled: false}",
        );
    }
    let is_said = |value: &Value| match value {
        Value::Object(object) => object.values().any(|value| value.as_array().is_none_or(|list| !list.is_empty())),
        value => !value.is_null(),
    };
    let has_commands = file["algorithms"].as_array().is_some_and(|list| !list.is_empty());
    (has_commands && is_said(&file["whitelist"])).then_some(
        "whitelist says which addresses algorithms may reach, and nothing keeps a command of algorithms from others: take \
         whitelist away, and fence the node off as a whole",
    )
}

/// The last key before the place that an error names.
fn key_before(text: &str, error: &str) -> Option<String> {
    let number = |behind: &str| -> Option<usize> {
        error.split(behind).nth(1)?.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    };
    let line = text.lines().nth(number("at line ")?.checked_sub(1)?)?;
    let before: String = line.chars().take(number(", column ")?).collect();
    let (before, _) = before.rsplit_once(": ")?;
    let key = before.rsplit(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next()?;
    (!key.is_empty()).then(|| key.to_owned())
}

/// Which key an error is about, for its message: the path to it.
fn path_of_error(file: Value) -> Option<String> {
    let path = serde_path_to_error::deserialize::<_, NodeConfig>(file).err()?.path().to_string();
    (path != ".").then_some(path)
}

/// The path of the first key without a value.
fn null_in(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(object) => object.iter().find_map(|(key, value)| match value {
            Value::Null => Some(format!("{path}: {key}")),
            value => null_in(value, &format!("{path}: {key}")),
        }),
        Value::Array(array) => array.iter().find_map(|item| match item {
            Value::Null => Some(path.to_owned()),
            item => null_in(item, path),
        }),
        _ => None,
    }
}

/// Half of the memory of the machine, or of the container in which the node runs.
fn half_of_memory() -> u64 {
    let Ok(mut system) = System::new() else { return USUAL_MEMORY.as_u64() };
    system.refresh_memory();
    let of_container = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    system.total_memory().min(of_container) / 2
}

fn default_api_path() -> String {
    "/api".to_owned()
}

fn yes() -> bool {
    true
}

/// The databases: a list of labels with type and URI, or a plain map from label to path (3.x).
#[derive(Debug, Clone)]
pub enum Databases {
    List(Vec<DatabaseConfig>),
    Map(BTreeMap<String, String>),
}

// By hand, since an untagged enum does not say what is wrong.
impl<'de> Deserialize<'de> for Databases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrMap;
        impl<'de> Visitor<'de> for ListOrMap {
            type Value = Databases;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of databases, or their paths by their labels")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Databases, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Databases::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Databases, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(Databases::Map)
            }
        }
        deserializer.deserialize_any(ListOrMap)
    }
}

/// One database.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DatabaseConfig {
    pub label: String,
    /// `csv`, `parquet`, …
    #[serde(rename = "type", default)]
    pub kind: String,
    /// A path; a relative one counts from the folder of the configuration file.
    pub uri: String,
    /// The column that says who a row is about: limits count people by it, and answers are compared by it.
    #[serde(default)]
    pub person: Option<String>,
    /// Columns whose values identify people; the one above is one of them anyway.
    #[serde(default)]
    pub identifiers: Vec<String>,
    /// The labels of databases in which other people are. Of two whose people have no identifiers in common nobody else knows
    /// whether they are the same.
    #[serde(default)]
    pub other_people_than: Vec<String>,
    /// What stands between the values of a CSV file, where it is not to be found out: one byte.
    #[serde(default, deserialize_with = "separator")]
    pub separator: Option<u8>,
    /// What stands before decimals in a CSV file: `.` or `,`.
    #[serde(default)]
    pub decimal: Option<DecimalMark>,
    /// Whether the first line of a CSV file names the columns, where it is not to be found out; and whether names in a Parquet
    /// file that look like data are names.
    #[serde(default)]
    pub header: Option<bool>,
    /// The names of the columns of a CSV file, in their order.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Other keys of vantage6.
    #[serde(flatten)]
    pub(in crate::node) other: BTreeMap<String, Ignored>,
}

fn separator<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(Some(*byte)),
        _ => Err(D::Error::custom("separator has to be one character, such as \";\" or \"\\t\"")),
    }
}

/// Keys of a database that protect: one that is mistyped would not.
const DATABASE_KEYS: [&str; 3] = ["person", "identifiers", "other_people_than"];
/// Keys that say how a file is read.
const READING_KEYS: [&str; 7] = ["label", "type", "uri", "separator", "decimal", "header", "columns"];
/// Parts of keys by which somebody means one of them, or policies.
const MEANT: [&str; 6] = ["person", "patient", "subject", "identif", "polic", "minimum"];

impl DatabaseConfig {
    /// A key that looks like one of [`DATABASE_KEYS`], and is none.
    fn mistake(&self) -> Option<String> {
        let alike =
            |key: &&String| DATABASE_KEYS.iter().any(|known| normalized_damerau_levenshtein(known, key) >= ALIKE);
        let is_meant = |key: &&String| {
            let key = key.to_ascii_lowercase();
            key == "ids" || MEANT.iter().any(|part| key.contains(part))
        };
        let key = self.other.keys().find(|key| alike(key) || is_meant(key))?;
        Some(format!(
            "the database \"{}\" has a key \"{key}\"; is one of {} meant?",
            self.label,
            DATABASE_KEYS.join(", ")
        ))
    }
}

impl NodeConfig {
    /// Reads a YAML file.
    pub fn read(path: &Path) -> Result<Self, NodeError> {
        let error = |reason: String| NodeError::Config { path: path.display().to_string(), reason };
        let text = std::fs::read_to_string(path).map_err(|reason| error(reason.to_string()))?;
        // The reason names line and column; the file holds the API key, so nothing of its text goes along.
        let mut config = Self::parse(&text).map_err(error)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut list = config.database_list();
        // The address of a service is no path.
        for database in list.iter_mut().filter(|database| !database.uri.contains("://")) {
            database.uri = folder.join(&database.uri).display().to_string();
        }
        for path in config.algorithms.iter_mut().flat_map(|algorithm| &mut algorithm.code) {
            *path = folder.join(&path);
        }
        config.databases = Databases::List(list);
        config.state_file = Some(match &config.state_file {
            Some(given) => folder.join(given),
            None => path.with_extension("sqlite"),
        });
        config.audit_file = config.audit_file.map(|file| folder.join(file));
        Ok(config)
    }

    /// The file in which the node remembers what it has to.
    pub fn state_file(&self) -> PathBuf {
        self.state_file.clone().unwrap_or_else(|| PathBuf::from("node.sqlite"))
    }

    /// How many bytes the built-in functions may take in all.
    pub fn memory(&self) -> usize {
        let bytes = self.memory.map_or_else(half_of_memory, |memory| memory.as_u64());
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! { with_snippet: false };
        let file: Value =
            serde_saphyr::from_str_with_options(text, options.clone()).map_err(|error| error.to_string())?;
        if let Some(key) = key_without_value(&file) {
            return Err(format!("{key} has no value{}", line_of(text, &key)));
        }
        if let Some(missing) = protection_that_is_missing(&file) {
            return Err(missing.to_owned());
        }
        let config: Result<NodeConfig, _> = serde_saphyr::from_str_with_options(text, options);
        let mut config = config.map_err(|error| {
            let error = error.to_string();
            match key_before(text, &error).or_else(|| path_of_error(file)) {
                Some(key) => format!("{key}: {error}"),
                None => error,
            }
        })?;
        config.ignored = ignored_keys(text)?;
        if is_unprotected(&config.hub_url()?) && !config.allow_plain_http {
            return Err("server_url is plain HTTP to another machine: key, tokens and results could be read on their \
                        way. Use https://, or say allow_plain_http: true"
                .to_owned());
        }
        if let Some(key) = config.key_with_empty_text() {
            return Err(format!("{key} has no value{}", line_of(text, key)));
        }
        if let Some(mistake) = config.policies.mistake() {
            return Err(format!("policies: {mistake}"));
        }
        if config.review_page.is_some_and(|address| !address.ip().is_loopback()) {
            return Err("review_page has to be on loopback, such as 127.0.0.1:7000".to_owned());
        }
        if config.memory.is_some_and(|memory| memory < LEAST_MEMORY) {
            return Err(format!("memory is less than {LEAST_MEMORY}: no function could compute; write such as 2GB"));
        }
        if let Some(mistake) = algorithm::mistake(&config.algorithms, &config.algorithm_env) {
            return Err(format!("algorithms: {mistake}"));
        }
        if let Some(mistake) = config.database_list().iter().find_map(DatabaseConfig::mistake) {
            return Err(mistake);
        }
        let mut labels: Vec<String> = config.database_list().into_iter().map(|database| database.label).collect();
        labels.sort();
        if let Some(pair) = labels.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("the database label \"{}\" stands twice", pair[0]));
        }
        let databases = config.database_list();
        let mut others = databases.iter().flat_map(|database| &database.other_people_than);
        if let Some(unknown) = others.find(|label| !labels.contains(label)) {
            return Err(format!(
                "other_people_than: there is no database \"{unknown}\"; there is {}",
                labels.join(", ")
            ));
        }
        let allowed = config.policies.allowed_databases.iter().flatten();
        if let Some(rule) = allowed.into_iter().find(|rule| !labels.contains(&rule.database)) {
            return Err(format!(
                "policies: allowed_databases: there is no database \"{}\"; there is {}",
                rule.database,
                labels.join(", ")
            ));
        }
        Ok(config)
    }

    /// A key whose value is a text without a letter.
    fn key_with_empty_text(&self) -> Option<&'static str> {
        let is_empty = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.as_os_str().is_empty());
        let of_databases = |of: fn(&DatabaseConfig) -> &str| match &self.databases {
            Databases::List(list) => list.iter().any(|database| of(database).trim().is_empty()),
            Databases::Map(_) => false,
        };
        [
            ("api_key", self.api_key.expose_secret().trim().is_empty()),
            ("state_file", is_empty(&self.state_file)),
            ("audit_file", is_empty(&self.audit_file)),
            ("databases: label", of_databases(|database| &database.label)),
            ("databases: uri", of_databases(|database| &database.uri)),
            ("algorithms: image", self.algorithms.iter().any(|algorithm| algorithm.image.trim().is_empty())),
        ]
        .into_iter()
        .find_map(|(key, is_empty)| is_empty.then_some(key))
    }

    /// The databases as a list, types filled in from the file's ending where they are missing.
    pub fn database_list(&self) -> Vec<DatabaseConfig> {
        let mut list = match &self.databases {
            Databases::List(list) => list.clone(),
            Databases::Map(map) => map
                .iter()
                .map(|(label, uri)| DatabaseConfig {
                    label: label.clone(),
                    kind: String::new(),
                    uri: uri.clone(),
                    ..Default::default()
                })
                .collect(),
        };
        for database in &mut list {
            database.kind = match database.kind.to_ascii_lowercase() {
                kind if kind.is_empty() => Path::new(&database.uri)
                    .extension()
                    .map_or("other".into(), |end| end.to_string_lossy().to_lowercase()),
                kind => kind,
            };
        }
        list
    }

    /// The address of the server's API.
    pub fn hub_url(&self) -> Result<Url, String> {
        let mut url: Url = self.server_url.parse().map_err(|_| "server_url is no address".to_owned())?;
        if let Some(port) = self.port {
            url.set_port(Some(port)).map_err(|()| "server_url cannot have a port".to_owned())?;
        }
        let path = format!("{}/{}", url.path().trim_end_matches('/'), self.api_path.trim_matches('/'));
        url.set_path(&path);
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vantage6_node_file_is_read_and_its_other_keys_are_ignored() {
        let config = NodeConfig::parse(
            "api_key: 2f7b8a1e-0000-4000-8000-000000000001\nserver_url: http://127.0.0.1\nport: 5000\n\
             api_path: /api\ntask_dir: /tmp\nencryption:\n  enabled: false\n  private_key: null\n\
             databases:\n  - label: default\n    type: csv\n    uri: /data/a.csv\n\
             policies:\n  allowed_algorithms:\n    - ^harbor2\\.vantage6\\.ai/demo/.*\n  allowed_users: [2, '3']\n\
             logging:\n  level: DEBUG\n",
        )
        .unwrap();
        assert_eq!(config.hub_url().unwrap().as_str(), "http://127.0.0.1:5000/api");
        assert_eq!(config.policies.allowed_users, Some(vec!["2".to_owned(), "3".to_owned()]));
        assert_eq!(config.database_list()[0].kind, "csv");
    }

    #[test]
    fn databases_may_be_a_map_as_in_the_seed_document() {
        let text =
            "api_key: k\nserver_url: https://h\ndatabases:\n  default: /path/to/my/example.csv\n  b: /x.parquet\n";
        let list = NodeConfig::parse(text).unwrap().database_list();
        assert_eq!((list[0].label.as_str(), list[0].kind.as_str()), ("b", "parquet"));
        assert_eq!((list[1].label.as_str(), list[1].kind.as_str()), ("default", "csv"));
    }

    const OF_VANTAGE6: [&str; 2] = ["require_algorithm_pull", "allow_basics_algorithm"];

    #[test]
    fn no_key_that_is_empty_or_wrong_is_passed_over() {
        let of = |key: &str, value: &str| {
            let needed = [("api_key", "top-secret"), ("server_url", "https://h"), ("databases", "{a: /x.csv}")];
            let needed = needed.iter().filter(|(known, _)| *known != key);
            let lines: Vec<String> = needed.map(|(key, value)| format!("{key}: {value}")).collect();
            NodeConfig::parse(&format!("{}\n{key}: {value}\n", lines.join("\n")))
        };
        // Every key without a value, and with one of another type: a list of lists fits none.
        for key in KEYS.iter().chain(&["encryption"]) {
            let error = of(key, "").unwrap_err();
            let line = if ["api_key", "server_url", "databases"].contains(key) { 3 } else { 4 };
            assert_eq!(error, format!("{key} has no value (line {line})"));
            let error = of(key, "[[top-secret]]").unwrap_err();
            assert!(error.contains(key) && !error.contains("top-secret"), "{key}: {error}");
        }
        // As the error of an unknown one lists them.
        let unknown = serde_json::from_value::<Policies>(serde_json::json!({"unknown": 1})).unwrap_err().to_string();
        let policies = unknown.split('`').skip(3).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        assert!(policies.len() > 15, "{unknown}");
        for key in policies {
            let error = of("policies", &format!("{{{key}: }}")).unwrap_err();
            assert!(error.contains(&format!("policies: {key} has no value (line 4)")), "{error}");
            // What vantage6 knows and has no meaning here is not looked at.
            if OF_VANTAGE6.contains(&key.as_str()) {
                continue;
            }
            let error = of("policies", &format!("{{{key}: [[top-secret]]}}")).unwrap_err();
            assert!(error.contains(&key) && !error.contains("top-secret"), "{key}: {error}");
        }
        for (key, value, told) in [
            ("databases", "[{label: [a], type: csv, uri: x}]", "label: "),
            (
                "databases",
                "[{label: a, type: csv, uri: x}, {label: b, uri: y, header: maybe}]",
                "header: invalid boolean at line 3",
            ),
            ("databases", "[{label: a, type: csv}]", "uri"),
            ("databases", "{a: [x]}", "a: "),
            ("databases", "x", "a list of databases"),
            ("share_config", "maybe", "share_config"),
            ("encryption", "{enabled: true}", "encryption is on"),
            ("encryption", "{enabled: 'yes', private_key: /k}", "encryption is on"),
            ("encryption", "true", "encryption is on"),
        ] {
            let error = of(key, value).err().unwrap_or_default();
            assert!(error.contains(told), "{key}: {value}: {error}");
        }
        for off in ["{enabled: false, private_key: /k}", "{}", "false", "{private_key: }"] {
            assert!(of("encryption", off).is_ok(), "{off}");
        }
        // Nobody is allowed, which is not everybody.
        assert_eq!(of("policies", "{allowed_users: []}").unwrap().policies.allowed_users, Some(Vec::new()));
    }

    #[test]
    fn policies_with_a_mistake_are_refused_and_say_where() {
        let of = |policies: &str| {
            NodeConfig::parse(&format!(
                "api_key: top-secret\nserver_url: https://h\ndatabases: {{a: /x.csv}}\npolicies:\n{policies}"
            ))
        };
        for (policies, message) in [
            ("  review: [{mode: maybe}]\n", "maybe"),
            ("  minumum_rows: 5\n", "minumum_rows"),
            ("  largest_parameter_share: 1.5\n", "above 0 and at most 1"),
            ("  review: sometimes\n", "expected one of never, first_time, always"),
            ("  allowed_databases: [{database: a, colums: [b]}]\n", "colums"),
            ("  allowed_algorithm_stores: ['(']\n", "no regular expression"),
        ] {
            let error = of(policies).unwrap_err();
            assert!(error.contains(message) && !error.contains("top-secret"), "{policies}: {error}");
        }
        let rules =
            "  review:\n    - {function: f, users: rosa, mode: first_time}\n    - mode: always\n  release: review\n";
        assert!(of(rules).is_ok());
        assert!(of("  require_algorithm_pull: true\n  allow_basics_algorithm: false\n").is_ok());
    }

    #[test]
    fn a_key_that_is_mistyped_is_an_error_and_one_of_vantage6_is_not() {
        let of = |line: &str| {
            NodeConfig::parse(&format!(
                "api_key: top-secret\nserver_url: https://h\ndatabases: {{a: /x.csv}}\n{line}\n"
            ))
        };
        for (line, meant) in [
            ("polices: {review: always}", "policies"),
            ("reviewpage: 127.0.0.1:7000", "review_page"),
            ("algoritms: []", "algorithms"),
            ("share_configs: false", "share_config"),
        ] {
            let error = of(line).unwrap_err();
            assert!(error.contains(&format!("is \"{meant}\" meant")) && !error.contains("top-secret"), "{error}");
        }
        for (line, meant) in [
            ("node_policies: {review: always}", "policies"),
            ("policies:{review: always}", ""),
            ("decisions_from_hub: false", "has to stand below \"policies\""),
            ("minimum_rows: 50", "has to stand below \"policies\""),
        ] {
            let error = of(line).unwrap_err();
            assert!(error.contains(meant) && !error.contains("top-secret"), "{line}: {error}");
        }
        let others =
            "task_dir: /t\nencryption: {enabled: false}\nlogging: {}\nnode_extra_env: {}\nvpn_subnet: x\nsquid: {}";
        assert_eq!(of(others).unwrap().ignored.len(), 6);
    }

    #[test]
    fn what_protects_has_a_value() {
        let of = |policies: &str, database: &str| {
            NodeConfig::parse(&format!(
                "api_key: top-secret\nserver_url: https://h\npolicies: {{review: always, {policies}}}\n\
                 databases:\n  - {{label: a, uri: /x.csv, {database}}}\n"
            ))
        };
        assert!(of("", "env:").is_ok());
        for policies in [
            "allowed_users:",
            "allowed_organizations:",
            "allowed_algorithms:",
            "allowed_algorithm_stores:",
            "allowed_functions:",
            "allowed_databases:",
            "runs_per_user_per_day:",
            "allowed_databases: [{database: a, columns: }]",
            "allowed_databases: [{database: a, users: }]",
        ] {
            let error = of(policies, "").unwrap_err();
            assert!(error.contains("has no value"), "{policies}: {error}");
        }
        for database in [
            "separator:",
            "decimal:",
            "header:",
            "columns:",
            "type:",
            "person:",
            "identifiers:",
            "person_column: p",
            "patient: p",
            "ids: [p]",
            "policies: {minimum_rows: 9}",
        ] {
            let error = of("", database).unwrap_err();
            assert!(error.contains("has no value") || error.contains("meant?"), "{database}: {error}");
        }
    }

    #[test]
    fn an_empty_text_is_no_value() {
        for (text, key) in [
            ("api_key: ''\nserver_url: https://h\ndatabases: {a: /x.csv}\n", "api_key"),
            ("api_key: k\nserver_url: https://h\ndatabases: {a: /x.csv}\nstate_file: ''\n", "state_file"),
            ("api_key: k\nserver_url: https://h\ndatabases: {a: /x.csv}\naudit_file: \"\"\n", "audit_file"),
            ("api_key: k\nserver_url: https://h\ndatabases:\n  - {label: '', uri: /x.csv}\n", "databases: label"),
            ("api_key: k\nserver_url: https://h\ndatabases:\n  - {label: a, uri: ''}\n", "databases: uri"),
        ] {
            let error = NodeConfig::parse(text).unwrap_err();
            assert!(error.starts_with(&format!("{key} has no value (line ")), "{key}: {error}");
        }
        let everything =
            "api_key: k\nserver_url: https://h\ndatabases: {a: /x.csv}\npolicies: {allowed_algorithms: ['|x']}";
        let error = NodeConfig::parse(everything).unwrap_err();
        assert!(error.contains("fits every image"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
        let error = NodeConfig::parse("api_key: top-secret\nserver_url: [").unwrap_err();
        assert!(!error.contains("top-secret"), "{error}");
        let twice = "api_key: k\nserver_url: https://h\ndatabases: [{label: a, uri: /x.csv}, {label: a, uri: /y.csv}]";
        assert!(NodeConfig::parse(twice).unwrap_err().contains("twice"));
    }
}
