//! Which wall refused an object. Pure.
//!
//! The API server tells it in words alone: an admission policy's name, the words of pod security and of quotas are in no field of
//! a Status. This is the one place that reads them; what it cannot tell is [`Wall::Other`], which proves nothing.

use std::fmt;

use kube::core::Status;

/// A wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wall {
    /// A validating admission policy of this name.
    Policy(String),
    PodSecurity,
    Rights,
    Quota,
    LimitRange,
    /// The object itself is no such object.
    Form,
    Other,
}

/// Names of Berth's own policies start with this.
const OURS: &str = "berth-";

impl Wall {
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Policy(name) if name.starts_with(OURS))
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(name) => write!(f, "policy {name}"),
            Self::PodSecurity => f.write_str("pod security"),
            Self::Rights => f.write_str("rights"),
            Self::Quota => f.write_str("the quota"),
            Self::LimitRange => f.write_str("the limit range"),
            Self::Form => f.write_str("the API's own rules for such an object"),
            Self::Other => f.write_str("something else"),
        }
    }
}

/// What refused `status`, asked for an object of that plural.
pub(super) fn wall(status: &Status, plural: &str) -> Wall {
    let text = status.message.as_str();
    let kind = status
        .details
        .as_ref()
        .map_or("", |details| details.kind.as_str());
    if let Some(name) = policy(text) {
        Wall::Policy(name.to_owned())
    } else if text.contains("violates PodSecurity \"") {
        Wall::PodSecurity
    } else if text.contains("exceeded quota: ") {
        Wall::Quota
    } else if status.code == 403 && kind == plural && text.contains("\" cannot create resource \"") {
        Wall::Rights
    } else if status.code == 403 && LIMITS.iter().any(|words| text.contains(words)) {
        Wall::LimitRange
    } else if matches!(status.code, 400 | 422) {
        Wall::Form
    } else {
        Wall::Other
    }
}

const LIMITS: [&str; 3] = [
    " usage per Container is ",
    " usage per Pod is ",
    " usage per PersistentVolumeClaim is ",
];

/// The name of the policy that a text of the API server says denied something.
fn policy(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("ValidatingAdmissionPolicy '")?;
    let (name, rest) = rest.split_once('\'')?;
    rest.contains("denied request").then_some(name)
}

/// Whether a text, such as an event's, says that a wall refused an object.
pub(super) fn tells_of_a_wall(text: &str) -> bool {
    policy(text).is_some_and(|name| name.starts_with(OURS)) || text.contains("violates PodSecurity \"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(code: u16, message: &str) -> Wall {
        let status = serde_json::from_value(json!({
            "status": "Failure", "code": code, "message": message, "reason": "Forbidden", "details": {"kind": "pods"},
        }));
        wall(&status.unwrap(), "pods")
    }

    #[test]
    fn the_wall_is_read_from_what_the_api_server_says() {
        let policy = "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'berth-pool-bounds' with binding 'berth-pool-bounds' denied request: a pod may not name its node";
        assert_eq!(refused(403, policy), Wall::Policy("berth-pool-bounds".into()));
        assert!(refused(422, policy).is_ours());
        assert!(!refused(403, &policy.replace("berth-pool-bounds", "somebody-elses")).is_ours());
        for (code, message, expected) in [
            (
                403,
                "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": privileged",
                Wall::PodSecurity,
            ),
            (
                403,
                "pods \"x\" is forbidden: exceeded quota: berth, requested: pods=1, used: pods=5, limited: pods=5",
                Wall::Quota,
            ),
            (
                403,
                "pods is forbidden: User \"u\" cannot create resource \"pods\" in API group \"\" in the namespace \"t-a\"",
                Wall::Rights,
            ),
            (
                403,
                "pods \"x\" is forbidden: maximum cpu usage per Container is 500m, but limit is 2",
                Wall::LimitRange,
            ),
            (
                422,
                "Pod \"x\" is invalid: spec.containers: Required value",
                Wall::Form,
            ),
            (404, "namespaces \"t-a\" not found", Wall::Other),
            (403, "denied by a webhook", Wall::Other),
        ] {
            assert_eq!(refused(code, message), expected, "{message}");
        }
    }

    #[test]
    fn a_refused_impersonation_is_not_a_right_that_the_tenant_lacks() {
        let text = "serviceaccounts \"berth-deployer\" is forbidden: User \"agent\" cannot impersonate resource \"serviceaccounts\" in API group \"\"";
        let status = json!({"status": "Failure", "code": 403, "message": text, "details": {"kind": "serviceaccounts"}});
        assert_eq!(
            wall(&serde_json::from_value(status).unwrap(), "serviceaccounts"),
            Wall::Other
        );
    }

    #[test]
    fn events_of_refused_pods_are_told_from_others() {
        assert!(tells_of_a_wall(
            "Error creating: pods \"x\" is forbidden: ValidatingAdmissionPolicy 'berth-pods' with binding 'b' denied request: no"
        ));
        assert!(tells_of_a_wall(
            "Error creating: pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": x"
        ));
        assert!(!tells_of_a_wall(
            "Error creating: pods \"x\" is forbidden: exceeded quota: berth"
        ));
    }
}
