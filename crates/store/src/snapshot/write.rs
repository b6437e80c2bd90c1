//! Writing a snapshot of a store that goes on working.

use std::sync::Arc;

use berth_model::Revision;
use bytes::Bytes;
use futures::Stream;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

use super::{
    About, SnapshotError, Summary, collect,
    format::{Encoder, Header, Kind},
};
use crate::{entry::Entry, sled::SCHEMA, store::Store};

/// Writes everything `store` holds at one revision to `out`, and flushes it. Writes to the store go on meanwhile.
///
/// # Errors
/// [`SnapshotError::Store`] and [`SnapshotError::Busy`] when the store cannot be read, [`SnapshotError::Write`] when `out` fails: what
/// was written by then is no snapshot, and reading it says so.
pub async fn write(
    store: &dyn Store,
    about: &About,
    out: &mut (impl AsyncWrite + Unpin + Send + ?Sized),
) -> Result<Summary, SnapshotError> {
    let (revision, entries) = collect::collect(store).await?;
    write_entries(about, revision, &entries, out).await
}

/// The same as a stream of pieces of about 64 KiB, at most four ahead of the reader. The last item tells what was sent; without it, or
/// after an error, what came is no snapshot.
pub fn stream(
    store: Arc<dyn Store>,
    about: About,
) -> impl Stream<Item = Result<Piece, SnapshotError>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(4);
    let work = async move {
        let mut out = Pieces {
            sender: sender.clone(),
        };
        let last = match feed(store.as_ref(), &about, &mut out).await {
            Ok(summary) => Ok(Piece::Summary(summary)),
            Err(error) => Err(error),
        };
        // Nobody reads any more: then nobody wants to know.
        let _ = sender.send(last).await;
    };
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    // The work is driven by the reader: it ends when the stream is dropped.
    let work = futures::stream::once(work);
    let work = futures::StreamExt::filter_map(work, |()| std::future::ready(None));
    futures::stream::select(pieces, work)
}

/// A part of a snapshot on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The next bytes of the file.
    Bytes(Bytes),
    /// All bytes were sent, and this is what they are.
    Summary(Summary),
}

struct Pieces {
    sender: mpsc::Sender<Result<Piece, SnapshotError>>,
}

async fn feed(store: &dyn Store, about: &About, out: &mut Pieces) -> Result<Summary, SnapshotError> {
    let (revision, entries) = collect::collect(store).await?;
    let mut writing = Writing::start(about, revision, entries.len())?;
    for entry in &entries {
        if let Some(bytes) = writing.push(entry)? {
            out.send(bytes).await?;
        }
    }
    let (bytes, summary) = writing.finish()?;
    out.send(bytes).await?;
    Ok(summary)
}

impl Pieces {
    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        let gone = |_| SnapshotError::Write(std::io::ErrorKind::BrokenPipe.into());
        self.sender
            .send(Ok(Piece::Bytes(bytes.into())))
            .await
            .map_err(gone)
    }
}

/// Writes entries that are in order of their keys and of the revision that is given.
pub(crate) async fn write_entries(
    about: &About,
    revision: Revision,
    entries: &[Entry],
    out: &mut (impl AsyncWrite + Unpin + Send + ?Sized),
) -> Result<Summary, SnapshotError> {
    let mut writing = Writing::start(about, revision, entries.len())?;
    for entry in entries {
        if let Some(bytes) = writing.push(entry)? {
            out.write_all(&bytes).await.map_err(SnapshotError::Write)?;
        }
    }
    let (bytes, summary) = writing.finish()?;
    out.write_all(&bytes).await.map_err(SnapshotError::Write)?;
    out.flush().await.map_err(SnapshotError::Write)?;
    Ok(summary)
}

struct Writing {
    encoder: Encoder,
    summary: Summary,
}

impl Writing {
    fn start(about: &About, revision: Revision, entries: usize) -> Result<Self, SnapshotError> {
        let header = Header {
            kind: Kind::Snapshot,
            schema: SCHEMA,
            fleet: about.fleet.clone(),
            incarnation: about.incarnation.clone(),
            after: None,
            revision: revision.0,
            created_at: about.created_at,
            count: entries as u64,
        };
        Ok(Self {
            encoder: Encoder::new(&header).map_err(SnapshotError::Write)?,
            summary: Summary::new(&header),
        })
    }

    fn push(&mut self, entry: &Entry) -> Result<Option<Vec<u8>>, SnapshotError> {
        self.summary.count(&entry.key);
        self.encoder.entry(entry).map_err(SnapshotError::Write)?;
        let ready = self.encoder.take();
        self.summary.bytes += ready.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(ready)
    }

    fn finish(mut self) -> Result<(Vec<u8>, Summary), SnapshotError> {
        let (bytes, digest) = self.encoder.finish().map_err(SnapshotError::Write)?;
        self.summary.bytes += bytes.len() as u64;
        self.summary.digest = digest;
        Ok((bytes, self.summary))
    }
}
