//! Jobs: pods that succeed, until there are enough. CronJobs are stored and never fire.

use serde_json::{Value, json};

use super::super::{is_gone, write_status};
use super::pod::{condition, is_ready, make, owned};
use crate::embedded::failure::Failure;
use crate::embedded::kinds;
use crate::embedded::object::{child, default, number, set_condition, text};
use crate::embedded::store::{Name, Store};
use crate::embedded::time;

/// Brings one Job into order.
pub(super) fn settle(store: &mut Store, name: &Name) -> Result<(), Failure> {
    let Some(mut job) = store.get(kinds::job(), name).map(|s| s.value()) else {
        return Ok(());
    };
    let finished = job["status"]["completionTime"].is_string();
    if is_gone(&job) || finished || job["spec"]["suspend"] == true {
        return Ok(());
    }
    let count = |key: &str| number(&job, &["spec", key]).and_then(|n| usize::try_from(n).ok());
    let parallel = count("parallelism").unwrap_or(1);
    let wanted = count("completions").unwrap_or(1);
    let phase = |pod: &Value, wanted: &str| text(pod, &["status", "phase"]) == wanted;
    let pods = owned(store, &job);
    let succeeded = pods.iter().filter(|p| phase(p, "Succeeded")).count();
    let active = pods
        .iter()
        .filter(|p| !phase(p, "Succeeded") && !phase(p, "Failed"))
        .count();
    let mut refused = Ok(());
    for _ in active..parallel.min(wanted.saturating_sub(succeeded)) {
        refused = make(store, kinds::job(), &job, None, &[], |spec| {
            if spec.get("restartPolicy").is_none_or(|p| p == "Always") {
                spec.insert("restartPolicy".into(), "Never".into());
            }
        });
        if refused.is_err() {
            break;
        }
    }
    let pods = owned(store, &job);
    let active = pods
        .iter()
        .filter(|p| !phase(p, "Succeeded") && !phase(p, "Failed"))
        .count();
    let ready = pods.iter().filter(|p| is_ready(p)).count();
    let status = child(&mut job, "status");
    default(status, "startTime", time::now_text());
    status.insert("active".into(), active.into());
    status.insert("ready".into(), ready.into());
    status.insert("succeeded".into(), succeeded.into());
    status.insert("terminating".into(), 0.into());
    status.insert("uncountedTerminatedPods".into(), json!({}));
    if succeeded >= wanted {
        let why = "Reached expected number of succeeded pods";
        for kind in ["SuccessCriteriaMet", "Complete"] {
            set_condition(status, condition(kind, "True", "CompletionsReached", why));
        }
        status.insert("completionTime".into(), time::now_text().into());
    }
    write_status(store, kinds::job(), job)?;
    refused
}
