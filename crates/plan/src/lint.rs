//! Checks a plan without trusting what made it: it recounts from the view, and shares no code with the decisions.

mod breaker;
mod owners;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use berth_model::{Capacity, ClusterName, ClusterPurpose, Observed, Placement, TenantId, infra::InfraPhase};

use crate::{
    Plan, View,
    plan::Step,
    view::{Reserved, TenantView},
};

/// Something a plan must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose steps must not be done; none when nothing of the plan may be.
    pub tenant: Option<TenantId>,
    /// Which rule was broken.
    pub rule: Rule,
    /// For people.
    pub message: String,
}

/// Rules of the lint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A step is about a tenant that is there.
    KnownTenant,
    /// A cluster holds no more than it has.
    Overcommit,
    /// The tenants of an organisation, a team or a project that get a place stay within what it may hold.
    OwnerQuota,
    /// A tenant has one place and stays there.
    OnePlace,
    /// A shared cluster is for sharing, and a tenant's own for that tenant.
    RightCluster,
    /// No two tenants share the name of a pool or a cluster.
    DistinctNames,
    /// Objects go where the tenant is placed.
    AssignWherePlaced,
    /// Only what is being deleted is taken away.
    DeletingOnly,
    /// Infrastructure goes after what lives on it.
    ReleaseLast,
    /// A tenant is forgotten when everything outside is gone.
    ForgetLast,
    /// No more tenants of a cluster go within the breaker's window than may, unless an operator has confirmed it.
    Breaker,
    /// A plan that takes away many tenants that nobody deleted is wrong as a whole.
    MassDelete,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What in `plan` must not be done. Empty for every plan that [`plan`](crate::plan()) makes.
#[must_use]
pub fn lint(view: &View, plan: &Plan) -> Vec<Finding> {
    let mut lint = Lint {
        view,
        findings: Vec::new(),
        undeleted: BTreeSet::new(),
    };
    let mut placements: BTreeMap<&TenantId, &Placement> = BTreeMap::new();
    for step in &plan.steps {
        if let Some(known) = lint.known(step) {
            lint.step(known, step, &mut placements);
        }
    }
    lint.room(plan);
    lint.breakers(plan);
    lint.owners(plan);
    lint.names(&placements);
    let most = 3.max(view.tenants.len() / 10);
    if lint.undeleted.len() > most {
        let message = format!(
            "{} tenants would be taken away that nobody deleted",
            lint.undeleted.len()
        );
        lint.findings.push(Finding {
            tenant: None,
            rule: Rule::MassDelete,
            message,
        });
    }
    lint.findings
}

struct Lint<'a> {
    view: &'a View,
    findings: Vec<Finding>,
    undeleted: BTreeSet<TenantId>,
}

impl<'a> Lint<'a> {
    fn find(&mut self, tenant: &TenantId, rule: Rule, message: impl Into<String>) {
        self.findings.push(Finding {
            tenant: Some(tenant.clone()),
            rule,
            message: message.into(),
        });
    }

