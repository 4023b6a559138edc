//! Request bodies: JSON into typed structs, each error at its field.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
};
use garde::Validate;
use serde::de::DeserializeOwned;

use super::HubError;

/// The largest request body in bytes (results of algorithms are the largest).
pub const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// A JSON body that has been checked.
pub struct Body<T>(pub T);

impl<S, T> FromRequest<S> for Body<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = HubError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HubError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(inner)
                if inner.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE =>
            {
                HubError::TooLarge(BODY_LIMIT)
            }
            _ => HubError::bad("The request body could not be read"),
        })?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let mut reader = serde_json::Deserializer::from_slice(bytes);
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
        Body::checked(value)
    }
}

impl<T: Validate<Context = ()>> Body<T> {
    /// A body that was made here.
    pub fn checked(value: T) -> Result<Self, HubError> {
        value.validate().map_err(|report| {
            let mut errors: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (path, error) in report.iter() {
                errors.entry(path.to_string()).or_default().push(error.message().to_string());
            }
            HubError::fields(errors)
        })?;
        Ok(Body(value))
    }
}
