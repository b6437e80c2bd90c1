//! How an object is, by the rules of kstatus, and how a tenant is by its objects. Pure: no clock, no watch, no client.
//!
//! The rules follow sigs.k8s.io/cli-utils/pkg/kstatus, and go further for pods: a pod that waits for an image, restarts after
//! a crash or fits nowhere says so with its reason, because that is what an operator wants to read.

mod pod;
mod rules;
mod tenant;
mod workload;

use berth_model::HealthState;
use serde_json::Value;

use crate::object::Kind;

pub use tenant::summarize;

/// How one object is. Healthy by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How.
    pub state: HealthState,
    /// Why, without naming the object. Free of counters and times that change while nothing else does.
    pub message: String,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            state: HealthState::Healthy,
            message: String::new(),
        }
    }
}

impl Verdict {
    fn new(state: HealthState, message: impl Into<String>) -> Self {
        Self {
            state,
            message: message.into(),
        }
    }

    fn progressing(message: impl Into<String>) -> Self {
        Self::new(HealthState::Progressing, message)
    }

    fn degraded(message: impl Into<String>) -> Self {
        Self::new(HealthState::Degraded, message)
    }

    fn unhealthy(message: impl Into<String>) -> Self {
        Self::new(HealthState::Unhealthy, message)
    }
}

/// What an object is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its kind.
    pub kind: Kind,
    /// `metadata.generation`, where the kind has one.
    pub generation: Option<i64>,
    /// Whether it is on its way out.
    pub deleting: bool,
    /// Kind and name of its controller.
    pub owned_by: Option<(&'a str, &'a str)>,
    /// Of an EndpointSlice: its service.
    pub service: Option<&'a str>,
    /// `spec`.
    pub spec: &'a Value,
    /// `status`.
    pub status: &'a Value,
    /// `endpoints` of an EndpointSlice.
    pub endpoints: &'a Value,
}

impl Subject<'_> {
    fn spec_number(&self, path: &str, default: i64) -> i64 {
        self.spec.pointer(path).and_then(Value::as_i64).unwrap_or(default)
    }

    fn count(&self, field: &str) -> i64 {
        self.status.get(field).and_then(Value::as_i64).unwrap_or(0)
    }

    /// Whether its controller has not looked at the current generation yet.
    fn stale(&self) -> bool {
        self.generation
            .is_some_and(|generation| self.count("observedGeneration") < generation)
    }

    fn condition(&self, kind: &str) -> Option<Condition<'_>> {
        let conditions = self.status.get("conditions")?.as_array()?;
        let found = conditions
            .iter()
            .find(|condition| text(condition, "type") == kind)?;
        Some(Condition {
            status: text(found, "status"),
            reason: text(found, "reason"),
            message: text(found, "message"),
        })
    }
}

struct Condition<'a> {
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Condition<'_> {
    fn is_true(&self) -> bool {
        self.status == "True"
    }

    fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// Reason and message in one line.
    fn told(&self) -> String {
        match (self.reason, self.message) {
            (reason, "") => reason.to_owned(),
            ("", message) => message.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or("")
}

/// Judges one object.
#[must_use]
pub fn judge(subject: &Subject<'_>) -> Verdict {
    match subject.kind {
        Kind::Namespace => rules::namespace(subject),
        Kind::ResourceQuota => rules::quota(subject),
        Kind::Deployment => workload::deployment(subject),
        Kind::StatefulSet => workload::stateful_set(subject),
        Kind::DaemonSet => workload::daemon_set(subject),
        Kind::Job => workload::job(subject),
        Kind::CronJob => workload::cron_job(subject),
        Kind::Pod => pod::pod(subject),
        Kind::PersistentVolumeClaim => rules::volume_claim(subject),
        Kind::Service => rules::service(subject),
        Kind::EndpointSlice => rules::endpoints(subject),
        Kind::HorizontalPodAutoscaler => rules::autoscaler(subject),
        Kind::PodDisruptionBudget => rules::disruption_budget(subject),
        Kind::ExternalSecret => rules::external_secret(subject),
        Kind::LimitRange
        | Kind::NetworkPolicy
        | Kind::AuthorizationPolicy
        | Kind::ServiceAccount
        | Kind::RoleBinding
        | Kind::ConfigMap
        | Kind::Ingress => Verdict::default(),
    }
}

#[cfg(test)]
mod tests;
