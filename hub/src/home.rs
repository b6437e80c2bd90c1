//! The hub's data directory: what is made on the first start and found again on every other.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use berth_control::keys;
use berth_identity::{Authority, CaError, Credential, Stage, ca, certificate};
use berth_model::{FleetId, Generation, Revision, Term, Tier, Timestamp, Uid, catalogue};
use berth_runtime::{
    CancellationToken, Clock,
    files::{self, Readable},
};
use berth_store::{Election, OpenError, SledOptions, SledStore, SoleCandidate, Store, StoreError, Txn};
use berth_wire::record::{self, FleetRecord, RecordError};
use tracing::{info, warn};

use crate::{config::EtcdAccess, lead::Restored, options::StoreChoice};

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The directory or a file in it.
    #[error("{operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store does not answer.
    #[error("the store did not answer on start")]
    Store(#[from] StoreError),
    /// A private key that others may read.
    #[error(transparent)]
    Readable(#[from] berth_identity::ReadableByOthers),
    /// The certificate authority.
    #[error("the certificate authority")]
    Authority(#[from] CaError),
    /// The fleet has another certificate authority than this hub.
    #[error(
        "fleet {fleet} has the certificate authority {theirs}, this hub's directory has {ours}: copy ca/ from the data directory of a hub of that fleet (every agent trusts only that one)"
    )]
    OtherAuthority {
        /// Which fleet.
        fleet: FleetId,
        /// The pin in the fleet's record.
        theirs: String,
        /// The pin of this hub's own authority.
        ours: String,
    },
    /// The hub was to end before its store answered.
    #[error("ended before the store answered")]
    Cancelled,
    /// etcd refuses this hub, or how to reach it is wrong.
    #[cfg(feature = "etcd")]
    #[error("the store")]
    Etcd(#[source] berth_store::EtcdError),
    /// This build cannot speak to etcd.
    #[error("this build of the hub has no etcd: build it with --features etcd, or leave out --store")]
    NoEtcd,
    /// A record that every start needs.
    #[error("the record {key} in the store cannot be read")]
    Record {
        /// Its key.
        key: &'static str,
        /// Why not.
        #[source]
        problem: RecordError,
    },
    /// The store was not restored to the end.
    #[error(
        "the store was begun to be restored from {from} and that never ended, so that a part of the fleet is missing in it"
    )]
    Unfinished {
        /// From which backup.
        from: String,
    },
    /// A record or a name in it.
    #[error("{0}")]
    Wrong(String),
}

/// What a hub stands on: its store, who may act on it, and the fleet's authority.
pub struct Home {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Who may act on it.
    pub election: Arc<dyn Election>,
    /// `sled` or `etcd`.
    pub kind: &'static str,
    /// Signs certificates.
    pub authority: Arc<Authority>,
    /// Where `ca/` and `audit-key/` are; none where they were lent.
    pub keys: Option<PathBuf>,
    closing: Closing,
}

/// What is to be let go of in the end.
enum Closing {
    Sled(Arc<SledStore>),
    #[cfg(feature = "etcd")]
    Etcd(berth_store::EtcdStore),
    /// Whoever opened it lets go of it.
    Lent {
        /// Other hubs may stand on it too.
        shared: bool,
    },
}

/// What a period of leading begins with.
#[derive(Clone, Debug)]
pub struct Period {
    /// Which fleet this is.
    pub fleet: FleetId,
    /// The leader's epoch. One hub on sled is always the same leader: restarting changes nothing in any cluster.
    pub term: Term,
    /// The store was restored, and nobody has let a hub take command since.
    pub restored: Option<Restored>,
}

impl Home {
    /// Opens `dir` and the store, making on the first start what is missing. The authority is in `ca` of `keys`. An etcd that does
    /// not answer is waited for until `cancel` fires.
    ///
    /// # Errors
    /// [`HomeError`] names what and where.
    pub async fn open(
        dir: &Path,
        keys: &Path,
        choice: &StoreChoice,
        access: &EtcdAccess,
        clock: &dyn Clock,
        cancel: &CancellationToken,
    ) -> Result<Self, HomeError> {
        make_private(dir)?;
        let authority_dir = keys.join("ca");
        make_private(&authority_dir)?;
        private_keys(&authority_dir)?;
        let (store, election, kind, closing) = open_store(dir, choice, access, clock, cancel).await?;
        #[cfg(feature = "failpoints")]
        let store: Arc<dyn Store> = Arc::new(crate::failing::FailingStore(store));
        // After the store: a directory that another hub uses is not touched.
        let authority = Arc::new(Authority::load_or_create(&authority_dir, clock.now())?);
        Ok(Self {
            store,
            election,
            kind,
            authority,
            keys: Some(keys.to_owned()),
            closing,
        })
    }

