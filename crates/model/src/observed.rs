//! What we know about something outside: that it is not there, nothing, or its facts.

use serde::{Deserialize, Serialize};

/// Knowledge about the outside. Written [`Observed::Unknown`] before a call that may change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "facts")]
pub enum Observed<T> {
    /// Known not to exist.
    Absent,
    /// A call may have changed it and nobody has looked since.
    #[default]
    Unknown,
    /// Seen.
    Known(T),
}

impl<T> Observed<T> {
    /// The facts, if there are any.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(facts) => Some(facts),
            Self::Absent | Self::Unknown => None,
        }
    }

    /// Known not to exist.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}
