//! What the name of a call says of it (AIP-130): hub and callers go by the same rule.

/// How the names of calls begin that change nothing.
const READS: [&str; 7] = ["Get", "List", "Watch", "Wait", "Explain", "Probe", "Check"];

/// Whether the call at `path` (`/berth.v1.TenantService/GetTenant`) changes nothing: it may be answered by a hub that may not act, and
/// asked again when its answer was lost.
#[must_use]
pub fn reads(path: &str) -> bool {
    let call = path.rsplit('/').next().unwrap_or_default();
    READS.iter().any(|read| call.starts_with(read))
}

#[cfg(test)]
mod tests {
    use super::reads;

    #[test]
    fn a_call_is_known_by_its_verb() {
        for path in [
            "/berth.v1.TenantService/GetTenant",
            "/berth.v1.TenantService/WatchTenants",
        ] {
            assert!(reads(path), "{path}");
        }
        for path in [
            "/berth.v1.TenantService/DeleteTenant",
            "/berth.v1.GetService/Create",
            "",
        ] {
            assert!(!reads(path), "{path}");
        }
    }
}
