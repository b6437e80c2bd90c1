//! What exists: the nouns of Berth and the rules that make a wrong one impossible to write.
//!
//! This crate knows no I/O, no clock, no wire format and no Kubernetes client. Everything else in Berth depends on it.

pub mod access;
pub mod assignment;
pub mod binding;
pub mod breaker;
pub mod bundle;
pub mod catalogue;
pub mod cluster;
pub mod condition;
pub mod digest;
pub mod evidence;
pub mod gap;
pub mod health;
pub mod id;
pub mod infra;
pub mod label;
pub mod money;
pub mod network;
pub mod observed;
pub mod operation;
pub mod organisation;
pub mod placement;
pub mod quantity;
pub mod quota;
pub mod report;
pub mod resources;
pub mod role;
pub mod secret;
pub mod tenant;
pub mod tier;
pub mod token_review;
pub mod violation;
pub mod visible;
pub mod workload;

pub use access::{AccessRole, AccessToken, NoToken, TokenRefused, TokenWanted};
pub use assignment::{Assignment, AssignmentOf, Object};
pub use binding::{RoleBinding, RoleBindingSpec, Scope, TenantSelector, Traits};
pub use bundle::{Bundle, BundleRef, Parameter, ParameterKind};
pub use cluster::{Cluster, ClusterFacts, ClusterPurpose, NetworkPolicyEnforcement, Provider};
pub use condition::{Condition, ConditionKind, Conditions, Truth};
pub use digest::Digest;
pub use evidence::{Evidence, Findings, PolicySeen, Probe, ProbeOutcome, Verdict};
pub use gap::{AcceptedGaps, Gap};
pub use health::{Health, HealthState};
pub use id::{
    BundleName, BundleVersion, ClusterName, FleetId, Generation, InvalidId, OrganisationName, PoolName,
    Revision, RoleBindingName, StorePoint, Subject, TenantId, Term, TierName, Uid,
};
pub use infra::{ClusterInfra, Infra, NodePoolInfra};
pub use jiff::Timestamp;
pub use observed::Observed;
pub use organisation::{Organisation, OrganisationSpec};
pub use placement::{Isolation, Placement};
pub use quantity::{InvalidQuantity, Quantity};
pub use report::TenantReport;
pub use resources::{Bytes, Capacity, MilliCpu};
pub use role::{Reach, Role, Rule};
pub use secret::{SecretRef, SecretStore, SecretStoreKind};
pub use tenant::{Tenant, TenantSpec};
pub use tier::{Tier, TierSpec};
pub use token_review::{ReviewedAccount, TokenToReview};
pub use violation::Violation;
