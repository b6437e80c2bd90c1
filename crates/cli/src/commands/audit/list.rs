//! `berth get audit`.

use berth_model::Timestamp;
use berth_proto::v1;
use berth_wire::{
    file::{API_VERSION, Tree},
    time,
};

use super::Filter;
use crate::{
    args::{Format, Get},
    commands::Session,
    exit::Failure,
    output::{
        age,
        table::{Cell, Column, Table},
        time as time_of, unwritable,
    },
    terminal::Tone,
};

/// Events that are shown unless asked otherwise, and of a page.
const DEFAULT_LIMIT: u32 = 100;
const PAGE: u32 = 500;

const COLUMNS: &[Column] = &[
    Column::new("AGE"),
    Column::new("KIND"),
    Column::new("CALLER"),
    Column::new("CALL"),
    Column::new("TARGET"),
    Column::new("OUTCOME"),
    Column::new("REASON"),
    Column::wide("SOURCE"),
    Column::wide("REQUEST"),
    Column::wide("LINE"),
];

/// Whether events are asked for.
pub(in crate::commands) fn is_audit(targets: &[String]) -> bool {
    targets.first().is_some_and(|target| {
        matches!(
            target.to_lowercase().as_str(),
            "audit" | "auditevents" | "auditevent"
        )
    })
}

/// Shows them, the newest first.
pub(in crate::commands) async fn list(session: &Session<'_>, args: Get) -> Result<(), Failure> {
    let Get {
        targets,
        selector,
        watch,
        output,
        audit,
    } = args;
    if targets.len() > 1 || selector.is_some() || watch {
        return Err(Failure::usage(
            "events have no names and no labels: choose by --tenant, --caller, --call, --outcome, --kind and --since",
        ));
    }
    let now = session.now();
    let (events, log) = events(session, audit, now).await?;
    match output.output {
        Format::Table | Format::Wide => {
            if events.is_empty() {
                session.terminal.note("no events found");
                return Ok(());
            }
            let mut table = Table::new(COLUMNS, output.output == Format::Wide);
            for event in &events {
                table.push(row(event, now));
            }
            session
                .terminal
                .print(&table.render(session.terminal, !output.no_headers))?;
            session
                .terminal
                .note(&format!("from the log of {}; each hub keeps its own", log.hub));
            Ok(())
        }
        Format::Name => {
            let names: String = events
                .iter()
                .map(|event| format!("audit/{}\n", event.sequence))
                .collect();
            session.terminal.print(&names)
        }
        Format::Json => session
            .terminal
            .print(&tree(&events, &log).to_json().map_err(unwritable)?),
        Format::Yaml => session
            .terminal
            .print(&tree(&events, &log).to_yaml().map_err(unwritable)?),
    }
}

/// The newest events of all kinds, as JSON has them.
pub(in crate::commands) async fn newest(session: &Session<'_>, limit: u32) -> Result<Tree, Failure> {
    let filter = Filter {
        limit: Some(limit),
        ..Filter::default()
    };
    let (events, log) = events(session, filter, session.now()).await?;
    Ok(tree(&events, &log))
}

/// Whose log was shown.
struct Log {
    id: String,
    hub: String,
}

async fn events(
    session: &Session<'_>,
    filter: Filter,
    now: Timestamp,
) -> Result<(Vec<v1::AuditEvent>, Log), Failure> {
    let Filter {
        tenant,
        caller,
        call,
        outcome,
        kind,
        since,
        limit,
    } = filter;
    let since = match since {
        Some(since) => Some(
            now.checked_sub(since)
                .map_err(|_| Failure::usage("--since reaches too far back"))?,
        ),
        None => None,
    };
    let wanted = usize::try_from(limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
    let mut request = v1::ListAuditEventsRequest {
        tenant: tenant.unwrap_or_default(),
        caller: caller.unwrap_or_default(),
        call: call.unwrap_or_default(),
        outcome: outcome.unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        since: since.map(time::to_proto),
        until: None,
        page_size: i32::try_from(limit.unwrap_or(DEFAULT_LIMIT).min(PAGE)).unwrap_or(i32::MAX),
        page_token: String::new(),
    };
    let mut found = Vec::new();
    loop {
        let mut audit = session.hub.audit();
        let page = session
            .hub
            .ask("audit", audit.list_audit_events(request.clone()))
            .await?;
        found.extend(page.events);
        if found.len() >= wanted || page.next_page_token.is_empty() {
            found.truncate(wanted);
            return Ok((
                found,
                Log {
                    id: page.log,
                    hub: page.hub,
                },
            ));
        }
        request.page_token = page.next_page_token;
    }
}

fn row(event: &v1::AuditEvent, now: Timestamp) -> Vec<Cell> {
    let outcome = match event.outcome.as_str() {
        "" if event.stage == "RequestReceived" => Cell::toned("begun", Tone::Plain),
        "" => Cell::new(""),
        "OK" => Cell::toned("OK", Tone::Good),
        other => Cell::toned(other, Tone::Bad),
    };
    let target = match (event.target_kind.as_str(), event.target_name.as_str()) {
        (kind, "") => kind.to_owned(),
        (kind, name) => format!("{kind}/{name}"),
    };
    vec![
        Cell::new(age::since(event.time.as_ref(), now)),
        Cell::new(&event.kind),
        Cell::new(&event.caller),
        Cell::new(&event.call),
        Cell::new(target),
        outcome,
        Cell::new(&event.reason),
        Cell::new(&event.source),
        Cell::new(&event.request),
        Cell::new(event.sequence.to_string()),
    ]
}

fn tree(events: &[v1::AuditEvent], log: &Log) -> Tree {
    let items = events.iter().map(|event| {
        Tree::map()
            .number("sequence", event.sequence)
            .with("time", time_of(event.time.as_ref()))
            .text("kind", &event.kind)
            .some_text("stage", &event.stage)
            .text("call", &event.call)
            .some_text("caller", &event.caller)
            .with_some("groups", Tree::texts(&event.groups))
            .some_text("credential", &event.credential)
            .with_some(
                "target",
                Tree::map()
                    .some_text("kind", &event.target_kind)
                    .some_text("name", &event.target_name)
                    .some_text("tenant", &event.tenant),
            )
            .some_text("outcome", &event.outcome)
            .some_text("reason", &event.reason)
            .some_text("source", &event.source)
            .some_text("request", &event.request)
            .with_some("detail", event.detail.iter().collect())
    });
    Tree::map()
        .text("apiVersion", API_VERSION)
        .text("kind", "AuditEventList")
        .text("log", &log.id)
        .text("hub", &log.hub)
        .with("items", Tree::List(items.collect()))
}
