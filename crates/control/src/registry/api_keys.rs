//! API keys of machine accounts: shown once, of the secret only the hash is kept, gone at once when they are deleted.

use std::time::Duration;

use berth_identity::{ApiKey, token::SecretHash};
use berth_model::{Revision, Timestamp};
use berth_store::{Key, Txn};
use berth_wire::record::ApiKeyRecord;
use tracing::{debug, warn};

use super::{Listed, Registry, RegistryError, new_uid};
use crate::{keys, load};

const KIND: &str = "API key";
/// That an account was used is written down so often at most.
const USE_GRAIN: Duration = Duration::from_secs(3600);

/// A machine account just made. The secret is here and nowhere else.
#[derive(Debug)]
pub struct NewApiKey {
    /// The whole key.
    pub key: ApiKey,
    /// What is kept of it.
    pub record: ApiKeyRecord,
}

impl Registry {
    /// Makes a machine account with its key; `creator` is the subject who asked for it.
    ///
    /// # Errors
    /// There is one of that name, or the store does not answer.
    pub async fn create_api_key(
        &self,
        name: &str,
        ttl: Duration,
        description: &str,
        creator: &str,
    ) -> Result<NewApiKey, RegistryError> {
        let at = store_key(name)?;
        let key = ApiKey::generate(name).map_err(|error| RegistryError::Precondition {
            reason: "NO_RANDOMNESS",
            message: error.to_string(),
        })?;
        let created_at = self.clock.now();
        let record = ApiKeyRecord {
            secret_sha256: key.secret_hash().to_hex(),
            uid: new_uid()?.to_string(),
            description: description.to_owned(),
            creator: creator.to_owned(),
            created_at,
            expires_at: created_at.checked_add(ttl).unwrap_or(created_at),
            last_used_at: None,
        };
        let txn = Txn::new()
            .if_absent(at.clone())
            .put(at, load::encode_api_key(&record));
        match self.write(txn).await? {
            Some(_) => Ok(NewApiKey { key, record }),
            None => Err(RegistryError::AlreadyExists {
                kind: KIND,
                name: name.to_owned(),
            }),
        }
    }

    /// One machine account.
    ///
    /// # Errors
    /// That there is none.
    pub async fn api_key(&self, name: &str) -> Result<ApiKeyRecord, RegistryError> {
        Ok(self.stored_api_key(name).await?.2)
    }

