//! `berth get`.

use std::collections::BTreeMap;

use berth_proto::v1;

use super::{Session, audit, watch};
use crate::{
    args::{Format, Get, Output},
    exit::{Failure, Outcome},
    kinds::{self, Kind, Targets},
    output::{self, Shown},
};

pub(super) async fn run(session: &Session<'_>, args: Get) -> Result<(), Failure> {
    if audit::is_audit(&args.targets) {
        return audit::list(session, args).await;
    }
    let Get {
        targets,
        selector,
        watch: follow,
        output,
        audit,
    } = args;
    if !audit.is_empty() {
        return Err(Failure::usage(
            "--tenant, --caller, --call, --outcome, --kind, --since and --limit choose events: berth get audit",
        ));
    }
    let targets = kinds::targets(&targets)?;
    if follow {
        return watch::follow(session, targets, selector.as_deref(), &output).await;
    }
    if selector.is_some() && !targets.names.is_empty() {
        return Err(Failure::usage(
            "-l chooses among all; leave out the names or the selector",
        ));
    }
    if selector.is_some() && !matches!(targets.kind, Kind::Tenant | Kind::Cluster) {
        return Err(Failure::usage("only tenants and clusters can be selected by -l"));
    }
    let Targets { kind, names } = targets;
    let hub = &session.hub;
    let mut outcome = Outcome::default();
    match kind {
        Kind::Tenant => {
            let tenants = match names.as_slice() {
                [] => hub.list_tenants(&filter(selector.as_deref())).await?,
                names => each(&mut outcome, names, async |name| hub.tenant(name).await).await,
            };
            shown(session, &tenants, &output, &names)?;
        }
        Kind::Tier => {
            let tiers = match names.as_slice() {
                [] => hub.list_tiers().await?,
                names => each(&mut outcome, names, async |name| hub.tier(name).await).await,
            };
            shown(session, &tiers, &output, &names)?;
        }
        Kind::Organisation => {
            let organisations = match names.as_slice() {
                [] => hub.list_organisations().await?,
                names => each(&mut outcome, names, async |name| hub.organisation(name).await).await,
            };
            shown(session, &organisations, &output, &names)?;
        }
        Kind::Bundle => {
            let mut bundles = bundles(session, &mut outcome, &names).await?;
            if matches!(output.output, Format::Json | Format::Yaml) {
                bundles = whole(session, &mut outcome, bundles).await;
            }
            shown(session, &bundles, &output, &names)?;
        }
        Kind::Cluster => {
            let clusters = match names.as_slice() {
                [] => {
                    let wanted = labels(selector.as_deref())?;
                    let mut clusters = hub.list_clusters().await?;
                    clusters.retain(|cluster| {
                        wanted
                            .iter()
                            .all(|(key, value)| cluster.labels.get(key) == Some(value))
                    });
                    clusters
                }
                names => each(&mut outcome, names, async |name| hub.cluster(name).await).await,
            };
            shown(session, &clusters, &output, &names)?;
        }
        Kind::Operation => {
            let operations = match names.as_slice() {
                [] => hub.list_operations().await?,
                names => each(&mut outcome, names, async |name| hub.operation(name).await).await,
            };
            shown(session, &operations, &output, &names)?;
        }
        Kind::Evidence => match names.as_slice() {
            [] => shown(session, &hub.list_evidence().await?, &output, &names)?,
            [only] if matches!(output.output, Format::Table | Format::Wide) => {
                let evidence = hub.evidence(only).await?;
                session
                    .terminal
                    .print(&output::probes(session.terminal, &evidence, &output))?;
            }
            names => {
                let found = each(&mut outcome, names, async |name| hub.evidence(name).await).await;
                shown(session, &found, &output, names)?;
            }
        },
        Kind::ApiKey => {
            let api_keys = match names.as_slice() {
                [] => hub.list_api_keys().await?,
                names => each(&mut outcome, names, async |name| hub.api_key(name).await).await,
            };
            shown(session, &api_keys, &output, &names)?;
        }
        Kind::RoleBinding => {
            let bindings = match names.as_slice() {
                [] => hub.list_role_bindings().await?,
                names => each(&mut outcome, names, async |name| hub.role_binding(name).await).await,
            };
            shown(session, &bindings, &output, &names)?;
        }
        Kind::Role => {
            let roles = named(&mut outcome, hub.list_roles().await?, &names);
            shown(session, &roles, &output, &names)?;
        }
        Kind::Token => {
            let tokens = named(&mut outcome, hub.list_tokens().await?, &names);
            shown(session, &tokens, &output, &names)?;
        }
    }
    outcome.finish()
}

