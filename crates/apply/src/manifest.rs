//! What an administrator applies to a cluster so that the agent can live there: `deploy/agent`, filled in.
//!
//! Pure: the files are part of the program, so `berth agent manifest` and the hub's bootstrap apply the same.

use berth_model::label::AGENT_NAMESPACE;
use serde_json::{Value, json};

/// Every cluster gets these, in this order.
const ALWAYS: [&str; 13] = [
    include_str!("../../../deploy/agent/namespace.yaml"),
    include_str!("../../../deploy/agent/rbac.yaml"),
    include_str!("../../../deploy/agent/tenant-roles.yaml"),
    include_str!("../../../deploy/agent/priority-classes.yaml"),
    include_str!("../../../deploy/agent/agent-bounds.yaml"),
    include_str!("../../../deploy/agent/pool-bounds.yaml"),
    include_str!("../../../deploy/agent/walls/pods.yaml"),
    include_str!("../../../deploy/agent/walls/pod-security.yaml"),
    include_str!("../../../deploy/agent/walls/network.yaml"),
    include_str!("../../../deploy/agent/walls/storage.yaml"),
    include_str!("../../../deploy/agent/walls/accounts.yaml"),
    include_str!("../../../deploy/agent/walls/ownership.yaml"),
    include_str!("../../../deploy/agent/walls/lifetime.yaml"),
];
/// Only where MutatingAdmissionPolicy is served.
const MUTATING: [&str; 3] = [
    include_str!("../../../deploy/agent/pool-pinning.yaml"),
    include_str!("../../../deploy/agent/walls/budget-defaults.yaml"),
    include_str!("../../../deploy/agent/walls/balancer-defaults.yaml"),
];
/// Last: the agent itself starts when everything else is there.
const DEPLOYMENT: &str = include_str!("../../../deploy/agent/deployment.yaml");

/// Where the agent serves its operators, inside its pod.
const OPS_LISTEN: &str = "0.0.0.0:8081";
const TOKEN_FILE: &str = "/etc/berth/token/token";

/// What is filled in.
#[derive(Clone, Debug)]
pub struct ManifestOptions {
    /// Addresses of the hub's agent listener, `https://HOST:PORT`.
    pub hub_urls: Vec<String>,
    /// Pin of the hub's certificate authority, `sha256:HEX`.
    pub ca_pin: String,
    /// The join token; without it no Secret is made, and the agent starts only where it has joined before.
    pub token: Option<String>,
    /// The agent's image; its entry point is `berth-agent`.
    pub image: String,
    /// The agent's namespace, usually `berth-system`.
    pub namespace: String,
    /// Whether the cluster serves `MutatingAdmissionPolicy` in `admissionregistration.k8s.io/v1` (Kubernetes 1.36 does).
    pub mutating: bool,
    /// Where users reach the cluster's API; inside a pod the agent cannot know.
    pub api_url: Option<String>,
}

/// The objects, in the order in which they are applied.
#[must_use]
pub fn render(options: &ManifestOptions) -> Vec<Value> {
    let ManifestOptions {
        hub_urls,
        ca_pin,
        token,
        image,
        namespace,
        mutating,
        api_url,
    } = options;
    let mut objects: Vec<Value> = ALWAYS.iter().flat_map(|file| parse(file)).collect();
    if *mutating {
        objects.extend(MUTATING.iter().flat_map(|file| parse(file)));
    }
    let mut args = vec![
        format!("--hub={}", hub_urls.join(",")),
        format!("--ca-pin={ca_pin}"),
        format!("--token-file={TOKEN_FILE}"),
        format!("--namespace={namespace}"),
        format!("--ops-listen={OPS_LISTEN}"),
        "--log-format=json".to_owned(),
    ];
    args.extend(api_url.iter().map(|url| format!("--api-url={url}")));
    for mut object in parse(DEPLOYMENT) {
        match object["kind"].as_str() {
            Some("Secret") => match token {
                Some(token) => object["stringData"]["token"] = json!(token),
                None => continue,
            },
            Some("Deployment") => {
                let container = &mut object["spec"]["template"]["spec"]["containers"][0];
                container["image"] = json!(image);
                container["args"] = json!(args);
            }
            _ => {}
        }
        objects.push(object);
    }
    if namespace != AGENT_NAMESPACE {
        for object in &mut objects {
            rename(object, namespace);
        }
    }
    objects
}

/// The admission policies and bindings among the objects, as an agent in `namespace` wants to see them.
#[must_use]
pub(crate) fn policies(namespace: &str, mutating: bool) -> Vec<Value> {
    let mut objects = render(&ManifestOptions {
        hub_urls: Vec::new(),
        ca_pin: String::new(),
        token: None,
        image: String::new(),
        namespace: namespace.to_owned(),
        mutating,
        api_url: None,
    });
    objects.retain(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        kind.ends_with("AdmissionPolicy") || kind.ends_with("AdmissionPolicyBinding")
    });
    objects
}

/// The objects as one YAML text for `kubectl apply -f -`. JSON is YAML.
#[must_use]
pub fn to_yaml(objects: &[Value]) -> String {
    objects
        .iter()
        .map(|object| format!("---\n{object:#}\n"))
        .collect()
}

#[expect(
    clippy::expect_used,
    reason = "the files are part of the program, and a test reads each of them"
)]
fn parse(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(file).expect("a file of deploy/agent is YAML")
}

/// Puts the namespace wherever the files say the usual one: names, subjects, and user names in policies.
fn rename(value: &mut Value, namespace: &str) {
    match value {
        Value::String(text) => *text = text.replace(AGENT_NAMESPACE, namespace),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, namespace)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, namespace)),
        _ => {}
    }
}
