//! Decides who may do what: from role bindings, a caller's subjects, a permission and what it is about.
//!
//! It adds up and never subtracts: every binding that counts allows, and nothing forbids. It knows neither how a caller was
//! authenticated nor the calls of the API.

mod compiled;
mod grants;
mod terms;
#[cfg(test)]
mod tests;

pub use compiled::Bindings;
pub use grants::{Beyond, Grants};
pub use terms::terms_changed;

use berth_model::{Traits, role::Reach};

/// What a permission is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    /// The fleet as a whole, or something that nobody but the fleet owns.
    Fleet,
    /// Whatever there is of a kind: a list, of which each is shown what they may see.
    Any,
    /// A tenant, with what is known of it.
    Tenant {
        /// Its id, as it was asked for.
        id: &'a str,
        /// What selectors go by; none when nothing is known of such a tenant.
        traits: Option<&'a Traits>,
    },
    /// An organisation as a whole.
    Organisation(&'a str),
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no rule for the permission, so nobody may.
    NoRule,
    /// No binding names the caller.
    NoBinding,
    /// None of the caller's roles has the permission.
    NoRole,
    /// A role has it, but not there.
    OutOfScope {
        /// How far a binding would have to reach.
        reach: Reach,
    },
}

impl Denied {
    /// Why, for people. What is said does not depend on whether the object exists.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::NoRule => "no role has that permission",
            Self::NoBinding => "no role binding names this caller or its groups",
            Self::NoRole => "none of the caller's roles has that permission",
            Self::OutOfScope { reach: Reach::Fleet } => {
                "the caller's roles have that permission for single tenants, and this is the whole fleet's"
            }
            Self::OutOfScope { .. } => "the caller's roles with that permission do not reach that far",
        }
    }
}
