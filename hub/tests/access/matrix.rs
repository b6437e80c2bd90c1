//! Every call of the API as every role, about one's own tenant and about another's, over the wire. What is expected is written down
//! here anew and taken from nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{self, Hub, bind, denied, fleet, of_organisation, only, tenant};
use berth_model::{Role, role::RULES};
use berth_proto::v1;
use prost::Message as _;

/// Tenant `own` belongs to organisation `acme`.
const CALLERS: [(char, &str); 9] = [
    ('P', "platform admin of the fleet"),
    ('O', "operator of the fleet"),
    ('W', "viewer of the fleet"),
    ('A', "tenant admin of own"),
    ('U', "tenant user of own"),
    ('V', "viewer of own"),
    ('S', "platform admin of acme's tenants"),
    ('X', "tenant admin of another tenant"),
    ('N', "nobody: no binding"),
];

fn named(name: &str) -> String {
    format!("tenants/{name}")
}

fn credential(role: &str) -> Vec<u8> {
    let request = v1::IssueTenantCredentialRequest {
        name: named("own"),
        role: role.into(),
        lifetime: None,
    };
    request.encode_to_vec()
}

/// A call, what is asked, and who is let through. None of them changes anything when it is.
#[rustfmt::skip]
fn table() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let fresh = v1::CreateTenantRequest { validate_only: true, ..tenant("fresh", "acme") };
    let update = v1::UpdateTenantRequest {
        tenant: Some(v1::Tenant { name: named("own"), spec: Some(v1::TenantSpec { tier: "free".into(), owner: Some(v1::Owner { organisation: "acme".into(), ..Default::default() }), display_name: "Own".into(), ..Default::default() }), ..Default::default() }),
        validate_only: true, ..Default::default()
    };
    let viewer_of_own = v1::CreateRoleBindingRequest { validate_only: true, ..support::binding("new", "viewer", &["user:new"], only(&["own"])) };
    let same = support::binding("a", "tenant-admin", &["certificate:a"], only(&["own"])).role_binding.unwrap();
    let same = v1::RoleBinding { name: "roleBindings/a".into(), ..same };
    let stale = || "4000000000".to_owned();
    let zero = || Some(prost_types::Duration::default());
    let nowhere = || "clusters/nowhere".to_owned();
    vec![
        ("TenantService/CreateTenant", fresh.encode_to_vec(), "PS"),
        ("TenantService/GetTenant", v1::GetTenantRequest { name: named("own") }.encode_to_vec(), "POWAUVS"),
        ("TenantService/GetTenant", v1::GetTenantRequest { name: named("absent") }.encode_to_vec(), "POW"),
        ("TenantService/ListTenants", Vec::new(), "POWAUVSX"),
        ("TenantService/UpdateTenant", update.encode_to_vec(), "PAS"),
        ("TenantService/DeleteTenant", v1::DeleteTenantRequest { name: named("own"), validate_only: true, ..Default::default() }.encode_to_vec(), "PS"),
        ("TenantService/ExplainTenant", v1::ExplainTenantRequest { name: named("own"), ..Default::default() }.encode_to_vec(), "POWAUVS"),
        ("TenantService/IssueTenantCredential", credential("admin"), "PAS"),
        ("TenantService/IssueTenantCredential", credential("user"), "PAUS"),
        ("TenantService/IssueTenantCredential", credential("viewer"), "PWAUVS"),
        ("TenantService/IssueTenantCredential", credential("root"), "PAS"),
        ("TenantService/WatchTenants", v1::WatchTenantsRequest { name: named("own"), ..Default::default() }.encode_to_vec(), "POWAUVS"),
        ("TenantService/WatchTenants", Vec::new(), "POWAUVSX"),
        ("EvidenceService/GetEvidence", v1::GetEvidenceRequest { name: "tenants/own/evidence".into() }.encode_to_vec(), "POWAUVS"),
        ("EvidenceService/ListEvidence", Vec::new(), "POWAUVSX"),
        ("EvidenceService/ProbeTenant", v1::ProbeTenantRequest { name: named("own") }.encode_to_vec(), "POAS"),
        ("OperationService/GetOperation", v1::GetOperationRequest { name: "operations/own.reconcile.1".into() }.encode_to_vec(), "POWAUVS"),
        ("OperationService/ListOperations", Vec::new(), "POWAUVSX"),
        ("OperationService/WaitOperation", v1::WaitOperationRequest { name: "operations/own.reconcile.1".into(), timeout: zero() }.encode_to_vec(), "POWAUVS"),
        ("TierService/CreateTier", v1::CreateTierRequest { tier_id: "new".into(), validate_only: true, ..Default::default() }.encode_to_vec(), "P"),
        ("TierService/GetTier", v1::GetTierRequest { name: "tiers/free".into() }.encode_to_vec(), "POWAUVSX"),
        ("TierService/ListTiers", Vec::new(), "POWAUVSX"),
        ("TierService/UpdateTier", v1::UpdateTierRequest { validate_only: true, ..Default::default() }.encode_to_vec(), "P"),
        ("TierService/DeleteTier", v1::DeleteTierRequest { name: "tiers/free".into(), etag: stale(), ..Default::default() }.encode_to_vec(), "P"),
        ("OrganisationService/CreateOrganisation", v1::CreateOrganisationRequest { organisation_id: "new".into(), validate_only: true, ..Default::default() }.encode_to_vec(), "P"),
        ("OrganisationService/GetOrganisation", v1::GetOrganisationRequest { name: "organisations/acme".into() }.encode_to_vec(), "POWS"),
        ("OrganisationService/ListOrganisations", Vec::new(), "POWAUVSX"),
        ("OrganisationService/UpdateOrganisation", v1::UpdateOrganisationRequest { organisation: Some(v1::Organisation { name: "organisations/acme".into(), ..Default::default() }), validate_only: true, ..Default::default() }.encode_to_vec(), "P"),
        ("OrganisationService/DeleteOrganisation", v1::DeleteOrganisationRequest { name: "organisations/acme".into(), etag: stale(), ..Default::default() }.encode_to_vec(), "P"),
        ("BundleService/CreateBundle", v1::CreateBundleRequest { validate_only: true, ..Default::default() }.encode_to_vec(), "P"),
        ("BundleService/GetBundle", v1::GetBundleRequest { name: "bundles/web/versions/1".into() }.encode_to_vec(), "POWAUVSX"),
        ("BundleService/ListBundles", Vec::new(), "POWAUVSX"),
        ("BundleService/DeleteBundle", v1::DeleteBundleRequest { name: "bundles/web/versions/1".into(), ..Default::default() }.encode_to_vec(), "P"),
        ("ClusterService/GetCluster", v1::GetClusterRequest { name: nowhere() }.encode_to_vec(), "POW"),
        ("ClusterService/ListClusters", Vec::new(), "POWAUVSX"),
        ("ClusterService/UpdateCluster", v1::UpdateClusterRequest { cluster: Some(v1::Cluster { name: nowhere(), ..Default::default() }) }.encode_to_vec(), "PO"),
        ("ClusterService/DeleteCluster", v1::DeleteClusterRequest { name: nowhere(), ..Default::default() }.encode_to_vec(), "PO"),
        ("ClusterService/CordonCluster", v1::CordonClusterRequest { name: nowhere() }.encode_to_vec(), "PO"),
        ("ClusterService/UncordonCluster", v1::UncordonClusterRequest { name: nowhere() }.encode_to_vec(), "PO"),
        ("ClusterService/ReleaseBreaker", v1::ReleaseBreakerRequest { name: nowhere() }.encode_to_vec(), "PO"),
        ("ClusterService/AcceptCluster", v1::AcceptClusterRequest { name: nowhere() }.encode_to_vec(), "PO"),
        ("ClusterService/RevokeCluster", v1::RevokeClusterRequest { name: nowhere(), ..Default::default() }.encode_to_vec(), "PO"),
        ("HubService/GetAuthority", Vec::new(), "POW"),
        ("HubService/RotateAuthority", v1::RotateAuthorityRequest { step: "retire".into(), ..Default::default() }.encode_to_vec(), "P"),
        ("ClusterService/AcceptClusterGap", v1::AcceptClusterGapRequest { name: nowhere(), ..Default::default() }.encode_to_vec(), "PO"),
        ("JoinTokenService/CreateJoinToken", v1::CreateJoinTokenRequest { cluster: "No".into(), ..Default::default() }.encode_to_vec(), "PO"),
        ("JoinTokenService/ListJoinTokens", Vec::new(), "POW"),
        ("JoinTokenService/DeleteJoinToken", v1::DeleteJoinTokenRequest { name: "joinTokens/none".into() }.encode_to_vec(), "PO"),
        ("LoginService/GetLoginOptions", Vec::new(), "POWAUVSXN"),
        ("ApiKeyService/CreateApiKey", v1::CreateApiKeyRequest { api_key_id: "No".into(), ..Default::default() }.encode_to_vec(), "P"),
        ("ApiKeyService/GetApiKey", v1::GetApiKeyRequest { name: "apiKeys/none".into() }.encode_to_vec(), "PW"),
        ("ApiKeyService/ListApiKeys", Vec::new(), "PW"),
        ("ApiKeyService/DeleteApiKey", v1::DeleteApiKeyRequest { name: "apiKeys/none".into() }.encode_to_vec(), "P"),
        ("HubService/GetHub", Vec::new(), "POWAUVSXN"),
        ("HubService/GetDifference", Vec::new(), "POW"),
        ("HubService/TakeCommand", Vec::new(), "PO"),
        ("HubService/Backup", Vec::new(), "PO"),
        ("AccessService/CreateRoleBinding", viewer_of_own.encode_to_vec(), "PA"),
        ("AccessService/GetRoleBinding", v1::GetRoleBindingRequest { name: "roleBindings/a".into() }.encode_to_vec(), "POWAV"),
        ("AccessService/ListRoleBindings", Vec::new(), "POWAVSX"),
        ("AccessService/UpdateRoleBinding", v1::UpdateRoleBindingRequest { role_binding: Some(same), validate_only: true, ..Default::default() }.encode_to_vec(), "PA"),
        ("AccessService/DeleteRoleBinding", v1::DeleteRoleBindingRequest { name: "roleBindings/absent".into(), ..Default::default() }.encode_to_vec(), "P"),
        ("AccessService/DeleteRoleBinding", v1::DeleteRoleBindingRequest { name: "roleBindings/a".into(), etag: stale(), ..Default::default() }.encode_to_vec(), "PA"),
        ("AccessService/ListRoles", Vec::new(), "POWAUVSXN"),
        ("AccessService/CheckAccess", v1::CheckAccessRequest { permission: "tenants.get".into(), ..Default::default() }.encode_to_vec(), "POWAUVSXN"),
        ("AccessService/CheckAccess", v1::CheckAccessRequest { permission: "tenants.get".into(), subject: "user:bob".into(), ..Default::default() }.encode_to_vec(), "P"),
        ("AuditService/ListAuditEvents", Vec::new(), "POW"),
        ("AuditService/ListAuditEvents", v1::ListAuditEventsRequest { tenant: "own".into(), ..Default::default() }.encode_to_vec(), "POWAVS"),
        ("AccessService/GetCaller", Vec::new(), "POWAUVSXN"),
    ]
}