    fn known(&mut self, step: &Step) -> Option<&'a TenantView> {
        let id = step.tenant();
        let found = self.view.tenants.get(id);
        let same = found.filter(|known| step.uid().is_none_or(|uid| *uid == known.tenant.uid));
        if same.is_none() {
            self.find(
                id,
                Rule::KnownTenant,
                format!("there is no tenant {id} with the uid of the step"),
            );
        }
        same
    }

    fn step<'p>(
        &mut self,
        known: &TenantView,
        step: &'p Step,
        placements: &mut BTreeMap<&'p TenantId, &'p Placement>,
    ) {
        let id = step.tenant();
        match step {
            Step::SavePlacement {
                tenant, placement, ..
            } => {
                let moved = known
                    .placed
                    .as_ref()
                    .is_some_and(|placed| placed.placement != *placement);
                if moved || placements.insert(tenant, placement).is_some() {
                    self.find(
                        id,
                        Rule::OnePlace,
                        format!("would get a second place on cluster {}", placement.cluster()),
                    );
                }
                self.right_cluster(known, placement);
            }
            Step::Assign { cluster, .. } => {
                let place = placements
                    .get(id)
                    .copied()
                    .or(known.placed.as_ref().map(|placed| &placed.placement));
                if place.map(Placement::cluster) != Some(cluster) {
                    self.find(
                        id,
                        Rule::AssignWherePlaced,
                        format!("would be sent to cluster {cluster}, where it is not placed"),
                    );
                }
                self.not_another_tenants(known, cluster);
            }
            Step::Withdraw { .. } | Step::TripBreaker { .. } | Step::SaveWithdrawn { .. } => {
                self.deleting(known)
            }
            Step::Forget { cluster, .. } => {
                self.deleting(known);
                self.forget(known, cluster.as_ref());
            }
            Step::ReleaseNodePool(_) | Step::ReleaseCluster(_) => self.release(known, step),
            Step::Resend { cluster, .. } => self.not_another_tenants(known, cluster),
            Step::EnsureNodePool(_) | Step::EnsureCluster(_) | Step::Bootstrap(_) => {
                if known.placed.is_none() {
                    self.find(
                        id,
                        Rule::OnePlace,
                        "infrastructure would be made before its place is saved",
                    );
                }
            }
        }
    }

    fn deleting(&mut self, known: &TenantView) {
        if known.tenant.deleting_since.is_none() {
            self.undeleted.insert(known.tenant.id.clone());
            self.find(
                &known.tenant.id,
                Rule::DeletingOnly,
                "would be taken away although nobody deleted it",
            );
        }
    }

    fn release(&mut self, known: &TenantView, step: &Step) {
        let id = &known.tenant.id;
        let cluster = matches!(step, Step::ReleaseCluster(_));
        let Some(since) = known.tenant.deleting_since else {
            let infra = &known.infra.observed;
            let pool_works = infra.trouble.is_none()
                && matches!(
                    infra
                        .pool
                        .as_ref()
                        .and_then(Observed::known)
                        .map(|pool| pool.phase),
                    Some(InfraPhase::Active | InfraPhase::Updating | InfraPhase::Creating)
                );
            if (cluster && known.assigned.is_some()) || (!cluster && pool_works) {
                self.deleting(known);
            }
            return;
        };
        let emptied = known.assigned.as_ref().is_none_or(|assigned| assigned.withdrawn);
        let waited = self
            .view
            .now
            .as_millisecond()
            .saturating_sub(since.as_millisecond());
        let patience = i64::try_from(self.view.settings.withdraw_patience.as_millis()).unwrap_or(i64::MAX);
        let asked = known
            .assigned
            .as_ref()
            .is_some_and(|assigned| assigned.withdrawing);
        if !(emptied || (cluster && asked && waited >= patience)) {
            self.find(
                id,
                Rule::ReleaseLast,
                "its infrastructure would go before its cluster is empty",
            );
        }
    }

    fn forget(&mut self, known: &TenantView, cluster: Option<&ClusterName>) {
        let id = &known.tenant.id;
        let infra = &known.infra.observed;
        let cluster_gone = infra.cluster.as_ref().is_some_and(Observed::is_absent);
        let left = infra.pool.as_ref().is_some_and(|pool| !pool.is_absent())
            || infra.cluster.as_ref().is_some_and(|c| !c.is_absent());
        if left || known.infra.busy {
            self.find(
                id,
                Rule::ForgetLast,
                "would be forgotten while its infrastructure is not known to be gone",
            );
        }
        let emptied = known.assigned.as_ref().is_none_or(|assigned| assigned.withdrawn);
        if !emptied && !cluster_gone {
            self.find(
                id,
                Rule::ForgetLast,
                "would be forgotten while its cluster is not known to be empty",
            );
        }
        if let Some(cluster) = cluster {
            self.not_another_tenants(known, cluster);
            let shared = self
                .view
                .clusters
                .get(cluster)
                .is_some_and(|c| c.cluster.purpose == ClusterPurpose::Shared);
            if shared {
                self.find(
                    id,
                    Rule::RightCluster,
                    format!("shared cluster {cluster} would be forgotten with it"),
                );
            }
        }
    }

    fn right_cluster(&mut self, known: &TenantView, placement: &Placement) {
        let cluster = placement.cluster();
        self.not_another_tenants(known, cluster);
        let own = matches!(placement, Placement::Cluster { .. });
        let wrong = match self
            .view
            .clusters
            .get(cluster)
            .map(|known| &known.cluster.purpose)
        {
            Some(ClusterPurpose::Shared) => own,
            Some(ClusterPurpose::Dedicated { .. }) => !own,
            None => !own,
        };
        if wrong {
            let isolation = placement.isolation();
            self.find(
                &known.tenant.id,
                Rule::RightCluster,
                format!("cluster {cluster} is not for isolation {isolation}"),
            );
        }
    }

    fn not_another_tenants(&mut self, known: &TenantView, cluster: &ClusterName) {
        if let Some(ClusterPurpose::Dedicated { tenant, uid }) =
            self.view.clusters.get(cluster).map(|c| &c.cluster.purpose)
            && (*tenant != known.tenant.id || *uid != known.tenant.uid)
        {
            let message = format!("cluster {cluster} was made for another tenant, {tenant}");
            self.find(&known.tenant.id, Rule::RightCluster, message);
        }
    }

    /// Recounts every shared cluster that the plan promises more of.
    fn room(&mut self, plan: &Plan) {
        let mut more: BTreeMap<&ClusterName, (Reserved, &TenantId)> = BTreeMap::new();
        for step in &plan.steps {
            let Step::SavePlacement {
                tenant,
                placement,
                reserved,
                namespaces,
                ..
            } = step
            else {
                continue;
            };
            if matches!(placement, Placement::Cluster { .. }) {
                continue;
            }
            let held = self
                .view
                .tenants
                .get(tenant)
                .and_then(|known| known.placed.as_ref());
            let (old, old_namespaces) =
                held.map_or_else(Default::default, |held| (held.reserved, held.namespaces));
            let (sum, last) = more
                .entry(placement.cluster())
                .or_insert((Reserved::default(), tenant));
            sum.capacity = sum.capacity.plus(reserved.minus(old));
            sum.namespaces = sum
                .namespaces
                .saturating_add(namespaces.saturating_sub(old_namespaces));
            sum.pools = sum
                .pools
                .saturating_add(u32::from(held.is_none() && placement.pool().is_some()));
            *last = tenant;
        }
        for (cluster, (sum, last)) in more {
            let Some(known) = self.view.clusters.get(cluster) else {
                continue;
            };
            let settings = &self.view.settings;
            let capacity = known
                .cluster
                .facts
                .as_ref()
                .map(|facts| facts.capacity)
                .unwrap_or_default();
            let over = exceeds(
                capacity,
                settings.headroom_percent,
                known.reserved.capacity,
                sum.capacity,
            ) || (sum.namespaces > 0
                && known.reserved.namespaces.saturating_add(sum.namespaces)
                    > settings.namespaces_per_cluster)
                || (sum.pools > 0
                    && settings.cloud
                    && known.reserved.pools.saturating_add(sum.pools) > settings.node_groups_per_cluster);
            if over {
                self.find(
                    last,
                    Rule::Overcommit,
                    format!("cluster {cluster} would be promised more than it has"),
                );
            }
        }
    }

    fn names(&mut self, placements: &BTreeMap<&TenantId, &Placement>) {
        let mut taken: BTreeMap<(&ClusterName, Option<&str>), &TenantId> = BTreeMap::new();
        let view = self.view;
        for (id, placement) in placements {
            let name = match placement {
                Placement::Namespace { .. } => continue,
                Placement::NodePool { cluster, pool } => (cluster, Some(pool.as_str())),
                Placement::Cluster { cluster } => (cluster, None),
            };
            let saved = view.placed_on(name.0).find(|other| {
                other != id
                    && view
                        .tenants
                        .get(*other)
                        .and_then(|known| known.placed.as_ref())
                        .is_some_and(|placed| placed.placement == **placement)
            });
            if let Some(other) = taken.insert(name, id).or(saved) {
                self.find(
                    id,
                    Rule::DistinctNames,
                    format!(
                        "its place on cluster {} has the same name as that of {other}",
                        name.0
                    ),
                );
            }
        }
    }
}

/// Whether `more` makes `reserved` exceed `capacity` less its headroom, in a resource that grows.
fn exceeds(capacity: Capacity, headroom_percent: u32, reserved: Capacity, more: Capacity) -> bool {
    let over = |capacity: u64, reserved: u64, more: u64| {
        let keep = u128::from(100 - headroom_percent.min(100));
        more > 0 && (u128::from(reserved) + u128::from(more)) * 100 > u128::from(capacity) * keep
    };
    over(capacity.cpu.0, reserved.cpu.0, more.cpu.0)
        || over(capacity.memory.0, reserved.memory.0, more.memory.0)
        || over(capacity.pods, reserved.pods, more.pods)
}
