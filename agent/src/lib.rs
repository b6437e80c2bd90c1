//! The agent of one cluster: joins the fleet once, then dials the hub, keeps the cluster as assigned, and reports back.
//!
//! The rooms: [`options`] is how it is configured, [`cluster`] the API it lives beside, `identity` who it is,
//! `lease` that it is the only one, `link` the talk with the hub, `facts` what it tells of the cluster, `evidence` when tenants'
//! walls are probed and who signed for it. What is applied, mended, judged and probed is `berth-apply`'s, as is the [`manifest`] that an administrator applies; nothing about tenants is decided here.

mod acting;
pub mod cluster;
pub mod error;
mod evidence;
mod facts;
#[cfg(feature = "failpoints")]
mod failing;
mod identity;
mod lease;
mod link;
pub mod options;
mod run;
#[cfg(feature = "testing")]
pub mod testing;

pub use berth_apply::{bootstrap, manifest};
#[cfg(feature = "failpoints")]
pub use berth_runtime::failpoint::Failpoints;
pub use cluster::Cluster;
pub use error::Error;
pub use options::Options;
pub use run::{run, run_in};

/// The agent's version, as the hub hears it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
