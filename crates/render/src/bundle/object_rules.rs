//! What objects other than pods may not say, as the cluster's policies have it.

use serde_json::Value;

use super::{manifest::Faults, terms::Terms};

/// Rules for every tenant.
pub(super) fn check(kind: &str, manifest: &Value, faults: &mut Faults<'_>) {
    let spec = &manifest["spec"];
    match kind {
        "Service" => service(spec, faults),
        "Ingress" => ingress(spec, faults),
        "PersistentVolumeClaim" => {
            claim(spec, ".spec", faults);
            let annotations = manifest["metadata"]["annotations"]
                .as_object()
                .into_iter()
                .flatten();
            let controllers = [
                "pv.kubernetes.io/",
                "volume.kubernetes.io/",
                "volume.beta.kubernetes.io/",
            ];
            for (key, _) in
                annotations.filter(|(key, _)| controllers.iter().any(|owner| key.starts_with(owner)))
            {
                faults.add(
                    &format!(".metadata.annotations.{key}"),
                    "is the controllers' own",
                    "name the class in storageClassName",
                );
            }
        }
        "StatefulSet" => {
            for (at, template) in spec["volumeClaimTemplates"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
            {
                claim(
                    &template["spec"],
                    &format!(".spec.volumeClaimTemplates[{at}].spec"),
                    faults,
                );
            }
        }
        "PodDisruptionBudget" => budget(spec, faults),
        _ => {}
    }
}

fn service(spec: &Value, faults: &mut Faults<'_>) {
    let kind = spec["type"].as_str().unwrap_or("ClusterIP");
    if !matches!(kind, "ClusterIP" | "LoadBalancer") {
        faults.add(
            ".spec.type",
            format!("{kind} is granted to nobody"),
            "ClusterIP, or LoadBalancer where the tier grants it",
        );
    }
    for (field, problem) in [
        ("externalIPs", "takes addresses of others"),
        ("externalName", "stands for a name outside"),
        ("loadBalancerIP", "chooses a load balancer's address"),
        ("healthCheckNodePort", "takes a port of every node"),
    ] {
        let value = &spec[field];
        let empty =
            value.is_null() || value == "" || value == 0 || value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            faults.add(&format!(".spec.{field}"), problem, "leave it out");
        }
    }
    for (at, port) in spec["ports"].as_array().into_iter().flatten().enumerate() {
        if port["nodePort"].as_i64().is_some_and(|port| port != 0) {
            faults.add(
                &format!(".spec.ports[{at}].nodePort"),
                "takes a port of every node",
                "leave it out",
            );
        }
    }
    if kind == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local" {
        faults.add(
            ".spec.externalTrafficPolicy",
            "Local takes a port of every node for health checks",
            "leave it out",
        );
    }
    if kind == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] == true {
        faults.add(
            ".spec.allocateLoadBalancerNodePorts",
            "asks for a port of every node, and node ports are not granted",
            "leave it out",
        );
    }
}

/// A load balancer takes a port of every node unless it says otherwise: it says so. Where the cluster can, a policy does the same
/// for what is not from a bundle.
pub(super) fn without_node_ports(object: &mut Value) {
    if object["kind"] == "Service" && object["spec"]["type"] == "LoadBalancer" {
        object["spec"]["allocateLoadBalancerNodePorts"] = false.into();
    }
}

fn ingress(spec: &Value, faults: &mut Faults<'_>) {
    if !spec["defaultBackend"].is_null() {
        faults.add(
            ".spec.defaultBackend",
            "would serve every host",
            "name hosts in rules",
        );
    }
    for (at, rule) in spec["rules"].as_array().into_iter().flatten().enumerate() {
        for (number, path) in rule["http"]["paths"].as_array().into_iter().flatten().enumerate() {
            let field = format!(".spec.rules[{at}].http.paths[{number}]");
            let text = path["path"].as_str().unwrap_or("/");
            if !text.starts_with('/') || !text.bytes().all(is_of_a_path) {
                faults.add(
                    &format!("{field}.path"),
                    format!("{text:?} could be taken for configuration"),
                    "letters, digits and the usual marks, without spaces, quotes, braces and semicolons",
                );
            }
            if path["backend"]["service"].is_null() {
                faults.add(&format!("{field}.backend"), "is no Service", "name a Service");
            }
        }
    }
    for (host, path) in hosts(spec) {
        if host.is_empty() || host.contains('*') {
            faults.add(&path, format!("{host:?} is no single host"), "name it in full");
        }
    }
}

/// As the cluster's policy has it: also what expressions are made of.
const fn is_of_a_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'/' | b'_'
                | b'.'
                | b'~'
                | b'%'
                | b'+'
                | b'='
                | b':'
                | b'@'
                | b','
                | b'('
                | b')'
                | b'*'
                | b'?'
                | b'|'
                | b'^'
                | b'&'
                | b'!'
                | b'$'
                | b'-'
        )
}

