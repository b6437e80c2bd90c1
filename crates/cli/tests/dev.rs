//! `berth dev` as a newcomer runs it: the program itself, in a fresh folder.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

fn dev(dir: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(["dev", "--exit-when-ready", "-o", "json", "--data-dir"])
        .arg(dir)
        .args(more)
        .output()
        .unwrap()
}

/// The tenants it printed, by name.
fn tenants(output: &Output) -> BTreeMap<String, Value> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let list: Vec<Value> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {complaint}"));
    list.into_iter()
        .map(|tenant| (tenant["name"].as_str().unwrap().to_owned(), tenant))
        .collect()
}

fn all_levels_are_ready(tenants: &BTreeMap<String, Value>) {
    for level in ["namespace", "node-pool", "cluster"] {
        assert!(
            tenants.values().any(|tenant| tenant["isolation"] == level),
            "no tenant of {level}"
        );
    }
    for (name, tenant) in tenants {
        assert_eq!(tenant["ready"], true, "{name}: {tenant:#}");
        assert!(
            !tenant["namespaces"].as_array().unwrap().is_empty(),
            "{name}: {tenant:#}"
        );
    }
}

#[test]
fn every_level_goes_ready_and_a_second_run_continues_where_the_first_ended() {
    let dir = tempfile::tempdir().unwrap();
    let first = tenants(&dev(dir.path(), &[]));
    all_levels_are_ready(&first);
    for tenant in first.values() {
        let kubeconfig = dir
            .path()
            .join("clusters")
            .join(tenant["cluster"].as_str().unwrap())
            .join("kubeconfig");
        assert!(
            kubeconfig.is_file() || tenant["isolation"] == "cluster",
            "{} is missing",
            kubeconfig.display()
        );
    }
    let second = tenants(&dev(dir.path(), &[]));
    let places = |tenants: &BTreeMap<String, Value>| -> Vec<Value> {
        tenants.values().map(|tenant| tenant["cluster"].clone()).collect()
    };
    assert_eq!(places(&first), places(&second));
    all_levels_are_ready(&second);
}

#[test]
fn the_same_runs_on_real_kube_apiservers() {
    let dir = tempfile::tempdir().unwrap();
    all_levels_are_ready(&tenants(&dev(dir.path(), &["--control-plane", "real"])));
}

#[test]
fn when_time_is_over_it_fails_and_says_why_for_each_tenant() {
    let dir = tempfile::tempdir().unwrap();
    // Long enough for the agents to join, too short for a cluster to be made.
    let output = dev(dir.path(), &["--timeout", "2"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("acme-corp"), "{said}");
}

/// A demo that goes on until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already when this fails.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn more_deletions_at_once_than_anybody_means_wait_for_an_operators_word() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command.args(["dev", "--data-dir"]).arg(dir.path());
    let _running = Running(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let context = dir.path().join("hub/admin.yaml");
    let berth = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
        let output = command
            .arg("--context-file")
            .arg(&context)
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    // All clusters are there when the tenants of the demo are. Each look that fails takes the time of a process.
    let looks = (0..2_000).find(|_| berth(&["wait", "tenant/tenant-a", "--timeout", "30s"]).0 == Some(0));
    assert!(looks.is_some(), "the demo does not start");

    let mut file = String::new();
    for number in 1..=5 {
        let _ = writeln!(
            file,
            "---\napiVersion: berth.dev/v1\nkind: Tenant\nmetadata: {{name: many-{number}}}\n\
             spec: {{tier: free, placement: {{regions: [us-east-1]}}}}"
        );
    }
    let path = dir.path().join("many.yaml");
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(
        berth(&["apply", "-f", path, "--wait", "--timeout", "60s"]).0,
        Some(0)
    );

    // Three may go; for the others somebody has to say that it is meant.
    let (code, said) = berth(&["delete", "-f", path, "--wait", "--timeout", "5s"]);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("berth release-breaker"), "{said}");
    assert_eq!(berth(&["release-breaker", "us-shared-1"]).0, Some(0));
    for number in 1..=5 {
        let tenant = format!("tenant/many-{number}");
        let (code, said) = berth(&["wait", &tenant, "--for=delete", "--timeout", "60s"]);
        assert_eq!(code, Some(0), "{said}");
    }
}
