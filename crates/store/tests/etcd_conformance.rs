//! The rules of a store, on a real etcd: one for each rule, so that nobody else writes to it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod etcd_support;

use berth_fake::control_plane::EtcdCluster;
use berth_model::Revision;
use berth_store::{Entry, EtcdStore, Key, Listing, Page, Store, StoreError, Txn, Watch};

/// A store and its etcd, which lives as long as the store.
struct OnEtcd {
    store: EtcdStore,
    _etcd: EtcdCluster,
}

async fn fresh() -> OnEtcd {
    let etcd = etcd_support::etcd(1, &[]).await;
    OnEtcd {
        store: etcd_support::store(&etcd).await,
        _etcd: etcd,
    }
}

#[async_trait::async_trait]
impl Store for OnEtcd {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        self.store.get(key).await
    }
    async fn list(&self, prefix: &str, page: Page) -> Result<Listing, StoreError> {
        self.store.list(prefix, page).await
    }
    async fn txn(&self, txn: Txn) -> Result<Revision, StoreError> {
        self.store.txn(txn).await
    }
    async fn watch(&self, from: Revision) -> Result<Watch, StoreError> {
        self.store.watch(from).await
    }
    async fn revision(&self) -> Result<Revision, StoreError> {
        self.store.revision().await
    }
}

berth_store::conformance_suite!(all but history: fresh().await);
