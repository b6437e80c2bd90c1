//! What the API writes: every write is a compare-and-swap on the store, admitted first, and durable when it is answered.

mod api_keys;
mod bindings;
mod bundles;
mod clusters;
mod evidence;
mod joining;
mod organisations;
mod tenants;
mod tiers;
mod tokens;

use std::sync::Arc;

use berth_model::{Revision, Uid, Violation};
use berth_runtime::Clock;
use berth_store::{Entry, Key, Page, Store, StoreError, Txn};

pub use api_keys::NewApiKey;
pub use clusters::Identity;
pub use joining::{Joining, Redeemed};
pub use tenants::{Accepted, TenantChange};
pub use tokens::{NewToken, TokenInfo, TokenSpec};

use crate::load::RecordProblem;

/// Times a write is tried again when somebody else was first and the caller named no version.
const MOST_TRIES: usize = 16;

/// The API's side of the store. Cheap to copy.
#[derive(Clone)]
pub struct Registry {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Who writes where an organisation's sums are at stake has it.
    owners: Arc<tokio::sync::Mutex<()>>,
}

/// Why a write or read was refused.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// What was asked for is not valid; all faults.
    #[error("invalid: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    /// There is none.
    #[error("{kind} {name:?} does not exist")]
    NotFound {
        /// `tenant`, `tier`...
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// There is one.
    #[error("{kind} {name:?} exists already")]
    AlreadyExists {
        /// `tenant`, `tier`...
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It is at another version than the caller thought.
    #[error(
        "{kind} {name:?} has changed meanwhile: it is at version {found}; read it again and repeat the change"
    )]
    Stale {
        /// `tenant`, `tier`...
        kind: &'static str,
        /// Its name.
        name: String,
        /// Its version now.
        found: Revision,
    },
    /// Its state does not allow it.
    #[error("{message}")]
    Precondition {
        /// One word in `UPPER_SNAKE_CASE`.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// Whoever asks may not.
    #[error("{message}")]
    Forbidden {
        /// For people.
        message: String,
    },
    /// A credential is not good.
    #[error("{message}")]
    Refused {
        /// One word in `UPPER_SNAKE_CASE`.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// The store did not do it.
    #[error("the store did not answer")]
    Store(#[from] StoreError),
    /// A record cannot be read.
    #[error("a record cannot be read")]
    Record(#[from] RecordProblem),
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The key to go on after; none on the last page.
    pub next: Option<String>,
}

/// Which of a list its reader may see.
pub type Shown<'a, T> = &'a (dyn Fn(&T) -> bool + Send + Sync);

impl Registry {
    /// Over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            owners: Arc::default(),
        }
    }

    /// The entries under `prefix` after `after`, at most `limit`.
    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<String>), RegistryError> {
        let after = match after {
            None => None,
            Some(text) => match Key::new(text) {
                Ok(key) if text.starts_with(prefix) => Some(key),
                _ => {
                    return Err(RegistryError::Invalid(vec![Violation::new(
                        "page_token",
                        "is not a token of this list",
                        "take it from the answer before, unchanged",
                    )]));
                }
            },
        };
        let listing = self.store.list(prefix, Page { after, limit }).await?;
        let next = listing
            .entries
            .last()
            .filter(|_| listing.more)
            .map(|entry| entry.key.as_str().to_owned());
        Ok((listing.entries, next))
    }

    /// At most `limit` of what is under `prefix` after `after`, and of that only what `shown` takes. A token names nothing else.
    async fn page_of<T>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        read: impl Fn(&Entry) -> Result<T, RecordProblem>,
        shown: Option<Shown<'_, T>>,
    ) -> Result<Listed<T>, RegistryError> {
        let read = |entry: &Entry| read(entry).map_err(|problem| problem.of(&entry.key));
        let Some(shown) = shown else {
            let (entries, next) = self.page(prefix, after, limit).await?;
            let items = entries.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            return Ok(Listed { items, next });
        };
        let (mut items, mut last) = (Vec::new(), None);
        let mut at = after.map(str::to_owned);
        loop {
            let (entries, next) = self.page(prefix, at.as_deref(), Page::MAX).await?;
            for entry in &entries {
                let item = read(entry)?;
                if !shown(&item) {
                    continue;
                }
                if items.len() >= limit.max(1) {
                    return Ok(Listed { items, next: last });
                }
                items.push(item);
                last = Some(entry.key.as_str().to_owned());
            }
            match next {
                Some(next) => at = Some(next),
                None => return Ok(Listed { items, next: None }),
            }
        }
    }

    /// All entries under `prefix`.
    async fn all(&self, prefix: &str) -> Result<Vec<Entry>, RegistryError> {
        Ok(crate::load::all(self.store.as_ref(), prefix).await?.0)
    }

    async fn write(&self, txn: Txn) -> Result<Option<Revision>, RegistryError> {
        match self.store.txn(txn).await {
            Ok(revision) => Ok(Some(revision)),
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A uid nobody has had.
fn new_uid() -> Result<Uid, RegistryError> {
    Uid::new(berth_runtime::entropy::uuid().to_string()).map_err(|error| RegistryError::Precondition {
        reason: "NO_UID",
        message: error.to_string(),
    })
}

/// Everybody keeps being first.
fn contended(kind: &'static str, name: impl Into<String>) -> RegistryError {
    let name = name.into();
    RegistryError::Precondition {
        reason: "CONTENDED",
        message: format!("{kind} {name:?} is being changed by many at once; try again"),
    }
}

/// Whether the caller's version is still the one there is.
fn check_etag(
    kind: &'static str,
    name: &str,
    expected: Option<Revision>,
    found: Revision,
) -> Result<(), RegistryError> {
    match expected {
        Some(expected) if expected != found => Err(RegistryError::Stale {
            kind,
            name: name.to_owned(),
            found,
        }),
        _ => Ok(()),
    }
}

/// Values are small; what does not fit is refused with a word about where.
fn check_size(path: &str, bytes: usize) -> Result<(), RegistryError> {
    if bytes <= crate::keys::PART_BYTES {
        return Ok(());
    }
    Err(RegistryError::Invalid(vec![Violation::new(
        path,
        format!(
            "is {bytes} bytes as stored, {} are the most",
            crate::keys::PART_BYTES
        ),
        "shorten lists, labels or parameter values; large content belongs in a bundle",
    )]))
}
