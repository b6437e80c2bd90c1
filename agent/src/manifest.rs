//! What an administrator applies to a cluster so that the agent can live there: `deploy/agent`, filled in.
//!
//! Pure: the files are part of the program, so `berth agent manifest` and the hub's bootstrap apply the same.

use berth_model::label::AGENT_NAMESPACE;
use serde_json::{Value, json};

/// Every cluster gets these, in this order.
const ALWAYS: [&str; 6] = [
    include_str!("../../deploy/agent/namespace.yaml"),
    include_str!("../../deploy/agent/rbac.yaml"),
    include_str!("../../deploy/agent/tenant-roles.yaml"),
    include_str!("../../deploy/agent/priority-classes.yaml"),
    include_str!("../../deploy/agent/agent-bounds.yaml"),
    include_str!("../../deploy/agent/pool-bounds.yaml"),
];
/// Only where MutatingAdmissionPolicy is served.
const MUTATING: &str = include_str!("../../deploy/agent/pool-pinning.yaml");
/// Last: the agent itself starts when everything else is there.
const DEPLOYMENT: &str = include_str!("../../deploy/agent/deployment.yaml");

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
    let ManifestOptions { hub_urls, ca_pin, token, image, namespace, mutating, api_url } = options;
    let mut objects: Vec<Value> = ALWAYS.iter().flat_map(|file| parse(file)).collect();
    if *mutating {
        objects.extend(parse(MUTATING));
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

/// The objects as one YAML text for `kubectl apply -f -`. JSON is YAML.
#[must_use]
pub fn to_yaml(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{object:#}\n")).collect()
}

#[expect(clippy::expect_used, reason = "the files are part of the program, and a test reads each of them")]
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn options() -> ManifestOptions {
        ManifestOptions {
            hub_urls: vec!["https://a:1".into(), "https://b:2".into()],
            ca_pin: format!("sha256:{}", "00".repeat(32)),
            token: Some("abcdefghij.secret".into()),
            image: "registry.example/berth-agent:1".into(),
            namespace: AGENT_NAMESPACE.into(),
            mutating: true,
            api_url: Some("https://api.example".into()),
        }
    }

    fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
        objects.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name)
    }

    #[test]
    fn every_object_is_whole_and_named_once() {
        let objects = render(&options());
        let mut seen = BTreeSet::new();
        for object in &objects {
            let name = (object["kind"].to_string(), object["metadata"]["name"].to_string());
            assert!(object["apiVersion"].is_string() && object["metadata"]["name"].is_string(), "{object}");
            assert!(seen.insert(name), "{object}");
        }
        assert_eq!(objects.first().unwrap()["kind"], "Namespace");
        assert_eq!(objects.last().unwrap()["kind"], "Deployment");
    }

    #[test]
    fn what_is_filled_in_reaches_the_agent_as_flags_it_knows() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            options: crate::Options,
        }
        let objects = render(&options());
        let container = &find(&objects, "Deployment", "berth-agent").unwrap()["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "registry.example/berth-agent:1");
        let args = container["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap());
        let parsed = Cli::try_parse_from(std::iter::once("berth-agent").chain(args)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(parsed.options.hub.len(), 2);
        assert_eq!(parsed.options.api_url.as_deref(), Some("https://api.example"));
        let mounts = &container["volumeMounts"][0];
        assert!(TOKEN_FILE.starts_with(mounts["mountPath"].as_str().unwrap()));
        assert_eq!(find(&objects, "Secret", "berth-agent-token").unwrap()["stringData"]["token"], "abcdefghij.secret");
    }

    #[test]
    fn without_token_there_is_no_secret_and_without_mutating_policies_none() {
        let objects = render(&ManifestOptions { token: None, mutating: false, ..options() });
        assert!(objects.iter().all(|o| o["kind"] != "Secret"));
        assert!(objects.iter().all(|o| !o["kind"].as_str().unwrap().starts_with("Mutating")));
        assert!(find(&objects, "ValidatingAdmissionPolicy", "berth-pool-bounds").is_some());
    }

    #[test]
    fn another_namespace_is_put_everywhere_policies_included() {
        let objects = render(&ManifestOptions { namespace: "fleet".into(), ..options() });
        let text = Value::from(objects.clone()).to_string();
        assert!(!text.contains(AGENT_NAMESPACE), "{text}");
        assert!(text.contains("system:serviceaccount:fleet:berth-agent"));
        assert!(find(&objects, "Namespace", "fleet").is_some());
    }

    #[test]
    fn the_agent_holds_no_right_to_write_roles_or_admission_policies() {
        let objects = render(&options());
        let rules = find(&objects, "ClusterRole", "berth-agent").unwrap()["rules"].as_array().unwrap().clone();
        for rule in rules {
            let has = |field: &str, value: &str| rule[field].as_array().unwrap().iter().any(|v| v == value || v == "*");
            let verbs = rule["verbs"].as_array().unwrap();
            let writes = verbs.iter().any(|v| !["get", "list", "watch", "bind"].contains(&v.as_str().unwrap()));
            if has("resources", "clusterroles") {
                assert!(!writes && rule["resourceNames"].is_array(), "{rule}");
            }
            assert!(!(writes && has("apiGroups", "admissionregistration.k8s.io")), "{rule}");
            assert!(!has("resources", "secrets") && !has("resources", "roles") && !has("verbs", "escalate"), "{rule}");
            assert!(!has("verbs", "impersonate") || rule["resourceNames"] == json!(["berth-deployer"]), "{rule}");
        }
    }

    #[test]
    fn the_text_for_kubectl_is_read_back_as_the_same_objects() {
        let objects = render(&options());
        assert_eq!(parse(&to_yaml(&objects)), objects);
    }
}
