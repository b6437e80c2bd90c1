//! What an organisation's tenants hold at each of its levels, against what each level may hold.
//!
//! A tenant counts with its quota as a whole ([`hard`]) in its project, its team and its organisation. A level counts in the one
//! above it with its own quota, which is promised to it, or with what is held in it where it has none. Sums are exact.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use berth_model::{
    OrganisationSpec, Quantity, TenantSpec, TierSpec, organisation::Node, quantity::Format, quota::hard,
    tenant::Owner,
};

/// The books of one organisation.
#[derive(Clone, Debug)]
pub(crate) struct Books<'a> {
    organisation: &'a str,
    spec: &'a OrganisationSpec,
    /// The quota names that are bounded anywhere.
    names: BTreeSet<&'a str>,
    held: Vec<Held<'a>>,
    /// What tenants hold, by the innermost level they are in and the quota name, in nanos.
    direct: BTreeMap<(&'a str, &'a str, &'a str), i128>,
}

/// One tenant in the books.
#[derive(Clone, Debug)]
struct Held<'a> {
    tenant: &'a str,
    team: &'a str,
    project: &'a str,
    amounts: Vec<(&'a str, i128)>,
}

/// A level whose tenants and parts need more than it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over<'a> {
    /// Where.
    pub(crate) node: Node<'a>,
    /// Of what.
    pub(crate) name: &'a str,
    /// By how much.
    pub(crate) excess: i128,
    /// What its tenants alone hold.
    used: i128,
}

impl<'a> Books<'a> {
    /// The books of an organisation without tenants.
    pub(crate) fn new(organisation: &'a str, spec: &'a OrganisationSpec) -> Self {
        Self {
            organisation,
            spec,
            names: Node::all(spec)
                .into_iter()
                .flat_map(|node| node.quota().keys().map(String::as_str))
                .collect(),
            held: Vec::new(),
            direct: BTreeMap::new(),
        }
    }

    /// Writes a tenant in. Without a tier only what its spec says itself is known.
    pub(crate) fn add(&mut self, tenant: &'a str, spec: &TenantSpec, tier: Option<&TierSpec>) {
        let (team, project) = self.innermost(&spec.owner);
        let amounts = tier.map_or_else(|| spec.quota.clone(), |tier| hard(spec, tier));
        let amounts: Vec<(&'a str, i128)> = self
            .names
            .iter()
            .filter_map(|name| Some((*name, amounts.get(*name)?.in_resource_list().nanos())))
            .collect();
        for (name, amount) in &amounts {
            let sum = self.direct.entry((team, project, name)).or_default();
            *sum = sum.saturating_add(*amount);
        }
        self.held.push(Held {
            tenant,
            team,
            project,
            amounts,
        });
    }

    /// Takes the tenant that was written in last out again.
    pub(crate) fn undo(&mut self) {
        let Some(last) = self.held.pop() else { return };
        for (name, amount) in &last.amounts {
            let sum = self.direct.entry((last.team, last.project, name)).or_default();
            *sum = sum.saturating_sub(*amount);
        }
    }

    /// Writes a tenant in when that takes no level further over what it may hold than it is.
    ///
    /// # Errors
    /// Every level and amount that it does, with the tenant in the books; it is out of them again afterwards.
    pub(crate) fn try_add(
        &mut self,
        tenant: &'a str,
        spec: &TenantSpec,
        tier: Option<&TierSpec>,
    ) -> Result<(), Vec<String>> {
        let path = Node::path(self.spec, &spec.owner);
        let before = self.over(&path);
        self.add(tenant, spec, tier);
        let worse = self.worse(&before, &path);
        if worse.is_empty() {
            return Ok(());
        }
        let messages = worse.iter().map(|over| self.say(over)).collect();
        self.undo();
        Err(messages)
    }

    /// Where in `nodes` more is needed than may be held.
    pub(crate) fn over(&self, nodes: &[Node<'a>]) -> Vec<Over<'a>> {
        let mut found = Vec::new();
        for node in nodes {
            for (name, limit) in node.quota() {
                let excess = self.needed(*node, name).saturating_sub(limit.nanos());
                if excess > 0 {
                    found.push(Over {
                        node: *node,
                        name,
                        excess,
                        used: self.used(*node, name),
                    });
                }
            }
        }
        found
    }

    /// Where in `nodes` more is needed than may be held, and by more than it was `before`; or where what is held exceeds it, and did so
    /// by less.
    pub(crate) fn worse(&self, before: &[Over<'_>], nodes: &[Node<'a>]) -> Vec<Over<'a>> {
        let is = |over: &Over<'_>, old: &Over<'_>| {
            (old.node.team(), old.node.project(), old.name)
                == (over.node.team(), over.node.project(), over.name)
        };
        let mut over = self.over(nodes);
        over.retain(|over| match before.iter().find(|old| is(over, old)) {
            None => true,
            Some(old) => {
                let limit = over.node.quota().get(over.name).map_or(0, Quantity::nanos);
                over.excess > old.excess || (over.used > limit && over.used > old.used)
            }
        });
        over
    }

    /// What the tenants in `node` hold of `name`, whoever is promised what.
    pub(crate) fn used(&self, node: Node<'a>, name: &str) -> i128 {
        let within = |held: &&Held<'_>| {
            (node.team().is_empty() || held.team == node.team())
                && (node.project().is_empty() || held.project == node.project())
        };
        let of = |held: &Held<'_>| {
            held.amounts
                .iter()
                .find(|(known, _)| *known == name)
                .map_or(0, |(_, amount)| *amount)
        };
        self.held
            .iter()
            .filter(within)
            .fold(0, |sum, held| sum.saturating_add(of(held)))
    }

