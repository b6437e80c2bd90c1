//! One customer, whatever the isolation.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    bundle::BundleRef,
    id::{Generation, Revision, TenantId, TierName, Uid},
    quantity::Quantity,
    tier::SizeName,
};

/// A tenant as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// What tells it from an earlier tenant of that id.
    pub uid: Uid,
    /// Raised by one by every change of the spec, and by asking for deletion.
    pub generation: Generation,
    /// The store's version of it; the `etag` of the API.
    pub revision: Revision,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its deletion was asked for. Deleting is a desired state like any other.
    pub deleting_since: Option<Timestamp>,
    /// What was asked for.
    pub spec: TenantSpec,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// Name for people; empty means the id.
    #[serde(default)]
    pub display_name: String,
    /// What was bought.
    pub tier: TierName,
    /// The size; none takes the tier's default.
    #[serde(default)]
    pub size: Option<SizeName>,
    /// What the main namespace is for.
    #[serde(default)]
    pub environment: Environment,
    /// Further namespaces, named `t-<id>--<name>`.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Whom to call.
    #[serde(default)]
    pub contacts: Contacts,
    /// Who pays.
    #[serde(default)]
    pub billing: Billing,
    /// Where the tenant belongs.
    #[serde(default)]
    pub owner: Owner,
    /// Free labels, searchable, stamped on the namespaces.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Switches handed to workloads, over the tier's.
    #[serde(default)]
    pub features: BTreeMap<String, bool>,
    /// The tenant's domain.
    #[serde(default)]
    pub domain: String,
    /// Single amounts that differ from the size's, by quota name such as `requests.cpu`.
    #[serde(default)]
    pub quota: BTreeMap<String, Quantity>,
    /// Who may do what in the tenant's namespaces.
    #[serde(default)]
    pub members: Members,
    /// Where it may be.
    #[serde(default)]
    pub placement: PlacementConstraints,
    /// What runs in it.
    #[serde(default)]
    pub bundles: Vec<BundleRef>,
}

impl TenantSpec {
    /// The smallest spec there is: a tier, and defaults for the rest.
    #[must_use]
    pub fn of_tier(tier: TierName) -> Self {
        Self {
            display_name: String::new(),
            tier,
            size: None,
            environment: Environment::default(),
            namespaces: Vec::new(),
            contacts: Contacts::default(),
            billing: Billing::default(),
            owner: Owner::default(),
            labels: BTreeMap::new(),
            features: BTreeMap::new(),
            domain: String::new(),
            quota: BTreeMap::new(),
            members: Members::default(),
            placement: PlacementConstraints::default(),
            bundles: Vec::new(),
        }
    }
}

impl Tenant {
    /// Its namespaces, the main one first.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        std::iter::once(crate::placement::namespace_name(&self.id, None))
            .chain(
                self.spec
                    .namespaces
                    .iter()
                    .map(|extra| crate::placement::namespace_name(&self.id, Some(extra))),
            )
            .collect()
    }
}

/// What a namespace is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// Trying things.
    Dev,
    /// Trying releases.
    Staging,
    /// The real thing.
    #[default]
    Production,
}

impl Environment {
    /// `dev`, `staging` or `production`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

/// Whom to call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contacts {
    /// When something breaks.
    pub technical: Option<Contact>,
    /// When something is to be decided.
    pub business: Option<Contact>,
    /// When something is to be paid.
    pub billing: Option<Contact>,
}

/// A person or a desk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Name.
    pub name: String,
    /// E-mail address.
    pub email: String,
}

/// Who pays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Billing {
    /// Cost centre.
    pub cost_centre: String,
    /// Billing code.
    pub code: String,
}

/// Where the tenant belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Organisation.
    pub organisation: String,
    /// Team.
    pub team: String,
    /// Project.
    pub project: String,
}

/// Who may do what in the tenant's namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Members {
    /// Everything but the walls.
    pub admins: Vec<Subject>,
    /// Work with workloads.
    pub users: Vec<Subject>,
    /// Look.
    pub viewers: Vec<Subject>,
}

/// A user, group or service account as Kubernetes RBAC names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Subject {
    /// A user by name.
    User {
        /// Name.
        name: String,
    },
    /// A group by name.
    Group {
        /// Name.
        name: String,
    },
    /// A service account of one of the tenant's own namespaces.
    ServiceAccount {
        /// Which namespace of the tenant; empty means the main one.
        namespace: String,
        /// Name.
        name: String,
    },
}

/// Where a tenant may be. Nothing overrides these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacementConstraints {
    /// Allowed regions; empty allows all.
    pub regions: Vec<String>,
    /// Labels a cluster must have.
    pub cluster_labels: BTreeMap<String, String>,
    /// Least Kubernetes version as `1.33`; empty allows all.
    pub min_kubernetes_version: String,
    /// Whether network policies must be known to be enforced there.
    pub require_network_policy: bool,
}
