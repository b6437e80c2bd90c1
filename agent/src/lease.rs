//! One acting agent per cluster: a Lease in the agent's namespace.
//!
//! Whether a holder is gone is judged by when this process saw the Lease change, never by comparing clocks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use berth_model::label;
use berth_runtime::clock::Clock;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

use crate::error::{Error, status_code};

/// Name of the Lease.
const NAME: &str = "berth-agent";
/// A Lease that did not change for this long is free.
const DURATION: Duration = Duration::from_secs(10);
/// How often the holder writes it.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// After that long without an answer to a write of the Lease its holder does not act any more: well before another may.
const ACTS_FOR: Duration = Duration::from_secs(8);
/// How often one who waits looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// What a look at the Lease says. Pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody's, ours already, or its holder is silent for too long.
    Take,
    /// Somebody else's.
    Wait,
}

/// When the Lease was last seen to change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sight {
    version: String,
    since: Duration,
}

fn judge(sight: &mut Option<Sight>, holder: &str, version: &str, us: &str, now: Duration) -> Verdict {
    let changed = sight.as_ref().is_none_or(|seen| seen.version != version);
    if changed {
        *sight = Some(Sight {
            version: version.to_owned(),
            since: now,
        });
    }
    let silent = sight
        .as_ref()
        .is_some_and(|seen| now.saturating_sub(seen.since) >= DURATION);
    if holder.is_empty() || holder == us || silent {
        Verdict::Take
    } else {
        Verdict::Wait
    }
}

/// The Lease, held or wanted by this process.
#[derive(Clone)]
pub(crate) struct ActingLease {
    api: Api<Lease>,
    object: String,
    us: String,
    clock: Arc<dyn Clock>,
    acting: Acting,
}

/// Until when this process may act: known without asking, so that it holds after a pause of the process too. Copies are the same.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    /// By the monotonic clock, in milliseconds.
    until: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

impl Acting {
    /// Whether the Lease was written so lately that nobody else can have taken it.
    pub(crate) fn may_act(&self) -> bool {
        self.clock.monotonic() < Duration::from_millis(self.until.load(Ordering::Acquire))
    }

    /// The Lease was written by a request sent at `sent`.
    fn written(&self, sent: Duration) {
        let until = sent.saturating_add(ACTS_FOR).as_millis();
        self.until
            .store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn end(&self) {
        self.until.store(0, Ordering::Release);
    }
}

impl ActingLease {
    pub(crate) fn new(client: Client, namespace: &str, us: String, clock: Arc<dyn Clock>) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            object: format!("Lease {namespace}/{NAME}"),
            us,
            acting: Acting {
                until: Arc::default(),
                clock: clock.clone(),
            },
            clock,
        }
    }

    /// Until when this process may act.
    pub(crate) fn acting(&self) -> Acting {
        self.acting.clone()
    }

    /// Waits until this process may act.
    pub(crate) async fn acquire(&self) -> Result<(), Error> {
        let mut sight = None;
        let mut told = false;
        loop {
            let found = self.within("read", self.api.get_opt(NAME)).await?;
            let taken = match &found {
                None => self.create().await?,
                Some(lease) => {
                    let holder = holder(lease);
                    let version = lease.metadata.resource_version.as_deref().unwrap_or_default();
                    match judge(&mut sight, holder, version, &self.us, self.clock.monotonic()) {
                        Verdict::Take => self.replace(lease, Some(self.us.clone())).await?,
                        Verdict::Wait => {
                            if !told {
                                tracing::info!(holder, "another agent acts for this cluster; waiting");
                                told = true;
                            }
                            false
                        }
                    }
                }
            };
            if taken {
                return Ok(());
            }
            self.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Keeps the Lease until it is lost: another holder has it, or it could not be written for so long that another may.
    pub(crate) async fn keep(&self) -> Error {
        let mut written = self.clock.monotonic();
        loop {
            self.clock.sleep(RENEW_EVERY).await;
            match self.renew().await {
                Ok(None) => written = self.clock.monotonic(),
                Ok(Some(other)) => {
                    self.acting.end();
                    return Error::LeaseLost(other);
                }
                Err(error) if self.clock.monotonic().saturating_sub(written) >= DURATION => {
                    // Whoever cannot reach the API server cannot act either: the Lease is looked at again when it is back.
                    tracing::warn!(error = error.message(), "the Lease cannot be renewed");
                }
                Err(error) => tracing::debug!(error = error.message(), "renew the Lease"),
            }
        }
    }

    /// Gives the Lease up, so that the next agent need not wait. Best effort.
    pub(crate) async fn release(&self) {
        self.acting.end();
        if let Ok(Some(lease)) = self.within("read", self.api.get_opt(NAME)).await
            && holder(&lease) == self.us
            && let Err(error) = self.replace(&lease, None).await
        {
            tracing::debug!(error = error.message(), "release the Lease");
        }
    }

    /// The other holder, when there is one.
    async fn renew(&self) -> Result<Option<String>, Error> {
        match self.within("read", self.api.get_opt(NAME)).await? {
            None => self.create().await.map(|_| None),
            Some(lease) if holder(&lease) == self.us || holder(&lease).is_empty() => {
                self.replace(&lease, Some(self.us.clone())).await.map(|_| None)
            }
            Some(lease) => Ok(Some(holder(&lease).to_owned())),
        }
    }

    async fn create(&self) -> Result<bool, Error> {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(NAME.into()),
                ..ObjectMeta::default()
            },
            spec: Some(self.spec(Some(self.us.clone()), 0)),
        };
        self.conditional("create", self.api.create(&parameters(), &lease))
            .await
    }

    async fn replace(&self, found: &Lease, holder: Option<String>) -> Result<bool, Error> {
        let before = found.spec.clone().unwrap_or_default();
        let changes = before.lease_transitions.unwrap_or(0);
        let changes = if before.holder_identity == holder {
            changes
        } else {
            changes.saturating_add(1)
        };
        // The metadata carries the version, so a faster one makes this fail.
        let lease = Lease {
            metadata: found.metadata.clone(),
            spec: Some(self.spec(holder, changes)),
        };
        self.conditional("write", self.api.replace(NAME, &parameters(), &lease))
            .await
    }

    fn spec(&self, holder: Option<String>, changes: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.unwrap_or_default()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            lease_transitions: Some(changes),
            renew_time: Some(MicroTime(self.clock.now())),
            ..LeaseSpec::default()
        }
    }

    /// Whether the write went through; `false` when somebody else was faster.
    async fn conditional(
        &self,
        operation: &'static str,
        write: impl Future<Output = Result<Lease, kube::Error>>,
    ) -> Result<bool, Error> {
        let sent = self.clock.monotonic();
        match self.within(operation, write).await {
            Ok(written) => {
                if holder(&written) == self.us {
                    self.acting.written(sent);
                }
                Ok(true)
            }
            Err(Error::Kubernetes { source, .. }) if status_code(&source) == Some(409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn within<T>(
        &self,
        operation: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, request).await;
        let late = || kube::Error::Service(format!("no answer within {REQUEST_TIMEOUT:?}").into());
        answer
            .unwrap_or_else(|_| Err(late()))
            .map_err(Error::kubernetes(operation, self.object.clone()))
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(label::MANAGER_AGENT.into()),
        ..PostParams::default()
    }
}

fn holder(lease: &Lease) -> &str {
    lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
