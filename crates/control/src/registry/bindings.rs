//! Role bindings as the API writes them. What its writer may give is asked again with every look at what is there.

use berth_model::{Generation, Revision, RoleBinding, RoleBindingName, RoleBindingSpec, Violation};
use berth_plan::{admit, authorize::Grants};
use berth_store::{Entry, Txn};

use super::{Listed, MOST_TRIES, Registry, RegistryError, Shown, check_etag, check_size, contended, new_uid};
use crate::{keys, load};

impl Registry {
    /// Adds a role binding, for a caller that holds `grants`.
    ///
    /// # Errors
    /// All faults at once, that there is one, or that it would give more than the caller holds.
    pub async fn create_role_binding(
        &self,
        grants: &Grants,
        name: &str,
        spec: RoleBindingSpec,
        validate_only: bool,
    ) -> Result<RoleBinding, RegistryError> {
        admit::role_binding(name, &spec).map_err(RegistryError::Invalid)?;
        may_bind(grants, name, &spec)?;
        let name = RoleBindingName::new(name)
            .map_err(|error| RegistryError::Invalid(vec![Violation::new("name", error.to_string(), "")]))?;
        let mut binding = RoleBinding {
            name: name.clone(),
            uid: new_uid()?,
            generation: Generation(1),
            revision: Revision(0),
            spec,
        };
        let value = load::encode_role_binding(&binding);
        check_size("spec", value.len())?;
        let key = keys::role_binding(&name);
        let exists = || RegistryError::AlreadyExists {
            kind: "role binding",
            name: name.to_string(),
        };
        if self.store.get(&key).await?.is_some() {
            return Err(exists());
        }
        if validate_only {
            return Ok(binding);
        }
        let txn = Txn::new().if_absent(key.clone()).put(key, value);
        binding.revision = self.write(txn).await?.ok_or_else(exists)?;
        Ok(binding)
    }

    /// Replaces a role binding's spec, for a caller that holds `grants`.
    ///
    /// # Errors
    /// All faults at once, that there is none, that it has changed meanwhile, or that it gives or would give more than the caller
    /// holds.
    pub async fn update_role_binding(
        &self,
        grants: &Grants,
        name: &RoleBindingName,
        spec: RoleBindingSpec,
        etag: Option<Revision>,
        validate_only: bool,
        allow_missing: bool,
    ) -> Result<RoleBinding, RegistryError> {
        admit::role_binding(name.as_str(), &spec).map_err(RegistryError::Invalid)?;
        for _ in 0..MOST_TRIES {
            let old = match self.role_binding(name).await {
                Err(RegistryError::NotFound { .. }) if allow_missing => {
                    let created =
                        self.create_role_binding(grants, name.as_str(), spec.clone(), validate_only);
                    match created.await {
                        Err(RegistryError::AlreadyExists { .. }) => continue,
                        other => return other,
                    }
                }
                other => other?,
            };
            may_bind(grants, name.as_str(), &old.spec)?;
            may_bind(grants, name.as_str(), &spec)?;
            check_etag("role binding", name.as_str(), etag, old.revision)?;
            if old.spec == spec {
                return Ok(old);
            }
            let mut binding = RoleBinding {
                generation: old.generation.next(),
                spec: spec.clone(),
                ..old.clone()
            };
            let value = load::encode_role_binding(&binding);
            check_size("spec", value.len())?;
            if validate_only {
                return Ok(binding);
            }
            let key = keys::role_binding(name);
            let txn = Txn::new().if_revision(key.clone(), old.revision).put(key, value);
            if let Some(revision) = self.write(txn).await? {
                binding.revision = revision;
                return Ok(binding);
            }
        }
        Err(contended("role binding", name.as_str()))
    }

    /// Removes a role binding, for a caller that holds `grants`, and says at which revision it was gone.
    ///
    /// # Errors
    /// That there is none, that it has changed meanwhile, or that it gives more than the caller holds.
    pub async fn delete_role_binding(
        &self,
        grants: &Grants,
        name: &RoleBindingName,
        etag: Option<Revision>,
    ) -> Result<Revision, RegistryError> {
        for _ in 0..MOST_TRIES {
            let binding = self.role_binding(name).await?;
            may_bind(grants, name.as_str(), &binding.spec)?;
            check_etag("role binding", name.as_str(), etag, binding.revision)?;
            let key = keys::role_binding(name);
            let txn = Txn::new().if_revision(key.clone(), binding.revision).delete(key);
            if let Some(revision) = self.write(txn).await? {
                return Ok(revision);
            }
        }
        Err(contended("role binding", name.as_str()))
    }

    /// One role binding.
    ///
    /// # Errors
    /// That there is none.
    pub async fn role_binding(&self, name: &RoleBindingName) -> Result<RoleBinding, RegistryError> {
        match self.store.get(&keys::role_binding(name)).await? {
            Some(entry) => Ok(load::role_binding(&entry.value, entry.revision)?),
            None => Err(RegistryError::NotFound {
                kind: "role binding",
                name: name.to_string(),
            }),
        }
    }

    /// Role bindings in order of name, those of them that `shown` takes.
    ///
    /// # Errors
    /// When `after` is no token of this list.
    pub async fn role_bindings(
        &self,
        after: Option<&str>,
        limit: usize,
        shown: Option<Shown<'_, RoleBinding>>,
    ) -> Result<Listed<RoleBinding>, RegistryError> {
        let read = |entry: &Entry| load::role_binding(&entry.value, entry.revision);
        self.page_of(keys::ROLE_BINDINGS, after, limit, read, shown).await
    }
}

/// Nobody gives, changes or takes away more than they hold.
fn may_bind(grants: &Grants, name: &str, spec: &RoleBindingSpec) -> Result<(), RegistryError> {
    grants.may_bind(spec).map_err(|beyond| {
        const SHOWN: usize = 5;
        let some = beyond.permissions.iter().take(SHOWN).copied();
        let some = some.collect::<Vec<_>>().join(", ");
        let more = beyond.permissions.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        RegistryError::Forbidden {
            message: format!(
                "role binding {name:?} gives {} what its writer does not hold there ({some}{more}): ask somebody who does, or bind a weaker role or a narrower scope",
                spec.role
            ),
        }
    })
}
