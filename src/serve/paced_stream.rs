use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::{
    paced_body::{LEAST, WINDOW},
    places::Connection,
};

/// A connection whose other end takes what is sent, at a pace: as fast as a body has to arrive. The time in which
/// nothing waits to be sent does not count, so that a stream of events may be silent.
pub(super) struct PacedStream {
    stream: TcpStream,
    /// It has its place as long as the stream is open.
    connection: Option<Arc<Connection>>,
    /// How long a window is.
    length: Duration,
    window: Option<Pin<Box<Sleep>>>,
    sent: usize,
}

impl PacedStream {
    pub(super) fn new(stream: TcpStream, connection: Option<Arc<Connection>>) -> Self {
        PacedStream { stream, connection, length: WINDOW, window: None, sent: 0 }
    }

    /// What became of a write of so many bytes.
    fn paced(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Some(connection) = &self.connection {
            connection.is_unread(outcome.is_pending());
        }
        match outcome {
            // Everything was taken: nobody waits.
            Poll::Ready(Ok(sent)) if sent == bytes => self.window = None,
            Poll::Ready(Ok(sent)) => self.sent += sent,
            Poll::Ready(Err(_)) => {}
            Poll::Pending => loop {
                let (length, window, sent) = (self.length, &mut self.window, &mut self.sent);
                let window = window.get_or_insert_with(|| {
                    *sent = 0;
                    Box::pin(sleep(length))
                });
                ready!(window.as_mut().poll(context));
                window.as_mut().reset(Instant::now() + length);
                if std::mem::take(sent) < LEAST {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is read too slowly")));
                }
            },
        }
        outcome
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.paced(outcome, bytes.len(), context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.paced(outcome, slices.iter().map(|slice| slice.len()).sum(), context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    async fn pair() -> (PacedStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream = PacedStream::new(listener.accept().await.unwrap().0, None);
        (PacedStream { length: Duration::from_secs(2), ..stream }, client)
    }

    #[tokio::test]
    async fn what_nobody_reads_is_not_held_for_ever() {
        let (mut server, client) = pair().await;
        let error = server.write_all(&vec![0; 32 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }

    #[tokio::test]
    async fn a_slow_reader_and_a_silent_stream_are_served() {
        let (mut server, mut client) = pair().await;
        let reader = tokio::spawn(async move {
            let (mut all, mut piece) = (0, vec![0; 256 * 1024]);
            while all < 8 << 20 {
                sleep(Duration::from_millis(20)).await;
                all += client.read(&mut piece).await.unwrap();
            }
            (client, all)
        });
        server.write_all(&vec![0; 8 << 20]).await.unwrap();
        let (mut client, all) = reader.await.unwrap();
        assert_eq!(all, 8 << 20);
        sleep(Duration::from_millis(2_500)).await;
        server.write_all(b"event").await.unwrap();
        let mut event = [0; 5];
        client.read_exact(&mut event).await.unwrap();
        assert_eq!(&event, b"event");
    }
}
