//! Bundles as the API writes them. A version never changes.

use berth_model::{Bundle, BundleName, BundleVersion, Revision, Violation, bundle::BundleSpec};
use berth_store::Txn;

use super::{Listed, MOST_TRIES, Registry, RegistryError, check_size, contended, new_uid};
use crate::{keys, load};

/// Manifests of one version, compressed, at most: parts of one transaction.
const MOST_PARTS: usize = 64;

impl Registry {
    /// Adds a version. The same content again answers the same.
    ///
    /// # Errors
    /// All faults at once, or that the version is taken by other content.
    pub async fn create_bundle(
        &self,
        name: &str,
        version: &str,
        spec: BundleSpec,
        validate_only: bool,
    ) -> Result<Bundle, RegistryError> {
        let mut violations = berth_render::bundle::check(&spec);
        let name = BundleName::new(name)
            .map_err(|error| violations.push(Violation::new("metadata.name", error.to_string(), "")));
        let version = BundleVersion::new(version)
            .map_err(|error| violations.push(Violation::new("metadata.version", error.to_string(), "")));
        let (Ok(name), Ok(version)) = (name, version) else {
            return Err(RegistryError::Invalid(violations));
        };
        if !violations.is_empty() {
            return Err(RegistryError::Invalid(violations));
        }
        if let Some(old) = load::bundle(self.store.as_ref(), &name, &version).await? {
            return same(old, &spec);
        }
        let mut bundle = Bundle {
            name: name.clone(),
            version: version.clone(),
            uid: new_uid()?,
            revision: Revision(0),
            created_at: self.clock.now(),
            spec,
        };
        let (header, parts) = load::encode_bundle(&bundle)?;
        check_size("spec.parameters", header.len())?;
        if parts.len() > MOST_PARTS {
            return Err(RegistryError::Invalid(vec![Violation::new(
                "spec.manifests",
                format!(
                    "are {} KiB compressed, {} are the most",
                    parts.len() * 15,
                    MOST_PARTS * 15
                ),
                "split the bundle",
            )]));
        }
        if validate_only {
            return Ok(bundle);
        }
        let key = keys::bundle(&name, &version);
        let mut txn = Txn::new().if_absent(key.clone()).put(key, header);
        for (key, part) in parts {
            txn = txn.put(key, part);
        }
        if let Some(revision) = self.write(txn).await? {
            bundle.revision = revision;
            return Ok(bundle);
        }
        match load::bundle(self.store.as_ref(), &name, &version).await? {
            Some(old) => same(old, &bundle.spec),
            None => Err(contended("bundle", format!("{name} {version}"))),
        }
    }

    /// Removes a version that no tenant uses.
    ///
    /// # Errors
    /// That there is none, or that it is in use.
    pub async fn delete_bundle(
        &self,
        name: &BundleName,
        version: &BundleVersion,
    ) -> Result<(), RegistryError> {
        for _ in 0..MOST_TRIES {
            let mark = self.store.get(&keys::bundle_uses(name, version)).await?;
            let bundle = self.bundle(name, version).await?;
            for entry in self.all(keys::TIERS).await? {
                let tier = load::tier(&entry.value, entry.revision)?;
                if tier
                    .spec
                    .bundles
                    .iter()
                    .any(|used| used.name == *name && used.version == *version)
                {
                    return Err(RegistryError::Precondition {
                        reason: "BUNDLE_IN_USE",
                        message: format!("bundle {name} {version} is used by tier {:?}", tier.name.as_str()),
                    });
                }
            }
            let users = self.tenants_of_bundle(name, version).await?;
            if let Some(first) = users.first() {
                return Err(RegistryError::Precondition {
                    reason: "BUNDLE_IN_USE",
                    message: format!(
                        "bundle {name} {version} is used by {} tenant(s), such as {first:?}",
                        users.len()
                    ),
                });
            }
            let key = keys::bundle(name, version);
            let mut txn = Txn::new().if_revision(key.clone(), bundle.revision).delete(key);
            for part in
                crate::objects::keys_under(self.store.as_ref(), &keys::bundle_parts(name, version)).await?
            {
                txn = txn.delete(part);
            }
            let uses = keys::bundle_uses(name, version);
            txn = match mark {
                Some(mark) => txn.if_revision(uses.clone(), mark.revision).delete(uses),
                None => txn.if_absent(uses),
            };
            if self.write(txn).await?.is_some() {
                return Ok(());
            }
        }
        Err(contended("bundle", format!("{name} {version}")))
    }

    /// One version.
    ///
    /// # Errors
    /// That there is none.
    pub async fn bundle(&self, name: &BundleName, version: &BundleVersion) -> Result<Bundle, RegistryError> {
        load::bundle(self.store.as_ref(), name, version)
            .await?
            .ok_or_else(|| RegistryError::NotFound {
                kind: "bundle",
                name: format!("{name} {version}"),
            })
    }

    /// Versions in order of name and version, without their manifests.
    ///
    /// # Errors
    /// When `after` is no token of this list.
    pub async fn bundles(&self, after: Option<&str>, limit: usize) -> Result<Listed<Bundle>, RegistryError> {
        let (entries, next) = self.page(keys::BUNDLES, after, limit).await?;
        let items = entries
            .iter()
            .map(|entry| load::bundle_header(&entry.value, entry.revision))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Listed { items, next })
    }

    async fn tenants_of_bundle(
        &self,
        name: &BundleName,
        version: &BundleVersion,
    ) -> Result<Vec<String>, RegistryError> {
        let mut users = Vec::new();
        for entry in self.all(keys::TENANTS).await? {
            let tenant = load::tenant(&entry.value, entry.revision)?;
            if tenant
                .spec
                .bundles
                .iter()
                .any(|used| used.name == *name && used.version == *version)
            {
                users.push(tenant.id.to_string());
            }
        }
        Ok(users)
    }
}

fn same(old: Bundle, spec: &BundleSpec) -> Result<Bundle, RegistryError> {
    if old.spec == *spec {
        return Ok(old);
    }
    Err(RegistryError::AlreadyExists {
        kind: "bundle version with other content",
        name: format!("{} {}", old.name, old.version),
    })
}
