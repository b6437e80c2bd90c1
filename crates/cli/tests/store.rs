//! `berth store` as users run it, on directories.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use berth_model::{FleetId, Term};
use berth_store::{Key, SledOptions, SledStore, Store as _, Txn};
use berth_wire::record::{FleetRecord, decode_restore, encode_fleet};

struct Called {
    code: i32,
    out: String,
    err: String,
}

fn berth(arguments: &[&str]) -> Called {
    berth_with("/nonexistent/context.yaml", arguments)
}

fn berth_with(context: &str, arguments: &[&str]) -> Called {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(arguments)
        .env("BERTH_CONTEXT", context)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    Called {
        code: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

fn well(arguments: &[&str]) -> String {
    let Called { code, out, err } = berth(arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    out
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// A hub's data directory with a store of 31 entries.
fn home(dir: &Path) {
    block_on(async {
        let store = SledStore::open(&SledOptions::in_home(dir)).unwrap();
        let record = FleetRecord {
            fleet: FleetId::new("fleet-1").unwrap(),
            term: Term(1),
            command_term: Term(0),
            commanded_at: None,
            ca_pin: String::new(),
        };
        store
            .txn(Txn::new().put(key("fleet"), encode_fleet(&record)))
            .await
            .unwrap();
        for at in 0..30 {
            store
                .txn(Txn::new().put(key(&format!("objects/t-{at}")), "x"))
                .await
                .unwrap();
        }
        store.close().await;
    });
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_store_is_backed_up_and_restored_into_its_place_with_the_mark_of_a_restore() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, file, place) = (
        dir.path().join("hub"),
        dir.path().join("one.berth"),
        dir.path().join("backups"),
    );
    fs::create_dir_all(&hub).unwrap();
    fs::create_dir_all(&place).unwrap();
    home(&hub);
    let whole = well(&["store", "verify", "--data-dir", text(&hub)]);
    assert!(
        whole.contains("the store is whole") && whole.contains("objects"),
        "{whole}"
    );
    for to in [&file, &place] {
        let out = well(&["store", "backup", "--data-dir", text(&hub), "--to", text(to)]);
        assert!(out.contains("fleet-1"), "{out}");
        let out = well(&["store", "verify", "--from", text(to), "-o", "json"]);
        assert!(out.contains("31"), "{out}");
    }
    let again = berth(&["store", "backup", "--data-dir", text(&hub), "--to", text(&file)]);
    assert_eq!(again.code, 5, "{}", again.err);

    let refused = berth(&[
        "store",
        "restore",
        "--data-dir",
        text(&hub),
        "--from",
        text(&place),
    ]);
    assert_eq!(refused.code, 5);
    assert!(refused.err.contains("--replace"), "{}", refused.err);
    let out = well(&[
        "store",
        "restore",
        "--data-dir",
        text(&hub),
        "--from",
        text(&place),
        "--replace",
    ]);
    assert!(out.contains("berth fleet take-command"), "{out}");
    let aside = fs::read_dir(&hub).unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("store.replaced-")
    });
    assert_eq!(aside.count(), 1);
    block_on(async {
        let store = SledStore::open(&SledOptions::in_home(&hub)).unwrap();
        let mark = store.get(&key("restore")).await.unwrap().unwrap();
        let mark = decode_restore(&mark.value).unwrap();
        assert_eq!((mark.source.as_str(), mark.revision.0), (text(&place), 31));
        let refused = berth(&["store", "verify", "--data-dir", text(&hub)]);
        assert_eq!(refused.code, 5);
        assert!(
            refused.err.contains("berth store backup --to FILE"),
            "{}",
            refused.err
        );
        store.close().await;
    });
}

#[test]
fn a_store_moves_by_export_and_import_into_an_empty_one_only() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new, file) = (
        dir.path().join("old"),
        dir.path().join("new"),
        dir.path().join("all.berth"),
    );
    fs::create_dir_all(&old).unwrap();
    home(&old);
    well(&["store", "export", "--data-dir", text(&old), "--to", text(&file)]);
    well(&["store", "import", "--data-dir", text(&new), "--from", text(&file)]);
    let out = well(&["store", "verify", "--data-dir", text(&new), "-o", "json"]);
    // What was there, and the mark.
    assert!(out.contains("\"entries\": 32"), "{out}");
    let refused = berth(&["store", "import", "--data-dir", text(&new), "--from", text(&file)]);
    assert_eq!(refused.code, 5, "{}", refused.err);
}

#[test]
fn damage_ends_with_78_and_the_commands_that_repair_it_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, file) = (dir.path().join("hub"), dir.path().join("one.berth"));
    fs::create_dir_all(&hub).unwrap();
    home(&hub);
    well(&["store", "backup", "--data-dir", text(&hub), "--to", text(&file)]);
    let database = hub.join("store/sled/db");
    let mut bytes = fs::read(&database).unwrap();
    bytes[100..3000].fill(0);
    fs::write(&database, &bytes).unwrap();
    let refused = berth(&["store", "verify", "--data-dir", text(&hub)]);
    assert_eq!(refused.code, 78, "{}", refused.err);
    let repair = format!(
        "berth store restore --from BACKUP --data-dir {} --replace",
        text(&hub)
    );
    assert!(refused.err.contains(&repair), "{}", refused.err);
    assert_eq!(fs::read(&database).unwrap(), bytes);
    // And that command does repair it.
    well(&[
        "store",
        "restore",
        "--data-dir",
        text(&hub),
        "--from",
        text(&file),
        "--replace",
    ]);
    well(&["store", "verify", "--data-dir", text(&hub)]);

    let mut backup = fs::read(&file).unwrap();
    let at = backup.len() / 2;
    backup.truncate(at);
    fs::write(&file, backup).unwrap();
    let refused = berth(&["store", "verify", "--from", text(&file)]);
    assert_eq!(refused.code, 78, "{}", refused.err);
    let refused = berth(&[
        "store",
        "restore",
        "--data-dir",
        text(&hub),
        "--from",
        text(&file),
        "--replace",
    ]);
    assert_eq!(refused.code, 78, "{}", refused.err);
    well(&["store", "verify", "--data-dir", text(&hub)]);
}

