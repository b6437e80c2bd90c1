//! Tenants as the API writes them.

use std::collections::BTreeMap;

use berth_model::{
    Bundle, BundleName, BundleRef, BundleVersion, ClusterName, Generation, Isolation, Placement, PoolName,
    Revision, Tenant, TenantId, TenantSpec, Violation,
};
use berth_plan::admit;
use berth_store::{Entry, Txn};

use super::{Listed, MOST_TRIES, Registry, RegistryError, Shown, check_etag, check_size, contended, new_uid};
use crate::{keys, load};

/// Requests remembered per tenant, so that repeating one is answered the same (AIP-155).
const REQUESTS: usize = 8;

/// A tenant as accepted, and things to know that stop nothing.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The tenant.
    pub tenant: Tenant,
    /// Things to know.
    pub warnings: Vec<String>,
}

/// A change of a tenant's spec.
pub struct TenantChange<F> {
    /// Which tenant.
    pub id: String,
    /// The new spec, made of the old one; none when there is no tenant yet.
    pub change: F,
    /// The version the caller saw, if that matters to it.
    pub etag: Option<Revision>,
    /// Makes the request repeatable; empty does not.
    pub request_id: String,
    /// Only check.
    pub validate_only: bool,
    /// Create it when it does not exist.
    pub allow_missing: bool,
}

impl Registry {
    /// Accepts a new tenant.
    ///
    /// # Errors
    /// All faults at once, or that there is one.
    pub async fn create_tenant(
        &self,
        id: &str,
        spec: TenantSpec,
        request_id: &str,
        validate_only: bool,
    ) -> Result<Accepted, RegistryError> {
        for _ in 0..MOST_TRIES {
            if let Ok(known) = TenantId::new(id)
                && let Some(stored) = self.stored(&known).await?
            {
                if !request_id.is_empty() && stored.request_ids.iter().any(|seen| seen == request_id) {
                    return Ok(Accepted {
                        tenant: stored.tenant,
                        warnings: Vec::new(),
                    });
                }
                return Err(RegistryError::AlreadyExists {
                    kind: "tenant",
                    name: id.to_owned(),
                });
            }
            let _turn = self.turn(&spec).await?;
            let Ground {
                catalogue,
                bundles,
                mut txn,
            } = self.ground(&spec).await?;
            let warnings = admit::tenant(&catalogue, id, &spec, None).map_err(RegistryError::Invalid)?;
            let id = TenantId::new(id).map_err(|error| invalid("name", &error.to_string()))?;
            let mut tenant = Tenant {
                id: id.clone(),
                uid: new_uid()?,
                generation: Generation(1),
                revision: Revision(0),
                created_at: self.clock.now(),
                deleting_since: None,
                spec: spec.clone(),
            };
            renders(&tenant, &catalogue, &bundles)?;
            let value = load::encode_tenant(&tenant, requests(&[], request_id));
            check_size("spec", value.len())?;
            if validate_only {
                return Ok(Accepted { tenant, warnings });
            }
            txn = txn.if_absent(keys::tenant(&id)).put(keys::tenant(&id), value);
            if let Some(revision) = self.write(txn).await? {
                tenant.revision = revision;
                return Ok(Accepted { tenant, warnings });
            }
        }
        Err(contended("tenant", id))
    }

