//! The kinds an embedded cluster serves: one table row each. Says nothing of how a kind behaves; defaults, checks and
//! controllers look kinds up here.

use std::sync::OnceLock;

use super::schema::{Type, schema};

/// One kind of object.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) id: usize,
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) namespaced: bool,
    pub(crate) status: bool,
    pub(crate) scale: bool,
    pub(crate) generation: bool,
    pub(crate) all: bool,
    pub(crate) schema: Type,
}

impl Kind {
    /// `v1` or `group/version`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.into()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `configmaps` or `deployments.apps`, as messages name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.into()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Whether replacing an object that is not there makes it.
    pub(crate) fn put_creates(&self) -> bool {
        self.group == RBAC
            || matches!(
                self.kind,
                "Service" | "Endpoints" | "LimitRange" | "Event" | "Lease"
            )
    }

    /// Whether deleting answers with the object instead of a `Status`.
    pub(crate) fn answers_deleted(&self) -> bool {
        let core = [
            "Pod",
            "Service",
            "ServiceAccount",
            "ResourceQuota",
            "PersistentVolume",
            "PersistentVolumeClaim",
        ];
        core.contains(&self.kind) || self.kind == "StorageClass"
    }

    /// Whether a replacement must say which version it replaces.
    pub(crate) fn needs_version(&self) -> bool {
        self.group == ADMISSION
            || matches!(
                self.kind,
                "Lease" | "PodDisruptionBudget" | "CustomResourceDefinition"
            )
    }

    /// Whether this is that kind.
    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

const NAMESPACED: u8 = 1;
const STATUS: u8 = 2;
const SCALE: u8 = 4;
const GENERATION: u8 = 8;
const ALL: u8 = 16;

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    u8,
);

const ADMISSION: &str = "admissionregistration.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("", "v1", "Namespace", "namespaces", &["ns"], STATUS),
    ("", "v1", "Node", "nodes", &["no"], STATUS),
    ("", "v1", "PersistentVolume", "persistentvolumes", &["pv"], STATUS),
    ("", "v1", "ResourceQuota", "resourcequotas", &["quota"], NAMESPACED | STATUS),
    ("", "v1", "LimitRange", "limitranges", &["limits"], NAMESPACED),
    ("", "v1", "ServiceAccount", "serviceaccounts", &["sa"], NAMESPACED),
    ("", "v1", "ConfigMap", "configmaps", &["cm"], NAMESPACED),
    ("", "v1", "Secret", "secrets", &[], NAMESPACED),
    ("", "v1", "Service", "services", &["svc"], NAMESPACED | STATUS | ALL),
    ("", "v1", "Pod", "pods", &["po"], NAMESPACED | STATUS | GENERATION | ALL),
    ("", "v1", "Event", "events", &["ev"], NAMESPACED),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], NAMESPACED | STATUS),
    ("", "v1", "Endpoints", "endpoints", &["ep"], NAMESPACED),
    ("", "v1", "ReplicationController", "replicationcontrollers", &["rc"], NAMESPACED | STATUS | SCALE | GENERATION | ALL),
    ("apps", "v1", "Deployment", "deployments", &["deploy"], NAMESPACED | STATUS | SCALE | GENERATION | ALL),
    ("apps", "v1", "StatefulSet", "statefulsets", &["sts"], NAMESPACED | STATUS | SCALE | GENERATION | ALL),
    ("apps", "v1", "DaemonSet", "daemonsets", &["ds"], NAMESPACED | STATUS | GENERATION | ALL),
    ("apps", "v1", "ReplicaSet", "replicasets", &["rs"], NAMESPACED | STATUS | SCALE | GENERATION | ALL),
    ("apps", "v1", "ControllerRevision", "controllerrevisions", &[], NAMESPACED),
    ("batch", "v1", "Job", "jobs", &[], NAMESPACED | STATUS | GENERATION | ALL),
    ("batch", "v1", "CronJob", "cronjobs", &["cj"], NAMESPACED | STATUS | GENERATION | ALL),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", &["netpol"], NAMESPACED | GENERATION),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", &["ing"], NAMESPACED | STATUS | GENERATION),
    ("networking.k8s.io", "v1", "IngressClass", "ingressclasses", &[], GENERATION),
    (RBAC, "v1", "Role", "roles", &[], NAMESPACED),
    (RBAC, "v1", "RoleBinding", "rolebindings", &[], NAMESPACED),
    (RBAC, "v1", "ClusterRole", "clusterroles", &[], 0),
    (RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", &[], 0),
    ("coordination.k8s.io", "v1", "Lease", "leases", &[], NAMESPACED),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], NAMESPACED | STATUS | GENERATION),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], NAMESPACED | STATUS | ALL),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", &["pc"], GENERATION),
    (ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", &[], STATUS | GENERATION),
    (ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", &[], GENERATION),
    (ADMISSION, "v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", &[], GENERATION),
    (ADMISSION, "v1", "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", &[], GENERATION),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", &[], NAMESPACED | GENERATION),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", &["sc"], 0),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", &["crd", "crds"], STATUS | GENERATION),
];

/// Every kind, in the table's order.
pub(crate) fn kinds() -> &'static [Kind] {
    static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();
    KINDS.get_or_init(|| {
        ROWS.iter()
            .enumerate()
            .map(|(id, row)| from_row(id, *row))
            .collect()
    })
}

fn from_row(id: usize, (group, version, kind, plural, short, flags): Row) -> Kind {
    let family = if group.is_empty() {
        "core"
    } else {
        group.split('.').next().unwrap_or(group)
    };
    Kind {
        id,
        group,
        version,
        kind,
        plural,
        short,
        namespaced: flags & NAMESPACED != 0,
        status: flags & STATUS != 0,
        scale: flags & SCALE != 0,
        generation: flags & GENERATION != 0,
        all: flags & ALL != 0,
        schema: schema().named(&format!("{family}.{version}.{kind}")),
    }
}

/// The kind served under this path.
pub(crate) fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    kinds()
        .iter()
        .find(|k| k.plural == plural && k.group == group && k.version == version)
}

/// The kind of an object or reference, whatever the version.
pub(crate) fn by_kind(group: &str, kind: &str) -> Option<&'static Kind> {
    kinds().iter().find(|k| k.is(group, kind))
}

/// The kind an object says it is.
pub(crate) fn by_api_version(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    by_kind(group, kind).filter(|k| k.version == version)
}

macro_rules! well_known {
    ($($(#[$doc:meta])* $name:ident = $group:expr, $kind:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name() -> &'static Kind {
            static ROW: OnceLock<&'static Kind> = OnceLock::new();
            ROW.get_or_init(|| by_kind($group, $kind).unwrap_or(&kinds()[0]))
        }
    )*};
}

well_known! {
    namespace = "", "Namespace";
    node = "", "Node";
    pod = "", "Pod";
    config_map = "", "ConfigMap";
    service_account = "", "ServiceAccount";
    resource_quota = "", "ResourceQuota";
    service = "", "Service";
    endpoints = "", "Endpoints";
    deployment = "apps", "Deployment";
    replica_set = "apps", "ReplicaSet";
    stateful_set = "apps", "StatefulSet";
    daemon_set = "apps", "DaemonSet";
    job = "batch", "Job";
    endpoint_slice = "discovery.k8s.io", "EndpointSlice";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema() {
        for kind in kinds() {
            assert!(!matches!(kind.schema, Type::Any), "{} has no schema", kind.kind);
        }
    }
}
