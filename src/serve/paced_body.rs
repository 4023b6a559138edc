use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{BoxError, body::Bytes};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::places::Connection;

/// In each window of this length …
pub(super) const WINDOW: Duration = Duration::from_secs(20);
/// … so many bytes have to arrive: half a kilobyte a second. A large result over a slow line does; an upload that is
/// only begun does not.
pub(super) const LEAST: usize = 10 * 1024;

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the request's body came too slowly")]
struct TooSlow;

/// A request's body, for as long as it comes at a pace. The time in which nobody reads it does not count.
///
/// Most clients, browsers among them, look for the answer only when they have sent everything. So what nobody wanted to
/// read of a body is taken and thrown away for one more window, or the connection would be reset and the answer that
/// says why the body is refused lost.
pub(super) struct PacedBody {
    /// None after its end, or after an error.
    body: Option<Incoming>,
    window: Option<Pin<Box<Sleep>>>,
    arrived: usize,
    /// The client sends the body only if it is asked to (`Expect: 100-continue`, RFC 9110 section 10.1.1).
    is_offered: bool,
    /// While more is awaited it may give way to others.
    connection: Arc<Connection>,
    is_awaited: bool,
}

impl PacedBody {
    pub(super) fn new(body: Incoming, is_offered: bool, connection: Arc<Connection>) -> Self {
        PacedBody { body: Some(body), window: None, arrived: 0, is_offered, connection, is_awaited: false }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            if std::mem::take(&mut self.is_awaited) {
                self.connection.awaits_body(false);
                self.connection.work();
            }
            match &frame {
                Some(Ok(frame)) => self.arrived += frame.data_ref().map_or(0, Bytes::len),
                None | Some(Err(_)) => self.body = None,
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !std::mem::replace(&mut self.is_awaited, true) {
            self.connection.rest();
            self.connection.awaits_body(true);
        }
        loop {
            let window = self.window.get_or_insert_with(|| Box::pin(sleep(WINDOW)));
            ready!(window.as_mut().poll(context));
            window.as_mut().reset(Instant::now() + WINDOW);
            if std::mem::take(&mut self.arrived) < LEAST {
                self.body = None;
                return Poll::Ready(Some(Err(TooSlow.into())));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        self.connection.awaits_body(false);
        let unread = self.body.take().filter(|body| !body.is_end_stream() && !self.is_offered);
        if let Some(mut body) = unread {
            tokio::spawn(timeout(WINDOW, async move {
                while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {}
            }));
        }
    }
}
