//! Trials: a store's files are damaged at random, and it is opened. It may be refused; if it opens, everything acknowledged must be there.
//! Anything else is a silent loss, the one thing that must not happen.
//!
//! A trial damages the store's directory, at up to three places and in any way, or the witness outside it. Not both: a store that went back together
//! with everything that knows better is one that no file can tell.
//!
//! For tests, and for whoever wants to try more often.

mod damage;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use berth_model::Revision;
use bytes::Bytes;
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};

use crate::{Key, OpenError, SledOptions, SledStore, Store, StoreError, Txn, snapshot};

/// What came of the trials.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// From which the same trials follow again.
    pub seed: u64,
    /// How many.
    pub tried: u32,
    /// The store was not opened, with exit code 78.
    pub refused: u32,
    /// The store was opened and everything acknowledged was there, also after writing to it and opening it again.
    pub intact: u32,
    /// Everything else: the trial's number, what was damaged, and what was missing.
    pub silent: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            tried,
            refused,
            intact,
            silent,
        } = self;
        write!(
            f,
            "seed {seed}: {tried} tried, {refused} refused, {intact} intact, {} silent",
            silent.len()
        )
    }
}

/// Why trials could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// Files could not be written or copied.
    #[error("prepare a trial")]
    Io(#[from] io::Error),
    /// The store to damage could not be made.
    #[error("prepare a store")]
    Open(#[from] OpenError),
    /// The store to damage could not be written.
    #[error("write a store")]
    Store(#[from] StoreError),
}

type Contents = BTreeMap<Key, (Bytes, Revision)>;

/// A store with a history: closed copies of how it was, and what it holds now.
pub struct Prepared {
    /// From old to new; the last one is to be damaged.
    stages: Vec<PathBuf>,
    /// Another store.
    other: PathBuf,
    contents: Contents,
    revision: Revision,
}

fn options(home: &Path) -> SledOptions {
    SledOptions {
        fsync: false,
        reserve_bytes: 0,
        ..SledOptions::in_home(home)
    }
}

/// Makes a store of about 2,000 entries in `dir`, which is empty, with four moments of its past.
///
/// # Errors
/// When the disk or the store does not take it.
pub async fn prepare(dir: &Path, seed: u64) -> Result<Prepared, TrialError> {
    let mut random = StdRng::seed_from_u64(seed);
    let (live, other) = (dir.join("live"), dir.join("other"));
    let mut stages = Vec::new();
    for stage in 0..5 {
        write(&live, 160, &mut random).await?;
        let kept = dir.join(format!("stage-{stage}"));
        damage::copy(&live, &kept)?;
        stages.push(kept);
    }
    write(&other, 200, &mut random).await?;
    let store = SledStore::open(&options(&live))?;
    let (revision, contents) = contents(&store).await?;
    store.close().await;
    Ok(Prepared {
        stages,
        other,
        contents,
        revision,
    })
}

async fn write(dir: &Path, transactions: u32, random: &mut StdRng) -> Result<(), TrialError> {
    let store = SledStore::open(&options(dir))?;
    for _ in 0..transactions {
        let mut txn = Txn::new();
        for shelf in ["tenants", "status", "objects"] {
            let name = format!("{shelf}/t-{}", random.random_range(0..800));
            let mut value = vec![0; random.random_range(0..1500)];
            // Half of it repeats, as records do.
            let half = value.len() / 2;
            random.fill_bytes(&mut value[..half]);
            if let Ok(key) = Key::new(name) {
                txn = if random.random_ratio(1, 20) {
                    txn.delete(key)
                } else {
                    txn.put(key, value)
                };
            }
        }
        store.txn(txn).await?;
    }
    store.close().await;
    Ok(())
}

async fn contents(store: &SledStore) -> Result<(Revision, Contents), StoreError> {
    let (revision, entries) = snapshot::contents(store)
        .await
        .map_err(|error| StoreError::Unavailable {
            operation: "read everything",
            problem: error.to_string(),
        })?;
    let entries = entries
        .into_iter()
        .map(|entry| (entry.key, (entry.value, entry.revision)));
    Ok((revision, entries.collect()))
}

impl Prepared {
    /// How many entries the store has.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.contents.len()
    }

    /// Makes `trials` trials in `scratch`; the same seed makes the same ones. `each` hears of every one.
    ///
    /// # Errors
    /// When a trial cannot be prepared.
    pub async fn run(
        &self,
        scratch: &Path,
        trials: u32,
        seed: u64,
        mut each: impl FnMut(&Report),
    ) -> Result<Report, TrialError> {
        let mut report = Report {
            seed,
            ..Report::default()
        };
        for trial in 0..trials {
            // Each has a seed of its own, so that one can be made again alone.
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(u64::from(trial)));
            let dir = scratch.join(format!("trial-{trial}"));
            damage::copy(&self.stages[self.stages.len() - 1], &dir)?;
            let mut what = Vec::new();
            let witness = random.random_ratio(1, 6);
            for _ in 0..[1, 1, 1, 2, 3][random.random_range(0..5)] {
                what.push(damage::one(
                    &dir,
                    witness,
                    &self.stages,
                    &self.other,
                    &mut random,
                )?);
            }
            report.tried += 1;
            match self.judge(&dir).await {
                Ok(true) => report.intact += 1,
                Ok(false) => report.refused += 1,
                Err(missing) => report
                    .silent
                    .push(format!("trial {trial} ({}): {missing}", what.join(", "))),
            }
            fs::remove_dir_all(&dir)?;
            each(&report);
        }
        Ok(report)
    }

    /// Whether the store opened with everything; false when it was refused.
    async fn judge(&self, dir: &Path) -> Result<bool, String> {
        let store = match SledStore::open(&options(dir)) {
            Ok(store) => store,
            Err(error) if error.exit_code() == 78 => return Ok(false),
            Err(error) => return Err(format!("exit code {}: {error}", error.exit_code())),
        };
        let found = contents(&store).await.map_err(|error| error.to_string())?;
        self.same(&found)?;
        let key = Key::new("after/damage").map_err(|error| error.to_string())?;
        let written = store.txn(Txn::new().put(key.clone(), "x")).await;
        written.map_err(|error| format!("opened and took no write: {error}"))?;
        store.close().await;
        drop(store);
        let store = SledStore::open(&options(dir)).map_err(|error| format!("opened only once: {error}"))?;
        let (_, mut again) = contents(&store).await.map_err(|error| error.to_string())?;
        again
            .remove(&key)
            .ok_or("what was written after it was opened is lost")?;
        self.same(&(self.revision, again))?;
        Ok(true)
    }

    fn same(&self, (revision, contents): &(Revision, Contents)) -> Result<(), String> {
        if contents == &self.contents && *revision == self.revision {
            return Ok(());
        }
        let lost = self
            .contents
            .iter()
            .filter(|(key, entry)| contents.get(*key) != Some(*entry))
            .count();
        let extra = contents
            .keys()
            .filter(|key| !self.contents.contains_key(*key))
            .count();
        Err(format!(
            "opened at revision {revision} of {} with {lost} entries lost or changed and {extra} that were deleted",
            self.revision
        ))
    }
}
