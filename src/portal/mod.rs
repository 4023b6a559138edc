//! The web server around the pages: configuration, router, security layers, live events.

mod assets;
mod carry_through;
mod error_pages;
mod headers;
mod live;
mod server;
mod static_files;
mod whole_form;

pub use crate::session::SessionsAt;
pub use assets::AssetsError;
pub use server::{Portal, PortalError, PortalOptions};
