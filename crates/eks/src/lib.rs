//! The AWS hand of the provisioner: clusters and node pools as Amazon EKS makes them.
//!
//! Knows EKS's names, statuses, limits and errors, and the credential EKS clusters take. It decides nothing about
//! tenants, remembers nothing (every call looks at EKS first), never waits for EKS, and never retries by itself: each
//! failure goes up with its class, and the hub's loop comes back.
//!
//! A call is one look and at most one step: what exists under our name is found, its tags are compared, and the one
//! thing that is missing next is started.

mod classes;
mod clients;
mod cluster;
mod config;
mod failure;
mod names;
mod nodegroup;
mod provisioner;
pub mod token;

pub use config::{EksConfig, InvalidConfig, Network, StaticCredentials};
pub use provisioner::EksProvisioner;
