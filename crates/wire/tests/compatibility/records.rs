//! Records at rest: what an older hub stored, and what a newer one would store beside it.

use berth_model::Revision;
use berth_wire::record as r;

use crate::examples;

/// As a hub reads it from its store, and writes it again.
fn at_rest(name: &str) -> fn(&[u8]) -> Vec<u8> {
    const AT: Revision = Revision(9);
    match name {
        "TenantRecord" => |bytes| r::encode_tenant(&r::decode_tenant(bytes, AT).unwrap()),
        "TierRecord" => |bytes| r::encode_tier(&r::decode_tier(bytes, AT).unwrap()),
        "OrganisationRecord" => |bytes| r::encode_organisation(&r::decode_organisation(bytes, AT).unwrap()),
        "RoleBindingRecord" => |bytes| r::encode_role_binding(&r::decode_role_binding(bytes, AT).unwrap()),
        "BundleRecord" => |bytes| r::encode_bundle(&r::decode_bundle(bytes, AT).unwrap()),
        "ClusterRecord" => |bytes| r::encode_cluster(&r::decode_cluster(bytes, AT).unwrap()),
        "PlacementRecord" => |bytes| r::encode_placement(&r::decode_placement(bytes).unwrap()),
        "AssignmentRecord" => |bytes| r::encode_assignment(&r::decode_assignment(bytes).unwrap()),
        "InfraRecord" => |bytes| r::encode_infra(&r::decode_infra(bytes).unwrap()).unwrap(),
        "StatusRecord" => |bytes| r::encode_status(&r::decode_status(bytes).unwrap()),
        "JoinTokenRecord" => |bytes| r::encode_join_token(&r::decode_join_token(bytes).unwrap()),
        "FleetRecord" => |bytes| r::encode_fleet(&r::decode_fleet(bytes).unwrap()),
        "RestoreRecord" => |bytes| r::encode_restore(&r::decode_restore(bytes).unwrap()),
        "BreakerRecord" => |bytes| r::encode_breaker(&r::decode_breaker(bytes).unwrap()),
        "EvidenceRecord" => |bytes| r::encode_evidence(&r::decode_evidence(bytes).unwrap()),
        other => panic!("{other} is not read here: add how a hub reads and writes it"),
    }
}

#[test]
fn what_hubs_have_stored_is_still_read_and_written_so_that_they_could_read_it() {
    for example in examples("record") {
        example.survives(at_rest(&example.name));
    }
}
