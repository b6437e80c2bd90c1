//! How many replicas a Deployment's ReplicaSets should have now. Pure arithmetic after the rules of rolling updates.

use serde_json::Value;

use crate::embedded::object::{number, text};

/// The sizes of a Deployment's ReplicaSets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Replicas wanted of the present template's set.
    pub(super) new: i64,
    /// Its available pods.
    pub(super) new_available: i64,
    /// Replicas wanted of all older sets together.
    pub(super) old: i64,
    /// Their available pods.
    pub(super) old_available: i64,
}

/// The next sizes: of the new set, and of all old sets together.
pub(super) fn next(deployment: &Value, sizes: Sizes) -> (i64, i64) {
    let wanted = number(deployment, &["spec", "replicas"]).unwrap_or(1);
    if text(deployment, &["spec", "strategy", "type"]) == "Recreate" {
        return if sizes.old > 0 { (0, 0) } else { (wanted, 0) };
    }
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    let surge = share(&rolling["maxSurge"], wanted, true);
    let mut unavailable = share(&rolling["maxUnavailable"], wanted, false);
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    let room = (wanted + surge - sizes.new - sizes.old).max(0);
    let new = if sizes.new > wanted {
        wanted
    } else {
        sizes.new + room.min(wanted - sizes.new)
    };
    let needed = wanted - unavailable;
    let spare = sizes.new + sizes.old - needed - (sizes.new - sizes.new_available).max(0);
    let broken = sizes.old - sizes.old_available;
    let surplus = (sizes.new_available + sizes.old_available - needed).max(0);
    let fewer = spare.max(0).min(broken + surplus).min(sizes.old);
    (new, sizes.old - fewer)
}

fn share(value: &Value, of: i64, up: bool) -> i64 {
    match value {
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let product = percent * of;
            if up { (product + 99) / 100 } else { product / 100 }
        }
        value => value.as_i64().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(replicas: i64) -> Value {
        json!({"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}}})
    }

    #[test]
    fn a_rollout_ends_with_only_new_pods() {
        let deployment = deployment(4);
        let mut sizes = Sizes {
            new: 0,
            new_available: 0,
            old: 4,
            old_available: 4,
        };
        for _ in 0..10 {
            let (new, old) = next(&deployment, sizes);
            assert!(new + old >= 3, "never below what must be available");
            sizes = Sizes {
                new,
                new_available: new,
                old,
                old_available: old,
            };
        }
        assert_eq!((sizes.new, sizes.old), (4, 0));
    }

    #[test]
    fn a_broken_new_template_leaves_old_pods_running() {
        let deployment = deployment(4);
        let mut sizes = Sizes {
            new: 0,
            new_available: 0,
            old: 4,
            old_available: 4,
        };
        for _ in 0..10 {
            let (new, old) = next(&deployment, sizes);
            sizes = Sizes {
                new,
                new_available: 0,
                old,
                old_available: old,
            };
        }
        assert_eq!(sizes.old, 3);
    }
}
