//! What an administrator is given to apply: whole, filled in, and no more rights than it should hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

use std::collections::BTreeSet;

use berth_agent::{
    Options,
    manifest::{ManifestOptions, render, to_yaml},
};
use berth_model::label::AGENT_NAMESPACE;
use serde_json::{Value, json};

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
    objects
        .iter()
        .find(|o| o["kind"] == kind && o["metadata"]["name"] == name)
}

#[test]
fn every_object_is_whole_and_named_once() {
    let objects = render(&options());
    let mut seen = BTreeSet::new();
    for object in &objects {
        let name = (object["kind"].to_string(), object["metadata"]["name"].to_string());
        assert!(
            object["apiVersion"].is_string() && object["metadata"]["name"].is_string(),
            "{object}"
        );
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
        options: Options,
    }
    let objects = render(&options());
    let container =
        &find(&objects, "Deployment", "berth-agent").unwrap()["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example/berth-agent:1");
    let args = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a.as_str().unwrap());
    let parsed =
        Cli::try_parse_from(std::iter::once("berth-agent").chain(args)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(parsed.options.hub.len(), 2);
    assert_eq!(parsed.options.api_url.as_deref(), Some("https://api.example"));
    let mounts = &container["volumeMounts"][0];
    assert!(
        parsed
            .options
            .token_file
            .unwrap()
            .starts_with(mounts["mountPath"].as_str().unwrap())
    );
    assert_eq!(
        find(&objects, "Secret", "berth-agent-token").unwrap()["stringData"]["token"],
        "abcdefghij.secret"
    );
}

#[test]
fn without_token_there_is_no_secret_and_without_mutating_policies_none() {
    let objects = render(&ManifestOptions {
        token: None,
        mutating: false,
        ..options()
    });
    assert!(objects.iter().all(|o| o["kind"] != "Secret"));
    assert!(
        objects
            .iter()
            .all(|o| !o["kind"].as_str().unwrap().starts_with("Mutating"))
    );
    assert!(find(&objects, "ValidatingAdmissionPolicy", "berth-pool-bounds").is_some());
}

#[test]
fn another_namespace_is_put_everywhere_policies_included() {
    let objects = render(&ManifestOptions {
        namespace: "fleet".into(),
        ..options()
    });
    let text = Value::from(objects.clone()).to_string();
    assert!(!text.contains(AGENT_NAMESPACE), "{text}");
    assert!(text.contains("system:serviceaccount:fleet:berth-agent"));
    assert!(find(&objects, "Namespace", "fleet").is_some());
}

#[test]
fn the_agent_holds_no_right_to_write_roles_or_admission_policies() {
    let objects = render(&options());
    let rules = find(&objects, "ClusterRole", "berth-agent").unwrap()["rules"]
        .as_array()
        .unwrap()
        .clone();
    for rule in rules {
        let has = |field: &str, value: &str| {
            rule[field]
                .as_array()
                .unwrap()
                .iter()
                .any(|v| v == value || v == "*")
        };
        let verbs = rule["verbs"].as_array().unwrap();
        let writes = verbs
            .iter()
            .any(|v| !["get", "list", "watch", "bind"].contains(&v.as_str().unwrap()));
        if has("resources", "clusterroles") {
            assert!(!writes && rule["resourceNames"].is_array(), "{rule}");
        }
        assert!(
            !(writes && has("apiGroups", "admissionregistration.k8s.io")),
            "{rule}"
        );
        assert!(
            !has("resources", "secrets") && !has("resources", "roles") && !has("verbs", "escalate"),
            "{rule}"
        );
        assert!(
            !has("resources", "serviceaccounts/token")
                || rule["resourceNames"] == json!(["berth-admin", "berth-user", "berth-viewer"])
                    && rule["verbs"] == json!(["create"]),
            "{rule}"
        );
        assert!(
            !has("verbs", "impersonate") || rule["resourceNames"] == json!(["berth-deployer"]),
            "{rule}"
        );
    }
}

/// A rule as the table of the README writes it.
fn written(place: &str, rule: &Value) -> String {
    let list = |field: &str| -> Vec<&str> {
        let values = rule[field].as_array().into_iter().flatten();
        values.map(|value| value.as_str().unwrap()).collect()
    };
    let groups = list("apiGroups").into_iter();
    let groups: Vec<&str> = groups
        .map(|group| if group.is_empty() { "\"\"" } else { group })
        .collect();
    let names = match list("resourceNames").join(", ") {
        names if names.is_empty() => names,
        names => format!(" ({names})"),
    };
    let (resources, verbs) = (list("resources").join(", "), list("verbs").join(", "));
    format!(
        "| {place} | `{}: {resources}{names}: {verbs}` |",
        groups.join(", ")
    )
}

#[test]
fn every_right_of_the_agent_is_explained_in_the_readme_and_no_other() {
    let objects = render(&options());
    let rules = |kind: &str, place: &'static str| -> Vec<String> {
        let rules = find(&objects, kind, "berth-agent").unwrap()["rules"]
            .as_array()
            .unwrap();
        rules.iter().map(|rule| written(place, rule)).collect()
    };
    let held: BTreeSet<String> = [rules("ClusterRole", "cluster"), rules("Role", AGENT_NAMESPACE)]
        .concat()
        .into_iter()
        .collect();
    let readme = include_str!("../../deploy/agent/README.md");
    let explained: BTreeSet<String> = readme
        .lines()
        .filter(|line| line.starts_with("| cluster |") || line.starts_with("| berth-system |"))
        .map(|line| {
            let (rule, why) = line.trim_end_matches(" |").rsplit_once(" | ").unwrap();
            assert!(why.len() > 10, "{line}");
            format!("{rule} |")
        })
        .collect();
    assert_eq!(explained, held);
}

#[test]
fn the_text_for_kubectl_is_read_back_as_the_same_objects() {
    let objects = render(&options());
    assert_eq!(
        serde_saphyr::from_multiple::<Value>(&to_yaml(&objects)).unwrap(),
        objects
    );
}
