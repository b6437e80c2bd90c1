//! Backups that are always nearly up to date: a snapshot, then the changes since, in a directory or a bucket.
//!
//! A place holds chains: `chains/TIME-REVISION-RANDOM/` with a `snapshot`, segments of changes that each begin where the last one
//! ended, and a `manifest.json` that names them with their BLAKE3. The manifest is written last and as a whole, so that whatever is cut short
//! leaves the chain that was there. Old chains are taken away when there are enough newer ones, and only by the store that wrote
//! them: a store that was made anew never takes away what an older one left.
//!
//! Backups hold what the store holds. Private keys are never in a store, and tokens only as hashes.

mod error;
mod load;
mod manifest;
pub mod place;
mod run;
mod save;

use std::time::Duration;

use berth_model::{Revision, Timestamp};

pub use self::{
    error::BackupError,
    load::{ChainReport, Target, load, verify},
    place::{Access, Location, Place},
    run::{Backups, Source},
    save::save,
};

/// How often, how much, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The longest time between a change and its being in the backup, when the place can be written.
    pub interval: Duration,
    /// About how large the changes of a segment get before it is written early.
    pub segment_bytes: usize,
    /// After which time a new chain is begun with a whole snapshot.
    pub chain_age: Duration,
    /// After how many segments.
    pub chain_segments: usize,
    /// How many chains of this store are kept at least, the newest one among them.
    pub keep_chains: usize,
    /// How long further chains are kept after their last change.
    pub keep_for: Duration,
}

impl Default for Options {
    /// Within 10 s, a chain a day, those of a week and never less than three.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            interval: Duration::from_secs(10),
            segment_bytes: 4 << 20,
            chain_age: DAY,
            chain_segments: 1000,
            keep_chains: 3,
            keep_for: DAY.saturating_mul(7),
        }
    }
}

/// How the backup stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// When the backup last held everything acknowledged; none before it first did.
    pub current_at: Option<Timestamp>,
    /// When something was last written to the place.
    pub written_at: Option<Timestamp>,
    /// The last revision that is in the backup.
    pub revision: Revision,
    /// How many chains of this store are at the place.
    pub chains: u64,
    /// How often something went wrong since the start.
    pub failures: u64,
    /// What went wrong the last time; none when it has gone well since.
    pub error: Option<String>,
}

impl Status {
    /// How far behind the backup may be: the time since it last held everything.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let since = now.duration_since(self.current_at?);
        Some(Duration::try_from(since).unwrap_or_default())
    }
}
