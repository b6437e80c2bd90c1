//! Says everything that is wrong with something a person wrote, all faults at once, with paths as in files.
//!
//! Pure: what exists is handed in as a [`Catalogue`]. Whether there is room is not asked here: a tenant that fits nowhere now is
//! accepted and waits.

mod binding;
mod bundles;
mod faults;
mod hint;
mod members;
mod network;
mod organisation;
mod quota;
mod tenant;
mod tier;
mod walls;
mod workloads;

use std::{collections::BTreeMap, sync::Arc};

use berth_model::{
    BundleName, BundleVersion, Organisation, OrganisationName, Parameter, Tenant, Tier, TierName, Violation,
};

pub use binding::role_binding;
pub use organisation::{organisation, tier_in_organisation};
pub use tenant::tenant;
pub use tier::{tier, tier_bundles, tier_delete, tier_update};

/// What a tenant can refer to.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// All tiers.
    pub tiers: BTreeMap<TierName, Arc<Tier>>,
    /// All bundle versions with what may be set in them.
    pub bundles: BTreeMap<(BundleName, BundleVersion), Vec<Parameter>>,
    /// All organisations.
    pub organisations: BTreeMap<OrganisationName, Arc<Organisation>>,
    /// The tenants of the organisation that the spec in question names; the others do not matter.
    pub neighbours: Vec<Tenant>,
}

/// Admissible with these warnings, or not for these faults.
pub type Verdict = Result<Vec<String>, Vec<Violation>>;
