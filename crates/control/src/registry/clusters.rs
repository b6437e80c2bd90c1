//! Clusters as the API writes them.

use std::collections::BTreeMap;

use berth_model::{
    Cluster, ClusterName, Gap, Revision, Violation,
    breaker::{BreakerMemory, Released},
    cluster::{ClusterPurpose, Revocation},
};
use berth_store::{Entry, Txn};

use super::{Listed, MOST_TRIES, Registry, RegistryError, Shown, check_etag, check_size, contended};
use crate::{keys, load};

/// Longest reason for accepting a gap, in characters.
const LONGEST_REASON: usize = 200;

/// A cluster, and the only key that may speak for it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The cluster.
    pub cluster: Cluster,
    /// SHA-256 of the public key, hexadecimal; empty before it joined.
    pub key_sha256: String,
}

fn check_reason(reason: &str) -> Result<(), RegistryError> {
    if reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control) {
        return Err(RegistryError::Invalid(vec![Violation::new(
            "reason",
            format!("is longer than {LONGEST_REASON} characters or has control characters"),
            "one line that people will understand in a year",
        )]));
    }
    Ok(())
}

impl Registry {
    /// One cluster.
    ///
    /// # Errors
    /// That there is none.
    pub async fn cluster(&self, name: &ClusterName) -> Result<Cluster, RegistryError> {
        Ok(self.stored_cluster(name).await?.0)
    }

    /// Who may speak for a cluster.
    ///
    /// # Errors
    /// That there is none.
    pub async fn identity(&self, name: &ClusterName) -> Result<Identity, RegistryError> {
        let (cluster, key_sha256) = self.stored_cluster(name).await?;
        Ok(Identity { cluster, key_sha256 })
    }

    /// Lets tenants onto a cluster that waited for that.
    ///
    /// # Errors
    /// That there is none.
    pub async fn accept_cluster(&self, name: &ClusterName) -> Result<Cluster, RegistryError> {
        self.change_cluster(name, None, |cluster| cluster.awaiting_acceptance = false)
            .await
    }

    /// Voids a cluster's identity until it joins again with another key. Doing it again changes nothing but the reason.
    ///
    /// # Errors
    /// That there is none, or a reason that is too long.
    pub async fn revoke_cluster(&self, name: &ClusterName, reason: &str) -> Result<Cluster, RegistryError> {
        check_reason(reason)?;
        let now = self.clock.now();
        self.change_cluster(name, None, |cluster| {
            let at = cluster.revoked.as_ref().map_or(now, |revoked| revoked.at);
            cluster.revoked = Some(Revocation {
                at,
                reason: reason.to_owned(),
            });
        })
        .await
    }

    /// Clusters in order of name.
    ///
    /// # Errors
    /// When `after` is no token of this list.
    pub async fn clusters(
        &self,
        after: Option<&str>,
        limit: usize,
        shown: Option<Shown<'_, Cluster>>,
    ) -> Result<Listed<Cluster>, RegistryError> {
        let read = |entry: &Entry| load::cluster(&entry.value, entry.revision);
        self.page_of(keys::CLUSTERS, after, limit, read, shown).await
    }

    /// Changes labels, region and cloud name.
    ///
    /// # Errors
    /// That there is none, or that it has changed meanwhile.
    pub async fn update_cluster(
        &self,
        name: &ClusterName,
        labels: BTreeMap<String, String>,
        region: &str,
        cloud_name: &str,
        etag: Option<Revision>,
    ) -> Result<Cluster, RegistryError> {
        self.change_cluster(name, etag, |cluster| {
            cluster.labels.clone_from(&labels);
            region.clone_into(&mut cluster.region);
            cloud_name.clone_into(&mut cluster.cloud_name);
        })
        .await
    }

    /// Allows or stops new tenants.
    ///
    /// # Errors
    /// That there is none.
    pub async fn cordon_cluster(&self, name: &ClusterName, cordoned: bool) -> Result<Cluster, RegistryError> {
        self.change_cluster(name, None, |cluster| cluster.cordoned = cordoned)
            .await
    }

    /// Lets tenants in although the cluster cannot hold one of the walls; without a reason, not any more.
    ///
    /// # Errors
    /// That there is none, or a reason that is too long.
    pub async fn accept_gap(
        &self,
        name: &ClusterName,
        gap: Gap,
        reason: &str,
    ) -> Result<Cluster, RegistryError> {
        check_reason(reason)?;
        self.change_cluster(name, None, |cluster| {
            if reason.is_empty() {
                cluster.accepted_gaps.remove(&gap);
            } else {
                cluster.accepted_gaps.insert(gap, reason.to_owned());
            }
        })
        .await
    }

