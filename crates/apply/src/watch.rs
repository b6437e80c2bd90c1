//! What is there: one watch for each kind, and a compact memory of what it showed.
//!
//! Objects themselves are never kept: of each, only what tells a change
//! ([`Metadata::fingerprint`](crate::request::Metadata::fingerprint)) and a verdict on its health.

mod look;
mod stream;
mod world;

pub(crate) use look::{KindTarget, Observer};
pub(crate) use stream::{Target, run};
pub(crate) use world::{Seen, World};
