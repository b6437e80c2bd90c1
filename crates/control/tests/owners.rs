//! Organisations, and the tenants that come to them, as the API writes them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

use std::{path::Path, sync::Arc};

use berth_control::{Registry, RegistryError, keys, registry::TenantChange};
use berth_model::{
    OrganisationName, OrganisationSpec, Quantity, TenantId, TenantSpec, TierName, catalogue,
    organisation::Team, tenant::Owner,
};
use berth_runtime::SystemClock;
use berth_store::{MemoryStore, Store, Txn};
use berth_wire::file::{self, Document};

/// A store with the built-in tiers, and the API's side of it.
async fn fresh() -> (Arc<dyn Store>, Registry) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let registry = another(&store);
    for (name, spec) in catalogue::tiers().unwrap() {
        registry.create_tier(name.as_str(), spec, false).await.unwrap();
    }
    (store, registry)
}

/// As another hub has it.
fn another(store: &Arc<dyn Store>) -> Registry {
    Registry::new(store.clone(), Arc::new(SystemClock::new()))
}

fn acme() -> OrganisationName {
    OrganisationName::new("acme").unwrap()
}

fn cpu(amount: &str) -> std::collections::BTreeMap<String, Quantity> {
    [("requests.cpu".to_owned(), amount.parse().unwrap())].into()
}

/// 100 cores; team a has 40, team b what is left.
fn teams() -> OrganisationSpec {
    OrganisationSpec {
        display_name: String::new(),
        quota: cpu("100"),
        teams: vec![
            Team {
                name: "a".into(),
                quota: cpu("40"),
                ..Team::default()
            },
            Team {
                name: "b".into(),
                ..Team::default()
            },
        ],
    }
}

fn member(team: &str, amount: &str) -> TenantSpec {
    TenantSpec {
        quota: cpu(amount),
        owner: Owner {
            organisation: "acme".into(),
            team: team.into(),
            project: String::new(),
        },
        ..TenantSpec::of_tier(TierName::new("enterprise").unwrap())
    }
}

async fn change(registry: &Registry, id: &str, spec: TenantSpec) -> Result<(), RegistryError> {
    let update = TenantChange {
        id: id.to_owned(),
        change: move |_: Option<&TenantSpec>| Ok(spec.clone()),
        etag: None,
        request_id: String::new(),
        validate_only: false,
        allow_missing: false,
    };
    registry.update_tenant(update).await.map(|_| ())
}

fn refused<T: std::fmt::Debug>(answer: Result<T, RegistryError>) -> String {
    match answer {
        Err(RegistryError::Invalid(violations)) => violations
            .iter()
            .map(|violation| format!("{}: {}", violation.path, violation.problem))
            .collect::<Vec<_>>()
            .join("\n"),
        other => panic!("{other:?}"),
    }
}

/// The tenants that `organisation` has, by what each of them asks for.
async fn cores(registry: &Registry) -> i128 {
    let tenants = registry.owned_tenants().await.unwrap();
    tenants
        .iter()
        .map(|tenant| tenant.spec.quota["requests.cpu"].nanos() / 1_000_000_000)
        .sum()
}

#[tokio::test]
async fn a_tenant_that_moves_between_teams_needs_room_where_it_goes_and_frees_where_it_was() {
    let (_, registry) = fresh().await;
    registry
        .create_organisation("acme", teams(), false)
        .await
        .unwrap();
    registry
        .create_tenant("x", member("a", "30"), "", false)
        .await
        .unwrap();
    registry
        .create_tenant("y", member("b", "20"), "", false)
        .await
        .unwrap();
    let answer = change(&registry, "y", member("a", "20")).await;
    assert_eq!(
        refused(answer),
        "spec.owner.team: team a: requests.cpu 40 is 10 over: 50 of 40 used by tenants x (30), y (20)"
    );
    change(&registry, "x", member("b", "30")).await.unwrap();
    change(&registry, "y", member("a", "40")).await.unwrap();
    assert_eq!(
        refused(registry.create_tenant("z", member("a", "500m"), "", true).await),
        "spec.owner.team: team a: requests.cpu 40 is 500m over: 40500m of 40 used by tenants y (40), z (500m)"
    );
}

#[tokio::test]
async fn a_tier_grows_only_as_far_as_the_organisations_of_its_tenants_have_room() {
    let (_, registry) = fresh().await;
    registry
        .create_organisation("acme", teams(), false)
        .await
        .unwrap();
    // What a tenant does not say itself comes from its tier.
    let sized = TenantSpec {
        quota: std::collections::BTreeMap::new(),
        owner: member("a", "1").owner,
        size: Some(berth_model::tier::SizeName::Small),
        ..TenantSpec::of_tier(TierName::new("standard").unwrap())
    };
    registry.create_tenant("sized", sized, "", false).await.unwrap();
    let standard = TierName::new("standard").unwrap();
    let grow = async |cores: &str| {
        let mut spec = registry.tier(&standard).await.unwrap().spec;
        spec.quota = cpu(cores);
        let grown = registry.update_tier("standard", spec, None, false, false).await;
        grown.map(|tier| tier.generation)
    };
    grow("40").await.unwrap();
    let problem = refused(grow("41").await);
    assert!(
        problem.starts_with("spec.quota: organisation acme: team a: requests.cpu 40 is 1 over: 41 of 40"),
        "{problem}"
    );
    let roomier = OrganisationSpec {
        teams: vec![
            Team {
                quota: cpu("50"),
                ..teams().teams[0].clone()
            },
            teams().teams[1].clone(),
        ],
        ..teams()
    };
    registry
        .update_organisation(&acme(), roomier, None, false, false)
        .await
        .unwrap();
    grow("41").await.unwrap();
}

