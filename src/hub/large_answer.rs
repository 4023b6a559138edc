//! Large answers: in memory one after the other, and then sent from a file. However slowly somebody reads, the memory is
//! free again at once.

use std::{
    io::{self, BufWriter, IntoInnerError, Seek},
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Json,
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, SemaphorePermit},
    task::spawn_blocking,
    time::timeout,
};
use tokio_util::io::ReaderStream;

use super::{HubError, large, permission::Caller};
use crate::serve::Shares;

/// The most bytes of an answer that has several texts.
pub const PAGE_BYTES: i64 = 32 * 1024 * 1024;
/// From this size on pages are in memory one after the other.
const LARGE_PAGE: i64 = 1024 * 1024;
/// From this size on they are sent from a file, and a caller has some at a time, and no more.
const MEDIUM_PAGE: i64 = 32 * 1024;
/// Of each caller one is sent at a time: nobody takes the room of others.
static OF_CALLERS: LazyLock<Shares<String>> = LazyLock::new(|| Shares::new(1));
/// So many of those that are not that large.
static MEDIUM_OF_CALLERS: LazyLock<Shares<String>> = LazyLock::new(|| Shares::new(16));
/// How long somebody waits for their turn; clients give a server about ten seconds.
const TURN_PATIENCE: Duration = Duration::from_secs(8);
/// What is read of a file and sent at once, in bytes.
const SLICE: usize = 64 * 1024;

/// What a large answer takes up until it is sent.
struct Place {
    _of_caller: OwnedSemaphorePermit,
    _room: SemaphorePermit<'static>,
}

/// The place of a large answer. The response carries it, for a layer that rewrites the answer.
#[derive(Clone)]
pub struct Kept {
    place: Arc<Place>,
    is_large: bool,
}

impl Kept {
    /// The turn once more, to write the answer anew. What was written before must have been read.
    pub async fn turn(self) -> Result<Turn, HubError> {
        let memory = async {
            match self.is_large {
                true => large::MEMORY.acquire().await.map(Some).map_err(large::closed),
                false => Ok(None),
            }
        };
        let memory = timeout(TURN_PATIENCE, memory).await.unwrap_or(Err(HubError::Busy))?;
        Ok(Turn { memory, kept: self })
    }
}

/// The turn of a large answer to be in memory.
pub struct Turn {
    memory: Option<SemaphorePermit<'static>>,
    kept: Kept,
}

/// What an answer with so many items waits for, whose texts have so many bytes: nothing, or its turn. An error if it is
/// too large for one answer.
pub async fn turn_of(caller: &Caller, items: i64, bytes: i64, limit: i64) -> Result<Option<Turn>, HubError> {
    if let Some(largest) = caller.largest_answer.filter(|largest| bytes > *largest) {
        return Err(HubError::PageTooLarge(largest));
    }
    if bytes > limit && items > 1 {
        return Err(HubError::PageTooLarge(limit));
    }
    if bytes < MEDIUM_PAGE {
        return Ok(None);
    }
    let is_large = bytes >= LARGE_PAGE;
    let place = async {
        let shares = if is_large { &OF_CALLERS } else { &MEDIUM_OF_CALLERS };
        let _of_caller = shares.place(&caller.authority.actor).await.map_err(large::closed)?;
        Ok(Arc::new(Place { _of_caller, _room: large::room(bytes as usize).await? }))
    };
    let place = timeout(TURN_PATIENCE, place).await.unwrap_or(Err(HubError::Busy))?;
    Kept { place, is_large }.turn().await.map(Some)
}

/// The turn of an answer that gets more than it had, as in [`turn_of`], unless it has that of something as large.
pub async fn wider_turn(turn: Option<Turn>, caller: &Caller, items: i64, bytes: i64) -> Result<Option<Turn>, HubError> {
    match turn {
        Some(turn) if turn.kept.is_large && (bytes <= PAGE_BYTES || items <= 1) => Ok(Some(turn)),
        turn => Ok(turn_of(caller, items, bytes, PAGE_BYTES).await?.or(turn)),
    }
}

/// An answer as JSON; a large one is sent from a file.
pub async fn answer<W: Serialize + Send + 'static>(body: W, turn: Option<Turn>) -> Result<Response, HubError> {
    let Some(Turn { memory, kept }) = turn else { return Ok(Json(body).into_response()) };
    let written = spawn_blocking(move || {
        // Dropped from last to first: the answer is no longer in memory when the turn ends.
        let _memory = memory;
        let body = body;
        let mut writer = BufWriter::with_capacity(SLICE, tempfile::tempfile()?);
        serde_json::to_writer(&mut writer, &body)?;
        let mut file = writer.into_inner().map_err(IntoInnerError::into_error)?;
        let length = file.stream_position()?;
        file.rewind()?;
        Ok::<_, io::Error>((file, length))
    });
    let (file, length) = written.await.map_err(|error| HubError::Internal(error.to_string()))??;
    let place = kept.place.clone();
    let slices = ReaderStream::with_capacity(tokio::fs::File::from_std(file), SLICE).map(move |slice| {
        let _place = &place;
        slice
    });
    let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    let mut response = (headers, Body::from_stream(slices)).into_response();
    response.extensions_mut().insert(kept);
    Ok(response)
}
