//! Join tokens: made once, shown once, used once. Of the secret only the hash is kept.

use std::{collections::BTreeMap, time::Duration};

use berth_identity::{JoinToken, token::SecretHash};
use berth_model::{Cluster, ClusterName, Revision, Timestamp, Uid, cluster::ClusterPurpose};
use berth_store::Txn;
use berth_wire::record::JoinTokenRecord;
use tracing::warn;

use super::{Listed, MOST_TRIES, Registry, RegistryError, contended, new_uid};
use crate::{keys, load};

/// A token just made. The secret is here and nowhere else.
#[derive(Debug)]
pub struct NewToken {
    /// The whole token.
    pub token: JoinToken,
    /// What is kept of it.
    pub info: TokenInfo,
}

/// A token without its secret.
#[derive(Clone, Debug)]
pub struct TokenInfo {
    /// Its public part.
    pub id: String,
    /// The cluster whose identity it gives.
    pub cluster: ClusterName,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// Labels the cluster gets on entering.
    pub labels: BTreeMap<String, String>,
}

/// Who may join with a token that was good.
#[derive(Clone, Debug)]
pub struct Redeemed {
    /// The cluster.
    pub cluster: ClusterName,
}

impl Registry {
    /// Makes a token for one cluster.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn create_token(
        &self,
        cluster: ClusterName,
        ttl: Duration,
        labels: BTreeMap<String, String>,
        region: &str,
        cloud_name: &str,
    ) -> Result<NewToken, RegistryError> {
        let token = JoinToken::generate().map_err(|error| RegistryError::Precondition {
            reason: "NO_RANDOMNESS",
            message: error.to_string(),
        })?;
        // A token for a tenant's own cluster is for that one: not for whatever has its name later.
        let dedicated_to = match self.cluster(&cluster).await {
            Ok(known) => tenant_of(&known).cloned(),
            Err(RegistryError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let now = self.clock.now();
        let expires_at = now.checked_add(ttl).unwrap_or(now);
        let record = JoinTokenRecord {
            secret_sha256: token.secret_hash().to_hex(),
            cluster: cluster.clone(),
            expires_at,
            used_at: None,
            used_by_key_sha256: String::new(),
            labels: labels.clone(),
            region: region.to_owned(),
            cloud_name: cloud_name.to_owned(),
            dedicated_to,
        };
        let key = token_key(token.id())?;
        let txn = Txn::new()
            .if_absent(key.clone())
            .put(key, load::encode_token(&record));
        if self.write(txn).await?.is_none() {
            return Err(contended("join token", token.id()));
        }
        let info = TokenInfo {
            id: token.id().to_owned(),
            cluster,
            expires_at,
            labels,
        };
        Ok(NewToken { token, info })
    }

    /// Tokens that can still be used.
    ///
    /// # Errors
    /// When `after` is no token of this list.
    pub async fn tokens(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listed<TokenInfo>, RegistryError> {
        let now = self.clock.now();
        let (entries, next) = self.page(keys::JOIN_TOKENS, after, limit).await?;
        let mut items = Vec::new();
        for entry in entries {
            let record = load::token(&entry.value)?;
            if record.used_at.is_none() && record.expires_at > now {
                let id = entry.key.name().to_owned();
                items.push(TokenInfo {
                    id,
                    cluster: record.cluster,
                    expires_at: record.expires_at,
                    labels: record.labels,
                });
            }
        }
        Ok(Listed { items, next })
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// That there is none.
    pub async fn delete_token(&self, id: &str) -> Result<(), RegistryError> {
        let key = token_key(id)?;
        if self.store.get(&key).await?.is_none() {
            return Err(RegistryError::NotFound {
                kind: "join token",
                name: id.to_owned(),
            });
        }
        self.store.txn(Txn::new().delete(key)).await?;
        Ok(())
    }

    /// Uses a token for the agent with that public key: its cluster enters the fleet, and from now on only this key speaks for
    /// it. The same key may ask again, since the answer may have been lost.
    ///
    /// # Errors
    /// That the token is unknown, used by another, or too old. All of them are logged.
    pub async fn redeem(&self, token: &str, key_sha256: &str) -> Result<Redeemed, RegistryError> {
        for _ in 0..MOST_TRIES {
            let (token_key, token_revision, mut record) = self.usable(token, key_sha256).await?;
            let name = record.cluster.clone();
            let now = self.clock.now();
            let cluster_key = keys::cluster(&name);
            let mut txn = Txn::new().if_revision(token_key.clone(), token_revision);
            let (cluster, txn_with_compare) = match self.store.get(&cluster_key).await? {
                Some(entry) => {
                    let (mut cluster, _) = load::stored_cluster(&entry.value, entry.revision)?;
                    if record.dedicated_to.as_ref() != tenant_of(&cluster) {
                        return Err(stale(&name));
                    }
                    cluster.joined_at.get_or_insert(now);
                    (cluster, txn.if_revision(cluster_key.clone(), entry.revision))
                }
                None if record.used_at.is_some() => {
                    return Err(RegistryError::Refused {
                        reason: "TOKEN_USED",
                        message: format!(
                            "the join token has been used, and cluster {name} was taken out of the fleet since"
                        ),
                    });
                }
                None if record.dedicated_to.is_some() => return Err(stale(&name)),
                None => (
                    Cluster {
                        name: name.clone(),
                        uid: new_uid()?,
                        revision: Revision(0),
                        created_at: now,
                        labels: record.labels.clone(),
                        cordoned: false,
                        purpose: ClusterPurpose::Shared,
                        region: record.region.clone(),
                        cloud_name: record.cloud_name.clone(),
                        facts: None,
                        accepted_gaps: berth_model::AcceptedGaps::new(),
                        joined_at: Some(now),
                    },
                    txn.if_absent(cluster_key.clone()),
                ),
            };
            txn = txn_with_compare;
            record.used_at.get_or_insert(now);
            key_sha256.clone_into(&mut record.used_by_key_sha256);
            txn = txn
                .put(token_key, load::encode_token(&record))
                .put(cluster_key, load::encode_cluster(&cluster, key_sha256));
            if self.write(txn).await?.is_some() {
                return Ok(Redeemed { cluster: name });
            }
        }
        Err(contended("join token", ""))
    }

    async fn usable(
        &self,
        token: &str,
        key_sha256: &str,
    ) -> Result<(berth_store::Key, Revision, JoinTokenRecord), RegistryError> {
        let unknown = || RegistryError::Refused {
            reason: "TOKEN_UNKNOWN",
            message: "the join token is unknown to this hub; make one with berth token create CLUSTER".into(),
        };
        let token: JoinToken = token.parse().map_err(|_| unknown())?;
        let key = token_key(token.id())?;
        let Some(entry) = self.store.get(&key).await? else {
            warn!(token = token.id(), "a join token was refused: unknown");
            return Err(unknown());
        };
        let record = load::token(&entry.value)?;
        let admits = SecretHash::from_hex(&record.secret_sha256).is_ok_and(|hash| hash.admits(&token));
        if !admits {
            warn!(token = token.id(), "a join token was refused: wrong secret");
            return Err(unknown());
        }
        if record.used_at.is_some() && record.used_by_key_sha256 != key_sha256 {
            warn!(token = token.id(), cluster = %record.cluster, "a join token was refused: used already");
            return Err(RegistryError::Refused {
                reason: "TOKEN_USED",
                message: format!(
                    "the join token has been used; make another with berth token create {}",
                    record.cluster
                ),
            });
        }
        if record.expires_at <= self.clock.now() {
            warn!(token = token.id(), cluster = %record.cluster, "a join token was refused: expired");
            return Err(RegistryError::Refused {
                reason: "TOKEN_EXPIRED",
                message: format!(
                    "the join token has expired; make another with berth token create {}",
                    record.cluster
                ),
            });
        }
        Ok((key, entry.revision, record))
    }
}

/// The uid of the tenant whose own cluster it is.
const fn tenant_of(cluster: &Cluster) -> Option<&Uid> {
    match &cluster.purpose {
        ClusterPurpose::Dedicated { uid, .. } => Some(uid),
        ClusterPurpose::Shared => None,
    }
}

fn stale(cluster: &ClusterName) -> RegistryError {
    warn!(%cluster, "a join token was refused: the cluster it was made for is gone");
    RegistryError::Refused {
        reason: "TOKEN_STALE",
        message: format!(
            "the join token was made for another cluster {cluster}, for one tenant or for many, which is not in the fleet any more; make one for the cluster that is with berth token create {cluster}"
        ),
    }
}

fn token_key(id: &str) -> Result<berth_store::Key, RegistryError> {
    keys::join_token(id).ok_or_else(|| RegistryError::NotFound {
        kind: "join token",
        name: id.chars().take(64).collect(),
    })
}
