//! Which store is meant, and opening it.

use std::path::{Path, PathBuf};

use berth_model::Timestamp;
use berth_runtime::clock::{Clock as _, SystemClock};
use berth_store::{
    Key, OpenError, SledOptions, Store, StoreError,
    sled::{self, StoreCopy},
    snapshot::About,
};
use clap::Args;

use crate::exit::{Exit, Failure};

/// Which store.
#[derive(Args, Clone, Debug)]
pub(super) struct StoreArgs {
    /// Data directory of a hub that is stopped, or the directory of a store
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    pub(super) data_dir: Option<PathBuf>,
    /// A store that several hubs share, as `berth hub` has it: etcd://HOST:PORT,.../PREFIX, or etcds:// for TLS
    #[arg(long, value_name = "URL")]
    pub(super) store: Option<String>,
    /// Who signs etcd's certificates, a PEM file
    #[arg(long, value_name = "FILE", requires = "store")]
    etcd_ca: Option<PathBuf>,
    /// The certificate to show to etcd, a PEM file
    #[arg(long, value_name = "FILE", requires = "etcd_key")]
    etcd_cert: Option<PathBuf>,
    /// Its key, a PEM file
    #[arg(long, value_name = "FILE", requires = "etcd_cert")]
    etcd_key: Option<PathBuf>,
    /// User of etcd
    #[arg(long, value_name = "NAME", requires = "etcd_password_file")]
    etcd_user: Option<String>,
    /// File with the user's password
    #[arg(long, value_name = "FILE", requires = "etcd_user")]
    etcd_password_file: Option<PathBuf>,
}

/// A store to read.
pub(super) enum Opened {
    /// A copy of one on this machine's disk.
    Copy(Box<StoreCopy>),
    /// One that others may use meanwhile.
    #[cfg(feature = "etcd")]
    Etcd(berth_store::EtcdStore),
}

impl StoreArgs {
    /// Whether no store is named.
    pub(super) const fn none(&self) -> bool {
        self.data_dir.is_none() && self.store.is_none()
    }
}

impl Opened {
    /// The store.
    pub(super) fn store(&self) -> Result<&dyn Store, Failure> {
        match self {
            Self::Copy(copy) => Ok(copy.store().map_err(|error| of_store("the copy", &error))?),
            #[cfg(feature = "etcd")]
            Self::Etcd(etcd) => Ok(etcd),
        }
    }

    /// What the store says about itself.
    pub(super) async fn about(&self) -> Result<About, Failure> {
        let store = self.store()?;
        let key = Key::new("fleet").map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
        let entry = store
            .get(&key)
            .await
            .map_err(|error| of_store("the store", &error))?;
        let fleet = entry
            .and_then(|entry| berth_wire::record::decode_fleet(&entry.value).ok())
            .map(|record| record.fleet.to_string());
        let incarnation = match self {
            Self::Copy(copy) => copy.inventory().incarnation,
            #[cfg(feature = "etcd")]
            Self::Etcd(etcd) => etcd.incarnation().to_owned(),
        };
        Ok(About {
            fleet,
            incarnation,
            created_at: now(),
        })
    }
}

/// Opens the store that is meant, to read it.
pub(super) async fn open_store(args: &StoreArgs) -> Result<Opened, Failure> {
    if let Some(dir) = &args.data_dir {
        let options = directory(dir);
        let opened =
            tokio::task::spawn_blocking(move || StoreCopy::open(&options, &std::env::temp_dir())).await;
        let opened = opened.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
        return opened
            .map(|copy| Opened::Copy(Box::new(copy)))
            .map_err(|error| of_opening(&error));
    }
    match &args.store {
        Some(url) => etcd(url, args).await,
        None => Err(Failure::usage("say which store: --data-dir DIR or --store URL")),
    }
}

#[cfg(feature = "etcd")]
async fn etcd(url: &str, args: &StoreArgs) -> Result<Opened, Failure> {
    connect(url, args).await.map(Opened::Etcd)
}

