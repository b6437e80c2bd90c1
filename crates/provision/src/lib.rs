//! The seam to infrastructure: ensure what is desired, answer with what is observed, at once.
//!
//! A [`Provisioner`] starts work in a cloud or looks at work started before, and never waits for it: waiting is the
//! planner's. It decides nothing about tenants, remembers nothing between calls (everything it needs to find its own
//! work again is in the [`Origin`] the caller has saved), and knows no Kubernetes. Which cloud, how its errors read and
//! what its calls are named is the business of the crates behind the seam, such as `berth-eks`.

mod failure;
mod no_cloud;
mod origin;
mod request;
pub mod simulated;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::panic, reason = "a suite fails by panicking, as every test does")]
pub mod testing;

use async_trait::async_trait;
use berth_model::{ClusterInfra, NodePoolInfra, Observed};

pub use berth_model::infra::{InfraPhase, Trouble, TroubleClass};
pub use failure::Failure;
pub use no_cloud::NoCloud;
pub use origin::{Origin, tag};
pub use request::{ClusterAccess, ClusterRequest, NodePoolRequest, Secret, Taint};
pub use simulated::Simulated;

/// Makes and removes infrastructure, one step a call.
///
/// # Guarantees
/// - Every call returns within the adapter's own time limit (a minute at most); none waits for the cloud to finish.
/// - The same request twice finds the same object: names and idempotency tokens derive from the [`Origin`] alone.
/// - What does not carry the tags of the request's origin is never changed or removed; meeting it under our name is a
///   failure of class [`TroubleClass::Operator`].
///
/// # Assumptions
/// - The caller has saved the origin (attempt included) before the first call with it.
/// - After a failure of class [`TroubleClass::Replace`] the caller releases the same origin until [`Observed::Absent`]
///   and then asks again with the next attempt.
///
/// # Errors
/// [`Failure`] with the cloud's own code and words and who can do something about it. A failure says nothing about what
/// exists: until the next answer it is [`Observed::Unknown`].
#[async_trait]
pub trait Provisioner: Send + Sync + 'static {
    /// Starts making a cluster or looks at it. Its phase is active when control plane and nodes are.
    async fn ensure_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure>;

    /// Starts making a node pool or looks at it.
    async fn ensure_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure>;

    /// Starts removing a cluster and everything made in it, or looks how far that is; [`Observed::Absent`] when gone.
    async fn release_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure>;

    /// Starts removing a node pool or looks how far that is; [`Observed::Absent`] when gone.
    async fn release_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure>;

    /// A short-lived credential and the address for the hub's own access to a cluster it had made.
    async fn cluster_access(&self, want: &ClusterRequest) -> Result<ClusterAccess, Failure>;
}
