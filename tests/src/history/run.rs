//! Clients that work on tenants and watch them, while somebody else kills hubs.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use berth_proto::v1;
use berth_wire::context::Context;
use futures::future::try_join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;
use tonic::{Code, ConnectError, Status};

use super::follow::Watcher;
use super::record::{Answer, History, Op, Recorder, Seen};
use crate::api::Api;
use crate::waiting::{LONG, until};

/// No call takes longer; one that does has lost its answer.
const CALL: Duration = Duration::from_secs(10);

/// Every other client waits no longer than this: it is at another hub while the first ones still wait for one that is paused.
const IMPATIENT: Duration = Duration::from_secs(1);

/// Where a hub is and who asks.
#[derive(Clone, Debug)]
pub struct ApiAddress(Context);

impl ApiAddress {
    /// As the context file says that the hub wrote.
    ///
    /// # Errors
    /// The file cannot be read or is no context.
    pub fn open(context: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(context).with_context(|| format!("read {}", context.display()))?;
        Ok(Self(Context::parse(&text).context("read the admin's context")?))
    }

    /// Another hub of the same fleet, at `https://HOST:PORT`.
    #[must_use]
    pub fn at(&self, server: &str) -> Self {
        let server = server.to_owned();
        Self(Context {
            server,
            ..self.0.clone()
        })
    }
}

/// What clients do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Clients that call.
    pub clients: usize,
    /// Clients that watch.
    pub watchers: usize,
    /// Tenants that are worked on at a time.
    pub tenants: usize,
    /// After so many calls on a tenant another one takes its place, so that each history can be checked.
    pub calls_per_tenant: u64,
    /// Of every choice.
    pub seed: u64,
    /// When to stop.
    pub stop: CancellationToken,
}

