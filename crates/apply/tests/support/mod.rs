//! A real control plane for all tests of a binary, tenants as they are rendered, and a client that counts what it writes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: what fails here fails the test"
)]
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use berth_apply::{Engine, Options};
use berth_fake::{
    Access,
    control_plane::{Binaries, ControlPlane},
};
use berth_model::{
    Assignment, ClusterName, Digest, Generation, Object, TenantId, TenantReport, Term, Uid,
    assignment::{AppliedAs, ApplyPhase},
    report::ApplyState,
};
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::util::MapRequestLayer;

/// Long enough for a busy machine; nothing is judged by it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Lives on a thread of its own, because tests have a runtime each and end theirs.
static ACCESS: LazyLock<Access> = LazyLock::new(|| {
    let (told, access) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let plane = ControlPlane::start(&Binaries::find().unwrap(), Default::default())
                .await
                .unwrap();
            prepare(&plane.client()).await;
            told.send(plane.access()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    access.recv().unwrap()
});

/// What every cluster has that the agent's manifest was applied to, and one node.
async fn prepare(client: &Client) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "berth-tenant-admin" },
        "rules": [
            { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"] },
            { "apiGroups": [""], "resources": ["configmaps", "services", "pods"], "verbs": ["*"] },
        ],
    });
    create(client, "/apis/rbac.authorization.k8s.io/v1/clusterroles", &role).await;
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": "node-1", "labels": { "topology.kubernetes.io/region": "eu-west-1" } },
        "status": { "allocatable": { "cpu": "8", "memory": "32Gi", "pods": "110" }, "capacity": { "cpu": "8", "memory": "32Gi", "pods": "110" } },
    });
    create(client, "/api/v1/nodes", &node).await;
}

/// What an engine wrote: method and path of every request that was not a GET.
#[derive(Clone, Default)]
pub(crate) struct Writes(Arc<Mutex<Vec<String>>>);

impl Writes {
    pub(crate) fn push(&self, write: String) {
        self.0.lock().unwrap().push(write);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A cluster as one test sees it: an agent's namespace of its own.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) agent_namespace: String,
}

impl Cluster {
    pub(crate) async fn of(test: &str) -> Self {
        let client = counting_client().await.0;
        let agent_namespace = format!("agent-{test}");
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": agent_namespace } });
        create(&client, "/api/v1/namespaces", &namespace).await;
        Self {
            client,
            agent_namespace,
        }
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_with(|_| {}).await
    }

    pub(crate) async fn start_with(&self, change: impl FnOnce(&mut Options)) -> Running {
        let (client, writes) = counting_client().await;
        let mut options = Options::in_namespace(client, &self.agent_namespace);
        change(&mut options);
        Running::of(options, writes).await
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        match self.client.request(request).await {
            Ok(object) => Some(object),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("get {path}: {error}"),
        }
    }

    pub(crate) async fn delete(&self, path: &str) {
        let request = http::Request::delete(path).body(Vec::new()).unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    pub(crate) async fn merge(&self, path: &str, manager: &str, patch: &Value) {
        let request = http::Request::patch(format!("{path}?fieldManager={manager}"))
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string().into_bytes())
            .unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    pub(crate) async fn create(&self, collection: &str, object: &Value) {
        create(&self.client, collection, object).await;
    }

    /// Looks again and again until the object at `path` is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
        let looks = async {
            loop {
                let object = self.get(path).await;
                if wanted(object.as_ref()) {
                    return object;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looks)
            .await
            .unwrap_or_else(|_| panic!("{path} never came to be as wanted"))
    }
}

/// An engine at work.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) writes: Writes,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), berth_apply::ledger::LedgerError>>,
}

impl Running {
    /// Starts an engine.
    pub(crate) async fn of(options: Options, writes: Writes) -> Self {
        let (engine, task) = Engine::new(options);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(task.run(cancel.clone()));
        assert!(engine.ready().await);
        Self {
            engine,
            writes,
            cancel,
            task,
        }
    }

