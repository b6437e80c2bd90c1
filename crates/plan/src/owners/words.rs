//! How a level that needs too much is told of.

use std::cmp::Reverse;

use berth_model::{Quantity, organisation::Node, quantity::Format};

use super::{Books, Over, parts};

/// Most names in one message.
const MOST: usize = 5;

impl Books<'_> {
    /// Such as `team ml-platform: requests.cpu 40 is 5 over: 45 of 40 used by tenants a (25), b (20)`.
    pub(crate) fn say(&self, over: &Over<'_>) -> String {
        let Over {
            node, name, excess, ..
        } = *over;
        let limit = node.quota().get(name).cloned().unwrap_or_default();
        let shown = |nanos: i128| Quantity::from_nanos(nanos, limit.format()).to_string();
        let needed = limit.nanos().saturating_add(excess);
        let tenants = self
            .held
            .iter()
            .filter(|held| held.team == node.team() && held.project == node.project())
            .filter_map(|held| {
                let (_, amount) = held.amounts.iter().find(|(known, _)| *known == name)?;
                Some((held.tenant, *amount))
            });
        let below = parts(node)
            .into_iter()
            .map(|part| (own_name(part), self.claim(part, name)));
        let kind = match node {
            Node::Organisation(_) => "team",
            Node::Team(_) | Node::Project(..) => "project",
        };
        let users: Vec<String> = [(kind, largest(below)), ("tenant", largest(tenants))]
            .into_iter()
            .filter(|(_, largest)| !largest.is_empty())
            .map(|(kind, largest)| list(kind, &largest, limit.format()))
            .collect();
        format!(
            "{}: {name} {} is {} over: {} of {} used by {}",
            self.title(node),
            limit.canonical(),
            shown(excess),
            shown(needed),
            limit.canonical(),
            users.join(" and ")
        )
    }

    /// `organisation NAME`, `team NAME` or `project NAME of team NAME`.
    pub(crate) fn title(&self, node: Node<'_>) -> String {
        match node {
            Node::Organisation(_) => format!("organisation {}", self.organisation),
            Node::Team(team) => format!("team {}", team.name),
            Node::Project(team, project) => format!("project {} of team {}", project.name, team.name),
        }
    }
}

fn own_name(node: Node<'_>) -> &str {
    match node {
        Node::Organisation(_) | Node::Team(_) => node.team(),
        Node::Project(..) => node.project(),
    }
}

/// Those that use any, the largest first.
fn largest<'a>(users: impl Iterator<Item = (&'a str, i128)>) -> Vec<(&'a str, i128)> {
    let mut users: Vec<(&str, i128)> = users.filter(|(_, amount)| *amount > 0).collect();
    users.sort_by_key(|(name, amount)| (Reverse(*amount), *name));
    users
}

fn list(kind: &str, users: &[(&str, i128)], format: Format) -> String {
    let plural = if users.len() == 1 { "" } else { "s" };
    let named: Vec<String> = users
        .iter()
        .take(MOST)
        .map(|(name, amount)| format!("{name} ({})", Quantity::from_nanos(*amount, format)))
        .collect();
    let more = users.len().saturating_sub(MOST);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{kind}{plural} {}{more}", named.join(", "))
}
