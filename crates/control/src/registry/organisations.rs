//! Organisations as the API writes them, and the sums of their tenants while something is written.

use std::{collections::BTreeMap, sync::Arc};

use berth_model::{
    Generation, Organisation, OrganisationName, OrganisationSpec, Revision, Tenant, TenantSpec, Tier,
    TierName, TierSpec, Violation,
};
use berth_plan::admit;
use berth_store::{Entry, Key, Txn};
use tokio::sync::MutexGuard;

use super::{Listed, MOST_TRIES, Registry, RegistryError, Shown, check_etag, check_size, contended, new_uid};
use crate::{keys, load};

/// What a change of an organisation is checked against.
struct Standing {
    /// Written by whoever changes what its tenants hold.
    mark: Option<Entry>,
    tenants: Vec<Tenant>,
    tiers: BTreeMap<TierName, Arc<Tier>>,
}

impl Registry {
    /// Adds an organisation.
    ///
    /// # Errors
    /// All faults at once, or that there is one.
    pub async fn create_organisation(
        &self,
        name: &str,
        spec: OrganisationSpec,
        validate_only: bool,
    ) -> Result<Organisation, RegistryError> {
        let id = organisation_name(name)?;
        let exists = || RegistryError::AlreadyExists {
            kind: "organisation",
            name: name.to_owned(),
        };
        let _turn = self.owners.lock().await;
        for _ in 0..MOST_TRIES {
            if self.store.get(&keys::organisation(&id)).await?.is_some() {
                return Err(exists());
            }
            let standing = self.standing(&id).await?;
            admit::organisation(name, &spec, None, &standing.tenants, &standing.tiers)
                .map_err(RegistryError::Invalid)?;
            let mut organisation = Organisation {
                name: id.clone(),
                uid: new_uid()?,
                generation: Generation(1),
                revision: Revision(0),
                spec: spec.clone(),
            };
            let value = load::encode_organisation(&organisation);
            check_size("spec", value.len())?;
            if validate_only {
                return Ok(organisation);
            }
            let key = keys::organisation(&id);
            let txn = unchanged(Txn::new(), keys::organisation_uses(&id), standing.mark.as_ref());
            if let Some(revision) = self.write(txn.if_absent(key.clone()).put(key, value)).await? {
                organisation.revision = revision;
                return Ok(organisation);
            }
        }
        Err(contended("organisation", name))
    }

    /// Replaces an organisation's spec.
    ///
    /// # Errors
    /// All faults at once, that there is none, or that it has changed meanwhile.
    pub async fn update_organisation(
        &self,
        name: &OrganisationName,
        spec: OrganisationSpec,
        etag: Option<Revision>,
        validate_only: bool,
        allow_missing: bool,
    ) -> Result<Organisation, RegistryError> {
        for _ in 0..MOST_TRIES {
            let old = match self.organisation(name).await {
                Err(RegistryError::NotFound { .. }) if allow_missing => {
                    let created = self.create_organisation(name.as_str(), spec.clone(), validate_only);
                    match created.await {
                        Err(RegistryError::AlreadyExists { .. }) => continue,
                        other => return other,
                    }
                }
                other => other?,
            };
            check_etag("organisation", name.as_str(), etag, old.revision)?;
            let _turn = self.owners.lock().await;
            let standing = self.standing(name).await?;
            admit::organisation(
                name.as_str(),
                &spec,
                Some(&old.spec),
                &standing.tenants,
                &standing.tiers,
            )
            .map_err(RegistryError::Invalid)?;
            if old.spec == spec {
                return Ok(old);
            }
            let mut organisation = Organisation {
                generation: old.generation.next(),
                spec: spec.clone(),
                ..old.clone()
            };
            let value = load::encode_organisation(&organisation);
            check_size("spec", value.len())?;
            if validate_only {
                return Ok(organisation);
            }
            let key = keys::organisation(name);
            let txn = unchanged(Txn::new(), keys::organisation_uses(name), standing.mark.as_ref());
            if let Some(revision) = self
                .write(txn.if_revision(key.clone(), old.revision).put(key, value))
                .await?
            {
                organisation.revision = revision;
                return Ok(organisation);
            }
        }
        Err(contended("organisation", name.as_str()))
    }

