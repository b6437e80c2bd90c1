//! Names of what is made for one tenant: readable, and distinct for a tenant made again under the same id.

use berth_model::{ClusterName, InvalidId, PoolName, TenantId, Uid};

/// `pool-<tenant>-<mark>`.
pub(crate) fn pool_name(tenant: &TenantId, uid: &Uid) -> Result<PoolName, InvalidId> {
    PoolName::new(format!("pool-{tenant}-{}", mark(uid)))
}

/// `c-<tenant>-<mark>`.
pub(crate) fn cluster_name(tenant: &TenantId, uid: &Uid) -> Result<ClusterName, InvalidId> {
    ClusterName::new(format!("c-{tenant}-{}", mark(uid)))
}

/// The first 8 characters of the uid. With a tenant id of at most 40 the names stay under 63.
fn mark(uid: &Uid) -> &str {
    let text = uid.as_str();
    text.get(..8).unwrap_or(text).trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_tenant_id_still_gives_valid_names() {
        let tenant = TenantId::new("x".repeat(40)).unwrap();
        for uid in ["0123456789abcdef", "a", "abcdefg-h", "a------b"] {
            let uid = Uid::new(uid).unwrap();
            assert!(pool_name(&tenant, &uid).is_ok(), "{uid}");
            assert!(cluster_name(&tenant, &uid).is_ok(), "{uid}");
        }
    }
}
