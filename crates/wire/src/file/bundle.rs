//! `kind: Bundle`.

use berth_model::{Parameter, bundle::BundleSpec};

use super::{reader::Reader, tree::Tree};
use crate::words;

pub(super) fn read(spec: &mut Reader<'_>) -> Option<BundleSpec> {
    let description = spec.text_or_empty("description");
    let parameters = spec.objects("parameters", |parameter| {
        let name = parameter.text("name");
        if name.as_ref().is_none_or(String::is_empty) {
            let path = parameter.path_of("name");
            parameter.faults.add(&path, "is required", "");
        }
        let kind = parameter.choice("type", &words::PARAMETER_KINDS);
        let description = parameter.text_or_empty("description");
        let (default, allowed) = (parameter.json("default"), parameter.jsons("allowed"));
        Some(Parameter {
            name: name?,
            kind: kind?,
            description,
            default,
            allowed,
        })
    });
    let manifests = spec.jsons("manifests");
    for (at, manifest) in manifests
        .iter()
        .enumerate()
        .filter(|(_, manifest)| !manifest.is_object())
    {
        let path = format!("{}[{at}]", spec.path_of("manifests"));
        let problem = if manifest.is_null() {
            "is empty"
        } else {
            "is not a Kubernetes object"
        };
        spec.faults
            .add(&path, problem, "write a map with apiVersion, kind and metadata");
    }
    Some(BundleSpec {
        description,
        parameters,
        manifests,
    })
}

/// The spec as it is written.
#[must_use]
pub fn bundle_spec_tree(spec: &BundleSpec) -> Tree {
    Tree::map()
        .some_text("description", &spec.description)
        .with_some(
            "parameters",
            Tree::List(spec.parameters.iter().map(parameter_tree).collect()),
        )
        .with(
            "manifests",
            Tree::List(spec.manifests.iter().map(Tree::from).collect()),
        )
}

fn parameter_tree(parameter: &Parameter) -> Tree {
    let tree = Tree::map()
        .text("name", &parameter.name)
        .text("type", parameter.kind.as_str())
        .some_text("description", &parameter.description);
    let tree = match &parameter.default {
        Some(default) => tree.with("default", default.into()),
        None => tree,
    };
    tree.with_some(
        "allowed",
        Tree::List(parameter.allowed.iter().map(Tree::from).collect()),
    )
}
