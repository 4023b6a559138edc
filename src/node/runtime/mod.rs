//! How functions are run. At present: those built in.

pub mod built_in;
