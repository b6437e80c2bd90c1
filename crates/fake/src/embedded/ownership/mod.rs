//! Who owns which field: server-side apply and the `managedFields` of every write, as Kubernetes' structured merge does it.
//!
//! Pure: values and schema in, values, sets and conflicts out. Knows nothing of requests, storage or defaults.

mod compare;
mod field_set;
mod managers;
mod merge;
mod remove;
mod typed;
mod update;

pub(crate) use managers::Managers;
pub(crate) use typed::validate;
pub(crate) use update::{Writer, apply, record_update};
