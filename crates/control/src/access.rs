//! Who may do what, as the store says it at this moment: all role bindings and what selectors go by, in memory.
//!
//! [`berth_plan::authorize`] decides; this follows the store for it, on hubs that lead and on those that do not.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use berth_identity::{Caller, Principal};
use berth_model::{ClusterName, ClusterPurpose, Revision, RoleBinding, RoleBindingName, TenantId, Traits};
use berth_plan::authorize::{Bindings, Denied, Grants, Object};
use berth_runtime::{CancellationToken, Clock};
use berth_store::{Store, StoreError};
use futures::StreamExt as _;
use tokio::sync::watch;
use tracing::{error, warn};

use crate::{
    keys,
    load::{self, RecordProblem},
};

/// Between two attempts to follow a store that does not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// Decides on calls. Copies are the same one.
#[derive(Clone, Debug, Default)]
pub struct Authorizer {
    known: Arc<RwLock<Known>>,
    progress: Arc<watch::Sender<Progress>>,
}

#[derive(Debug, Default)]
struct Known {
    bindings: Bindings,
    tenants: BTreeMap<TenantId, Traits>,
    /// Clusters that were made for one tenant.
    dedicated: BTreeMap<ClusterName, TenantId>,
}

/// How far the store was followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    loaded: bool,
    revision: Revision,
    /// Raised by every change of a binding.
    bindings: u64,
}

/// The bindings were not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub has not read its role bindings yet; ask again in a moment")]
pub struct NotReady;

