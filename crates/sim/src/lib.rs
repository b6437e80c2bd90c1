//! The whole fleet in one process, by a seed: the real loop, the real sessions and the real engine on virtual time, over a store,
//! a network, a cloud and clusters that fail as the seed says. After each run the invariants S1 to S8 are judged by what happened.
//!
//! The rooms: [`world`] is everything there is, [`hub`] and [`agent`] start the real parts, [`store`], [`election`], [`network`],
//! [`member`], [`ledger`] and [`cloud`] are what they stand on, [`gate`] is between a process and all of it, [`clock`] its time,
//! [`chaos`] breaks things, [`setback`] puts the store back, [`twins`] starts
//! a second agent, [`liar`] is an agent that lies, [`admin`] asks for things, [`history`] records, [`check`] judges, [`run`] is one run.
//!
//! What is played below the real parts: TLS and gRPC framing, disks, etcd's own protocol, pods. Nothing here knows how the product
//! decides anything.

pub mod admin;
pub mod agent;
pub mod chance;
pub mod chaos;
pub mod check;
pub mod clock;
pub mod cloud;
pub mod election;
pub mod gate;
pub mod history;
pub mod hub;
pub mod ledger;
pub mod liar;
pub mod member;
pub mod network;
pub mod run;
pub mod setback;
pub mod store;
pub mod twins;
pub mod world;

pub use check::Finding;
pub use run::{Outcome, Plan, run};
