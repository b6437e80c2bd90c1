//! The thread that owns sled: one batch of transactions at a time, durable before anybody hears of it.

use std::{io, sync::Arc};

use berth_model::Revision;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Health,
    database::{Breakage, Database, Goal},
    error::OpenError,
    lock::DirLock,
    open::Opened,
    room::{self, Room},
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

/// Whether writes are taken.
enum State {
    /// Left when a write fails.
    Working,
    /// The disk was full in the middle of a write: what was tried may or may not be kept. Left when there is room.
    Full { staged: Staged, goal: Box<Goal> },
    /// Left by opening the store again, in another process.
    Broken(Breakage),
}

// The order of the fields is the order in which they are let go: the announcement of the end comes last.
pub(super) struct Writer {
    database: Database,
    room: Room,
    index: SharedIndex,
    state: State,
    health: watch::Sender<Health>,
    _lock: DirLock,
    committed: watch::Sender<Revision>,
}

impl Writer {
    pub(super) fn new(opened: Opened) -> (Self, watch::Receiver<Revision>, watch::Receiver<Health>) {
        let Opened {
            options,
            incarnation: _,
            db,
            index,
            totals,
            last,
            sentinel,
            data,
            lock,
        } = opened;
        let (committed, revisions) = watch::channel(totals.revision);
        let (health, condition) = watch::channel(Health::Working);
        let writer = Self {
            room: Room {
                dir: options.dir.clone(),
                reserve: options.reserve_bytes,
            },
            database: Database {
                options,
                db: Some(db),
                data,
                sentinel,
                totals,
                last,
            },
            index,
            state: State::Working,
            health,
            _lock: lock,
            committed,
        };
        (writer, revisions, condition)
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
            self.handle(batch);
        }
        let Self {
            mut database,
            state,
            _lock: lock,
            committed,
            ..
        } = self;
        if matches!(state, State::Working)
            && let Err(error) = database.sentinel.write_through(&database.totals, "open")
        {
            tracing::warn!(%error, "could not write the store's sentinel while closing");
        }
        if !database.let_go() {
            tracing::warn!(dir = %database.options.dir.display(), "the closed database is still held by its own threads");
        }
        drop(lock);
        // Whoever waits for the end hears of it now.
        drop(committed);
    }

    fn handle(&mut self, batch: Vec<Request>) {
        if let Err(refused) = self.ready(&batch) {
            for request in batch {
                let _ = request.reply.send(Err(refused.clone()));
            }
            return;
        }
        let (answers, staged) = self.index.read(|index| {
            let mut stage = Stage::on(index);
            let answers: Vec<_> = batch
                .into_iter()
                .map(|request| (request.reply, stage.add(request.txn)))
                .collect();
            (answers, stage.finish())
        });
        let failed = self.commit(staged).err();
        for (reply, answer) in answers {
            let answer = match &failed {
                None => answer,
                // Even a conflict may be with a write of this very batch.
                Some(Breakage {
                    operation, source, ..
                }) => Err(StoreError::Unknown {
                    operation,
                    source: source.clone(),
                }),
            };
            // Nobody listens any more: the transaction is done all the same.
            let _ = reply.send(answer);
        }
    }

    fn commit(&mut self, staged: Staged) -> Result<(), Breakage> {
        if staged.changes.is_empty() {
            return Ok(());
        }
        match self.database.commit(&self.index, &staged) {
            Ok(()) => {
                self.publish(staged);
                Ok(())
            }
            Err((breakage, goal)) if breakage.full => {
                tracing::error!(operation = breakage.operation, error = %breakage.source, "the disk is full: the store takes no writes until there is room");
                let problem = format!("{}: {}", breakage.operation, breakage.source);
                self.health.send_replace(Health::Full { problem });
                self.state = State::Full { staged, goal };
                Err(breakage)
            }
            Err((breakage, _)) => {
                self.give_up(breakage.clone());
                Err(breakage)
            }
        }
    }

    fn publish(&self, staged: Staged) {
        let revision = staged.revision;
        self.index.publish(staged);
        self.committed.send_replace(revision);
    }

    fn give_up(&mut self, breakage: Breakage) {
        tracing::error!(operation = breakage.operation, error = %breakage.source, "the store takes no more writes");
        self.health.send_replace(Health::Broken {
            problem: format!("{}: {}", breakage.operation, breakage.source),
        });
        self.state = State::Broken(breakage);
    }

    /// Whether a batch may be written; opens the database anew first when that is what it takes.
    fn ready(&mut self, batch: &[Request]) -> Result<(), StoreError> {
        if let State::Broken(Breakage {
            operation, source, ..
        }) = &self.state
        {
            return Err(StoreError::Broken {
                operation,
                source: source.clone(),
            });
        }
        let bytes: usize = batch
            .iter()
            .flat_map(|request| &request.txn.puts)
            .map(|(key, value)| key.as_str().len() + value.len())
            .sum();
        if let Some(problem) = self.room.lacking(bytes as u64) {
            return Err(self.full(problem));
        }
        if let State::Full { staged, goal } = &self.state {
            let (staged, goal) = (staged.clone(), (**goal).clone());
            self.recover(staged, goal)?;
        }
        if !matches!(*self.health.borrow(), Health::Working) {
            tracing::info!("there is room again: the store takes writes");
            self.health.send_replace(Health::Working);
        }
        Ok(())
    }

    fn full(&self, problem: String) -> StoreError {
        if matches!(*self.health.borrow(), Health::Working) {
            tracing::error!(
                problem,
                "the disk is nearly full: the store takes no writes until there is room"
            );
        }
        let full = problem.clone();
        self.health.send_replace(Health::Full { problem });
        StoreError::Full { problem: full }
    }

    /// After a write for which there was no room: finds out what became of it.
    fn recover(&mut self, staged: Staged, goal: Goal) -> Result<(), StoreError> {
        const OPERATION: &str = "open the database anew";
        match self.database.reopen(goal) {
            Ok(kept) => {
                tracing::info!(kept, "opened the database anew after the disk was full");
                if kept {
                    self.publish(staged);
                }
                self.state = State::Working;
                Ok(())
            }
            Err(OpenError::Io { source, .. }) if room::is_full(&source) => {
                Err(self.full(format!("{OPERATION}: {source}")))
            }
            Err(error) => {
                let source = Arc::new(io::Error::other(error));
                self.give_up(Breakage {
                    operation: OPERATION,
                    source: source.clone(),
                    full: false,
                });
                Err(StoreError::Broken {
                    operation: OPERATION,
                    source,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

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
        let (writer, _committed, health) = Writer::new(opened);
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
        assert!(matches!(*health.borrow(), Health::Broken { .. }));
        assert_eq!(index.read(|index| index.get(&Key::new("a").unwrap())), None);
        drop(requests);
        tokio::task::spawn_blocking(|| thread.join().unwrap())
            .await
            .unwrap();
    }
}
