//! Pods.

use serde_json::Value;

use super::{Subject, Verdict, text};

/// Reasons for which a container waits that do not go away by themselves.
const STUCK: [&str; 9] = [
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

pub(super) fn pod(subject: &Subject<'_>) -> Verdict {
    if subject.deleting {
        return Verdict::default();
    }
    match text(subject.status, "phase") {
        "Succeeded" => return Verdict::default(),
        // Its controller makes another one, and is judged itself.
        "Failed" if subject.owned_by.is_some() => return Verdict::default(),
        "Failed" => {
            let told = [text(subject.status, "reason"), text(subject.status, "message")];
            let told: Vec<_> = told.into_iter().filter(|part| !part.is_empty()).collect();
            return Verdict::unhealthy(if told.is_empty() {
                "failed".to_owned()
            } else {
                told.join(": ")
            });
        }
        _ => {}
    }
    if let Some(stuck) = containers(subject).find_map(stuck) {
        return Verdict::degraded(stuck);
    }
    if let Some(condition) = subject
        .condition("PodScheduled")
        .filter(|condition| condition.is_false())
    {
        return if condition.reason == "Unschedulable" {
            Verdict::degraded(condition.told())
        } else {
            Verdict::progressing("waits to be scheduled")
        };
    }
    if subject
        .condition("Ready")
        .is_some_and(|condition| condition.is_true())
    {
        return Verdict::default();
    }
    Verdict::progressing("is not ready yet")
}

fn containers<'a>(subject: &Subject<'a>) -> impl Iterator<Item = &'a Value> {
    let list = |name| {
        subject
            .status
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    list("initContainerStatuses").chain(list("containerStatuses"))
}

/// Why a container gets nowhere, without the back-off times that kubelet adds.
fn stuck(container: &Value) -> Option<String> {
    let name = text(container, "name");
    let waiting = container
        .pointer("/state/waiting")
        .map_or("", |waiting| text(waiting, "reason"));
    if waiting.contains("Image") || waiting.contains("ErrPull") {
        return STUCK
            .contains(&waiting)
            .then(|| format!("container {name}: {waiting} (image {})", text(container, "image")));
    }
    // Between two crashes it runs for a moment: that is no recovery.
    let crashed = |state: &str| {
        let exit = container
            .pointer(&format!("/{state}/terminated/exitCode"))
            .and_then(Value::as_i64);
        exit.filter(|code| *code != 0)
    };
    let ready = container.get("ready").and_then(Value::as_bool) == Some(true);
    let code = crashed("state").or_else(|| crashed("lastState"));
    match (waiting, code) {
        ("CrashLoopBackOff", Some(code)) => {
            Some(format!("container {name}: CrashLoopBackOff (exit code {code})"))
        }
        (reason, _) if STUCK.contains(&reason) => Some(format!("container {name}: {reason}")),
        (_, Some(code)) if !ready => Some(format!("container {name}: CrashLoopBackOff (exit code {code})")),
        _ => None,
    }
}
