//! The API itself: a request in, an answer out. The rooms: `request` reads what is asked, `read` and `watches` answer from the
//! store, `write`, `patch` and `delete` change it, `discovery`, `openapi`, `table` and `reviews` are what clients expect around it.

mod admission;
mod answer;
mod checks;
mod delete;
mod discovery;
mod openapi;
mod patch;
mod read;
pub(crate) mod request;
pub(crate) mod requests;
mod reviews;
pub(crate) mod selector;
mod subresources;
mod table;
mod tokens;
pub(crate) mod usage;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub(crate) use answer::{Answer, Body};
pub(crate) use delete::{Deletion, delete};
pub(crate) use read::metadata_only as partial_metadata;
pub(crate) use table::event as table_event;
pub(crate) use write::{Caller, Door, create, update};

use super::failure::Failure;
use super::kinds;
use super::store::{Name, Store};
use super::time;
use super::{Authenticator, Options, User};
use request::{Call, Target, Verb};
use requests::Counters;
use tokens::Tokens;

/// The API of one cluster.
pub(crate) struct Api {
    store: Mutex<Store>,
    pub(crate) requests: Counters,
    pub(crate) version: String,
    pub(crate) ca_pem: String,
    pub(crate) authenticator: Option<Authenticator>,
    pub(crate) closed: CancellationToken,
    tokens: Tokens,
    workloads: bool,
}

impl Api {
    pub(crate) fn new(store: Store, options: &Options, ca_pem: &str) -> Arc<Self> {
        Arc::new(Self {
            store: Mutex::new(store),
            requests: Counters::default(),
            version: options.version.clone(),
            ca_pem: ca_pem.to_owned(),
            authenticator: options.authenticator.clone(),
            closed: CancellationToken::new(),
            tokens: Tokens::default(),
            workloads: options.workloads,
        })
    }

    /// The store, for one whole read or write.
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose bearer token this is, besides the cluster's own.
    pub(crate) fn who(&self, token: &str) -> Option<User> {
        let issued = self.tokens.who(&self.store(), token, time::now());
        issued.or_else(|| self.authenticator.as_ref().and_then(|who| who(token)))
    }

    /// Ends every watch and refuses all later requests.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Makes what every cluster has from its first moment.
    pub(crate) fn bootstrap(&self) {
        let mut store = self.store();
        let caller = Caller::server("kube-apiserver");
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            ensure(
                &mut store,
                kinds::namespace(),
                json!({"metadata": {"name": name}}),
                &caller,
            );
        }
        let kubernetes = json!({
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "targetPort": 6443}]},
        });
        ensure(&mut store, kinds::service(), kubernetes, &caller);
        if self.workloads && store.list(kinds::node(), "", None).next().is_none() {
            let labels = json!({"kubernetes.io/hostname": "embedded-0", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
            let node = json!({"metadata": {"name": "embedded-0", "labels": labels}});
            ensure(&mut store, kinds::node(), node, &caller);
        }
    }

    /// Answers one request of an authenticated user.
    pub(crate) fn answer(
        self: &Arc<Self>,
        user: &User,
        parts: &http::request::Parts,
        body: &Bytes,
    ) -> Answer {
        if self.closed.is_cancelled() {
            return Answer::failure(&Failure::unavailable());
        }
        let result = request::read(parts, body).and_then(|target| match target {
            Target::Plain(path) => self.plain(&path),
            Target::Review(review, call) => {
                self.requests.count(Verb::Other);
                reviews::answer(self, user, review, &call)
            }
            Target::Objects(call) => {
                self.requests.count(call.verb);
                self.objects(&call)
            }
        });
        result.unwrap_or_else(|failure| Answer::failure(&failure))
    }

    fn plain(&self, path: &[&str]) -> Result<Answer, Failure> {
        self.requests.count(Verb::Other);
        match path {
            ["healthz" | "livez" | "readyz", ..] => Ok(Answer::text("ok")),
            ["version"] => Ok(Answer::ok(&discovery::version(&self.version))),
            ["openapi", "v3", rest @ ..] => openapi::answer(rest),
            path => discovery::answer(path),
        }
    }

    fn objects(self: &Arc<Self>, call: &Call<'_>) -> Result<Answer, Failure> {
        if !call.subresource.is_empty() && call.subresource != "status" {
            return subresources::answer(self, call);
        }
        match call.verb {
            Verb::Get => read::get(self, call),
            Verb::List => read::list(self, call),
            Verb::Watch => read::watch(self, call),
            Verb::Create => write::on_post(self, call),
            Verb::Update => write::on_put(self, call),
            Verb::Patch | Verb::Apply => patch::on_patch(self, call),
            Verb::Delete => delete::on_delete(self, call),
            Verb::DeleteCollection => delete::on_delete_collection(self, call),
            Verb::Other => Err(Failure::method_not_allowed()),
        }
    }
}

fn ensure(store: &mut Store, kind: &'static kinds::Kind, object: serde_json::Value, caller: &Caller<'_>) {
    let name = Name::of(&object);
    if store.get(kind, &name).is_none()
        && let Err(failure) = create(store, kind, &name.namespace, object, caller)
    {
        tracing::error!(
            kind = kind.kind,
            name = name.name,
            error = failure.message,
            "first object not made"
        );
    }
}