/// Every host with its path; an empty one where none is named.
fn hosts(spec: &Value) -> Vec<(&str, String)> {
    let mut all = Vec::new();
    for (at, rule) in spec["rules"].as_array().into_iter().flatten().enumerate() {
        all.push((
            rule["host"].as_str().unwrap_or_default(),
            format!(".spec.rules[{at}].host"),
        ));
    }
    for (at, tls) in spec["tls"].as_array().into_iter().flatten().enumerate() {
        let path = format!(".spec.tls[{at}].hosts");
        let named = tls["hosts"].as_array().filter(|hosts| !hosts.is_empty());
        match named {
            None => all.push(("", path)),
            Some(named) => all.extend(
                named
                    .iter()
                    .enumerate()
                    .map(|(host, name)| (name.as_str().unwrap_or_default(), format!("{path}[{host}]"))),
            ),
        }
    }
    all
}

/// Claims get new volumes: they neither name nor select one that exists, nor take data from another namespace.
pub(super) fn claim(spec: &Value, path: &str, faults: &mut Faults<'_>) {
    for field in ["volumeName", "selector"] {
        if !spec[field].is_null() && spec[field] != "" {
            faults.add(
                &format!("{path}.{field}"),
                "asks for a volume that exists",
                "leave it out and get a new one",
            );
        }
    }
    if spec["storageClassName"] == "" {
        faults.add(
            &format!("{path}.storageClassName"),
            "when empty asks for a volume that exists",
            "name a class or leave it out",
        );
    }
    if !spec["dataSourceRef"]["namespace"].is_null() {
        faults.add(
            &format!("{path}.dataSourceRef.namespace"),
            "is another namespace's data",
            "leave it out",
        );
    }
    for source in ["dataSource", "dataSourceRef"] {
        let kind = spec[source]["kind"].as_str().unwrap_or("PersistentVolumeClaim");
        if !matches!(kind, "PersistentVolumeClaim" | "VolumeSnapshot") {
            faults.add(
                &format!("{path}.{source}.kind"),
                format!("{kind:?} is no source of the tenant's own"),
                "PersistentVolumeClaim or VolumeSnapshot",
            );
        }
    }
}

/// What no eviction could satisfy keeps nodes from being emptied; the policy's bounds.
fn budget(spec: &Value, faults: &mut Faults<'_>) {
    let number = |value: &Value| -> Option<(u64, bool)> {
        match value {
            Value::Number(number) => Some((number.as_u64()?, false)),
            Value::String(text) => match text.strip_suffix('%') {
                Some(percent) => Some((percent.parse().ok()?, true)),
                None => Some((text.parse().ok()?, false)),
            },
            _ => None,
        }
    };
    if matches!(number(&spec["maxUnavailable"]), Some((0, _))) {
        faults.add(
            ".spec.maxUnavailable",
            "stops every eviction",
            "allow one pod at least",
        );
    }
    if let Some((stay, percent)) = number(&spec["minAvailable"])
        && stay > if percent { 50 } else { 1 }
    {
        faults.add(
            ".spec.minAvailable",
            "can stop every eviction",
            "at most 1 or 50%, or use maxUnavailable, or say it in the tenant's spec.workloads",
        );
    }
}

/// What depends on the tenant.
pub(super) fn check_terms(kind: &str, manifest: &Value, terms: &Terms, faults: &mut Faults<'_>) {
    let spec = &manifest["spec"];
    if !terms.kinds.is_empty() && !terms.kinds.contains(kind) {
        let kinds: Vec<&str> = terms.kinds.iter().map(String::as_str).collect();
        faults.add(
            ".kind",
            format!("{kind} is not among the tier's kinds"),
            format!("allowed are {}", kinds.join(", ")),
        );
    }
    if kind == "Service" && spec["type"] == "LoadBalancer" && !terms.load_balancers {
        faults.add(
            ".spec.type",
            "LoadBalancer is not granted",
            "choose a tier with load balancers, or ClusterIP",
        );
    }
    if kind == "Ingress" {
        for (host, path) in hosts(spec) {
            let inside = |domain: &String| {
                host == domain
                    || host
                        .strip_suffix(domain.as_str())
                        .is_some_and(|head| head.ends_with('.'))
            };
            if !host.is_empty() && !terms.domains.iter().any(inside) {
                faults.add(
                    &path,
                    format!("{host:?} is in no domain of the tenant"),
                    if terms.domains.is_empty() {
                        "set spec.domain".to_owned()
                    } else {
                        format!("in {}", terms.domains.join(", "))
                    },
                );
            }
        }
    }
    let class = match kind {
        "PersistentVolumeClaim" => vec![(&spec["storageClassName"], ".spec.storageClassName".to_owned())],
        "StatefulSet" => spec["volumeClaimTemplates"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(at, template)| {
                (
                    &template["spec"]["storageClassName"],
                    format!(".spec.volumeClaimTemplates[{at}].spec.storageClassName"),
                )
            })
            .collect(),
        _ => Vec::new(),
    };
    for (class, path) in class {
        if let Some(class) = class.as_str()
            && !terms.storage_classes.is_empty()
            && !terms.storage_classes.iter().any(|granted| granted == class)
        {
            faults.add(
                &path,
                format!("{class:?} is not granted"),
                format!("one of {}, or leave it out", terms.storage_classes.join(", ")),
            );
        }
    }
}

