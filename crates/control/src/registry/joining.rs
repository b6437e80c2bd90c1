//! Using a join token: its cluster enters the fleet, or gets a new identity.
//!
//! Who a cluster is comes from the token alone. Which Kubernetes cluster it is, is written down when it first joins, and no other one
//! takes its place or its name.

use std::net::IpAddr;

use berth_identity::{JoinToken, token::SecretHash};
use berth_model::{Cluster, ClusterName, Revision, Timestamp, Uid, cluster::ClusterPurpose};
use berth_store::{Key, Txn};
use berth_wire::record::JoinTokenRecord;
use tracing::warn;

use super::{
    MOST_TRIES, Registry, RegistryError, contended, new_uid,
    tokens::{tenant_of, token_key},
};
use crate::{keys, load};

/// Longer than any UID that Kubernetes makes.
const LONGEST_UID: usize = 128;

/// Who wants to join.
#[derive(Clone, Copy, Debug)]
pub struct Joining<'a> {
    /// The token, as it was shown.
    pub token: &'a str,
    /// SHA-256 of the public key that is to speak for the cluster, hexadecimal.
    pub key_sha256: &'a str,
    /// UID of the cluster's `kube-system`, as the agent says.
    pub kubernetes_uid: &'a str,
    /// From where it comes; none where nobody could know.
    pub remote: Option<IpAddr>,
}

/// Who has joined.
#[derive(Clone, Debug)]
pub struct Redeemed {
    /// The cluster.
    pub cluster: ClusterName,
    /// What tells it from an earlier one of that name.
    pub uid: Uid,
}

/// A token that may be used now, as it is in the store.
struct Usable {
    key: Key,
    revision: Revision,
    record: JoinTokenRecord,
}

impl Registry {
    /// Uses a token for the agent with that public key: its cluster enters the fleet, and from now on only this key speaks for
    /// it. The same key may ask again, since the answer may have been lost.
    ///
    /// # Errors
    /// That the token is unknown, used by another, too old, used from elsewhere, or for another cluster than the one that asks; all of
    /// them are logged.
    pub async fn redeem(&self, joining: Joining<'_>) -> Result<Redeemed, RegistryError> {
        let result = self.try_redeem(joining).await;
        if let Err(RegistryError::Refused { reason, message }) = &result {
            let token = joining.token.split('.').next().unwrap_or_default();
            let token: String = token
                .chars()
                .take(10)
                .filter(char::is_ascii_alphanumeric)
                .collect();
            warn!(token, remote = ?joining.remote, reason, message, "a join was refused");
        }
        result
    }

