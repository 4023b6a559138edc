//! Large answers: in memory one after the other, written while they are sent, and ended for who reads too slowly.

use std::{
    io::{self, Write},
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Json,
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Serialize;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{HubError, permission::Caller};
use crate::serve::Shares;

/// The most bytes of a page of several items.
pub const PAGE_BYTES: i64 = 32 * 1024 * 1024;
/// The most bytes of one thing with all that belongs to it, such as a task with its results.
pub const WHOLE_BYTES: i64 = 2 * PAGE_BYTES;
/// From this size on pages are in memory one after the other.
const LARGE_PAGE: i64 = 1024 * 1024;
/// From this size on a caller has some at a time, and no more.
const MEDIUM_PAGE: i64 = 32 * 1024;
/// Whose turn it is.
static LARGE_PAGES: Semaphore = Semaphore::const_new(1);
/// Of each caller one is sent at a time: nobody takes the turns of others, or all places of slow readers.
static OF_CALLERS: LazyLock<Shares<String>> = LazyLock::new(|| Shares::new(1));
/// So many of those that are not that large.
static MEDIUM_OF_CALLERS: LazyLock<Shares<String>> = LazyLock::new(|| Shares::new(16));
/// How long somebody waits for their turn; clients give a server about ten seconds.
const TURN_PATIENCE: Duration = Duration::from_secs(8);
/// How long a turn lasts: somebody who reads slowly does not keep others waiting.
const TURN: Duration = Duration::from_secs(4);
/// Those who read more slowly than that.
static SLOW_READERS: Semaphore = Semaphore::const_new(4);
/// What is sent of a large page at once, in bytes.
const SLICE: usize = 64 * 1024;
/// How long somebody may take to read that much.
const SLICE_PATIENCE: Duration = Duration::from_secs(10);

/// The turn of a large answer. The response carries it too: a layer that rewrites the answer keeps the turn.
#[derive(Clone)]
pub struct Turn {
    permit: Option<Arc<SemaphorePermit<'static>>>,
    /// Held until the answer is sent, also beyond the turn.
    of_caller: Arc<OwnedSemaphorePermit>,
}

/// What an answer with so many items waits for, whose texts have so many bytes: nothing, or its turn. An error if it is
/// too large for one answer.
pub async fn turn_of(caller: &Caller, items: i64, bytes: i64, limit: i64) -> Result<Option<Turn>, HubError> {
    if bytes > limit && items > 1 {
        return Err(HubError::PageTooLarge(limit));
    }
    if bytes < MEDIUM_PAGE {
        return Ok(None);
    }
    let turn = async {
        if bytes < LARGE_PAGE {
            return Ok(Turn {
                of_caller: Arc::new(MEDIUM_OF_CALLERS.place(&caller.authority.actor).await?),
                permit: None,
            });
        }
        let of_caller = Arc::new(OF_CALLERS.place(&caller.authority.actor).await?);
        Ok(Turn { of_caller, permit: Some(Arc::new(LARGE_PAGES.acquire().await?)) })
    };
    match timeout(TURN_PATIENCE, turn).await {
        Ok(turn) => turn.map(Some).map_err(|error: tokio::sync::AcquireError| HubError::Internal(error.to_string())),
        Err(_) => Err(HubError::Busy),
    }
}

/// An answer as JSON; a large one holds its turn until it is sent, or the turn is over.
pub fn answer<W: Serialize + Send + 'static>(body: W, turn: Option<Turn>) -> Response {
    match turn {
        Some(turn) => {
            let mut response = held(body, turn.clone());
            response.extensions_mut().insert(turn);
            response
        }
        None => Json(body).into_response(),
    }
}

/// Written while it is sent, so that it is not in memory twice.
fn held<W: Serialize + Send + 'static>(body: W, turn: Turn) -> Response {
    let (sender, receiver) = mpsc::channel(2);
    let (sent, cut) = (CancellationToken::new(), CancellationToken::new());
    let writer = SliceWriter { sender, runtime: Handle::current(), cut: cut.clone(), slice: Vec::new() };
    tokio::spawn(keep_turn(turn, sent.clone(), cut));
    tokio::task::spawn_blocking(move || {
        // Dropped from last to first: the answer is no longer in memory when the turn ends.
        let _sent = sent.drop_guard();
        let body = body;
        let mut writer = writer;
        // Who stops reading, or reads too slowly, gets no more: nothing else is wrong.
        if let Err(error) = serde_json::to_writer(&mut writer, &body).map_err(Into::into).and_then(|()| writer.flush())
        {
            tracing::debug!(%error, "a large answer was not read to its end");
            let told = writer.sender.send_timeout(Err(error), SLICE_PATIENCE);
            let _ = writer.runtime.block_on(told);
        }
    });
    let slices = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(slices)).into_response()
}

/// Ends a turn when its answer is sent, or others have waited long enough. Of those who then still read there are some,
/// of different callers, and no more: each keeps a large answer in memory.
async fn keep_turn(turn: Turn, sent: CancellationToken, cut: CancellationToken) {
    let Turn { permit, of_caller: _of_caller } = turn;
    if permit.is_none() {
        return sent.cancelled().await;
    }
    let is_sent = timeout(TURN, sent.cancelled()).await.is_ok();
    drop(permit);
    if is_sent {
        return;
    }
    match SLOW_READERS.try_acquire() {
        Ok(_place) => sent.cancelled().await,
        Err(_) => cut.cancel(),
    }
}

/// Passes on what is written, in slices.
struct SliceWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
    cut: CancellationToken,
    slice: Vec<u8>,
}

impl io::Write for SliceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(SLICE - self.slice.len());
        self.slice.extend_from_slice(&bytes[..taken]);
        if self.slice.len() == SLICE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let slice = Bytes::from(std::mem::take(&mut self.slice));
        self.runtime.block_on(async {
            tokio::select! {
                taken = timeout(SLICE_PATIENCE, self.sender.send(Ok(slice))) => match taken {
                    Ok(taken) => taken.map_err(io::Error::other),
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                },
                () = self.cut.cancelled() => Err(io::ErrorKind::TimedOut.into()),
            }
        })
    }
}