/// Annotations of Ingresses that say only how the tenant's own hosts are served. An ingress controller serves everybody, and
/// most of its annotations are pieces of its configuration.
const INGRESS_ANNOTATIONS: [&str; 20] = [
    "kubernetes.io/ingress.class",
    "cert-manager.io/cluster-issuer",
    "cert-manager.io/issuer",
    "alb.ingress.kubernetes.io/scheme",
    "alb.ingress.kubernetes.io/target-type",
    "alb.ingress.kubernetes.io/ssl-redirect",
    "alb.ingress.kubernetes.io/backend-protocol",
    "alb.ingress.kubernetes.io/healthcheck-path",
    "alb.ingress.kubernetes.io/healthcheck-port",
    "alb.ingress.kubernetes.io/healthcheck-protocol",
    "nginx.ingress.kubernetes.io/ssl-redirect",
    "nginx.ingress.kubernetes.io/force-ssl-redirect",
    "nginx.ingress.kubernetes.io/backend-protocol",
    "nginx.ingress.kubernetes.io/proxy-body-size",
    "nginx.ingress.kubernetes.io/proxy-connect-timeout",
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.ingress.kubernetes.io/proxy-send-timeout",
    "nginx.ingress.kubernetes.io/enable-cors",
    "nginx.ingress.kubernetes.io/limit-rps",
    "nginx.ingress.kubernetes.io/limit-connections",
];
const SERVICE_ANNOTATIONS: [&str; 9] = [
    "service.kubernetes.io/topology-mode",
    "service.beta.kubernetes.io/aws-load-balancer-type",
    "service.beta.kubernetes.io/aws-load-balancer-scheme",
    "service.beta.kubernetes.io/aws-load-balancer-internal",
    "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type",
    "service.beta.kubernetes.io/aws-load-balancer-backend-protocol",
    "service.beta.kubernetes.io/aws-load-balancer-healthcheck-path",
    "service.beta.kubernetes.io/aws-load-balancer-healthcheck-port",
    "service.beta.kubernetes.io/aws-load-balancer-healthcheck-protocol",
];
/// Domains of controllers that serve everybody.
const CONTROLLERS: [&str; 23] = [
    "kubernetes.io",
    "k8s.io",
    "k8s.aws",
    "amazonaws.com",
    "google.com",
    "gke.io",
    "azure.com",
    "metallb.io",
    "metallb.universe.tf",
    "cilium.io",
    "kube-vip.io",
    "istio.io",
    "traefik.io",
    "konghq.com",
    "projectcalico.org",
    "purelb.io",
    "oraclecloud.com",
    "openstack.org",
    "cert-manager.io",
    "linkerd.io",
    "haproxy.org",
    "haproxy-ingress.github.io",
    "ambassador",
];

/// Annotations by which a Service or an Ingress would reach into what is everybody's.
pub(super) fn annotations(kind: &str, manifest: &Value, faults: &mut Faults<'_>) {
    for (key, value) in manifest["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let domain = key.split_once('/').map_or("", |(domain, _)| domain);
        let of_controller = CONTROLLERS.iter().any(|owner| {
            domain == *owner || domain.strip_suffix(owner).is_some_and(|head| head.ends_with('.'))
        });
        let plain = domain == "app.kubernetes.io"
            || key == "kubectl.kubernetes.io/last-applied-configuration"
            || domain.is_empty();
        let granted = match kind {
            "Ingress" => {
                plain
                    || matches!(domain, "meta.helm.sh" | "helm.sh")
                    || (INGRESS_ANNOTATIONS.contains(&key.as_str()) && is_simple(value))
            }
            "Service" => plain || !of_controller || SERVICE_ANNOTATIONS.contains(&key.as_str()),
            _ => true,
        };
        if !granted {
            faults.add(
                &format!(".metadata.annotations.{key}"),
                format!("is not granted to a tenant's {kind}, or not with this value"),
                "leave it out; deploy/agent/README.md lists what is granted",
            );
        }
    }
}

/// Values without anything that a configuration file could take for its own.
fn is_simple(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'_' | b':' | b'-'))
    })
}
