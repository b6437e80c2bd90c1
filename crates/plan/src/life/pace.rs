//! When the cloud is asked again.

use std::time::Duration;

use berth_model::{Timestamp, infra::TroubleClass};

use super::sheet::later;
use crate::{
    place::Constraint,
    view::{InfraView, Settings},
};

/// Whether to ask now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A call is under way.
    Busy,
    /// Now.
    Now,
    /// Then.
    At(Timestamp),
}

/// When infrastructure is looked at again that is not as it should be.
pub(super) fn ask(infra: &InfraView, settings: &Settings, now: Timestamp) -> Ask {
    if infra.busy {
        return Ask::Busy;
    }
    let Some(last) = infra.looked_at else {
        return Ask::Now;
    };
    let pause = match &infra.observed.trouble {
        None => settings.infra_poll,
        Some(trouble) => match trouble.class {
            TroubleClass::Retry => backoff(settings, trouble.attempts),
            TroubleClass::Operator => settings.retry_cap,
            TroubleClass::Replace => settings.infra_poll,
        },
    };
    due(last, pause, now)
}

/// Whether `pause` after `last` is over.
pub(super) fn due(last: Timestamp, pause: Duration, now: Timestamp) -> Ask {
    let at = later(last, pause);
    if at <= now { Ask::Now } else { Ask::At(at) }
}

fn backoff(settings: &Settings, attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(31);
    settings
        .retry_first
        .saturating_mul(1_u32 << doublings)
        .min(settings.retry_cap)
}

/// For messages: how the cloud's trouble reads.
pub(super) fn trouble(infra: &InfraView) -> Option<String> {
    let trouble = infra.observed.trouble.as_ref()?;
    Some(format!(
        "{}: {} ({} attempts)",
        trouble.code, trouble.message, trouble.attempts
    ))
}

/// Why nothing can be made.
pub(super) fn no_cloud() -> String {
    format!("{}; configure a cloud account", Constraint::NoCloud)
}

#[cfg(test)]
mod tests {
    use berth_model::{Infra, infra::Trouble};

    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_an_operators_turn_is_looked_at_now_and_then() {
        let settings = Settings::default();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (class, attempts, seconds) in [
            (TroubleClass::Retry, 1, 2),
            (TroubleClass::Retry, 2, 4),
            (TroubleClass::Retry, 5, 32),
            (TroubleClass::Retry, 9, 300),
            (TroubleClass::Retry, u32::MAX, 300),
            (TroubleClass::Operator, 1, 300),
            (TroubleClass::Replace, 1, 10),
        ] {
            let trouble = Trouble {
                class,
                code: "X".into(),
                message: String::new(),
                attempts,
            };
            let infra = InfraView {
                observed: Infra {
                    trouble: Some(trouble),
                    ..Infra::default()
                },
                looked_at: Some(start),
                ..InfraView::default()
            };
            let at = later(start, Duration::from_secs(seconds));
            assert_eq!(ask(&infra, &settings, start), Ask::At(at), "{class:?} {attempts}");
            assert_eq!(ask(&infra, &settings, at), Ask::Now, "{class:?} {attempts}");
        }
    }
}
