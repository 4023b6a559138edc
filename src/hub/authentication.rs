//! Who asks: the `Authorization` header becomes a [`Caller`].

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};

use super::{
    HubError,
    permission::{Caller, CallerKind},
    program,
    server::HubState,
    token::{Claims, ClientType, Purpose, Subject},
};
use crate::protocol::client::LARGEST_ANSWER;

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
    let caller = Caller { claims: Some(Arc::new(claims.clone())), ..caller_of_kind(hub, kind).await? };
    require_valid(hub, &caller)?;
    Ok(caller)
}

/// An error if the token of a caller has ended.
fn require_valid(hub: &HubState, caller: &Caller) -> Result<(), HubError> {
    match &caller.claims {
        Some(claims) if claims.epoch != caller.authority.token_epoch || hub.tokens.has_ended(claims) => {
            Err(HubError::Unauthenticated("Token has expired"))
        }
        _ => Ok(()),
    }
}

/// An error unless somebody may still do what they might when their request began: its body can have taken long to
/// arrive. To be asked where a change has begun, so that nothing else changes any more.
pub async fn require_unchanged(hub: &HubState, caller: &Caller) -> Result<(), HubError> {
    let now = caller_now(hub, caller).await?;
    if now.authority == caller.authority {
        return Ok(());
    }
    Err(HubError::Conflict("What you may do has changed while this was sent. Try again.".to_owned()))
}

/// The same caller with the rights they have now; an error if their token has ended. To be asked where a change has begun, and
/// checked against what is changed.
pub async fn caller_now(hub: &HubState, caller: &Caller) -> Result<Caller, HubError> {
    hub.store.read_authority_anew(&caller.kind);
    let now = caller_of_kind(hub, caller.kind.clone()).await?;
    let now = Caller { claims: caller.claims.clone(), largest_answer: caller.largest_answer, ..now };
    require_valid(hub, &now)?;
    Ok(now)
}

/// Somebody with what they may do now, as long as the database still knows them.
pub async fn caller_of_kind(hub: &HubState, kind: CallerKind) -> Result<Caller, HubError> {
    let authority = match &kind {
        CallerKind::User { id } => hub.store.authority_of_user(*id).await?,
        CallerKind::Node { id } => hub.store.authority_of_node(*id).await?,
        CallerKind::Container(subject) => hub.store.authority_of_container(subject).await?,
    };
    let authority = authority.ok_or(HubError::Unauthenticated("The owner of the token is not known"))?;
    Ok(Caller { kind, authority, claims: None, largest_answer: None })
}

impl FromRequestParts<Arc<HubState>> for Caller {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<HubState>) -> Result<Self, HubError> {
        let claims = hub.tokens.check(bearer(&parts.headers)?, Purpose::Access)?;
        let caller = caller_of(hub, &claims).await?;
        program::require_place(hub, &caller).await?;
        let largest_answer = parts.headers.get(LARGEST_ANSWER).and_then(|limit| limit.to_str().ok()?.parse().ok());
        Ok(Caller { largest_answer, ..caller })
    }
}