    /// Removes an organisation that no tenant belongs to.
    ///
    /// # Errors
    /// That there is none, that it has tenants, or that it has changed meanwhile.
    pub async fn delete_organisation(
        &self,
        name: &OrganisationName,
        etag: Option<Revision>,
    ) -> Result<(), RegistryError> {
        let _turn = self.owners.lock().await;
        for _ in 0..MOST_TRIES {
            let organisation = self.organisation(name).await?;
            check_etag("organisation", name.as_str(), etag, organisation.revision)?;
            let standing = self.standing(name).await?;
            if let Some(first) = standing.tenants.first() {
                return Err(RegistryError::Precondition {
                    reason: "ORGANISATION_IN_USE",
                    message: format!(
                        "organisation {:?} has {} tenant(s), such as {:?}; move or delete them first",
                        name.as_str(),
                        standing.tenants.len(),
                        first.id.as_str()
                    ),
                });
            }
            let key = keys::organisation(name);
            let mark = keys::organisation_uses(name);
            let mut txn = unchanged(Txn::new(), mark.clone(), standing.mark.as_ref())
                .if_revision(key.clone(), organisation.revision)
                .delete(key);
            if standing.mark.is_some() {
                txn = txn.delete(mark);
            }
            if self.write(txn).await?.is_some() {
                return Ok(());
            }
        }
        Err(contended("organisation", name.as_str()))
    }

    /// One organisation.
    ///
    /// # Errors
    /// That there is none.
    pub async fn organisation(&self, name: &OrganisationName) -> Result<Organisation, RegistryError> {
        match self.store.get(&keys::organisation(name)).await? {
            Some(entry) => Ok(load::organisation(&entry.value, entry.revision)?),
            None => Err(RegistryError::NotFound {
                kind: "organisation",
                name: name.to_string(),
            }),
        }
    }

    /// Organisations in order of name, those of them that `shown` takes.
    ///
    /// # Errors
    /// When `after` is no token of this list.
    pub async fn organisations(
        &self,
        after: Option<&str>,
        limit: usize,
        shown: Option<Shown<'_, Organisation>>,
    ) -> Result<Listed<Organisation>, RegistryError> {
        let read = |entry: &Entry| load::organisation(&entry.value, entry.revision);
        self.page_of(keys::ORGANISATIONS, after, limit, read, shown).await
    }

