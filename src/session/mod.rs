//! Who is signed in: the record in the session store, the user's client of the hub, sign-in limits, flash messages.

mod asked_mail;
mod browser;
mod draft;
mod draft_store;
mod flash;
mod kept;
mod names;
mod open;
mod pending;
mod permissions;
mod record;
mod registry;
mod sealed;
mod store;

pub use asked_mail::next_mail_in;
pub use browser::name_of_browser;
pub use draft::{Draft, FunctionChoice, Unsent};
pub use flash::{Flash, FlashKind, put_flash, take_flash};
pub use names::Names;
pub use open::OpenSession;
pub use pending::{PENDING_SECONDS, PendingSignIn};
pub use permissions::Permissions;
pub use record::SessionError;
pub use registry::{Registry, SignedIn};
pub use store::{Sessions, SessionsAt};
