//! The embedded cluster's clock. It plays a server, and servers read the wall clock.

use jiff::Timestamp;

/// The present moment.
#[expect(
    clippy::disallowed_methods,
    reason = "this stands in for a server on real time, outside simulated time"
)]
pub(crate) fn now() -> Timestamp {
    #[cfg(feature = "simulation")]
    if let Some(now) = berth_runtime::simulation::now() {
        return now;
    }
    Timestamp::now()
}

/// The present moment as Kubernetes writes it: RFC 3339, whole seconds, UTC.
pub(crate) fn now_text() -> String {
    text(now())
}

/// A moment as Kubernetes writes it.
pub(crate) fn text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
