//! What concurrent clients of hubs saw, and whether it can have been so.
//!
//! [`run`](run::run) lets clients work on a few tenants while somebody else kills hubs, and writes down every call with the moments
//! it began and returned, and every event of watch streams. [`check`](check::check) then asks, knowing nothing of hubs:
//! is there an order of the calls that explains every answer (linearizability, per tenant), and did the streams show it without
//! going back, repeating themselves or leaving something out?

pub mod check;
mod follow;
pub mod model;
pub mod record;
pub mod run;
pub mod watch;

pub use check::{Fault, Report, check, told};
pub use record::{Answer, Call, History, Op, Seen};
pub use run::{ApiAddress, Options, run};
