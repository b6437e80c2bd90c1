//! `berth fleet`: how the hubs are, how clusters differ from what the hub has, and letting a hub take command.

use std::io::IsTerminal as _;

use berth_proto::v1;
use berth_wire::file::Tree;

use super::Session;
use crate::{
    args::{Fleet, FleetOutput, FleetStatus, TakeCommand},
    client::empty,
    exit::{Exit, Failure},
    output::{
        short,
        table::{Cell, Column, Table},
        time, unwritable,
    },
    terminal::{Terminal, Tone},
};

const COLUMNS: &[Column] = &[
    Column::new("CLUSTER"),
    Column::new("TENANT"),
    Column::new("DIFFERENCE"),
    Column::new("HUB"),
    Column::new("CLUSTER HOLDS"),
    Column::new("TAKING COMMAND"),
];

pub(super) async fn run(session: &Session<'_>, command: Fleet) -> Result<(), Failure> {
    match command {
        Fleet::Status(FleetStatus { output }) => status(session, output).await,
        Fleet::Difference(FleetStatus { output }) => {
            let found = differing(session).await?;
            show(session.terminal, &found, output)
        }
        Fleet::TakeCommand(args) => take_command(session, args).await,
        // They have a file of their own.
        Fleet::Authority(_) | Fleet::RotateAuthority(_) | Fleet::SupportBundle(_) => Ok(()),
    }
}

/// How the hub is.
pub(super) async fn standing(session: &Session<'_>) -> Result<Tree, Failure> {
    asked(session).await.map(|hub| standing_of(&hub))
}

fn standing_of(hub: &v1::Hub) -> Tree {
    let restored = hub.restored.as_ref().map_or(Tree::Null, |restored| {
        Tree::map()
            .text("source", &restored.source)
            .with("snapshotTime", time(restored.snapshot_time.as_ref()))
            .with("restoreTime", time(restored.restore_time.as_ref()))
            .number("revision", restored.revision)
    });
    Tree::map()
        .text("fleet", &hub.fleet)
        .text("instance", &hub.instance)
        .text("version", &hub.version)
        .text("role", &hub.role)
        .text("leader", &hub.leader)
        .number("term", hub.term)
        .text("standing", &hub.standing)
        .text("message", &hub.message)
        .number("highestTerm", hub.highest_term)
        .text("store", &hub.store)
        .number("storeRevision", hub.store_revision)
        .number("connectedAgents", hub.connected_agents)
        .with("restored", restored)
}

async fn status(session: &Session<'_>, output: FleetOutput) -> Result<(), Failure> {
    let hub = asked(session).await?;
    let tree = || standing_of(&hub);
    match output {
        FleetOutput::Json => session.terminal.print(&tree().to_json().map_err(unwritable)?),
        FleetOutput::Yaml => session.terminal.print(&tree().to_yaml().map_err(unwritable)?),
        FleetOutput::Text => {
            let mut lines = vec![
                format!("Fleet:     {}", hub.fleet),
                format!("Hub:       {} ({}), {}", hub.leader, hub.version, hub.role),
                format!("Standing:  {}", hub.standing),
                format!("Term:      {}", hub.term),
                format!("Store:     {}, revision {}", hub.store, hub.store_revision),
                format!("Agents:    {} connected", hub.connected_agents),
            ];
            if let Some(restored) = &hub.restored {
                let at = restored
                    .snapshot_time
                    .as_ref()
                    .and_then(berth_wire::time::from_proto)
                    .map_or_else(|| "an unknown time".to_owned(), |at| at.to_string());
                lines.push(format!(
                    "Restored:  from {}, as it was at {at} (revision {})",
                    restored.source, restored.revision
                ));
            }
            if !hub.message.is_empty() {
                lines.push(format!("Next:      {}", hub.message));
            }
            lines.push(String::new());
            session.terminal.print(&lines.join("\n"))
        }
    }
}

async fn take_command(session: &Session<'_>, args: TakeCommand) -> Result<(), Failure> {
    let hub = asked(session).await?;
    let found = differing(session).await?;
    show(session.terminal, &found, FleetOutput::Text)?;
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new(
                Exit::Usage,
                "this is asked of a person: look at berth fleet difference, then say --yes",
            ));
        }
        let question = format!(
            "Let the hub act on what its store says, in a term above {}? Type yes: ",
            hub.term.max(found.highest_term)
        );
        if !session.terminal.confirm(&question)? {
            return Err(Failure::new(Exit::Failure, "nothing was changed"));
        }
    }
    let request = v1::TakeCommandRequest {
        expected_term: hub.term,
        reason: args.reason,
    };
    let answer = session
        .hub
        .ask("fleet", session.hub.hubs().take_command(request))
        .await?;
    session
        .terminal
        .print(&format!("the hub acts in term {}\n", answer.term))
}

async fn asked(session: &Session<'_>) -> Result<v1::Hub, Failure> {
    let answer = session
        .hub
        .ask("fleet", session.hub.hubs().get_hub(v1::GetHubRequest {}))
        .await?;
    answer.hub.ok_or_else(|| empty("fleet"))
}

async fn differing(session: &Session<'_>) -> Result<v1::Difference, Failure> {
    let request = v1::GetDifferenceRequest {};
    let answer = session
        .hub
        .ask("fleet", session.hub.hubs().get_difference(request))
        .await?;
    answer.difference.ok_or_else(|| empty("fleet"))
}

fn show(terminal: &Terminal, found: &v1::Difference, output: FleetOutput) -> Result<(), Failure> {
    let tree = || {
        let tenants = found.tenants.iter().map(|tenant| {
            Tree::map()
                .text("cluster", short(&tenant.cluster))
                .text("tenant", short(&tenant.tenant))
                .text("kind", &tenant.kind)
                .text("effect", &tenant.effect)
                .number("desiredGeneration", tenant.desired_generation)
                .number("heldGeneration", tenant.held_generation)
        });
        let silent = found.silent_clusters.iter();
        Tree::map()
            .with("tenants", Tree::List(tenants.collect()))
            .number("equal", found.equal)
            .with("silentClusters", Tree::texts(silent.map(|name| short(name))))
            .number("highestTerm", found.highest_term)
    };
    match output {
        FleetOutput::Json => return terminal.print(&tree().to_json().map_err(unwritable)?),
        FleetOutput::Yaml => return terminal.print(&tree().to_yaml().map_err(unwritable)?),
        FleetOutput::Text => {}
    }
    if !found.tenants.is_empty() {
        let mut table = Table::new(COLUMNS, false);
        for tenant in &found.tenants {
            let generation = |generation: u64| match generation {
                0 => Cell::new("-"),
                some => Cell::new(format!("assignment {some}")),
            };
            table.push(vec![
                Cell::new(short(&tenant.cluster)),
                Cell::new(short(&tenant.tenant)),
                Cell::toned(tenant.kind.as_str(), Tone::Unsure),
                generation(tenant.desired_generation),
                generation(tenant.held_generation),
                Cell::new(tenant.effect.as_str()),
            ]);
        }
        terminal.print(&table.render(terminal, true))?;
    }
    let mut summary = format!(
        "{} differ, {} are the same",
        counted(found.tenants.len(), "tenant"),
        found.equal
    );
    if !found.silent_clusters.is_empty() {
        let names: Vec<&str> = found.silent_clusters.iter().map(|name| short(name)).collect();
        summary = format!(
            "{summary}; nothing is known of {}, whose agents are not connected",
            names.join(", ")
        );
    }
    terminal.print(&format!("{summary}\n"))
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}
