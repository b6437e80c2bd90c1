//! The files under `deploy/examples` are what users start from: each of them reads, and what they name is there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use berth_model::{Parameter, catalogue};
use berth_wire::file::{self, Document};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples")
}

fn documents() -> Vec<(String, Document)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    paths
        .iter()
        .flat_map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(path).unwrap();
            let documents = file::parse(&text).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"));
            documents
                .into_iter()
                .map(move |document| (name.clone(), document))
        })
        .collect()
}

#[test]
fn every_example_is_written_as_it_is_read() {
    let documents = documents();
    assert!(documents.len() > 10, "{documents:?}");
    for (name, document) in documents {
        assert_eq!(
            file::parse(&file::to_yaml(&document).unwrap()),
            Ok(vec![document]),
            "{name}"
        );
    }
}

#[test]
fn the_tiers_are_the_built_in_catalogue() {
    let written: Vec<_> = documents()
        .into_iter()
        .filter_map(|(_, document)| match document {
            Document::Tier { name, spec } => Some((name, spec)),
            Document::Tenant { .. }
            | Document::Organisation { .. }
            | Document::RoleBinding { .. }
            | Document::Bundle { .. } => None,
        })
        .collect();
    let expected = catalogue::tiers().unwrap();
    let text: Vec<String> = expected
        .iter()
        .map(|(name, spec)| {
            file::to_yaml(&Document::Tier {
                name: name.clone(),
                spec: spec.clone(),
            })
            .unwrap()
        })
        .collect();
    assert_eq!(written, expected, "tiers.yaml should be:\n{}", text.join("---\n"));
}

#[test]
fn what_tenants_name_exists_and_their_parameters_have_the_right_types() {
    let documents = documents();
    let tiers: Vec<_> = catalogue::tiers()
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let bundles: BTreeMap<_, Vec<Parameter>> = documents
        .iter()
        .filter_map(|(_, document)| match document {
            Document::Bundle { name, version, spec } => {
                Some(((name.clone(), version.clone()), spec.parameters.clone()))
            }
            Document::Tenant { .. }
            | Document::Tier { .. }
            | Document::Organisation { .. }
            | Document::RoleBinding { .. } => None,
        })
        .collect();
    for (file, document) in &documents {
        let Document::Tenant { id, spec } = document else {
            continue;
        };
        assert_eq!(*file, format!("{id}.yaml"));
        assert!(tiers.contains(&spec.tier), "{file}: {}", spec.tier);
        for name in spec.quota.keys() {
            assert!(
                berth_model::quota::OVERRIDABLE.contains(&name.as_str()) || name.contains('/'),
                "{file}: {name}"
            );
        }
        for used in &spec.bundles {
            let parameters = &bundles[&(used.name.clone(), used.version.clone())];
            for (name, value) in &used.parameters {
                let parameter = parameters.iter().find(|parameter| parameter.name == *name);
                assert!(
                    parameter.is_some_and(|parameter| parameter.kind.takes(value)),
                    "{file}: {name}"
                );
            }
        }
    }
}

/// What the pages show as files can be applied as it stands there.
#[test]
fn the_files_on_the_page_for_operators_are_read() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hub/README.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```yaml\n").skip(1);
    let files = blocks.filter_map(|block| block.split("```").next());
    let files: Vec<&str> = files.filter(|text| text.starts_with("apiVersion:")).collect();
    assert!(!files.is_empty());
    for file in files {
        assert!(berth_wire::file::parse(file).is_ok(), "{file}");
    }
}
