//! What can go wrong in a cloud, as the caller sees it: whose turn it is, and the cloud's own words.

use std::time::Duration;

use berth_model::infra::{Trouble, TroubleClass};

/// A failure of the cloud. Its text is the cloud's, so nothing may be decided by it: the class is for that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", trouble.code, trouble.message)]
pub struct Failure {
    /// Class, code and words. `attempts` is 1; the caller counts failures in a row.
    pub trouble: Trouble,
    /// How long the cloud asked to be left alone, if it did.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of `class` with the cloud's code and words.
    pub fn new(class: TroubleClass, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            trouble: Trouble {
                class,
                code: code.into(),
                message: message.into(),
                attempts: 1,
            },
            retry_after: None,
        }
    }

    /// The same with the time the cloud asked for.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// Something under our name is not ours: stops the work until a person has looked.
    pub fn not_ours(object: &str, found: &str) -> Self {
        Self::new(
            TroubleClass::Operator,
            "NotOwned",
            format!(
                "{object} exists and is not what this fleet made for this tenant ({found}); \
                 remove or rename it, or correct its berth.dev tags"
            ),
        )
    }

    /// Who can do something about it.
    #[must_use]
    pub const fn class(&self) -> TroubleClass {
        self.trouble.class
    }

    /// Whether time alone may mend it.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.trouble.class == TroubleClass::Retry
    }
}
