//! The public API: what clients have sent is still taken, and what they read means the same.

use berth_proto::v1;
use berth_wire::{api, names};
use prost::Message as _;

use crate::examples;

fn tenant(tenant: &mut Option<v1::Tenant>) {
    let tenant = tenant.as_mut().unwrap();
    if let Some(spec) = &mut tenant.spec {
        *spec = api::tenant_spec_to_proto(&api::tenant_spec_from_proto(spec).unwrap());
    }
    if !tenant.name.is_empty() {
        tenant.name = names::tenant(&names::parse_tenant("name", &tenant.name).unwrap());
    }
    if let Some(status) = &mut tenant.status {
        status.conditions = api::conditions_to_proto(&api::conditions_from_proto(&status.conditions));
        let placement = status.placement.as_ref().unwrap();
        status.placement = Some(api::placement_to_proto(
            &api::placement_from_proto(placement).unwrap(),
        ));
    }
}

fn tier(tier: &mut Option<v1::Tier>) {
    let spec = tier.as_mut().unwrap().spec.as_mut().unwrap();
    *spec = api::tier_spec_to_proto(&api::tier_spec_from_proto(spec).unwrap());
}

fn organisation(organisation: &mut Option<v1::Organisation>) {
    let spec = organisation.as_mut().unwrap().spec.as_mut().unwrap();
    *spec = api::organisation_spec_to_proto(&api::organisation_spec_from_proto(spec).unwrap());
}

fn role_binding(binding: &mut Option<v1::RoleBinding>) {
    let spec = binding.as_mut().unwrap().spec.as_mut().unwrap();
    *spec = api::role_binding_spec_to_proto(&api::role_binding_spec_from_proto(spec).unwrap());
}

fn bundle(bundle: &mut Option<v1::Bundle>) {
    let spec = bundle.as_mut().unwrap().spec.as_mut().unwrap();
    *spec = api::bundle_spec_to_proto(&api::bundle_spec_from_proto(spec).unwrap());
}

fn cluster(cluster: &mut Option<v1::Cluster>) {
    let cluster = cluster.as_mut().unwrap();
    let change = api::cluster_change_from_proto(cluster).unwrap();
    cluster.labels = change.labels;
    cluster.region = change.region;
    cluster.cloud_name = change.cloud_name;
    let status = cluster.status.as_mut().unwrap();
    let facts = api::facts_from_proto(status.facts.as_ref().unwrap());
    status.facts = Some(api::facts_to_proto(&facts));
}

/// Reads a message of the API into the model and says it again.
macro_rules! through {
    ($bytes:expr, $message:ty, $part:ident) => {{
        let mut message = <$message>::decode($bytes).unwrap();
        $part(&mut message.$part);
        message.encode_to_vec()
    }};
}

/// Reads a message and writes it again.
type Through = fn(&[u8]) -> Vec<u8>;

/// The way of messages that have a model; the others are read by their descriptors alone.
fn modelled(name: &str) -> Option<Through> {
    Some(match name {
        "CreateTenantRequest" => |bytes| through!(bytes, v1::CreateTenantRequest, tenant),
        "UpdateTenantRequest" => |bytes| through!(bytes, v1::UpdateTenantRequest, tenant),
        "GetTenantResponse" => |bytes| through!(bytes, v1::GetTenantResponse, tenant),
        "CreateTierRequest" => |bytes| through!(bytes, v1::CreateTierRequest, tier),
        "UpdateTierRequest" => |bytes| through!(bytes, v1::UpdateTierRequest, tier),
        "CreateOrganisationRequest" => |bytes| through!(bytes, v1::CreateOrganisationRequest, organisation),
        "UpdateOrganisationRequest" => |bytes| through!(bytes, v1::UpdateOrganisationRequest, organisation),
        "CreateRoleBindingRequest" => |bytes| through!(bytes, v1::CreateRoleBindingRequest, role_binding),
        "UpdateRoleBindingRequest" => |bytes| through!(bytes, v1::UpdateRoleBindingRequest, role_binding),
        "CreateBundleRequest" => |bytes| through!(bytes, v1::CreateBundleRequest, bundle),
        "UpdateClusterRequest" => |bytes| through!(bytes, v1::UpdateClusterRequest, cluster),
        "GetClusterResponse" => |bytes| through!(bytes, v1::GetClusterResponse, cluster),
        _ => return None,
    })
}

#[test]
fn what_clients_have_sent_is_still_taken() {
    let mut seen = 0;
    for example in examples("api") {
        if let Some(through) = modelled(&example.name) {
            example.survives(through);
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn an_event_that_only_a_newer_hub_knows_is_no_event_and_keeps_its_resume_token() {
    for example in examples("api") {
        if example.name != "WatchTenantsResponse" {
            continue;
        }
        let known = v1::WatchTenantsResponse::decode(&*example.bytes).unwrap();
        let from_newer = v1::WatchTenantsResponse::decode(&*example.of_a_newer_side()).unwrap();
        assert_eq!(from_newer, known);
        // Without the event that is known, only the one that is not.
        let token = v1::WatchTenantsResponse { event: None, ..known };
        let mut bytes = token.encode_to_vec();
        bytes.extend_from_slice(b"\xc2\xa9\x07\x05\x0a\x03new");
        assert_eq!(v1::WatchTenantsResponse::decode(&*bytes).unwrap(), token);
    }
}
