//! `berth diff`: what `apply` would change, as a unified diff of YAML.

use berth_wire::{
    api,
    file::{self, Document},
};
use similar::{ChangeTag, TextDiff};

use super::Session;
use crate::{
    args::Diff,
    exit::{Exit, Failure, Outcome},
    files,
    output::unwritable,
    terminal::{Terminal, Tone},
};

pub(super) async fn run(session: &Session<'_>, args: Diff) -> Result<(), Failure> {
    let mut outcome = Outcome::default();
    let mut different = false;
    for wanted in files::read(&args.files.filename)? {
        let Some(current) = outcome.take(current(session, &wanted).await) else {
            continue;
        };
        let subject = format!("{}/{}", wanted.kind().to_lowercase(), wanted.name());
        let old = current
            .map_or(Ok(String::new()), |current| file::to_yaml(&current))
            .map_err(unwritable)?;
        let new = file::to_yaml(&wanted).map_err(unwritable)?;
        if old != new {
            different = true;
            session
                .terminal
                .print(&unified(session.terminal, &subject, &old, &new))?;
        }
    }
    outcome.finish()?;
    if different {
        Err(Failure::told(Exit::Failure))
    } else {
        Ok(())
    }
}

/// What the hub has of a document; none when it is new.
async fn current(session: &Session<'_>, wanted: &Document) -> Result<Option<Document>, Failure> {
    let hub = &session.hub;
    let found = match wanted {
        Document::Tenant { id, .. } => hub.tenant(id.as_str()).await.and_then(|tenant| {
            let spec = api::tenant_spec_from_proto(&tenant.spec.unwrap_or_default())
                .map_err(|faults| newer(&faults))?;
            Ok(Document::Tenant { id: id.clone(), spec })
        }),
        Document::Tier { name, .. } => hub.tier(name.as_str()).await.and_then(|tier| {
            let spec =
                api::tier_spec_from_proto(&tier.spec.unwrap_or_default()).map_err(|faults| newer(&faults))?;
            Ok(Document::Tier {
                name: name.clone(),
                spec,
            })
        }),
        Document::Organisation { name, .. } => {
            hub.organisation(name.as_str()).await.and_then(|organisation| {
                let spec = api::organisation_spec_from_proto(&organisation.spec.unwrap_or_default())
                    .map_err(|faults| newer(&faults))?;
                Ok(Document::Organisation {
                    name: name.clone(),
                    spec,
                })
            })
        }
        Document::RoleBinding { name, .. } => match super::apply::present_binding(hub, name.as_str()).await {
            Ok(None) => return Ok(None),
            Ok(Some(binding)) => api::role_binding_spec_from_proto(&binding.spec.unwrap_or_default())
                .map_err(|faults| newer(&faults))
                .map(|spec| Document::RoleBinding {
                    name: name.clone(),
                    spec,
                }),
            Err(failure) => Err(failure),
        },
        Document::Bundle { name, version, .. } => {
            hub.bundle(name.as_str(), version.as_str())
                .await
                .and_then(|bundle| {
                    let spec = api::bundle_spec_from_proto(&bundle.spec.unwrap_or_default())
                        .map_err(|faults| newer(&faults))?;
                    Ok(Document::Bundle {
                        name: name.clone(),
                        version: version.clone(),
                        spec,
                    })
                })
        }
    };
    match found {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.exit == Exit::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn newer(faults: &[berth_model::Violation]) -> Failure {
    let lines = faults
        .iter()
        .map(|fault| format!("the hub is newer than this command line: {fault}"))
        .collect();
    Failure {
        exit: Exit::Failure,
        lines,
    }
}

fn unified(terminal: &Terminal, subject: &str, old: &str, new: &str) -> String {
    let mut text = format!("--- {subject} (hub)\n+++ {subject} (file)\n");
    for hunk in TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .iter_hunks()
    {
        text.push_str(&format!("{}\n", hunk.header()));
        for change in hunk.iter_changes() {
            let (sign, tone) = match change.tag() {
                ChangeTag::Delete => ('-', Tone::Bad),
                ChangeTag::Insert => ('+', Tone::Good),
                ChangeTag::Equal => (' ', Tone::Plain),
            };
            let line = change.value().trim_end_matches('\n');
            text.push_str(&terminal.paint(tone, &format!("{sign}{line}")));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_read_as_diff_writes_them() {
        let text = unified(&Terminal::new(true), "tenant/a", "a: 1\nb: 2\n", "a: 1\nb: 3\n");
        assert_eq!(
            text,
            "--- tenant/a (hub)\n+++ tenant/a (file)\n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n"
        );
    }
}
