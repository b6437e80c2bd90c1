//! Plays the kubelet for one Deployment: the agent's. When `berth-agent` appears in a cluster's `berth-system`, it is
//! started here from its pod template as a kubelet would: arguments, environment, Secrets and service account, started
//! anew with back-off when it ends, ended when the Deployment goes or is scaled to nothing.
//!
//! It schedules nothing, pulls no image, probes nothing and isolates nothing: what "starting" means is the
//! [`Launcher`]'s. It writes only the Deployment's status, and that only when the agent starts or ends.

mod launcher;
mod pod;
mod text;
mod volumes;

use std::{path::PathBuf, sync::Arc, time::Duration};

use berth_model::label;
use berth_runtime::retry::{Backoff, Policy};
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PodTemplateSpec};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
pub use launcher::{Exit, Launch, Launcher, ProcessLauncher, Running};
pub use pod::PodError;

/// The Deployment that is played.
pub const AGENT: &str = "berth-agent";

/// How often a pod's token is made anew; it is asked for twice that long.
const TOKEN_RENEWAL: Duration = Duration::from_secs(1800);

/// As whom the agent speaks to its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodIdentity {
    /// Its service account, by TokenRequest: it has exactly its RBAC rights.
    ServiceAccount,
    /// As [`Options::access`] says, for a cluster that knows no rights anyhow.
    Administrator,
}

/// What a kubelet is for.
#[derive(Debug)]
pub struct Options {
    /// The cluster's name, for logs.
    pub cluster: String,
    /// Its administrator: reads the Deployment and Secrets, asks for tokens.
    pub access: Access,
    /// The same as a client.
    pub client: ClientOf,
    /// As whom the agent speaks to the cluster.
    pub identity: PodIdentity,
    /// Starts the agent.
    pub launcher: Arc<dyn Launcher>,
    /// Where pods' files are written; made when it is not there.
    pub dir: PathBuf,
}

/// A client that can be printed.
#[derive(Clone)]
pub struct ClientOf(pub Client);

impl std::fmt::Debug for ClientOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// What is to run: the pod template, and which pod it is. Another pod of the same template has no files of the former.
#[derive(Clone, Debug, Default, PartialEq)]
struct Desired {
    template: Option<Box<PodTemplateSpec>>,
    pod: u64,
}

/// What the agent's one pod is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Whether the agent runs.
    pub running: bool,
    /// Starts so far.
    pub starts: u64,
}

/// A running kubelet. It ends with [`Kubelet::shutdown`]; dropping it ends it too, without waiting.
#[derive(Debug)]
pub struct Kubelet {
    desired: watch::Sender<Desired>,
    played: watch::Receiver<Played>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Kubelet {
    /// Starts playing.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let desired = watch::Sender::new(Desired::default());
        let played = watch::Sender::new(Played::default());
        let stop = CancellationToken::new();
        let player = Player {
            options,
            desired: desired.subscribe(),
            played: played.clone(),
            stop: stop.clone(),
        };
        let (sender, stopped, client) = (desired.clone(), stop.clone(), player.options.client.0.clone());
        let task = tokio::spawn(async move {
            tokio::select! {
                () = follow(client, sender, stopped) => {}
                () = player.run() => {}
            }
        });
        Self {
            desired,
            played: played.subscribe(),
            stop,
            task: Some(task),
        }
    }

    /// What the agent's pod is doing; a receiver to wait with.
    #[must_use]
    pub fn played(&self) -> watch::Receiver<Played> {
        self.played.clone()
    }

    /// Deletes the pod with everything on its disk; another takes its place.
    pub fn delete_pod(&self) {
        self.desired.send_modify(|desired| desired.pod += 1);
    }

    /// Ends the agent and stops playing.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // It does not panic, and nobody else aborts it.
            drop(task.await);
        }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Keeps `desired` at what the Deployment says. Returns when stopped.
async fn follow(client: Client, desired: watch::Sender<Desired>, stop: CancellationToken) {
    let deployments: Api<Deployment> = Api::namespaced(client, label::AGENT_NAMESPACE);
    let only = watcher::Config::default().fields(&format!("metadata.name={AGENT}"));
    let events = watcher(deployments, only).default_backoff();
    pin_mut!(events);
    let mut seen = false;
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return std::future::pending().await,
            event = events.next() => event,
        };
        let template = match event {
            Some(Ok(watcher::Event::Apply(deployment) | watcher::Event::InitApply(deployment))) => {
                seen = true;
                wanted(&deployment)
            }
            Some(Ok(watcher::Event::Init)) => {
                seen = false;
                continue;
            }
            // A list without it is as good as its deletion.
            Some(Ok(watcher::Event::InitDone)) if seen => continue,
            Some(Ok(watcher::Event::InitDone | watcher::Event::Delete(_))) => None,
            Some(Err(error)) => {
                tracing::debug!(%error, "watch the agent's Deployment");
                continue;
            }
            None => return std::future::pending().await,
        };
        desired.send_if_modified(|now| {
            let changed = now.template != template;
            now.template = template;
            // Another template is another pod.
            now.pod += u64::from(changed);
            changed
        });
    }
}

