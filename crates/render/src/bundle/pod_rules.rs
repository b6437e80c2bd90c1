//! What pods may not ask for, whoever the tenant is. The cluster's policies refuse the same; here it is told where it was written.

use serde_json::Value;

use super::{manifest::Faults, terms::Terms};
use crate::text;

/// Volumes that hold what is the tenant's own.
const VOLUMES: [&str; 8] = [
    "configMap",
    "secret",
    "emptyDir",
    "persistentVolumeClaim",
    "ephemeral",
    "projected",
    "downwardAPI",
    "image",
];
/// Longest that a pod may take to end, in seconds.
const LONGEST_GRACE: i64 = 600;
/// Longest life of a projected token, in seconds.
const LONGEST_TOKEN: i64 = 86_400;
/// Node taints that Kubernetes itself sets and that everybody may tolerate.
const NODE_TROUBLES: &str = "node.kubernetes.io/";

/// `pod` has the pod's metadata and spec; `path` leads to it.
pub(super) fn check(pod: &Value, path: &str, faults: &mut Faults<'_>) {
    let (spec, at) = (&pod["spec"], format!("{path}.spec"));
    for (field, hint) in [
        ("hostNetwork", "pods have addresses of their own"),
        ("hostPID", "pods see their own processes"),
        ("hostIPC", "pods share memory among their own containers"),
        ("hostUsers", "leave it out"),
    ] {
        if spec[field] == true {
            faults.add(&format!("{at}.{field}"), "would share the node's own", hint);
        }
    }
    if let Some(os) = spec["os"]["name"].as_str()
        && os != "linux"
    {
        faults.add(
            &format!("{at}.os.name"),
            format!("{os:?} is not Linux"),
            "leave it out",
        );
    }
    for field in ["schedulerName", "nodeName"] {
        let value = spec[field].as_str().unwrap_or_default();
        if !value.is_empty() && value != "default-scheduler" {
            faults.add(
                &format!("{at}.{field}"),
                "cannot be set",
                "let the scheduler choose the node",
            );
        }
    }
    for field in ["resourceClaims", "ephemeralContainers"] {
        if spec[field].as_array().is_some_and(|list| !list.is_empty()) {
            faults.add(&format!("{at}.{field}"), "cannot be in a bundle", "leave it out");
        }
    }
    grace(
        &spec["terminationGracePeriodSeconds"],
        &format!("{at}.terminationGracePeriodSeconds"),
        faults,
    );
    if let Some(annotations) = pod["metadata"]["annotations"].as_object() {
        for key in annotations
            .keys()
            .filter(|key| key.starts_with("kubernetes.io/config."))
        {
            faults.add(
                &format!("{path}.metadata.annotations.{key}"),
                "is for static pods",
                "leave it out",
            );
        }
    }
    volumes(&spec["volumes"], &format!("{at}.volumes"), faults);
    affinity(&spec["affinity"], &format!("{at}.affinity"), faults);
    for (key, os) in spec["nodeSelector"].as_object().into_iter().flatten() {
        // Also by its old name, which begins with `beta.`.
        if key.ends_with("kubernetes.io/os") && os != "linux" {
            faults.add(
                &format!("{at}.nodeSelector.{key}"),
                format!("{os} is not Linux"),
                "leave it out",
            );
        }
    }
    sysctls(
        &spec["securityContext"]["sysctls"],
        &format!("{at}.securityContext.sysctls"),
        faults,
    );
    if spec["nodeSelector"].get("kubernetes.io/hostname").is_some() {
        faults.add(
            &format!("{at}.nodeSelector.kubernetes.io/hostname"),
            "names a node",
            "select by zone, architecture or instance type",
        );
    }
    windows(&spec["securityContext"], &format!("{at}.securityContext"), faults);
    for (container, at) in containers(spec, &at) {
        self::container(container, &at, faults);
    }
}

/// All containers with their paths.
pub(super) fn containers<'a>(spec: &'a Value, path: &str) -> Vec<(&'a Value, String)> {
    let mut all = Vec::new();
    for list in ["initContainers", "containers"] {
        for (at, container) in spec[list].as_array().into_iter().flatten().enumerate() {
            all.push((container, format!("{path}.{list}[{at}]")));
        }
    }
    all
}

fn grace(seconds: &Value, path: &str, faults: &mut Faults<'_>) {
    if seconds.as_i64().is_some_and(|seconds| seconds > LONGEST_GRACE) {
        faults.add(
            path,
            format!("{seconds} seconds keep a node from being emptied"),
            format!("{LONGEST_GRACE} at most"),
        );
    }
}

