//! The contract of the embedded Kubernetes API: the same requests go to it and to a real kube-apiserver, and the answers
//! must be the same. What the two are allowed to differ in is written in `contract/normal.rs` and nowhere else.

#![cfg(all(feature = "embedded", feature = "control-plane"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod contract {
    mod ask;
    mod clients;
    mod lifecycle;
    mod normal;
    mod ownership;
    mod pair;
    mod random;
    mod random_objects;
    mod requests;
    mod schema;
    mod watching;
    mod workloads;
}