#[cfg(not(feature = "etcd"))]
#[expect(clippy::unused_async, reason = "as with etcd")]
async fn etcd(_: &str, _: &StoreArgs) -> Result<Opened, Failure> {
    Err(no_etcd())
}

/// This build cannot do it.
#[cfg(not(feature = "etcd"))]
pub(super) fn no_etcd() -> Failure {
    Failure::usage(
        "this build has no etcd: build it with --features etcd, or name a directory with --data-dir",
    )
}

/// Connects to etcd.
#[cfg(feature = "etcd")]
pub(super) async fn connect(url: &str, args: &StoreArgs) -> Result<berth_store::EtcdStore, Failure> {
    let read = |path: &Option<PathBuf>| {
        path.as_ref()
            .map(|path| {
                std::fs::read_to_string(path)
                    .map_err(|error| Failure::new(Exit::Failure, format!("read {}: {error}", path.display())))
            })
            .transpose()
    };
    let mut options =
        berth_store::EtcdOptions::parse(url).map_err(|error| Failure::usage(error.to_string()))?;
    options.ca_pem = read(&args.etcd_ca)?;
    options.cert_pem = read(&args.etcd_cert)?;
    options.key_pem = read(&args.etcd_key)?;
    options.user.clone_from(&args.etcd_user);
    options.password = read(&args.etcd_password_file)?.map(|password| password.trim_end().to_owned());
    options
        .check()
        .map_err(|error| Failure::usage(error.to_string()))?;
    berth_store::EtcdStore::connect(&options)
        .await
        .map_err(|error| match &error {
            berth_store::EtcdError::Options(_) => Failure::usage(error.to_string()),
            berth_store::EtcdError::Store(problem) => of_store(&format!("store {url}"), problem),
        })
}

/// Where a store on disk is: below a hub's data directory, or right there.
pub(super) fn directory(dir: &Path) -> SledOptions {
    if sled::exists(dir) {
        SledOptions::new(dir)
    } else {
        SledOptions::in_home(dir)
    }
}

/// Now.
pub(super) fn now() -> Timestamp {
    SystemClock::new().now()
}

/// Why a directory's store cannot be used, and what to do.
pub(super) fn of_opening(error: &OpenError) -> Failure {
    let exit = match error {
        OpenError::Damaged { .. } | OpenError::NewerSchema { .. } => Exit::Damaged,
        OpenError::Locked { .. } => Exit::Conflict,
        OpenError::Missing { .. } => Exit::NotFound,
        OpenError::Io { .. } => Exit::Failure,
    };
    let mut lines = vec![causes(error)];
    if matches!(error, OpenError::Locked { .. }) {
        lines.push(
            "a running hub holds it; back it up while it runs with `berth store backup --to FILE` and its context, without --data-dir".into(),
        );
    }
    lines.push(error.hint());
    Failure { exit, lines }
}

/// Why a store did not do as asked, and what to do.
pub(super) fn of_store(what: &str, error: &StoreError) -> Failure {
    let (exit, next) = match error {
        StoreError::Unavailable { .. } => (
            Exit::Unavailable,
            "see that the address is right and a quorum of its members runs: `etcdctl --endpoints HOST:PORT,... endpoint health`",
        ),
        StoreError::Denied { .. } => (
            Exit::Denied,
            "name a user with read and write permission under the prefix (--etcd-user, --etcd-password-file), or another certificate (--etcd-cert, --etcd-key)",
        ),
        StoreError::NewerSchema { .. } => (Exit::Damaged, "use the version that wrote it, or a newer one"),
        StoreError::Full { .. } => (Exit::Failure, "make room, then try again"),
        StoreError::Conflict { .. } => (
            Exit::Conflict,
            "somebody else writes there: stop every hub on this store, or name another prefix",
        ),
        _ => (Exit::Failure, "see that the store answers, then try again"),
    };
    Failure {
        exit,
        lines: vec![format!("{what}: {}", causes(error)), next.to_owned()],
    }
}

/// An error with everything behind it.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
