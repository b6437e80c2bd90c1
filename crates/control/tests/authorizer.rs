//! Who may do what follows the store: what is written counts, what cannot be read gives nothing.
#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::sync::Arc;

use berth_control::{
    Authorizer,
    access::{NotReady, Resource},
    keys,
};
use berth_identity::{Caller, Principal};
use berth_model::{
    AcceptedGaps, Cluster, ClusterName, ClusterPurpose, Generation, Revision, Role, RoleBinding,
    RoleBindingSpec, Scope, Tenant, TenantId, TenantSelector, TenantSpec, Timestamp, Uid,
};
use berth_runtime::{CancellationToken, SystemClock};
use berth_store::{MemoryStore, Store, Txn};
use berth_wire::record::{self, ClusterRecord, TenantRecord};

struct Rig {
    store: Arc<dyn Store>,
    authorizer: Authorizer,
    cancel: CancellationToken,
}

impl Rig {
    fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            authorizer: Authorizer::default(),
            cancel: CancellationToken::new(),
        }
    }

    fn follow(&self) {
        let clock = Arc::new(SystemClock::new());
        let following = self.authorizer.clone();
        tokio::spawn(following.follow(self.store.clone(), clock, self.cancel.clone()));
    }

    /// Returns when it counts.
    async fn write(&self, txn: Txn) {
        let revision = self.store.txn(txn).await.unwrap();
        self.authorizer.reached(revision).await;
    }

    fn may(&self, caller: &Caller, permission: &str, resource: Resource<'_>) -> bool {
        let grants = self.authorizer.grants(caller).unwrap();
        self.authorizer.decide(&grants, permission, resource).is_ok()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn alice() -> Caller {
    Caller {
        principal: Principal::Person("alice".into()),
        groups: vec!["devs".into()],
        credential: String::new(),
    }
}

fn binding(name: &str, subject: &str, scope: Scope) -> Txn {
    let binding = RoleBinding {
        name: name.parse().unwrap(),
        uid: Uid::new("u").unwrap(),
        generation: Generation(1),
        revision: Revision(0),
        spec: RoleBindingSpec {
            role: Role::Viewer,
            subjects: [subject.parse().unwrap()].into(),
            scope,
        },
    };
    let key = keys::role_binding(&binding.name);
    Txn::new().put(key, record::encode_role_binding(&binding))
}

fn of(organisation: &str) -> Scope {
    Scope::Selector(TenantSelector {
        organisation: organisation.into(),
        ..TenantSelector::default()
    })
}

fn tenant(id: &str, organisation: &str) -> Txn {
    let mut spec = TenantSpec::of_tier("free".parse().unwrap());
    spec.owner.organisation = organisation.into();
    let tenant = Tenant {
        id: id.parse().unwrap(),
        uid: Uid::new("u").unwrap(),
        generation: Generation(1),
        revision: Revision(0),
        created_at: Timestamp::UNIX_EPOCH,
        deleting_since: None,
        spec,
    };
    let key = keys::tenant(&tenant.id);
    let request_ids = Vec::new();
    Txn::new().put(key, record::encode_tenant(&TenantRecord { tenant, request_ids }))
}

#[tokio::test]
async fn before_anything_is_read_only_the_hubs_own_credential_is_let_in() {
    let rig = Rig::new();
    assert_eq!(rig.authorizer.grants(&alice()), Err(NotReady));
    let admin = Caller::certificate("admin", "");
    assert!(rig.may(&admin, "tiers.delete", Resource::Fleet));
}

#[tokio::test]
async fn what_is_bound_by_name_by_group_and_by_selector_follows_bindings_and_tenants() {
    let rig = Rig::new();
    rig.store.txn(tenant("a", "x")).await.unwrap();
    rig.follow();
    let ids = ["b".parse().unwrap()].into();
    rig.write(binding("mine", "user:alice", Scope::Tenants(ids)))
        .await;
    rig.write(binding("ours", "group:devs", of("x"))).await;
    let sees = |id| rig.may(&alice(), "tenants.get", Resource::Tenant(id));
    assert!(sees("a") && sees("b") && !sees("c"));
    // The tenant goes to another organisation, and away.
    rig.write(tenant("a", "y")).await;
    assert!(!sees("a"));
    rig.write(tenant("a", "x")).await;
    assert!(sees("a"));
    rig.write(Txn::new().delete(keys::tenant(&TenantId::new("a").unwrap())))
        .await;
    assert!(!sees("a"));
    let seen = rig.authorizer.generation();
    rig.write(Txn::new().delete(keys::role_binding(&"mine".parse().unwrap())))
        .await;
    assert!(!sees("b"));
    // It has come already.
    rig.authorizer.changed(seen).await;
}

#[tokio::test]
async fn a_binding_that_cannot_be_read_any_more_gives_nothing() {
    let rig = Rig::new();
    rig.follow();
    rig.write(binding("mine", "user:alice", Scope::Fleet)).await;
    assert!(rig.may(&alice(), "clusters.get", Resource::Cluster("eu-1")));
    let key = keys::role_binding(&"mine".parse().unwrap());
    rig.write(Txn::new().put(key, &b"\xff\xff"[..])).await;
    assert!(!rig.may(&alice(), "clusters.get", Resource::Cluster("eu-1")));
    let again = Authorizer::default();
    let clock = Arc::new(SystemClock::new());
    let following = again.clone();
    tokio::spawn(following.follow(rig.store.clone(), clock, rig.cancel.clone()));
    again.reached(rig.store.revision().await.unwrap()).await;
    assert!(again.grants(&alice()).unwrap().bindings().is_empty());
}

#[tokio::test]
async fn a_cluster_that_was_made_for_a_tenant_is_seen_with_it_and_a_shared_one_is_the_fleets() {
    let rig = Rig::new();
    rig.follow();
    rig.write(tenant("a", "x")).await;
    rig.write(binding("ours", "group:devs", of("x"))).await;
    for (name, purpose) in [
        ("shared", ClusterPurpose::Shared),
        (
            "of-a",
            ClusterPurpose::Dedicated {
                tenant: "a".parse().unwrap(),
                uid: Uid::new("u").unwrap(),
            },
        ),
        (
            "of-b",
            ClusterPurpose::Dedicated {
                tenant: "b".parse().unwrap(),
                uid: Uid::new("u").unwrap(),
            },
        ),
    ] {
        let cluster = Cluster {
            name: ClusterName::new(name).unwrap(),
            uid: Uid::new("u").unwrap(),
            revision: Revision(0),
            created_at: Timestamp::UNIX_EPOCH,
            labels: std::collections::BTreeMap::new(),
            cordoned: false,
            purpose,
            region: String::new(),
            cloud_name: String::new(),
            facts: None,
            accepted_gaps: AcceptedGaps::new(),
            joined_at: None,
            kubernetes_uid: String::new(),
            awaiting_acceptance: false,
            revoked: None,
        };
        let key = keys::cluster(&cluster.name);
        let certificate_key_sha256 = String::new();
        let value = record::encode_cluster(&ClusterRecord {
            cluster,
            certificate_key_sha256,
        });
        rig.write(Txn::new().put(key, value)).await;
    }
    let sees = |name| rig.may(&alice(), "clusters.get", Resource::Cluster(name));
    assert!(sees("of-a"));
    assert!(!sees("shared") && !sees("of-b") && !sees("none"));
}
