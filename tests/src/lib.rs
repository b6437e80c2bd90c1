//! What the whole-system tests and the bench stand on: the real programs as child processes, local control planes, and
//! conditions to wait for.
//!
//! It starts what a user would start and looks from where a user looks: the hub's API, the command line, and each
//! cluster's own API. It knows no insides of hub or agent.

pub mod agent;
pub mod api;
pub mod cli;
pub mod corruption;
pub mod crashes;
pub mod disk;
pub mod etcd_records;
pub mod fuzz;
pub mod history;
pub mod hub;
pub mod hubs;
pub mod install;
pub mod kubectl;
pub mod kubernetes;
pub mod objects;
pub mod oidc;
pub mod process;
pub mod programs;
pub mod signing_in;
pub mod waiting;
pub mod world;
