//! One customer, whatever the isolation.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    bundle::BundleRef,
    id::{Generation, Revision, TenantId, TierName, Uid},
    network::Network,
    placement::namespace_name,
    quantity::Quantity,
    tier::{PodSecurity, Priority, SizeName},
    workload::WorkloadPolicy,
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
    /// What the main namespace is for; with `environments`, nothing.
    #[serde(default)]
    pub environment: Environment,
    /// A namespace `t-<id>--<environment>` for each, instead of the one main namespace `t-<id>`.
    #[serde(default)]
    pub environments: Vec<Environment>,
    /// Parts of the quota by namespace, `main` or the name behind `--`, in any unit; what is not named takes the default.
    #[serde(default)]
    pub quota_split: BTreeMap<String, u32>,
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
    /// The tenant's domain: its Ingresses may serve it and what is below it.
    #[serde(default)]
    pub domain: String,
    /// Further domains of the same kind.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Where its people and its users' people sign in.
    #[serde(default)]
    pub identity_provider: Option<IdentityProvider>,
    /// Pod Security Standard; none takes the tier's.
    #[serde(default)]
    pub pod_security: Option<PodSecurity>,
    /// Prefixes of image references; empty takes the tier's.
    #[serde(default)]
    pub registries: Vec<String>,
    /// Storage classes; empty takes the tier's.
    #[serde(default)]
    pub storage_classes: Vec<String>,
    /// Keys of labels that pods and workloads must carry, besides the tier's.
    #[serde(default)]
    pub required_labels: Vec<String>,
    /// Ways in and out of its network.
    #[serde(default)]
    pub network: Network,
    /// The most of a quota amount that pods of one priority may use, such as two CPUs for `high`.
    #[serde(default)]
    pub priority_quota: BTreeMap<Priority, BTreeMap<String, Quantity>>,
    /// What is said of single workloads.
    #[serde(default)]
    pub workloads: Vec<WorkloadPolicy>,
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
            environments: Vec::new(),
            quota_split: BTreeMap::new(),
            namespaces: Vec::new(),
            contacts: Contacts::default(),
            billing: Billing::default(),
            owner: Owner::default(),
            labels: BTreeMap::new(),
            features: BTreeMap::new(),
            domain: String::new(),
            domains: Vec::new(),
            identity_provider: None,
            pod_security: None,
            registries: Vec::new(),
            storage_classes: Vec::new(),
            required_labels: Vec::new(),
            network: Network::default(),
            priority_quota: BTreeMap::new(),
            workloads: Vec::new(),
            quota: BTreeMap::new(),
            members: Members::default(),
            placement: PlacementConstraints::default(),
            bundles: Vec::new(),
        }
    }
}

/// One of a tenant's namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantNamespace<'a> {
    /// The name behind `--`; none for the namespace `t-<id>` itself.
    pub extra: Option<&'a str>,
    /// What it is for.
    pub environment: Environment,
}

impl TenantNamespace<'_> {
    /// How the tenant's file calls it: `main`, or the name behind `--`.
    #[must_use]
    pub fn word(&self) -> &str {
        self.extra.unwrap_or(MAIN_NAMESPACE)
    }

    /// In Kubernetes.
    #[must_use]
    pub fn name(&self, tenant: &TenantId) -> String {
        namespace_name(tenant, self.extra)
    }
}

/// How a tenant's file calls the namespace `t-<id>`.
pub const MAIN_NAMESPACE: &str = "main";

impl TenantSpec {
    /// The namespaces, the main one first. With environments that is the most important one of them: bundles run there.
    #[must_use]
    pub fn parts(&self) -> Vec<TenantNamespace<'_>> {
        let mut environments = self.environments.clone();
        environments.sort_unstable();
        environments.dedup();
        let mut parts: Vec<TenantNamespace<'_>> = environments
            .into_iter()
            .rev()
            .map(|environment| TenantNamespace {
                extra: Some(environment.as_str()),
                environment,
            })
            .collect();
        if parts.is_empty() {
            parts.push(TenantNamespace {
                extra: None,
                environment: self.environment,
            });
        }
        let main = parts[0].environment;
        parts.extend(self.namespaces.iter().map(|extra| {
            TenantNamespace {
                extra: Some(extra),
                // A namespace named after an environment is of that environment; every other is of the main one's.
                environment: Environment::ALL
                    .into_iter()
                    .find(|environment| environment.as_str() == extra)
                    .unwrap_or(main),
            }
        }));
        parts
    }

    /// The Kubernetes name of the main namespace.
    #[must_use]
    pub fn main_namespace(&self, id: &TenantId) -> String {
        self.parts()[0].name(id)
    }
}

impl Tenant {
    /// Its namespaces, the main one first.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        self.spec.parts().iter().map(|part| part.name(&self.id)).collect()
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
    /// All of them, the least important first.
    pub const ALL: [Self; 3] = [Self::Dev, Self::Staging, Self::Production];

    /// Its part of a tenant's quota, in percent, when nothing else is said.
    #[must_use]
    pub const fn share(self) -> u32 {
        match self {
            Self::Dev => 30,
            Self::Staging => 20,
            Self::Production => 50,
        }
    }

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

/// Where people sign in, with secrets by reference only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityProvider {
    /// Issuer URL.
    pub issuer: String,
    /// Audience that tokens must have.
    pub audience: String,
    /// The client's id.
    pub client_id: String,
    /// Name of a Secret in the tenant's namespaces that holds the client's secret.
    pub client_secret_name: String,
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
