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

use super::{HubError, error::short, large, large_answer::QUEUE, permission::Caller, server::HubState};
use crate::{
    protocol::brief::{self, begin_of},
    serve::Shares,
};

/// The largest body of what is asked by somebody who is not signed in yet, in bytes.
pub const SIGN_IN_LIMIT: usize = 16 * 1024;
/// The largest body where nothing else is said.
pub const USUAL_LIMIT: usize = 64 * 1024;
/// The largest body of a request for a review, which holds what is asked.
pub const REVIEW_LIMIT: usize = 1024 * 1024;
/// The largest body of those that carry inputs and results of algorithms.
pub const LARGE_LIMIT: usize = 32 * 1024 * 1024;

/// A JSON body that has been checked. Each says how large it may be: no handler can forget it.
pub struct Body<T, const LIMIT: usize = USUAL_LIMIT>(pub T);

impl<S, T, const LIMIT: usize> FromRequest<S> for Body<T, LIMIT>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = HubError;

    async fn from_request(request: Request, _: &S) -> Result<Self, HubError> {
        let named = request.extensions().get::<Arc<Named>>().cloned();
        let bytes = whole(request, LIMIT).await?;
        if let Some(named) = named {
            // What cannot be read names nothing.
            let _ = named.0.set(brief::from_slice(&bytes).unwrap_or_default());
        }
        checked(parse(&bytes)?).map(Body)
    }
}

/// A body of at most so many bytes; an object without fields if there is none.
async fn whole(request: Request, limit: usize) -> Result<Vec<u8>, HubError> {
    refuse_announced(&request, limit)?;
    let is_small = request.body().size_hint().upper().is_some_and(|bytes| bytes <= SIGN_IN_LIMIT as u64);
    let _place = match is_small || limit <= SIGN_IN_LIMIT {
        true => None,
        false => Some(patiently(async { MEDIUM_BODIES.acquire().await.map_err(large::closed) }).await?),
    };
    let mut chunks = request.into_body().into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(unreadable)?);
        if bytes.len() > limit {
            return Err(HubError::TooLarge(limit));
        }
    }
    Ok(if bytes.is_empty() { b"{}".to_vec() } else { bytes })
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

/// Bodies of more than 16 KiB that are on their way at once, of those that are read into memory.
static MEDIUM_BODIES: Semaphore = Semaphore::const_new(512);

/// A JSON body that may be large. As it arrives it goes into a file; no other one and no large answer is in memory as long
/// as it is. Of each caller two are on their way.
pub struct LargeBody<T, const LIMIT: usize = LARGE_LIMIT> {
    pub body: T,
    pub turn: Option<SemaphorePermit<'static>>,
}

/// How long a large body waits until others of its sender have arrived.
const PATIENCE: Duration = Duration::from_secs(60);
/// Room for a body is taken in steps of so many bytes: a sender that stalls holds no more than it has sent.
const STEP: usize = 256 * 1024;
/// The bodies that are on their way.
static ON_THEIR_WAY: LazyLock<Shares<String>> = LazyLock::new(|| Shares::with_queue(2, QUEUE));

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
        if request.body().size_hint().upper().is_some_and(|bytes| bytes <= USUAL_LIMIT as u64) {
            let bytes = whole(request, LIMIT).await?;
            return Ok(LargeBody { body: checked(parse(&bytes)?)?, turn: None });
        }
        let party = caller.party();
        let _place = patiently(async { Ok(ON_THEIR_WAY.place(&party).await?) }).await?;
        let mut room = patiently(large::room(STEP)).await?;
        let mut chunks = request.into_body().into_data_stream();
        let mut file = tokio::fs::File::from_std(tempfile::tempfile()?);
        // Two megabytes otherwise, for each body.
        file.set_max_buf_size(USUAL_LIMIT);
        let (mut length, mut rooms) = (0, STEP);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(unreadable)?;
            length += chunk.len();
            if length > LIMIT {
                return Err(HubError::TooLarge(LIMIT));
            }
            while length > rooms {
                room.merge(patiently(large::room(STEP)).await?);
                rooms += STEP;
            }
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        file.rewind().await?;
        let file = file.into_std().await;
        let turn = patiently(async { large::MEMORY.acquire().await.map_err(large::closed) }).await?;
        let read = spawn_blocking(move || {
            // Its length is known: no room is made twice.
            let mut bytes = Vec::with_capacity(length);
            { file }.read_to_end(&mut bytes)?;
            drop(room);
            // The turn is held here, also where nobody waits any more.
            Ok::<_, HubError>((parse(if bytes.is_empty() { b"{}" } else { &bytes })?, turn))
        });
        let (body, turn) = read.await.map_err(|error| HubError::Internal(format!("a request body: {error}")))??;
        Ok(LargeBody { body: checked(body)?, turn: Some(turn) })
    }
}

/// What has to wait for others, for as long as somebody waits.
async fn patiently<T>(what: impl Future<Output = Result<T, HubError>>) -> Result<T, HubError> {
    timeout(PATIENCE, what).await.unwrap_or(Err(HubError::Busy))
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

/// No more is repeated of a field's name that somebody sent, in bytes.
const NAME_LIMIT: usize = 100;

/// Reads JSON, each error at its field.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HubError> {
    brief::read_slice(bytes, parse_all)
}

fn parse_all<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HubError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = short(&begin_of(error.path()), NAME_LIMIT);
        let one = |field: &str, message: &str| {
            HubError::fields(BTreeMap::from([(field.to_owned(), vec![message.to_owned()])]))
        };
        let message = short(&error.inner().to_string(), 3 * NAME_LIMIT);
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
