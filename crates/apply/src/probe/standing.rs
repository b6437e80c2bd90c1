//! Whether what makes the walls stands: the agent's policies as its manifest has them, and the tenant's own walls as assigned. Pure.

use std::collections::BTreeMap;

use berth_model::{PolicySeen, Probe, Quantity};
use serde::Deserialize;
use serde_json::Value;

use super::{Aim, survey::Home};

/// Kinds of policies and bindings, with their plurals.
pub(crate) const POLICY_KINDS: [(&str, &str); 4] = [
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    (
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
    ),
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    (
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
    ),
];
/// Where they are served.
pub(crate) const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// Fields that the API server fills in, and what it means by them; any other that we did not write changes what a wall does.
const FILLED_IN: [(&str, &str); 6] = [
    ("matchPolicy", "\"Equivalent\""),
    ("namespaceSelector", "{}"),
    ("objectSelector", "{}"),
    ("scope", "\"*\""),
    ("protocol", "\"TCP\""),
    ("reinvocationPolicy", "\"Never\""),
];

/// An object with its spec.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stands {
    metadata: StandsMetadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StandsMetadata {
    name: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

/// A list of them.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(default, deserialize_with = "crate::request::or_empty")]
    pub(super) items: Vec<Stands>,
}

/// The agent's own policies and bindings against those that stand, by kind; and which versions stand.
pub(super) fn policies(
    manifest: &[Value],
    found: &BTreeMap<&'static str, Vec<Stands>>,
) -> (Vec<Probe>, BTreeMap<String, PolicySeen>) {
    let mut probes = Vec::new();
    let mut seen = BTreeMap::new();
    for ours in manifest {
        let (kind, name) = (text(&ours["kind"]), text(&ours["metadata"]["name"]));
        let Some(there) = found.get(kind) else { continue };
        let aim = Aim::new(
            format!(
                "stands-{}-{name}",
                if kind.ends_with("Binding") {
                    "binding"
                } else {
                    "policy"
                }
            ),
            format!("{kind} {name}"),
            "as in the agent's manifest",
        );
        let there = there.iter().find(|stands| stands.metadata.name == name);
        let Some(stands) = there else {
            probes.push(aim.failed(
                "is not there",
                format!("{kind} {name} is not there; apply the agent's manifest"),
            ));
            continue;
        };
        let version = PolicySeen {
            uid: stands.metadata.uid.clone(),
            generation: stands.metadata.generation,
        };
        seen.insert(format!("{kind} {name}"), version);
        probes.push(match differs(&ours["spec"], &stands.spec, "spec") {
            None => aim.passed("the same"),
            Some(field) => aim.failed(
                format!("{field} is another"),
                format!("{kind} {name} was changed ({field}); apply the agent's manifest"),
            ),
        });
    }
    (probes, seen)
}

/// The namespace itself.
pub(super) fn namespace(home: &Home, found: Option<&Stands>, place: &str) -> Probe {
    let name = &home.name;
    let aim = Aim::new(
        format!("stands-namespace{place}"),
        format!("the labels of namespace {name}"),
        "as assigned",
    );
    let Some(found) = found else {
        return aim.failed("is not there", format!("namespace {name} is not there"));
    };
    if found.metadata.deletion_timestamp.is_some() {
        return aim.open(format!("namespace {name} is being deleted"));
    }
    let wrong = home
        .labels
        .iter()
        .find(|(key, value)| found.metadata.labels.get(*key) != Some(*value));
    match wrong {
        None => aim.passed("the same"),
        Some((key, value)) => {
            let is = found.metadata.labels.get(key).map_or("not there", String::as_str);
            aim.failed(
                format!("{key} is {is}"),
                format!("label {key} of namespace {name} is {is}, not {value}"),
            )
        }
    }
}

/// The quotas: the same, and in force.
pub(super) fn quotas(home: &Home, found: &[Stands], place: &str) -> Probe {
    let aim = Aim::new(
        format!("stands-quota{place}"),
        format!("the quota of {}", home.name),
        "as assigned and in force",
    );
    for (name, spec) in &home.quotas {
        let Some(stands) = found.iter().find(|stands| stands.metadata.name == *name) else {
            return aim.failed(
                "is not there",
                format!("quota {name} of {} is not there", home.name),
            );
        };
        if let Some(field) = differs(spec, &stands.spec, "spec") {
            return aim.failed(
                format!("{field} is another"),
                format!("quota {name} of {} was changed ({field})", home.name),
            );
        }
        if let Some(field) = differs(&spec["hard"], &stands.status["hard"], "status.hard") {
            return aim.failed(
                format!("{field} is another"),
                format!("quota {name} of {} is not in force ({field})", home.name),
            );
        }
    }
    if home.quotas.is_empty() {
        return aim.failed("none is assigned", format!("{} has no quota", home.name));
    }
    aim.passed("the same, in force")
}