    /// Machine accounts with their names, also those that have expired.
    ///
    /// # Errors
    /// When `after` is no token of this list.
    pub async fn api_keys(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listed<(String, ApiKeyRecord)>, RegistryError> {
        let (entries, next) = self.page(keys::API_KEYS, after, limit).await?;
        let mut items = Vec::new();
        for entry in entries {
            items.push((entry.key.name().to_owned(), load::api_key(&entry.value)?));
        }
        Ok(Listed { items, next })
    }

    /// Takes a machine account and its key away.
    ///
    /// # Errors
    /// That there is none.
    pub async fn delete_api_key(&self, name: &str) -> Result<(), RegistryError> {
        let (at, ..) = self.stored_api_key(name).await?;
        self.store.txn(Txn::new().delete(at)).await?;
        Ok(())
    }

    /// Whose key it is, if it is good.
    ///
    /// # Errors
    /// The account is gone, has another key or has expired, or the store does not answer.
    pub async fn admit_api_key(&self, key: &ApiKey) -> Result<ApiKeyRecord, RegistryError> {
        // Which of the names exist is not told to somebody without a key.
        let unknown = || {
            RegistryError::Refused {
            reason: "API_KEY_UNKNOWN",
            message: "the API key is unknown to this hub, or was taken back: make one with berth apikey create NAME"
                .into(),
        }
        };
        let (at, revision, record) = match self.stored_api_key(key.name()).await {
            Ok(found) => found,
            Err(RegistryError::NotFound { .. }) => {
                warn!(name = key.name(), "an API key was refused: unknown");
                return Err(unknown());
            }
            Err(error) => return Err(error),
        };
        let admits =
            SecretHash::from_hex(&record.secret_sha256).is_ok_and(|hash| hash.is(&key.secret_hash()));
        if !admits {
            warn!(name = key.name(), "an API key was refused: wrong secret");
            return Err(unknown());
        }
        let now = self.clock.now();
        if record.expires_at <= now {
            warn!(name = key.name(), expired = %record.expires_at, "an API key was refused: expired");
            return Err(RegistryError::Refused {
                reason: "API_KEY_EXPIRED",
                message: format!(
                    "the API key {0} has expired: delete it and make another with berth apikey delete {0} and berth apikey create {0}",
                    key.name()
                ),
            });
        }
        self.note_use(at, revision, &record, now).await;
        Ok(record)
    }

    /// Writes down that an account was used, once an hour at most. Who cannot write that down works all the same: hubs that
    /// follow, and stores that are full.
    async fn note_use(&self, at: Key, revision: Revision, record: &ApiKeyRecord, now: Timestamp) {
        let recent = record
            .last_used_at
            .is_some_and(|last| now.duration_since(last).unsigned_abs() < USE_GRAIN);
        if recent {
            return;
        }
        let record = ApiKeyRecord {
            last_used_at: Some(now),
            ..record.clone()
        };
        let txn = Txn::new()
            .if_revision(at.clone(), revision)
            .put(at, load::encode_api_key(&record));
        if let Err(error) = self.write(txn).await {
            debug!(%error, "that an API key was used is not written down");
        }
    }

    async fn stored_api_key(&self, name: &str) -> Result<(Key, Revision, ApiKeyRecord), RegistryError> {
        let at = store_key(name)?;
        match self.store.get(&at).await? {
            Some(entry) => Ok((at, entry.revision, load::api_key(&entry.value)?)),
            None => Err(not_found(name)),
        }
    }
}

fn store_key(name: &str) -> Result<Key, RegistryError> {
    keys::api_key(name).ok_or_else(|| not_found(name))
}

fn not_found(name: &str) -> RegistryError {
    RegistryError::NotFound {
        kind: KIND,
        name: name.chars().take(64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_runtime::ManualClock;
    use berth_store::MemoryStore;

    use super::*;

    fn registry() -> (Registry, ManualClock) {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        (
            Registry::new(Arc::new(MemoryStore::new()), Arc::new(clock.clone())),
            clock,
        )
    }

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn reason(error: &RegistryError) -> &'static str {
        match error {
            RegistryError::Refused { reason, .. } => reason,
            other => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn a_key_works_until_it_expires_or_is_deleted_and_its_secret_is_not_stored() {
        let (registry, clock) = registry();
        let made = registry
            .create_api_key("ci", DAY, "builds", "user:alice")
            .await
            .unwrap();
        let admitted = registry.admit_api_key(&made.key).await.unwrap();
        assert_eq!(
            (admitted.uid, admitted.creator),
            (made.record.uid, "user:alice".into())
        );
        let entry = registry
            .store
            .get(&keys::api_key("ci").unwrap())
            .await
            .unwrap()
            .unwrap();
        let secret = made.key.expose()["berth_ci_".len()..].as_bytes()[..20].to_vec();
        assert!(!entry.value.windows(20).any(|window| window == secret));

        clock.advance(DAY);
        let expired = registry.admit_api_key(&made.key).await.unwrap_err();
        assert_eq!(reason(&expired), "API_KEY_EXPIRED");
        registry.delete_api_key("ci").await.unwrap();
        let gone = registry.admit_api_key(&made.key).await.unwrap_err();
        assert_eq!(reason(&gone), "API_KEY_UNKNOWN");
        assert!(matches!(
            registry.delete_api_key("ci").await,
            Err(RegistryError::NotFound { .. })
        ));
    }

    #[tokio::test]
    async fn a_name_has_one_key_and_an_earlier_one_of_the_same_name_is_worth_nothing() {
        let (registry, _) = registry();
        let first = registry.create_api_key("ci", DAY, "", "x").await.unwrap();
        assert!(matches!(
            registry.create_api_key("ci", DAY, "", "x").await,
            Err(RegistryError::AlreadyExists { .. })
        ));
        registry.delete_api_key("ci").await.unwrap();
        let second = registry.create_api_key("ci", DAY, "", "x").await.unwrap();
        assert_ne!(first.record.uid, second.record.uid);
        let refused = registry.admit_api_key(&first.key).await.unwrap_err();
        assert_eq!(reason(&refused), "API_KEY_UNKNOWN");
        registry.admit_api_key(&second.key).await.unwrap();
    }

    #[tokio::test]
    async fn a_use_is_written_down_once_an_hour() {
        let (registry, clock) = registry();
        let made = registry.create_api_key("ci", DAY, "", "x").await.unwrap();
        let last = async || registry.api_key("ci").await.unwrap().last_used_at;
        assert_eq!(last().await, None);
        registry.admit_api_key(&made.key).await.unwrap();
        let first = last().await;
        assert!(first.is_some());
        clock.advance(USE_GRAIN / 2);
        registry.admit_api_key(&made.key).await.unwrap();
        assert_eq!(last().await, first);
        clock.advance(USE_GRAIN / 2);
        registry.admit_api_key(&made.key).await.unwrap();
        assert!(last().await > first);
    }

    #[tokio::test]
    async fn names_that_are_no_label_lead_to_no_record() {
        let (registry, _) = registry();
        for name in ["", "A", "a/b", "../tenants/a", "a_b"] {
            assert!(
                registry.create_api_key(name, DAY, "", "x").await.is_err(),
                "{name}"
            );
        }
    }
}