    /// Confirms that every tenant of the cluster whose deletion was asked for until now may go; counting starts anew for what is
    /// asked for later.
    ///
    /// # Errors
    /// That there is no such cluster.
    pub async fn release_breaker(&self, name: &ClusterName) -> Result<(), RegistryError> {
        self.cluster(name).await?;
        let key = keys::breaker(name);
        for _ in 0..MOST_TRIES {
            // Before the record is read: what is deleted from here on is not confirmed.
            let revision = self.store.revision().await?;
            let (mut memory, txn) = match self.store.get(&key).await? {
                Some(entry) => (
                    load::breaker(&entry.value)?,
                    Txn::new().if_revision(key.clone(), entry.revision),
                ),
                None => (BreakerMemory::default(), Txn::new().if_absent(key.clone())),
            };
            memory.release(Released {
                at: self.clock.now(),
                revision,
            });
            if self
                .write(txn.put(key.clone(), load::encode_breaker(&memory)))
                .await?
                .is_some()
            {
                return Ok(());
            }
        }
        Err(contended("breaker of cluster", name.as_str()))
    }

    /// Takes a cluster that holds no tenant out of the fleet; its agent is not heard any more.
    ///
    /// # Errors
    /// That there is none, that tenants are placed there, or that it has changed meanwhile.
    pub async fn delete_cluster(
        &self,
        name: &ClusterName,
        etag: Option<Revision>,
    ) -> Result<(), RegistryError> {
        for _ in 0..MOST_TRIES {
            let cluster = self.cluster(name).await?;
            check_etag("cluster", name.as_str(), etag, cluster.revision)?;
            if let ClusterPurpose::Dedicated { tenant, .. } = &cluster.purpose {
                return Err(RegistryError::Precondition {
                    reason: "DEDICATED",
                    message: format!(
                        "cluster {name:?} was made for tenant {tenant:?} and goes with it; delete the tenant"
                    ),
                });
            }
            // Cordoned first, and by an earlier write: a placement that was decided meanwhile is in the store by the time
            // somebody sees the cordon and asks again.
            if !cluster.cordoned {
                return Err(RegistryError::Precondition {
                    reason: "NOT_CORDONED",
                    message: format!("cluster {name:?} takes new tenants; run berth cordon {name} first"),
                });
            }
            let placed = self.placed_on(name).await?;
            if let Some(first) = placed.first() {
                return Err(RegistryError::Precondition {
                    reason: "CLUSTER_IN_USE",
                    message: format!(
                        "cluster {name:?} holds {} tenant(s), such as {first:?}",
                        placed.len()
                    ),
                });
            }
            let key = keys::cluster(name);
            let mut txn = Txn::new()
                .if_revision(key.clone(), cluster.revision)
                .delete(key)
                .delete(keys::breaker(name));
            if !cluster.kubernetes_uid.is_empty() {
                txn = txn.delete(keys::kubernetes_uid(&cluster.kubernetes_uid));
            }
            if self.write(txn).await?.is_some() {
                return Ok(());
            }
        }
        Err(contended("cluster", name.as_str()))
    }

    async fn placed_on(&self, name: &ClusterName) -> Result<Vec<String>, RegistryError> {
        let mut placed = Vec::new();
        for entry in self.all(keys::PLACEMENTS).await? {
            if load::placed(&entry.value)?.1.placement.cluster() == name {
                placed.push(entry.key.name().to_owned());
            }
        }
        Ok(placed)
    }

    async fn change_cluster(
        &self,
        name: &ClusterName,
        etag: Option<Revision>,
        change: impl Fn(&mut Cluster),
    ) -> Result<Cluster, RegistryError> {
        for _ in 0..MOST_TRIES {
            let (old, key_sha256) = self.stored_cluster(name).await?;
            check_etag("cluster", name.as_str(), etag, old.revision)?;
            let mut cluster = old.clone();
            change(&mut cluster);
            if cluster == old {
                return Ok(old);
            }
            let value = load::encode_cluster(&cluster, &key_sha256);
            check_size("labels", value.len())?;
            let key = keys::cluster(name);
            if let Some(revision) = self
                .write(Txn::new().if_revision(key.clone(), old.revision).put(key, value))
                .await?
            {
                cluster.revision = revision;
                return Ok(cluster);
            }
        }
        Err(contended("cluster", name.as_str()))
    }

    pub(super) async fn stored_cluster(
        &self,
        name: &ClusterName,
    ) -> Result<(Cluster, String), RegistryError> {
        match self.store.get(&keys::cluster(name)).await? {
            Some(entry) => Ok(load::stored_cluster(&entry.value, entry.revision)?),
            None => Err(RegistryError::NotFound {
                kind: "cluster",
                name: name.to_string(),
            }),
        }
    }
}
