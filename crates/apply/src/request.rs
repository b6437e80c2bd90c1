//! How the API server is asked: one deadline per request, a bounded number of attempts, a bounded number under way at once,
//! and as whom. Knows objects, but not why they are asked for.

mod error;
mod meta;

use std::{sync::Arc, time::Duration};

use berth_model::{
    assignment::AppliedAs,
    label::{DEPLOYER_ACCOUNT, MANAGER_AGENT, MANAGER_TENANT},
};
use berth_runtime::{
    clock::Clock,
    retry::{Backoff, Policy},
};
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::{
    object::{Kind, ObjectRef},
    pulse::Pulse,
};

pub use error::RequestError;
pub(crate) use meta::{Meta, Metadata, or_empty};

const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const JSON: &str = "application/json";
/// Attempts of a request that is not answered in time: waiting is expensive, and people want to know.
const SILENT_ATTEMPTS: u32 = 2;
/// Requests under way at once of those that were not answered in time before.
const SLOW_AT_ONCE: usize = 2;

/// Which queue a request stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// New work and retries.
    Work,
    /// Mending drift: never behind new work.
    Mend,
    /// What was not answered in time before: a few at once, so that nobody else's requests wait behind it.
    Slow,
    /// Looks that must not wait for either.
    Look,
}

/// Asks the API server.
#[derive(Clone)]
pub(crate) struct Caller {
    client: Client,
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
    work: Arc<Semaphore>,
    mend: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    timeout: Duration,
    attempts: u32,
}

/// A request that can be sent more than once.
struct Call<'a> {
    method: Method,
    path: String,
    accept: &'static str,
    content_type: &'static str,
    body: &'a [u8],
    user: Option<String>,
}

