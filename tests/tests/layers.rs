//! The house's arrows: which crate may use which, and that deciding never reaches anything that does.
//!
//! The crates' manifests are read through `cargo metadata`; only normal dependencies count, as tests may use what they
//! like. A failure names the arrow. Whoever needs a new one changes the table here, where a reviewer sees it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// What a crate may use besides `berth-model`, which is open to all.
enum Uses {
    /// These and no others.
    Only(&'static [&'static str]),
    /// Whatever it likes: nothing else uses it.
    Anything,
}

const EVERYONE_USES: &str = "berth-model";

/// The layers, from the ground up.
const LAYERS: &[(&str, Uses)] = &[
    // What exists, and deciding over it.
    ("berth-model", Uses::Only(&[])),
    ("berth-plan", Uses::Only(&[])),
    ("berth-render", Uses::Only(&[])),
    // Alphabets.
    ("berth-proto", Uses::Only(&[])),
    ("berth-wire", Uses::Only(&["berth-proto"])),
    // Hands: they do not know each other.
    ("berth-runtime", Uses::Only(&[])),
    ("berth-store", Uses::Only(&["berth-runtime"])),
    ("berth-provision", Uses::Only(&["berth-runtime"])),
    ("berth-identity", Uses::Only(&["berth-runtime"])),
    ("berth-apply", Uses::Only(&["berth-runtime"])),
    ("berth-eks", Uses::Only(&["berth-provision", "berth-runtime"])),
    // The loop, and the two programs around it.
    (
        "berth-control",
        Uses::Only(&[
            "berth-plan",
            "berth-render",
            "berth-wire",
            "berth-store",
            "berth-provision",
            "berth-identity",
            "berth-runtime",
        ]),
    ),
    (
        "berth-hub",
        Uses::Only(&[
            "berth-control",
            "berth-plan",
            "berth-render",
            "berth-wire",
            "berth-proto",
            "berth-store",
            "berth-provision",
            "berth-eks",
            "berth-apply",
            "berth-identity",
            "berth-runtime",
        ]),
    ),
    (
        "berth-agent",
        Uses::Only(&[
            "berth-apply",
            "berth-wire",
            "berth-proto",
            "berth-identity",
            "berth-runtime",
        ]),
    ),
    // What people start.
    ("berth-fake", Uses::Only(&["berth-runtime"])),
    (
        "berth",
        Uses::Only(&[
            "berth-hub",
            "berth-agent",
            "berth-fake",
            "berth-identity",
            "berth-store",
            "berth-wire",
            "berth-proto",
            "berth-runtime",
        ]),
    ),
    // A developers' tool: it plays everything the product stands on, and nothing of the product uses it.
    (
        "berth-sim",
        Uses::Only(&[
            "berth-agent",
            "berth-apply",
            "berth-control",
            "berth-fake",
            "berth-hub",
            "berth-identity",
            "berth-plan",
            "berth-proto",
            "berth-provision",
            "berth-runtime",
            "berth-store",
            "berth-wire",
        ]),
    ),
    // Must build when nothing else does.
    ("xtask", Uses::Only(&[])),
    ("berth-tests", Uses::Anything),
];

/// Crates that decide and never do.
const PURE: &[&str] = &["berth-model", "berth-plan", "berth-render"];

/// Whether a crate does things: runs tasks, talks to the network, to a cloud or to a disk.
fn acts(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "tokio",
        "kube",
        "tonic",
        "sled",
        "etcd-client",
        "hyper",
        "reqwest",
    ];
    const FAMILIES: &[&str] = &["aws-", "kube-", "tokio-", "tonic-"];
    NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Normal dependencies by name, and which packages are the workspace's own.
#[derive(Default)]
struct Graph {
    own: BTreeSet<String>,
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn used_by(&self, name: &str) -> impl Iterator<Item = &str> {
        self.uses.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Reads the answer of `cargo metadata`.
    fn read(metadata: &Value) -> anyhow::Result<Self> {
        let list =
            |value: &Value, what: &str| value.as_array().cloned().with_context(|| format!("no {what}"));
        let text = |value: &Value| value.as_str().map(str::to_owned).context("not a text");
        let mut names = BTreeMap::new();
        for package in list(&metadata["packages"], "packages")? {
            names.insert(text(&package["id"])?, text(&package["name"])?);
        }
        let name_of = |id: &Value| {
            names
                .get(id.as_str().unwrap_or_default())
                .cloned()
                .context("an unknown package")
        };
        let mut graph = Self::default();
        for id in list(&metadata["workspace_members"], "workspace members")? {
            graph.own.insert(name_of(&id)?);
        }
        for node in list(&metadata["resolve"]["nodes"], "resolved packages")? {
            let used = graph.uses.entry(name_of(&node["id"])?).or_default();
            for dependency in list(&node["deps"], "dependencies")? {
                if list(&dependency["dep_kinds"], "kinds")?
                    .iter()
                    .any(|kind| kind["kind"].is_null())
                {
                    used.insert(name_of(&dependency["pkg"])?);
                }
            }
        }
        Ok(graph)
    }

    /// The shortest way from `start` to a crate that acts.
    fn way_to_acting(&self, start: &str) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(name) = next.pop_front() {
            if acts(name) {
                let mut way = vec![name.to_owned()];
                way.extend(
                    std::iter::successors(came_from.get(name), |at| came_from.get(*at))
                        .map(|at| (*at).to_owned()),
                );
                way.reverse();
                return Some(way);
            }
            for used in self.used_by(name) {
                if used != start && !came_from.contains_key(used) {
                    came_from.insert(used, name);
                    next.push_back(used);
                }
            }
        }
        None
    }
}

