//! Workloads come to life: controllers make pods, pods find nodes and run, services find pods. Nothing is really run.

mod batch;
mod daemon_set;
mod deployment;
mod endpoints;
mod node;
mod pod;
mod replicas;
mod rollout;
mod schedule;
mod stateful_set;

use std::time::Duration;

use super::queue::Work;
use crate::embedded::failure::Failure;
use crate::embedded::kinds::{self, kinds as all_kinds};
use crate::embedded::store::Store;

/// Work to look at again, after a while.
pub(super) type Again = Option<(Duration, Work)>;

/// Brings one workload, pod, node or service into order.
pub(super) fn settle(store: &mut Store, work: &Work, version: &str) -> Result<Again, Failure> {
    match work {
        Work::Workload(kind, name) => match all_kinds()[*kind].kind {
            "Deployment" => return deployment::settle(store, name),
            "ReplicaSet" => replicas::settle(store, name)?,
            "StatefulSet" => stateful_set::settle(store, name)?,
            "DaemonSet" => daemon_set::settle(store, name)?,
            "Job" => batch::settle(store, name)?,
            _ => {}
        },
        Work::Pod(name) => pod::settle(store, name)?,
        Work::Node(name) => node::settle(store, name, version)?,
        Work::Schedule => {
            for name in super::names(store, kinds::pod(), "") {
                pod::settle(store, &name)?;
            }
        }
        Work::Endpoints(name) => endpoints::settle(store, name)?,
        _ => {}
    }
    Ok(None)
}
