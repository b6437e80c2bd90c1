//! A store filled by an older version: its hub's records, from the compatibility corpora, are loaded and served.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use berth_control::{Board, Fleet, Parts, Registry, Sessions, keys, seams::Bootstrapper};
use berth_model::{
    BundleName, BundleVersion, ClusterName, ConditionKind, FleetId, OrganisationName, Placement, TenantId,
    Term, TierName,
};
use berth_plan::view::Settings;
use berth_provision::{ClusterAccess, Simulated};
use berth_runtime::{CancellationToken, Clock, SystemClock};
use berth_store::{Key, MemoryStore, Store, Txn};
use berth_wire::{objects, record};

struct Nobody;

#[async_trait]
impl Bootstrapper for Nobody {
    async fn bootstrap(&self, _: &ClusterName, _: &ClusterAccess) -> Result<(), String> {
        Err("nobody dials in here".into())
    }
}

/// The versions with a corpus.
fn versions() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/corpus");
    let mut found: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn web() -> (BundleName, BundleVersion) {
    (
        BundleName::new("web").unwrap(),
        BundleVersion::new("1.0.0").unwrap(),
    )
}

/// The store as that version's hub left it: one of each record, under the keys it used.
async fn left_by(version: &Path, kind: &str) -> Arc<dyn Store> {
    let (name, number) = web();
    let shelves: [(&str, Key); 12] = [
        ("TenantRecord", keys::tenant(&acme())),
        ("TierRecord", keys::tier(&TierName::new("premium").unwrap())),
        (
            "OrganisationRecord",
            keys::organisation(&OrganisationName::new("acme").unwrap()),
        ),
        ("BundleRecord", keys::bundle(&name, &number)),
        ("ClusterRecord", keys::cluster(&ClusterName::new("eu-1").unwrap())),
        ("PlacementRecord", keys::placement(&acme())),
        ("AssignmentRecord", keys::assignment(&acme())),
        ("InfraRecord", keys::infra(&acme())),
        ("StatusRecord", keys::status(&acme())),
        ("JoinTokenRecord", keys::join_token("k7").unwrap()),
        ("FleetRecord", keys::fleet()),
        ("EvidenceRecord", keys::evidence(&acme())),
    ];
    let mut txn = Txn::new();
    for (record, key) in shelves {
        let file = version.join(format!("record/{record}{kind}.binpb"));
        txn = txn.put(
            key,
            fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())),
        );
    }
    // Manifests are kept beside their bundle.
    let manifests = objects::compress(&objects::encode_manifests(&[]).unwrap()).unwrap();
    let store = MemoryStore::new();
    store
        .txn(txn.put(keys::bundle_part(&name, &number, 0), manifests))
        .await
        .unwrap();
    Arc::new(store)
}

/// Where the store has the tenant. When and why it was decided may be said anew.
async fn placed(store: &Arc<dyn Store>) -> Placement {
    let entry = store.get(&keys::placement(&acme())).await.unwrap().unwrap();
    record::decode_placement(&entry.value).unwrap().placement
}

async fn loaded(store: &Arc<dyn Store>) -> (Fleet, Board) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let board = Board::default();
    let (fleet, _) = Fleet::start(Parts {
        store: store.clone(),
        provisioner: Arc::new(Simulated::new(2)),
        bootstrapper: Arc::new(Nobody),
        recorder: Arc::new(berth_control::seams::NoRecorder),
        sessions: Sessions::new(clock.clone()),
        board: board.clone(),
        clock,
        settings: Settings::default(),
        fleet: FleetId::new("f-1").unwrap(),
        term: match store.get(&berth_control::keys::fleet()).await.unwrap() {
            Some(entry) => berth_wire::record::decode_fleet(&entry.value).unwrap().term,
            None => Term(1),
        },
        mode: berth_control::Mode::Act,
    })
    .await
    .unwrap();
    (fleet, board)
}

#[tokio::test]
async fn every_record_that_a_version_has_stored_is_loaded_and_served() {
    for version in versions() {
        for kind in ["", ".minimal"] {
            let store = left_by(&version, kind).await;
            loaded(&store).await;
            let registry = Registry::new(store.clone(), Arc::new(SystemClock::new()));
            let tenant = registry.tenant(&acme()).await.unwrap();
            assert_eq!(tenant.uid.as_str(), "u-1");
            let tier = registry.tier(&tenant.spec.tier).await.unwrap();
            assert_eq!(tier.name.as_str(), "premium");
            let (name, number) = web();
            registry.bundle(&name, &number).await.unwrap();
            let organisations = registry.organisations(None, 10, None).await.unwrap();
            assert_eq!(organisations.items[0].name.as_str(), "acme");
            let clusters = registry.clusters(None, 10, None).await.unwrap();
            assert_eq!(clusters.items.len(), 1);
            registry.cluster_key(&clusters.items[0].name).await.unwrap();
            registry.tokens(None, 10).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_hub_over_an_older_store_keeps_the_tenants_where_they_are() {
    for version in versions() {
        let store = left_by(&version, ".minimal").await;
        let before = placed(&store).await;
        let (fleet, board) = loaded(&store).await;
        let cancel = CancellationToken::new();
        let running = tokio::spawn(fleet.run(cancel.clone()));
        let mut follow = board.follow();
        let seen = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                follow.mark_unchanged();
                if let Some(snapshot) = board.get(&acme())
                    && let Some(status) = &snapshot.status
                {
                    return (snapshot.clone(), status.clone());
                }
                follow.changed().await.unwrap();
            }
        });
        let (snapshot, status) = seen.await.unwrap();
        cancel.cancel();
        running.await.unwrap().unwrap();
        assert_eq!(snapshot.placement.unwrap(), before);
        assert!(
            !status.conditions.is_true(ConditionKind::Stalled),
            "{:#?}",
            status.conditions
        );
        assert_eq!(placed(&store).await, before);
    }
}
