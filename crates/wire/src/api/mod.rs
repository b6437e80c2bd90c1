//! The public API's messages to and from the model.

mod binding;
mod bundle;
mod cluster;
mod condition;
mod evidence;
mod mask;
mod network;
mod operation;
mod organisation;
mod placement;
mod tenant;
mod tenant_spec;
mod tier;
mod token;
mod workload;

pub use binding::{
    role_binding_spec_from_proto, role_binding_spec_to_proto, role_binding_to_proto, role_to_proto,
};
pub use bundle::{bundle_spec_from_proto, bundle_spec_to_proto, bundle_to_proto, parameter_from_proto};
pub use cluster::{
    ClusterChange, ClusterStatusView, cluster_change_from_proto, cluster_to_proto, facts_from_proto,
    facts_to_proto,
};
pub use condition::{
    condition_from_proto, condition_to_proto, conditions_from_proto, conditions_to_proto, plain_condition,
};
pub use evidence::{EvidenceView, evidence_to_proto};
pub use mask::tenant_spec_masked;
pub use operation::{CandidateView, candidate_to_proto, operation_to_proto};
pub use organisation::{
    amounts_to_proto, organisation_spec_from_proto, organisation_spec_to_proto, organisation_to_proto,
};
pub use placement::{capacity_from_proto, capacity_to_proto, placement_from_proto, placement_to_proto};
pub use tenant::{TenantStatusView, tenant_to_proto};
pub use tenant_spec::{tenant_spec_from_proto, tenant_spec_partly, tenant_spec_to_proto};
pub use tier::{tier_spec_from_proto, tier_spec_to_proto, tier_to_proto};
pub use token::join_token_to_proto;

pub(crate) use binding::one_scope;
pub(crate) use cluster::{gaps_from_proto, gaps_to_proto, record as cluster_record};
pub(crate) use network::rule_from_proto;
pub(crate) use tenant::{record as tenant_record, unsigned as generation};
pub(crate) use tenant_spec::{subject_of, subject_parts};
