//! Writing backups, for as long as the store is open.
//!
//! One chain after another is written; whatever goes wrong ends the work on a chain, and the next look at the place and at the store says
//! whether it can be gone on with. So there is one way to begin: after a start, after an error, and when a chain is long enough.

use std::{sync::Arc, time::Duration};

use berth_model::{Revision, Timestamp};
use berth_runtime::{
    CancellationToken, Clock,
    retry::{Backoff, Policy},
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::watch;

use super::{
    BackupError, Options, Place, Status,
    load::{encode, header},
    manifest::{self, File, Manifest},
    save,
};
use crate::{
    entry::Change,
    error::StoreError,
    snapshot::{self, About},
    store::Store,
    watch::Watch,
};

/// A folder without a manifest is taken for one that is being written until it is this old.
const UNFINISHED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What is backed up.
#[derive(Clone)]
pub struct Source {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The fleet's id, when it is known.
    pub fleet: Option<String>,
    /// What tells the store from every other one. Only chains of the same are gone on with, and taken away.
    pub incarnation: String,
}

/// Writes backups of one store to one place. Only one at a time may do that for a store.
pub struct Backups {
    source: Source,
    place: Arc<dyn Place>,
    clock: Arc<dyn Clock>,
    options: Options,
    status: watch::Sender<Status>,
}

/// How work on a chain ended without an error.
#[derive(PartialEq, Eq)]
enum End {
    /// It is long or old enough.
    Enough,
    /// There is no more to come.
    Over,
}

impl Backups {
    /// Backups that are not written yet.
    pub fn new(source: Source, place: Arc<dyn Place>, clock: Arc<dyn Clock>, options: Options) -> Self {
        Self {
            source,
            place,
            clock,
            options,
            status: watch::Sender::default(),
        }
    }

    /// How the backup stands, from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Writes until cancelled or until the store is closed; then once more, when there is something.
    pub async fn run(self, cancel: CancellationToken) {
        let policy = Policy::new(Duration::from_secs(1), Duration::from_secs(60));
        let mut backoff = Backoff::new(&policy);
        loop {
            match self.write_chain(&cancel).await {
                Ok(End::Over) => return,
                Ok(End::Enough) => backoff = Backoff::new(&policy),
                Err(BackupError::Store(StoreError::Closed)) => return,
                Err(error) => {
                    let told = chain_of_causes(&error);
                    tracing::warn!(
                        place = self.place.name(),
                        error = told,
                        "the backup is not up to date"
                    );
                    self.status.send_modify(|status| {
                        status.failures += 1;
                        status.error = Some(told);
                    });
                    tokio::select! {
                        biased;
                        () = cancel.cancelled() => return,
                        () = self.clock.sleep(backoff.next_delay()) => {}
                    }
                }
            }
            if cancel.is_cancelled() {
                return;
            }
        }
    }

    async fn write_chain(&self, cancel: &CancellationToken) -> Result<End, BackupError> {
        let (mut manifest, mut watch) = match self.resume().await? {
            Some(resumed) => resumed,
            None => self.begin().await?,
        };
        let mut reached = self.covered(&manifest);
        loop {
            let (changes, over) = self.gather(&mut watch, reached, cancel).await?;
            if let Some(last) = changes.last() {
                self.write_segment(&mut manifest, reached, &changes).await?;
                reached = last.revision;
                self.covered(&manifest);
            }
            if over {
                return Ok(End::Over);
            }
            let age = manifest.files.first().map(|first| self.since(first.created_at));
            if manifest.files.len() > self.options.chain_segments || age > Some(self.options.chain_age) {
                return Ok(End::Enough);
            }
        }
    }

    fn since(&self, then: Timestamp) -> Duration {
        Duration::try_from(self.clock.now().duration_since(then)).unwrap_or_default()
    }

    /// Says that a chain is at the place, and up to where.
    fn covered(&self, manifest: &Manifest) -> Revision {
        let revision = manifest
            .last()
            .map_or(Revision::default(), |last| Revision(last.revision));
        self.status.send_modify(|status| {
            status.revision = revision;
            status.written_at = manifest.last().map(|last| last.created_at);
            status.error = None;
        });
        revision
    }

    /// Says that the backup holds everything, when it does.
    async fn look(&self, reached: Revision) -> Result<(), BackupError> {
        let now = self.clock.now();
        if self.source.store.revision().await? == reached {
            self.status.send_modify(|status| status.current_at = Some(now));
        }
        Ok(())
    }

    /// The newest chain of this store, when its end is still in the history and it may get longer.
    async fn resume(&self) -> Result<Option<(Manifest, Watch)>, BackupError> {
        let (chains, _) = manifest::chains(self.place.as_ref()).await?;
        let Some(newest) = chains.last() else {
            return Ok(None);
        };
        let manifest = match Manifest::read(self.place.as_ref(), newest).await {
            Ok(Some(manifest)) => manifest,
            Err(error @ BackupError::Place { .. }) => return Err(error),
            // What cannot be read is not gone on with.
            Ok(None) | Err(_) => return Ok(None),
        };
        let (Some(first), Some(last)) = (manifest.files.first(), manifest.last()) else {
            return Ok(None);
        };
        let ours = !self.source.incarnation.is_empty() && manifest.incarnation == self.source.incarnation;
        let enough = manifest.files.len() > self.options.chain_segments
            || self.since(first.created_at) > self.options.chain_age;
        if !ours || enough {
            return Ok(None);
        }
        match self.source.store.watch(Revision(last.revision)).await {
            Ok(watch) => {
                self.retain().await?;
                Ok(Some((manifest, watch)))
            }
            Err(StoreError::Compacted { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A new chain, with a snapshot.
    async fn begin(&self) -> Result<(Manifest, Watch), BackupError> {
        let about = About {
            fleet: self.source.fleet.clone(),
            incarnation: self.source.incarnation.clone(),
            created_at: self.clock.now(),
        };
        let mut bytes = Vec::new();
        let summary = snapshot::write(self.source.store.as_ref(), &about, &mut bytes).await?;
        // Before it is uploaded, so that nothing that happens meanwhile is missed.
        let watch = self.source.store.watch(summary.revision).await?;
        let manifest = save::put(self.place.as_ref(), &summary, Bytes::from(bytes)).await?;
        tracing::info!(place = self.place.name(), chain = manifest.chain, revision = %summary.revision, "began a backup");
        self.retain().await?;
        Ok((manifest, watch))
    }

    /// Changes, whole transactions: until they are many, or the first of them has waited long enough, or there is no more to come.
    async fn gather(
        &self,
        watch: &mut Watch,
        reached: Revision,
        cancel: &CancellationToken,
    ) -> Result<(Vec<Change>, bool), BackupError> {
        let (mut changes, mut whole, mut bytes) = (Vec::new(), 0, 0);
        let mut over = false;
        let mut due = self.clock.sleep(self.options.interval);
        while bytes < self.options.segment_bytes {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    over = true;
                    break;
                }
                () = &mut due => {
                    if changes.is_empty() {
                        self.look(reached).await?;
                    }
                    break;
                }
                change = watch.next() => match change {
                    Some(change) => {
                        let change = change?;
                        bytes += change.key.as_str().len() + change.put.as_ref().map_or(0, Bytes::len);
                        let last = change.last;
                        changes.push(change);
                        if last {
                            whole = changes.len();
                        }
                    }
                    None => {
                        over = true;
                        break;
                    }
                },
            }
        }
        // A transaction is never cut.
        while whole < changes.len() && !over {
            match watch.next().await {
                Some(change) => {
                    let change = change?;
                    let last = change.last;
                    changes.push(change);
                    if last {
                        whole = changes.len();
                    }
                }
                None => over = true,
            }
        }
        changes.truncate(whole);
        Ok((changes, over))
    }

    async fn write_segment(
        &self,
        manifest: &mut Manifest,
        after: Revision,
        changes: &[Change],
    ) -> Result<(), BackupError> {
        let Some(last) = changes.last() else { return Ok(()) };
        let now = self.clock.now();
        let name = format!("segment-{:020}", last.revision.0);
        let file = File::of(name.clone(), Some(after.0), last.revision.0, now, &[]);
        let header = header(
            self.source.fleet.as_deref(),
            &self.source.incarnation,
            &file,
            changes.len(),
        );
        let bytes = encode(&header, changes)?;
        manifest
            .files
            .push(File::of(name.clone(), file.after, file.revision, now, &bytes));
        self.place.put(&manifest.path(&name), Bytes::from(bytes)).await?;
        manifest.write(self.place.as_ref()).await?;
        self.look(last.revision).await
    }

    /// Takes away old chains of this store, and what was begun and never finished.
    async fn retain(&self) -> Result<(), BackupError> {
        let (chains, unfinished) = manifest::chains(self.place.as_ref()).await?;
        let mut ours = Vec::new();
        for chain in &chains {
            match Manifest::read(self.place.as_ref(), chain).await {
                Ok(Some(manifest)) if manifest.incarnation == self.source.incarnation => ours.push(manifest),
                Err(error @ BackupError::Place { .. }) => return Err(error),
                // What another store wrote, and what nobody can read, is for people to take away.
                _ => {}
            }
        }
        let spare = ours.len().saturating_sub(self.options.keep_chains.max(1));
        let mut kept = ours.len() as u64;
        for manifest in ours.iter().take(spare) {
            if manifest
                .last()
                .is_some_and(|last| self.since(last.created_at) > self.options.keep_for)
            {
                Manifest::delete(self.place.as_ref(), &manifest.chain).await?;
                tracing::info!(
                    place = self.place.name(),
                    chain = manifest.chain,
                    "took an old backup away"
                );
                kept -= 1;
            }
        }
        for chain in &unfinished {
            if begun(chain).is_some_and(|begun| self.since(begun) > UNFINISHED_FOR) {
                Manifest::delete(self.place.as_ref(), chain).await?;
            }
        }
        self.status.send_modify(|status| status.chains = kept);
        Ok(())
    }
}

/// When a chain was begun, by its name.
fn begun(chain: &str) -> Option<Timestamp> {
    let stamp = chain.split('-').next()?;
    let time = berth_model::Timestamp::strptime("%Y%m%dT%H%M%S%z", stamp.replace('Z', "+0000"));
    time.ok()
}

fn chain_of_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
