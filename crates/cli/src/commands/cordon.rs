//! `berth cordon` and `berth uncordon`.

use berth_proto::v1;

use super::Session;
use crate::{
    args::Cordon,
    exit::{Failure, Outcome},
    kinds::Kind,
};

pub(super) async fn run(session: &Session<'_>, args: Cordon, cordon: bool) -> Result<(), Failure> {
    let mut outcome = Outcome::default();
    for cluster in &args.clusters {
        let name = match cluster.split_once('/') {
            None => cluster.as_str(),
            Some((kind, name)) if kind.parse() == Ok(Kind::Cluster) => name,
            Some(_) => return Err(Failure::usage(format!("{cluster:?} is no cluster"))),
        };
        if outcome.take(one(session, name, cordon).await).is_some() {
            let done = if cordon { "cordoned" } else { "uncordoned" };
            session.terminal.print(&format!("cluster/{name} {done}\n"))?;
        }
    }
    outcome.finish()
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
