//! One pass: asks the API server everything, a few things at a time, and asks again what did not hold, as rights and policies
//! that were written a moment ago take another one to be known everywhere.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth_model::{ClusterFacts, PolicySeen, Probe, ProbeOutcome, assignment::AppliedAs};
use berth_runtime::clock::Clock;
use futures::future::join_all;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Aim, attempts,
    hostile::{self, DryRun, Sort},
    rights::{self, Rights},
    standing::{self, ADMISSION, Listed, POLICY_KINDS, Stands},
    survey::{Home, MOST_HOMES, Survey},
    traffic,
};
use crate::request::{Caller, RequestError};

/// Requests of a pass that are under way at once: the API server has other things to do.
const AT_ONCE: usize = 4;
/// What did not hold is asked again after these pauses before it counts.
const AGAIN: [Duration; 2] = [Duration::from_millis(700), Duration::from_secs(2)];
/// What a cluster without them is told by.
const NO_POLICIES: &str = "this cluster serves no validating admission policies, so nothing holds here";

/// What a pass needs to know beside the tenant's own assignment.
pub(crate) struct Surroundings {
    pub(crate) agent_namespace: String,
    /// The agent's own manifest.
    pub(crate) manifest: Vec<Value>,
    /// Other tenants of the cluster.
    pub(crate) others: Vec<Survey>,
    pub(crate) facts: ClusterFacts,
    pub(crate) containers_run: bool,
}

/// What came of a pass.
pub(crate) struct Passed {
    pub(crate) probes: Vec<Probe>,
    pub(crate) policies: BTreeMap<String, PolicySeen>,
    pub(crate) refused_attempts: u64,
}

/// Makes a pass.
///
/// # Errors
/// The API server cannot be read at all; what it refuses to answer in particular is a probe that was not tried.
pub(crate) async fn pass(
    caller: &Caller,
    clock: &Arc<dyn Clock>,
    survey: &Survey,
    around: &Surroundings,
) -> Result<Passed, RequestError> {
    let served = served(caller).await?;
    let enforced = served.contains(&POLICY_KINDS[0].0);
    let mut passed = one(caller, survey, around, &served, enforced).await?;
    for pause in AGAIN {
        let holds = |probe: &Probe| !matches!(probe.outcome, ProbeOutcome::Failed { .. });
        if passed.probes.iter().all(holds) {
            break;
        }
        clock.sleep(pause).await;
        passed = one(caller, survey, around, &served, enforced).await?;
    }
    for home in survey.homes.iter().take(MOST_HOMES) {
        // An event is nothing to wait or to fail for.
        if let Ok(events) = caller.read(attempts::path(&home.name)).await {
            passed.refused_attempts += attempts::count(&events);
        }
    }
    Ok(passed)
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
}

/// Which kinds of policies are served.
pub(crate) async fn served(caller: &Caller) -> Result<Vec<&'static str>, RequestError> {
    let found: Resources = match caller.read(ADMISSION.to_owned()).await {
        Ok(found) => found,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let is_served = |plural: &str| found.resources.iter().any(|resource| resource.name == plural);
    Ok(POLICY_KINDS
        .iter()
        .filter(|(_, plural)| is_served(plural))
        .map(|(kind, _)| *kind)
        .collect())
}

