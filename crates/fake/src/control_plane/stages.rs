//! What kwok plays: nodes turn ready, pods run, jobs complete, deleted pods go, and a broken image stays broken.

/// Stages for kwok, as one file of several documents.
pub(super) const STAGES: &str = concat!(
    include_str!("stages/node-ready.yaml"),
    include_str!("stages/node-heartbeat.yaml"),
    include_str!("stages/pod-running.yaml"),
    include_str!("stages/pod-broken-image.yaml"),
    include_str!("stages/pod-completed.yaml"),
    include_str!("stages/pod-deleted.yaml"),
);
