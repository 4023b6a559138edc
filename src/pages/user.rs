use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::request::Parts,
};
use tower_sessions::Session;

use super::{error::PageError, state::PageState};
use crate::session::SignedIn;

/// Who asks for a page, with the session. A page that takes it is for signed-in users only.
pub struct User {
    pub signed_in: SignedIn,
    pub session: Session,
}

impl FromRequestParts<PageState> for User {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &PageState) -> Result<Self, PageError> {
        match <User as OptionalFromRequestParts<PageState>>::from_request_parts(parts, state).await? {
            Some(user) => Ok(user),
            None => Err(PageError::SignIn { next: parts.uri.to_string() }),
        }
    }
}

impl OptionalFromRequestParts<PageState> for User {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &PageState) -> Result<Option<Self>, PageError> {
        let session = parts.extensions.get::<Session>().cloned().ok_or(PageError::Internal)?;
        let signed_in = state.registry.current(&session, &parts.method).await??;
        if let Some(signed_in) = signed_in.clone().filter(|signed_in| signed_in.permissions.may_decide_reviews()) {
            // For the navigation, beside what the page itself asks for.
            tokio::spawn(async move { signed_in.waiting_reviews().await });
        }
        Ok(signed_in.map(|signed_in| User { signed_in, session }))
    }
}
