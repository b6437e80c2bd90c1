//! Conditions after Kubernetes' `metav1.Condition` and KEP-1623.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::Generation;

/// Longest message that is kept of what somebody else said.
pub const LONGEST_MESSAGE: usize = 700;

/// `text`, cut at a character where it is too long to be kept: agents and clouds may say anything.
#[must_use]
pub fn clipped(mut text: String) -> String {
    if text.len() > LONGEST_MESSAGE {
        text.truncate(text.floor_char_boundary(LONGEST_MESSAGE));
        text.push_str(" ...");
    }
    text
}

/// What a condition speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionKind {
    /// The spec is valid and can be worked on.
    Accepted,
    /// A place was found.
    Placed,
    /// The place exists.
    Provisioned,
    /// The objects are in the cluster.
    Applied,
    /// The workloads work.
    Healthy,
    /// The walls were seen to hold.
    Isolated,
    /// The summary.
    Ready,
    /// Work goes on; present only while true.
    Reconciling,
    /// Work stopped and needs a person; present only while true.
    Stalled,
    /// Being deleted; present only while true.
    Deleting,
}

impl ConditionKind {
    /// The name as in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Placed => "Placed",
            Self::Provisioned => "Provisioned",
            Self::Applied => "Applied",
            Self::Healthy => "Healthy",
            Self::Isolated => "Isolated",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Deleting => "Deleting",
        }
    }

    /// All of them in the order they are shown.
    pub const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Placed,
        Self::Provisioned,
        Self::Applied,
        Self::Healthy,
        Self::Isolated,
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::Deleting,
    ];
}

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Truth {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody knows now.
    Unknown,
}

impl Truth {
    /// `True`, `False` or `Unknown`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One statement about a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// About what.
    pub kind: ConditionKind,
    /// Whether it is so.
    pub status: Truth,
    /// One word in CamelCase.
    pub reason: String,
    /// For people; never read by machines.
    pub message: String,
    /// When `status` last changed.
    pub since: Timestamp,
    /// The generation it speaks of.
    pub observed_generation: Generation,
}

/// The conditions of one tenant, in order of kind, at most one of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The condition of that kind.
    #[must_use]
    pub fn get(&self, kind: ConditionKind) -> Option<&Condition> {
        self.0.iter().find(|condition| condition.kind == kind)
    }

    /// Whether the condition of that kind is there and true.
    #[must_use]
    pub fn is_true(&self, kind: ConditionKind) -> bool {
        self.get(kind)
            .is_some_and(|condition| condition.status == Truth::True)
    }

    /// Puts `condition` in. When one of its kind has the same status, that one's `since` stays.
    pub fn set(&mut self, mut condition: Condition) {
        match self.0.binary_search_by_key(&condition.kind, |c| c.kind) {
            Ok(at) => {
                if self.0[at].status == condition.status {
                    condition.since = self.0[at].since;
                }
                self.0[at] = condition;
            }
            Err(at) => self.0.insert(at, condition),
        }
    }

    /// Takes the condition of that kind away.
    pub fn remove(&mut self, kind: ConditionKind) {
        self.0.retain(|condition| condition.kind != kind);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }
}

impl FromIterator<Condition> for Conditions {
    fn from_iter<I: IntoIterator<Item = Condition>>(conditions: I) -> Self {
        let mut all = Self::new();
        for condition in conditions {
            all.set(condition);
        }
        all
    }
}
