//! Collaborations: `/collaborations` and `/collaborations/{id}`.

pub mod detail;
pub mod list;
