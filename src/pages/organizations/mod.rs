//! Organizations: `/organizations` and `/organizations/{id}`.

pub mod detail;
pub mod list;