/// Shows what was found. When names were given and none of them was found, that is said elsewhere.
fn shown<T: Shown>(
    session: &Session<'_>,
    items: &[T],
    output: &Output,
    names: &[String],
) -> Result<(), Failure> {
    if items.is_empty() && !names.is_empty() {
        return Ok(());
    }
    output::show(session.terminal, items, output, names.len() == 1, session.now())
}

/// Asks for each name; what is not found is a failure and does not hide the rest.
pub(super) async fn each<T>(
    outcome: &mut Outcome,
    names: &[String],
    ask: impl AsyncFn(&str) -> Result<T, Failure>,
) -> Vec<T> {
    let mut found = Vec::new();
    for name in names {
        found.extend(outcome.take(ask(name).await));
    }
    found
}

/// Those of `all` that are named; all of them when no names are given.
pub(super) fn named<T: Shown>(outcome: &mut Outcome, all: Vec<T>, names: &[String]) -> Vec<T> {
    if names.is_empty() {
        return all;
    }
    let mut by_name: BTreeMap<String, T> = all.into_iter().map(|item| (item.name(), item)).collect();
    names
        .iter()
        .filter_map(|name| {
            outcome.take(by_name.remove(name).ok_or_else(|| {
                Failure::new(
                    crate::exit::Exit::NotFound,
                    format!("{}/{name}: not found", T::KIND),
                )
            }))
        })
        .collect()
}

/// Bundle versions: `NAME@VERSION` is one, `NAME` all of that name. Without manifests unless named in full.
pub(super) async fn bundles(
    session: &Session<'_>,
    outcome: &mut Outcome,
    names: &[String],
) -> Result<Vec<v1::Bundle>, Failure> {
    if names.is_empty() {
        return session.hub.list_bundles().await;
    }
    let mut found = Vec::new();
    for name in names {
        if let Some((name, version)) = name.split_once('@') {
            found.extend(outcome.take(session.hub.bundle(name, version).await));
            continue;
        }
        let prefix = format!("bundles/{name}/versions/");
        let mut versions = session.hub.list_bundles().await?;
        versions.retain(|bundle| bundle.name.starts_with(&prefix));
        if versions.is_empty() {
            outcome.add(Failure::new(
                crate::exit::Exit::NotFound,
                format!("bundle/{name}: not found"),
            ));
        }
        found.extend(versions);
    }
    Ok(found)
}

/// The same bundles with their manifests, which lists leave out.
pub(super) async fn whole(
    session: &Session<'_>,
    outcome: &mut Outcome,
    bundles: Vec<v1::Bundle>,
) -> Vec<v1::Bundle> {
    let names: Vec<String> = bundles.iter().map(Shown::name).collect();
    each(outcome, &names, async |name| {
        let (name, version) = name.split_once('@').unwrap_or((name, ""));
        session.hub.bundle(name, version).await
    })
    .await
}

/// A selector as the hub's filter: a key that is none of the hub's own is a label.
pub(super) fn filter(selector: Option<&str>) -> String {
    let terms = selector
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|term| !term.is_empty());
    terms
        .map(|term| {
            let term = term.replacen("==", "=", 1);
            let key = term.split('=').next().unwrap_or_default();
            let own = matches!(key, "tier" | "isolation" | "cluster" | "ready") || key.starts_with("label.");
            if own { term } else { format!("label.{term}") }
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn labels(selector: Option<&str>) -> Result<Vec<(String, String)>, Failure> {
    let terms = selector
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|term| !term.is_empty());
    terms
        .map(|term| {
            let term = term.replacen("==", "=", 1);
            term.split_once('=')
                .map(|(key, value)| {
                    (
                        key.strip_prefix("label.").unwrap_or(key).to_owned(),
                        value.to_owned(),
                    )
                })
                .ok_or_else(|| Failure::usage(format!("selector {term:?} has no '='; write key=value")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_names_labels_unless_the_hub_knows_the_key() {
        assert_eq!(
            filter(Some("tier=free, team==blue,label.x=y,ready=True")),
            "tier=free,label.team=blue,label.x=y,ready=True"
        );
        assert_eq!(filter(None), "");
        assert_eq!(labels(Some("zone=a")), Ok(vec![("zone".into(), "a".into())]));
        assert!(labels(Some("zone")).is_err());
    }
}