fn container(container: &Value, path: &str, faults: &mut Faults<'_>) {
    let context = &container["securityContext"];
    let at = format!("{path}.securityContext");
    if context["privileged"] == true {
        faults.add(
            &format!("{at}.privileged"),
            "would be root on the node",
            "leave it out",
        );
    }
    if context["procMount"]
        .as_str()
        .is_some_and(|mount| mount != "Default")
    {
        faults.add(
            &format!("{at}.procMount"),
            "opens the node's kernel",
            "leave it out",
        );
    }
    windows(context, &at, faults);
    for (number, port) in container["ports"].as_array().into_iter().flatten().enumerate() {
        if port["hostPort"].as_i64().is_some_and(|port| port != 0) {
            faults.add(
                &format!("{path}.ports[{number}].hostPort"),
                "would take a port of the node",
                "use a Service",
            );
        }
    }
    for probe in ["livenessProbe", "startupProbe"] {
        let seconds = &container[probe]["terminationGracePeriodSeconds"];
        grace(
            seconds,
            &format!("{path}.{probe}.terminationGracePeriodSeconds"),
            faults,
        );
    }
}

/// What the Pod Security Standards call safe.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

fn sysctls(list: &Value, path: &str, faults: &mut Faults<'_>) {
    for (at, sysctl) in list.as_array().into_iter().flatten().enumerate() {
        let name = sysctl["name"].as_str().unwrap_or_default();
        if !SYSCTLS.contains(&name) {
            faults.add(
                &format!("{path}[{at}].name"),
                format!("{name} is the node's"),
                "leave it out",
            );
        }
    }
}

fn windows(context: &Value, path: &str, faults: &mut Faults<'_>) {
    if !context["windowsOptions"].is_null() {
        faults.add(
            &format!("{path}.windowsOptions"),
            "is not for Linux",
            "leave it out",
        );
    }
    for profile in ["seccompProfile", "appArmorProfile"] {
        if context[profile]["type"] == "Unconfined" {
            faults.add(
                &format!("{path}.{profile}.type"),
                "takes the kernel's walls away",
                "RuntimeDefault",
            );
        }
    }
}