    /// Stands on a store that is open already; `shared` when other hubs may stand on it too.
    #[must_use]
    pub fn over(
        store: Arc<dyn Store>,
        election: Arc<dyn Election>,
        authority: Arc<Authority>,
        shared: bool,
    ) -> Self {
        Self {
            store,
            election,
            kind: "lent",
            authority,
            keys: None,
            closing: Closing::Lent { shared },
        }
    }

    /// What the store is; none before a hub has led on it for the first time.
    ///
    /// # Errors
    /// The store does not answer, its record cannot be read, or it is of another authority than this hub's.
    pub async fn fleet(&self) -> Result<Option<FleetRecord>, HomeError> {
        let Some(entry) = self.store.get(&keys::fleet()).await? else {
            return Ok(None);
        };
        let record = read_fleet(&entry.value)?;
        self.same_authority(&record)?;
        Ok(Some(record))
    }

    /// The beginning of a period of leading: reads what this store is, or writes it with the tiers a new hub starts with. Where
    /// several hubs share the store, every period has a term of its own.
    ///
    /// # Errors
    /// As [`Home::fleet`].
    pub async fn begin(&self, now: Timestamp) -> Result<Period, HomeError> {
        let restored = self.restored().await?;
        let key = keys::fleet();
        let record = match self.store.get(&key).await? {
            None => self.found().await?,
            Some(entry) => {
                let read = read_fleet(&entry.value)?;
                self.same_authority(&read)?;
                // Another hub of the fleet, or this one before it died, went over to the next authority.
                if let Stage::Announced { next } = self.authority.stage()
                    && read.ca_pin == next.to_string()
                {
                    self.authority.finish_rotation(now)?;
                }
                let mut record = read.clone();
                if self.shared() {
                    record.term = Term(record.term.0 + 1);
                }
                record.ca_pin = self.authority.pin().to_string();
                if record != read {
                    let txn = Txn::new()
                        .if_revision(key.clone(), entry.revision)
                        .put(key, record::encode_fleet(&record));
                    self.store.txn(txn).await?;
                }
                record
            }
        };
        Ok(Period {
            fleet: record.fleet,
            term: record.term,
            restored,
        })
    }

    /// The mark that the store was restored. One that was not restored to the end is no store: what is missing in it would be taken for
    /// gone.
    async fn restored(&self) -> Result<Option<Restored>, HomeError> {
        let Some(entry) = self.store.get(&keys::restore()).await? else {
            return Ok(None);
        };
        match record::decode_restore(&entry.value) {
            Ok(mark) if mark.unfinished => Err(HomeError::Unfinished { from: mark.source }),
            Ok(mark) => Ok(Some(Restored(Some(mark)))),
            Err(error) => {
                warn!(%error, "the store was restored, and does not say from what");
                Ok(Some(Restored(None)))
            }
        }
    }

    /// What tells this store from every other one; empty where the store does not say.
    #[must_use]
    pub fn incarnation(&self) -> &str {
        match &self.closing {
            Closing::Sled(sled) => sled.incarnation(),
            #[cfg(feature = "etcd")]
            Closing::Etcd(etcd) => etcd.incarnation(),
            Closing::Lent { .. } => "",
        }
    }

    /// Whether other hubs may stand on the same store.
    #[must_use]
    pub const fn shared(&self) -> bool {
        !matches!(self.closing, Closing::Sled(_) | Closing::Lent { shared: false })
    }

    /// Lets go of the store when everything is written.
    pub async fn close(&self) {
        match &self.closing {
            Closing::Sled(sled) => sled.close().await,
            #[cfg(feature = "etcd")]
            Closing::Etcd(etcd) => etcd.close().await,
            Closing::Lent { .. } => {}
        }
    }

    /// Writes what a new store is.
    async fn found(&self) -> Result<FleetRecord, HomeError> {
        let wrong = |error: &dyn std::error::Error| HomeError::Wrong(error.to_string());
        let short = berth_runtime::entropy::uuid().simple().to_string();
        let record = FleetRecord {
            fleet: FleetId::new(format!("fleet-{}", &short[..12])).map_err(|error| wrong(&error))?,
            term: Term(1),
            command_term: Term(0),
            commanded_at: None,
            ca_pin: self.authority.pin().to_string(),
        };
        let key = keys::fleet();
        let mut txn = Txn::new()
            .if_absent(key.clone())
            .put(key, record::encode_fleet(&record));
        for (name, spec) in catalogue::tiers().map_err(|error| wrong(&error))? {
            let uid = Uid::new(berth_runtime::entropy::uuid().to_string()).map_err(|error| wrong(&error))?;
            let tier = Tier {
                name: name.clone(),
                uid,
                generation: Generation(1),
                revision: Revision(0),
                spec,
            };
            txn = txn.put(keys::tier(&name), record::encode_tier(&tier));
        }
        self.store.txn(txn).await?;
        info!(fleet = %record.fleet, "a new fleet");
        Ok(record)
    }

