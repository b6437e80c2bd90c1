//! Evidence as it is kept: read here, written by the loop.

use berth_model::TenantId;

use super::{Registry, RegistryError};
use crate::{
    evidence::{self, Kept},
    keys,
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
}
