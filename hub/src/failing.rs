//! A store and a cloud that a hub can be made to die at: before and after every transaction and every call. Only with the feature
//! `failpoints`, for tests; what is asked and answered passes through as it is.

use std::sync::Arc;

use async_trait::async_trait;
use berth_model::{ClusterInfra, NodePoolInfra, Observed, Revision};
use berth_provision::{ClusterAccess, ClusterRequest, Failure, NodePoolRequest, Provisioner};
use berth_runtime::failpoint;
use berth_store::{Entry, Key, Listing, Page, Store, StoreError, Txn, Watch};

/// A store with a point on each side of every transaction.
pub(crate) struct FailingStore(pub(crate) Arc<dyn Store>);

#[async_trait]
impl Store for FailingStore {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        self.0.get(key).await
    }

    async fn list(&self, prefix: &str, page: Page) -> Result<Listing, StoreError> {
        self.0.list(prefix, page).await
    }

    async fn txn(&self, txn: Txn) -> Result<Revision, StoreError> {
        let what = described(&txn);
        failpoint::pass(|| format!("before store: {what}"));
        let answer = self.0.txn(txn).await;
        failpoint::pass(|| format!("after store: {what}"));
        answer
    }

    async fn watch(&self, from: Revision) -> Result<Watch, StoreError> {
        self.0.watch(from).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.0.revision().await
    }

    fn writes(&self) -> Option<u64> {
        self.0.writes()
    }
}

fn described(txn: &Txn) -> String {
    let puts = txn.puts.iter().map(|(key, _)| format!("put {key}"));
    let deletes = txn.deletes.iter().map(|key| format!("delete {key}"));
    puts.chain(deletes).collect::<Vec<_>>().join(", ")
}

/// A cloud with a point on each side of every call.
pub(crate) struct FailingCloud(pub(crate) Arc<dyn Provisioner>);

impl FailingCloud {
    async fn between<T>(what: &str, call: impl Future<Output = T> + Send) -> T {
        failpoint::pass(|| format!("before cloud: {what}"));
        let answer = call.await;
        failpoint::pass(|| format!("after cloud: {what}"));
        answer
    }
}

#[async_trait]
impl Provisioner for FailingCloud {
    async fn ensure_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure> {
        let what = format!("ensure cluster {}", want.cluster);
        Self::between(&what, self.0.ensure_cluster(want)).await
    }

    async fn ensure_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure> {
        let what = format!("ensure node pool {}", want.pool);
        Self::between(&what, self.0.ensure_node_pool(want)).await
    }

    async fn release_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure> {
        let what = format!("release cluster {}", want.cluster);
        Self::between(&what, self.0.release_cluster(want)).await
    }

    async fn release_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure> {
        let what = format!("release node pool {}", want.pool);
        Self::between(&what, self.0.release_node_pool(want)).await
    }

    async fn cluster_access(&self, want: &ClusterRequest) -> Result<ClusterAccess, Failure> {
        let what = format!("access cluster {}", want.cluster);
        Self::between(&what, self.0.cluster_access(want)).await
    }
}
