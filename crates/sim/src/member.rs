//! A member cluster: an embedded Kubernetes API that an agent reaches only while both are well, with every change on record.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use berth_fake::embedded::{self, EmbeddedCluster};
use berth_model::{ClusterName, label};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody, combinators::UnsyncBoxBody};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};
use tower::Service;

use crate::{
    chance::Dice,
    gate::Gate,
    history::{Event, History},
    store::Road,
};

/// Where Leases are.
const LEASE: &str = "/namespaces/berth-system/leases";

/// What is wrong with an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ill {
    /// It answers nothing.
    Hangs,
    /// It says 503.
    Refuses,
    /// It says 429.
    Throttles,
}

/// A cluster. Copies are the same cluster.
#[derive(Clone)]
pub struct Member {
    inner: Arc<Inner>,
}

struct Inner {
    name: ClusterName,
    api: EmbeddedCluster,
    history: History,
    dice: Dice,
    state: Mutex<State>,
    turned: Notify,
}

#[derive(Default)]
struct State {
    ill: Option<Ill>,
    answered: Option<Instant>,
    /// Whose the Lease of its agents is.
    holder: String,
}

type Answer = Response<UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>>;

impl Member {
    /// A new cluster with nodes for everybody.
    ///
    /// # Errors
    /// The embedded API does not start or does not take its nodes.
    pub async fn new(name: ClusterName, history: History, dice: Dice) -> anyhow::Result<Self> {
        let options = embedded::Options {
            name: name.to_string(),
            workloads: false,
            ..embedded::Options::default()
        };
        let member = Self {
            inner: Arc::new(Inner {
                name,
                api: EmbeddedCluster::start(options).await?,
                history,
                dice,
                state: Mutex::default(),
                turned: Notify::new(),
            }),
        };
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": label::AGENT_NAMESPACE}});
        member.post("/api/v1/namespaces", &namespace).await?;
        for node in 0..3 {
            member.node(&format!("node-{node}"), None).await?;
        }
        Ok(member)
    }

