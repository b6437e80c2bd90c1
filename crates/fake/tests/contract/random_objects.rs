//! Random configurations of a handful of kinds, small enough that managers meet in the same fields.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The kinds of the random test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    ConfigMap,
    Namespace,
    Deployment,
    NetworkPolicy,
    Service,
    RoleBinding,
    ResourceQuota,
}

impl Sort {
    pub(super) const ALL: [Self; 7] = [
        Self::ConfigMap,
        Self::Namespace,
        Self::Deployment,
        Self::NetworkPolicy,
        Self::Service,
        Self::RoleBinding,
        Self::ResourceQuota,
    ];

    /// Where the one object of this kind is.
    pub(super) fn path(self, namespace: &str) -> String {
        match self {
            Self::ConfigMap => format!("/api/v1/namespaces/{namespace}/configmaps/x"),
            Self::Namespace => format!("/api/v1/namespaces/{namespace}-x"),
            Self::Deployment => format!("/apis/apps/v1/namespaces/{namespace}/deployments/x"),
            Self::NetworkPolicy => {
                format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/x")
            }
            Self::Service => format!("/api/v1/namespaces/{namespace}/services/x"),
            Self::RoleBinding => {
                format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/x")
            }
            Self::ResourceQuota => format!("/api/v1/namespaces/{namespace}/resourcequotas/x"),
        }
    }

    fn head(self) -> Value {
        let (api_version, kind) = match self {
            Self::ConfigMap => ("v1", "ConfigMap"),
            Self::Namespace => ("v1", "Namespace"),
            Self::Deployment => ("apps/v1", "Deployment"),
            Self::NetworkPolicy => ("networking.k8s.io/v1", "NetworkPolicy"),
            Self::Service => ("v1", "Service"),
            Self::RoleBinding => ("rbac.authorization.k8s.io/v1", "RoleBinding"),
            Self::ResourceQuota => ("v1", "ResourceQuota"),
        };
        json!({"apiVersion": api_version, "kind": kind})
    }

    /// A configuration of this kind.
    pub(super) fn configuration(self) -> BoxedStrategy<Value> {
        let body = match self {
            Self::ConfigMap => object(vec![
                ("data", strings(&["a", "b", "c"]).boxed()),
                ("binaryData", just(&[json!({"z": "AA=="})])),
            ]),
            Self::Namespace => object(vec![]),
            Self::Deployment => object(vec![("spec", deployment())]),
            Self::NetworkPolicy => object(vec![("spec", network_policy())]),
            Self::Service => object(vec![("spec", service())]),
            Self::RoleBinding => object(vec![("roleRef", role()), ("subjects", subjects())]),
            Self::ResourceQuota => object(vec![("spec", quota())]),
        };
        let head = self.head();
        (body, metadata())
            .prop_map(move |(body, metadata)| {
                let mut out = head.clone();
                merge(&mut out, body);
                out["metadata"] = metadata;
                out
            })
            .boxed()
    }

    /// A merge patch of this kind: a configuration in which some leaves are taken out.
    pub(super) fn patch(self) -> BoxedStrategy<Value> {
        (self.configuration(), any::<u8>())
            .prop_map(|(mut body, cut)| {
                body.as_object_mut()
                    .map(|b| (b.remove("apiVersion"), b.remove("kind")));
                let mut count = 0;
                null_some(&mut body, cut, &mut count);
                body
            })
            .boxed()
    }
}

fn null_some(value: &mut Value, cut: u8, count: &mut u32) {
    if let Value::Object(map) = value {
        for inner in map.values_mut() {
            *count += 1;
            if inner.is_string() && (cut >> (*count % 8)) & 1 == 1 {
                *inner = Value::Null;
            } else {
                null_some(inner, cut, count);
            }
        }
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// An object of which each field may be missing.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let mut out = Just(Map::new()).boxed();
    for (name, strategy) in fields {
        out = (out, prop::option::weighted(0.75, strategy))
            .prop_map(move |(mut map, value)| {
                map.extend(value.map(|v| (name.to_owned(), v)));
                map
            })
            .boxed();
    }
    out.prop_map(Value::Object).boxed()
}

fn just(values: &[Value]) -> BoxedStrategy<Value> {
    prop::sample::select(values.to_vec()).boxed()
}

/// A map of some of these keys to one of few values.
fn strings(keys: &'static [&'static str]) -> BoxedStrategy<Value> {
    prop::collection::btree_map(
        prop::sample::select(keys),
        prop::sample::select(&["1", "2"][..]),
        0..=keys.len(),
    )
    .prop_map(|map| json!(map))
    .boxed()
}

fn some_of(values: Vec<Value>) -> BoxedStrategy<Value> {
    let most = values.len();
    prop::sample::subsequence(values, 0..=most)
        .prop_shuffle()
        .prop_map(Value::Array)
        .boxed()
}

fn metadata() -> BoxedStrategy<Value> {
    object(vec![
        ("labels", strings(&["a", "b"])),
        ("annotations", strings(&["c", "d"])),
    ])
}

