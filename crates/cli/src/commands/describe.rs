//! `berth describe`.

use super::{Session, get};
use crate::{
    args,
    exit::{Failure, Outcome},
    kinds::{self, Kind, Targets},
    output::{Describe, Proven, Shown},
};

pub(super) async fn run(session: &Session<'_>, args: args::Describe) -> Result<(), Failure> {
    let Targets { kind, names } = kinds::targets(&args.targets)?;
    let hub = &session.hub;
    let mut outcome = Outcome::default();
    match kind {
        Kind::Tenant => {
            let found = match names.as_slice() {
                [] => hub.list_tenants("").await?,
                names => get::each(&mut outcome, names, async |name| hub.tenant(name).await).await,
            };
            let mut proven = Vec::with_capacity(found.len());
            for tenant in found {
                // A tenant without evidence is described all the same; its condition says why there is none.
                let evidence = hub.evidence(&Shown::name(&tenant)).await.ok();
                proven.push(Proven { tenant, evidence });
            }
            print(session, &proven)?;
        }
        Kind::Evidence => {
            let found = match names.as_slice() {
                [] => hub.list_evidence().await?,
                names => get::each(&mut outcome, names, async |name| hub.evidence(name).await).await,
            };
            print(session, &found)?;
        }
        Kind::Tier => {
            let found = match names.as_slice() {
                [] => hub.list_tiers().await?,
                names => get::each(&mut outcome, names, async |name| hub.tier(name).await).await,
            };
            print(session, &found)?;
        }
        Kind::RoleBinding => {
            let found = match names.as_slice() {
                [] => hub.list_role_bindings().await?,
                names => get::each(&mut outcome, names, async |name| hub.role_binding(name).await).await,
            };
            print(session, &found)?;
        }
        Kind::Role => {
            let found = get::named(&mut outcome, hub.list_roles().await?, &names);
            print(session, &found)?;
        }
        Kind::Organisation => {
            let found = match names.as_slice() {
                [] => hub.list_organisations().await?,
                names => get::each(&mut outcome, names, async |name| hub.organisation(name).await).await,
            };
            print(session, &found)?;
        }
        Kind::Bundle => {
            let found = get::bundles(session, &mut outcome, &names).await?;
            let found = get::whole(session, &mut outcome, found).await;
            print(session, &found)?;
        }
        Kind::Cluster => {
            let found = match names.as_slice() {
                [] => hub.list_clusters().await?,
                names => get::each(&mut outcome, names, async |name| hub.cluster(name).await).await,
            };
            print(session, &found)?;
        }
        Kind::Operation => {
            let found = match names.as_slice() {
                [] => hub.list_operations().await?,
                names => get::each(&mut outcome, names, async |name| hub.operation(name).await).await,
            };
            print(session, &found)?;
        }
        Kind::Token => {
            let found = get::named(&mut outcome, hub.list_tokens().await?, &names);
            print(session, &found)?;
        }
    }
    outcome.finish()
}

fn print<T: Describe>(session: &Session<'_>, items: &[T]) -> Result<(), Failure> {
    let texts = items
        .iter()
        .map(|item| item.describe(session.terminal, session.now()))
        .collect::<Result<Vec<_>, _>>()?;
    session.terminal.print(&texts.join("\n\n"))
}
