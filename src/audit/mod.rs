//! Who did what, when, to what, with which outcome: a log in a SQLite table to which entries are only added, each with
//! a hash over itself and the entry before. Hub and node keep one each. Ends of a
//! chain are signed with a key outside its file, and hub and nodes keep those of each other: who writes a file anew, and
//! its hashes, is found by them.

mod chain;
mod continuity;
mod entry;
mod head_file;
mod log;
mod schema;
mod sink;
mod witness;

pub use chain::{Broken, Head, verify, verify_from};
pub use continuity::Continuity;
pub use entry::{Entry, Recorded};
pub use head_file::{HeadFile, LastHead, beside};
pub use log::{Filter, append, append_change, head, open, page, prepare, read_all};
pub use schema::{INDEXES, Made, differences, in_words, indexes_hold, is_new, is_of_earlier_version, made, prepare_as};
pub use sink::{SinkError, ship};
pub use witness::{
    Behind, HeadKey, KeptHead, Signed, SignedHeads, behind, holds, keep_head, kept_head, kept_heads, last_known,
    mismatches, sign_entries, sign_head, signed_heads, trouble_at_start, unclosed, unsigned_behind,
};