/// Every call that the descriptors have.
fn served() -> BTreeSet<String> {
    let set = prost_types::FileDescriptorSet::decode(berth_proto::DESCRIPTORS).unwrap();
    let files = set.file.iter().filter(|file| file.package() == "berth.v1");
    let services = files.flat_map(|file| &file.service);
    let calls = services.flat_map(|service| {
        let methods = service.method.iter();
        methods.map(|method| format!("{}/{}", service.name(), method.name()))
    });
    calls.collect()
}

#[test]
fn every_call_that_the_descriptors_have_is_tried() {
    let tried: BTreeSet<String> = table().into_iter().map(|(call, ..)| call.to_owned()).collect();
    assert_eq!(tried, served());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_lets_through_whom_it_should_and_nobody_else() {
    let hub = Hub::start().await;
    let admin = hub.admin();
    for (id, organisation) in [("own", "acme"), ("other", "rivals")] {
        let created = admin.tenants().create_tenant(tenant(id, organisation)).await;
        created.unwrap();
    }
    for (name, role, scope) in [
        ("p", "platform-admin", fleet()),
        ("o", "operator", fleet()),
        ("w", "viewer", fleet()),
        ("a", "tenant-admin", only(&["own"])),
        ("u", "tenant-user", only(&["own"])),
        ("v", "viewer", only(&["own"])),
        ("s", "platform-admin", of_organisation("acme")),
        ("x", "tenant-admin", only(&["other"])),
    ] {
        bind(&admin, name, role, &[&format!("certificate:{name}")], scope).await;
    }
    let callers: BTreeMap<char, _> = CALLERS
        .iter()
        .map(|(letter, _)| (*letter, hub.user(&letter.to_lowercase().to_string())))
        .collect();
    let mut wrong = Vec::new();
    for (call, request, expected) in table() {
        let path = format!("/berth.v1.{call}");
        for (letter, who) in CALLERS {
            let answer = callers[&letter].call(&path, request.clone()).await;
            let through = !answer.as_ref().is_err_and(denied);
            if through != expected.contains(letter) {
                wrong.push(format!("{call} as {who}: {answer:?}"));
            }
        }
        // Whatever bindings say.
        let answer = admin.call(&path, request).await;
        if answer.as_ref().is_err_and(denied) {
            wrong.push(format!("{call} as the hub's own admin: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    hub.stop().await;
}

/// The table of permissions in the README: how far each must reach, and which roles have it.
#[test]
fn the_page_for_operators_says_of_every_permission_who_has_it() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let mut told = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, permissions, reach, roles @ .., _] = cells.as_slice() else {
            continue;
        };
        if !["everybody", "anywhere", "tenant", "fleet"].contains(reach) {
            continue;
        }
        let of = Role::ALL.into_iter().zip(roles).filter(|(_, cell)| **cell == "x");
        let of: Vec<Role> = of.map(|(role, _)| role).collect();
        for permission in permissions.split(", ") {
            told.insert(
                permission.trim_matches('`').to_owned(),
                ((*reach).to_owned(), of.clone()),
            );
        }
    }
    let is = RULES.iter().map(|rule| {
        let reach = format!("{:?}", rule.reach).to_lowercase();
        let of = Role::ALL.into_iter().filter(|role| rule.takes(*role));
        (rule.permission.to_owned(), (reach, of.collect()))
    });
    let is: BTreeMap<String, (String, Vec<Role>)> = is.collect();
    for (permission, has) in &is {
        assert_eq!(told.get(permission), Some(has), "{permission}");
    }
    let more: Vec<&String> = told.keys().filter(|told| !is.contains_key(*told)).collect();
    assert!(more.is_empty(), "{more:?}");
}
