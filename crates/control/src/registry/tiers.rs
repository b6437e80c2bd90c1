//! Tiers as the API writes them.

use std::collections::BTreeSet;

use berth_model::{BundleRef, Generation, Revision, Tier, TierName, TierSpec, Violation};
use berth_plan::admit;
use berth_store::Txn;

use super::{Listed, MOST_TRIES, Registry, RegistryError, check_etag, check_size, contended, new_uid};
use crate::{keys, load};

impl Registry {
    /// Adds a tier.
    ///
    /// # Errors
    /// All faults at once, or that there is one.
    pub async fn create_tier(
        &self,
        name: &str,
        spec: TierSpec,
        validate_only: bool,
    ) -> Result<Tier, RegistryError> {
        admit::tier(name, &spec).map_err(RegistryError::Invalid)?;
        let marks = self.tier_bundles(&spec).await?;
        let name = tier_name(name)?;
        let mut tier = Tier {
            name: name.clone(),
            uid: new_uid()?,
            generation: Generation(1),
            revision: Revision(0),
            spec,
        };
        let value = load::encode_tier(&tier);
        check_size("spec", value.len())?;
        let key = keys::tier(&name);
        if self.store.get(&key).await?.is_some() {
            return Err(RegistryError::AlreadyExists {
                kind: "tier",
                name: name.to_string(),
            });
        }
        if validate_only {
            return Ok(tier);
        }
        match self.write(marks.if_absent(key.clone()).put(key, value)).await? {
            Some(revision) => {
                tier.revision = revision;
                Ok(tier)
            }
            None => Err(RegistryError::AlreadyExists {
                kind: "tier",
                name: name.to_string(),
            }),
        }
    }

    /// Replaces a tier's spec. Tenants follow on their own next change.
    ///
    /// # Errors
    /// All faults at once, that there is none, or that it has changed meanwhile.
    pub async fn update_tier(
        &self,
        name: &str,
        spec: TierSpec,
        etag: Option<Revision>,
        validate_only: bool,
        allow_missing: bool,
    ) -> Result<Tier, RegistryError> {
        for _ in 0..MOST_TRIES {
            let id = tier_name(name)?;
            let old = match self.tier(&id).await {
                Err(RegistryError::NotFound { .. }) if allow_missing => {
                    match self.create_tier(name, spec.clone(), validate_only).await {
                        Err(RegistryError::AlreadyExists { .. }) => continue,
                        other => return other,
                    }
                }
                other => other?,
            };
            check_etag("tier", name, etag, old.revision)?;
            admit::tier(name, &spec).map_err(RegistryError::Invalid)?;
            admit::tier_update(&old, &spec).map_err(RegistryError::Invalid)?;
            let marks = self.tier_bundles(&spec).await?;
            if old.spec == spec {
                return Ok(old);
            }
            let mut tier = Tier {
                generation: old.generation.next(),
                spec: spec.clone(),
                ..old.clone()
            };
            let value = load::encode_tier(&tier);
            check_size("spec", value.len())?;
            // What tenants do not say themselves they take from the tier: their organisations must have room for what these become.
            let _turn = self.owners_turn().await;
            let marks = self.tier_in_organisations(&id, &spec, marks).await?;
            if validate_only {
                return Ok(tier);
            }
            let key = keys::tier(&id);
            if let Some(revision) = self
                .write(marks.if_revision(key.clone(), old.revision).put(key, value))
                .await?
            {
                tier.revision = revision;
                return Ok(tier);
            }
        }
        Err(contended("tier", name))
    }

    /// Checks what a tier's tenants would run; the conditions and marks keep it there until the write.
    async fn tier_bundles(&self, spec: &TierSpec) -> Result<Txn, RegistryError> {
        let mut catalogue = admit::Catalogue::default();
        let mut txn = Txn::new();
        let mut marked = BTreeSet::new();
        for entry in self.all(keys::BUNDLES).await? {
            let bundle = load::bundle_header(&entry.value, entry.revision)?;
            let this = |used: &BundleRef| used.name == bundle.name && used.version == bundle.version;
            if spec.bundles.iter().any(this) && marked.insert((bundle.name.clone(), bundle.version.clone())) {
                txn = txn
                    .if_exists(keys::bundle(&bundle.name, &bundle.version))
                    .put(keys::bundle_uses(&bundle.name, &bundle.version), load::use_mark());
            }
            catalogue
                .bundles
                .insert((bundle.name, bundle.version), bundle.spec.parameters);
        }
        admit::tier_bundles(&catalogue, spec).map_err(RegistryError::Invalid)?;
        Ok(txn)
    }

    /// Removes a tier that no tenant uses.
    ///
    /// # Errors
    /// That there is none, that it is in use, or that it has changed meanwhile.
    pub async fn delete_tier(&self, name: &TierName, etag: Option<Revision>) -> Result<(), RegistryError> {
        for _ in 0..MOST_TRIES {
            // The mark first: a tenant that comes in after this look changes it.
            let mark = self.store.get(&keys::tier_uses(name)).await?;
            let tier = self.tier(name).await?;
            check_etag("tier", name.as_str(), etag, tier.revision)?;
            let users = self.tenants_of_tier(name).await?;
            if let Some(first) = users.first() {
                return Err(RegistryError::Precondition {
                    reason: "TIER_IN_USE",
                    message: format!(
                        "tier {name:?} is used by {} tenant(s), such as {first:?}; move or delete them first",
                        users.len()
                    ),
                });
            }
            let mut txn = Txn::new()
                .if_revision(keys::tier(name), tier.revision)
                .delete(keys::tier(name));
            txn = match mark {
                Some(mark) => txn
                    .if_revision(keys::tier_uses(name), mark.revision)
                    .delete(keys::tier_uses(name)),
                None => txn.if_absent(keys::tier_uses(name)),
            };
            if self.write(txn).await?.is_some() {
                return Ok(());
            }
        }
        Err(contended("tier", name.as_str()))
    }

    /// One tier.
    ///
    /// # Errors
    /// That there is none.
    pub async fn tier(&self, name: &TierName) -> Result<Tier, RegistryError> {
        match self.store.get(&keys::tier(name)).await? {
            Some(entry) => Ok(load::tier(&entry.value, entry.revision)?),
            None => Err(RegistryError::NotFound {
                kind: "tier",
                name: name.to_string(),
            }),
        }
    }

    /// Tiers in order of name.
    ///
    /// # Errors
    /// When `after` is no token of this list.
    pub async fn tiers(&self, after: Option<&str>, limit: usize) -> Result<Listed<Tier>, RegistryError> {
        let (entries, next) = self.page(keys::TIERS, after, limit).await?;
        let items = entries
            .iter()
            .map(|entry| load::tier(&entry.value, entry.revision))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Listed { items, next })
    }

    /// Ids of the tenants of a tier.
    async fn tenants_of_tier(&self, name: &TierName) -> Result<Vec<String>, RegistryError> {
        let mut users = Vec::new();
        for entry in self.all(keys::TENANTS).await? {
            let tenant = load::tenant(&entry.value, entry.revision)?;
            if tenant.spec.tier == *name {
                users.push(tenant.id.to_string());
            }
        }
        Ok(users)
    }
}

fn tier_name(name: &str) -> Result<TierName, RegistryError> {
    TierName::new(name)
        .map_err(|error| RegistryError::Invalid(vec![Violation::new("name", error.to_string(), "")]))
}
