//! Backups in a bucket, before an independent server: moto's S3, which is Python and knows nothing of this code.
//!
//! Needs `python3` with `venv` and a PyPI index; moto goes into a virtual environment beside the test's own files.
#![cfg(feature = "s3")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use berth_runtime::{CancellationToken, clock::SystemClock};
use berth_store::{
    Key, MemoryStore, Store, Txn,
    backup::{self, Access, BackupError, Backups, Location, Options, Place, Source, Target},
    snapshot,
};
use bytes::Bytes;

const MOTO: &str = "moto[server]==5.2.5";

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} does not start: {error}; this test needs python3 with venv")
    });
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{err}", output.status);
}

/// A Python that has moto. A finished environment is marked, so that an interrupted one is made again.
fn python() -> PathBuf {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _made_once = ONE_AT_A_TIME.lock().unwrap();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let (python, done) = (dir.join("bin/python"), dir.join(format!("has-{MOTO}")));
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir));
        run(Command::new(&python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            MOTO,
        ]));
        std::fs::write(done, "").unwrap();
    }
    python
}

struct Moto {
    child: Child,
    url: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it on a port of its own choice, which it says.
fn moto() -> Moto {
    let script = "\
import sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
print('PORT', server.get_host_and_port()[1], flush=True)
sys.stdin.read()
";
    let mut child = Command::new(python())
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines
        .find_map(|line| line.ok()?.strip_prefix("PORT ").map(str::to_owned))
        .unwrap_or_else(|| panic!("moto said no port"));
    Moto {
        child,
        url: format!("http://127.0.0.1:{port}"),
    }
}

fn access() -> Access {
    let settings = [
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_PROFILE", "is for other tools"),
    ];
    Access::from_settings(settings.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

async fn bucket(moto: &Moto, name: &str) -> Arc<dyn Place> {
    // The first request of all: moto makes a bucket for a PUT to its name, whoever signs it.
    let answer = reqwest::Client::new()
        .put(format!("{}/{name}", moto.url))
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    location(moto, name).open(&access()).unwrap()
}

fn location(moto: &Moto, name: &str) -> Location {
    format!("s3://{name}/berth/eu?endpoint={}&region=us-east-1", moto.url)
        .parse()
        .unwrap()
}

fn start(store: &MemoryStore, place: Arc<dyn Place>) -> (Backups, CancellationToken) {
    let source = Source {
        store: Arc::new(store.clone()),
        fleet: None,
        incarnation: "one".into(),
    };
    let options = Options {
        interval: Duration::from_millis(50),
        ..Options::default()
    };
    (
        Backups::new(source, place, Arc::new(SystemClock::new()), options),
        CancellationToken::new(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_holds_backups_as_a_directory_does() {
    // Other crates of the workspace bring more than one TLS provider into this test.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let moto = tokio::task::spawn_blocking(moto).await.unwrap();
    let place = bucket(&moto, "backups").await;

    assert_eq!(place.get("chains/none").await.unwrap(), None);
    assert_eq!(place.list("chains").await.unwrap(), Vec::<String>::new());
    for (name, text) in [
        ("chains/b/1", "one"),
        ("chains/a/2", "two"),
        ("chains/a/2", "two again"),
        ("other/3", "x"),
    ] {
        place.put(name, Bytes::from(text)).await.unwrap();
    }
    assert_eq!(place.get("chains/a/2").await.unwrap().unwrap(), "two again");
    assert_eq!(place.list("chains").await.unwrap(), ["chains/a/2", "chains/b/1"]);
    for _ in 0..2 {
        place.delete("chains/a/2").await.unwrap();
    }
    place.delete("chains/b/1").await.unwrap();
    assert_eq!(place.list("chains").await.unwrap(), Vec::<String>::new());

    let store = MemoryStore::new();
    for at in 0..40 {
        let txn = Txn::new().put(Key::new(format!("tenants/t-{at}")).unwrap(), vec![7; 3000]);
        store.txn(txn).await.unwrap();
    }
    let (backups, cancel) = start(&store, place.clone());
    let mut status = backups.status();
    let task = tokio::spawn(backups.run(cancel.clone()));
    for at in 0..5 {
        let txn = Txn::new().put(Key::new("tenants/t-3").unwrap(), format!("again {at}"));
        let revision = store.txn(txn).await.unwrap();
        let reached = status.wait_for(|status| status.revision >= revision);
        tokio::time::timeout(Duration::from_secs(60), reached)
            .await
            .unwrap()
            .unwrap();
    }
    cancel.cancel();
    task.await.unwrap();
    let back = backup::load(place.as_ref(), Target::Newest).await.unwrap();
    let all = snapshot::contents(&store).await.unwrap();
    assert_eq!((back.summary.revision, back.entries), all);
    let reports = backup::verify(place.as_ref(), |_| ()).await.unwrap();
    assert!(reports.len() == 1 && reports[0].segments > 0, "{reports:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_an_error_that_names_it() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let moto = tokio::task::spawn_blocking(moto).await.unwrap();
    let place = location(&moto, "nowhere").open(&access()).unwrap();
    let error = place.put("chains/x", Bytes::from_static(b"x")).await.unwrap_err();
    assert!(matches!(error, BackupError::Place { .. }), "{error}");
    assert!(error.to_string().contains("s3://nowhere/berth/eu"), "{error}");
}
