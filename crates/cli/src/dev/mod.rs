//! `berth dev`: the main job on this machine. A hub, a fake EKS, several clusters with an agent each, and tenants of every
//! isolation level, going Ready before your eyes.
//!
//! The hub and the agents are the real ones and speak real gRPC over mTLS; only the cloud and, unless asked otherwise, the
//! Kubernetes API are played.

mod agents;
mod demo;
mod hub;
mod options;
mod place;
mod progress;
mod show;

use std::{path::Path, sync::Arc, time::Duration};

use berth_fake::{
    Access,
    cloud::{LocalCloud, LocalCloudOptions, LocalControlPlane, SharedCluster},
    control_plane::Binaries,
    eks::Timings,
};
use berth_proto::v1;
use berth_runtime::CancellationToken;

use crate::{
    client::Hub,
    exit::{Exit, Failure},
};
pub(crate) use options::Dev;
use options::{ControlPlaneKind, DevFormat};
use place::Place;
use progress::Progress;

/// Clusters that are there from the beginning, with their regions.
const SHARED: [(&str, &str); 3] = [
    ("eu-shared-1", "eu-central-1"),
    ("eu-shared-2", "eu-central-1"),
    ("us-shared-1", "us-east-1"),
];
/// A cloud in a hurry: long enough to be seen, where AWS takes a quarter of an hour.
const TIMINGS: Timings = Timings::Real {
    cluster: Duration::from_millis(1500),
    nodegroup: Duration::from_millis(1000),
    update: Duration::from_millis(500),
};
/// Region of clusters that are made.
const REGION: &str = "eu-central-1";

/// Runs it.
pub(crate) async fn run(dev: Dev, request_timeout: Duration) -> Result<(), Failure> {
    let Dev {
        exit_when_ready,
        output,
        data_dir,
        control_plane,
        cloud_only,
        timeout,
        log,
    } = dev;
    let place = Place::open(data_dir)?;
    hub::log_to(&place.path("berth.log"), &log)?;
    let progress = Progress::new(output == DevFormat::Json);

    let control_plane = match control_plane {
        ControlPlaneKind::Embedded => LocalControlPlane::Embedded,
        ControlPlaneKind::Real => LocalControlPlane::Real(
            Binaries::find().map_err(|error| Failure::new(Exit::Failure, error.to_string()))?,
        ),
    };
    progress.say("starting the cloud and its clusters");
    let cloud = LocalCloud::start(LocalCloudOptions {
        data_dir: place.dir().to_owned(),
        control_plane,
        launcher: Arc::new(agents::InProcess),
        timings: TIMINGS,
        region: REGION.to_owned(),
        durable: place.is_kept(),
    })
    .await
    .map_err(|error| failed("start the local cloud", &error))?;

    let cancel = CancellationToken::new();
    let asked = Asked {
        exit_when_ready,
        output,
        timeout,
        request_timeout,
    };
    let work = async {
        if cloud_only {
            only_cloud(&place, &cloud, &progress).await
        } else {
            serve(&place, &cloud, &progress, &cancel, asked).await
        }
    };
    let outcome = tokio::select! {
        biased;
        outcome = work => outcome,
        signal = berth_runtime::drain::signal() => {
            progress.say(&format!("{}: ending", signal.unwrap_or("signal")));
            if exit_when_ready { Err(Failure::new(Exit::Failure, "interrupted before every tenant was Ready")) } else { Ok(()) }
        }
    };
    cancel.cancel();
    cloud.stop().await;
    place.close(&progress);
    outcome
}

struct Asked {
    exit_when_ready: bool,
    output: DevFormat,
    timeout: Duration,
    request_timeout: Duration,
}

async fn serve(
    place: &Place,
    cloud: &LocalCloud,
    progress: &Progress,
    cancel: &CancellationToken,
    asked: Asked,
) -> Result<(), Failure> {
    let (running, hub_task) = hub::start(place, cloud, REGION, cancel).await?;
    progress.say(&format!(
        "hub at {} (context {})",
        running.api_url,
        running.admin_context.display()
    ));
    let context = crate::context::load(Some(running.admin_context.clone()))?;
    let hub = Hub::new(&context, asked.request_timeout)?;

    for (name, region) in SHARED {
        let access = shared(cloud, name, region).await?;
        agents::bring_in(&hub, name, region, &access).await?;
        progress.say(&format!(
            "cluster {name} in {region}: kubectl --kubeconfig {}",
            kubeconfig(place.dir(), name)
        ));
    }
    agents::joined(&hub, &SHARED.map(|(name, _)| name), asked.timeout).await?;
    progress.say("every agent has joined by its token");

    let wanted = demo::apply(&hub, place.dir()).await?;
    let watched = progress.follow(&hub, &wanted);
    let result = tokio::select! {
        biased;
        result = tokio::time::timeout(asked.timeout, watched) => result,
        ended = hub_task => return Err(hub::ended(ended)),
    };
    progress.settle();
    let tenants = hub.list_tenants("").await?;
    show::tenants(asked.output, &tenants);
    match result {
        Ok(outcome) => outcome?,
        Err(_) => return Err(not_ready(&tenants, &wanted, asked.timeout)),
    }
    if asked.exit_when_ready {
        return Ok(());
    }
    show::next_commands(&running.admin_context, &kubeconfig(place.dir(), SHARED[0].0));
    progress.say("running until Ctrl-C; changes are shown here");
    progress.changes(&hub).await
}

/// The cloud and its clusters, for a hub that somebody else starts.
async fn only_cloud(place: &Place, cloud: &LocalCloud, progress: &Progress) -> Result<(), Failure> {
    for (name, region) in SHARED {
        shared(cloud, name, region).await?;
        progress.say(&format!(
            "cluster {name} in {region}: kubectl --kubeconfig {}",
            kubeconfig(place.dir(), name)
        ));
    }
    let config = hub::configure(place, cloud, REGION)?;
    progress.say(&format!("configuration for a hub: {}", config.display()));
    progress.say("running until Ctrl-C");
    std::future::pending().await
}

async fn shared(cloud: &LocalCloud, name: &str, region: &str) -> Result<Access, Failure> {
    let started = cloud.shared_cluster(&SharedCluster::new(name, region)).await;
    started.map_err(|error| failed(&format!("start cluster {name}"), &error))
}

/// Why each tenant is not Ready.
fn not_ready(tenants: &[v1::Tenant], wanted: &[String], timeout: Duration) -> Failure {
    let mut lines = vec![format!(
        "not every tenant was Ready within {} s",
        timeout.as_secs()
    )];
    for tenant in tenants {
        let id = tenant.name.trim_start_matches("tenants/");
        if wanted.iter().any(|name| name == id)
            && let Some(why) = progress::waiting_for(tenant)
        {
            lines.push(format!("tenant {id}: {why}"));
        }
    }
    Failure {
        exit: Exit::Timeout,
        lines,
    }
}

fn kubeconfig(dir: &Path, cluster: &str) -> String {
    dir.join("clusters")
        .join(cluster)
        .join("kubeconfig")
        .display()
        .to_string()
}

/// A failure with everything that caused it.
fn failed(what: &str, error: &dyn std::error::Error) -> Failure {
    let mut line = format!("{what}: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        line = format!("{line}: {next}");
        cause = next.source();
    }
    Failure::new(Exit::Failure, line)
}
