//! The programs built by Go from their published modules, the way their makers do.
//!
//! kube-apiserver is no `go install` target, as its module replaces its own libraries by local copies; a small module
//! around it names the published version of each instead.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::programs::{ETCD_VERSION, KUBERNETES_VERSION, KWOK_VERSION, Program};
use crate::run::{exists, say, shown};

const GO_DIRECTIVE: &str = "go 1.26.0";
const ETCDUTL: &str = "go.etcd.io/etcd/etcdutl/v3";
/// After how many compiled packages a sign of life is given.
const PACKAGES_PER_LINE: usize = 100;
const LINES_OF_ERROR: usize = 20;

/// Builds `programs` and puts each into `target` when it is complete. `work` keeps the small modules between runs.
pub(crate) fn install(programs: &[Program], target: &Path, work: &Path) -> anyhow::Result<()> {
    if !exists("go", "version") {
        bail!("there is no Go on this machine");
    }
    // In the target, so that a finished program can be moved into place as a whole.
    let output = tempfile::Builder::new()
        .prefix(".build-")
        .tempdir_in(target)
        .with_context(|| format!("make a directory in `{}`", target.display()))?;
    let kubernetes: Vec<Program> = programs
        .iter()
        .copied()
        .filter(|one| !matches!(one, Program::Etcd | Program::Etcdutl | Program::Kwok))
        .collect();
    let of_etcd = [Program::Etcd, Program::Etcdutl].map(|one| (one, programs.contains(&one)));
    if of_etcd.iter().any(|(_, wanted)| *wanted) {
        let module = work.join("etcd");
        etcd_module(&module)?;
        for (program, _) in of_etcd.into_iter().filter(|(_, wanted)| *wanted) {
            etcd_program(program, &module, output.path())?;
            place(program, output.path(), target)?;
        }
    }
    if programs.contains(&Program::Kwok) {
        kwok(output.path())?;
        place(Program::Kwok, output.path(), target)?;
    }
    // One after another: a stopped run keeps what it has, and what they share is compiled once all the same.
    if !kubernetes.is_empty() {
        let module = work.join("kubernetes");
        kubernetes_module(&module)?;
        for program in kubernetes {
            kubernetes_program(program, &module, output.path())?;
            place(program, output.path(), target)?;
        }
    }
    Ok(())
}

fn place(program: Program, output: &Path, target: &Path) -> anyhow::Result<()> {
    let (from, to) = (output.join(program.name()), target.join(program.name()));
    std::fs::rename(&from, &to).with_context(|| format!("move {} to `{}`", program.name(), to.display()))
}

fn go(directory: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(directory)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .stdin(Stdio::null());
    command
}

fn write_module(directory: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("create the directory `{}`", directory.display()))?;
    for (name, content) in files {
        let path = directory.join(name);
        std::fs::write(&path, content).with_context(|| format!("write `{}`", path.display()))?;
    }
    Ok(())
}

fn kubernetes_module(directory: &Path) -> anyhow::Result<()> {
    write_module(
        directory,
        &[(
            "go.mod",
            &format!("module berth.dev/control-plane\n\n{GO_DIRECTIVE}\n"),
        )],
    )?;
    let wanted = format!("k8s.io/kubernetes@{KUBERNETES_VERSION}");
    let mut download = go(directory);
    download.args(["mod", "download", "-json", &wanted]);
    say(shown(&download));
    let answer = download
        .stderr(Stdio::inherit())
        .output()
        .context("start `go mod download`")?;
    let facts: serde_json::Value = serde_json::from_slice(&answer.stdout)
        .with_context(|| format!("read what Go says about {wanted}"))?;
    let Some(upstream) = facts["GoMod"].as_str() else {
        bail!(
            "download {wanted}: {}",
            facts["Error"].as_str().unwrap_or("Go does not say where it is")
        );
    };
    let upstream = std::fs::read_to_string(upstream).with_context(|| format!("read `{upstream}`"))?;
    let commands: String = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubectl",
    ]
    .map(|name| format!("\t_ \"k8s.io/kubernetes/cmd/{name}\"\n"))
    .concat();
    write_module(
        directory,
        &[
            ("go.mod", &go_mod(&upstream)),
            (
                "tools.go",
                &format!("//go:build tools\n\npackage tools\n\nimport (\n{commands})\n"),
            ),
        ],
    )?;
    // Tests of dependencies import what is published nowhere; that must not stop it.
    watched(go(directory).args(["mod", "tidy", "-e"]), "modules found")
}

