//! Programs of other languages that checks need, built by Go into the user's cache.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::control_plane::cache;
use crate::run::{cargo, exists, run, variable};

/// What is off by default because building it takes `protoc`, and on wherever this tool builds.
const FEATURES: &str = "berth/etcd,berth-hub/etcd,berth-store/etcd";

/// What only tests need: points at which they make the programs die.
const TEST_FEATURES: &str = "berth-hub/failpoints,berth-agent/failpoints";

/// A cargo that can build the whole workspace: of this machine's `protoc`, or else of one that came as a dependency.
pub(crate) fn cargo_with_protoc() -> anyhow::Result<Command> {
    let mut cargo = cargo();
    if variable("PROTOC").is_none() && !exists("protoc", "--version") {
        let protoc = protoc_bin_vendored::protoc_bin_path().context(
            "there is no protoc for this kind of machine: install it, or set PROTOC to where it is",
        )?;
        cargo.env("PROTOC", protoc);
    }
    Ok(cargo)
}

/// The arguments that turn on everything there is, for these packages, or for the whole workspace with what tests need besides.
pub(crate) fn everything(packages: &[&str]) -> Vec<String> {
    if packages.is_empty() {
        let features = format!("{FEATURES},{TEST_FEATURES}");
        return vec!["--workspace".to_owned(), "--features".to_owned(), features];
    }
    let of_these = |feature: &&str| {
        packages
            .iter()
            .any(|name| feature.starts_with(&format!("{name}/")))
    };
    let features: Vec<_> = FEATURES.split(',').filter(of_these).collect();
    let mut arguments: Vec<_> = packages
        .iter()
        .flat_map(|name| ["--package", name])
        .map(str::to_owned)
        .collect();
    arguments.extend(["--features".to_owned(), features.join(",")]);
    arguments
}

/// The programs that people run.
pub(crate) const PROGRAMS: [&str; 3] = ["berth", "berth-hub", "berth-agent"];

const BUF_VERSION: &str = "v1.60.0";

/// The `buf` of this machine, or the one in the cache, built there if needed; none where it cannot be built either.
pub(crate) fn buf() -> anyhow::Result<Option<PathBuf>> {
    if exists("buf", "--version") {
        return Ok(Some("buf".into()));
    }
    let directory = cache()?.join("tools").join(format!("buf-{BUF_VERSION}"));
    let program = directory.join("buf");
    if !program.is_file() {
        if !exists("go", "version") {
            return Ok(None);
        }
        // Go writes the program under its final name only when it is complete.
        run(Command::new("go")
            .args([
                "install",
                &format!("github.com/bufbuild/buf/cmd/buf@{BUF_VERSION}"),
            ])
            .env("GOBIN", &directory)
            .env("CGO_ENABLED", "0"))?;
    }
    Ok(Some(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_features_of_the_packages_that_are_built_are_asked_for() {
        assert_eq!(
            everything(&["berth-hub", "berth-agent"]),
            [
                "--package",
                "berth-hub",
                "--package",
                "berth-agent",
                "--features",
                "berth-hub/etcd"
            ]
        );
        let all = everything(&[]);
        assert!(all.contains(&"--workspace".to_owned()));
        assert!(all[2].contains("berth-hub/etcd") && all[2].contains("berth-hub/failpoints"));
    }
}
