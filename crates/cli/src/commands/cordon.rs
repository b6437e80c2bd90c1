//! `berth cordon`, `berth uncordon`, `berth accept-gap` and `berth release-breaker`.

use berth_proto::v1;

use super::Session;
use crate::{
    args::{AcceptGap, Cordon},
    exit::{Failure, Outcome},
    kinds::Kind,
};

pub(super) async fn run(session: &Session<'_>, args: Cordon, cordon: bool) -> Result<(), Failure> {
    let mut outcome = Outcome::default();
    for cluster in &args.clusters {
        let name = named(cluster)?;
        if outcome.take(one(session, name, cordon).await).is_some() {
            let done = if cordon { "cordoned" } else { "uncordoned" };
            session.terminal.print(&format!("cluster/{name} {done}\n"))?;
        }
    }
    outcome.finish()
}

pub(super) async fn release_breaker(session: &Session<'_>, args: Cordon) -> Result<(), Failure> {
    let mut outcome = Outcome::default();
    for cluster in &args.clusters {
        let name = named(cluster)?;
        let request = v1::ReleaseBreakerRequest {
            name: format!("clusters/{name}"),
        };
        let mut clusters = session.hub.clusters();
        let asked = session
            .hub
            .ask(&format!("cluster/{name}"), clusters.release_breaker(request))
            .await;
        if let Some(released) = outcome.take(asked) {
            let away = if released.agent_told {
                ""
            } else {
                "; its agent is away and learns of it with each tenant that goes"
            };
            session
                .terminal
                .print(&format!("cluster/{name} goes on deleting{away}\n"))?;
        }
    }
    outcome.finish()
}

pub(super) async fn accept_gap(session: &Session<'_>, args: AcceptGap) -> Result<(), Failure> {
    let name = named(&args.cluster)?;
    let request = v1::AcceptClusterGapRequest {
        name: format!("clusters/{name}"),
        gap: args.gap.clone(),
        reason: args.reason.unwrap_or_default(),
    };
    let mut clusters = session.hub.clusters();
    session
        .hub
        .ask(&format!("cluster/{name}"), clusters.accept_cluster_gap(request))
        .await?;
    let done = if args.revoke {
        format!(
            "cluster/{name} takes new tenants only when it holds {}\n",
            args.gap
        )
    } else {
        format!("cluster/{name} takes tenants without {}\n", args.gap)
    };
    session.terminal.print(&done)
}

/// A cluster as `NAME` or `cluster/NAME`.
fn named(cluster: &str) -> Result<&str, Failure> {
    match cluster.split_once('/') {
        None => Ok(cluster),
        Some((kind, name)) if kind.parse() == Ok(Kind::Cluster) => Ok(name),
        Some(_) => Err(Failure::usage(format!("{cluster:?} is no cluster"))),
    }
}

async fn one(session: &Session<'_>, cluster: &str, cordon: bool) -> Result<(), Failure> {
    let subject = format!("cluster/{cluster}");
    let name = format!("clusters/{cluster}");
    let mut clusters = session.hub.clusters();
    if cordon {
        session
            .hub
            .ask(
                &subject,
                clusters.cordon_cluster(v1::CordonClusterRequest { name }),
            )
            .await?;
    } else {
        session
            .hub
            .ask(
                &subject,
                clusters.uncordon_cluster(v1::UncordonClusterRequest { name }),
            )
            .await?;
    }
    Ok(())
}
