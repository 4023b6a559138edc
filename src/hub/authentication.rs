//! Who asks: the `Authorization` header becomes a [`Caller`].

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};

use super::{
    HubError,
    permission::{Caller, CallerKind},
    server::HubState,
    token::{Claims, ClientType, Purpose, Subject},
};

/// The token of a request.
pub fn bearer(headers: &HeaderMap) -> Result<&str, HubError> {
    headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::trim)
        .ok_or(HubError::Unauthenticated("Missing Authorization Header"))
}

/// The caller that checked claims name, as long as the database still knows it.
pub async fn caller_of(hub: &HubState, claims: &Claims) -> Result<Caller, HubError> {
    let (kind, authority) = match (claims.client_type, &claims.sub) {
        (ClientType::User, Subject::Id(id)) => (CallerKind::User { id: *id }, hub.store.authority_of_user(*id).await?),
        (ClientType::Node, Subject::Id(id)) => (CallerKind::Node { id: *id }, hub.store.authority_of_node(*id).await?),
        (ClientType::Container, Subject::Container(subject)) => {
            (CallerKind::Container(subject.clone()), hub.store.authority_of_container(subject).await?)
        }
        _ => return Err(HubError::Unauthenticated("The token is not valid")),
    };
    let authority = authority.ok_or(HubError::Unauthenticated("The owner of the token is not known"))?;
    Ok(Caller { kind, authority })
}

impl FromRequestParts<Arc<HubState>> for Caller {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<HubState>) -> Result<Self, HubError> {
        let claims = hub.tokens.check(bearer(&parts.headers)?, Purpose::Access)?;
        caller_of(hub, &claims).await
    }
}
