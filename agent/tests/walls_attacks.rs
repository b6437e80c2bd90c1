//! Everything in `tests/hostile` is refused by the wall that it names, whoever asks and by whatever route, on a real API server
//! without Pod Security; and a tenant's rights alone stop what they should.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod support;

use std::collections::BTreeSet;

use berth_fake::control_plane::{Binaries, ControlPlane, Options};
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use support::walls::{
    ADMIN, Attack, CONTROLLER, ROOT, compliant_pod, corpus, cron_job, deployment, dry_run, made, merge,
    tenants,
};
use support::{Answer, ask_as, collection, install, manifest_options};

/// What got through, to be told all at once.
struct Play {
    client: Client,
    holes: Vec<String>,
}

impl Play {
    /// Refused by the wall, and by no other on its behalf.
    fn by_the_wall(&mut self, attack: &Attack, route: &str, (status, answer): &Answer) {
        let message = answer["message"].as_str().unwrap_or_default();
        let mut walls = [Some(&attack.wall), attack.also.as_ref()].into_iter().flatten();
        if *status != 403 || !walls.any(|wall| message.contains(&format!("'{wall}'"))) {
            let Attack {
                clause, name, wall, ..
            } = attack;
            self.holes.push(format!(
                "{clause} {name} ({route}): wanted {wall}, got {status} {message}"
            ));
        }
    }

    fn refused(&mut self, attack: &Attack, route: &str, (status, answer): &Answer) {
        if *status != 403 {
            self.holes.push(format!(
                "{} {} ({route}): {status} {answer}",
                attack.clause, attack.name
            ));
        }
    }

    async fn server_side_apply(&self, object: &Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!(
            "{}/{name}?fieldManager=m&force=true&dryRun=All",
            collection(object)
        );
        ask_as(&self.client, Some(ROOT), Method::PATCH, &path, Some(object)).await
    }

    async fn pod(&mut self, attack: &Attack) {
        let mut pod = compliant_pod(&attack.namespace, "x");
        if let Some(spec) = &attack.pod {
            merge(&mut pod["spec"], spec);
        }
        if let Some(metadata) = &attack.metadata {
            merge(&mut pod["metadata"], metadata);
        }
        let by_admin = dry_run(&self.client, Some(ADMIN), &pod).await;
        self.by_the_wall(attack, "pod by its admin", &by_admin);
        let by_root = dry_run(&self.client, Some(ROOT), &pod).await;
        self.by_the_wall(attack, "pod with all rights", &by_root);
        let applied = self.server_side_apply(&pod).await;
        self.by_the_wall(attack, "pod by apply", &applied);
        if attack.pod_only {
            return;
        }
        let by_controller = dry_run(&self.client, Some(CONTROLLER), &pod).await;
        self.by_the_wall(attack, "pod by a controller", &by_controller);
        if attack.wall != "berth-labels" && attack.wall != "berth-lifetime" {
            // Labels and finalizers are no way onto a node or out of a pod; an emergency may need others.
            let by_cluster = dry_run(&self.client, None, &pod).await;
            self.by_the_wall(attack, "pod by system:masters", &by_cluster);
        }
        // Pod Security tells workloads nothing either: what comes out of them is stopped above.
        if attack.wall != "berth-pod-security" {
            for workload in [deployment(&pod, "x"), cron_job(&pod, "x")] {
                let answer = dry_run(&self.client, Some(ADMIN), &workload).await;
                self.by_the_wall(attack, workload["kind"].as_str().unwrap(), &answer);
            }
        }
    }

    async fn object(&mut self, attack: &Attack, object: &Value) {
        let namespace = format!("t-{}", attack.namespace);
        let text = object.to_string().replace("NAMESPACE", &namespace);
        let mut object: Value = serde_json::from_str(&text).unwrap();
        object["metadata"]["namespace"] = json!(namespace);
        let by_admin = dry_run(&self.client, Some(ADMIN), &object).await;
        self.refused(attack, "by its admin", &by_admin);
        let by_root = dry_run(&self.client, Some(ROOT), &object).await;
        self.by_the_wall(attack, "with all rights", &by_root);
        if object["kind"] != "Binding" {
            let applied = self.server_side_apply(&object).await;
            self.by_the_wall(attack, "by apply", &applied);
        }
    }

    async fn call(&mut self, attack: &Attack, method: Method, target: &str, body: Option<&Value>) {
        let mut path = path_of(&format!("t-{}", attack.namespace), target);
        if let Some(subresource) = &attack.with {
            path = format!("{path}/{subresource}");
        }
        path.push_str(if path.contains('?') {
            "&dryRun=All"
        } else {
            "?dryRun=All"
        });
        let by_admin = ask_as(&self.client, Some(ADMIN), method.clone(), &path, body).await;
        self.refused(attack, "by its admin", &by_admin);
        let by_root = ask_as(&self.client, Some(ROOT), method, &path, body).await;
        self.by_the_wall(attack, "with all rights", &by_root);
    }

