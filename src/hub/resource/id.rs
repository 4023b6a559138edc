use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::hub::HubError;

/// The id in a path (`/task/{id}`). What is no number is found nowhere.
pub struct Id(pub i64);

/// The number that a part of a path is: in one way only, so that the audit log reads the same one.
fn parse(part: &str) -> Option<i64> {
    let is_plain = part.starts_with(|first: char| first.is_ascii_digit());
    part.parse().ok().filter(|_| is_plain)
}

fn nowhere() -> HubError {
    HubError::NotFound("There is no such endpoint".to_owned())
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HubError> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| nowhere())?;
        parse(&id).map(Id).ok_or_else(nowhere)
    }
}

/// Two ids in a path (`/role/{id}/rule/{rule_id}`).
pub struct TwoIds(pub i64, pub i64);

impl<S: Send + Sync> FromRequestParts<S> for TwoIds {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HubError> {
        let ids = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((one, other)) = ids.map_err(|_| nowhere())?;
        parse(&one).zip(parse(&other)).map(|(one, other)| TwoIds(one, other)).ok_or_else(nowhere)
    }
}
