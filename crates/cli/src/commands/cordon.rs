//! `berth cordon`, `berth uncordon`, `berth accept`, `berth revoke`, `berth accept-gap` and `berth release-breaker`.

use berth_proto::v1;

use super::Session;
use crate::{
    args::{Accept, AcceptGap, Cordon, Revoke},
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

pub(super) async fn accept(session: &Session<'_>, args: Accept) -> Result<(), Failure> {
    let mut outcome = Outcome::default();
    for name in clusters(&args.targets)? {
        let request = v1::AcceptClusterRequest {
            name: format!("clusters/{name}"),
        };
        let mut clusters = session.hub.clusters();
        let asked = session
            .hub
            .ask(&format!("cluster/{name}"), clusters.accept_cluster(request))
            .await;
        if outcome.take(asked).is_some() {
            session
                .terminal
                .print(&format!("cluster/{name} accepted: it takes tenants\n"))?;
        }
    }
    outcome.finish()
}

pub(super) async fn revoke(session: &Session<'_>, args: Revoke) -> Result<(), Failure> {
    let mut outcome = Outcome::default();
    for name in clusters(&args.targets)? {
        let request = v1::RevokeClusterRequest {
            name: format!("clusters/{name}"),
            reason: args.reason.clone(),
        };
        let mut clusters = session.hub.clusters();
        let asked = session
            .hub
            .ask(&format!("cluster/{name}"), clusters.revoke_cluster(request))
            .await;
        if let Some(revoked) = outcome.take(asked) {
            let cut = if revoked.session_cut {
                "; its agent was cut off"
            } else {
                ""
            };
            session.terminal.print(&format!(
                "cluster/{name} revoked{cut}; it comes back by berth token create {name} --rejoin\n"
            ))?;
        }
    }
    outcome.finish()
}

/// Clusters as `cluster NAME...` or `cluster/NAME...`.
fn clusters(targets: &[String]) -> Result<Vec<&str>, Failure> {
    let named = match targets {
        [kind, names @ ..] if !names.is_empty() && kind.parse() == Ok(Kind::Cluster) => names,
        all => {
            if let Some(bare) = all.iter().find(|target| !target.contains('/')) {
                return Err(Failure::usage(format!(
                    "{bare:?} says no kind; write cluster {bare}, or cluster/{bare}"
                )));
            }
            all
        }
    };
    named.iter().map(|target| self::named(target)).collect()
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
