//! Rules for organisations, and for the place of a tenant in one.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::{
    OrganisationName, OrganisationSpec, Tenant, TenantId, TenantSpec, Tier, TierName, TierSpec,
    id::is_dns_label, organisation::Node,
};

use super::{
    Catalogue, Verdict,
    faults::{Faults, pasted_secrets, text_problem},
    hint, quota,
};
use crate::owners::{Books, Over};

/// Most teams of one organisation, and most projects of one team.
const MOST: usize = 200;

/// Whether an organisation may be made of `spec`, or become it from `old`, with the tenants that name it.
///
/// # Errors
/// Every fault, with its path. A level that already needed more than it may hold is none unless it would need still more.
pub fn organisation<'a>(
    name: &'a str,
    spec: &'a OrganisationSpec,
    old: Option<&'a OrganisationSpec>,
    tenants: &'a [Tenant],
    tiers: &BTreeMap<TierName, std::sync::Arc<Tier>>,
) -> Verdict {
    pasted_secrets(spec)?;
    let mut faults = Faults::default();
    if let Err(error) = OrganisationName::new(name) {
        faults.add(
            "metadata.name",
            error.problem,
            "a DNS label of at most 63 characters",
        );
    }
    faults.check("spec.displayName", text_problem(&spec.display_name, 128));
    quota::names(&mut faults, "spec.quota", &spec.quota);
    labels(
        &mut faults,
        "spec.teams",
        spec.teams.iter().map(|team| &*team.name),
    );
    for (at, team) in spec.teams.iter().enumerate() {
        let path = format!("spec.teams[{at}]");
        faults.check(
            format!("{path}.displayName"),
            text_problem(&team.display_name, 128),
        );
        quota::names(&mut faults, &format!("{path}.quota"), &team.quota);
        let projects = format!("{path}.projects");
        labels(
            &mut faults,
            &projects,
            team.projects.iter().map(|project| &*project.name),
        );
        for (at, project) in team.projects.iter().enumerate() {
            quota::names(&mut faults, &format!("{projects}[{at}].quota"), &project.quota);
        }
    }
    homeless(&mut faults, spec, tenants);
    let books = |spec: &'a OrganisationSpec| {
        let mut books = Books::new(name, spec);
        for tenant in tenants {
            let tier = tiers.get(&tenant.spec.tier).map(|tier| &tier.spec);
            books.add(tenant.id.as_str(), &tenant.spec, tier);
        }
        books
    };
    let before = old.map_or_else(Vec::new, |old| books(old).over(&Node::all(old)));
    let now = books(spec);
    for over in now.worse(&before, &Node::all(spec)) {
        faults.add(
            format!("{}.quota[{:?}]", path_of(spec, over.node), over.name),
            now.say(&over),
            "raise it, or lower what is promised and used below it first",
        );
    }
    faults.verdict()
}

/// Whether the tenants of an organisation still fit into it when a tier of theirs becomes another.
///
/// # Errors
/// Every level that would need more than it may hold, and more than it does now.
pub fn tier_in_organisation<'a>(
    organisation: (&'a str, &'a OrganisationSpec),
    tenants: &'a [Tenant],
    tiers: &BTreeMap<TierName, std::sync::Arc<Tier>>,
    changed: (&TierName, &TierSpec),
) -> Verdict {
    let (name, spec) = organisation;
    let books = |with_change: bool| {
        let mut books = Books::new(name, spec);
        for tenant in tenants {
            let of = &tenant.spec.tier;
            let tier = match tiers.get(of) {
                Some(_) if with_change && of == changed.0 => Some(changed.1),
                tier => tier.map(|tier| &tier.spec),
            };
            books.add(tenant.id.as_str(), &tenant.spec, tier);
        }
        books
    };
    let nodes = Node::all(spec);
    let before = books(false).over(&nodes);
    let now = books(true);
    let mut faults = Faults::default();
    for over in now.worse(&before, &nodes) {
        faults.add(
            "spec.quota",
            format!("organisation {name}: {}", now.say(&over)),
            "raise the quota of that level first, or give its tenants amounts of their own",
        );
    }
    faults.verdict()
}

/// Tenants whose team or project is not there (any more).
fn homeless(faults: &mut Faults, spec: &OrganisationSpec, tenants: &[Tenant]) {
    let mut missing: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for tenant in tenants {
        let owner = &tenant.spec.owner;
        let place = match spec.team(&owner.team) {
            None if owner.team.is_empty() => continue,
            None => (&*owner.team, ""),
            Some(team) if owner.project.is_empty() || team.project(&owner.project).is_some() => continue,
            Some(_) => (&*owner.team, &*owner.project),
        };
        missing.entry(place).or_default().push(tenant.id.as_str());
    }
    for ((team, project), tenants) in missing {
        let what = if project.is_empty() {
            format!("team {team:?}")
        } else {
            format!("project {project:?} of team {team:?}")
        };
        let some = tenants.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = if tenants.len() > 5 { ", ..." } else { "" };
        faults.add(
            "spec.teams",
            format!(
                "{what} is missing, and {} tenant(s) belong to it: {some}{more}",
                tenants.len()
            ),
            "keep it, or move these tenants first",
        );
    }
}

