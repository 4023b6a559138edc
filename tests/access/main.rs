//! Who reaches what, by role and page and endpoint; and the published advisories of this field, each as a test.

mod advisories;
mod matrix;
mod outsider;
#[path = "../support/mod.rs"]
mod support;