async fn one(
    caller: &Caller,
    survey: &Survey,
    around: &Surroundings,
    served: &[&'static str],
    enforced: bool,
) -> Result<Passed, RequestError> {
    let (rights, mut probes) = rights::probes(survey, &around.agent_namespace, &around.others);
    let tried: Vec<DryRun> = survey
        .homes
        .iter()
        .take(MOST_HOMES)
        .enumerate()
        .flat_map(|(at, home)| hostile::probes(home, at == 0))
        .collect();
    if survey.homes.len() > MOST_HOMES {
        let more = survey.homes.len() - MOST_HOMES;
        let aim = Aim::new("namespaces-more", "further namespaces", "as the others");
        probes.push(aim.open(format!("{more} more are not probed, {MOST_HOMES} are")));
    }
    probes.extend(traffic::probes(survey, &around.facts, around.containers_run));
    if !enforced {
        // Whatever came of the rest, it would look like walls where there are none.
        probes.extend(rights.iter().map(|rights| rights.not_tried(NO_POLICIES)));
        probes.extend(tried.iter().map(|run| run.aim().open(NO_POLICIES)));
        return Ok(Passed {
            probes,
            policies: BTreeMap::new(),
            refused_attempts: 0,
        });
    }
    let (standing, policies) = stands(caller, around, served).await?;
    probes.extend(standing);
    for (at, home) in survey.homes.iter().take(MOST_HOMES).enumerate() {
        probes.extend(stands_at_home(caller, home, at == 0).await?);
    }
    probes.extend(ask_rights(caller, &rights).await);
    probes.extend(try_hostile(caller, &tried).await);
    Ok(Passed {
        probes,
        policies,
        refused_attempts: 0,
    })
}

async fn stands(
    caller: &Caller,
    around: &Surroundings,
    served: &[&'static str],
) -> Result<(Vec<Probe>, BTreeMap<String, PolicySeen>), RequestError> {
    let mut found: BTreeMap<&'static str, Vec<Stands>> = BTreeMap::new();
    for (kind, plural) in POLICY_KINDS.iter().filter(|(kind, _)| served.contains(kind)) {
        let listed: Listed = caller
            .page(format!("{ADMISSION}/{plural}?limit=500"), false)
            .await?;
        found.insert(kind, listed.items);
    }
    Ok(standing::policies(&around.manifest, &found))
}

async fn stands_at_home(caller: &Caller, home: &Home, first: bool) -> Result<Vec<Probe>, RequestError> {
    let name = &home.name;
    let place = if first { String::new() } else { format!("@{name}") };
    let namespace = match caller.read::<Stands>(format!("/api/v1/namespaces/{name}")).await {
        Ok(found) => Some(found),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let (quotas, limits, networks, bindings) = futures::try_join!(
        list(caller, name, "/api/v1", "resourcequotas"),
        list(caller, name, "/api/v1", "limitranges"),
        list(caller, name, "/apis/networking.k8s.io/v1", "networkpolicies"),
        list(caller, name, "/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    )?;
    Ok(vec![
        standing::namespace(home, namespace.as_ref(), &place),
        standing::quotas(home, &quotas, &place),
        standing::walls(
            ("limits", "LimitRange"),
            home,
            &home.limits,
            &limits,
            &place,
            false,
        ),
        standing::walls(
            ("network", "NetworkPolicy"),
            home,
            &home.networks,
            &networks,
            &place,
            true,
        ),
        standing::bindings(home, &bindings, &place),
    ])
}

async fn list(
    caller: &Caller,
    namespace: &str,
    group_version: &str,
    plural: &str,
) -> Result<Vec<Stands>, RequestError> {
    let path = format!("{group_version}/namespaces/{namespace}/{plural}?limit=500");
    Ok(caller.page::<Listed>(path, false).await?.items)
}

#[derive(Deserialize)]
struct Review {
    #[serde(default)]
    status: ReviewStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReviewStatus {
    allowed: bool,
    evaluation_error: String,
}

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

async fn ask_rights(caller: &Caller, all: &[Rights]) -> Vec<Probe> {
    let mut probes = Vec::with_capacity(all.len());
    for rights in all {
        let mut answers = Vec::with_capacity(rights.questions.len());
        for some in rights.questions.chunks(AT_ONCE) {
            let mut asked = Vec::with_capacity(some.len());
            for question in some {
                asked.push(ask(caller, &question.body));
            }
            answers.extend(join_all(asked).await);
        }
        probes.push(rights.judge(&answers));
    }
    probes
}

async fn ask(caller: &Caller, body: &Value) -> Result<bool, String> {
    let asked = caller.ask_for::<Review>(REVIEWS.to_owned(), body, AppliedAs::Agent, "");
    match asked.await {
        Ok(Review { status }) if status.allowed || status.evaluation_error.is_empty() => Ok(status.allowed),
        Ok(Review { status }) => Err(format!("the API server cannot tell: {}", status.evaluation_error)),
        Err(error) => Err(format!("the API server does not tell: {error}")),
    }
}

async fn try_hostile(caller: &Caller, tried: &[DryRun]) -> Vec<Probe> {
    let mut answers = Vec::with_capacity(tried.len());
    for some in tried.chunks(AT_ONCE) {
        let mut asked = Vec::with_capacity(some.len());
        for run in some {
            asked.push(try_one(caller, run));
        }
        answers.extend(join_all(asked).await);
    }
    judge_hostile(tried, &answers)
}

async fn try_one(caller: &Caller, run: &DryRun) -> Result<(), RequestError> {
    let path = format!("{}?dryRun=All&fieldManager=berth-probe", run.collection);
    let taken = caller.ask_for::<serde::de::IgnoredAny>(path, &run.body, AppliedAs::Deployer, &run.namespace);
    taken.await.map(drop)
}

fn judge_hostile(tried: &[DryRun], answers: &[Result<(), RequestError>]) -> Vec<Probe> {
    let judged: Vec<Probe> = tried
        .iter()
        .zip(answers)
        .map(|(run, answer)| run.judge(answer))
        .collect();
    // An ordinary one that reached the last wall, or none of its sort, lets refusals speak.
    let speaks = |sort: Sort, namespace: &str| {
        let ordinary = tried
            .iter()
            .zip(&judged)
            .find(|(run, _)| run.sort == sort && run.is_ordinary() && run.namespace == namespace);
        ordinary.is_none_or(|(_, probe)| probe.outcome == ProbeOutcome::Passed || !probe.required)
    };
    tried
        .iter()
        .zip(&judged)
        .map(|(run, probe)| {
            let refused = probe.outcome == ProbeOutcome::Passed && !run.is_ordinary();
            if refused && !speaks(run.sort, &run.namespace) {
                run.unproven()
            } else {
                probe.clone()
            }
        })
        .collect()
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
