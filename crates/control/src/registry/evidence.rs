//! Evidence as it is kept: read here, written by the loop.

use berth_model::TenantId;

use super::{Listed, Registry, RegistryError};
use crate::{
    evidence::{self, Kept},
    keys, load,
};

impl Registry {
    /// The evidence that is kept of a tenant; none when there is none that can be read.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn evidence(&self, tenant: &TenantId) -> Result<Option<Kept>, RegistryError> {
        let entry = self.store.get(&keys::evidence(tenant)).await?;
        Ok(entry.and_then(|entry| evidence::kept(tenant, &entry.value)))
    }

    /// The evidence that is kept, in order of tenant.
    ///
    /// # Errors
    /// As the store answers, and for a token of another list.
    pub async fn list_evidence(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listed<(TenantId, Kept)>, RegistryError> {
        let (entries, next) = self.page(keys::EVIDENCE, after, limit).await?;
        let mut items = Vec::with_capacity(entries.len());
        for entry in entries {
            let tenant = load::id(entry.key.name())?;
            items.extend(evidence::kept(&tenant, &entry.value).map(|kept| (tenant, kept)));
        }
        Ok(Listed { items, next })
    }
}
