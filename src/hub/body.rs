//! Request bodies: JSON into typed structs, each error at its field.

use std::{
    collections::BTreeMap,
    io::Read,
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use axum::extract::{FromRequest, FromRequestParts, Request};
use futures::StreamExt;
use garde::Validate;
use hyper::body::Body as _;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncSeekExt, AsyncWriteExt},
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::timeout,
};

use super::{HubError, permission::Caller, server::HubState};
use crate::serve::Shares;

/// The largest body of what is asked by somebody who is not signed in yet, in bytes.
pub const SIGN_IN_LIMIT: usize = 16 * 1024;
/// The largest body where nothing else is said.
pub const USUAL_LIMIT: usize = 64 * 1024;
/// The largest body of a request for a review, which holds what is asked.
pub const REVIEW_LIMIT: usize = 1024 * 1024;
/// The largest body of those that carry inputs and results of algorithms.
pub const LARGE_LIMIT: usize = 32 * 1024 * 1024;

/// Large bodies are read into memory one after the other; as they arrive they go into a file.
static LARGE_BODIES: Semaphore = Semaphore::const_new(1);

/// A JSON body that has been checked. Each says how large it may be: no handler can forget it.
pub struct Body<T, const LIMIT: usize = USUAL_LIMIT>(pub T);

impl<S, T, const LIMIT: usize> FromRequest<S> for Body<T, LIMIT>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = HubError;

    async fn from_request(request: Request, _: &S) -> Result<Self, HubError> {
        refuse_announced(&request, LIMIT)?;
        let named = request.extensions().get::<Arc<Named>>().cloned();
        let mut chunks = request.into_body().into_data_stream();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.map_err(unreadable)?);
            if bytes.len() > LIMIT {
                return Err(HubError::TooLarge(LIMIT));
            }
        }
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        if let Some(named) = named {
            // What cannot be read names nothing.
            let _ = named.0.set(serde_json::from_slice(bytes).unwrap_or_default());
        }
        checked(parse(serde_json::Deserializer::from_slice(bytes))?).map(Body)
    }
}

/// What a body names: for the audit log, which is told of refusals by the layer around the handlers. In the extensions of
/// requests that change something.
#[derive(Default)]
pub struct Named(pub OnceLock<NamedIds>);

/// The ids that stand in a body.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct NamedIds {
    #[serde(default)]
    pub id: Option<i64>,
    #[serde(default)]
    pub organization_id: Option<i64>,
}

/// A JSON body that may be large. No other one is in memory as long as this is, and of each caller two are on their way:
/// where they wait until they are whole there is no more room than that.
pub struct LargeBody<T, const LIMIT: usize = LARGE_LIMIT> {
    pub body: T,
    pub _turn: SemaphorePermit<'static>,
}

/// How long a large body waits until others of its sender have arrived.
const PATIENCE: Duration = Duration::from_secs(60);
/// The bodies that are on their way.
static ON_THEIR_WAY: LazyLock<Shares<String>> = LazyLock::new(|| Shares::new(2));

impl<T, const LIMIT: usize> FromRequest<Arc<HubState>> for LargeBody<T, LIMIT>
where
    T: DeserializeOwned + Validate<Context = ()> + Send + 'static,
{
    type Rejection = HubError;

    async fn from_request(request: Request, state: &Arc<HubState>) -> Result<Self, HubError> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        refuse_announced(&request, LIMIT)?;
        let is_small = request.body().size_hint().upper().is_some_and(|bytes| bytes <= USUAL_LIMIT as u64);
        let _place = match is_small {
            true => None,
            false => match timeout(PATIENCE, ON_THEIR_WAY.place(&caller.authority.actor)).await {
                Ok(place) => Some(place.map_err(|error| HubError::Internal(error.to_string()))?),
                Err(_) => return Err(HubError::Busy),
            },
        };
        let internal = |error: &dyn std::fmt::Display| HubError::Internal(format!("a request body: {error}"));
        let mut chunks = request.into_body().into_data_stream();
        let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(|error| internal(&error))?);
        let mut length = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(unreadable)?;
            length += chunk.len();
            if length > LIMIT {
                return Err(HubError::TooLarge(LIMIT));
            }
            file.write_all(&chunk).await.map_err(|error| internal(&error))?;
        }
        file.flush().await.map_err(|error| internal(&error))?;
        file.rewind().await.map_err(|error| internal(&error))?;
        let file = file.into_std().await;
        let turn = LARGE_BODIES.acquire().await.map_err(|error| internal(&error))?;
        let read = spawn_blocking(move || {
            // Its length is known: no room is made twice.
            let mut bytes = Vec::with_capacity(length);
            let read = { file }.read_to_end(&mut bytes);
            read.map_err(|error| HubError::Internal(format!("a request body: {error}")))?;
            let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
            parse(serde_json::Deserializer::from_slice(bytes))
        });
        let body = read.await.map_err(|error| internal(&error))??;
        Ok(LargeBody { body: checked(body)?, _turn: turn })
    }
}

/// What is announced to be too large is not read at all.
fn refuse_announced(request: &Request, limit: usize) -> Result<(), HubError> {
    match request.body().size_hint().lower() > limit as u64 {
        true => Err(HubError::TooLarge(limit)),
        false => Ok(()),
    }
}

fn unreadable(_: axum::Error) -> HubError {
    HubError::bad("The request body could not be read")
}

/// Reads JSON, each error at its field.
fn parse<'de, R: serde_json::de::Read<'de>, T: Deserialize<'de>>(
    mut reader: serde_json::Deserializer<R>,
) -> Result<T, HubError> {
    let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let one = |field: &str, message: &str| {
            HubError::fields(BTreeMap::from([(field.to_owned(), vec![message.to_owned()])]))
        };
        let message = error.inner().to_string();
        // serde names a missing field in its message only; the path is that of the object around it.
        match message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(field) if path == "." => one(field, "Missing data for required field."),
            Some(field) => one(&format!("{path}.{field}"), "Missing data for required field."),
            None if path == "." => HubError::bad(format!("The request body is not the JSON expected: {message}")),
            None => one(&path, &message),
        }
    })?;
    reader.end().map_err(|error| HubError::bad(format!("The request body is not JSON: {error}")))?;
    Ok(value)
}

/// A value that is as it has to be.
pub fn checked<T: Validate<Context = ()>>(value: T) -> Result<T, HubError> {
    value.validate().map_err(|report| {
        let mut errors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, error) in report.iter() {
            errors.entry(path.to_string()).or_default().push(error.message().to_string());
        }
        HubError::fields(errors)
    })?;
    Ok(value)
}
