//! Who did what, when, to what, with which outcome: a log in a SQLite table to which entries are only added, each with
//! a hash over itself and the entry before. Hub and node keep one each.

mod chain;
mod entry;
mod log;

pub use chain::{Broken, Head, verify, verify_from};
pub use entry::{Entry, Recorded};
pub use log::{Filter, append, append_change, head, open, page, prepare, read_all};