    /// Ends it in order, wherever it is.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap();
    }

    pub(crate) async fn assign(&self, tenant: &Tenant) {
        self.engine
            .assign(tenant.assignment(), tenant.objects.clone())
            .await
            .unwrap();
    }

    /// Waits for a report of this tenant that is as wanted.
    pub(crate) async fn report(
        &self,
        tenant: &Tenant,
        wanted: impl Fn(&TenantReport) -> bool,
    ) -> TenantReport {
        let id = tenant.id();
        let mut reports = self.engine.reports();
        let mut last = None;
        let waits = async {
            loop {
                for report in reports.changed().await.unwrap() {
                    if report.tenant == id && wanted(&report) {
                        return report;
                    }
                    if report.tenant == id {
                        last = Some(report);
                    }
                }
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, waits).await;
        outcome.unwrap_or_else(|_| panic!("the last report of {id} is {last:?}"))
    }

    pub(crate) async fn applied(&self, tenant: &Tenant) -> TenantReport {
        let generation = Generation(tenant.generation);
        self.report(tenant, |report| {
            report.apply == ApplyState::Applied && report.generation == generation
        })
        .await
    }

    /// The reason of a failure.
    pub(crate) async fn failed(&self, tenant: &Tenant, wanted: &str) -> String {
        let report = self
            .report(
                tenant,
                |report| matches!(&report.apply, ApplyState::Failed { reason, .. } if reason == wanted),
            )
            .await;
        let ApplyState::Failed { message, .. } = report.apply else {
            unreachable!()
        };
        message
    }
}

async fn counting_client() -> (Client, Writes) {
    let kubeconfig = Kubeconfig::from_yaml(&ACCESS.kubeconfig("test")).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.default_retry = false;
    let writes = Writes::default();
    let count = writes.clone();
    let counting = MapRequestLayer::new(move |request: http::Request<kube::client::Body>| {
        if request.method() != http::Method::GET {
            count
                .0
                .lock()
                .unwrap()
                .push(format!("{} {}", request.method(), request.uri()));
        }
        request
    });
    (
        ClientBuilder::try_from(config)
            .unwrap()
            .with_layer(&counting)
            .build(),
        writes,
    )
}

async fn create(client: &Client, collection: &str, object: &Value) {
    let request = http::Request::post(collection).header("content-type", "application/json");
    client
        .request::<Value>(request.body(object.to_string().into_bytes()).unwrap())
        .await
        .unwrap();
}

/// A tenant as the hub assigns it.
#[derive(Clone)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) generation: u64,
    pub(crate) objects: Vec<Object>,
}

impl Tenant {
    /// Fourteen objects: namespace, quota, limits, five network policies, three accounts, three bindings.
    pub(crate) fn new(name: &str) -> Self {
        let mut tenant = Self {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            generation: 1,
            objects: Vec::new(),
        };
        tenant.objects = tenant.walls();
        tenant
    }

    pub(crate) fn id(&self) -> TenantId {
        TenantId::new(self.name.clone()).unwrap()
    }

    pub(crate) fn namespace(&self) -> String {
        format!("/api/v1/namespaces/t-{}", self.name)
    }

    /// The path of an object of a group in its namespace.
    pub(crate) fn path(&self, group_version: &str, resource: &str, name: &str) -> String {
        let root = if group_version.contains('/') {
            "apis"
        } else {
            "api"
        };
        format!(
            "/{root}/{group_version}/namespaces/t-{}/{resource}/{name}",
            self.name
        )
    }

    pub(crate) fn assignment(&self) -> Assignment {
        Assignment {
            tenant: self.id(),
            uid: Uid::new(self.uid.clone()).unwrap(),
            cluster: ClusterName::new("test").unwrap(),
            generation: Generation(self.generation),
            digest: Digest::new(format!("{:064x}", self.generation)).unwrap(),
            term: Term(1),
        }
    }

