//! An embedded API behind a layer of faults, in a runtime whose time passes when nobody has anything to do: minutes cost nothing.

#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use berth_apply::Options;
use berth_fake::embedded::{self, EmbeddedCluster};
use berth_model::Timestamp;
use berth_runtime::clock::{Clock, SystemClock};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::{BoxError, Service};

use crate::support::{Running, Tenant, Writes};

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is never answered.
    Hang,
    /// It is answered after that long.
    Delay(Duration),
    /// It is refused by something that knows nothing of Kubernetes: a status, `Retry-After` in seconds, and a line of text.
    Refuse(u16, Option<u32>),
    /// The connection breaks.
    Reset,
    /// The answer ends in the middle of a line.
    Cut,
}

/// Which fault a request meets: by its method and its path with query.
type Rule = Box<dyn Fn(&str, &str) -> Option<Fault> + Send + Sync>;

/// The layer. Copies are the same.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    rule: Arc<Mutex<Option<Rule>>>,
    seen: Arc<Mutex<Vec<(Duration, String)>>>,
    /// Changes when every open watch breaks off.
    broken: Arc<watch::Sender<u64>>,
}

impl Faults {
    pub(crate) fn set(&self, rule: impl Fn(&str, &str) -> Option<Fault> + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Some(Box::new(rule));
    }

    /// Ends every watch that is open.
    pub(crate) fn break_off(&self) {
        self.broken.send_modify(|times| *times += 1);
    }

    pub(crate) fn clear(&self) {
        *self.rule.lock().unwrap() = None;
    }

    /// The requests since the last call that contain `what`, each with when it was sent.
    pub(crate) fn take(&self, what: &str) -> Vec<(Duration, String)> {
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.retain(|(_, request)| request.contains(what));
        seen
    }
}

/// Time of day that passes as the runtime's time does.
#[derive(Debug)]
pub(crate) struct RunningTime(pub(crate) SystemClock);

#[async_trait]
impl Clock for RunningTime {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.monotonic() + Duration::from_secs(1_000_000)
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

/// The body of an answer.
type Answer = UnsyncBoxBody<Bytes, BoxError>;

fn whole(bytes: impl Into<Bytes>) -> Answer {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

struct Layer {
    inner: Client,
    faults: Faults,
    clock: Arc<dyn Clock>,
    writes: Writes,
}

impl Service<Request<Body>> for Layer {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        let line = format!("{method} {path}");
        if method != "GET" {
            self.writes.push(line.clone());
        }
        let seen = (self.clock.monotonic(), line);
        self.faults.seen.lock().unwrap().push(seen);
        let rule = self.faults.rule.lock().unwrap();
        let fault = rule.as_ref().and_then(|rule| rule(&method, &path));
        let (inner, mut broken) = (self.inner.clone(), self.faults.broken.subscribe());
        Box::pin(async move {
            match fault {
                None => {}
                Some(Fault::Hang) => std::future::pending().await,
                Some(Fault::Delay(long)) => tokio::time::sleep(long).await,
                Some(Fault::Reset) => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
                Some(Fault::Refuse(status, retry_after)) => {
                    let mut answer = Response::builder().status(status);
                    if let Some(seconds) = retry_after {
                        answer = answer.header("retry-after", seconds);
                    }
                    return Ok(answer.body(whole(&b"go away\n"[..]))?);
                }
                Some(Fault::Cut) => {
                    let response = inner.send(request).await?;
                    let (head, mut body) = response.into_parts();
                    // What comes first, and not all of it.
                    let first = match body.frame().await {
                        Some(frame) => frame?.into_data().unwrap_or_default(),
                        None => Default::default(),
                    };
                    let half = first.slice(..first.len() / 2);
                    return Ok(Response::from_parts(head, whole(half)));
                }
            }
            let (head, body) = inner.send(request).await?.into_parts();
            let until_broken = async move { drop(broken.changed().await) };
            let stream = body
                .into_data_stream()
                .map_ok(http_body::Frame::data)
                .take_until(Box::pin(until_broken));
            let body = http_body_util::BodyExt::map_err(StreamBody::new(stream), Into::into).boxed_unsync();
            Ok(Response::from_parts(head, body))
        })
    }
}

/// An embedded cluster that can be made bad.
pub(crate) struct Bad {
    pub(crate) api: EmbeddedCluster,
    pub(crate) faults: Faults,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Bad {
    pub(crate) async fn start() -> Self {
        let api = EmbeddedCluster::start(embedded::Options::default())
            .await
            .unwrap();
        let bad = Self {
            api,
            faults: Faults::default(),
            clock: Arc::new(RunningTime(SystemClock::new())),
        };
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "berth-system"}});
        bad.ask("POST", "/api/v1/namespaces", Some(&namespace))
            .await
            .unwrap();
        bad
    }

    /// An engine that reaches the cluster through the faults.
    pub(crate) async fn engine(&self) -> Running {
        let writes = Writes::default();
        let layer = Layer {
            inner: self.api.client(),
            faults: self.faults.clone(),
            clock: self.clock.clone(),
            writes: writes.clone(),
        };
        let options = Options {
            clock: self.clock.clone(),
            ..Options::new(Client::new(layer, "default"))
        };
        Running::of(options, writes).await
    }

    /// An engine that holds these, applied.
    pub(crate) async fn holding(&self, tenants: &[&Tenant]) -> Running {
        let engine = self.engine().await;
        for tenant in tenants {
            engine.assign(tenant).await;
            engine.applied(tenant).await;
        }
        engine
    }

    /// Asks the cluster past the faults.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, kube::Error> {
        let content = if method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content);
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        self.api.client().request(request.body(body).unwrap()).await
    }

    pub(crate) async fn there(&self, path: &str) -> bool {
        self.ask("GET", path, None).await.is_ok()
    }

    /// Waits until the object is there, or is not.
    pub(crate) async fn until_there(&self, path: &str, wanted: bool) {
        let looks = async {
            while self.there(path).await != wanted {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(3_600), looks)
            .await
            .unwrap_or_else(|_| panic!("{path} should be there: {wanted}"));
    }

    /// Everything but Leases and events: name and version, by path.
    pub(crate) async fn versions(&self, tenant: &Tenant) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (group, resource) in [
            ("api/v1", "resourcequotas"),
            ("api/v1", "limitranges"),
            ("api/v1", "serviceaccounts"),
            ("apis/networking.k8s.io/v1", "networkpolicies"),
            ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
        ] {
            let path = format!("/{group}/namespaces/t-{}/{resource}", tenant.name);
            let list = self.ask("GET", &path, None).await.unwrap();
            for item in list["items"].as_array().unwrap() {
                let metadata = &item["metadata"];
                all.insert(
                    format!("{resource}/{}", metadata["name"]),
                    metadata["uid"].to_string(),
                );
            }
        }
        all
    }
}

/// Lets time pass.
pub(crate) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