/// Lets clients work until they are told to stop, waits until everything is quiet, and tells what they saw.
///
/// Clients begin with the first hub and go to the next one when a hub does not answer or does not lead.
///
/// # Errors
/// A hub gives an answer that is none, or none leads for a long time.
pub async fn run(hubs: &[ApiAddress], options: &Options) -> anyhow::Result<History> {
    let recorder = Arc::new(Recorder::default());
    let apis = |_| {
        hubs.iter()
            .map(|hub| Api::of(hub.0.clone()))
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let quiet = CancellationToken::new();
    let mut watchers = Vec::new();
    for number in 0..options.watchers {
        let watcher = Watcher {
            number: recorder.watcher(),
            hubs: Hubs::new(apis(number)?),
            recorder: recorder.clone(),
            random: StdRng::seed_from_u64(options.seed ^ (1 << 32) ^ number as u64),
            quiet: quiet.clone(),
        };
        watchers.push(tokio::spawn(watcher.run()));
    }
    let mut clients = Vec::new();
    for number in 0..options.clients {
        let client = Client {
            number,
            hubs: Hubs::new(apis(number)?),
            recorder: recorder.clone(),
            random: StdRng::seed_from_u64(options.seed ^ number as u64),
            etags: BTreeMap::new(),
            patience: if number % 2 == 0 { CALL } else { IMPATIENT },
            options: options.clone(),
        };
        clients.push(tokio::spawn(client.run()));
    }
    for client in try_join_all(clients).await? {
        client?;
    }
    let last = settled(&mut Hubs::new(apis(0)?), &recorder).await?;
    // A watcher that does not come to this is a finding, not an error of the run.
    let all = until(LONG, "watchers have seen everything", || async {
        let history = recorder.history();
        let seen = history.watches.iter().enumerate().all(|(number, events)| {
            !super::watch::faults(number, events, &last)
                .iter()
                .any(|fault| matches!(fault, super::Fault::Missed { .. }))
        });
        Ok(seen.then_some(()))
    });
    let _ = all.await;
    quiet.cancel();
    for watcher in try_join_all(watchers).await? {
        watcher?;
    }
    let mut history = recorder.history();
    history.last = last;
    Ok(history)
}

/// Everything there is when no deletion is going on any more.
async fn settled(hubs: &mut Hubs, recorder: &Recorder) -> anyhow::Result<BTreeMap<String, Seen>> {
    let hubs = tokio::sync::Mutex::new(hubs);
    until(LONG, "no tenant is being deleted", || async {
        let mut hubs = hubs.lock().await;
        let listed = match hubs.api().list().await {
            Ok(listed) => listed,
            Err(status) => {
                hubs.next();
                return Err(status.into());
            }
        };
        let seen: BTreeMap<String, Seen> = listed
            .iter()
            .map(|tenant| (id_of(tenant), recorder.seen(tenant)))
            .collect();
        Ok((!seen.values().any(|seen| seen.deleting)).then_some(seen))
    })
    .await
}

pub(super) fn id_of(tenant: &v1::Tenant) -> String {
    tenant.name.trim_start_matches("tenants/").to_owned()
}

/// The hubs, one of them in use.
#[derive(Debug)]
pub(super) struct Hubs {
    all: Vec<Api>,
    at: usize,
}

impl Hubs {
    fn new(all: Vec<Api>) -> Self {
        Self { all, at: 0 }
    }

    pub(super) fn api(&self) -> &Api {
        &self.all[self.at()]
    }

    pub(super) fn next(&mut self) {
        self.at += 1;
    }

    /// Which of them is in use.
    pub(super) fn at(&self) -> usize {
        self.at % self.all.len()
    }

    /// Looks for a hub that answers, waiting so long for each.
    async fn reach(&mut self, patience: Duration) -> anyhow::Result<()> {
        let hubs = tokio::sync::Mutex::new(self);
        until(LONG, "a hub answers", || async {
            let mut hubs = hubs.lock().await;
            let request = v1::ListTenantsRequest {
                page_size: 1,
                ..v1::ListTenantsRequest::default()
            };
            let mut tenants = hubs.api().tenants();
            let asked = tokio::time::timeout(patience, tenants.list_tenants(request)).await;
            if matches!(asked, Ok(Ok(_))) {
                return Ok(Some(()));
            }
            hubs.next();
            Ok(None)
        })
        .await
    }
}

/// What an error says of the call.
enum Outcome {
    Answer(Answer),
    /// Whether it had its effect is not known.
    Lost,
    /// It had none, because it did not get to a hub that leads.
    NotDone,
}

fn outcome(status: &Status) -> anyhow::Result<Outcome> {
    let reason = berth_wire::status::reason(status);
    Ok(match (status.code(), reason.as_deref()) {
        (Code::NotFound, _) => Outcome::Answer(Answer::Absent),
        (Code::AlreadyExists, _) => Outcome::Answer(Answer::Exists),
        (Code::Aborted, Some("STALE_ETAG")) => Outcome::Answer(Answer::Stale),
        (Code::Aborted, Some("CONTENDED")) => Outcome::Answer(Answer::Nothing),
        (Code::FailedPrecondition, Some("BEING_DELETED")) => Outcome::Answer(Answer::Deleting),
        (Code::Unavailable, Some("NOT_LEADER")) => Outcome::NotDone,
        _ if never_sent(status) => Outcome::NotDone,
        (
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal,
            _,
        ) => Outcome::Lost,
        _ => bail!("an answer that no client expects: {status:?}"),
    })
}

/// Whether there was no connection to send the call over.
fn never_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.downcast_ref::<ConnectError>().is_some() {
            return true;
        }
        source = error.source();
    }
    false
}

struct Client {
    number: usize,
    hubs: Hubs,
    recorder: Arc<Recorder>,
    random: StdRng,
    /// The etag that this client last saw of each tenant: often a stale one.
    etags: BTreeMap<String, u64>,
    /// How long it waits for an answer.
    patience: Duration,
    options: Options,
}

