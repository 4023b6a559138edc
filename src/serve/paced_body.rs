use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

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
pub(super) struct PacedBody<B> {
    body: B,
    window: Option<Pin<Box<Sleep>>>,
    arrived: usize,
}

impl<B> PacedBody<B> {
    pub(super) fn new(body: B) -> Self {
        PacedBody { body, window: None, arrived: 0 }
    }
}

impl<B> Body for PacedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.arrived += frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        loop {
            let window = self.window.get_or_insert_with(|| Box::pin(sleep(WINDOW)));
            ready!(window.as_mut().poll(context));
            window.as_mut().reset(Instant::now() + WINDOW);
            if std::mem::take(&mut self.arrived) < LEAST {
                return Poll::Ready(Some(Err(TooSlow.into())));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
