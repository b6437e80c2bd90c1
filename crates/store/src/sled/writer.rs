//! The thread that owns sled: one batch of transactions at a time, durable before anybody hears of it.

use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use berth_model::Revision;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    frame,
    lock::{DirLock, wait_until_released},
    open::{Opened, TOTALS_KEY, sled_dir},
    sentinel::Sentinel,
    totals::Totals,
};
use crate::{
    error::StoreError,
    index::{SharedIndex, Stage, Staged},
    txn::Txn,
};

/// The most transactions made durable together.
const BATCH: usize = 512;

/// A transaction and who waits for it.
pub(super) struct Request {
    pub(super) txn: Txn,
    pub(super) reply: oneshot::Sender<Result<Revision, StoreError>>,
}

#[derive(Clone)]
struct Breakage {
    operation: &'static str,
    source: Arc<io::Error>,
}

// The order of the fields is the order in which they are let go: the announcement of the end comes last.
pub(super) struct Writer {
    db: sled::Db,
    data: Option<File>,
    database: std::path::PathBuf,
    blobs: std::path::PathBuf,
    sentinel: Sentinel,
    totals: Totals,
    index: SharedIndex,
    broken: Option<Breakage>,
    _lock: DirLock,
    committed: watch::Sender<Revision>,
}

impl Writer {
    pub(super) fn new(opened: Opened) -> (Self, watch::Receiver<Revision>) {
        let Opened {
            dir,
            incarnation: _,
            db,
            index,
            totals,
            sentinel,
            data,
            lock,
        } = opened;
        let (committed, receiver) = watch::channel(totals.revision);
        let (database, blobs) = (sled_dir(&dir).join("db"), sled_dir(&dir).join("blobs"));
        let writer = Self {
            db,
            data,
            database,
            blobs,
            sentinel,
            totals,
            index,
            broken: None,
            _lock: lock,
            committed,
        };
        (writer, receiver)
    }

    /// Works until everybody who could ask is gone.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH {
                match queue.try_recv() {
                    Ok(request) => batch.push(request),
                    Err(_) => break,
                }
            }
            self.commit(batch);
        }
        if self.broken.is_none()
            && let Err(error) = self.sentinel.write_through(&self.totals, "open")
        {
            tracing::warn!(%error, "could not write the store's sentinel while closing");
        }
        let Self {
            db,
            data,
            database,
            _lock: lock,
            committed,
            ..
        } = self;
        drop((db, data));
        if !wait_until_released(&database) {
            tracing::warn!(database = %database.display(), "the closed database is still held by its own threads");
        }
        drop(lock);
        // Whoever waits for the end hears of it now.
        drop(committed);
    }

    fn commit(&mut self, batch: Vec<Request>) {
        if let Some(Breakage { operation, source }) = &self.broken {
            for request in batch {
                let _ = request.reply.send(Err(StoreError::Broken {
                    operation,
                    source: source.clone(),
                }));
            }
            return;
        }
        let index = self.index.clone();
        let (answers, staged) = index.read(|index| {
            let mut stage = Stage::on(index);
            let answers: Vec<_> = batch
                .into_iter()
                .map(|request| (request.reply, stage.add(request.txn)))
                .collect();
            (answers, stage.finish())
        });
        let broken = match self.make_durable(&staged) {
            Ok(()) => None,
            Err(breakage) => {
                tracing::error!(operation = breakage.operation, error = %breakage.source, "the store takes no more writes");
                self.broken = Some(breakage.clone());
                Some(breakage)
            }
        };
        if broken.is_none() && !staged.changes.is_empty() {
            let revision = staged.revision;
            self.index.publish(staged);
            self.committed.send_replace(revision);
        }
        for (reply, answer) in answers {
            let answer = match &broken {
                None => answer,
                // Even a conflict may be with a write of this very batch.
                Some(Breakage { operation, source }) => Err(StoreError::Unknown {
                    operation,
                    source: source.clone(),
                }),
            };
            // Nobody listens any more: the transaction is done all the same.
            let _ = reply.send(answer);
        }
    }

    fn make_durable(&mut self, staged: &Staged) -> Result<(), Breakage> {
        if staged.changes.is_empty() {
            return Ok(());
        }
        let (totals, left) = self.index.read(|index| self.totals.after(index, staged));
        let mut batch = sled::Batch::default();
        for (key, slot) in left {
            let key = key.as_str().as_bytes();
            match slot {
                Some(slot) => batch.insert(key, &frame::encode(key, &slot)[..]),
                None => batch.remove(key),
            }
        }
        batch.insert(TOTALS_KEY, totals.to_line("open").as_bytes());
        let db = &self.db;
        let flushed = catch_unwind(AssertUnwindSafe(|| {
            db.apply_batch(batch)?;
            db.flush()
        }));
        let fail = |operation| {
            move |source: io::Error| Breakage {
                operation,
                source: Arc::new(source),
            }
        };
        match flushed {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(fail("flush the database")(io::Error::from(error))),
            Err(_) => return Err(fail("flush the database")(io::Error::other("it panicked"))),
        }
        if let Some(data) = &self.data {
            self.sync_blobs()
                .map_err(fail("sync the database's large values"))?;
            data.sync_data().map_err(fail("sync the database"))?;
        }
        self.sentinel.write(&totals).map_err(fail("write the sentinel"))?;
        self.totals = totals;
        Ok(())
    }

    /// sled puts what it finds too large into files of their own and never syncs them. With values of at most 16 KiB
    /// there should be none; should there be some, they are as durable as the rest.
    fn sync_blobs(&self) -> io::Result<()> {
        let entries = match std::fs::read_dir(&self.blobs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut any = false;
        for entry in entries {
            match File::open(entry?.path()) {
                Ok(file) => file.sync_data()?,
                // sled took it away meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            any = true;
        }
        if any {
            File::open(&self.blobs)?.sync_all()
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, SledOptions, Txn, sled::open};

    #[tokio::test]
    async fn after_a_failed_sync_nothing_is_acknowledged_or_shown() {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open::open(&SledOptions::new(dir.path())).unwrap();
        // A pipe cannot be synced.
        let (_reader, writer) = io::pipe().unwrap();
        opened.data = Some(File::from(std::os::fd::OwnedFd::from(writer)));
        let index = opened.index.clone();
        let (writer, _committed) = Writer::new(opened);
        let (requests, queue) = mpsc::channel(4);
        let thread = std::thread::spawn(move || writer.run(queue));
        let ask = async || {
            let (reply, answer) = oneshot::channel();
            let txn = Txn::new().put(Key::new("a").unwrap(), "1");
            requests.send(Request { txn, reply }).await.unwrap();
            answer.await.unwrap()
        };
        let first = ask().await;
        assert!(
            matches!(
                first,
                Err(StoreError::Unknown {
                    operation: "sync the database",
                    ..
                })
            ),
            "{first:?}"
        );
        let second = ask().await;
        assert!(matches!(second, Err(StoreError::Broken { .. })), "{second:?}");
        assert_eq!(index.read(|index| index.get(&Key::new("a").unwrap())), None);
        drop(requests);
        tokio::task::spawn_blocking(|| thread.join().unwrap())
            .await
            .unwrap();
    }
}
