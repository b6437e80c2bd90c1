//! A caller that makes and deletes tenants without end, remembers what was acknowledged, and looks in the end whether all of it is so.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use berth_model::label;
use berth_proto::v1::Tenant;
use berth_tests::api::{Api, is_ready, of_tier};
use berth_tests::kubernetes;
use berth_tests::waiting::{LONG, until};
use kube::Client;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// So many tenants are alive at once; the cluster has room for twenty. The oldest makes room for the next.
const ALIVE: usize = 8;
/// No answer for this long is none.
const PATIENCE: Duration = Duration::from_secs(3);

/// What hubs have acknowledged, in order.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Tenants with their uids.
    alive: VecDeque<(String, String)>,
    /// Deleted ones.
    deleted: Vec<String>,
}

/// A load under way.
pub(crate) struct Load {
    apis: Vec<Api>,
    stop: CancellationToken,
    caller: tokio::task::JoinHandle<anyhow::Result<Acknowledged>>,
}

impl Load {
    /// Begins to make and delete tenants whose ids begin with `prefix`, at whichever of the hubs leads.
    pub(crate) fn start(apis: Vec<Api>, prefix: &str) -> Self {
        let stop = CancellationToken::new();
        let caller = tokio::spawn(call(apis.clone(), prefix.to_owned(), stop.clone()));
        Self { apis, stop, caller }
    }

    /// Ends it and says how many changes were acknowledged; every tenant must be there, be ready with its namespace, and go without
    /// a trace when it is deleted.
    pub(crate) async fn verify(self, kube: &Client) -> anyhow::Result<usize> {
        self.stop.cancel();
        let Acknowledged { alive, deleted } = self.caller.await.context("the caller")??;
        let apis = &self.apis;
        for (id, uid) in &alive {
            let found = tenant(apis, id).await?;
            let found = found.with_context(|| format!("tenant {id} was acknowledged and is lost"))?;
            ensure!(
                found.uid == *uid,
                "tenant {id} was acknowledged as {uid} and is {}",
                found.uid
            );
        }
        for (id, uid) in &alive {
            until(LONG, &format!("{id} is ready"), || async {
                Ok(is_ready(&tenant(apis, id).await??).then_some(()))
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
        for (id, _) in &alive {
            delete(apis, id).await?;
        }
        let changes = alive.len() + deleted.len() * 2;
        for id in alive.iter().map(|(id, _)| id).chain(&deleted) {
            until(LONG, &format!("{id} goes"), || async {
                match tenant(apis, id).await? {
                    Err(status) if status.code() == Code::NotFound => Ok(Some(())),
                    found => bail!("{found:?}"),
                }
            })
            .await?;
            kubernetes::namespace_gone(kube, &format!("t-{id}")).await?;
        }
        Ok(changes)
    }
}

async fn call(apis: Vec<Api>, prefix: String, stop: CancellationToken) -> anyhow::Result<Acknowledged> {
    let mut known = Acknowledged::default();
    for number in 0.. {
        // A call under way is finished, so that its answer is known.
        if stop.is_cancelled() {
            break;
        }
        let id = format!("{prefix}-{number}");
        let uid = create(&apis, &id).await?;
        known.alive.push_back((id, uid));
        if known.alive.len() > ALIVE
            && let Some((oldest, _)) = known.alive.pop_front()
        {
            delete(&apis, &oldest).await?;
            known.deleted.push(oldest);
        }
        // A caller, not a flood: the machine has other things to do.
        let pause = tokio::time::sleep(Duration::from_millis(250));
        stop.run_until_cancelled(pause).await;
    }
    Ok(known)
}

async fn tenant(apis: &[Api], id: &str) -> anyhow::Result<Result<Tenant, Status>> {
    answered(apis, |api| async move { api.tenant(id).await }).await
}

async fn delete(apis: &[Api], id: &str) -> anyhow::Result<()> {
    match answered(apis, |api| async move { api.delete(id).await }).await? {
        // The answer to an earlier try was lost.
        Err(status) if status.code() == Code::NotFound => Ok(()),
        answer => answer.with_context(|| format!("delete {id}")),
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
