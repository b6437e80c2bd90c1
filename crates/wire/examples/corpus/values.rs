//! What the fields of the examples hold: words, names and hashes that Berth itself would write.
//!
//! A new field gets a value by its kind. Where that is no value it could have (a word out of a fixed set, a name of a certain
//! form) it gets a line here; the tests of the corpus say so.

use berth_model::{
    ClusterInfra, Evidence, Infra, NodePoolInfra, Object, Observed,
    assignment::{AppliedAs, ApplyPhase},
    infra::InfraPhase,
};
use berth_wire::{evidence, objects};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// Fields that are there in every message that Berth has ever written; minimal examples have only these.
pub(crate) const ALWAYS: &[&str] = &[
    "berth.agent.v1.Hello.protocol",
    "berth.agent.v1.Hello.agent_version",
    "berth.agent.v1.HeldChunk.last",
    "berth.agent.v1.Ack.nonce",
    "berth.agent.v1.Nack.nonce",
    "berth.agent.v1.Nack.reason",
    "berth.agent.v1.Report.tenant",
    "berth.agent.v1.Report.tenant_uid",
    "berth.agent.v1.Report.generation",
    "berth.agent.v1.Report.digest",
    "berth.agent.v1.Report.apply_state",
    "berth.agent.v1.Reply.id",
    "berth.agent.v1.EvidenceReport.statement_zstd",
    "berth.agent.v1.EvidenceReport.signature",
    "berth.agent.v1.ProbeTenant.tenant",
    "berth.agent.v1.ProbeTenant.tenant_uid",
    "berth.agent.v1.Welcome.session",
    "berth.agent.v1.Welcome.protocol",
    "berth.agent.v1.Assign.nonce",
    "berth.agent.v1.Assign.tenant",
    "berth.agent.v1.Assign.tenant_uid",
    "berth.agent.v1.Assign.generation",
    "berth.agent.v1.Assign.digest",
    "berth.agent.v1.Assign.term",
    "berth.agent.v1.Assign.objects_zstd",
    "berth.agent.v1.Keep.nonce",
    "berth.agent.v1.Keep.tenant",
    "berth.agent.v1.Keep.tenant_uid",
    "berth.agent.v1.Keep.generation",
    "berth.agent.v1.Keep.digest",
    "berth.agent.v1.Keep.term",
    "berth.agent.v1.Withdraw.nonce",
    "berth.agent.v1.Withdraw.tenant",
    "berth.agent.v1.Withdraw.tenant_uid",
    "berth.agent.v1.Withdraw.term",
    "berth.agent.v1.Request.id",
    "berth.agent.v1.MintToken.tenant",
    "berth.agent.v1.MintToken.tenant_uid",
    "berth.agent.v1.MintToken.role",
    "berth.agent.v1.MintToken.lifetime",
    "berth.agent.v1.TokenMinted.token",
    "berth.agent.v1.TokenMinted.expire_time",
    "berth.agent.v1.Goodbye.reason",
    "berth.agent.v1.Trust.ca_pem",
    "berth.agent.v1.TrustKept.pins",
    "berth.agent.v1.ChallengeResponse.challenge",
    "berth.agent.v1.RecoverRequest.cluster",
    "berth.agent.v1.RecoverRequest.cluster_uid",
    "berth.agent.v1.RecoverRequest.kubernetes_uid",
    "berth.agent.v1.RecoverRequest.challenge",
    "berth.agent.v1.RecoverRequest.csr_der",
    "berth.agent.v1.RecoverRequest.signature",
    "berth.agent.v1.RecoverResponse.certificate_pem",
    "berth.agent.v1.RecoverResponse.ca_pem",
    "berth.agent.v1.JoinRequest.token",
    "berth.agent.v1.JoinRequest.csr_der",
    "berth.record.v1.TenantRecord.tenant",
    "berth.record.v1.TierRecord.tier",
    "berth.record.v1.OrganisationRecord.organisation",
    "berth.record.v1.RoleBindingRecord.role_binding",
    "berth.record.v1.BundleRecord.bundle",
    "berth.record.v1.ClusterRecord.cluster",
    "berth.record.v1.PlacementRecord.tenant_uid",
    "berth.record.v1.PlacementRecord.placement",
    "berth.record.v1.PlacementRecord.reserved",
    "berth.record.v1.PlacementRecord.decided_at",
    "berth.record.v1.AssignmentRecord.tenant_uid",
    "berth.record.v1.AssignmentRecord.cluster",
    "berth.record.v1.AssignmentRecord.generation",
    "berth.record.v1.AssignmentRecord.digest",
    "berth.record.v1.InfraRecord.tenant_uid",
    "berth.record.v1.InfraRecord.observed_json",
    "berth.record.v1.StatusRecord.tenant_uid",
    "berth.record.v1.JoinTokenRecord.secret_sha256",
    "berth.record.v1.JoinTokenRecord.cluster",
    "berth.record.v1.JoinTokenRecord.expires_at",
    "berth.record.v1.ApiKeyRecord.secret_sha256",
    "berth.record.v1.ApiKeyRecord.uid",
    "berth.record.v1.ApiKeyRecord.created_at",
    "berth.record.v1.ApiKeyRecord.expires_at",
    "berth.record.v1.EvidenceRecord.tenant_uid",
    "berth.record.v1.EvidenceRecord.cluster",
    "berth.record.v1.EvidenceRecord.statement_zstd",
    "berth.record.v1.EvidenceRecord.probed_at",
    "berth.record.v1.FleetRecord.fleet_id",
    "berth.v1.Tenant.name",
    "berth.v1.Tenant.uid",
    "berth.v1.Tenant.spec",
    "berth.v1.Tenant.generation",
    "berth.v1.Tenant.create_time",
    "berth.v1.TenantSpec.tier",
    "berth.v1.Tier.name",
    "berth.v1.Tier.uid",
    "berth.v1.Tier.spec",
    "berth.v1.Tier.generation",
    "berth.v1.TierSpec.isolation",
    "berth.v1.TierSpec.default_size",
    "berth.v1.TierSpec.pod_security",
    "berth.v1.TierSpec.priority",
    "berth.v1.Organisation.name",
    "berth.v1.Organisation.uid",
    "berth.v1.Organisation.spec",
    "berth.v1.Organisation.generation",
    "berth.v1.RoleBinding.name",
    "berth.v1.RoleBinding.uid",
    "berth.v1.RoleBinding.spec",
    "berth.v1.RoleBinding.generation",
    "berth.v1.RoleBindingSpec.role",
    "berth.v1.RoleBindingSpec.subjects",
    "berth.v1.RoleBindingSpec.scope",
    "berth.v1.RoleScope.fleet",
    "berth.v1.Bundle.name",
    "berth.v1.Bundle.uid",
    "berth.v1.Bundle.spec",
    "berth.v1.Bundle.create_time",
    "berth.v1.Cluster.name",
    "berth.v1.Cluster.uid",
    "berth.v1.Cluster.create_time",
    "berth.v1.Evidence.name",
    "berth.v1.Evidence.result",
    "berth.v1.Placement.isolation",
    "berth.v1.Placement.cluster",
    "berth.v1.Placement.pool",
    "berth.v1.CreateTenantRequest.tenant_id",
    "berth.v1.CreateTenantRequest.tenant",
    "berth.v1.UpdateTenantRequest.tenant",
];

