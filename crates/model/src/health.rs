//! Health of applied objects, of workloads, and of a tenant.

use serde::{Deserialize, Serialize};

/// How something is, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthState {
    /// All well.
    Healthy,
    /// Stopped on purpose.
    Suspended,
    /// On its way.
    Progressing,
    /// Works in part.
    Degraded,
    /// Does not work.
    Unhealthy,
    /// Nobody knows.
    #[default]
    Unknown,
}

impl HealthState {
    /// The name as shown: `Healthy`, `Suspended`, `Progressing`, `Degraded`, `Unhealthy` or `Unknown`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::Unhealthy => "Unhealthy",
            Self::Unknown => "Unknown",
        }
    }
}

/// How something is, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// How.
    pub state: HealthState,
    /// Why, for people; names the object. Empty when healthy.
    pub message: String,
}

impl Health {
    /// All well.
    #[must_use]
    pub const fn healthy() -> Self {
        Self {
            state: HealthState::Healthy,
            message: String::new(),
        }
    }

    /// `state` for a reason.
    pub fn new(state: HealthState, message: impl Into<String>) -> Self {
        Self {
            state,
            message: message.into(),
        }
    }
}
