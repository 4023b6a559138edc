use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::hub::HubError;

/// The id in a path (`/task/{id}`). What is no number is found nowhere.
pub struct Id(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HubError> {
        let Path(id) = Path::<i64>::from_request_parts(parts, state)
            .await
            .map_err(|_| HubError::NotFound("There is no such endpoint".to_owned()))?;
        Ok(Id(id))
    }
}
