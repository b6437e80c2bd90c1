//! Does what a plan says. Knows nothing of policy: every step is carried out as it is, and may be repeated.

mod batch;
mod infra;
mod steps;
mod workload;

pub(crate) use batch::Batch;
pub(crate) use infra::{InfraCall, InfraDone};
pub(crate) use steps::{Executor, Outcome};
pub(crate) use workload::Bundles;