/// Fields of the API's resources that are worked out when somebody asks, and are in no record.
pub(crate) const NOT_AT_REST: &[&str] = &[
    "berth.v1.Tenant.status",
    "berth.v1.Tenant.etag",
    "berth.v1.Tier.etag",
    "berth.v1.Tier.tenants",
    "berth.v1.Organisation.etag",
    "berth.v1.Organisation.tenants",
    "berth.v1.Organisation.usage",
    "berth.v1.RoleBinding.etag",
    "berth.v1.Bundle.etag",
    "berth.v1.Bundle.tenants",
    "berth.v1.Cluster.etag",
    "berth.v1.ClusterStatus.conditions",
    "berth.v1.ClusterStatus.tenants",
    "berth.v1.ClusterStatus.reserved",
    "berth.v1.ClusterStatus.evidence_time",
    "berth.v1.ClusterStatus.agent_version",
];

/// The words and names of fields that do not take any text, by message and field; `*` is any message.
const WORDS: &[(&str, &str, &str)] = &[
    ("Tenant", "name", "tenants/acme"),
    ("GetTenantRequest", "name", "tenants/acme"),
    ("DeleteTenantRequest", "name", "tenants/acme"),
    ("ExplainTenantRequest", "name", "tenants/acme"),
    ("WatchTenantsRequest", "name", "tenants/acme"),
    ("IssueTenantCredentialRequest", "name", "tenants/acme"),
    ("IssueTenantCredentialRequest", "role", "user"),
    ("IssueTenantCredentialResponse", "namespaces", "t-acme"),
    (
        "IssueTenantCredentialResponse",
        "service_account",
        "t-acme/berth-user",
    ),
    ("MintToken", "role", "user"),
    ("ReviewToken", "audience", "fleet-1.berth.dev"),
    ("TokenReviewed", "namespace", "argocd"),
    ("TokenReviewed", "service_account", "deployer"),
    ("AcceptClusterRequest", "name", "clusters/eu-1"),
    ("RevokeClusterRequest", "name", "clusters/eu-1"),
    ("Reply", "reason", "NotApplied"),
    ("WatchTenantsResponse", "deleted", "tenants/acme"),
    ("CreateTenantRequest", "tenant_id", "acme"),
    ("ListTenantsRequest", "filter", "tier=premium,ready=True"),
    ("Evidence", "name", "tenants/acme/evidence"),
    ("Evidence", "result", "Passed"),
    ("EvidenceProbe", "result", "Passed"),
    ("GetEvidenceRequest", "name", "tenants/acme/evidence"),
    ("ProbeTenantRequest", "name", "tenants/acme"),
    ("Tier", "name", "tiers/premium"),
    ("GetTierRequest", "name", "tiers/premium"),
    ("DeleteTierRequest", "name", "tiers/premium"),
    ("CreateTierRequest", "tier_id", "premium"),
    ("Organisation", "name", "organisations/acme"),
    ("GetOrganisationRequest", "name", "organisations/acme"),
    ("DeleteOrganisationRequest", "name", "organisations/acme"),
    ("CreateOrganisationRequest", "organisation_id", "acme"),
    ("OrganisationSpec", "quota", "100"),
    ("Team", "name", "ml-platform"),
    ("Team", "quota", "40"),
    ("Project", "name", "inference"),
    ("Project", "quota", "20"),
    ("OwnerUsage", "team", "ml-platform"),
    ("OwnerUsage", "project", "inference"),
    ("OwnerUsage", "used", "8"),
    ("RoleBinding", "name", "roleBindings/acme-admins"),
    ("GetRoleBindingRequest", "name", "roleBindings/acme-admins"),
    ("DeleteRoleBindingRequest", "name", "roleBindings/acme-admins"),
    ("CreateRoleBindingRequest", "role_binding_id", "acme-admins"),
    ("RoleBindingSpec", "role", "tenant-admin"),
    ("RoleBindingSpec", "subjects", "user:alice@example.com"),
    ("TenantIds", "ids", "acme"),
    ("TenantSelector", "organisation", "acme"),
    ("TenantSelector", "team", "ml-platform"),
    ("TenantSelector", "project", "inference"),
    ("Role", "name", "roles/tenant-admin"),
    ("Permission", "name", "tenants.update"),
    ("Permission", "reach", "tenant"),
    ("CheckAccessRequest", "permission", "tenants.update"),
    ("CheckAccessRequest", "resource", "tenants/acme"),
    ("CheckAccessRequest", "subject", "user:alice@example.com"),
    ("CheckAccessResponse", "role_binding", "roleBindings/acme-admins"),
    ("GetCallerResponse", "subject", "user:alice@example.com"),
    ("Bundle", "name", "bundles/web/versions/1.0.0"),
    ("GetBundleRequest", "name", "bundles/web/versions/1.0.0"),
    ("DeleteBundleRequest", "name", "bundles/web/versions/1.0.0"),
    ("CreateBundleRequest", "bundle_id", "web"),
    ("CreateBundleRequest", "version", "1.0.0"),
    ("BundleRef", "name", "web"),
    ("BundleRef", "version", "1.0.0"),
    ("Cluster", "name", "clusters/eu-1"),
    ("Cluster", "dedicated_to", "acme"),
    ("GetClusterRequest", "name", "clusters/eu-1"),
    ("DeleteClusterRequest", "name", "clusters/eu-1"),
    ("CordonClusterRequest", "name", "clusters/eu-1"),
    ("UncordonClusterRequest", "name", "clusters/eu-1"),
    ("ReleaseBreakerRequest", "name", "clusters/eu-1"),
    ("AcceptClusterGapRequest", "name", "clusters/eu-1"),
    ("AcceptClusterGapRequest", "gap", "network-policy"),
    ("Operation", "name", "operations/acme.reconcile.3"),
    ("Operation", "target", "tenants/acme"),
    ("Operation", "verb", "reconcile"),
    ("OperationError", "reason", "NoRoom"),
    ("GetOperationRequest", "name", "operations/acme.reconcile.3"),
    ("WaitOperationRequest", "name", "operations/acme.reconcile.3"),
    ("JoinToken", "name", "joinTokens/k7"),
    ("DeleteJoinTokenRequest", "name", "joinTokens/k7"),
    ("CreateJoinTokenResponse", "hub_urls", "https://hub.example:7444"),
    ("ApiKey", "name", "apiKeys/ci"),
    ("ApiKey", "creator", "certificate:admin"),
    ("ApiKeyRecord", "creator", "certificate:admin"),
    ("CreateApiKeyRequest", "api_key_id", "ci"),
    ("GetApiKeyRequest", "name", "apiKeys/ci"),
    ("DeleteApiKeyRequest", "name", "apiKeys/ci"),
    ("OidcOptions", "issuer", "https://id.example"),
    ("OidcOptions", "scopes", "openid"),
    ("Condition", "type", "Ready"),
    ("Condition", "status", "True"),
    ("Condition", "reason", "AllGood"),
    ("Candidate", "constraint", "Region"),
    ("FieldMask", "paths", "spec.size"),
    ("TenantStatus", "namespaces", "t-acme"),
    ("TenantStatus", "health", "Healthy"),
    ("TenantSpec", "environment", "staging"),
    ("TenantSpec", "namespaces", "data"),
    ("TenantSpec", "quota", "2"),
    ("TenantSpec", "environments", "staging"),
    ("TenantSpec", "pod_security", "restricted"),
    ("QuotaAmounts", "amounts", "2"),
    ("Network", "within", "environment"),
    ("TierNetwork", "within", "environment"),
    ("TierNetwork", "private_cidrs", "10.20.0.0/16"),
    ("NetworkRule", "ports", "443"),
    ("NetworkRule", "cidr", "203.0.113.0/24"),
    ("WorkloadPolicy", "kind", "StatefulSet"),
    ("PodMetric", "average", "100"),
    ("PlacementConstraints", "min_kubernetes_version", "1.33"),
    ("Subject", "kind", "ServiceAccount"),
    ("TierSpec", "default_size", "small"),
    ("TierSpec", "pod_security", "restricted"),
    ("TierSpec", "priority", "high"),
    ("TierSpec", "pod_security_dev", "baseline"),
    ("TierSpec", "quota", "2"),
    ("TierSpec", "quota_max", "4"),
    ("TierSpec", "loosen", "registries"),
    ("SecretStore", "name", "vault"),
    ("SecretStore", "kind", "ClusterSecretStore"),
    ("SecretStore", "key_prefix", "tenants/{tenant}/"),
    ("Sla", "uptime_percent", "99.9"),
    ("Sla", "support_hours", "24x7"),
    ("NodePoolTemplate", "capacity_type", "spot"),
    ("NodePoolTemplate", "instance_types", "m7i.large"),
    ("ClusterTemplate", "bootstrap", "public-then-private"),
    ("ClusterTemplate", "logging", "audit"),
    ("ClusterTemplate", "public_access_cidrs", "10.0.0.0/8"),
    ("Parameter", "name", "replicas"),
    ("Parameter", "type", "integer"),
    (
        "ClusterFacts",
        "kubernetes_uid",
        "6f1c2a90-0000-4000-8000-000000000001",
    ),
    ("ClusterFacts", "provider", "eks"),
    ("ClusterFacts", "network_policy", "enforced"),
    ("Nack", "reason", "OlderTerm"),
    ("Goodbye", "reason", "NotLeader"),
    ("Goodbye", "leader", "https://hub-2.example:7444"),
    ("Report", "apply_state", "failed"),
    ("Report", "apply_reason", "NameConflict"),
    ("Report", "health", "Degraded"),
    ("FleetRecord", "fleet_id", "f-1"),
    ("*", "uid", "u-1"),
    ("*", "tenant_uid", "u-1"),
    ("*", "dedicated_to_uid", "u-1"),
    ("*", "rejoin_uid", "u-2"),
    ("*", "cluster_uid", "u-2"),
    ("*", "source_cidrs", "10.0.0.0/8"),
    ("Authority", "stage", "announced"),
    ("RotateAuthorityRequest", "step", "finish"),
    ("*", "tenant", "acme"),
    ("*", "cluster", "eu-1"),
    ("*", "pool", "t-acme"),
    ("*", "isolation", "node-pool"),
    ("*", "tier", "premium"),
    ("*", "size", "small"),
    ("*", "etag", "7"),
    ("*", "region", "eu-central-1"),
    ("*", "regions", "eu-central-1"),
    ("*", "kubernetes_version", "1.33"),
    ("*", "agent_version", "0.1.0"),
];

