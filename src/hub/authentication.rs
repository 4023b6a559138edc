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
    let kind = match (claims.client_type, &claims.sub) {
        (ClientType::User, Subject::Id(id)) => CallerKind::User { id: *id },
        (ClientType::Node, Subject::Id(id)) => CallerKind::Node { id: *id },
        (ClientType::Container, Subject::Container(subject)) => CallerKind::Container(subject.clone()),
        _ => return Err(HubError::Unauthenticated("The token is not valid")),
    };
    let caller = caller_of_kind(hub, kind).await?;
    if claims.epoch != caller.authority.token_epoch || hub.tokens.has_ended(claims) {
        return Err(HubError::Unauthenticated("Token has expired"));
    }
    Ok(caller)
}

/// Somebody with what they may do now, as long as the database still knows them.
pub async fn caller_of_kind(hub: &HubState, kind: CallerKind) -> Result<Caller, HubError> {
    let authority = match &kind {
        CallerKind::User { id } => hub.store.authority_of_user(*id).await?,
        CallerKind::Node { id } => hub.store.authority_of_node(*id).await?,
        CallerKind::Container(subject) => hub.store.authority_of_container(subject).await?,
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
