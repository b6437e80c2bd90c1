//! The way in: who calls, what for, of what, and whether that may be, before any service sees the request.
//!
//! [`Entry`] knows the call and its caller, the gate after it whether this hub may answer, [`Admission`] whether the caller may.

pub mod access;
pub mod admission;
pub mod authenticate;
pub mod entry;
pub mod step;
pub mod table;

use std::sync::Arc;

use berth_identity::Caller;
use http::Request;

pub use access::Access;
pub use admission::Admission;
pub use authenticate::{Authenticator, Certificates, Refusal};
pub use entry::Entry;
pub use step::{Next, Passing, Step};
pub use table::{Call, Target, Verb};

/// What is called, by whom, and what it is about.
pub type Parties = (&'static Call, Arc<Caller>, Arc<Target>);

/// The parties of a request that has passed the entry; none of health and reflection.
#[must_use]
pub fn parties<B>(request: &Request<B>) -> Option<Parties> {
    let extensions = request.extensions();
    Some((
        extensions.get::<&'static Call>().copied()?,
        extensions.get::<Arc<Caller>>()?.clone(),
        extensions.get::<Arc<Target>>()?.clone(),
    ))
}
