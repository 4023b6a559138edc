//! What waits for those who read slowly.

use std::io::{self, Seek, Write};

use axum::body::{Body, Bytes};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tempfile::{SpooledData, SpooledTempFile};
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

/// Bytes that are in memory, or in a file if there are more of them than somebody takes at once.
pub enum Spooled {
    Memory(Bytes),
    File(tokio::fs::File),
}

/// Bytes that are in memory.
const SMALL: usize = 64 * 1024;

impl Spooled {
    /// With these bytes. It may write a file.
    pub fn new(bytes: Bytes) -> io::Result<Spooled> {
        if bytes.len() <= SMALL {
            return Ok(Spooled::Memory(bytes));
        }
        let mut file = tempfile::tempfile()?;
        file.write_all(&bytes)?;
        file.rewind()?;
        Ok(Spooled::File(tokio::fs::File::from_std(file)))
    }

    /// With what is written. It may write a file.
    pub fn written(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Spooled> {
        let mut spool = io::BufWriter::new(SpooledTempFile::new(SMALL));
        write(&mut spool)?;
        match spool.into_inner().map_err(io::IntoInnerError::into_error)?.into_inner() {
            SpooledData::InMemory(cursor) => Ok(Spooled::Memory(cursor.into_inner().into())),
            SpooledData::OnDisk(mut file) => {
                file.rewind()?;
                Ok(Spooled::File(tokio::fs::File::from_std(file)))
            }
        }
    }

    /// To be sent.
    pub fn read(self) -> BoxStream<'static, io::Result<Bytes>> {
        match self {
            Spooled::Memory(bytes) => stream::once(async { Ok(bytes) }).boxed(),
            Spooled::File(file) => ReaderStream::with_capacity(file, SMALL).boxed(),
        }
    }
}

/// These bytes; they stay in memory if there is no room for a file.
pub async fn spool(bytes: Bytes) -> Spooled {
    if bytes.len() <= SMALL {
        return Spooled::Memory(bytes);
    }
    let kept = bytes.clone();
    match spawn_blocking(move || Spooled::new(bytes)).await {
        Ok(Ok(spooled)) => spooled,
        _ => Spooled::Memory(kept),
    }
}

/// The same as a body.
pub async fn spooled(bytes: Bytes) -> Body {
    match spool(bytes).await {
        Spooled::Memory(bytes) => Body::from(bytes),
        file => Body::from_stream(file.read()),
    }
}
