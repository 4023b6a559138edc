//! Atoll: analyses on data that never leave the organizations that hold them. The rooms are described in
//! `docs/architecture.md`.
#![recursion_limit = "256"]

pub mod protocol;

#[cfg(feature = "ssr")]
pub mod hub;