    async fn play(&mut self, attack: &Attack) {
        match attack {
            Attack {
                object: Some(object), ..
            } => self.object(attack, object).await,
            Attack {
                change: Some(target),
                patch: Some(patch),
                ..
            } => {
                self.call(attack, Method::PATCH, target, Some(patch)).await;
            }
            Attack {
                change: Some(target),
                post: Some(body),
                ..
            } => {
                self.call(attack, Method::POST, target, Some(body)).await;
            }
            Attack {
                remove: Some(target), ..
            } => self.call(attack, Method::DELETE, target, None).await,
            _ => self.pod(attack).await,
        }
    }
}

/// The path of `resource/name`, of a whole collection, or of the namespace itself.
fn path_of(namespace: &str, target: &str) -> String {
    let root = match target.split('/').next().unwrap() {
        "" => return format!("/api/v1/namespaces/{namespace}"),
        "ingresses" | "networkpolicies" => "/apis/networking.k8s.io/v1",
        "rolebindings" => "/apis/rbac.authorization.k8s.io/v1",
        "poddisruptionbudgets" => "/apis/policy/v1",
        _ => "/api/v1",
    };
    format!("{root}/namespaces/{namespace}/{target}")
}

/// What is there to be changed.
async fn fixtures(client: &Client) {
    for namespace in ["plain", "pooled", "granting"] {
        let place = format!("t-{namespace}");
        let waiting = compliant_pod(namespace, "waiting");
        let mut gated = compliant_pod(namespace, "gated");
        gated["spec"]["schedulingGates"] = json!([{"name": "example.com/wait"}]);
        let mut objects = vec![
            waiting,
            gated,
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}),
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec":
                {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec":
                {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}}),
        ];
        if namespace == "granting" {
            objects.push(
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "balanced"}, "spec":
                {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{"port": 80}]}}),
            );
        }
        if namespace != "pooled" {
            objects.push(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"}, "spec":
                {"tls": [{"hosts": ["www.a.example"], "secretName": "t"}], "rules": [{"host": "www.a.example", "http": {"paths": [
                    {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}));
        }
        for mut object in objects {
            object["metadata"]["namespace"] = json!(place);
            let path = collection(&object);
            made(
                &format!("{namespace} {}", object["kind"]),
                &ask_as(client, Some(ADMIN), Method::POST, &path, Some(&object)).await,
            );
        }
    }
}

#[tokio::test]
async fn what_is_hostile_is_refused_by_the_wall_it_names_whoever_asks_and_by_whatever_route() {
    let options = Options {
        scheduler: false,
        kwok: false,
        apiserver_args: vec![
            "--disable-admission-plugins=PodSecurity".into(),
            // Fields that are only read with these: without them the attack would not even be understood.
            "--feature-gates=CrossNamespaceVolumeDataSource=true,PodCertificateRequest=true".into(),
            "--runtime-config=certificates.k8s.io/v1beta1=true".into(),
        ],
        ..Options::default()
    };
    let plane = ControlPlane::start(&Binaries::find().unwrap(), options)
        .await
        .unwrap();
    install(&plane, &manifest_options()).await;
    tenants(&plane).await;
    let client = plane.client();
    fixtures(&client).await;

    let attacks = corpus();
    assert!(attacks.len() >= 120, "{}", attacks.len());
    let names: BTreeSet<_> = attacks.iter().map(|a| (&a.name, &a.wall, &a.namespace)).collect();
    assert_eq!(names.len(), attacks.len(), "every attack is told apart");
    let mut play = Play {
        client,
        holes: Vec::new(),
    };
    for attack in &attacks {
        play.play(attack).await;
    }
    assert!(
        play.holes.is_empty(),
        "{} holes:\n{}",
        play.holes.len(),
        play.holes.join("\n")
    );
    every_wall_is_attacked(&attacks);
    plane.stop().await;
}

/// A policy without an attack would be one that nobody knows to work.
fn every_wall_is_attacked(attacks: &[Attack]) {
    let attacked: BTreeSet<&str> = attacks.iter().map(|attack| attack.wall.as_str()).collect();
    let walls: BTreeSet<String> = berth_agent::manifest::render(&manifest_options())
        .iter()
        .filter(|object| object["kind"] == "ValidatingAdmissionPolicy")
        .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
        // What bounds the agent is tried in rights.rs.
        .filter(|name| name != "berth-agent-bounds")
        .collect();
    assert_eq!(
        walls.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        attacked
    );
}
