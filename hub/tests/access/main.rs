//! Who may do what, against a hub in this process and over the wire.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod bindings;
mod matrix;
mod support;
