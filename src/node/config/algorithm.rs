use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Deserializer};

use crate::{algorithms, node::runtime::is_variable};

/// An algorithm that a command of this machine runs, in the place of a container. It runs with the rights of the node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlgorithmConfig {
    /// The image for which it stands, exactly as tasks name it.
    pub image: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Files and folders to whose content a review is bound, beside those that the command names by their whole path.
    #[serde(default)]
    pub code: Vec<PathBuf>,
    /// Variables as they are, such as `PKG_NAME` of a vantage6 4.x image.
    #[serde(default, deserialize_with = "texts")]
    pub environment: BTreeMap<String, String>,
    /// What it does, for whoever reviews its runs.
    #[serde(default)]
    pub description: String,
    /// What leaves the organization, for them too.
    #[serde(default)]
    pub discloses: String,
}

/// Variables: numbers and yes or no are texts, too.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Bool(bool),
        Integer(i64),
        Number(f64),
        Text(String),
    }
    let values = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
    let text = |value| match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Number(value) => value.to_string(),
        Scalar::Text(value) => value,
    };
    Ok(values.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// What is wrong with algorithms and the variables of all of them.
pub(super) fn mistake(list: &[AlgorithmConfig], of_all: &BTreeMap<String, String>) -> Option<String> {
    let mut images: Vec<&str> = Vec::new();
    for AlgorithmConfig { image, command, .. } in list {
        if algorithms::is_built_in(image) {
            return Some(format!("\"{image}\" is built in"));
        }
        if images.contains(&image.as_str()) {
            return Some(format!("\"{image}\" stands twice"));
        }
        if command.first().is_none_or(String::is_empty) {
            return Some(format!("\"{image}\" has no command"));
        }
        images.push(image);
    }
    let own = list.iter().flat_map(|algorithm| algorithm.environment.keys());
    let wrong = of_all.keys().chain(own).find(|name| !is_variable(name))?;
    Some(format!("\"{wrong}\" is no name of a variable"))
}

#[cfg(test)]
mod tests {
    use crate::node::NodeConfig;

    #[test]
    fn algorithms_name_an_image_and_a_command() {
        let of = |algorithms: &str| {
            NodeConfig::parse(&format!(
                "api_key: top-secret\nserver_url: https://h\ndatabases: {{a: /x.csv}}\nalgorithms:\n{algorithms}"
            ))
        };
        let config = of(concat!(
            "  - image: example.org/median\n    command: [/opt/median, run]\n    environment: {PKG_NAME: median, DEPTH: 3}\n",
            "algorithm_env: {PRIVACY_THRESHOLD: 5, LOUD: false}\n"
        ))
        .unwrap();
        assert_eq!(config.algorithms[0].environment["DEPTH"], "3");
        assert_eq!(config.algorithm_env["LOUD"], "false");
        for (algorithms, message) in [
            ("  - {image: a, command: []}\n", "no command"),
            ("  - {image: a, command: [b]}\n  - {image: a, command: [c]}\n", "twice"),
            ("  - {image: a, command: [b], environment: {'A=B': c}}\n", "no name of a variable"),
            ("  - {image: a, command: [b], comand: [c]}\n", "comand"),
            ("  - {image: harbor2.vantage6.ai/demo/average, command: [b]}\n", "built in"),
        ] {
            let error = of(algorithms).unwrap_err();
            assert!(error.contains(message) && !error.contains("top-secret"), "{algorithms}: {error}");
        }
    }
}