    /// Agents trust one authority, or two while it is rolled over: a hub with another one could not serve a single one of them.
    fn same_authority(&self, record: &FleetRecord) -> Result<(), HomeError> {
        let ours = self.authority.pin().to_string();
        // The old one is on record where this hub went over and did not come to write it down.
        let known = match self.authority.stage() {
            Stage::Single => false,
            Stage::Announced { next: other } | Stage::Switched { old: other } => {
                record.ca_pin == other.to_string()
            }
        };
        if record.ca_pin.is_empty() || record.ca_pin == ours || known {
            return Ok(());
        }
        Err(HomeError::OtherAuthority {
            fleet: record.fleet.clone(),
            theirs: record.ca_pin.clone(),
            ours,
        })
    }
}

fn read_fleet(value: &[u8]) -> Result<FleetRecord, HomeError> {
    record::decode_fleet(value).map_err(|problem| HomeError::Record {
        key: keys::FLEET,
        problem,
    })
}

type Opened = (Arc<dyn Store>, Arc<dyn Election>, &'static str, Closing);

async fn open_store(
    dir: &Path,
    choice: &StoreChoice,
    access: &EtcdAccess,
    clock: &dyn Clock,
    cancel: &CancellationToken,
) -> Result<Opened, HomeError> {
    #[cfg(not(feature = "etcd"))]
    let _ = (access, clock, cancel);
    match choice {
        StoreChoice::Sled => {
            // Opening replays a log and blocks.
            let options = SledOptions::in_home(dir);
            let opened = tokio::task::spawn_blocking(move || SledStore::open(&options)).await;
            let sled = Arc::new(opened.map_err(|error| HomeError::Wrong(error.to_string()))??);
            Ok((
                sled.clone(),
                Arc::new(SoleCandidate::new()),
                "sled",
                Closing::Sled(sled),
            ))
        }
        #[cfg(feature = "etcd")]
        StoreChoice::Etcd(etcd) => {
            let etcd = crate::etcd::connect(etcd, access, clock, cancel).await?;
            Ok((
                Arc::new(etcd.clone()),
                Arc::new(etcd.clone()),
                "etcd",
                Closing::Etcd(etcd),
            ))
        }
        #[cfg(not(feature = "etcd"))]
        StoreChoice::Etcd(_) => Err(HomeError::NoEtcd),
    }
}

/// Writes the admin's context when there is none, or when it trusts others, is by another authority or is in the second half of its life.
/// `outside` are roots besides the fleet's own, PEM.
///
/// # Errors
/// [`HomeError`] names the file.
pub fn admin_context(
    dir: &Path,
    home: &Home,
    fleet: &FleetId,
    server: &str,
    outside: &str,
    now: Timestamp,
) -> Result<PathBuf, HomeError> {
    let path = dir.join("admin.yaml");
    let ca_pem = format!("{}{outside}", home.authority.trust().pem);
    let current = |pem: &str| {
        let issuer = certificate::first(pem)
            .ok()
            .and_then(|der| home.authority.issuer_of(&der));
        issuer == Some(home.authority.pin())
    };
    if let Ok(text) = std::fs::read_to_string(&path)
        && let Ok(mut context) = berth_wire::context::Context::parse(&text)
        && context.ca_pem == ca_pem
        && current(&context.certificate_pem)
        && certificate::validity(&context.certificate_pem).is_ok_and(|validity| now < validity.renew_at())
    {
        if context.server != server {
            server.clone_into(&mut context.server);
            write_private(&path, &yaml(&context)?)?;
        }
        return Ok(path);
    }
    let Credential {
        certificate_pem,
        key_pem,
    } = home
        .authority
        .issue_client(fleet, "admin", now, ca::LONG_LIFETIME)?;
    let context = berth_wire::context::Context {
        server: server.to_owned(),
        servers: Vec::new(),
        ca_pem,
        certificate_pem,
        key_pem: key_pem.to_string(),
        ..berth_wire::context::Context::default()
    };
    write_private(&path, &yaml(&context)?)?;
    Ok(path)
}

fn yaml(context: &berth_wire::context::Context) -> Result<String, HomeError> {
    context
        .to_yaml()
        .map_err(|error| HomeError::Wrong(error.to_string()))
}

fn make_private(dir: &Path) -> Result<(), HomeError> {
    files::make_dir(dir).map_err(|source| HomeError::File {
        operation: "create directory",
        path: dir.to_owned(),
        source,
    })
}

/// Refuses keys that others may read: whoever has one can be the fleet's authority.
fn private_keys(dir: &Path) -> Result<(), HomeError> {
    let read = |source| HomeError::File {
        operation: "list",
        path: dir.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(dir).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == "key") {
            berth_identity::private(&path)?;
        }
    }
    Ok(())
}

/// Writes a file only its owner reads, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), HomeError> {
    files::write(path, text, Readable::ByOwner).map_err(|source| HomeError::File {
        operation: "write",
        path: path.to_owned(),
        source,
    })
}