const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// 2026-01-01T00:00:00.000005Z.
const SECONDS: i64 = 1_767_225_600;

/// The key of a map's only entry.
pub(crate) fn key(field: &FieldDescriptor) -> &'static str {
    match field.name() {
        "quota" | "quota_max" | "amounts" | "used" => "requests.cpu",
        "priority_quota" => "standard",
        "quota_split" => "main",
        "response_minutes" => "high",
        "accepted_gaps" => "network-policy",
        "pools" => "t-acme",
        "features" => "backups",
        _ => "team",
    }
}

/// A value of a field that holds no message.
pub(crate) fn scalar(field: &FieldDescriptor, kind: &Kind) -> Value {
    let number = field.number();
    match kind {
        Kind::String => Value::String(text(field)),
        Kind::Bytes => Value::Bytes(bytes(field).into()),
        // Lists and assignments are complete in one message.
        Kind::Bool => Value::Bool(field.full_name() != "berth.agent.v1.Assign.more"),
        Kind::Uint32 | Kind::Fixed32 if field.name().starts_with("protocol") => Value::U32(1),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(100 + number),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(1_000 + u64::from(number)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(10 + i32::try_from(number).unwrap_or(0)),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(100 + i64::from(number)),
        Kind::Float => Value::F32(0.5),
        Kind::Double => Value::F64(0.5),
        Kind::Enum(words) => Value::EnumNumber(words.values().last().map_or(0, |value| value.number())),
        Kind::Message(message) => Value::Message(DynamicMessage::new(message.clone())),
    }
}

fn text(field: &FieldDescriptor) -> String {
    let (message, name) = (field.parent_message().name().to_owned(), field.name());
    let word = |of: &str| {
        WORDS
            .iter()
            .find(|(known, field, _)| *known == of && *field == name)
            .map(|(_, _, word)| (*word).to_owned())
    };
    if name == "digest" {
        return objects::digest(&lines()).map_or_else(|_| SHA256.to_owned(), |digest| digest.to_string());
    }
    if name.ends_with("sha256") {
        return SHA256.to_owned();
    }
    if name == "observed_json" {
        return serde_json::to_string(&infra()).unwrap_or_default();
    }
    word(&message)
        .or_else(|| word("*"))
        .unwrap_or_else(|| format!("the {}", name.replace('_', " ")))
}

fn bytes(field: &FieldDescriptor) -> Vec<u8> {
    match field.name() {
        "objects_zstd" => objects::compress(&lines()).unwrap_or_default(),
        "statement_zstd" => statement().unwrap_or_default(),
        _ => vec![0x30, 0x01, 0x02],
    }
}

/// The objects of an assignment.
fn lines() -> Vec<u8> {
    let manifest = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "t-acme", "labels": {"berth.dev/tenant": "acme", "berth.dev/tenant-uid": "u-1"}},
    });
    let object = Object {
        phase: ApplyPhase::Namespace,
        applied_as: AppliedAs::Agent,
        manifest,
    };
    objects::encode_objects(&[object]).unwrap_or_default()
}