fn labels<'a>(faults: &mut Faults, path: &str, names: impl Iterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    for (at, name) in names.enumerate() {
        let own = format!("{path}[{at}].name");
        if !is_dns_label(name) {
            let problem = format!("{name:?} is no DNS label");
            faults.add(&own, problem, "lower-case letters, digits and '-'");
        }
        if !seen.insert(name) {
            faults.add(&own, format!("{name:?} is there twice"), "");
        }
    }
    if seen.len() > MOST {
        let problem = format!("has {} entries, at most {MOST} are possible", seen.len());
        faults.add(path, problem, "");
    }
}

/// Whether the tenant's place exists and has room for it. What is in a place already may stay there.
pub(super) fn owner(
    faults: &mut Faults,
    catalogue: &Catalogue,
    id: Option<&TenantId>,
    spec: &TenantSpec,
    existing: Option<&Tenant>,
) {
    let owner = &spec.owner;
    if owner.organisation.is_empty() {
        return;
    }
    let found = OrganisationName::new(&*owner.organisation)
        .ok()
        .and_then(|name| catalogue.organisations.get(&name));
    let Some(organisation) = found else {
        let near = hint::nearest(&owner.organisation, catalogue.organisations.keys());
        let near = if near.is_empty() {
            near
        } else {
            format!(" ({near})")
        };
        faults.warn(format!(
            "spec.owner.organisation: there is no organisation {:?}, so that no quota of an owner bounds this tenant{near}",
            owner.organisation
        ));
        return;
    };
    if !place(faults, &organisation.spec, spec) {
        return;
    }
    let tier = |spec: &TenantSpec| catalogue.tiers.get(&spec.tier).map(|tier| &tier.spec);
    let mut books = Books::new(organisation.name.as_str(), &organisation.spec);
    let others = || {
        let own = id.map(TenantId::as_str);
        let neighbours = catalogue.neighbours.iter();
        neighbours.filter(move |tenant| {
            tenant.spec.owner.organisation == owner.organisation && Some(tenant.id.as_str()) != own
        })
    };
    for tenant in others() {
        books.add(tenant.id.as_str(), &tenant.spec, tier(&tenant.spec));
    }
    let name = id.map_or("this one", TenantId::as_str);
    let path = Node::path(&organisation.spec, owner);
    let before = match existing.filter(|old| old.spec.owner.organisation == owner.organisation) {
        Some(old) => {
            books.add(name, &old.spec, tier(&old.spec));
            let before = books.over(&path);
            books.undo();
            before
        }
        None => books.over(&path),
    };
    books.add(name, spec, tier(spec));
    for over in books.worse(&before, &path) {
        let Over { node, .. } = over;
        let field = match node {
            Node::Organisation(_) => "organisation",
            Node::Team(_) => "team",
            Node::Project(..) => "project",
        };
        let hint = format!(
            "lower the tenant's amounts in spec.quota or its size, choose another owner, or give {} more",
            books.title(node)
        );
        faults.add(format!("spec.owner.{field}"), books.say(&over), hint);
    }
}

/// Whether the team and project that `spec` names are there.
fn place(faults: &mut Faults, organisation: &OrganisationSpec, spec: &TenantSpec) -> bool {
    let owner = &spec.owner;
    if owner.team.is_empty() {
        if owner.project.is_empty() {
            return true;
        }
        let problem = format!("project {:?} is in no team", owner.project);
        faults.add("spec.owner.project", problem, "say which in spec.owner.team");
        return false;
    }
    let Some(team) = organisation.team(&owner.team) else {
        let known = organisation.teams.iter().map(|team| &team.name);
        faults.add(
            "spec.owner.team",
            format!("organisation {} has no team {:?}", owner.organisation, owner.team),
            hint::nearest(&owner.team, known),
        );
        return false;
    };
    if owner.project.is_empty() || team.project(&owner.project).is_some() {
        return true;
    }
    let known = team.projects.iter().map(|project| &project.name);
    faults.add(
        "spec.owner.project",
        format!("team {} has no project {:?}", team.name, owner.project),
        hint::nearest(&owner.project, known),
    );
    false
}

/// Where a level is written in its organisation's file.
fn path_of(spec: &OrganisationSpec, node: Node<'_>) -> String {
    let team = || spec.teams.iter().position(|team| team.name == node.team());
    match node {
        Node::Organisation(_) => "spec".into(),
        Node::Team(_) => format!("spec.teams[{}]", team().unwrap_or_default()),
        Node::Project(of, _) => {
            let project = of
                .projects
                .iter()
                .position(|project| project.name == node.project());
            format!(
                "spec.teams[{}].projects[{}]",
                team().unwrap_or_default(),
                project.unwrap_or_default()
            )
        }
    }
}
