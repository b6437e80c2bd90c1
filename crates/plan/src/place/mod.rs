//! Where a tenant goes: constraints first, then the best score. A tenant that has a place is never moved by a better score.

mod choose;
mod constraint;
mod keep;
mod names;
mod score;
mod site;
mod version;

use berth_model::{AcceptedGaps, Capacity, Placement};

pub(crate) use choose::{ask, choose, look};
pub(crate) use constraint::Constraint;
pub(crate) use keep::{broken, keep};
pub(crate) use names::{cluster_name, pool_name};
pub(crate) use score::Score;
pub(crate) use site::Site;
pub(crate) use version::Minor;

/// What was decided about a tenant's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// There.
    Place(Place),
    /// Not now.
    Refuse(Refusal),
}

/// A place to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) placement: Placement,
    pub(crate) reserved: Capacity,
    pub(crate) namespaces: u32,
    pub(crate) region: String,
    pub(crate) reason: String,
    /// Walls that the cluster cannot hold and that were accepted.
    pub(crate) accepted_gaps: AcceptedGaps,
}

/// Why there is no place, or why the place cannot take the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// CamelCase.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Only a person can do something.
    pub(crate) stuck: bool,
}

impl Refusal {
    pub(crate) fn stuck(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            stuck: true,
        }
    }

    pub(crate) fn waiting(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            stuck: false,
        }
    }
}
