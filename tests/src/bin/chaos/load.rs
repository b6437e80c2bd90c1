//! A caller that makes tenants without end, remembers what was acknowledged, and looks in the end whether all of it is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use berth_model::label;
use berth_tests::api::{Api, is_ready, of_tier};
use berth_tests::kubernetes;
use berth_tests::waiting::{LONG, until};
use kube::Client;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// At most so many tenants are made in one load, however long it goes on: the cluster has room for twenty.
const MOST: usize = 14;
/// No answer for this long is none.
const PATIENCE: Duration = Duration::from_secs(3);

type Acknowledged = Arc<Mutex<BTreeMap<String, String>>>;

/// A load under way.
pub(crate) struct Load {
    apis: Vec<Api>,
    acknowledged: Acknowledged,
    stop: CancellationToken,
    caller: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Load {
    /// Begins to make tenants whose ids begin with `prefix`, at whichever of the hubs leads.
    pub(crate) fn start(apis: Vec<Api>, prefix: &str) -> Self {
        let acknowledged = Acknowledged::default();
        let stop = CancellationToken::new();
        let caller = tokio::spawn({
            let (apis, acknowledged, stop, prefix) = (
                apis.clone(),
                acknowledged.clone(),
                stop.clone(),
                prefix.to_owned(),
            );
            async move {
                for number in 0..MOST {
                    let id = format!("{prefix}-{number}");
                    let Some(made) = stop.run_until_cancelled(create(&apis, &id)).await else {
                        break;
                    };
                    let uid = made?;
                    acknowledged
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(id, uid);
                    // A caller, not a flood: the machine has other things to do.
                    tokio::time::sleep(Duration::from_millis(150)).await;
                }
                Ok(())
            }
        });
        Self {
            apis,
            acknowledged,
            stop,
            caller,
        }
    }

    /// Ends it and says how many tenants were acknowledged; each of them must be there, be ready with its namespace, and go without a
    /// trace when it is deleted.
    pub(crate) async fn verify(self, kube: &Client) -> anyhow::Result<usize> {
        self.stop.cancel();
        self.caller.await.context("the caller")??;
        let acknowledged = self
            .acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for (id, uid) in &acknowledged {
            let found = answered(&self.apis, |api| async move { api.tenant(id).await }).await?;
            let found = found.with_context(|| format!("tenant {id} was acknowledged and is lost"))?;
            ensure!(
                found.uid == *uid,
                "tenant {id} was acknowledged as {uid} and is {}",
                found.uid
            );
        }
        for (id, uid) in &acknowledged {
            until(LONG, &format!("{id} is ready"), || async {
                let tenant = answered(&self.apis, |api| async move { api.tenant(id).await }).await??;
                Ok(is_ready(&tenant).then_some(()))
            })
            .await?;
            let namespace = kubernetes::namespace(kube, &format!("t-{id}"))
                .await?
                .with_context(|| format!("{id} is ready and has no namespace"))?;
            let labels = namespace.metadata.labels.unwrap_or_default();
            ensure!(
                labels.get(label::TENANT_UID) == Some(uid),
                "the namespace of {id} is of another tenant: {labels:?}"
            );
        }
        for id in acknowledged.keys() {
            match answered(&self.apis, |api| async move { api.delete(id).await }).await? {
                Err(status) if status.code() == Code::NotFound => {}
                answer => answer.with_context(|| format!("delete {id}"))?,
            }
        }
        for id in acknowledged.keys() {
            until(LONG, &format!("{id} goes"), || async {
                let found = answered(&self.apis, |api| async move { api.tenant(id).await }).await?;
                Ok(found.is_err().then_some(()))
            })
            .await?;
            kubernetes::namespace_gone(kube, &format!("t-{id}")).await?;
        }
        Ok(acknowledged.len())
    }
}

/// Asks one hub after another until one answers for the leader.
pub(crate) async fn answered<T, F>(
    apis: &[Api],
    mut call: impl FnMut(Api) -> F,
) -> anyhow::Result<Result<T, Status>>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut turn = 0;
    until(LONG, "a hub answers", || {
        turn += 1;
        let asked = tokio::time::timeout(PATIENCE, call(apis[turn % apis.len()].clone()));
        async move {
            match asked.await {
                Err(_) => Ok(None),
                Ok(Err(status))
                    if matches!(
                        status.code(),
                        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal
                    ) =>
                {
                    Err(status.into())
                }
                Ok(answer) => Ok(Some(answer)),
            }
        }
    })
    .await
}

/// Makes a tenant and returns its uid.
pub(crate) async fn create(apis: &[Api], id: &str) -> anyhow::Result<String> {
    match answered(apis, |api| async move { api.create(id, of_tier("free")).await }).await? {
        // The answer to an earlier try was lost: it is acknowledged by being read.
        Err(status) if status.code() == Code::AlreadyExists => {
            Ok(answered(apis, |api| async move { api.tenant(id).await })
                .await??
                .uid)
        }
        answer => Ok(answer.with_context(|| format!("create {id}"))?.uid),
    }
}