fn volumes(volumes: &Value, path: &str, faults: &mut Faults<'_>) {
    for (at, volume) in volumes.as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}[{at}]");
        let sources = volume.as_object().into_iter().flatten().map(|(name, _)| name);
        for source in sources.filter(|name| *name != "name" && !VOLUMES.contains(&name.as_str())) {
            faults.add(
                &format!("{path}.{source}"),
                "is no volume of the tenant's own",
                "claim one with persistentVolumeClaim",
            );
        }
        for (source, entry) in volume["projected"]["sources"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let seconds = entry["serviceAccountToken"]["expirationSeconds"].as_i64();
            if seconds.is_some_and(|seconds| seconds > LONGEST_TOKEN) || !entry["podCertificate"].is_null() {
                faults.add(
                    &format!("{path}.projected.sources[{source}]"),
                    "is a credential that lives too long",
                    "a serviceAccountToken with expirationSeconds of 86400 at most",
                );
            }
        }
        if let Some(template) = volume["ephemeral"]["volumeClaimTemplate"].as_object() {
            super::object_rules::claim(
                template.get("spec").unwrap_or(&Value::Null),
                &format!("{path}.ephemeral.volumeClaimTemplate.spec"),
                faults,
            );
        }
    }
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn affinity(affinity: &Value, path: &str, faults: &mut Faults<'_>) {
    let node = &affinity["nodeAffinity"];
    let terms = node[REQUIRED]["nodeSelectorTerms"]
        .as_array()
        .into_iter()
        .flatten();
    let preferred = node[PREFERRED].as_array().into_iter().flatten();
    for term in terms.chain(preferred.map(|term| &term["preference"])) {
        if term["matchFields"]
            .as_array()
            .is_some_and(|fields| !fields.is_empty())
        {
            faults.add(
                &format!("{path}.nodeAffinity"),
                "names a node by matchFields",
                "select by zone, architecture or instance type",
            );
        }
        for expression in term["matchExpressions"].as_array().into_iter().flatten() {
            let key = expression["key"].as_str().unwrap_or_default();
            let linux =
                expression["operator"] == "In" && expression["values"] == serde_json::json!(["linux"]);
            if text::is_berths(key)
                || key == "kubernetes.io/hostname"
                || (key.ends_with("kubernetes.io/os") && !linux)
            {
                faults.add(
                    &format!("{path}.nodeAffinity"),
                    format!("names nodes by {key}"),
                    "select by zone, architecture or instance type",
                );
            }
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = &affinity[kind];
        let required = pods[REQUIRED].as_array().into_iter().flatten();
        let preferred = pods[PREFERRED].as_array().into_iter().flatten();
        for term in required.chain(preferred.map(|term| &term["podAffinityTerm"])) {
            let elsewhere = term["namespaces"]
                .as_array()
                .is_some_and(|names| !names.is_empty());
            if elsewhere || !term["namespaceSelector"].is_null() {
                faults.add(
                    &format!("{path}.{kind}"),
                    "looks into other namespaces",
                    "leave out namespaces and namespaceSelector",
                );
            }
        }
    }
}

/// What depends on the tenant.
pub(super) fn check_terms(pod: &Value, path: &str, terms: &Terms, faults: &mut Faults<'_>) {
    let (spec, at) = (&pod["spec"], format!("{path}.spec"));
    if let Some(class) = spec["priorityClassName"]
        .as_str()
        .filter(|class| !class.is_empty())
    {
        let granted: Vec<&str> = berth_model::tier::Priority::ALL
            .into_iter()
            .filter(|priority| *priority <= terms.highest)
            .map(berth_model::tier::Priority::class)
            .collect();
        if !granted.contains(&class) {
            faults.add(
                &format!("{at}.priorityClassName"),
                format!("{class:?} is not granted"),
                format!("one of {}, or leave it out", granted.join(", ")),
            );
        }
    }
    for (number, toleration) in spec["tolerations"].as_array().into_iter().flatten().enumerate() {
        let key = toleration["key"].as_str().unwrap_or_default();
        let free = key.starts_with(NODE_TROUBLES)
            || terms.own_nodes
            || terms.extended_resources.iter().any(|resource| resource == key);
        if !key.is_empty() && !free {
            faults.add(
                &format!("{at}.tolerations[{number}].key"),
                format!("{key} keeps nodes for others"),
                "leave it out",
            );
        }
    }
    let volumes = spec["volumes"].as_array().into_iter().flatten().enumerate();
    let mounted = volumes
        .filter(|(_, volume)| !volume["image"].is_null())
        .map(|(number, volume)| {
            (
                &volume["image"]["reference"],
                format!("{at}.volumes[{number}].image.reference"),
            )
        });
    let run = containers(spec, &at)
        .into_iter()
        .map(|(container, at)| (&container["image"], format!("{at}.image")));
    for (image, at) in run.chain(mounted) {
        let image = image.as_str().unwrap_or_default();
        if !terms.registries.is_empty() && !super::images::within(image, &terms.registries) {
            faults.add(
                &at,
                format!("{image:?} is from none of the tenant's registries"),
                format!("from {}", terms.registries.join(", ")),
            );
        }
    }
    for (container, at) in containers(spec, &at) {
        for list in ["requests", "limits"] {
            for (name, _) in container["resources"][list].as_object().into_iter().flatten() {
                let usual = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
                if !usual && !terms.extended_resources.contains(name) {
                    faults.add(
                        &format!("{at}.resources.{list}.{name}"),
                        "is not granted",
                        "choose a tier that has it, and an amount in spec.quota",
                    );
                }
            }
        }
    }
    if terms.pod_security == berth_model::tier::PodSecurity::Restricted {
        restricted(spec, &at, faults);
    }
}

/// The restricted Pod Security Standard (kubernetes.io/docs/concepts/security/pod-security-standards).
fn restricted(spec: &Value, path: &str, faults: &mut Faults<'_>) {
    let pod = &spec["securityContext"];
    for (container, at) in containers(spec, path) {
        let own = &container["securityContext"];
        let at = format!("{at}.securityContext");
        let either = |field: &str| {
            if own[field].is_null() {
                &pod[field]
            } else {
                &own[field]
            }
        };
        if own["allowPrivilegeEscalation"] != false {
            faults.add(&format!("{at}.allowPrivilegeEscalation"), "must be false", "");
        }
        let drops = own["capabilities"]["drop"].as_array();
        if !drops.is_some_and(|list| list.iter().any(|capability| capability == "ALL")) {
            faults.add(&format!("{at}.capabilities.drop"), "must hold ALL", "");
        }
        for added in own["capabilities"]["add"].as_array().into_iter().flatten() {
            if added != "NET_BIND_SERVICE" {
                faults.add(
                    &format!("{at}.capabilities.add"),
                    format!("may not hold {added}"),
                    "",
                );
            }
        }
        if either("runAsNonRoot") != true {
            faults.add(
                &format!("{at}.runAsNonRoot"),
                "must be true, here or for the pod",
                "",
            );
        }
        if either("runAsUser") == 0 {
            faults.add(&format!("{at}.runAsUser"), "may not be 0", "");
        }
        let seccomp = either("seccompProfile")["type"].as_str().unwrap_or_default();
        if !matches!(seccomp, "RuntimeDefault" | "Localhost") {
            faults.add(
                &format!("{at}.seccompProfile.type"),
                "must be RuntimeDefault, here or for the pod",
                "",
            );
        }
    }
}