/// Evidence as an agent signs it.
fn statement() -> Option<Vec<u8>> {
    let evidence: Evidence = serde_json::from_value(serde_json::json!({
        "tenant": "acme",
        "uid": "u-1",
        "cluster": "eu-1",
        "generation": 3,
        "digest": SHA256,
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:01Z",
        "intervalSeconds": 600,
        "agentVersion": "0.1.0",
        "kubernetesVersion": "v1.33.1",
        "policies": {"ValidatingAdmissionPolicy berth-pool-bounds": {"uid": "p-1", "generation": 1}},
        "probes": [{
            "name": "pod-privileged",
            "what": "a privileged pod",
            "expected": "refused",
            "seen": "refused by pod security",
            "required": true,
            "outcome": {"result": "passed"},
        }],
        "refusedAttempts": 2,
    }))
    .ok()?;
    evidence::pack(&evidence::statement(&evidence).ok()?).ok()
}

fn infra() -> Infra {
    Infra {
        pool: Some(Observed::Known(NodePoolInfra {
            phase: InfraPhase::Active,
            cloud_name: "pool-acme".into(),
            desired_nodes: 3,
        })),
        cluster: Some(Observed::<ClusterInfra>::Unknown),
        trouble: None,
    }
}

/// Messages whose form is not ours.
pub(crate) fn well_known(message: &MessageDescriptor) -> Option<DynamicMessage> {
    let mut known = DynamicMessage::new(message.clone());
    match message.full_name() {
        "google.protobuf.Timestamp" => {
            known.set_field_by_name("seconds", Value::I64(SECONDS));
            known.set_field_by_name("nanos", Value::I32(5_000));
        }
        "google.protobuf.Duration" => known.set_field_by_name("seconds", Value::I64(4)),
        "google.protobuf.Value" => known.set_field_by_name("number_value", Value::F64(2.0)),
        _ => return None,
    }
    Some(known)
}
