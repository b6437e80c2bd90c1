//! `berth store` as operators run it, on a store that several hubs share: a real etcd with TLS, users and rights.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_fake::control_plane::{Binaries, EtcdCluster, EtcdClusterOptions};
use berth_model::{FleetId, Term, Timestamp};
use berth_store::{EtcdOptions, EtcdStore, Key, SledOptions, SledStore, Store as _, Txn};
use berth_wire::record::{FleetRecord, RestoreRecord, decode_restore, encode_fleet, encode_restore};
use serde_json::json;
use tokio::process::Command;

struct Called {
    code: i32,
    out: String,
    err: String,
}

async fn berth(arguments: &[&str]) -> Called {
    let output = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(arguments)
        .env("BERTH_CONTEXT", "/nonexistent/context.yaml")
        .env("NO_COLOR", "1")
        .output()
        .await
        .unwrap();
    Called {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An etcd with TLS, and what a command line shows to it.
struct Etcd {
    etcd: EtcdCluster,
    directory: tempfile::TempDir,
}

impl Etcd {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = EtcdClusterOptions {
            tls: true,
            ..EtcdClusterOptions::default()
        };
        let etcd = EtcdCluster::start(&Binaries::find().unwrap(), &options)
            .await
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let tls = etcd.tls().unwrap();
        for (name, pem) in [("ca", &tls.ca), ("cert", &tls.certificate), ("key", &tls.key)] {
            fs::write(directory.path().join(name), pem).unwrap();
        }
        Self { etcd, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn url(&self, prefix: &str) -> String {
        let url = &self.etcd.client_urls()[0];
        format!("etcds://{}/{prefix}", url.trim_start_matches("https://"))
    }

    async fn store(&self, prefix: &str) -> EtcdStore {
        let tls = self.etcd.tls().unwrap().clone();
        let options = EtcdOptions {
            ca_pem: Some(tls.ca),
            cert_pem: Some(tls.certificate),
            key_pem: Some(tls.key),
            prefix: format!("/{prefix}/"),
            ..EtcdOptions::new(self.etcd.client_urls())
        };
        EtcdStore::connect(&options).await.unwrap()
    }

    /// `berth store` on what is under `prefix`.
    async fn berth(&self, prefix: &str, arguments: &[&str]) -> Called {
        let (url, ca, cert, key) = (
            self.url(prefix),
            self.path("ca"),
            self.path("cert"),
            self.path("key"),
        );
        let mut all = vec!["store"];
        all.extend(arguments);
        all.extend(["--store", &url, "--etcd-ca", text(&ca)]);
        all.extend(["--etcd-cert", text(&cert), "--etcd-key", text(&key)]);
        berth(&all).await
    }

    async fn well(&self, prefix: &str, arguments: &[&str]) -> String {
        let Called { code, out, err } = self.berth(prefix, arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }
}

fn fleet() -> Vec<u8> {
    encode_fleet(&FleetRecord {
        fleet: FleetId::new("fleet-1").unwrap(),
        term: Term(1),
        command_term: Term(0),
        commanded_at: None,
        ca_pin: String::new(),
    })
}

/// A hub's data directory with a store of 251 entries: more than fit a transaction.
async fn home(dir: &Path) {
    let store = SledStore::open(&SledOptions::in_home(dir)).unwrap();
    store.txn(Txn::new().put(key("fleet"), fleet())).await.unwrap();
    for at in 0..250 {
        let txn = Txn::new().put(key(&format!("objects/{at:03}")), at.to_string());
        store.txn(txn).await.unwrap();
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_goes_from_a_directory_into_etcd_and_back_and_is_the_same() {
    let etcd = Etcd::start().await;
    let (old, new) = (etcd.path("old"), etcd.path("new"));
    let (there, back, backup) = (etcd.path("there"), etcd.path("back"), etcd.path("backup"));
    home(&old).await;
    let exported = berth(&["store", "export", "--data-dir", text(&old), "--to", text(&there)]).await;
    assert_eq!(exported.code, 0, "{}", exported.err);
    let out = etcd.well("moved", &["import", "--from", text(&there)]).await;
    assert!(out.contains("take-command") && out.contains("fleet-1"), "{out}");
    let out = etcd.well("moved", &["verify", "-o", "json"]).await;
    assert!(
        out.contains("\"entries\": 252") && out.contains("\"incarnation\": \"etcd-"),
        "{out}"
    );
    let mark = etcd
        .store("moved")
        .await
        .get(&key("restore"))
        .await
        .unwrap()
        .unwrap();
    let mark = decode_restore(&mark.value).unwrap();
    assert!(!mark.unfinished && mark.source == text(&there), "{mark:?}");

    etcd.well("moved", &["backup", "--to", text(&backup)]).await;
    etcd.well("moved", &["export", "--to", text(&back)]).await;
    let imported = berth(&["store", "import", "--data-dir", text(&new), "--from", text(&back)]).await;
    assert_eq!(imported.code, 0, "{}", imported.err);
    let store = SledStore::open(&SledOptions::in_home(&new)).unwrap();
    for at in 0..250 {
        let entry = store.get(&key(&format!("objects/{at:03}"))).await.unwrap();
        assert_eq!(entry.unwrap().value, at.to_string());
    }
    store.close().await;

    // A backup of etcd comes back into etcd, under another prefix.
    let out = etcd.well("restored", &["restore", "--from", text(&backup)]).await;
    assert!(out.contains("take-command"), "{out}");
    let out = etcd.well("restored", &["verify"]).await;
    assert!(out.contains("252"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_told_with_what_to_do_next_and_nothing_is_written() {
    let etcd = Etcd::start().await;
    let (hub, file) = (etcd.path("hub"), etcd.path("file"));
    home(&hub).await;
    let exported = berth(&["store", "export", "--data-dir", text(&hub), "--to", text(&file)]).await;
    assert_eq!(exported.code, 0, "{}", exported.err);
    let short = etcd.path("short");
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&short, bytes).unwrap();
    etcd.well("taken", &["import", "--from", text(&file)]).await;

    let refused = |called: Called, code: i32, words: &[&str]| {
        assert_eq!(called.code, code, "{}{}", called.out, called.err);
        for word in words {
            assert!(called.err.contains(word), "{word}: {}", called.err);
        }
    };
    let from = ["--from", text(&file)];
    for command in ["import", "restore"] {
        // Somebody's store is there.
        refused(
            etcd.berth("taken", &[command, from[0], from[1]]).await,
            5,
            &["not empty", "another prefix"],
        );
        refused(
            etcd.berth("free", &[command, "--from", text(&short)]).await,
            78,
            &["damaged", "another snapshot"],
        );
        // Nobody listens there.
        let nowhere = [
            "store",
            command,
            "--store",
            "etcd://127.0.0.1:1/x",
            from[0],
            from[1],
        ];
        refused(berth(&nowhere).await, 6, &["does not answer", "endpoint health"]);
        // Without TLS, and with it but unknown.
        let plain = etcd.url("free").replace("etcds://", "etcd://");
        refused(
            berth(&["store", command, "--store", &plain, from[0], from[1]]).await,
            6,
            &["does not answer"],
        );
        refused(
            berth(&["store", command, "--store", &etcd.url("free"), from[0], from[1]]).await,
            2,
            &["authority"],
        );
        refused(
            berth(&[
                "store",
                command,
                "--store",
                "http://127.0.0.1:1",
                from[0],
                from[1],
            ])
            .await,
            2,
            &["etcd://HOST"],
        );
        refused(
            berth(&["store", command, from[0], from[1]]).await,
            2,
            &["--store URL"],
        );
    }
    refused(
        etcd.berth("free", &["restore", from[0], from[1], "--replace"])
            .await,
        2,
        &["--replace"],
    );
    let store = etcd.store("free").await;
    assert_eq!(store.incarnation(), "", "a refused command has written something");
}

/// Turns users on: `root`, and `hub` that may use `/berth/` alone.
async fn with_users(url: &str) {
    let under = |text: &str| STANDARD.encode(text);
    let all = json!({"permType": "READWRITE", "key": under("/berth/"), "range_end": under("/berth0")});
    for (what, request) in [
        ("user/add", json!({"name": "root", "password": "root-word"})),
        ("user/grant", json!({"user": "root", "role": "root"})),
        ("role/add", json!({"name": "berth"})),
        ("role/grant", json!({"name": "berth", "perm": all})),
        ("user/add", json!({"name": "hub", "password": "hub-word"})),
        ("user/grant", json!({"user": "hub", "role": "berth"})),
        ("enable", json!({})),
    ] {
        let asked = reqwest::Client::new().post(format!("{url}/v3/auth/{what}"));
        let answer = asked.body(request.to_string()).send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{what}: {}",
            answer.text().await.unwrap()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_rights_under_the_prefix_is_told_which_rights_are_needed() {
    let options = EtcdClusterOptions {
        arguments: vec!["--enable-grpc-gateway=true".into()],
        ..EtcdClusterOptions::default()
    };
    let etcd = EtcdCluster::start(&Binaries::find().unwrap(), &options)
        .await
        .unwrap();
    with_users(&etcd.client_urls()[0]).await;
    let dir = tempfile::tempdir().unwrap();
    let (hub, file) = (dir.path().join("hub"), dir.path().join("file"));
    home(&hub).await;
    let exported = berth(&["store", "export", "--data-dir", text(&hub), "--to", text(&file)]).await;
    assert_eq!(exported.code, 0, "{}", exported.err);
    let (right, wrong) = (dir.path().join("right"), dir.path().join("wrong"));
    fs::write(&right, "hub-word\n").unwrap();
    fs::write(&wrong, "guessed-word\n").unwrap();
    let host = etcd.client_urls()[0].trim_start_matches("http://").to_owned();
    let import = async |prefix: &str, user: &[&str]| {
        let url = format!("etcd://{host}/{prefix}");
        let mut all = vec!["store", "import", "--from", text(&file), "--store", &url];
        all.extend(user);
        berth(&all).await
    };
    let known = ["--etcd-user", "hub", "--etcd-password-file", text(&right)];
    let guessed = ["--etcd-user", "hub", "--etcd-password-file", text(&wrong)];
    for (prefix, user) in [("another", &known[..]), ("berth", &guessed[..]), ("berth", &[])] {
        let refused = import(prefix, user).await;
        assert_eq!(refused.code, 8, "{prefix} {user:?}: {}", refused.err);
        assert!(refused.err.contains("--etcd-user"), "{}", refused.err);
        assert!(!refused.err.contains("-word"), "{}", refused.err);
    }
    let taken = import("berth", &known).await;
    assert_eq!(taken.code, 0, "{}", taken.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_restored_to_the_end_no_hub_takes_for_the_fleet() {
    let etcd = Etcd::start().await;
    let store = etcd.store("half").await;
    let mark = RestoreRecord {
        source: "backup.berth".into(),
        restored_at: Timestamp::from_second(1_800_000_000).unwrap(),
        revision: berth_model::Revision(9),
        snapshot_at: Timestamp::from_second(1_800_000_000).unwrap(),
        unfinished: true,
    };
    store
        .txn(Txn::new().put(key("restore"), encode_restore(&mark)))
        .await
        .unwrap();
    let (data, config) = (etcd.path("data"), etcd.path("config.yaml"));
    let access = format!(
        "etcd: {{caFile: {}, certFile: {}, keyFile: {}}}",
        text(&etcd.path("ca")),
        text(&etcd.path("cert")),
        text(&etcd.path("key"))
    );
    fs::write(&config, access).unwrap();
    let any = "127.0.0.1:0";
    let hub = berth(&[
        "hub",
        "--data-dir",
        text(&data),
        "--config",
        text(&config),
        "--store",
        &etcd.url("half"),
        "--listen",
        any,
        "--agent-listen",
        any,
        "--ops-listen",
        any,
    ])
    .await;
    let said = format!("{}{}", hub.out, hub.err);
    assert_eq!(hub.code, 78, "{said}");
    let next = format!(
        "berth store restore --store {}-restored --from BACKUP",
        etcd.url("half")
    );
    assert!(said.contains("backup.berth") && said.contains(&next), "{said}");
    assert!(
        store.get(&key("fleet")).await.unwrap().is_none(),
        "a fleet was founded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_read_are_named_with_what_to_do() {
    let etcd = Etcd::start().await;
    let store = etcd.store("odd").await;
    let txn = Txn::new()
        .put(key("fleet"), fleet())
        .put(key("tenants/acme"), vec![0xff; 40])
        .put(key("placements/acme"), "garbage");
    store.txn(txn).await.unwrap();
    let called = etcd.berth("odd", &["verify", "-o", "json"]).await;
    assert_eq!(called.code, 78, "{}", called.err);
    for word in ["tenants/acme", "placements/acme"] {
        assert!(called.out.contains(word), "{}", called.out);
        assert!(called.err.contains(word), "{}", called.err);
    }
    assert!(
        called.err.contains("berth store restore --from BACKUP"),
        "{}",
        called.err
    );
}