/// What a permission is asked for, by name.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// The fleet as a whole, or something that nobody but the fleet owns.
    Fleet,
    /// Whatever there is of a kind.
    Any,
    /// A tenant.
    Tenant(&'a str),
    /// An organisation as a whole.
    Organisation(&'a str),
    /// A cluster: its tenant's when it was made for one, else the fleet's.
    Cluster(&'a str),
}

impl Authorizer {
    /// What a caller holds.
    ///
    /// # Errors
    /// Nothing is known yet, and the caller's credential is not the one that needs no binding.
    pub fn grants(&self, caller: &Caller) -> Result<Grants, NotReady> {
        if caller.breaks_glass() {
            return Ok(Grants::everything());
        }
        self.held_by(&caller.principal, &caller.groups)
    }

    /// What somebody of that name, in these groups, holds by bindings.
    ///
    /// # Errors
    /// Nothing is known yet.
    pub fn held_by(&self, principal: &Principal, groups: &[String]) -> Result<Grants, NotReady> {
        self.held_by_subject(&principal.to_string(), groups)
    }

    /// The same for a subject as bindings write it.
    ///
    /// # Errors
    /// Nothing is known yet.
    pub fn held_by_subject(&self, subject: &str, groups: &[String]) -> Result<Grants, NotReady> {
        if !self.progress.borrow().loaded {
            return Err(NotReady);
        }
        let groups: Vec<String> = groups.iter().map(|group| format!("group:{group}")).collect();
        let subjects = std::iter::once(subject).chain(groups.iter().map(String::as_str));
        Ok(self.read().bindings.held_by(subjects))
    }

    /// Whether `permission` is among `grants` for `resource`: by which binding, none where no binding is needed.
    ///
    /// # Errors
    /// Why not.
    pub fn decide<'g>(
        &self,
        grants: &'g Grants,
        permission: &str,
        resource: Resource<'_>,
    ) -> Result<Option<&'g RoleBinding>, Denied> {
        let known = self.read();
        let tenant = |id| Object::Tenant {
            id,
            traits: known.traits(id),
        };
        let object = match resource {
            Resource::Fleet => Object::Fleet,
            Resource::Any => Object::Any,
            Resource::Organisation(name) => Object::Organisation(name),
            Resource::Tenant(id) => tenant(id),
            Resource::Cluster(name) => {
                let name = ClusterName::new(name).ok();
                let made_for = name.and_then(|name| known.dedicated.get(&name));
                made_for.map_or(Object::Fleet, |id| tenant(id.as_str()))
            }
        };
        grants.decide(permission, object)
    }

    /// Whether a tenant of that name is known.
    #[must_use]
    pub fn knows(&self, tenant: &str) -> bool {
        self.read().traits(tenant).is_some()
    }

    /// A number that is another one after every change of a binding.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.progress.borrow().bindings
    }

    /// Returns when [`Authorizer::generation`] is not `seen` any more.
    pub async fn changed(&self, seen: u64) {
        let mut progress = self.progress.subscribe();
        // The sender lives in this very handle.
        let _ = progress.wait_for(|progress| progress.bindings != seen).await;
    }

    /// Returns when what was written at `revision` counts.
    pub async fn reached(&self, revision: Revision) {
        let mut progress = self.progress.subscribe();
        let _ = progress.wait_for(|progress| progress.revision >= revision).await;
    }

    /// Follows the store until `cancel`. While it does not answer, what was known last counts.
    pub async fn follow(self, store: Arc<dyn Store>, clock: Arc<dyn Clock>, cancel: CancellationToken) {
        loop {
            let followed = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                followed = self.once(store.as_ref()) => followed,
            };
            if let Err(error) = followed {
                warn!(%error, "role bindings cannot be followed; what was known last counts");
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = clock.sleep(AGAIN) => {}
            }
        }
    }

    /// Reads everything and follows until the watch ends.
    async fn once(&self, store: &dyn Store) -> Result<(), StoreError> {
        // Before anything is listed: what is written meanwhile comes by the watch again, and is the same.
        let revision = store.revision().await?;
        let mut fresh = Known::default();
        for shelf in [keys::ROLE_BINDINGS, keys::TENANTS, keys::CLUSTERS] {
            for entry in load::all(store, shelf).await?.0 {
                fresh.take(entry.key.as_str(), Some(&entry.value), entry.revision);
            }
        }
        let mut watch = store.watch(revision).await?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        self.progress.send_modify(|progress| {
            progress.loaded = true;
            progress.revision = progress.revision.max(revision);
            progress.bindings += 1;
        });
        while let Some(change) = watch.next().await {
            let change = change?;
            let key = change.key.as_str();
            self.known.write().unwrap_or_else(PoisonError::into_inner).take(
                key,
                change.put.as_deref(),
                change.revision,
            );
            self.progress.send_modify(|progress| {
                progress.revision = progress.revision.max(change.revision);
                progress.bindings += u64::from(key.starts_with(keys::ROLE_BINDINGS));
            });
        }
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn traits(&self, tenant: &str) -> Option<&Traits> {
        self.tenants.get(&TenantId::new(tenant).ok()?)
    }

    /// Takes one changed key. A record that cannot be read gives nothing.
    fn take(&mut self, key: &str, value: Option<&[u8]>, revision: Revision) {
        if let Err(problem) = self.try_take(key, value, revision) {
            error!(%key, %revision, error = %problem, "a record cannot be read and gives nobody anything");
        }
    }

    fn try_take(&mut self, key: &str, value: Option<&[u8]>, revision: Revision) -> Result<(), RecordProblem> {
        if let Some(name) = key.strip_prefix(keys::ROLE_BINDINGS) {
            let name: RoleBindingName = load::name(name)?;
            self.bindings.remove(&name);
            if let Some(value) = value {
                self.bindings.put(load::role_binding(value, revision)?);
            }
        } else if let Some(id) = key.strip_prefix(keys::TENANTS) {
            let id = load::id(id)?;
            self.tenants.remove(&id);
            if let Some(value) = value {
                let tenant = load::tenant(value, revision)?;
                self.tenants.insert(id, Traits::of(&tenant.spec));
            }
        } else if let Some(name) = key.strip_prefix(keys::CLUSTERS) {
            let name: ClusterName = load::name(name)?;
            self.dedicated.remove(&name);
            if let Some(value) = value
                && let ClusterPurpose::Dedicated { tenant, .. } = load::cluster(value, revision)?.purpose
            {
                self.dedicated.insert(name, tenant);
            }
        }
        Ok(())
    }
}
