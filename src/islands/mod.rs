//! The few pieces that run in the browser, one `#[island]` a file. The only UI code that is compiled to WebAssembly.
//! What they show is rendered by the server; they take it over.

#[cfg(feature = "hydrate")]
mod browser;
mod copy_button;
mod live_form;
mod live_updates;
mod take_fragment;

pub use copy_button::CopyButton;
pub use live_form::LiveForm;
pub use live_updates::LiveUpdates;
pub use take_fragment::TakeFragment;