fn wanted(deployment: &Deployment) -> Option<Box<PodTemplateSpec>> {
    let spec = deployment.spec.as_ref()?;
    let going = deployment.metadata.deletion_timestamp.is_some();
    (spec.replicas.unwrap_or(1) > 0 && !going).then(|| Box::new(spec.template.clone()))
}

/// Starts and ends the agent.
struct Player {
    options: Options,
    desired: watch::Receiver<Desired>,
    played: watch::Sender<Played>,
    stop: CancellationToken,
}

/// Why the agent does not run any more.
enum Ended {
    /// By itself, or it could not be started.
    Itself,
    /// Another one is wanted, or none.
    Unwanted,
    /// The kubelet stops.
    Stopped,
}

impl Player {
    async fn run(mut self) {
        let policy = Policy::new(Duration::from_millis(500), Duration::from_secs(30));
        let mut backoff = Backoff::new(&policy);
        loop {
            let desired = self.desired.borrow_and_update().clone();
            let ended = match &desired.template {
                Some(template) => self.play(template, desired.pod).await,
                None => {
                    tokio::select! {
                        () = self.stop.cancelled() => Ended::Stopped,
                        changed = self.desired.changed() => changed.map_or(Ended::Stopped, |()| Ended::Unwanted),
                    }
                }
            };
            match ended {
                Ended::Stopped => return,
                Ended::Unwanted => backoff = Backoff::new(&policy),
                Ended::Itself => tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = tokio::time::sleep(backoff.next_delay()) => {}
                    changed = self.desired.changed() => if changed.is_err() { return },
                },
            }
        }
    }

    /// From start to end of one run of the agent.
    async fn play(&mut self, template: &PodTemplateSpec, number: u64) -> Ended {
        let cluster = self.options.cluster.clone();
        let prepared = pod::prepare(&self.options, template, number).await;
        let launch = match prepared {
            Ok(launch) => launch,
            Err(error) => {
                tracing::warn!(cluster, error = %text::chain(&error), "the agent's pod cannot be made");
                return Ended::Itself;
            }
        };
        let mut running = match self.options.launcher.launch(launch).await {
            Ok(running) => running,
            Err(error) => {
                tracing::warn!(cluster, error = %error, "the agent does not start");
                return Ended::Itself;
            }
        };
        self.played.send_modify(|played| {
            *played = Played {
                running: true,
                starts: played.starts + 1,
            }
        });
        self.report(1).await;
        let mut renewal = tokio::time::interval(TOKEN_RENEWAL);
        renewal.tick().await;
        let ended = loop {
            tokio::select! {
                exit = running.wait() => {
                    tracing::warn!(cluster, exit = %exit, "the agent ended");
                    break Ended::Itself;
                }
                () = self.stop.cancelled() => break Ended::Stopped,
                changed = self.desired.changed() => {
                    break changed.map_or(Ended::Stopped, |()| Ended::Unwanted);
                }
                _ = renewal.tick() => {
                    if let Err(error) = pod::refresh(&self.options, template, number).await {
                        tracing::warn!(cluster, error = %text::chain(&error), "the pod's token and files are not renewed");
                    }
                }
            }
        };
        if !matches!(ended, Ended::Itself) {
            running.kill().await;
        }
        self.played.send_modify(|played| played.running = false);
        if !matches!(ended, Ended::Stopped) {
            self.report(0).await;
        }
        ended
    }

    /// Writes the Deployment's status. Somebody else's controller may do so too, and then is right.
    async fn report(&self, ready: i32) {
        let deployments: Api<Deployment> =
            Api::namespaced(self.options.client.0.clone(), label::AGENT_NAMESPACE);
        let status = async {
            let generation = deployments.get(AGENT).await?.metadata.generation;
            let status = json!({"status": {
                "observedGeneration": generation, "replicas": 1, "updatedReplicas": 1,
                "readyReplicas": ready, "availableReplicas": ready, "unavailableReplicas": 1 - ready,
            }});
            deployments
                .patch_status(AGENT, &PatchParams::default(), &Patch::Merge(status))
                .await
        };
        match status.await {
            Ok(_) => {}
            // It went meanwhile.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => tracing::warn!(%error, "the agent's Deployment status is not written"),
        }
    }
}
