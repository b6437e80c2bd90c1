//! Everything that is tried besides pods, and how any of it is written.

use berth_model::label;
use serde_json::{Value, json};

use super::{DryRun, Meant, Sort};
use crate::probe::{Aim, survey::Home};

/// A name nobody serves (RFC 6761).
pub(super) const FOREIGN_HOST: &str = "neighbour.invalid";

/// Everything that is tried in one namespace.
pub(in crate::probe) fn probes(home: &Home, first: bool) -> Vec<DryRun> {
    let tried = Tried { home, first };
    let mut all = tried.pods();
    all.extend(tried.services());
    all.extend(tried.claims());
    all.extend(tried.others());
    all
}

pub(super) struct Tried<'a> {
    pub(super) home: &'a Home,
    first: bool,
}

impl Tried<'_> {
    pub(super) fn run(
        &self,
        sort: Sort,
        meant: Meant,
        (name, what): (&str, &str),
        (group_version, plural): (&str, &str),
        body: Value,
    ) -> DryRun {
        let namespace = &self.home.name;
        let place = if self.first {
            String::new()
        } else {
            format!("@{namespace}")
        };
        let expected = match meant {
            Meant::Nothing => "taken",
            Meant::Policy => "refused by one of Berth's admission policies",
            Meant::PodSecurity => "refused by pod security",
            Meant::NoQuota => "refused by one of Berth's admission policies or a quota of none",
            Meant::Rights => "refused by the deployer's rights",
        };
        let root = if group_version.contains('/') {
            "apis"
        } else {
            "api"
        };
        DryRun {
            sort,
            meant,
            aim: Aim::new(format!("{name}{place}"), what, expected),
            namespace: namespace.clone(),
            collection: format!("/{root}/{group_version}/namespaces/{namespace}/{plural}"),
            body,
        }
    }

    pub(super) fn object(&self, group_version: &str, kind: &str, spec: Value) -> Value {
        json!({
            "apiVersion": group_version,
            "kind": kind,
            "metadata": {"generateName": "berth-probe-", "namespace": self.home.name},
            "spec": spec,
        })
    }

    fn services(&self) -> Vec<DryRun> {
        use Meant::{Nothing, Policy};
        let service = |meant, name: &str, what: &str, more: Value| {
            let mut spec = json!({"selector": {"app": "berth-probe"}, "ports": [{"port": 80}]});
            for (key, value) in more.as_object().into_iter().flatten() {
                spec[key] = value.clone();
            }
            let body = self.object("v1", "Service", spec);
            self.run(Sort::Service, meant, (name, what), ("v1", "services"), body)
        };
        let mut all = vec![
            service(Nothing, "service-ordinary", "an ordinary Service", json!({})),
            service(
                self.none_granted("services.nodeports"),
                "service-node-port",
                "a Service on a port of every node",
                json!({"type": "NodePort"}),
            ),
            service(
                Policy,
                "service-external-address",
                "a Service for an address of somebody else",
                json!({"externalIPs": ["192.0.2.1"]}),
            ),
            service(
                Policy,
                "service-external-name",
                "a Service that is another name",
                json!({"type": "ExternalName", "externalName": FOREIGN_HOST}),
            ),
        ];
        if self.home.granted(label::LOAD_BALANCERS) != ["true"] {
            let meant = self.none_granted("services.loadbalancers");
            let spec = json!({"type": "LoadBalancer"});
            all.push(service(
                meant,
                "service-load-balancer",
                "a Service with a load balancer",
                spec,
            ));
        }
        all
    }

    /// A quota of none is a wall too; one of some that is used up is not.
    fn none_granted(&self, name: &str) -> Meant {
        if self.home.hard(name) == Some("0") {
            Meant::NoQuota
        } else {
            Meant::Policy
        }
    }

    fn claims(&self) -> Vec<DryRun> {
        let claim = |meant, name: &str, what: &str, more: Value| {
            let mut spec =
                json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
            if let Some(class) = self.home.granted(label::STORAGE_CLASSES).first() {
                spec["storageClassName"] = json!(class);
            }
            for (key, value) in more.as_object().into_iter().flatten() {
                spec[key] = value.clone();
            }
            let body = self.object("v1", "PersistentVolumeClaim", spec);
            self.run(
                Sort::Claim,
                meant,
                (name, what),
                ("v1", "persistentvolumeclaims"),
                body,
            )
        };
        if self.home.hard("requests.storage") == Some("0") {
            return Vec::new();
        }
        vec![
            claim(Meant::Nothing, "claim-ordinary", "an ordinary claim", json!({})),
            claim(
                Meant::Policy,
                "claim-named-volume",
                "a claim for a volume that is there",
                json!({"volumeName": "berth-probe-volume"}),
            ),
            claim(
                Meant::Policy,
                "claim-selected-volume",
                "a claim that selects among the volumes that are there",
                json!({"selector": {"matchLabels": {"app": "berth-probe"}}}),
            ),
        ]
    }

    fn others(&self) -> Vec<DryRun> {
        use Meant::{Policy, Rights};
        let ingress = |name: &str, what: &str, spec: Value| {
            let body = self.object("networking.k8s.io/v1", "Ingress", spec);
            self.run(
                Sort::Alone,
                Policy,
                (name, what),
                ("networking.k8s.io/v1", "ingresses"),
                body,
            )
        };
        let backend = json!({"service": {"name": "probe", "port": {"number": 80}}});
        let rule = |host: &str| json!({"rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]});
        let rbac = "rbac.authorization.k8s.io/v1";
        let binding = json!({
            "apiVersion": rbac,
            "kind": "RoleBinding",
            "metadata": {"generateName": "berth-probe-", "namespace": self.home.name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": label::WORKLOAD_ACCOUNT, "namespace": self.home.name}],
        });
        let token = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "generateName": "berth-probe-",
                "namespace": self.home.name,
                "annotations": {"kubernetes.io/service-account.name": label::DEPLOYER_ACCOUNT},
            },
            "type": "kubernetes.io/service-account-token",
        });
        let everywhere = json!({
            "podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}],
        });
        let stay = json!({"maxUnavailable": 0, "selector": {"matchLabels": {"app": "berth-probe"}}});
        vec![
            ingress(
                "ingress-foreign-host",
                "an Ingress for somebody else's host",
                rule(FOREIGN_HOST),
            ),
            ingress(
                "ingress-every-host",
                "an Ingress for every host",
                json!({"defaultBackend": backend}),
            ),
            ingress(
                "ingress-wildcard",
                "an Ingress for a wildcard",
                rule(&format!("*.{FOREIGN_HOST}")),
            ),
            self.run(
                Sort::Alone,
                Rights,
                ("binding-cluster-admin", "a RoleBinding to cluster-admin"),
                (rbac, "rolebindings"),
                binding,
            ),
            self.run(
                Sort::Alone,
                Rights,
                ("network-policy-open", "a NetworkPolicy that opens the namespace"),
                ("networking.k8s.io/v1", "networkpolicies"),
                self.object("networking.k8s.io/v1", "NetworkPolicy", everywhere),
            ),
            self.run(
                Sort::Alone,
                Policy,
                (
                    "secret-account-token",
                    "a Secret that asks for the deployer's token",
                ),
                ("v1", "secrets"),
                token,
            ),
            self.run(
                Sort::Alone,
                Policy,
                (
                    "budget-no-eviction",
                    "a disruption budget that stops every eviction",
                ),
                ("policy/v1", "poddisruptionbudgets"),
                self.object("policy/v1", "PodDisruptionBudget", stay),
            ),
        ]
    }
}
