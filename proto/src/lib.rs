//! The generated wire types: `berth.v1` (public API), `berth.agent.v1` (link), `berth.record.v1` (records at rest).
//!
//! Nothing but generated code, and what is shown of messages that hold a secret; `berth-wire` turns it into the model and back.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated code"
)]

mod redacted;

pub mod berth {
    pub mod v1 {
        tonic::include_proto!("berth.v1");
    }
    pub mod agent {
        pub mod v1 {
            tonic::include_proto!("berth.agent.v1");
        }
    }
    pub mod record {
        pub mod v1 {
            tonic::include_proto!("berth.record.v1");
        }
    }
}

pub use berth::{agent::v1 as agent, record::v1 as record, v1};

/// The encoded `FileDescriptorSet` of all of it, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