#[tokio::test]
async fn an_organisation_is_lowered_and_removed_only_as_far_as_its_tenants_let_it() {
    let (store, registry) = fresh().await;
    let tenant = TenantId::new("x").unwrap();
    // The organisation may come after its tenants, when it has room for them.
    registry
        .create_tenant("x", member("b", "61"), "", false)
        .await
        .unwrap();
    assert_eq!(
        refused(registry.create_organisation("acme", teams(), false).await),
        "spec.quota[\"requests.cpu\"]: organisation acme: requests.cpu 100 is 1 over: 101 of 100 used by teams b (61), a (40)"
    );
    change(&registry, "x", member("b", "50")).await.unwrap();
    let made = registry
        .create_organisation("acme", teams(), false)
        .await
        .unwrap();
    let lower = OrganisationSpec {
        quota: cpu("89"),
        ..teams()
    };
    let update = |spec| registry.update_organisation(&made.name, spec, None, false, false);
    assert_eq!(
        refused(update(lower.clone()).await),
        "spec.quota[\"requests.cpu\"]: organisation acme: requests.cpu 89 is 1 over: 90 of 89 used by teams b (50), a (40)"
    );
    let fits = OrganisationSpec {
        quota: cpu("90"),
        ..teams()
    };
    assert_eq!(update(fits).await.unwrap().generation, made.generation.next());
    match registry.delete_organisation(&acme(), None).await {
        Err(RegistryError::Precondition { reason, message }) => {
            assert_eq!(reason, "ORGANISATION_IN_USE");
            assert!(message.contains("1 tenant(s), such as \"x\""), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // It counts while it is being deleted, and no longer.
    registry.delete_tenant(&tenant, None, false).await.unwrap();
    assert!(registry.delete_organisation(&acme(), None).await.is_err());
    store.txn(Txn::new().delete(keys::tenant(&tenant))).await.unwrap();
    registry.delete_organisation(&acme(), None).await.unwrap();
    assert!(matches!(
        registry.organisation(&acme()).await,
        Err(RegistryError::NotFound { .. })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_come_at_once_through_two_hubs_as_many_are_accepted_as_fit() {
    let (store, registry) = fresh().await;
    registry
        .create_organisation("acme", teams(), false)
        .await
        .unwrap();
    let hubs = [another(&store), another(&store)];
    let create = |n: usize| {
        let hub = hubs[n % 2].clone();
        tokio::spawn(async move {
            hub.create_tenant(&format!("t-{n}"), member("b", "10"), "", false)
                .await
        })
    };
    let coming: Vec<_> = (0..40).map(create).collect();
    let (mut accepted, mut turned_away) = (0, Vec::new());
    for answer in coming {
        match answer.await.unwrap() {
            Ok(_) => accepted += 1,
            answer => turned_away.push(answer),
        }
    }
    // 40 of 100 are promised to team a.
    assert_eq!((accepted, cores(&registry).await), (6, 60));
    for answer in turned_away {
        assert!(
            refused(answer).contains("requests.cpu 100 is 10 over: 110 of 100 used by teams b (70), a (40)")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_lowers_and_who_comes_at_once_never_both_succeed() {
    for _ in 0..50 {
        let (store, registry) = fresh().await;
        registry
            .create_organisation("acme", teams(), false)
            .await
            .unwrap();
        let (one, other) = (another(&store), another(&store));
        let lower = OrganisationSpec {
            quota: cpu("50"),
            ..teams()
        };
        let lowering =
            tokio::spawn(async move { one.update_organisation(&acme(), lower, None, false, false).await });
        let coming =
            tokio::spawn(async move { other.create_tenant("x", member("b", "20"), "", false).await });
        let (lowered, came) = (lowering.await.unwrap(), coming.await.unwrap());
        assert_ne!(lowered.is_ok(), came.is_ok(), "{lowered:?} {came:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_organisation_that_appears_while_a_tenant_comes_counts_it() {
    for _ in 0..50 {
        let (store, registry) = fresh().await;
        let other = another(&store);
        let making = tokio::spawn(async move { registry.create_organisation("acme", teams(), false).await });
        let coming =
            tokio::spawn(async move { other.create_tenant("x", member("b", "61"), "", false).await });
        let (made, came) = (making.await.unwrap(), coming.await.unwrap());
        assert_ne!(made.is_ok(), came.is_ok(), "{made:?} {came:?}");
    }
}

#[tokio::test]
async fn the_organisations_of_the_examples_have_room_for_the_tenants_of_the_examples() {
    let (_, registry) = fresh().await;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let mut documents = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            documents.extend(file::parse(&std::fs::read_to_string(path).unwrap()).unwrap());
        }
    }
    documents.sort_by_key(|document| matches!(document, Document::Tenant { .. }));
    let mut members = 0;
    for document in documents {
        match document {
            Document::Organisation { name, spec } => {
                registry
                    .create_organisation(name.as_str(), spec, false)
                    .await
                    .unwrap();
            }
            Document::Bundle { name, version, spec } => {
                registry
                    .create_bundle(name.as_str(), version.as_str(), spec, false)
                    .await
                    .unwrap();
            }
            Document::Tenant { id, spec } => {
                members += usize::from(spec.owner.organisation == "acme");
                registry
                    .create_tenant(id.as_str(), spec, "", false)
                    .await
                    .unwrap();
            }
            Document::Tier { .. } | Document::RoleBinding { .. } => {}
        }
    }
    assert!(members >= 2, "{members}");
}