    /// Changes a tenant's spec. The same spec again changes nothing and raises nothing.
    ///
    /// # Errors
    /// All faults at once, that there is none, that it has changed meanwhile, or that it is being deleted.
    pub async fn update_tenant<F>(&self, update: TenantChange<F>) -> Result<Accepted, RegistryError>
    where
        F: Fn(Option<&TenantSpec>) -> Result<TenantSpec, RegistryError>,
    {
        let TenantChange {
            id,
            change,
            etag,
            request_id,
            validate_only,
            allow_missing,
        } = update;
        for _ in 0..MOST_TRIES {
            let known = TenantId::new(id.clone()).map_err(|error| invalid("name", &error.to_string()))?;
            let Some(stored) = self.stored(&known).await? else {
                if allow_missing {
                    let spec = change(None)?;
                    match self.create_tenant(&id, spec, &request_id, validate_only).await {
                        // Somebody else created it just now: it is an update after all.
                        Err(RegistryError::AlreadyExists { .. }) => continue,
                        other => return other,
                    }
                }
                return Err(RegistryError::NotFound {
                    kind: "tenant",
                    name: id,
                });
            };
            let old = stored.tenant;
            if !request_id.is_empty() && stored.request_ids.contains(&request_id) {
                return Ok(Accepted {
                    tenant: old,
                    warnings: Vec::new(),
                });
            }
            check_etag("tenant", &id, etag, old.revision)?;
            if old.deleting_since.is_some() {
                return Err(RegistryError::Precondition {
                    reason: "BEING_DELETED",
                    message: format!(
                        "tenant {id:?} is being deleted; wait until it is gone (berth wait tenant/{id} --for=delete)"
                    ),
                });
            }
            let spec = change(Some(&old.spec))?;
            let _turn = self.turn(&spec).await?;
            let Ground {
                catalogue,
                bundles,
                mut txn,
            } = self.ground(&spec).await?;
            let warnings =
                admit::tenant(&catalogue, &id, &spec, Some(&old)).map_err(RegistryError::Invalid)?;
            if spec == old.spec {
                return Ok(Accepted {
                    tenant: old,
                    warnings,
                });
            }
            let mut tenant = Tenant {
                generation: old.generation.next(),
                spec,
                ..old.clone()
            };
            renders(&tenant, &catalogue, &bundles)?;
            let value = load::encode_tenant(&tenant, requests(&stored.request_ids, &request_id));
            check_size("spec", value.len())?;
            if validate_only {
                return Ok(Accepted { tenant, warnings });
            }
            txn = txn
                .if_revision(keys::tenant(&known), old.revision)
                .put(keys::tenant(&known), value);
            if let Some(revision) = self.write(txn).await? {
                tenant.revision = revision;
                return Ok(Accepted { tenant, warnings });
            }
        }
        Err(contended("tenant", id))
    }

    /// Asks for deletion. Asking again changes nothing.
    ///
    /// # Errors
    /// That there is none, or that it has changed meanwhile.
    pub async fn delete_tenant(
        &self,
        id: &TenantId,
        etag: Option<Revision>,
        validate_only: bool,
    ) -> Result<Tenant, RegistryError> {
        for _ in 0..MOST_TRIES {
            let Some(stored) = self.stored(id).await? else {
                return Err(RegistryError::NotFound {
                    kind: "tenant",
                    name: id.to_string(),
                });
            };
            let mut tenant = stored.tenant;
            check_etag("tenant", id.as_str(), etag, tenant.revision)?;
            if tenant.deleting_since.is_some() {
                return Ok(tenant);
            }
            let before = tenant.revision;
            tenant.deleting_since = Some(self.clock.now());
            tenant.generation = tenant.generation.next();
            if validate_only {
                return Ok(tenant);
            }
            let value = load::encode_tenant(&tenant, stored.request_ids);
            let txn = Txn::new()
                .if_revision(keys::tenant(id), before)
                .put(keys::tenant(id), value);
            if let Some(revision) = self.write(txn).await? {
                tenant.revision = revision;
                return Ok(tenant);
            }
        }
        Err(contended("tenant", id.as_str()))
    }

    /// One tenant.
    ///
    /// # Errors
    /// That there is none.
    pub async fn tenant(&self, id: &TenantId) -> Result<Tenant, RegistryError> {
        let stored = self.stored(id).await?;
        stored
            .map(|stored| stored.tenant)
            .ok_or_else(|| RegistryError::NotFound {
                kind: "tenant",
                name: id.to_string(),
            })
    }

    /// Tenants in order of id, those of them that `shown` takes.
    ///
    /// # Errors
    /// When `after` is no token of this list.
    pub async fn tenants(
        &self,
        after: Option<&str>,
        limit: usize,
        shown: Option<Shown<'_, Tenant>>,
    ) -> Result<Listed<Tenant>, RegistryError> {
        let read = |entry: &Entry| load::tenant(&entry.value, entry.revision);
        self.page_of(keys::TENANTS, after, limit, read, shown).await
    }

