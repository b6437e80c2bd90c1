//! `berth explain`: why a tenant is where it is, or why it is nowhere.

use berth_proto::v1;
use berth_wire::{
    api,
    file::{Document, Tree},
    names,
};

use super::Session;
use crate::{
    args::{Explain, Format},
    exit::{Failure, Outcome},
    files,
    kinds::{self, Kind},
    output::{
        table::{Cell, Column, Table},
        unwritable,
    },
    terminal::{Terminal, Tone},
};

const COLUMNS: &[Column] = &[
    Column::new("CLUSTER"),
    Column::new("FITS"),
    Column::new("CHOSEN"),
    Column::new("CONSTRAINT"),
    Column::new("DETAIL"),
];

pub(super) async fn run(session: &Session<'_>, args: Explain) -> Result<(), Failure> {
    let Explain {
        targets,
        filename,
        output,
    } = args;
    let questions: Vec<(String, v1::ExplainTenantRequest)> = if filename.is_empty() {
        let targets = kinds::targets(&targets)?;
        if targets.kind != Kind::Tenant || targets.names.is_empty() {
            return Err(Failure::usage(
                "only tenants can be explained; write: berth explain tenant NAME",
            ));
        }
        targets
            .names
            .into_iter()
            .map(|name| {
                let request = v1::ExplainTenantRequest {
                    name: format!("tenants/{name}"),
                    tenant: None,
                };
                (name, request)
            })
            .collect()
    } else {
        files::read(&filename)?.into_iter().filter_map(written).collect()
    };
    if questions.is_empty() {
        return Err(Failure::usage("there is no tenant in the given files"));
    }
    let mut outcome = Outcome::default();
    let mut answers = Vec::new();
    for (name, request) in questions {
        let subject = format!("tenant/{name}");
        let answer = session
            .hub
            .ask(&subject, session.hub.tenants().explain_tenant(request))
            .await;
        answers.extend(outcome.take(answer).map(|answer| (name, answer)));
    }
    let text = match output.output {
        Format::Table | Format::Wide => answers
            .iter()
            .map(|(name, answer)| people(session.terminal, name, answer, !output.no_headers))
            .collect::<Vec<_>>()
            .join("\n"),
        Format::Name => answers
            .iter()
            .map(|(name, _)| format!("tenant/{name}\n"))
            .collect(),
        Format::Json => machines(&answers).to_json().map_err(unwritable)?,
        Format::Yaml => machines(&answers).to_yaml().map_err(unwritable)?,
    };
    if !answers.is_empty() {
        session.terminal.print(&text)?;
    }
    outcome.finish()
}

/// The question about a tenant as if it were created now.
fn written(document: Document) -> Option<(String, v1::ExplainTenantRequest)> {
    let Document::Tenant { id, spec } = document else {
        return None;
    };
    let tenant = v1::Tenant {
        name: names::tenant(&id),
        spec: Some(api::tenant_spec_to_proto(&spec)),
        ..Default::default()
    };
    Some((
        id.to_string(),
        v1::ExplainTenantRequest {
            name: String::new(),
            tenant: Some(tenant),
        },
    ))
}

fn people(terminal: &Terminal, name: &str, answer: &v1::ExplainTenantResponse, headers: bool) -> String {
    let mut text = format!("tenant/{name}: {}\n", answer.summary);
    for step in &answer.steps {
        text.push_str(&format!("  - {step}\n"));
    }
    if answer.candidates.is_empty() {
        return text;
    }
    let mut table = Table::new(COLUMNS, false);
    for candidate in &answer.candidates {
        let (fits, tone) = if candidate.fits {
            ("yes", Tone::Good)
        } else {
            ("no", Tone::Bad)
        };
        table.push(vec![
            Cell::new(&candidate.cluster),
            Cell::toned(fits, tone),
            Cell::new(if candidate.chosen { "yes" } else { "no" }),
            Cell::new(&candidate.constraint),
            Cell::new(&candidate.detail),
        ]);
    }
    text.push('\n');
    text.push_str(&table.render(terminal, headers));
    text
}

fn machines(answers: &[(String, v1::ExplainTenantResponse)]) -> Tree {
    let mut trees: Vec<Tree> = answers
        .iter()
        .map(|(name, answer)| {
            let candidates = answer.candidates.iter().map(|candidate| {
                Tree::map()
                    .text("cluster", &candidate.cluster)
                    .with("fits", Tree::Bool(candidate.fits))
                    .with("chosen", Tree::Bool(candidate.chosen))
                    .text("constraint", &candidate.constraint)
                    .text("detail", &candidate.detail)
            });
            Tree::map()
                .text("tenant", name)
                .text("summary", &answer.summary)
                .with("steps", Tree::texts(&answer.steps))
                .with("candidates", Tree::List(candidates.collect()))
        })
        .collect();
    match (trees.len(), trees.pop()) {
        (1, Some(only)) => only,
        (_, last) => Tree::List(trees.into_iter().chain(last).collect()),
    }
}
