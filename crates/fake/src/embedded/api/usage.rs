//! What a namespace uses of what its quotas count, and the refusal of what would exceed them.

use serde_json::{Map, Value};

use crate::embedded::failure::Failure;
use crate::embedded::kinds::{self, Kind, kinds as all_kinds};
use crate::embedded::object::{self, list, text};
use crate::embedded::shape::Quantity;
use crate::embedded::store::Store;

/// What one object uses of a resource name, such as `pods`, `count/jobs.batch` or `requests.cpu`.
fn used_by(kind: &Kind, object: &Value, resource: &str) -> Quantity {
    let one = |counted: bool| {
        if counted {
            Quantity::count(1)
        } else {
            Quantity::ZERO
        }
    };
    if let Some(counted) = resource.strip_prefix("count/") {
        return one(counted == kind.qualified());
    }
    match (kind.kind, resource) {
        ("Pod", _) if kind.group.is_empty() => {
            if matches!(text(object, &["status", "phase"]), "Succeeded" | "Failed") {
                return Quantity::ZERO;
            }
            pod(object, resource)
        }
        ("Service", "services.nodeports") => {
            let outside = matches!(text(object, &["spec", "type"]), "NodePort" | "LoadBalancer");
            Quantity::count(if outside {
                list(object, &["spec", "ports"]).len()
            } else {
                0
            })
        }
        ("Service", "services.loadbalancers") => one(text(object, &["spec", "type"]) == "LoadBalancer"),
        ("PersistentVolumeClaim", "requests.storage") => {
            amount(&object["spec"]["resources"]["requests"]["storage"])
        }
        (
            "Service"
            | "ConfigMap"
            | "Secret"
            | "PersistentVolumeClaim"
            | "ResourceQuota"
            | "ReplicationController",
            resource,
        ) => one(resource == kind.plural),
        _ => Quantity::ZERO,
    }
}

fn amount(value: &Value) -> Quantity {
    value.as_str().and_then(Quantity::parse).unwrap_or(Quantity::ZERO)
}

fn pod(object: &Value, resource: &str) -> Quantity {
    if resource == "pods" {
        return Quantity::count(1);
    }
    let Some((what, name)) = compute(resource) else {
        return Quantity::ZERO;
    };
    let of = |c: &Value| amount(&c["resources"][what][name]);
    let running = list(object, &["spec", "containers"])
        .iter()
        .map(of)
        .fold(Quantity::ZERO, Quantity::plus);
    let starting = list(object, &["spec", "initContainers"]).iter().map(of);
    starting.fold(running, |most, one| if one.exceeds(most) { one } else { most })
}

/// The part of a container's resources a quota name speaks of.
fn compute(resource: &str) -> Option<(&'static str, &str)> {
    if let Some(name) = resource.strip_prefix("limits.") {
        return Some(("limits", name));
    }
    let name = resource.strip_prefix("requests.").unwrap_or(resource);
    let known = matches!(name, "cpu" | "memory" | "ephemeral-storage") || resource.starts_with("requests.");
    (known && name != "storage").then_some(("requests", name))
}

/// The use of every resource of a quota in a namespace.
pub(crate) fn used(store: &Store, namespace: &str, hard: &Value) -> Map<String, Value> {
    let names = hard.as_object().into_iter().flatten().map(|(name, _)| name);
    let mut totals: Vec<(&String, Quantity)> = names.map(|name| (name, Quantity::ZERO)).collect();
    let counted = |kind: &Kind| {
        let own = [
            "Pod",
            "Service",
            "ConfigMap",
            "Secret",
            "PersistentVolumeClaim",
            "ResourceQuota",
            "ReplicationController",
        ];
        let qualified = format!("count/{}", kind.qualified());
        kind.namespaced && (own.contains(&kind.kind) || totals.iter().any(|(name, _)| **name == qualified))
    };
    let kinds: Vec<&'static Kind> = all_kinds().iter().filter(|k| counted(k)).collect();
    for kind in kinds {
        for stored in store.list(kind, namespace, None) {
            let object = stored.value();
            for (name, total) in &mut totals {
                *total = total.plus(used_by(kind, &object, name));
            }
        }
    }
    totals
        .into_iter()
        .map(|(name, total)| (name.clone(), total.text().into()))
        .collect()
}

/// Refuses a new object that would exceed a quota in force.
pub(super) fn admit(store: &Store, kind: &Kind, object: &Value) -> Result<(), Failure> {
    if !kind.namespaced {
        return Ok(());
    }
    for quota in store.list(kinds::resource_quota(), object::namespace(object), None) {
        let quota = quota.value();
        let hard = &quota["status"]["hard"];
        let touched: Vec<(&String, Quantity)> = hard
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| (name, used_by(kind, object, name)))
            .filter(|(_, more)| more.exceeds(Quantity::ZERO))
            .collect();
        if kind.is("", "Pod") {
            demand_amounts(kind, &quota, hard, object)?;
        }
        if touched.is_empty() {
            continue;
        }
        let used = used(store, object::namespace(object), hard);
        let over: Vec<(&String, Quantity)> = touched
            .into_iter()
            .filter(|(name, more)| {
                amount(used.get(*name).unwrap_or(&Value::Null))
                    .plus(*more)
                    .exceeds(amount(&hard[name.as_str()]))
            })
            .collect();
        if !over.is_empty() {
            return Err(exceeded(kind, object, &quota, &over, &used));
        }
    }
    Ok(())
}

fn exceeded(
    kind: &Kind,
    object: &Value,
    quota: &Value,
    over: &[(&String, Quantity)],
    used: &Map<String, Value>,
) -> Failure {
    let list = |value: &dyn Fn(&String, Quantity) -> String| {
        over.iter()
            .map(|(name, more)| format!("{name}={}", value(name, *more)))
            .collect::<Vec<_>>()
            .join(",")
    };
    let text_of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let why = format!(
        "exceeded quota: {}, requested: {}, used: {}, limited: {}",
        object::name(quota),
        list(&|_, more| more.text()),
        list(&|name, _| used.get(name).map(text_of).unwrap_or_default()),
        list(&|name, _| text_of(&quota["status"]["hard"][name.as_str()])),
    );
    Failure::forbidden(kind, object::name(object), &why)
}

/// A pod must say what it takes of everything a quota limits.
fn demand_amounts(kind: &Kind, quota: &Value, hard: &Value, pod: &Value) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for (name, _) in hard.as_object().into_iter().flatten() {
        let Some((what, resource)) = compute(name).filter(|(_, r)| matches!(*r, "cpu" | "memory")) else {
            continue;
        };
        for container in list(pod, &["spec", "containers"]) {
            if container["resources"][what][resource].is_null() {
                missing.push(format!("{name} for: {}", text(container, &["name"])));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!(
        "failed quota: {}: must specify {}",
        object::name(quota),
        missing.join("; ")
    );
    Err(Failure::forbidden(kind, object::name(pod), &why))
}
