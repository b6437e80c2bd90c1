//! Update masks (AIP-134) on a tenant's spec.

use berth_model::{TenantSpec, Violation};
use berth_proto::v1;

use super::{tenant_spec_from_proto, tenant_spec_to_proto};
use crate::faults::Faults;

macro_rules! masked {
    ($($name:literal $($also:literal)? => $field:ident;)*) => {
        const FIELDS: &[(&str, Copy)] =
            &[$(($name, |from, to| to.$field.clone_from(&from.$field)), $(($also, |from, to| to.$field.clone_from(&from.$field)),)?)*];
    };
}

type Copy = fn(&v1::TenantSpec, &mut v1::TenantSpec);

// As protobuf writes them, and as files do where that differs.
masked! {
    "display_name" "displayName" => display_name;
    "tier" => tier;
    "size" => size;
    "environment" => environment;
    "namespaces" => namespaces;
    "contacts" => contacts;
    "billing" => billing;
    "owner" => owner;
    "labels" => labels;
    "features" => features;
    "domain" => domain;
    "quota" => quota;
    "members" => members;
    "placement" => placement;
    "bundles" => bundles;
    "environments" => environments;
    "quota_split" "quotaSplit" => quota_split;
    "domains" => domains;
    "identity_provider" "identityProvider" => identity_provider;
    "pod_security" "podSecurity" => pod_security;
    "registries" => registries;
    "storage_classes" "storageClasses" => storage_classes;
    "required_labels" "requiredLabels" => required_labels;
    "network" => network;
    "priority_quota" "priorityQuota" => priority_quota;
    "workloads" => workloads;
}

/// What a spec becomes when the fields of `mask` are taken from `given` and the rest from `old`. An empty mask, `*` and `spec`
/// take all of it; so does a tenant that does not exist yet.
///
/// # Errors
/// Every path that names no field of the spec, and every fault of form in the result.
pub fn tenant_spec_masked(
    old: Option<&TenantSpec>,
    given: &v1::TenantSpec,
    mask: &[String],
) -> Result<TenantSpec, Vec<Violation>> {
    let mut faults = Faults::default();
    let mut copies = Vec::new();
    let mut all = mask.is_empty();
    for (at, path) in mask.iter().enumerate() {
        match path.as_str() {
            "*" | "spec" => all = true,
            path => {
                let name = path.strip_prefix("spec.").unwrap_or("");
                match FIELDS.iter().find(|(field, _)| *field == name) {
                    Some((_, copy)) => copies.push(copy),
                    None => faults.add(
                        &format!("updateMask.paths[{at}]"),
                        format!("{path:?} is no field of a tenant's spec"),
                        "name whole fields of the spec, such as spec.size or spec.quota",
                    ),
                }
            }
        }
    }
    faults.finish(Some(()))?;
    match old {
        Some(old) if !all => {
            let mut merged = tenant_spec_to_proto(old);
            for copy in copies {
                copy(given, &mut merged);
            }
            tenant_spec_from_proto(&merged)
        }
        _ => tenant_spec_from_proto(given),
    }
}

#[cfg(test)]
mod tests {
    use berth_model::tier::SizeName;

    use super::*;
    use crate::testing;

    fn given() -> v1::TenantSpec {
        v1::TenantSpec {
            tier: "gold".into(),
            size: "large".into(),
            display_name: "New".into(),
            ..Default::default()
        }
    }

    fn mask(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn only_the_fields_of_the_mask_change() {
        let old = TenantSpec {
            domain: "acme.example".into(),
            ..testing::plain_spec()
        };
        for paths in [
            mask(&["spec.size", "spec.display_name"]),
            mask(&["spec.displayName", "spec.size"]),
        ] {
            let new = tenant_spec_masked(Some(&old), &given(), &paths).unwrap();
            let expected = TenantSpec {
                size: Some(SizeName::Large),
                display_name: "New".into(),
                ..old.clone()
            };
            assert_eq!(new, expected);
        }
    }

    #[test]
    fn an_empty_mask_and_a_new_tenant_take_all_of_it() {
        let all = tenant_spec_from_proto(&given());
        let old = testing::plain_spec();
        assert_eq!(tenant_spec_masked(Some(&old), &given(), &[]), all);
        assert_eq!(tenant_spec_masked(Some(&old), &given(), &mask(&["*"])), all);
        assert_eq!(tenant_spec_masked(None, &given(), &mask(&["spec.size"])), all);
    }

    #[test]
    fn a_path_that_names_no_field_is_a_violation() {
        let violations =
            tenant_spec_masked(None, &given(), &mask(&["size", "spec.colour", "spec.size.x"])).unwrap_err();
        let paths: Vec<&str> = violations
            .iter()
            .map(|violation| violation.path.as_str())
            .collect();
        assert_eq!(
            paths,
            [
                "updateMask.paths[0]",
                "updateMask.paths[1]",
                "updateMask.paths[2]"
            ]
        );
    }
}
