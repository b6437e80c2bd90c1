//! Rendering a tenant with the bundles it names.

use std::{collections::BTreeMap, sync::Arc};

use berth_model::{Bundle, BundleName, BundleVersion, Digest, Tenant, bundle};
use berth_plan::view::{Placed, View};
use berth_store::{Store, StoreError};

use crate::load::{self, LoadError};

/// Bundle versions by name: a version never changes, so what was read once stays true.
#[derive(Debug, Default)]
pub(crate) struct Bundles(BTreeMap<(BundleName, BundleVersion), Arc<Bundle>>);

impl Bundles {
    /// Versions kept at most; one more empties the cache.
    const MOST: usize = 256;

    async fn get(
        &mut self,
        store: &dyn Store,
        name: &BundleName,
        version: &BundleVersion,
    ) -> Result<Option<Arc<Bundle>>, LoadError> {
        let key = (name.clone(), version.clone());
        if let Some(bundle) = self.0.get(&key) {
            return Ok(Some(bundle.clone()));
        }
        let Some(bundle) = load::bundle(store, name, version).await? else {
            return Ok(None);
        };
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        let bundle = Arc::new(bundle);
        self.0.insert(key, bundle.clone());
        Ok(Some(bundle))
    }

    /// A version was deleted; one of the same name may come with another content.
    pub(crate) fn forget(&mut self, kept: &std::collections::BTreeSet<(BundleName, BundleVersion)>) {
        self.0.retain(|key, _| kept.contains(key));
    }
}

/// What a tenant is to have.
pub(crate) struct Rendered {
    pub(crate) digest: Digest,
    pub(crate) compressed: Vec<u8>,
}

/// Renders `tenant` at its place; a problem is a sentence for its condition.
pub(crate) async fn render(
    store: &dyn Store,
    bundles: &mut Bundles,
    view: &View,
    tenant: &Tenant,
    placed: &Placed,
) -> Result<Result<Rendered, String>, StoreError> {
    let Some(tier) = view.tiers.get(&tenant.spec.tier) else {
        return Ok(Err(format!("tier {} does not exist", tenant.spec.tier)));
    };
    let references = bundle::used(&tenant.spec, &tier.spec);
    let mut used = Vec::with_capacity(references.len());
    for reference in references {
        match bundles.get(store, &reference.name, &reference.version).await {
            Ok(Some(bundle)) => used.push((reference, bundle)),
            Err(LoadError::Store(error)) => return Err(error),
            Err(LoadError::Record(problem)) => return Ok(Err(problem.to_string())),
            Ok(None) => {
                return Ok(Err(format!(
                    "bundle {} {} does not exist",
                    reference.name, reference.version
                )));
            }
        }
    }
    let used: Vec<(&berth_model::BundleRef, &Bundle)> = used
        .iter()
        .map(|(reference, bundle)| (*reference, bundle.as_ref()))
        .collect();
    let cluster = view.clusters.get(placed.placement.cluster());
    // What the cluster serves counts when a tenant is rendered for a reason of its own; it is no reason by itself.
    let istio = cluster
        .and_then(|known| known.cluster.facts.as_ref())
        .is_some_and(|facts| facts.istio);
    let input = berth_render::Input {
        tenant,
        tier,
        placement: &placed.placement,
        bundles: &used,
        istio,
    };
    let rendered = match berth_render::render(&input) {
        Ok(rendered) => rendered,
        Err(violations) => {
            let all: Vec<String> = violations.iter().map(ToString::to_string).collect();
            return Ok(Err(all.join("; ")));
        }
    };
    let bytes = berth_render::encode(&rendered.objects);
    Ok(berth_wire::objects::compress(&bytes)
        .map(|compressed| Rendered {
            digest: rendered.digest,
            compressed,
        })
        .map_err(|error| error.to_string()))
}