    /// What is needed in `node`: its tenants' amounts and its parts' claims.
    fn needed(&self, node: Node<'a>, name: &str) -> i128 {
        let direct = self
            .direct
            .get(&(node.team(), node.project(), name))
            .copied()
            .unwrap_or_default();
        parts(node)
            .into_iter()
            .fold(direct, |sum, part| sum.saturating_add(self.claim(part, name)))
    }

    /// What a part counts with in its parent: its quota, or what is needed in it where that is more or it has none.
    fn claim(&self, part: Node<'a>, name: &str) -> i128 {
        let promised = part.quota().get(name).map_or(0, Quantity::nanos);
        self.needed(part, name).max(promised)
    }

    /// The names of the innermost level that an owner is in.
    fn innermost(&self, owner: &Owner) -> (&'a str, &'a str) {
        let path = Node::path(self.spec, owner);
        path.first()
            .map_or(("", ""), |node| (node.team(), node.project()))
    }
}

/// The levels right below.
fn parts(node: Node<'_>) -> Vec<Node<'_>> {
    match node {
        Node::Organisation(spec) => spec.teams.iter().map(Node::Team).collect(),
        Node::Team(team) => team
            .projects
            .iter()
            .map(|project| Node::Project(team, project))
            .collect(),
        Node::Project(..) => Vec::new(),
    }
}

/// What tenants hold at one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The team; empty for the organisation as a whole.
    pub team: String,
    /// The project; empty for the team as a whole.
    pub project: String,
    /// Held, by the quota names that the level bounds.
    pub used: BTreeMap<String, Quantity>,
}

/// What `tenants` with their tiers hold at each level of an organisation, a parent before its children.
#[must_use]
pub fn usage<'a>(
    spec: &'a OrganisationSpec,
    tenants: impl IntoIterator<Item = (&'a str, &'a TenantSpec, Option<&'a TierSpec>)>,
) -> Vec<Usage> {
    let mut books = Books::new("", spec);
    for (tenant, spec, tier) in tenants {
        books.add(tenant, spec, tier);
    }
    let used = |node: Node<'a>| Usage {
        team: node.team().to_owned(),
        project: node.project().to_owned(),
        used: node
            .quota()
            .iter()
            .map(|(name, limit)| {
                let format = if limit.nanos() == 0 {
                    Format::DecimalSi
                } else {
                    limit.format()
                };
                (name.clone(), Quantity::from_nanos(books.used(node, name), format))
            })
            .collect(),
    };
    Node::all(spec).into_iter().map(used).collect()
}
