//! Whether the spec can be worked on with the tiers and bundles that there are now.

use berth_model::{ConditionKind, Tier, Truth, bundle};

use super::sheet::Sheet;
use crate::view::{TenantView, View};

/// The tenant's tier, or that the spec cannot be worked on.
pub(crate) type Accepted<'a> = Result<&'a Tier, NotAccepted>;

/// The condition says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAccepted;

/// States `Accepted`.
pub(super) fn accept<'a>(sheet: &mut Sheet<'a>) -> Accepted<'a> {
    match tier_of(sheet.view, sheet.known) {
        Ok(tier) => {
            sheet.set(ConditionKind::Accepted, Truth::True, "Valid", "the spec is valid");
            Ok(tier)
        }
        Err((reason, message)) => {
            sheet.set(ConditionKind::Accepted, Truth::False, reason, message.clone());
            if sheet.known.tenant.deleting_since.is_none() {
                sheet.stall(reason, message);
            }
            Err(NotAccepted)
        }
    }
}

/// The tenant's tier when everything that its spec names exists.
pub(crate) fn tier_of<'a>(view: &'a View, known: &TenantView) -> Result<&'a Tier, (&'static str, String)> {
    let spec = &known.tenant.spec;
    let tier = view.tiers.get(&spec.tier).ok_or_else(|| {
        (
            "UnknownTier",
            format!("tier {} does not exist; create it or choose another", spec.tier),
        )
    })?;
    for used in bundle::used(spec, &tier.spec) {
        if !view.bundles.contains(&(used.name.clone(), used.version.clone())) {
            return Err((
                "UnknownBundle",
                format!(
                    "bundle {} has no version {}; create it or choose another",
                    used.name, used.version
                ),
            ));
        }
    }
    Ok(tier)
}