    /// The next generation, changed.
    pub(crate) fn next(&self, change: impl FnOnce(&mut Vec<Object>)) -> Self {
        let mut next = self.clone();
        next.generation += 1;
        change(&mut next.objects);
        next
    }

    pub(crate) fn with(mut self, phase: ApplyPhase, applied_as: AppliedAs, manifest: Value) -> Self {
        let object = self.object(phase, applied_as, manifest);
        self.objects.push(object);
        self
    }

    /// A deployment of one pod, as a bundle brings it.
    pub(crate) fn with_deployment(self, image: &str) -> Self {
        let manifest = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "main", "image": image }] },
                },
            },
        });
        self.with(ApplyPhase::Workload, AppliedAs::Deployer, manifest)
    }

    fn object(&self, phase: ApplyPhase, applied_as: AppliedAs, mut manifest: Value) -> Object {
        let labels = BTreeMap::from([
            ("berth.dev/tenant", self.name.as_str()),
            ("berth.dev/tenant-uid", self.uid.as_str()),
            ("app.kubernetes.io/managed-by", "berth"),
        ]);
        manifest["metadata"]["labels"] = json!(labels);
        if phase != ApplyPhase::Namespace {
            manifest["metadata"]["namespace"] = format!("t-{}", self.name).into();
        }
        Object {
            phase,
            applied_as,
            manifest,
        }
    }

    fn walls(&self) -> Vec<Object> {
        let agent = |phase, manifest| self.object(phase, AppliedAs::Agent, manifest);
        let core = |kind: &str, name: &str, spec: Value| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name }, "spec": spec });
        let mut objects = vec![
            agent(
                ApplyPhase::Namespace,
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": format!("t-{}", self.name) } }),
            ),
            agent(
                ApplyPhase::Walls,
                core(
                    "ResourceQuota",
                    "berth",
                    json!({ "hard": { "requests.cpu": "4000m", "requests.memory": "8Gi", "pods": "20" } }),
                ),
            ),
            agent(
                ApplyPhase::Walls,
                core(
                    "LimitRange",
                    "berth",
                    json!({ "limits": [{ "type": "Container", "default": { "cpu": "1", "memory": "1Gi" }, "defaultRequest": { "cpu": "100m", "memory": "128Mi" } }] }),
                ),
            ),
        ];
        for (name, egress) in [
            ("default-deny", json!([])),
            ("allow-same-tenant", json!([{}])),
            (
                "allow-dns",
                json!([{ "ports": [{ "port": 53, "protocol": "UDP" }] }]),
            ),
            (
                "allow-api",
                json!([{ "ports": [{ "port": 443, "protocol": "TCP" }] }]),
            ),
            (
                "allow-db",
                json!([{ "ports": [{ "port": 5432, "protocol": "TCP" }] }]),
            ),
        ] {
            let manifest = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": name }, "spec": { "podSelector": {}, "policyTypes": ["Egress"], "egress": egress } });
            objects.push(agent(ApplyPhase::Walls, manifest));
        }
        for name in ["default", "workload", "berth-deployer"] {
            objects.push(agent(ApplyPhase::Access, json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name }, "automountServiceAccountToken": false })));
        }
        for (name, subject) in [
            (
                "admins",
                json!({ "kind": "Group", "name": "admins", "apiGroup": "rbac.authorization.k8s.io" }),
            ),
            (
                "users",
                json!({ "kind": "Group", "name": "users", "apiGroup": "rbac.authorization.k8s.io" }),
            ),
            (
                "berth-deployer",
                json!({ "kind": "ServiceAccount", "name": "berth-deployer", "namespace": format!("t-{}", self.name) }),
            ),
        ] {
            let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "berth-tenant-admin" });
            let manifest = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": name }, "subjects": [subject], "roleRef": role });
            objects.push(agent(ApplyPhase::Access, manifest));
        }
        objects
    }
}