impl Client {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut tenants: Vec<String> = vec![String::new(); self.options.tenants];
        while !self.options.stop.is_cancelled() {
            // A hub that leads no more must say so, also to those who come back to it.
            if self.random.random_ratio(1, 20) {
                self.hubs.next();
            }
            let slot = self.random.random_range(0..self.options.tenants);
            let tenant = self.recorder.tenant(slot, self.options.calls_per_tenant);
            tenants[slot].clone_from(&tenant);
            let heard = if self.random.random_ratio(1, 25) {
                self.list(&tenants).await?
            } else {
                let op = self.choice(&tenant);
                self.call(&tenant, op).await?
            };
            if !heard {
                self.hubs.reach(self.patience).await?;
            }
        }
        Ok(())
    }

    fn choice(&mut self, tenant: &str) -> Op {
        let known = self.etags.get(tenant).copied();
        let value = self.recorder.value();
        match (self.random.random_range(0..100), known) {
            (0..25, None) | (0..8, Some(_)) => Op::Create { value },
            (25..60, _) => Op::Get,
            (60..92, etag) => Op::Update { value, etag },
            (92..96, etag) => Op::Delete { etag },
            (96..100, _) => Op::Delete { etag: None },
            _ => Op::Update { value, etag: None },
        }
    }

    /// Makes a call; false when it was not heard of.
    async fn call(&mut self, tenant: &str, op: Op) -> anyhow::Result<bool> {
        let call = self.recorder.begin(self.number, tenant, op);
        let asked = tokio::time::timeout(self.patience, ask(self.hubs.api(), tenant, op)).await;
        let answer = asked.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        let status = match answer {
            Ok(tenant_now) => {
                let seen = self.recorder.shown(call, &tenant_now);
                self.etags.insert(tenant.to_owned(), seen.etag);
                return Ok(true);
            }
            Err(status) => status,
        };
        match outcome(&status)? {
            Outcome::Answer(answer) => {
                self.recorder.end(call, answer);
                if answer == Answer::Absent {
                    self.etags.remove(tenant);
                }
                Ok(true)
            }
            Outcome::NotDone => {
                self.recorder.end(call, Answer::Nothing);
                Ok(false)
            }
            Outcome::Lost => Ok(false),
        }
    }

    /// Asks for all tenants: for each of them it is as if it alone were asked for.
    async fn list(&mut self, tenants: &[String]) -> anyhow::Result<bool> {
        let asked = tenants.iter().filter(|tenant| !tenant.is_empty());
        let calls: BTreeMap<&String, usize> = asked
            .map(|tenant| (tenant, self.recorder.begin(self.number, tenant, Op::Get)))
            .collect();
        let listed = tokio::time::timeout(self.patience, self.hubs.api().list()).await;
        let listed = match listed.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer"))) {
            Ok(listed) => listed,
            Err(status) => {
                outcome(&status)?;
                return Ok(false);
            }
        };
        let listed: BTreeMap<String, v1::Tenant> = listed
            .into_iter()
            .map(|tenant| (id_of(&tenant), tenant))
            .collect();
        for (tenant, call) in calls {
            match listed.get(tenant) {
                Some(tenant) => drop(self.recorder.shown(call, tenant)),
                None => self.recorder.end(call, Answer::Absent),
            }
        }
        Ok(true)
    }
}

async fn ask(api: &Api, id: &str, op: Op) -> Result<v1::Tenant, Status> {
    let spec = |value: u64| v1::TenantSpec {
        tier: "free".to_owned(),
        display_name: value.to_string(),
        ..v1::TenantSpec::default()
    };
    let text = |etag: Option<u64>| etag.map(|etag| etag.to_string()).unwrap_or_default();
    let name = format!("tenants/{id}");
    let tenant = match op {
        Op::Create { value } => return api.create(id, spec(value)).await,
        Op::Get => return api.tenant(id).await,
        Op::Update { value, etag } => {
            let tenant = v1::Tenant {
                name,
                spec: Some(spec(value)),
                etag: text(etag),
                ..v1::Tenant::default()
            };
            let request = v1::UpdateTenantRequest {
                tenant: Some(tenant),
                ..v1::UpdateTenantRequest::default()
            };
            api.tenants().update_tenant(request).await?.into_inner().tenant
        }
        Op::Delete { etag } => {
            let request = v1::DeleteTenantRequest {
                name,
                etag: text(etag),
                ..v1::DeleteTenantRequest::default()
            };
            api.tenants().delete_tenant(request).await?.into_inner().tenant
        }
    };
    tenant.ok_or_else(|| Status::data_loss("an answer without a tenant"))
}
