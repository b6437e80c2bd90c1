//! Field masks of UpdateTenant (AIP-134): paths below `spec`, one level deep, as in `spec.size`.

use berth_model::{TenantSpec, Violation};
use berth_proto::v1;
use berth_wire::api;

macro_rules! fields {
    ($($name:ident),* $(,)?) => {
        /// What can be named below `spec`.
        const FIELDS: &[&str] = &[$(stringify!($name)),*];

        fn copy(field: &str, from: &v1::TenantSpec, into: &mut v1::TenantSpec) -> bool {
            match field {
                $(stringify!($name) => into.$name = from.$name.clone(),)*
                _ => return false,
            }
            true
        }
    };
}

fields!(
    display_name,
    tier,
    size,
    environment,
    namespaces,
    contacts,
    billing,
    owner,
    labels,
    features,
    domain,
    quota,
    members,
    placement,
    bundles,
);

/// `given` where `mask` names it and `old` elsewhere; all of `given` when the mask is empty or there is no old one.
pub(super) fn apply(
    old: Option<&TenantSpec>,
    given: &v1::TenantSpec,
    mask: &[String],
) -> Result<TenantSpec, Vec<Violation>> {
    let whole = mask.is_empty() || mask.iter().any(|path| path == "*" || path == "spec");
    let (Some(old), false) = (old, whole) else {
        return api::tenant_spec_from_proto(given);
    };
    let mut merged = api::tenant_spec_to_proto(old);
    let mut violations = Vec::new();
    for path in mask {
        let copied = path
            .strip_prefix("spec.")
            .is_some_and(|field| copy(field, given, &mut merged));
        if !copied {
            let hint = format!("name one of spec.{}", FIELDS.join(", spec."));
            violations.push(Violation::new(
                "update_mask",
                format!("{path:?} cannot be updated"),
                hint,
            ));
        }
    }
    if violations.is_empty() {
        api::tenant_spec_from_proto(&merged)
    } else {
        Err(violations)
    }
}

#[cfg(test)]
mod tests {
    use berth_model::{TierName, tier::SizeName};

    use super::*;

    #[test]
    fn only_what_the_mask_names_is_changed() {
        let mut old = TenantSpec::of_tier(TierName::new("free").unwrap());
        old.domain = "a.example".into();
        let given = v1::TenantSpec {
            tier: "standard".into(),
            size: "small".into(),
            ..v1::TenantSpec::default()
        };
        let merged = apply(Some(&old), &given, &["spec.size".into()]).unwrap();
        assert_eq!(
            (merged.tier.as_str(), merged.size, merged.domain.as_str()),
            ("free", Some(SizeName::Small), "a.example")
        );
        let replaced = apply(Some(&old), &given, &[]).unwrap();
        assert_eq!(
            (replaced.tier.as_str(), replaced.domain.as_str()),
            ("standard", "")
        );
    }

    #[test]
    fn an_unknown_path_is_a_violation() {
        let old = TenantSpec::of_tier(TierName::new("free").unwrap());
        let violations = apply(
            Some(&old),
            &v1::TenantSpec::default(),
            &["spec.colour".into(), "uid".into()],
        )
        .unwrap_err();
        assert_eq!(violations.len(), 2);
    }
}
