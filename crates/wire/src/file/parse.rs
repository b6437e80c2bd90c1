//! From text to documents.

use berth_model::Violation;
use serde_saphyr::{DuplicateKeyPolicy, Error, Options};

use super::{
    API_VERSION, Document, binding, bundle,
    fault::Fault,
    node::{Node, Value},
    organisation,
    reader::{Reader, object},
    tenant, tier,
};
use crate::faults::Faults;

/// The longest text that is read.
const LONGEST: usize = 1 << 20;

#[derive(Clone, Copy)]
enum Kind {
    Tenant,
    Tier,
    Organisation,
    RoleBinding,
    Bundle,
    List,
}

const KINDS: [(&str, Kind); 6] = [
    ("Tenant", Kind::Tenant),
    ("Tier", Kind::Tier),
    ("Organisation", Kind::Organisation),
    ("RoleBinding", Kind::RoleBinding),
    ("Bundle", Kind::Bundle),
    ("List", Kind::List),
];

/// Reads every document of `text`. Empty documents are left out; the items of a `kind: List` count as documents.
///
/// # Errors
/// Every fault of every document, in order of their lines.
pub fn parse(text: &str) -> Result<Vec<Document>, Vec<Fault>> {
    let mut found = Vec::new();
    let nodes = nodes(text, &mut found);
    let mut documents = Vec::new();
    for (at, node) in nodes.into_iter().enumerate() {
        let mut faults = Faults::default();
        document(&mut faults, "", node, &mut documents);
        found.extend(faults.into_found().into_iter().map(|(violation, line)| Fault {
            document: at + 1,
            line: (line > 0).then_some(line),
            violation,
        }));
    }
    if found.is_empty() {
        return Ok(documents);
    }
    found.sort_by_key(|fault| fault.line);
    Err(found)
}

/// The documents of the text, and what is wrong with its YAML. A duplicate key does not hide the faults in the rest.
fn nodes(text: &str, found: &mut Vec<Fault>) -> Vec<Node> {
    if text.len() > LONGEST {
        let problem = format!(
            "is {} bytes long, more than the {LONGEST} that are read",
            text.len()
        );
        found.push(Fault {
            document: 1,
            line: None,
            violation: Violation::new("", problem, "split it"),
        });
        return Vec::new();
    }
    match serde_saphyr::from_multiple_with_options(text, options(DuplicateKeyPolicy::Error)) {
        Ok(nodes) => nodes,
        Err(error) => {
            found.push(syntax_fault(text, &error));
            if matches!(error.without_snippet(), Error::DuplicateMappingKey { .. }) {
                serde_saphyr::from_multiple_with_options(text, options(DuplicateKeyPolicy::FirstWins))
                    .unwrap_or_default()
            } else {
                Vec::new()
            }
        }
    }
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
        // As kubectl reads `0644`.
        legacy_octal_numbers: true,
        with_snippet: false,
        emit_comments: false,
        budget: serde_saphyr::budget! {
            max_nodes: 20_000,
            max_events: 100_000,
            max_depth: 60,
            max_documents: 1_000,
            max_total_scalar_bytes: LONGEST,
        },
    }
}

fn syntax_fault(text: &str, error: &Error) -> Fault {
    let line = error
        .location()
        .map(|location| location.line())
        .filter(|line| *line > 0);
    let before = line.and_then(|line| usize::try_from(line).ok()).unwrap_or(1);
    let document = 1 + text
        .lines()
        .take(before.saturating_sub(1))
        .skip(1)
        .filter(|line| *line == "---")
        .count();
    let violation = match error.without_snippet() {
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.clone().unwrap_or_default();
            Violation::new(key, "is there twice", "take one of them out")
        }
        // Its first line says what is wrong; where is said beside it.
        other => Violation::new("", first_line(&other.to_string()), ""),
    };
    Fault {
        document,
        line,
        violation,
    }
}

fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.split_once(" at line ").map_or(line, |(problem, _)| problem);
    format!("is not YAML that can be read: {}", line.trim())
}

fn document(faults: &mut Faults, prefix: &str, node: Node, documents: &mut Vec<Document>) {
    if matches!(node.value, Value::Null) {
        return;
    }
    let read = object(faults, prefix, node, |top| {
        match top.text("apiVersion").as_deref() {
            Some(API_VERSION) => {}
            version => {
                let path = top.path_of("apiVersion");
                let problem = version.map_or("is required".to_owned(), |version| {
                    format!("{version:?} is not known")
                });
                top.faults.add(&path, problem, format!("write {API_VERSION}"));
            }
        }
        let Some(kind) = top.choice("kind", &KINDS) else {
            // Without it nobody knows what the rest should be.
            for name in ["metadata", "spec", "status", "items"] {
                top.skip(name);
            }
            return None;
        };
        top.skip("status");
        match kind {
            Kind::List => {
                top.skip("metadata");
                let mut items = Vec::new();
                top.items("items", |faults, path, node| {
                    document(faults, path, node, &mut items);
                    Some(())
                });
                documents.append(&mut items);
                None
            }
            Kind::Tenant => {
                let id = top.required("metadata", |metadata| {
                    named(metadata, "createTime", |metadata| metadata.name("name"))
                });
                let spec = top.required("spec", tenant::read);
                Some(Document::Tenant { id: id?, spec: spec? })
            }
            Kind::Tier => {
                let name = top.required("metadata", |metadata| {
                    named(metadata, "tenants", |metadata| metadata.name("name"))
                });
                let spec = top.required("spec", tier::read);
                Some(Document::Tier {
                    name: name?,
                    spec: spec?,
                })
            }
            Kind::Organisation => {
                let name = top.required("metadata", |metadata| {
                    named(metadata, "tenants", |metadata| metadata.name("name"))
                });
                let spec = top.required("spec", organisation::read);
                Some(Document::Organisation {
                    name: name?,
                    spec: spec?,
                })
            }
            Kind::RoleBinding => {
                let name = top.required("metadata", |metadata| {
                    named(metadata, "createTime", |metadata| metadata.name("name"))
                });
                let spec = top.required("spec", binding::read);
                Some(Document::RoleBinding {
                    name: name?,
                    spec: spec?,
                })
            }
            Kind::Bundle => {
                let names = top.required("metadata", |metadata| {
                    named(metadata, "createTime", |metadata| {
                        let (name, version) = (metadata.name("name"), metadata.name("version"));
                        Some((name?, version?))
                    })
                });
                let spec = top.required("spec", bundle::read);
                let (name, version) = names?;
                Some(Document::Bundle {
                    name,
                    version,
                    spec: spec?,
                })
            }
        }
    });
    documents.extend(read);
}

/// Reads the names in a `metadata` and reads over what the hub writes there.
fn named<T>(
    metadata: &mut Reader<'_>,
    also: &'static str,
    read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Option<T> {
    let names = read(metadata);
    for name in ["uid", "generation", "etag", "deleteTime", also] {
        metadata.skip(name);
    }
    names
}