    async fn stored(&self, id: &TenantId) -> Result<Option<load::StoredTenant>, RegistryError> {
        match self.store.get(&keys::tenant(id)).await? {
            None => Ok(None),
            Some(entry) => Ok(Some(load::stored_tenant(&entry.value, entry.revision)?)),
        }
    }

    /// What `spec` is admitted against, and the conditions and marks that keep it true until the write.
    async fn ground(&self, spec: &TenantSpec) -> Result<Ground, RegistryError> {
        let mut catalogue = admit::Catalogue::default();
        let mut bundles = Bundles::new();
        let mut txn = Txn::new();
        catalogue.tiers = self.all_tiers().await?;
        if catalogue.tiers.contains_key(&spec.tier) {
            txn = txn
                .if_exists(keys::tier(&spec.tier))
                .put(keys::tier_uses(&spec.tier), load::use_mark());
        }
        let tier = catalogue.tiers.get(&spec.tier).cloned();
        let of_tier = tier.iter().flat_map(|tier| &tier.spec.bundles);
        for reference in of_tier.chain(&spec.bundles) {
            let key = (reference.name.clone(), reference.version.clone());
            if bundles.contains_key(&key) {
                continue;
            }
            if let Some(bundle) = load::bundle(self.store.as_ref(), &key.0, &key.1).await? {
                txn = txn
                    .if_exists(keys::bundle(&key.0, &key.1))
                    .put(keys::bundle_uses(&key.0, &key.1), load::use_mark());
                catalogue
                    .bundles
                    .insert(key.clone(), bundle.spec.parameters.clone());
                bundles.insert(key, bundle);
            }
        }
        // The others too, so that a name that is nearly right is answered with the right one.
        for entry in self.all(keys::BUNDLES).await? {
            let header = load::bundle_header(&entry.value, entry.revision)?;
            catalogue
                .bundles
                .entry((header.name, header.version))
                .or_insert(header.spec.parameters);
        }
        txn = self.in_organisation(spec, &mut catalogue, txn).await?;
        Ok(Ground {
            catalogue,
            bundles,
            txn,
        })
    }
}

type Bundles = BTreeMap<(BundleName, BundleVersion), Bundle>;

/// What a spec stands on.
struct Ground {
    catalogue: admit::Catalogue,
    bundles: Bundles,
    txn: Txn,
}

/// Renders the tenant as if it were placed, so that what cannot be rendered is refused now and not found out later.
fn renders(tenant: &Tenant, catalogue: &admit::Catalogue, bundles: &Bundles) -> Result<(), RegistryError> {
    let Some(tier) = catalogue.tiers.get(&tenant.spec.tier) else {
        return Ok(());
    };
    let name = |error: berth_model::InvalidId| invalid("name", &error.to_string());
    let cluster = ClusterName::new("any").map_err(name)?;
    let placement = match tier.spec.isolation {
        Isolation::Namespace => Placement::Namespace { cluster },
        Isolation::NodePool => Placement::NodePool {
            cluster,
            pool: PoolName::new("any").map_err(name)?,
        },
        Isolation::Cluster => Placement::Cluster { cluster },
    };
    let used: Vec<(&BundleRef, &Bundle)> = berth_model::bundle::used(&tenant.spec, &tier.spec)
        .into_iter()
        .filter_map(|reference| {
            Some((
                reference,
                bundles.get(&(reference.name.clone(), reference.version.clone()))?,
            ))
        })
        .collect();
    let input = berth_render::Input {
        tenant,
        tier,
        placement: &placement,
        bundles: &used,
        istio: true,
    };
    berth_render::render(&input)
        .map(|_| ())
        .map_err(RegistryError::Invalid)
}

fn requests(seen: &[String], request_id: &str) -> Vec<String> {
    let mut all = seen.to_vec();
    if !request_id.is_empty() {
        all.push(request_id.to_owned());
    }
    let surplus = all.len().saturating_sub(REQUESTS);
    all.split_off(surplus)
}

fn invalid(path: &str, problem: &str) -> RegistryError {
    RegistryError::Invalid(vec![Violation::new(path, problem, "")])
}