impl Caller {
    pub(crate) fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        pulse: Arc<Pulse>,
        options: &crate::Options,
    ) -> Self {
        Self {
            client,
            clock,
            pulse,
            work: Arc::new(Semaphore::new(options.concurrency.max(1))),
            mend: Arc::new(Semaphore::new(options.concurrency.max(1))),
            slow: Arc::new(Semaphore::new(SLOW_AT_ONCE)),
            timeout: options.request_timeout,
            attempts: options.request_attempts.max(1),
        }
    }

    /// Server-side apply; what comes back is the object's metadata as it is now.
    pub(crate) async fn apply(
        &self,
        lane: Lane,
        object: &ObjectRef,
        applied_as: AppliedAs,
        body: &[u8],
    ) -> Result<Metadata, RequestError> {
        let manager = match applied_as {
            AppliedAs::Agent => MANAGER_AGENT,
            AppliedAs::Deployer => MANAGER_TENANT,
        };
        let call = Call {
            method: Method::PATCH,
            path: format!("{}?fieldManager={manager}&force=true", object.path()),
            accept: METADATA_ONLY,
            content_type: "application/apply-patch+yaml",
            body,
            user: user(object, applied_as),
        };
        Ok(self.ask::<Meta>(lane, &call).await?.metadata)
    }

    /// Creates; never touches what is there.
    pub(crate) async fn create(
        &self,
        lane: Lane,
        object: &ObjectRef,
        body: &[u8],
    ) -> Result<Metadata, RequestError> {
        let call = Call {
            method: Method::POST,
            path: format!(
                "{}?fieldManager={MANAGER_AGENT}",
                object.kind().collection(object.namespace())
            ),
            accept: METADATA_ONLY,
            content_type: JSON,
            body,
            user: None,
        };
        Ok(self.ask::<Meta>(lane, &call).await?.metadata)
    }

    /// Deletes exactly the object with this uid. `false` when that one is not there any more.
    pub(crate) async fn delete(
        &self,
        lane: Lane,
        object: &ObjectRef,
        applied_as: AppliedAs,
        uid: &str,
    ) -> Result<bool, RequestError> {
        let body = json!({ "preconditions": { "uid": uid }, "propagationPolicy": "Background" }).to_string();
        let call = Call {
            method: Method::DELETE,
            path: object.path(),
            accept: METADATA_ONLY,
            content_type: JSON,
            body: body.as_bytes(),
            user: user(object, applied_as),
        };
        match self.ask::<serde::de::IgnoredAny>(lane, &call).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            // A conflict may also be one of resource versions while it is being changed: look which it is.
            Err(error) if error.is_conflict() => match self.metadata(lane, object).await? {
                Some(there) if there.uid == uid => Err(error),
                _ => Ok(false),
            },
            Err(error) => Err(error),
        }
    }

    /// A TokenRequest for a service account. What comes back holds the token: it is wiped when dropped, and in no error.
    pub(crate) async fn request_token(
        &self,
        account: &ObjectRef,
        body: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, RequestError> {
        let call = Call {
            method: Method::POST,
            path: format!("{}/token", account.path()),
            accept: JSON,
            content_type: JSON,
            body,
            user: None,
        };
        self.patiently(Lane::Look, &call).await.map(Zeroizing::new)
    }

    /// A TokenReview; what is sent holds a token, and is in no error.
    pub(crate) async fn review_token(&self, body: &[u8]) -> Result<Vec<u8>, RequestError> {
        let call = Call {
            method: Method::POST,
            path: "/apis/authentication.k8s.io/v1/tokenreviews".to_owned(),
            accept: JSON,
            content_type: JSON,
            body,
            user: None,
        };
        self.patiently(Lane::Look, &call).await
    }

    /// The metadata of an object, if it is there.
    pub(crate) async fn metadata(
        &self,
        lane: Lane,
        object: &ObjectRef,
    ) -> Result<Option<Metadata>, RequestError> {
        match self
            .ask::<Meta>(lane, &Call::get(object.path(), METADATA_ONLY))
            .await
        {
            Ok(found) => Ok(Some(found.metadata)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Anything by its path.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: String) -> Result<T, RequestError> {
        self.ask(Lane::Look, &Call::get(path, JSON)).await
    }

    /// Posts a question, or an object for a dry run, as the agent or as the deployer of `namespace`. Stands in no queue: whoever
    /// asks bounds how much is under way.
    pub(crate) async fn ask_for<T: DeserializeOwned>(
        &self,
        path: String,
        body: &serde_json::Value,
        asked_as: AppliedAs,
        namespace: &str,
    ) -> Result<T, RequestError> {
        let body = body.to_string();
        let call = Call {
            method: Method::POST,
            path,
            accept: JSON,
            content_type: JSON,
            body: body.as_bytes(),
            user: (asked_as == AppliedAs::Deployer).then(|| deployer(namespace)),
        };
        self.ask(Lane::Look, &call).await
    }

    /// A page of a collection, metadata only where that is all that matters.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        path: String,
        metadata: bool,
    ) -> Result<T, RequestError> {
        let accept = if metadata {
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        } else {
            JSON
        };
        self.ask(Lane::Look, &Call::get(path, accept)).await
    }

    /// One attempt to hear anything from the server. Says whether it answered.
    pub(crate) async fn probe(&self) -> bool {
        let call = Call::get("/readyz".to_owned(), "*/*");
        let answer = self.once(&call).await;
        answer.map_or_else(|error| error.answered(), |_| true)
    }

    /// Opens a watch: within the deadline it begins or is refused; how long it goes on is its reader's to bound.
    pub(crate) async fn watch(&self, path: String, metadata: bool) -> Result<Body, RequestError> {
        let call = Call::get(path, if metadata { METADATA_ONLY } else { JSON });
        let request = call.request()?;
        let opening = async {
            let response = self
                .client
                .send(request)
                .await
                .map_err(|error| RequestError::Unreachable(error.to_string()))?;
            let (head, body) = response.into_parts();
            if head.status.is_success() {
                return Ok(body);
            }
            let body = body.collect().await;
            let body = body.map_err(|error| RequestError::Unreachable(error.to_string()))?;
            Err(RequestError::refused(&head, &body.to_bytes()))
        };
        tokio::select! {
            biased;
            opened = opening => opened,
            () = self.clock.sleep(self.timeout) => Err(RequestError::TimedOut(self.timeout)),
        }
    }

    /// The server was heard on a watch.
    pub(crate) fn heard(&self) {
        self.pulse.beat(self.clock.monotonic(), self.clock.now());
    }

    async fn ask<T: DeserializeOwned>(&self, lane: Lane, call: &Call<'_>) -> Result<T, RequestError> {
        let body = self.patiently(lane, call).await?;
        serde_json::from_slice(&body).map_err(|e| RequestError::Malformed(e.to_string()))
    }

    /// The body of the answer, after as many attempts as it takes and may take.
    async fn patiently(&self, mut lane: Lane, call: &Call<'_>) -> Result<Vec<u8>, RequestError> {
        let mut backoff = Backoff::new(&Policy::new(Duration::from_millis(100), Duration::from_secs(5)));
        loop {
            let error = match self.in_lane(lane, call).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            let silent = matches!(error, RequestError::TimedOut(_));
            let attempts = if silent {
                self.attempts.min(SILENT_ATTEMPTS)
            } else {
                self.attempts
            };
            if !error.retryable() || backoff.waits() + 1 >= attempts {
                return Err(error);
            }
            if silent && lane != Lane::Look {
                lane = Lane::Slow;
            }
            let delay = backoff.next_delay_after(error.retry_after().unwrap_or_default());
            self.clock.sleep(delay.min(Duration::from_secs(15))).await;
        }
    }

    async fn in_lane(&self, lane: Lane, call: &Call<'_>) -> Result<Vec<u8>, RequestError> {
        let lane = match lane {
            Lane::Work => Some(&self.work),
            Lane::Mend => Some(&self.mend),
            Lane::Slow => Some(&self.slow),
            Lane::Look => None,
        };
        let _permit = match lane {
            Some(lane) => lane.acquire().await.ok(),
            None => None,
        };
        self.once(call).await
    }

    async fn once(&self, call: &Call<'_>) -> Result<Vec<u8>, RequestError> {
        let request = call.request()?;
        let answer = async {
            let response = self
                .client
                .send(request)
                .await
                .map_err(|error| RequestError::Unreachable(error.to_string()))?;
            let (head, body) = response.into_parts();
            let body = body.collect().await;
            let body = body
                .map_err(|error| RequestError::Unreachable(error.to_string()))?
                .to_bytes();
            // A server without its store says 5xx: that is no evidence of anything.
            if !head.status.is_server_error() {
                self.heard();
            }
            if head.status.is_success() {
                return Ok(body.to_vec());
            }
            Err(RequestError::refused(&head, &body))
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.clock.sleep(self.timeout) => Err(RequestError::TimedOut(self.timeout)),
        }
    }
}

impl Call<'_> {
    const fn get(path: String, accept: &'static str) -> Self {
        Self {
            method: Method::GET,
            path,
            accept,
            content_type: JSON,
            body: &[],
            user: None,
        }
    }

    fn request(&self) -> Result<Request<Body>, RequestError> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(header::ACCEPT, self.accept)
            .header(header::CONTENT_TYPE, self.content_type);
        if let Some(user) = &self.user {
            request = request.header("Impersonate-User", user);
        }
        request
            .body(Body::from(self.body.to_vec()))
            .map_err(|error| RequestError::Malformed(error.to_string()))
    }
}

/// Bundles are applied with the tenant's rights, by the account in the object's own namespace.
fn user(object: &ObjectRef, applied_as: AppliedAs) -> Option<String> {
    match (applied_as, object.kind()) {
        (AppliedAs::Agent, _) | (AppliedAs::Deployer, Kind::Namespace) => None,
        (AppliedAs::Deployer, _) => Some(deployer(object.home())),
    }
}

fn deployer(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:{DEPLOYER_ACCOUNT}")
}