    async fn try_redeem(&self, joining: Joining<'_>) -> Result<Redeemed, RegistryError> {
        let uid = joining.kubernetes_uid;
        if uid.is_empty() || uid.len() > LONGEST_UID || !uid.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused(
                "NO_KUBERNETES_UID",
                "the agent does not say which Kubernetes cluster it is in (the UID of namespace kube-system); update the agent",
            ));
        }
        for _ in 0..MOST_TRIES {
            let usable = self.usable(joining).await?;
            let name = usable.record.cluster.clone();
            let now = self.clock.now();
            let stored = match self.store.get(&keys::cluster(&name)).await? {
                Some(entry) => Some(load::stored_cluster(&entry.value, entry.revision)?),
                None => None,
            };
            if usable.record.used_at.is_some() {
                return used(&usable.record, stored, joining);
            }
            let (cluster, txn) = match self.enters(stored, &usable.record, joining, now).await {
                Ok(entering) => entering,
                // The token was read before the cluster: what refuses it may be what it was used for in between.
                Err(refusal) => match self.store.get(&usable.key).await? {
                    Some(entry) if entry.revision == usable.revision => return Err(refusal),
                    _ => continue,
                },
            };
            let record = JoinTokenRecord {
                used_at: Some(now),
                used_by_key_sha256: joining.key_sha256.to_owned(),
                ..usable.record
            };
            let txn = txn
                .if_revision(usable.key.clone(), usable.revision)
                .put(usable.key, load::encode_token(&record))
                .put(
                    keys::cluster(&name),
                    load::encode_cluster(&cluster, joining.key_sha256),
                );
            if self.write(txn).await?.is_some() {
                return Ok(Redeemed {
                    cluster: name,
                    uid: cluster.uid,
                });
            }
        }
        Err(contended("join token", ""))
    }

    /// The cluster as it is once the token is used, and the beginning of what writes that.
    async fn enters(
        &self,
        stored: Option<(Cluster, String)>,
        record: &JoinTokenRecord,
        joining: Joining<'_>,
        now: Timestamp,
    ) -> Result<(Cluster, Txn), RegistryError> {
        let key = keys::cluster(&record.cluster);
        let (cluster, txn) = match stored {
            Some((known, key_sha256)) => {
                let revision = known.revision;
                let cluster = again(known, &key_sha256, record, joining, now)?;
                (cluster, Txn::new().if_revision(key, revision))
            }
            None => (first(record, joining, now)?, Txn::new().if_absent(key)),
        };
        let txn = self.claim(txn, &record.cluster, joining.kubernetes_uid).await?;
        Ok((cluster, txn))
    }

    /// Adds to `txn` that the Kubernetes cluster is the fleet's `name` and no other.
    async fn claim(&self, txn: Txn, name: &ClusterName, kubernetes_uid: &str) -> Result<Txn, RegistryError> {
        let key = keys::kubernetes_uid(kubernetes_uid);
        let ours = name.as_str().as_bytes().to_vec();
        let Some(entry) = self.store.get(&key).await? else {
            return Ok(txn.if_absent(key.clone()).put(key, ours));
        };
        if entry.value.as_ref() == ours {
            return Ok(txn);
        }
        // What is left of a cluster that is not in the fleet any more counts for nothing.
        let known: Option<ClusterName> = std::str::from_utf8(&entry.value)
            .ok()
            .and_then(|known| ClusterName::new(known).ok());
        if let Some(known) = known {
            match self.cluster(&known).await {
                Ok(cluster) if cluster.kubernetes_uid == kubernetes_uid => {
                    return Err(refused(
                        "CLUSTER_KNOWN",
                        format!(
                            "this Kubernetes cluster is in the fleet as {known} already; to give it a new identity use berth token create {known} --rejoin, to give it another name take {known} out of the fleet first"
                        ),
                    ));
                }
                Ok(_) | Err(RegistryError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(txn.if_revision(key.clone(), entry.revision).put(key, ours))
    }

    async fn usable(&self, joining: Joining<'_>) -> Result<Usable, RegistryError> {
        let unknown = || {
            refused(
                "TOKEN_UNKNOWN",
                "the join token is unknown to this hub; make one with berth token create CLUSTER",
            )
        };
        let token: JoinToken = joining.token.parse().map_err(|_| unknown())?;
        let key = token_key(token.id())?;
        let Some(entry) = self.store.get(&key).await? else {
            return Err(unknown());
        };
        let record = load::token(&entry.value)?;
        if !SecretHash::from_hex(&record.secret_sha256).is_ok_and(|hash| hash.admits(&token)) {
            return Err(unknown());
        }
        let cluster = &record.cluster;
        if record.used_at.is_some() && record.used_by_key_sha256 != joining.key_sha256 {
            return Err(refused(
                "TOKEN_USED",
                format!(
                    "the join token has been used by another key, and cluster {cluster} has joined; give it a new identity with berth token create {cluster} --rejoin"
                ),
            ));
        }
        if record.expires_at <= self.clock.now() {
            // Whoever asks again, as the answer was lost, has joined already.
            let rejoin = if record.used_at.is_some() { " --rejoin" } else { "" };
            return Err(refused(
                "TOKEN_EXPIRED",
                format!("the join token has expired; make another with berth token create {cluster}{rejoin}"),
            ));
        }
        let remote = joining.remote.map(|remote| remote.to_canonical());
        let allowed = record.from.is_empty()
            || remote.is_some_and(|remote| record.from.iter().any(|range| range.holds(remote)));
        if !allowed {
            return Err(refused(
                "TOKEN_ELSEWHERE",
                "the join token may not be used from this address; make one with a --from that holds it",
            ));
        }
        Ok(Usable {
            key,
            revision: entry.revision,
            record,
        })
    }
}

/// The same key asks again: nothing changes, as long as it still speaks for the cluster.
fn used(
    record: &JoinTokenRecord,
    stored: Option<(Cluster, String)>,
    joining: Joining<'_>,
) -> Result<Redeemed, RegistryError> {
    let name = &record.cluster;
    let Some((cluster, key_sha256)) = stored else {
        return Err(refused(
            "TOKEN_USED",
            format!("the join token has been used, and cluster {name} was taken out of the fleet since"),
        ));
    };
    if record.dedicated_to.as_ref() != tenant_of(&cluster) {
        return Err(stale(name));
    }
    if key_sha256 != joining.key_sha256 || cluster.revoked.is_some() {
        return Err(refused(
            "TOKEN_USED",
            format!(
                "the join token has been used, and its key is void since; make another with berth token create {name} --rejoin"
            ),
        ));
    }
    same_kubernetes(&cluster, joining.kubernetes_uid)?;
    Ok(Redeemed {
        cluster: name.clone(),
        uid: cluster.uid,
    })
}

/// A cluster that is in the fleet already: made by the hub and not joined yet, or joined and getting a new identity.
fn again(
    mut cluster: Cluster,
    key_sha256: &str,
    record: &JoinTokenRecord,
    joining: Joining<'_>,
    now: Timestamp,
) -> Result<Cluster, RegistryError> {
    let name = cluster.name.clone();
    if record.dedicated_to.as_ref() != tenant_of(&cluster) {
        return Err(stale(&name));
    }
    match &record.rejoin {
        Some(uid) if *uid != cluster.uid => return Err(stale(&name)),
        Some(_) => {}
        None if cluster.joined_at.is_some() => {
            return Err(refused(
                "REJOIN_NEEDED",
                format!(
                    "cluster {name} has joined already; give it a new identity with berth token create {name} --rejoin"
                ),
            ));
        }
        None => {}
    }
    same_kubernetes(&cluster, joining.kubernetes_uid)?;
    if let Some(revoked) = &cluster.revoked {
        if record.created_at.is_none_or(|made| made <= revoked.at) {
            return Err(refused(
                "TOKEN_STALE",
                format!(
                    "cluster {name} was revoked after the join token was made; make another with berth token create {name} --rejoin"
                ),
            ));
        }
        if key_sha256 == joining.key_sha256 {
            return Err(refused(
                "KEY_REVOKED",
                format!(
                    "the key of cluster {name} was revoked; delete the Secret berth-agent-identity, so that the agent makes another, and join again"
                ),
            ));
        }
    }
    cluster.revoked = None;
    cluster.joined_at.get_or_insert(now);
    joining.kubernetes_uid.clone_into(&mut cluster.kubernetes_uid);
    Ok(cluster)
}

/// A cluster that was not in the fleet.
fn first(record: &JoinTokenRecord, joining: Joining<'_>, now: Timestamp) -> Result<Cluster, RegistryError> {
    if record.dedicated_to.is_some() || record.rejoin.is_some() {
        return Err(stale(&record.cluster));
    }
    Ok(Cluster {
        name: record.cluster.clone(),
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
        kubernetes_uid: joining.kubernetes_uid.to_owned(),
        awaiting_acceptance: record.require_accept,
        revoked: None,
    })
}

/// A cluster that joined by an older hub is known by what its agent told since.
fn same_kubernetes(cluster: &Cluster, kubernetes_uid: &str) -> Result<(), RegistryError> {
    let known = [
        cluster.kubernetes_uid.as_str(),
        cluster
            .facts
            .as_ref()
            .map_or("", |facts| facts.kubernetes_uid.as_str()),
    ];
    match known.into_iter().find(|known| !known.is_empty()) {
        Some(known) if known != kubernetes_uid => Err(refused(
            "OTHER_KUBERNETES",
            format!(
                "{} is another Kubernetes cluster (kube-system has UID {known} there and {kubernetes_uid} here); let this one join under a name of its own",
                cluster.name
            ),
        )),
        _ => Ok(()),
    }
}

fn refused(reason: &'static str, message: impl Into<String>) -> RegistryError {
    RegistryError::Refused {
        reason,
        message: message.into(),
    }
}

fn stale(cluster: &ClusterName) -> RegistryError {
    refused(
        "TOKEN_STALE",
        format!(
            "the join token was made for another cluster {cluster}, for one tenant or for many, which is not in the fleet any more; make one for the cluster that is with berth token create {cluster}"
        ),
    )
}
