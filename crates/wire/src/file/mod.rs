//! Tenant, Tier, Organisation, RoleBinding and Bundle files: YAML (JSON is YAML too), several documents in one, read strictly.
//!
//! Unknown fields, wrong types and duplicate keys are faults; every fault is reported at once, with path, document and line.
//! What the hub adds when it shows an object (`status`, and `uid`, `generation`, `etag` and times below `metadata`) is read
//! over, so that `berth get -o yaml` can be edited and applied again.

mod binding;
mod bundle;
mod fault;
mod network;
mod node;
mod organisation;
mod parse;
mod reader;
mod scalar;
mod tenant;
mod tier;
mod tree;
mod workload;

use berth_model::{
    BundleName, BundleVersion, OrganisationName, OrganisationSpec, RoleBindingName, RoleBindingSpec,
    TenantId, TenantSpec, TierName, TierSpec, bundle::BundleSpec,
};

pub use binding::role_binding_spec_tree;
pub use bundle::bundle_spec_tree;
pub use fault::Fault;
pub use organisation::organisation_spec_tree;
pub use parse::parse;
pub use tenant::tenant_spec_tree;
pub use tier::tier_spec_tree;
pub use tree::{Tree, TreeError};

/// The `apiVersion` of every file.
pub const API_VERSION: &str = "berth.dev/v1";

/// What is in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A tenant.
    Tenant {
        /// Its id.
        id: TenantId,
        /// What is asked for.
        spec: TenantSpec,
    },
    /// A tier.
    Tier {
        /// Its name.
        name: TierName,
        /// What it promises and builds.
        spec: TierSpec,
    },
    /// An organisation.
    Organisation {
        /// Its name.
        name: OrganisationName,
        /// Its quota and its teams.
        spec: OrganisationSpec,
    },
    /// A role binding.
    RoleBinding {
        /// Its name.
        name: RoleBindingName,
        /// Who gets which role, and where.
        spec: RoleBindingSpec,
    },
    /// A bundle version.
    Bundle {
        /// Its name.
        name: BundleName,
        /// Its version.
        version: BundleVersion,
        /// What it is.
        spec: BundleSpec,
    },
}

impl Document {
    /// `Tenant`, `Tier`, `Organisation`, `RoleBinding` or `Bundle`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tenant { .. } => "Tenant",
            Self::Tier { .. } => "Tier",
            Self::Organisation { .. } => "Organisation",
            Self::RoleBinding { .. } => "RoleBinding",
            Self::Bundle { .. } => "Bundle",
        }
    }

    /// Its name; a bundle's with the version, as `web@1.0.0`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Tenant { id, .. } => id.to_string(),
            Self::Tier { name, .. } => name.to_string(),
            Self::Organisation { name, .. } => name.to_string(),
            Self::RoleBinding { name, .. } => name.to_string(),
            Self::Bundle { name, version, .. } => format!("{name}@{version}"),
        }
    }

    /// The document as it is written: `apiVersion`, `kind`, `metadata`, `spec`, in this order.
    #[must_use]
    pub fn tree(&self) -> Tree {
        let (metadata, spec) = match self {
            Self::Tenant { id, spec } => (Tree::map().text("name", id.as_str()), tenant_spec_tree(spec)),
            Self::Tier { name, spec } => (Tree::map().text("name", name.as_str()), tier_spec_tree(spec)),
            Self::Organisation { name, spec } => (
                Tree::map().text("name", name.as_str()),
                organisation_spec_tree(spec),
            ),
            Self::RoleBinding { name, spec } => (
                Tree::map().text("name", name.as_str()),
                role_binding_spec_tree(spec),
            ),
            Self::Bundle { name, version, spec } => (
                Tree::map()
                    .text("name", name.as_str())
                    .text("version", version.as_str()),
                bundle_spec_tree(spec),
            ),
        };
        Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", self.kind())
            .with("metadata", metadata)
            .with("spec", spec)
    }
}

/// The document as YAML, which [`parse`] reads back to an equal one.
///
/// # Errors
/// [`TreeError`], which the model cannot cause.
pub fn to_yaml(document: &Document) -> Result<String, TreeError> {
    document.tree().to_yaml()
}

#[cfg(test)]
mod tests;
