//! Join tokens: made once, shown once, used once. Of the secret only the hash is kept.

use std::{collections::BTreeMap, time::Duration};

use berth_identity::JoinToken;
use berth_model::{Cluster, ClusterName, Timestamp, Uid, cluster::ClusterPurpose, network::Cidr};
use berth_store::Txn;
use berth_wire::record::JoinTokenRecord;

use super::{Listed, Registry, RegistryError, contended};
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
    /// From where it may be used; nothing is everywhere.
    pub from: Vec<Cidr>,
    /// It gives a cluster that has joined already a new identity.
    pub rejoin: bool,
    /// The cluster takes no tenants until it is accepted.
    pub require_accept: bool,
}

impl TokenInfo {
    fn new(id: &str, record: JoinTokenRecord) -> Self {
        Self {
            id: id.to_owned(),
            cluster: record.cluster,
            expires_at: record.expires_at,
            labels: record.labels,
            from: record.from,
            rejoin: record.rejoin.is_some(),
            require_accept: record.require_accept,
        }
    }
}

/// What a token is to be for.
#[derive(Clone, Debug)]
pub struct TokenSpec {
    /// The cluster whose identity it gives.
    pub cluster: ClusterName,
    /// How long it works.
    pub ttl: Duration,
    /// Labels the cluster gets on entering.
    pub labels: BTreeMap<String, String>,
    /// Region of the cluster, when its nodes do not say.
    pub region: String,
    /// Name in the cloud when it differs.
    pub cloud_name: String,
    /// From where it may be used; nothing is everywhere.
    pub from: Vec<Cidr>,
    /// It gives a cluster that has joined already, or was revoked, a new identity.
    pub rejoin: bool,
    /// The cluster takes no tenants until it is accepted.
    pub require_accept: bool,
    /// Pins of the authorities that whoever joins by it is told of.
    pub ca_pins: Vec<String>,
}

impl TokenSpec {
    /// For a cluster that joins for the first time, from everywhere.
    #[must_use]
    pub const fn new(cluster: ClusterName, ttl: Duration) -> Self {
        Self {
            cluster,
            ttl,
            labels: BTreeMap::new(),
            region: String::new(),
            cloud_name: String::new(),
            from: Vec::new(),
            rejoin: false,
            require_accept: false,
            ca_pins: Vec::new(),
        }
    }
}

impl Registry {
    /// Makes a token for one cluster.
    ///
    /// # Errors
    /// The cluster has joined already and the token is not for a new identity, or the other way round; or the store does not answer.
    pub async fn create_token(&self, spec: TokenSpec) -> Result<NewToken, RegistryError> {
        let token = JoinToken::generate().map_err(|error| RegistryError::Precondition {
            reason: "NO_RANDOMNESS",
            message: error.to_string(),
        })?;
        let known = match self.cluster(&spec.cluster).await {
            Ok(known) => Some(known),
            Err(RegistryError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let joined = known.as_ref().filter(|known| known.joined_at.is_some());
        let name = &spec.cluster;
        let rejoin = match (joined, spec.rejoin) {
            (Some(known), true) => Some(known.uid.clone()),
            (None, false) => None,
            (Some(_), false) => {
                return Err(RegistryError::Precondition {
                    reason: "CLUSTER_JOINED",
                    message: format!(
                        "cluster {name} has joined already; give it a new identity with berth token create {name} --rejoin"
                    ),
                });
            }
            (None, true) => {
                return Err(RegistryError::Precondition {
                    reason: "CLUSTER_NOT_JOINED",
                    message: format!(
                        "cluster {name} has not joined yet; let it join with berth token create {name}"
                    ),
                });
            }
        };
        let now = self.clock.now();
        let record = JoinTokenRecord {
            secret_sha256: token.secret_hash().to_hex(),
            cluster: spec.cluster,
            expires_at: now.checked_add(spec.ttl).unwrap_or(now),
            used_at: None,
            used_by_key_sha256: String::new(),
            labels: spec.labels,
            region: spec.region,
            cloud_name: spec.cloud_name,
            // A token for a tenant's own cluster is for that one: not for whatever has its name later.
            dedicated_to: known.as_ref().and_then(tenant_of).cloned(),
            created_at: Some(now),
            from: spec.from,
            rejoin,
            require_accept: spec.require_accept,
            ca_pins: spec.ca_pins,
        };
        let key = token_key(token.id())?;
        let txn = Txn::new()
            .if_absent(key.clone())
            .put(key, load::encode_token(&record));
        if self.write(txn).await?.is_none() {
            return Err(contended("join token", token.id()));
        }
        let info = TokenInfo::new(token.id(), record);
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
                items.push(TokenInfo::new(entry.key.name(), record));
            }
        }
        Ok(Listed { items, next })
    }

    /// Tokens that can still be used by somebody who was not told of the authority with that pin.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn tokens_without_pin(&self, pin: &str) -> Result<Vec<TokenInfo>, RegistryError> {
        let now = self.clock.now();
        let mut found = Vec::new();
        for entry in self.all(keys::JOIN_TOKENS).await? {
            let record = load::token(&entry.value)?;
            let told = record.ca_pins.iter().any(|told| told == pin);
            if record.used_at.is_none() && record.expires_at > now && !told {
                found.push(TokenInfo::new(entry.key.name(), record));
            }
        }
        Ok(found)
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
}

/// The uid of the tenant whose own cluster it is.
pub(super) const fn tenant_of(cluster: &Cluster) -> Option<&Uid> {
    match &cluster.purpose {
        ClusterPurpose::Dedicated { uid, .. } => Some(uid),
        ClusterPurpose::Shared => None,
    }
}

pub(super) fn token_key(id: &str) -> Result<berth_store::Key, RegistryError> {
    keys::join_token(id).ok_or_else(|| RegistryError::NotFound {
        kind: "join token",
        name: id.chars().take(64).collect(),
    })
}
