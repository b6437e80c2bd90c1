//! Decides: from a view of the fleet to a plan. Pure and total.
//!
//! Nothing here awaits, fails, reads a clock, the environment or a random number, or depends on the order of a hash map. It knows
//! neither the store nor the wire nor Kubernetes.
//!
//! - [`plan()`] answers with steps, the status of every tenant looked at, and when to look again;
//! - [`closure`] says which tenants a change concerns, so that not everything is planned each time;
//! - [`lint()`] checks a plan without trusting what made it;
//! - [`explain()`] says why a tenant is where it is or nowhere;
//! - [`admit`] says everything that is wrong with something a person wrote;
//! - [`authorize`] says who may do what.

pub mod admit;
pub mod authorize;
mod decide;
pub mod explain;
mod gate;
mod index;
mod life;
pub mod lint;
pub mod owners;
mod place;
pub mod plan;
mod room;
pub mod scope;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod view;

pub use decide::plan;
pub use explain::{Candidate, Explanation, explain, explain_spec};
pub use gate::told as breaker_told;
pub use lint::{Finding, Rule, lint};
pub use plan::{Plan, Step, TenantStatus};
pub use scope::{Changes, Scope, closure};
pub use view::View;
