//! The way in: who calls, what for, of what, and whether that may be, before any service sees the request.
//!
//! [`Entry`] knows the call and its caller, the gate after it whether this hub may answer, [`Admission`] whether the caller may.

pub mod access;
pub mod admission;
pub mod authenticate;
pub mod entry;
pub mod table;

pub use access::Access;
pub use admission::Admission;
pub use authenticate::{Authenticator, Certificates, Refusal};
pub use entry::Entry;
pub use table::{Call, Target, Verb};
