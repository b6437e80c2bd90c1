//! `berth watch` and `get --watch`: tenants, and their changes as they happen.

use berth_proto::v1::{self, watch_tenants_response::Event};
use berth_wire::file::Tree;

use super::{Session, get, stream::Tenants};
use crate::{
    args::{Format, Output, Watch},
    exit::{Exit, Failure},
    kinds::{self, Kind, Targets},
    output::{Shown, condition, short, table::Table, unwritable},
};

pub(super) async fn run(session: &Session<'_>, args: Watch) -> Result<(), Failure> {
    let Watch {
        targets,
        selector,
        output,
    } = args;
    follow(session, kinds::targets(&targets)?, selector.as_deref(), &output).await
}

pub(super) async fn follow(
    session: &Session<'_>,
    targets: Targets,
    selector: Option<&str>,
    output: &Output,
) -> Result<(), Failure> {
    if targets.kind != Kind::Tenant {
        return Err(Failure::usage("only tenants can be watched"));
    }
    let only = match targets.names.as_slice() {
        [] => None,
        [name] => Some(name.as_str()),
        _ => return Err(Failure::usage("watch one tenant or all of them")),
    };
    let filter = get::filter(selector);
    let mut shown = Lines::new(output);
    let mut stream = Tenants::open(session, only).await?;
    loop {
        match stream.next().await? {
            Event::Upserted(tenant) => {
                if takes(&filter, &tenant) {
                    shown.tenant(session, &tenant)?;
                }
            }
            Event::Deleted(name) => shown.deleted(session, short(&name))?,
            Event::SnapshotEnd(v1::SnapshotEnd {}) => shown.complete(session)?,
        }
    }
}

/// Writes tenants as they come: rows for people, one JSON or YAML document each for machines.
struct Lines<'a> {
    output: &'a Output,
    table: Table,
    headers: bool,
    /// The snapshot is written at once, so that its columns line up.
    complete: bool,
}

impl<'a> Lines<'a> {
    fn new(output: &'a Output) -> Self {
        let wide = output.output == Format::Wide;
        Self {
            output,
            table: Table::new(v1::Tenant::COLUMNS, wide),
            headers: !output.no_headers,
            complete: false,
        }
    }

    fn tenant(&mut self, session: &Session<'_>, tenant: &v1::Tenant) -> Result<(), Failure> {
        match self.output.output {
            Format::Table | Format::Wide => {
                self.table.push(tenant.row(session.now()));
                if self.complete {
                    self.flush(session)
                } else {
                    Ok(())
                }
            }
            Format::Name => session.terminal.print(&format!("tenant/{}\n", tenant.name())),
            Format::Json | Format::Yaml => self.document(session, &tenant.tree()?),
        }
    }

    fn deleted(&mut self, session: &Session<'_>, name: &str) -> Result<(), Failure> {
        match self.output.output {
            Format::Json | Format::Yaml => {
                let tree = Tree::map()
                    .text("kind", "Tenant")
                    .with("metadata", Tree::map().text("name", name))
                    .with("deleted", Tree::Bool(true));
                self.document(session, &tree)
            }
            Format::Table | Format::Wide | Format::Name => {
                session.terminal.print(&format!("tenant/{name} deleted\n"))
            }
        }
    }

    fn complete(&mut self, session: &Session<'_>) -> Result<(), Failure> {
        self.complete = true;
        if matches!(self.output.output, Format::Table | Format::Wide) {
            self.flush(session)
        } else {
            Ok(())
        }
    }

    fn flush(&mut self, session: &Session<'_>) -> Result<(), Failure> {
        let headers = std::mem::take(&mut self.headers);
        session
            .terminal
            .print(&self.table.render(session.terminal, headers))
    }

    fn document(&self, session: &Session<'_>, tree: &Tree) -> Result<(), Failure> {
        let text = match self.output.output {
            Format::Yaml => format!("---\n{}", tree.to_yaml().map_err(unwritable)?),
            _ => {
                let line = serde_json::to_string(tree)
                    .map_err(|error| Failure::new(Exit::Failure, format!("write JSON: {error}")))?;
                format!("{line}\n")
            }
        };
        session.terminal.print(&text)
    }
}

/// The hub's filter, here: a watch has none of its own.
fn takes(filter: &str, tenant: &v1::Tenant) -> bool {
    let spec = tenant.spec.clone().unwrap_or_default();
    let placement = tenant
        .status
        .as_ref()
        .and_then(|status| status.placement.clone())
        .unwrap_or_default();
    let ready = condition(tenant, "Ready").map_or("Unknown", |ready| ready.status.as_str());
    filter
        .split(',')
        .filter_map(|term| term.split_once('='))
        .all(|(key, value)| match key {
            "tier" => spec.tier == value,
            "isolation" => placement.isolation == value,
            "cluster" => placement.cluster == value,
            "ready" => ready.eq_ignore_ascii_case(value),
            label => label
                .strip_prefix("label.")
                .is_some_and(|label| spec.labels.get(label).is_some_and(|v| v == value)),
        })
}

#[cfg(test)]
mod tests {
    use berth_model::Timestamp;

    use super::*;

    #[test]
    fn a_watch_filters_as_a_list_does() {
        let tenant = v1::Tenant {
            spec: Some(v1::TenantSpec {
                tier: "free".into(),
                labels: [("team".to_owned(), "blue".to_owned())].into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        for (filter, expected) in [
            ("", true),
            ("tier=free", true),
            ("tier=gold", false),
            ("label.team=blue,ready=unknown", true),
            ("label.x=y", false),
        ] {
            assert_eq!(takes(filter, &tenant), expected, "{filter}");
        }
        assert_eq!(tenant.row(Timestamp::UNIX_EPOCH).len(), v1::Tenant::COLUMNS.len());
    }
}
