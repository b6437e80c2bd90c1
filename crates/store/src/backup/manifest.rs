//! What a chain says about itself.

use berth_model::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BackupError, Place};

/// The format this version writes; it reads no newer one.
pub(super) const FORMAT: u16 = 1;
/// Where chains are.
pub(super) const CHAINS: &str = "chains";
const MANIFEST: &str = "manifest.json";

/// A chain: a snapshot and the segments after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u16,
    /// Its folder's name.
    pub(super) chain: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fleet: Option<String>,
    pub(super) incarnation: String,
    /// The snapshot first, then segments in order.
    pub(super) files: Vec<File>,
}

/// One file of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) name: String,
    /// What a segment comes after; none for the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<u64>,
    /// Where it leads.
    pub(super) revision: u64,
    pub(super) created_at: Timestamp,
    pub(super) bytes: u64,
    pub(super) blake3: String,
}

impl File {
    pub(super) fn of(
        name: String,
        after: Option<u64>,
        revision: u64,
        created_at: Timestamp,
        bytes: &[u8],
    ) -> Self {
        Self {
            name,
            after,
            revision,
            created_at,
            bytes: bytes.len() as u64,
            blake3: blake3::hash(bytes).to_hex().to_string(),
        }
    }
}

impl Manifest {
    pub(super) fn path(&self, file: &str) -> String {
        path(&self.chain, file)
    }

    pub(super) fn last(&self) -> Option<&File> {
        self.files.last()
    }

    /// Reads one; none when there is none under that name.
    pub(super) async fn read(place: &dyn Place, chain: &str) -> Result<Option<Self>, BackupError> {
        let Some(bytes) = place.get(&path(chain, MANIFEST)).await? else {
            return Ok(None);
        };
        #[derive(Deserialize)]
        struct Version {
            format: u16,
        }
        let unreadable = |error: serde_json::Error| {
            BackupError::damaged(chain, format!("its manifest cannot be read: {error}"))
        };
        let Version { format } = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if format > FORMAT {
            return Err(BackupError::Newer {
                chain: chain.to_owned(),
                found: format,
                supported: FORMAT,
            });
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(unreadable)?;
        manifest.check(chain)?;
        Ok(Some(manifest))
    }

    fn check(&self, chain: &str) -> Result<(), BackupError> {
        let damaged = |finding: &str| Err(BackupError::damaged(chain, finding));
        if self.chain != chain {
            return damaged("its manifest is of another one");
        }
        if self.files.first().is_none_or(|snapshot| snapshot.after.is_some()) {
            return damaged("it does not begin with a snapshot");
        }
        let follows = self.files.windows(2).all(|pair| match pair {
            [before, after] => after.after == Some(before.revision) && after.revision > before.revision,
            _ => true,
        });
        if !follows {
            return damaged("its segments do not follow one another");
        }
        Ok(())
    }

    pub(super) async fn write(&self, place: &dyn Place) -> Result<(), BackupError> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| BackupError::damaged(&self.chain, error.to_string()))?;
        place.put(&self.path(MANIFEST), Bytes::from(json)).await
    }

    /// Takes the chain away, the manifest first: what is left when that is cut short is no chain.
    pub(super) async fn delete(place: &dyn Place, chain: &str) -> Result<(), BackupError> {
        place.delete(&path(chain, MANIFEST)).await?;
        for name in place.list(&format!("{CHAINS}/{chain}")).await? {
            place.delete(&name).await?;
        }
        Ok(())
    }
}

fn path(chain: &str, file: &str) -> String {
    format!("{CHAINS}/{chain}/{file}")
}

/// The names of all chains with a manifest and of all folders without one, old to new.
pub(super) async fn chains(place: &dyn Place) -> Result<(Vec<String>, Vec<String>), BackupError> {
    let mut found: std::collections::BTreeMap<String, bool> = std::collections::BTreeMap::new();
    for name in place.list(CHAINS).await? {
        let mut parts = name.split('/').skip(1);
        if let (Some(chain), Some(file)) = (parts.next(), parts.next()) {
            *found.entry(chain.to_owned()).or_default() |= file == MANIFEST;
        }
    }
    let (whole, parts): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, whole)| *whole);
    let names = |chains: Vec<(String, bool)>| chains.into_iter().map(|(name, _)| name).collect();
    Ok((names(whole), names(parts)))
}
