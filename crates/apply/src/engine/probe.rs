//! Probing the walls of a tenant that is applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use berth_model::{Evidence, TenantId, report::ApplyState};
use tokio::sync::watch;

use super::{Engine, core::Core};
use crate::{
    manifest,
    probe::{self, NotProbed, ProbedBy, Surroundings, Survey},
    request::{Meta, RequestError},
    watch::Target,
};

/// Other tenants that are looked at for a neighbour.
const NEIGHBOURS: usize = 16;
/// A cluster that serves no policies is asked again after this.
const NONE_SERVED: Duration = Duration::from_secs(600);

impl Engine {
    /// Tries the walls of a tenant that is applied. Changes nothing in the cluster and waits for nobody who does.
    ///
    /// # Errors
    /// [`NotProbed`]; the same call may work later.
    pub async fn probe(&self, tenant: &TenantId, by: &ProbedBy) -> Result<Evidence, NotProbed> {
        let core = &self.core;
        let gone = || NotProbed::NotApplied(tenant.clone());
        let failed = |source| NotProbed::Api {
            tenant: tenant.clone(),
            source,
        };
        let (mut evidence, serial, items, others) = {
            let state = core.state();
            let slot = state.slots.get(tenant).filter(|slot| !slot.withdrawing);
            let slot = slot
                .filter(|slot| slot.apply == ApplyState::Applied)
                .ok_or_else(gone)?;
            let others = state
                .slots
                .iter()
                .filter(|(other, slot)| *other != tenant && !slot.withdrawing);
            let others: Vec<_> = others
                .take(NEIGHBOURS)
                .map(|(_, slot)| slot.items.clone())
                .collect();
            let now = core.clock.now();
            let evidence = Evidence {
                tenant: tenant.clone(),
                uid: slot.uid.clone(),
                cluster: slot.cluster.clone(),
                generation: slot.generation,
                digest: slot.digest.clone(),
                started_at: now,
                finished_at: now,
                interval_seconds: by.interval.as_secs(),
                agent_version: by.agent_version.clone(),
                kubernetes_version: String::new(),
                policies: BTreeMap::new(),
                probes: Vec::new(),
                refused_attempts: 0,
            };
            (evidence, slot.serial, slot.items.clone(), others)
        };
        let facts = core.facts.read(&core.caller).await.map_err(|error| match error {
            crate::ApplyError::Api { source, .. } => failed(*source),
            other => failed(RequestError::Malformed(other.message())),
        })?;
        evidence.kubernetes_version = facts.kubernetes_version.clone();
        let around = Surroundings {
            agent_namespace: core.options.agent_namespace.clone(),
            manifest: manifest::policies(&core.options.agent_namespace, facts.mutating_admission_policy),
            others: others.iter().map(|items| Survey::of(items)).collect(),
            facts,
            containers_run: core.facts.containers_run(),
        };
        let survey = Survey::of(&items);
        let passed = probe::pass(&core.caller, &core.clock, &survey, &around)
            .await
            .map_err(failed)?;
        let still = core
            .state()
            .slots
            .get(tenant)
            .is_some_and(|slot| slot.serial == serial);
        if !still {
            return Err(gone());
        }
        evidence.probes = passed.probes;
        evidence.policies = passed.policies;
        evidence.refused_attempts = passed.refused_attempts;
        evidence.finished_at = core.clock.now();
        Ok(evidence)
    }

    /// Counts `changed` up whenever the cluster's admission policies or their bindings change. Never ends.
    pub async fn watch_policies(&self, changed: watch::Sender<u64>) {
        let changed = Arc::new(changed);
        loop {
            let served = probe::served(&self.core.caller).await.unwrap_or_default();
            if !served.is_empty() {
                let mut watches = Vec::new();
                for (kind, plural) in probe::POLICY_KINDS
                    .iter()
                    .filter(|(kind, _)| served.contains(kind))
                {
                    watches.push(follow(self.core.clone(), kind, plural, changed.clone()));
                }
                futures::future::join_all(watches).await;
            }
            self.core.clock.sleep(NONE_SERVED).await;
        }
    }
}

async fn follow(core: Arc<Core>, kind: &'static str, plural: &'static str, changed: Arc<watch::Sender<u64>>) {
    let target = PolicyTarget {
        kind,
        plural,
        changed,
        known: Mutex::default(),
        complete: AtomicBool::new(false),
    };
    crate::watch::run(
        target,
        core.caller.clone(),
        core.clock.clone(),
        core.pulse.epoch(),
    )
    .await;
}

/// What tells one version of a policy from another: its uid and generation.
type Versions = BTreeMap<String, (String, Option<i64>)>;

struct PolicyTarget {
    kind: &'static str,
    plural: &'static str,
    changed: Arc<watch::Sender<u64>>,
    known: Mutex<Versions>,
    /// The first look is complete: before that nothing is another than it was.
    complete: AtomicBool,
}

impl PolicyTarget {
    fn change(&self, change: impl FnOnce(&mut Versions) -> bool) {
        let changed = change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
        if changed && self.complete.load(Ordering::Relaxed) {
            self.changed.send_modify(|count| *count += 1);
        }
    }
}

impl Target for PolicyTarget {
    type Item = Meta;
    type Key = String;

    fn collection(&self) -> String {
        format!("{}/{}", probe::ADMISSION, self.plural)
    }

    fn query(&self) -> String {
        String::new()
    }

    fn metadata_only(&self) -> bool {
        true
    }

    fn version(item: &Meta) -> u64 {
        item.metadata.version()
    }

    fn there(&self, item: &Meta) -> Option<String> {
        let name = item.metadata.name.clone();
        let version = (item.metadata.uid.clone(), item.metadata.generation);
        self.change(|known| known.insert(name.clone(), version.clone()).as_ref() != Some(&version));
        Some(name)
    }

    fn ended(&self, item: &Meta) {
        self.change(|known| known.remove(&item.metadata.name).is_some());
    }

    fn advanced(&self, _version: u64) {}

    fn looked(&self, _version: u64, present: BTreeSet<String>) {
        self.change(|known| {
            let before = known.len();
            known.retain(|name, _| present.contains(name));
            known.len() != before
        });
        self.complete.store(true, Ordering::Relaxed);
    }

    fn name(&self) -> &'static str {
        self.kind
    }
}
