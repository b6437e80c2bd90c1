//! The model in the two alphabets the outside knows: protobuf (the API, the link, records at rest) and YAML (files).
//!
//! This is the only crate that knows both sides. It checks form (names, enumerations, amounts) and reports every fault at once
//! with its path as in a file. Whether a well-formed thing may be is not asked here: that is admission, in `berth-plan`.
//! It opens no file and no connection, and has no clock.

pub mod api;
pub mod call;
pub mod context;
pub mod evidence;
mod faults;
pub mod file;
pub mod json;
pub mod link;
pub mod names;
pub mod objects;
pub mod protocol;
pub mod record;
pub mod status;
#[cfg(test)]
mod testing;
pub mod time;
mod words;

pub use faults::closest;