    /// Its name in the fleet.
    #[must_use]
    pub fn name(&self) -> &ClusterName {
        &self.inner.name
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes its API server ill or well.
    pub fn set_ill(&self, ill: Option<Ill>) {
        self.state().ill = ill;
        self.inner.turned.notify_waiters();
    }

    /// When its API server last answered its agent.
    #[must_use]
    pub fn answered(&self) -> Option<Instant> {
        self.state().answered
    }

    /// The client of one agent process.
    #[must_use]
    pub fn client(&self, agent: &str, gate: &Gate, road: &Road) -> kube::Client {
        kube::Client::new(
            Reached {
                member: self.clone(),
                gate: gate.clone(),
                road: road.clone(),
                agent: agent.to_owned(),
            },
            "default",
        )
    }

    /// Makes a node, of a pool or for everybody.
    ///
    /// # Errors
    /// The API does not take it.
    pub async fn node(&self, name: &str, pool: Option<&str>) -> anyhow::Result<()> {
        let mut labels = BTreeMap::from([
            ("topology.kubernetes.io/region", "eu-central-1"),
            ("eks.amazonaws.com/nodegroup", "ng"),
        ]);
        let mut taints = Vec::new();
        if let Some(pool) = pool {
            labels.insert(label::POOL, pool);
            taints.push(json!({"key": label::POOL, "value": pool, "effect": "NoSchedule"}));
        }
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"providerID": format!("aws:///eu-central-1a/{name}"), "taints": taints},
        });
        self.post("/api/v1/nodes", &node).await?;
        let status = json!({"status": {
            "allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        let path = format!("/api/v1/nodes/{name}/status");
        let (said, body) = self.ask("PATCH", &path, status.to_string().into()).await?;
        anyhow::ensure!(
            said < 300,
            "{path} says {said}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }

    /// Takes the nodes of a pool away.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn remove_pool(&self, pool: &str) -> anyhow::Result<()> {
        for node in self.list("/api/v1/nodes").await? {
            if node["metadata"]["labels"][label::POOL] == pool {
                let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                self.ask("DELETE", &format!("/api/v1/nodes/{name}"), Bytes::new())
                    .await?;
            }
        }
        Ok(())
    }

    async fn post(&self, path: &str, object: &Value) -> anyhow::Result<()> {
        let (status, body) = self.ask("POST", path, object.to_string().into()).await?;
        anyhow::ensure!(
            status < 300 || status == 409,
            "{path} says {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }

    /// The objects under `path`, as nobody but the judge sees them.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let (_, body) = self.ask("GET", path, Bytes::new()).await?;
        let listed: Value = serde_json::from_slice(&body)?;
        Ok(listed["items"].as_array().cloned().unwrap_or_default())
    }

    /// What tells it from every other Kubernetes cluster.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn uid(&self) -> anyhow::Result<String> {
        let (_, body) = self
            .ask("GET", "/api/v1/namespaces/kube-system", Bytes::new())
            .await?;
        let system: Value = serde_json::from_slice(&body)?;
        Ok(system["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
    }

    /// Tenants' namespaces: their names with the tenant's uid.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn tenants(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let namespaces = self.list("/api/v1/namespaces").await?;
        Ok(namespaces
            .iter()
            .filter_map(|namespace| {
                let name = namespace["metadata"]["name"].as_str()?;
                let uid = namespace["metadata"]["labels"][label::TENANT_UID].as_str()?;
                name.starts_with(label::NAMESPACE_PREFIX)
                    .then(|| (name.to_owned(), uid.to_owned()))
            })
            .collect())
    }

    /// Deletes something as a user would, behind the agent's back.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn vandalise(&self, path: &str) -> anyhow::Result<u16> {
        Ok(self.ask("DELETE", path, Bytes::new()).await?.0)
    }

    async fn ask(&self, verb: &str, path: &str, body: Bytes) -> anyhow::Result<(u16, Bytes)> {
        let request = Request::builder()
            .method(verb)
            .uri(path)
            .header(
                "content-type",
                if verb == "PATCH" {
                    "application/merge-patch+json"
                } else {
                    "application/json"
                },
            )
            .body(Full::new(body))?;
        let answer = self.inner.api.service().call(request).await?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    /// Waits while the API server answers nothing; says what it answers instead of doing as asked.
    async fn well(&self) -> Option<u16> {
        loop {
            let turned = self.inner.turned.notified();
            let mut turned = std::pin::pin!(turned);
            turned.as_mut().enable();
            let ill = self.state().ill;
            match ill {
                None => return None,
                Some(Ill::Refuses) => return Some(503),
                Some(Ill::Throttles) => return Some(429),
                Some(Ill::Hangs) => turned.await,
            }
        }
    }

    /// Returns when the API server falls ill: its watches end then.
    async fn fallen_ill(self) {
        loop {
            let turned = self.inner.turned.notified();
            let mut turned = std::pin::pin!(turned);
            turned.as_mut().enable();
            if self.state().ill.is_some() {
                return;
            }
            turned.await;
        }
    }

    /// The Lease of its agents was written.
    fn lease(&self, body: &[u8]) {
        let lease: Value = serde_json::from_slice(body).unwrap_or_default();
        let holder = lease["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut state = self.state();
        if state.holder != holder {
            state.holder.clone_from(&holder);
            drop(state);
            self.inner.history.note(Event::Held {
                cluster: self.inner.name.clone(),
                holder,
            });
        }
    }

    /// The tenant's uid on the object at `path`.
    async fn uid_at(&self, path: &str) -> String {
        let Ok((_, body)) = self.ask("GET", path, Bytes::new()).await else {
            return String::new();
        };
        uid_of(&body)
    }
}

fn uid_of(body: &[u8]) -> String {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    object["metadata"]["labels"][label::TENANT_UID]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The API server as one agent process reaches it.
#[derive(Clone)]
struct Reached {
    member: Member,
    gate: Gate,
    /// The way there.
    road: Road,
    agent: String,
}

impl Reached {
    async fn answer(self, request: Request<kube::client::Body>) -> Answer {
        let dice = self.member.inner.dice.clone();
        self.gate.pass().await;
        self.road.clear().await;
        tokio::time::sleep(dice.millis(0, 4)).await;
        if let Some(status) = self.member.well().await {
            self.gate.pass().await;
            if status == 429 {
                // A server that says no is there.
                self.member.state().answered = Some(Instant::now());
            }
            return refusal(status);
        }
        // What a process had sent when it was killed may still arrive.
        if self.gate.dead() && dice.percent(50) {
            std::future::pending::<()>().await;
        }
        let (parts, body) = request.into_parts();
        let verb = parts.method.as_str().to_owned();
        let path = parts.uri.path().to_owned();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return refusal(400),
        };
        let uid = match verb.as_str() {
            "GET" => String::new(),
            "DELETE" => self.member.uid_at(&path).await,
            _ => uid_of(&body),
        };
        let Ok(answer) = self
            .member
            .inner
            .api
            .service()
            .call(Request::from_parts(parts, Full::new(body.clone())))
            .await;
        if path.contains(LEASE) {
            if verb != "GET" && answer.status().is_success() {
                self.member.lease(&body);
            }
        } else if verb != "GET" {
            self.member.inner.history.note(Event::Kube {
                cluster: self.member.inner.name.clone(),
                agent: self.agent.clone(),
                verb,
                path,
                status: answer.status().as_u16(),
                uid,
                changed: answer.status().is_success(),
            });
        }
        tokio::time::sleep(dice.millis(0, 4)).await;
        self.road.clear().await;
        // An answer that is on its way when the server falls ill is lost with it.
        if self.member.well().await.is_some() {
            self.gate.pass().await;
            return refusal(503);
        }
        self.gate.pass().await;
        self.member.state().answered = Some(Instant::now());
        let (parts, body) = answer.into_parts();
        let heard = self.member.clone();
        let frames = BodyStream::new(body)
            .map(move |frame| {
                heard.state().answered = Some(Instant::now());
                frame.map_err(|never| -> Box<dyn std::error::Error + Send + Sync> { match never {} })
            })
            .take_until(Box::pin(self.member.fallen_ill()))
            .take_until(Box::pin(self.road.cut()));
        Response::from_parts(parts, StreamBody::new(frames).boxed_unsync())
    }
}

fn refusal(status: u16) -> Answer {
    let reason = match status {
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "BadRequest",
    };
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": status,
        "message": "the server is not well",
    });
    let frame = futures::stream::once(async move { Ok(Frame::data(Bytes::from(body.to_string()))) });
    let mut answer = Response::new(StreamBody::new(frame).boxed_unsync());
    if let Ok(status) = http::StatusCode::from_u16(status) {
        *answer.status_mut() = status;
    }
    answer
}

impl Service<Request<kube::client::Body>> for Reached {
    type Response = Answer;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let reached = self.clone();
        Box::pin(async move { Ok(reached.answer(request).await) })
    }
}

/// How long an API server may be ill: under the engine's patience with itself, well over its requests' deadlines.
pub const LONGEST_ILLNESS: Duration = Duration::from_secs(90);