#[test]
fn what_is_not_there_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = dir.path().join("nothing");
    for arguments in [
        ["store", "verify", "--data-dir", text(&nothing)],
        ["store", "verify", "--from", text(&nothing)],
        ["store", "verify", "--from", text(dir.path())],
    ] {
        let refused = berth(&arguments);
        assert_eq!(refused.code, 4, "{arguments:?}: {}", refused.err);
    }
    assert_eq!(berth(&["store", "verify"]).code, 2);
    assert!(!nothing.exists());
}

/// A hub in a process of its own.
struct Hub(Child);

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts one, and returns when it answers.
fn hub(home: &Path) -> (Hub, String) {
    let child = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(["hub", "--data-dir", text(home)])
        .args([
            "--listen",
            "127.0.0.1:0",
            "--agent-listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let hub = Hub(child);
    let context = home.join("admin.yaml");
    for _ in 0..600 {
        if context.exists() && berth_with(text(&context), &["get", "tiers"]).code == 0 {
            return (hub, text(&context).to_owned());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the hub does not answer");
}

#[test]
fn a_backup_of_a_running_hub_holds_no_key_and_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let (home, file) = (dir.path().join("hub"), dir.path().join("one.berth"));
    let (hub, context) = hub(&home);
    let made = berth_with(&context, &["token", "create", "eu-1", "-o", "token"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let token = made.out.trim().to_owned();
    assert!(token.len() > 20, "{token}");
    let backup = berth_with(&context, &["store", "backup", "--to", text(&file)]);
    assert_eq!(backup.code, 0, "{}", backup.err);
    drop(hub);

    let snapshot = berth_store::snapshot::read(fs::File::open(&file).unwrap()).unwrap();
    let tokens = snapshot
        .entries
        .iter()
        .filter(|entry| entry.key.as_str().starts_with("join-tokens/"));
    assert_eq!(tokens.count(), 1);
    // The secret is the token's last part; the keys are whatever lies in ca/, line by line.
    let secret = token.rsplit(['.', ':']).next().unwrap().to_owned();
    assert!(secret.len() > 15, "{token}");
    let mut secrets = vec![token.clone(), secret];
    for entry in fs::read_dir(home.join("ca")).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(text) = fs::read_to_string(&path)
            && text.contains("PRIVATE KEY")
        {
            secrets.extend(
                text.lines()
                    .filter(|line| !line.starts_with("--"))
                    .map(str::to_owned),
            );
        }
    }
    assert!(secrets.len() > 3, "no key was found in ca/");
    for entry in &snapshot.entries {
        let value = String::from_utf8_lossy(&entry.value);
        assert!(!value.contains("PRIVATE KEY"), "{}", entry.key);
        for secret in &secrets {
            assert!(
                !value.contains(secret.as_str()) && !entry.key.as_str().contains(secret.as_str()),
                "{}",
                entry.key
            );
        }
    }
}

#[test]
fn a_hub_ends_with_78_at_a_record_that_it_cannot_read_and_names_it_with_the_repair() {
    let dir = tempfile::tempdir().unwrap();
    let (home, file) = (dir.path().join("hub"), dir.path().join("one.berth"));
    let (running, context) = hub(&home);
    let backup = berth_with(&context, &["store", "backup", "--to", text(&file)]);
    assert_eq!(backup.code, 0, "{}", backup.err);
    drop(running);
    block_on(async {
        let store = SledStore::open(&SledOptions::in_home(&home)).unwrap();
        let txn = Txn::new().put(key("tenants/acme"), vec![0xff; 40]);
        store.txn(txn).await.unwrap();
        store.close().await;
    });
    let any = "127.0.0.1:0";
    let start = ["hub", "--data-dir", text(&home), "--listen", any];
    let listen = ["--agent-listen", any, "--ops-listen", any];
    let ended = berth(&[&start[..], &listen[..]].concat());
    let said = format!("{}{}", ended.out, ended.err);
    assert_eq!(ended.code, 78, "{said}");
    let restore = format!("berth store restore --data-dir {} --replace --from", text(&home));
    assert!(said.contains("tenants/acme") && said.contains(&restore), "{said}");
    let verified = berth(&["store", "verify", "--data-dir", text(&home)]);
    assert_eq!(verified.code, 78, "{}", verified.err);
    assert!(verified.err.contains("tenants/acme"), "{}", verified.err);
    // And that command does repair it.
    well(&[
        "store",
        "restore",
        "--data-dir",
        text(&home),
        "--replace",
        "--from",
        text(&file),
    ]);
    well(&["store", "verify", "--data-dir", text(&home)]);
}
