//! The examples that come with Berth are what a hub takes: admitted without a fault, and rendered.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use berth_model::{
    Bundle, ClusterName, Generation, Isolation, Placement, PoolName, Revision, Tenant, Tier, Timestamp, Uid,
    bundle,
};
use berth_plan::admit::{self, Catalogue};
use berth_wire::file::{self, Document};

fn documents() -> Vec<Document> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    files
        .iter()
        .flat_map(|path| file::parse(&fs::read_to_string(path).unwrap()).unwrap())
        .collect()
}

fn uid() -> Uid {
    Uid::new("u-1").unwrap()
}

#[test]
fn every_example_is_admitted_and_rendered() {
    let documents = documents();
    let mut catalogue = Catalogue::default();
    let mut bundles = BTreeMap::new();
    for document in &documents {
        match document {
            Document::Tier { name, spec } => {
                assert_eq!(admit::tier(name.as_str(), spec), Ok(vec![]), "{name}");
                let tier = Tier {
                    name: name.clone(),
                    uid: uid(),
                    generation: Generation(1),
                    revision: Revision(1),
                    spec: spec.clone(),
                };
                catalogue.tiers.insert(name.clone(), Arc::new(tier));
            }
            Document::Bundle { name, version, spec } => {
                assert_eq!(berth_render::bundle::check(spec), [], "{name}");
                let key = (name.clone(), version.clone());
                catalogue.bundles.insert(key.clone(), spec.parameters.clone());
                let bundle = Bundle {
                    name: name.clone(),
                    version: version.clone(),
                    uid: uid(),
                    revision: Revision(1),
                    created_at: Timestamp::UNIX_EPOCH,
                    spec: spec.clone(),
                };
                bundles.insert(key, bundle);
            }
            _ => {}
        }
    }
    let mut tenants = 0;
    for document in documents {
        let Document::Tenant { id, spec } = document else {
            continue;
        };
        tenants += 1;
        let verdict = admit::tenant(&catalogue, id.as_str(), &spec, None);
        assert!(verdict.is_ok(), "{id}: {verdict:?}");
        let tier = &catalogue.tiers[&spec.tier];
        let cluster = ClusterName::new("any").unwrap();
        let placement = match tier.spec.isolation {
            Isolation::Namespace => Placement::Namespace { cluster },
            Isolation::NodePool => Placement::NodePool {
                cluster,
                pool: PoolName::new("any").unwrap(),
            },
            Isolation::Cluster => Placement::Cluster { cluster },
        };
        let tenant = Tenant {
            id: id.clone(),
            uid: uid(),
            generation: Generation(1),
            revision: Revision(1),
            created_at: Timestamp::UNIX_EPOCH,
            deleting_since: None,
            spec,
        };
        let used: Vec<_> = bundle::used(&tenant.spec, &tier.spec)
            .into_iter()
            .map(|used| (used, &bundles[&(used.name.clone(), used.version.clone())]))
            .collect();
        let input = berth_render::Input {
            tenant: &tenant,
            tier,
            placement: &placement,
            bundles: &used,
            istio: false,
        };
        let rendered = berth_render::render(&input);
        assert!(rendered.is_ok(), "{id}: {:?}", rendered.unwrap_err());
    }
    assert!(tenants >= 10, "{tenants}");
}
