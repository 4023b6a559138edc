//! Data stations on a real hub.

#[path = "../support/mod.rs"]
mod support;

mod command;
mod memory;
mod program;
mod station;
mod witness;