/// Walls of one kind of which all that are assigned stand; and no other, where another would open something.
pub(super) fn walls(
    (name, kind): (&str, &str),
    home: &Home,
    assigned: &[(String, Value)],
    found: &[Stands],
    place: &str,
    exactly: bool,
) -> Probe {
    let aim = Aim::new(
        format!("stands-{name}{place}"),
        format!("every {kind} of {}", home.name),
        if exactly {
            "as assigned, and no other"
        } else {
            "as assigned"
        },
    );
    for (name, spec) in assigned {
        let Some(stands) = found.iter().find(|stands| stands.metadata.name == *name) else {
            return aim.failed(
                format!("{name} is not there"),
                format!("{kind} {name} of {} is not there", home.name),
            );
        };
        if let Some(field) = differs(spec, &stands.spec, "spec") {
            return aim.failed(
                format!("{name} is another"),
                format!("{kind} {name} of {} was changed ({field})", home.name),
            );
        }
    }
    let known = |stands: &&Stands| assigned.iter().any(|(name, _)| *name == stands.metadata.name);
    match found.iter().find(|stands| !known(stands)).filter(|_| exactly) {
        Some(other) => {
            let other = &other.metadata.name;
            aim.failed(
                format!("{other} is there too"),
                format!(
                    "{kind} {other} in {} is none of Berth's and may open it",
                    home.name
                ),
            )
        }
        None => aim.passed(format!("{} the same", assigned.len())),
    }
}

/// Nobody was let in beside those who are assigned.
pub(super) fn bindings(home: &Home, found: &[Stands], place: &str) -> Probe {
    let aim = Aim::new(
        format!("stands-bindings{place}"),
        format!("who is let into {}", home.name),
        "nobody but as assigned",
    );
    let other = found
        .iter()
        .find(|stands| !home.bindings.contains(&stands.metadata.name));
    if let Some(other) = other {
        let other = &other.metadata.name;
        return aim.failed(
            format!("{other} is there too"),
            format!("RoleBinding {other} in {} is none of Berth's", home.name),
        );
    }
    let missing = home
        .bindings
        .iter()
        .find(|name| !found.iter().any(|stands| stands.metadata.name == **name));
    match missing {
        Some(missing) => aim.failed(
            format!("{missing} is not there"),
            format!("RoleBinding {missing} of {} is not there", home.name),
        ),
        None => aim.passed(format!("{} and no other", found.len())),
    }
}

/// The first field in which what stands differs from what we wrote. What the API server fills in does not count, amounts are
/// compared as amounts.
fn differs(ours: &Value, theirs: &Value, path: &str) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let within = |(key, value): (&String, &Value)| {
                differs(
                    value,
                    theirs.get(key).unwrap_or(&Value::Null),
                    &format!("{path}.{key}"),
                )
            };
            ours.iter().find_map(within).or_else(|| {
                let added = |(key, value): &(&String, &Value)| {
                    !ours.contains_key(*key)
                        && !FILLED_IN.contains(&(key.as_str(), value.to_string().as_str()))
                };
                theirs.iter().find(added).map(|(key, _)| format!("{path}.{key}"))
            })
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let pairs = ours.iter().zip(theirs).enumerate();
            pairs
                .into_iter()
                .find_map(|(at, (ours, theirs))| differs(ours, theirs, &format!("{path}[{at}]")))
        }
        (Value::String(a), Value::String(b)) if a != b => {
            let amount = |text: &str| text.parse::<Quantity>().ok();
            (amount(a).is_none() || amount(a) != amount(b)).then(|| path.to_owned())
        }
        (a, b) => (a != b).then(|| path.to_owned()),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_api_server_fills_in_may_be_added() {
        let ours = json!({"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [{"resources": ["pods"]}]}});
        let mut theirs = ours.clone();
        theirs["matchConstraints"]["matchPolicy"] = json!("Equivalent");
        theirs["matchConstraints"]["objectSelector"] = json!({});
        theirs["matchConstraints"]["resourceRules"][0]["scope"] = json!("*");
        assert_eq!(differs(&ours, &theirs, "spec"), None);
        type Weaken = fn(&mut Value);
        let weakened: [(Weaken, &str); 5] = [
            (
                |spec| spec["failurePolicy"] = json!("Ignore"),
                "spec.failurePolicy",
            ),
            (
                |spec| spec["matchConditions"] = json!([{"name": "n", "expression": "false"}]),
                "spec.matchConditions",
            ),
            (
                |spec| spec["matchConstraints"]["objectSelector"] = json!({"matchLabels": {"a": "b"}}),
                "spec.matchConstraints.objectSelector",
            ),
            (
                |spec| spec["matchConstraints"]["resourceRules"] = json!([]),
                "spec.matchConstraints.resourceRules",
            ),
            (
                |spec| spec["matchConstraints"]["excludeResourceRules"] = json!([{}]),
                "spec.matchConstraints.excludeResourceRules",
            ),
        ];
        for (weaken, field) in weakened {
            let mut theirs = theirs.clone();
            weaken(&mut theirs);
            assert_eq!(differs(&ours, &theirs, "spec").as_deref(), Some(field));
        }
    }

    #[test]
    fn amounts_are_the_same_however_they_are_written() {
        let hard = |cpu: &str| json!({"hard": {"limits.cpu": cpu}});
        assert_eq!(differs(&hard("4000m"), &hard("4"), "spec"), None);
        assert!(differs(&hard("4000m"), &hard("5"), "spec").is_some());
    }
}