/// A `go.mod` that requires Kubernetes and replaces each of its local libraries by the published one.
fn go_mod(upstream: &str) -> String {
    let library_version = KUBERNETES_VERSION.replacen("v1.", "v0.", 1);
    let replacements: String = upstream
        .lines()
        .filter_map(|line| {
            line.trim()
                .trim_start_matches("replace ")
                .split_once(" => ./staging/")
        })
        .map(|(library, _)| format!("replace {library} => {library} {library_version}\n"))
        .collect();
    format!(
        "module berth.dev/control-plane\n\n{GO_DIRECTIVE}\n\nrequire k8s.io/kubernetes {KUBERNETES_VERSION}\n\n{replacements}"
    )
}

fn kubernetes_program(program: Program, module: &Path, output: &Path) -> anyhow::Result<()> {
    let minor = KUBERNETES_VERSION.split('.').nth(1).unwrap_or_default();
    let version = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {version}.gitVersion={KUBERNETES_VERSION} -X {version}.gitMajor=1 -X {version}.gitMinor={minor}"
    );
    let package = format!("k8s.io/kubernetes/cmd/{}", program.name());
    let mut build = go(module);
    build
        .args(["build", "-v", "-trimpath", "-ldflags", &flags, "-o"])
        .arg(output.join(program.name()))
        .arg(package);
    watched(&mut build, "packages compiled")
}

/// A module that requires etcd. Its server is a library with a `main` of one line; its tool for what lies on a disk is a program.
fn etcd_module(directory: &Path) -> anyhow::Result<()> {
    let main = "package main\n\nimport (\n\t\"os\"\n\n\t\"go.etcd.io/etcd/server/v3/etcdmain\"\n)\n\nfunc main() { etcdmain.Main(os.Args) }\n";
    let tools = format!("//go:build tools\n\npackage main\n\nimport _ \"{ETCDUTL}\"\n");
    let requirement = format!(
        "module berth.dev/etcd\n\n{GO_DIRECTIVE}\n\nrequire (\n\tgo.etcd.io/etcd/server/v3 {ETCD_VERSION}\n\t{ETCDUTL} {ETCD_VERSION}\n)\n"
    );
    write_module(
        directory,
        &[("go.mod", &requirement), ("main.go", main), ("tools.go", &tools)],
    )?;
    watched(go(directory).args(["mod", "tidy"]), "modules found")
}

fn etcd_program(program: Program, module: &Path, output: &Path) -> anyhow::Result<()> {
    let package = if program == Program::Etcdutl { ETCDUTL } else { "." };
    let mut build = go(module);
    build
        .args(["build", "-v", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(output.join(program.name()))
        .arg(package);
    watched(&mut build, "packages compiled")
}

fn kwok(output: &Path) -> anyhow::Result<()> {
    let package = format!("sigs.k8s.io/kwok/cmd/kwok@{KWOK_VERSION}");
    let mut install = go(output);
    install
        .args(["install", "-v", "-trimpath", "-ldflags", "-s -w", &package])
        .env("GOBIN", output);
    watched(&mut install, "packages compiled")
}

/// Runs Go, counts what it reports instead of showing thousands of lines, and shows the last ones when it fails.
fn watched(command: &mut Command, what: &str) -> anyhow::Result<()> {
    say(shown(command));
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{}`", shown(command)))?;
    let (mut count, mut last) = (0, std::collections::VecDeque::new());
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = line.with_context(|| format!("read what `{}` prints", shown(command)))?;
            count += 1;
            if count % PACKAGES_PER_LINE == 0 {
                say(format!("  {count} {what}"));
            }
            if last.len() == LINES_OF_ERROR {
                last.pop_front();
            }
            last.push_back(String::from_utf8_lossy(&line).into_owned());
        }
    }
    let status = child
        .wait()
        .with_context(|| format!("wait for `{}`", shown(command)))?;
    if !status.success() {
        let last = last.into_iter().collect::<Vec<_>>().join("\n");
        bail!("`{}` failed ({status}):\n{last}", shown(command));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_local_library_of_kubernetes_is_replaced_by_the_published_one() {
        let upstream = "module k8s.io/kubernetes\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tk8s.io/kubelet => ./staging/src/k8s.io/kubelet\n)\nreplace k8s.io/cri-api => ./staging/src/k8s.io/cri-api\nreplace example.com/other => example.com/fork v1.0.0\n";
        let replaced: Vec<String> = go_mod(upstream)
            .lines()
            .filter(|line| line.starts_with("replace"))
            .map(str::to_owned)
            .collect();
        assert_eq!(
            replaced,
            [
                "replace k8s.io/api => k8s.io/api v0.36.3",
                "replace k8s.io/kubelet => k8s.io/kubelet v0.36.3",
                "replace k8s.io/cri-api => k8s.io/cri-api v0.36.3",
            ]
        );
    }
}