fn deployment() -> BoxedStrategy<Value> {
    let ports = some_of(vec![
        json!({"containerPort": 80}),
        json!({"containerPort": 80, "protocol": "UDP"}),
        json!({"containerPort": 81, "name": "http"}),
    ]);
    let environment = some_of(vec![
        json!({"name": "A", "value": "1"}),
        json!({"name": "A2", "value": "2"}),
        json!({"name": "B"}),
    ]);
    let resources = just(&[
        json!({"limits": {"cpu": "1000m"}}),
        json!({"limits": {"cpu": "1", "memory": "1024Mi"}}),
        json!({"requests": {"cpu": "0.5"}}),
        json!({}),
    ]);
    let mounts = some_of(vec![
        json!({"name": "v", "mountPath": "/a"}),
        json!({"name": "v", "mountPath": "/b", "readOnly": true}),
    ]);
    let container = move |name: &'static str| {
        object(vec![
            ("image", just(&[json!("i:1"), json!("i:2"), json!("i")])),
            ("ports", ports.clone()),
            ("env", environment.clone()),
            ("resources", resources.clone()),
            ("args", just(&[json!(["x"]), json!(["x", "y"]), json!([])])),
            ("volumeMounts", mounts.clone()),
        ])
        .prop_map(move |mut c| {
            c["name"] = name.into();
            c
        })
    };
    let containers = (
        prop::option::of(container("one")),
        prop::option::of(container("two")),
        any::<bool>(),
    )
        .prop_map(|(one, two, turned)| {
            let mut all: Vec<Value> = one.into_iter().chain(two).collect();
            if turned {
                all.reverse();
            }
            Value::Array(all)
        })
        .boxed();
    let pod = object(vec![
        ("containers", containers),
        ("nodeSelector", strings(&["n", "m"])),
        (
            "tolerations",
            some_of(vec![
                json!({"key": "t", "operator": "Exists"}),
                json!({"key": "u", "value": "1"}),
            ]),
        ),
        (
            "volumes",
            some_of(vec![
                json!({"name": "v", "emptyDir": {}}),
                json!({"name": "w", "configMap": {"name": "c"}}),
            ]),
        ),
        ("terminationGracePeriodSeconds", just(&[json!(5), json!(30)])),
        (
            "securityContext",
            just(&[
                json!({}),
                json!({"runAsNonRoot": true}),
                json!({"fsGroup": 1, "supplementalGroups": [1]}),
            ]),
        ),
    ]);
    let template = (pod, strings(&["extra"])).prop_map(|(pod, labels)| {
        let mut labels = labels;
        labels["app"] = "x".into();
        json!({"metadata": {"labels": labels}, "spec": pod})
    });
    object(vec![
        ("replicas", just(&[json!(1), json!(2), json!(0)])),
        ("selector", just(&[json!({"matchLabels": {"app": "x"}})])),
        ("template", template.boxed()),
        ("minReadySeconds", just(&[json!(0), json!(3)])),
        ("paused", just(&[json!(true), json!(false)])),
        (
            "strategy",
            just(&[
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}}),
            ]),
        ),
    ])
}

fn network_policy() -> BoxedStrategy<Value> {
    let rules = |peers: &'static str| {
        some_of(vec![
            json!({}),
            json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}),
            json!({peers: [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"a": "b"}}}]}),
            json!({peers: [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}),
        ])
    };
    object(vec![
        (
            "podSelector",
            just(&[json!({}), json!({"matchLabels": {"a": "b"}})]),
        ),
        ("ingress", rules("from")),
        ("egress", rules("to")),
        (
            "policyTypes",
            just(&[
                json!(["Ingress"]),
                json!(["Ingress", "Egress"]),
                json!(["Egress"]),
            ]),
        ),
    ])
}

fn service() -> BoxedStrategy<Value> {
    let ports = some_of(vec![
        json!({"name": "a", "port": 80}),
        json!({"name": "b", "port": 81, "targetPort": "web"}),
        json!({"name": "c", "port": 80, "protocol": "UDP", "targetPort": 5}),
    ]);
    object(vec![
        ("ports", ports),
        ("selector", strings(&["s", "t"])),
        ("type", just(&[json!("ClusterIP"), json!("NodePort")])),
        ("sessionAffinity", just(&[json!("None"), json!("ClientIP")])),
        ("publishNotReadyAddresses", just(&[json!(true), json!(false)])),
    ])
}

fn role() -> BoxedStrategy<Value> {
    just(&[
        json!({"kind": "Role", "name": "r"}),
        json!({"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}),
        json!({"kind": "ClusterRole", "name": "r"}),
    ])
}

fn subjects() -> BoxedStrategy<Value> {
    some_of(vec![
        json!({"kind": "Group", "name": "g"}),
        json!({"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}),
        json!({"kind": "ServiceAccount", "name": "s", "namespace": "n"}),
    ])
}

fn quota() -> BoxedStrategy<Value> {
    let hard = object(vec![
        ("pods", just(&[json!("5"), json!(5), json!("6")])),
        ("requests.cpu", just(&[json!("1000m"), json!("1"), json!("2")])),
        ("limits.memory", just(&[json!("1024Mi"), json!("1Gi")])),
    ]);
    object(vec![("hard", hard)])
}
