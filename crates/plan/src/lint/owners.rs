//! Recounts every organisation whose tenants get a place.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::{OrganisationName, OrganisationSpec, Quantity, TenantId, quota::hard};

use super::{Lint, Rule};
use crate::{Plan, plan::Step, view::TenantView};

impl Lint<'_> {
    pub(super) fn owners(&mut self, plan: &Plan) {
        let mut fresh: BTreeMap<&str, BTreeSet<&TenantId>> = BTreeMap::new();
        for step in &plan.steps {
            if let Step::SavePlacement { tenant, .. } = step
                && let Some(known) = self.view.tenants.get(tenant)
                && known.placed.is_none()
            {
                let organisation = &*known.tenant.spec.owner.organisation;
                fresh.entry(organisation).or_default().insert(tenant);
            }
        }
        for (name, fresh) in fresh {
            let organisation = OrganisationName::new(name).ok();
            if let Some(organisation) = organisation.and_then(|name| self.view.organisations.get(&name)) {
                self.within(&organisation.spec, name, &fresh);
            }
        }
    }

    fn within(&mut self, spec: &OrganisationSpec, name: &str, fresh: &BTreeSet<&TenantId>) {
        let view = self.view;
        let members: Vec<(&TenantView, BTreeMap<String, Quantity>)> = view
            .tenants
            .values()
            .filter(|known| known.tenant.spec.owner.organisation == name)
            .filter(|known| known.placed.is_some() || fresh.contains(&known.tenant.id))
            .map(|known| {
                let spec = &known.tenant.spec;
                let tier = view.tiers.get(&spec.tier);
                (
                    known,
                    tier.map_or_else(|| spec.quota.clone(), |tier| hard(spec, &tier.spec)),
                )
            })
            .collect();
        let mut levels: Vec<(&str, &str, &BTreeMap<String, Quantity>)> = vec![("", "", &spec.quota)];
        for team in &spec.teams {
            levels.push((&team.name, "", &team.quota));
            for project in &team.projects {
                levels.push((&team.name, &project.name, &project.quota));
            }
        }
        for (team, project, quota) in levels {
            for (amount, limit) in quota {
                let mut sum = 0_i128;
                let mut last = None;
                for (known, held) in &members {
                    let owner = &known.tenant.spec.owner;
                    let here = (team.is_empty() || owner.team == team)
                        && (project.is_empty() || owner.project == project);
                    let held = held.get(amount).map_or(0, Quantity::nanos);
                    if here && held > 0 {
                        sum = sum.saturating_add(held);
                        last = last.max(Some(&known.tenant.id).filter(|id| fresh.contains(id)));
                    }
                }
                if let Some(last) = last.filter(|_| sum > limit.nanos()) {
                    let of = [team, project].into_iter().filter(|name| !name.is_empty());
                    let of: Vec<&str> = std::iter::once(name).chain(of).collect();
                    self.find(
                        last,
                        Rule::OwnerQuota,
                        format!(
                            "the tenants of {} would hold more {amount} than {limit}",
                            of.join("/")
                        ),
                    );
                }
            }
        }
    }
}
