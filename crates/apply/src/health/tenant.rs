//! A tenant by its objects.

use berth_model::{Health, HealthState};

use super::Verdict;
use crate::object::{Kind, ObjectRef};

/// That many objects are named.
const NAMED: usize = 3;

/// The worst of all objects, told by the objects that are so. Suspended only when everything that could run is.
#[must_use]
pub fn summarize(mut objects: Vec<(ObjectRef, Verdict)>) -> Health {
    let runs = |kind| {
        matches!(
            kind,
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::Job | Kind::CronJob
        )
    };
    let mut running = objects
        .iter()
        .filter(|(object, _)| runs(object.kind()))
        .peekable();
    let all_suspended =
        running.peek().is_some() && running.all(|(_, verdict)| verdict.state == HealthState::Suspended);
    if !all_suspended {
        objects.retain(|(_, verdict)| verdict.state != HealthState::Suspended);
    }
    let Some(worst) = objects.iter().map(|(_, verdict)| verdict.state).max() else {
        return Health::healthy();
    };
    if worst == HealthState::Healthy {
        return Health::healthy();
    }
    objects.retain(|(_, verdict)| verdict.state == worst);
    objects.sort_by(|(a, _), (b, _)| (near(a.kind()), a).cmp(&(near(b.kind()), b)));
    let told = objects
        .iter()
        .take(NAMED)
        .map(|(object, verdict)| format!("{object}: {}", verdict.message));
    let mut message = told.collect::<Vec<_>>().join("; ");
    if objects.len() > NAMED {
        message.push_str(&format!("; and {} more", objects.len() - NAMED));
    }
    Health::new(worst, message)
}

/// How near a kind is to the cause of trouble.
const fn near(kind: Kind) -> u8 {
    match kind {
        Kind::Pod => 0,
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::Job | Kind::CronJob => 1,
        _ => 2,
    }
}
