//! How often the tenant's own workloads ran into its walls, as far as the cluster tells: the events that controllers write when
//! a pod they make is refused. What people are refused at the API is told to them alone, and counted nowhere but in audit logs.

use serde::Deserialize;

use super::refusal;

/// The question for those events.
pub(super) fn path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/events?fieldSelector=reason%3DFailedCreate&limit=500")
}

#[derive(Deserialize)]
pub(super) struct Events {
    #[serde(default, deserialize_with = "crate::request::or_empty")]
    items: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    message: String,
    #[serde(default)]
    count: Option<u64>,
    #[serde(default)]
    series: Option<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    count: u64,
}

/// Attempts that were refused by a wall.
pub(super) fn count(events: &Events) -> u64 {
    let refused = events
        .items
        .iter()
        .filter(|event| refusal::tells_of_a_wall(&event.message));
    refused
        .map(|event| {
            let series = event.series.as_ref().map_or(0, |series| series.count);
            event.count.unwrap_or(0).max(series).max(1)
        })
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn repeated_refusals_are_counted_and_other_failures_are_not() {
        let denied =
            "Error creating: ValidatingAdmissionPolicy 'berth-pods' with binding 'b' denied request: no";
        let events = json!({"items": [
            {"message": denied, "count": 4},
            {"message": denied, "count": null, "series": {"count": 3}},
            {"message": denied},
            {"message": "Error creating: exceeded quota: berth", "count": 9},
        ]});
        assert_eq!(count(&serde_json::from_value(events).unwrap()), 8);
        assert_eq!(count(&serde_json::from_value(json!({"items": null})).unwrap()), 0);
    }
}
