//! Stand-ins for what a laptop does not have, for `berth dev`, tests and scale runs: a stateful fake of the EKS API, an
//! embedded Kubernetes API, real control planes as local processes, and a player of the kubelet's part.
//!
//! Nothing of Berth's own logic lives here, and no crate that runs in production depends on it.

pub mod access;
#[cfg(all(feature = "control-plane", feature = "eks", feature = "embedded"))]
pub mod cloud;
#[cfg(feature = "control-plane")]
pub mod control_plane;
#[cfg(feature = "eks")]
pub mod eks;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "eks")]
pub mod kubelet;
pub mod ports;

pub use access::{Access, Credentials};
