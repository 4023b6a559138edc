//! Large answers: in memory one after the other, and then sent from a file. However slowly somebody reads, the memory is
//! free again at once.

use std::{
    fs::File,
    io::{self, BufWriter, ErrorKind, IntoInnerError, Seek},
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use serde::Serialize;
use tokio::{sync::SemaphorePermit, task::spawn_blocking, time::timeout};
use tokio_util::io::ReaderStream;

use super::{HubError, large, permission::Caller};
use crate::serve::{Place, Shares, spooled};

/// The most bytes of an answer that has several texts.
pub const PAGE_BYTES: i64 = 32 * 1024 * 1024;
/// From this size on pages are in memory one after the other.
const LARGE_PAGE: i64 = 1024 * 1024;
/// From this size on they are sent from a file, and a caller has some at a time, and no more.
const MEDIUM_PAGE: i64 = 32 * 1024;
/// So many of each caller wait for their turn at something large; who comes then is told to come again.
pub const QUEUE: usize = 64;
/// Of each caller one is sent at a time.
static OF_CALLERS: LazyLock<Shares<String>> = LazyLock::new(|| Shares::with_queue(1, QUEUE));
/// So many of those that are not that large.
static MEDIUM_OF_CALLERS: LazyLock<Shares<String>> = LazyLock::new(|| Shares::with_queue(16, QUEUE));
/// How long somebody waits for their turn; clients give a server about ten seconds.
const TURN_PATIENCE: Duration = Duration::from_secs(8);
/// What is read of a file and sent at once, in bytes.
const SLICE: usize = 64 * 1024;

/// What a large answer takes up until it is sent.
struct Room {
    _of_caller: Place,
    _room: SemaphorePermit<'static>,
    /// The bytes that there is room for.
    bytes: usize,
}

/// The place of a large answer. The response carries it, for a layer that rewrites the answer.
#[derive(Clone)]
pub struct Kept {
    place: Arc<Room>,
    is_large: bool,
}

impl Kept {
    /// The turn once more, to write the answer anew.
    pub async fn turn(self) -> Result<Turn, HubError> {
        timeout(TURN_PATIENCE, self.wait()).await.unwrap_or(Err(HubError::Busy))
    }

    async fn wait(self) -> Result<Turn, HubError> {
        let memory = match self.is_large {
            true => Some(large::MEMORY.acquire().await.map_err(large::closed)?),
            false => None,
        };
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
    let turn = async {
        let shares = if is_large { &OF_CALLERS } else { &MEDIUM_OF_CALLERS };
        let bytes = bytes as usize;
        let _of_caller = shares.place(&caller.party()).await?;
        let place = Room { _of_caller, _room: large::room(bytes).await?, bytes };
        Kept { place: Arc::new(place), is_large }.wait().await.map(Some)
    };
    timeout(TURN_PATIENCE, turn).await.unwrap_or(Err(HubError::Busy))
}

/// The turn of an answer that gets more than it had, as in [`turn_of`], unless it has that of something as large.
pub async fn wider_turn(turn: Option<Turn>, caller: &Caller, items: i64, bytes: i64) -> Result<Option<Turn>, HubError> {
    match turn {
        Some(turn) if (turn.kept.is_large || bytes < LARGE_PAGE) && (bytes <= PAGE_BYTES || items <= 1) => {
            Ok(Some(turn))
        }
        turn => Ok(turn_of(caller, items, bytes, PAGE_BYTES).await?.or(turn)),
    }
}

/// An answer as JSON; a large one is sent from a file.
pub async fn answer<W: Serialize + Send + 'static>(body: W, turn: Option<Turn>) -> Result<Response, HubError> {
    let Some(Turn { memory, kept }) = turn else { return small_answer(&body).await };
    let written = spawn_blocking(move || {
        // Dropped from last to first: the answer is no longer in memory when the turn ends.
        let memory = memory;
        let body = body;
        match in_file(|file| serde_json::to_writer(file, &body).map_err(Into::into)) {
            Ok(written) => Ok(Ok(written)),
            // What can be read without room on the disk is read.
            Err(error) if error.kind() == ErrorKind::StorageFull => Ok(Err((serde_json::to_vec(&body)?, memory))),
            Err(error) => Err(error),
        }
    });
    let place = kept.place.clone();
    let mut response = match written.await.map_err(|error| HubError::Internal(error.to_string()))?? {
        Ok((file, length)) => {
            let more = length.saturating_sub(place.bytes);
            // Some characters are longer in JSON.
            let more = (more > 0).then(|| large::more_room(more)).transpose()?;
            sent(file, length, (place, more))
        }
        Err((bytes, memory)) => {
            let held = (place, memory);
            let bytes = stream::once(async move {
                let _held = &held;
                Ok::<_, io::Error>(bytes)
            });
            (JSON, Body::from_stream(bytes)).into_response()
        }
    };
    response.extensions_mut().insert(kept);
    Ok(response)
}

const JSON: [(HeaderName, HeaderValue); 1] = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];

/// An answer that nobody waited with. If it has become longer than it was thought it waits in a file, too.
async fn small_answer(body: &impl Serialize) -> Result<Response, HubError> {
    let bytes = serde_json::to_vec(body).map_err(io::Error::from)?;
    Ok((JSON, spooled(bytes.into()).await).into_response())
}

/// A file with what is written, from its begin, and its length.
fn in_file(write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<(File, usize)> {
    let mut writer = BufWriter::with_capacity(SLICE, tempfile::tempfile()?);
    write(&mut writer)?;
    let mut file = writer.into_inner().map_err(IntoInnerError::into_error)?;
    let length = file.stream_position()?;
    file.rewind()?;
    Ok((file, length as usize))
}

/// An answer out of a file, with what is held until it is sent.
fn sent(file: File, length: usize, held: impl Send + 'static) -> Response {
    let slices = ReaderStream::with_capacity(tokio::fs::File::from_std(file), SLICE).map(move |slice| {
        let _held = &held;
        slice
    });
    (JSON, [(header::CONTENT_LENGTH, length.to_string())], Body::from_stream(slices)).into_response()
}