/// Every arrow that should not be, as a sentence.
fn findings(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for name in &graph.own {
        let Some((_, uses)) = LAYERS.iter().find(|(layer, _)| layer == name) else {
            found.push(format!(
                "`{name}` is in no layer: add to the table what it may use"
            ));
            continue;
        };
        let Uses::Only(allowed) = uses else { continue };
        for used in graph.used_by(name).filter(|used| graph.own.contains(*used)) {
            if used != EVERYONE_USES && !allowed.contains(&used) {
                found.push(format!("`{name}` must not depend on `{used}`"));
            }
        }
    }
    for name in PURE {
        if let Some(way) = graph.way_to_acting(name) {
            found.push(format!(
                "`{name}` decides and must not reach what acts, but does: {}",
                way.join(" -> ")
            ));
        }
    }
    found
}

/// What `cargo metadata` says of this workspace on this machine's platform.
fn workspace() -> anyhow::Result<Graph> {
    let version = Command::new(env!("CARGO"))
        .arg("-vV")
        .output()
        .context("start cargo")?;
    let version = String::from_utf8(version.stdout).context("read cargo's version")?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("cargo names no host")?;
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            host,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("start cargo")?;
    ensure!(
        metadata.status.success(),
        "cargo metadata fails: {}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    Graph::read(&serde_json::from_slice(&metadata.stdout).context("read what cargo metadata says")?)
}

#[test]
fn crates_depend_only_on_what_their_layer_may_use() -> anyhow::Result<()> {
    let graph = workspace()?;
    assert!(
        PURE.iter().all(|name| graph.own.contains(*name)),
        "the pure crates are not in the workspace"
    );
    let found = findings(&graph);
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

fn made_up(arrows: &[(&str, &str)]) -> Graph {
    let mut graph = Graph::default();
    for (from, to) in arrows {
        graph
            .uses
            .entry((*from).to_owned())
            .or_default()
            .insert((*to).to_owned());
        let own = [*from, *to].into_iter().filter(|name| name.starts_with("berth"));
        graph.own.extend(own.map(str::to_owned));
    }
    graph
}

#[test]
fn an_arrow_that_is_not_in_the_table_is_named() {
    let graph = made_up(&[
        ("berth-apply", "berth-store"),
        ("berth-apply", "berth-model"),
        ("berth-eks", "berth-provision"),
    ]);
    assert_eq!(
        findings(&graph),
        ["`berth-apply` must not depend on `berth-store`"]
    );
}

#[test]
fn a_pure_crate_that_reaches_what_acts_is_named_with_the_way() {
    let graph = made_up(&[
        ("berth-plan", "berth-model"),
        ("berth-plan", "harmless"),
        ("harmless", "aws-config"),
    ]);
    assert_eq!(
        findings(&graph),
        ["`berth-plan` decides and must not reach what acts, but does: berth-plan -> harmless -> aws-config"]
    );
}

#[test]
fn a_crate_that_is_in_no_layer_is_named() {
    let graph = made_up(&[("berth-new", "berth-model")]);
    assert_eq!(
        findings(&graph),
        ["`berth-new` is in no layer: add to the table what it may use"]
    );
}

#[test]
fn only_normal_dependencies_count() -> anyhow::Result<()> {
    let graph = Graph::read(&serde_json::json!({
        "packages": [
            {"id": "1", "name": "berth-plan"}, {"id": "2", "name": "berth-store"}, {"id": "3", "name": "berth-model"},
        ],
        "workspace_members": ["1", "2", "3"],
        "resolve": {"nodes": [
            {"id": "1", "deps": [
                {"pkg": "2", "dep_kinds": [{"kind": "dev"}]},
                {"pkg": "3", "dep_kinds": [{"kind": "dev"}, {"kind": null}]},
            ]},
            {"id": "2", "deps": []},
            {"id": "3", "deps": []},
        ]},
    }))?;
    assert_eq!(graph.used_by("berth-plan").collect::<Vec<_>>(), ["berth-model"]);
    assert!(findings(&graph).is_empty());
    Ok(())
}
