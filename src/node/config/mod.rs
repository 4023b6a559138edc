//! The configuration of a node: a YAML file with the keys of vantage6 4.x, and some of its own.

mod algorithm;
mod node;

pub use algorithm::AlgorithmConfig;
pub use node::{DatabaseConfig, NodeConfig};