    /// All tiers, by name.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub async fn all_tiers(&self) -> Result<BTreeMap<TierName, Arc<Tier>>, RegistryError> {
        let mut tiers = BTreeMap::new();
        for entry in self.all(keys::TIERS).await? {
            let tier = load::tier(&entry.value, entry.revision)?;
            tiers.insert(tier.name.clone(), Arc::new(tier));
        }
        Ok(tiers)
    }

    /// All tenants whose owner names an organisation.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub async fn owned_tenants(&self) -> Result<Vec<Tenant>, RegistryError> {
        let mut found = Vec::new();
        for entry in self.all(keys::TENANTS).await? {
            let tenant = load::tenant(&entry.value, entry.revision)?;
            if !tenant.spec.owner.organisation.is_empty() {
                found.push(tenant);
            }
        }
        Ok(found)
    }

    /// Held by one writer at a time where an organisation's sums are at stake, so that many at once take turns and do not try again
    /// for ever. What is true is decided by the compare in [`Registry::in_organisation`], which holds between hubs too.
    pub(super) async fn turn(&self, spec: &TenantSpec) -> Result<Option<MutexGuard<'_, ()>>, RegistryError> {
        let Ok(name) = OrganisationName::new(&*spec.owner.organisation) else {
            return Ok(None);
        };
        let exists = self.store.get(&keys::organisation(&name)).await?.is_some();
        Ok(if exists {
            Some(self.owners.lock().await)
        } else {
            None
        })
    }

    /// Puts the organisations into `catalogue`, with the tenants of the one that `spec` names, and says what keeps that true until
    /// the write.
    pub(super) async fn in_organisation(
        &self,
        spec: &TenantSpec,
        catalogue: &mut admit::Catalogue,
        mut txn: Txn,
    ) -> Result<Txn, RegistryError> {
        let own = OrganisationName::new(&*spec.owner.organisation).ok();
        // The mark before the tenants: one that comes in after this look changes it.
        let mark = match &own {
            Some(own) => self.store.get(&keys::organisation_uses(own)).await?,
            None => None,
        };
        for entry in self.all(keys::ORGANISATIONS).await? {
            let organisation = load::organisation(&entry.value, entry.revision)?;
            catalogue
                .organisations
                .insert(organisation.name.clone(), Arc::new(organisation));
        }
        let Some(own) = own else { return Ok(txn) };
        let key = keys::organisation(&own);
        let uses = keys::organisation_uses(&own);
        txn = match catalogue.organisations.get(&own) {
            Some(organisation) => {
                catalogue.neighbours = self.tenants_of_organisation(&own).await?;
                unchanged(txn, uses.clone(), mark.as_ref()).if_revision(key, organisation.revision)
            }
            None => txn.if_absent(key),
        };
        Ok(txn.put(uses, load::use_mark()))
    }

    /// Held while a tier is changed that tenants of organisations may have.
    pub(super) async fn owners_turn(&self) -> MutexGuard<'_, ()> {
        self.owners.lock().await
    }

    /// Checks that every organisation still has room for its tenants when their tier becomes `spec`; what is added to `txn` keeps
    /// that true until the write.
    pub(super) async fn tier_in_organisations(
        &self,
        tier: &TierName,
        spec: &TierSpec,
        mut txn: Txn,
    ) -> Result<Txn, RegistryError> {
        let mut faults = Vec::new();
        for entry in self.all(keys::ORGANISATIONS).await? {
            let organisation = load::organisation(&entry.value, entry.revision)?;
            let standing = self.standing(&organisation.name).await?;
            if !standing.tenants.iter().any(|tenant| tenant.spec.tier == *tier) {
                continue;
            }
            let checked = admit::tier_in_organisation(
                (organisation.name.as_str(), &organisation.spec),
                &standing.tenants,
                &standing.tiers,
                (tier, spec),
            );
            faults.extend(checked.err().unwrap_or_default());
            let uses = keys::organisation_uses(&organisation.name);
            txn = unchanged(txn, uses, standing.mark.as_ref())
                .if_revision(keys::organisation(&organisation.name), organisation.revision);
        }
        if faults.is_empty() {
            Ok(txn)
        } else {
            Err(RegistryError::Invalid(faults))
        }
    }

    async fn standing(&self, name: &OrganisationName) -> Result<Standing, RegistryError> {
        // The mark first: a tenant that comes in after this look changes it.
        let mark = self.store.get(&keys::organisation_uses(name)).await?;
        Ok(Standing {
            mark,
            tenants: self.tenants_of_organisation(name).await?,
            tiers: self.all_tiers().await?,
        })
    }

    /// The tenants whose owner names the organisation, the ones being deleted included.
    async fn tenants_of_organisation(&self, name: &OrganisationName) -> Result<Vec<Tenant>, RegistryError> {
        let mut found = self.owned_tenants().await?;
        found.retain(|tenant| tenant.spec.owner.organisation == name.as_str());
        Ok(found)
    }
}

/// `txn`, if the mark is still what it was.
fn unchanged(txn: Txn, key: Key, mark: Option<&Entry>) -> Txn {
    match mark {
        Some(mark) => txn.if_revision(key, mark.revision),
        None => txn.if_absent(key),
    }
}

fn organisation_name(name: &str) -> Result<OrganisationName, RegistryError> {
    OrganisationName::new(name)
        .map_err(|error| RegistryError::Invalid(vec![Violation::new("name", error.to_string(), "")]))
}
