//! The hub's data directory: what is made on the first start and found again on every other.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use berth_identity::{Authority, CaError, Credential, ca};
use berth_model::{FleetId, Generation, Revision, Term, Tier, Timestamp, Uid, catalogue};
use berth_store::{OpenError, SledOptions, SledStore, Store, StoreError, Txn};
use berth_wire::record::FleetRecord;
use tracing::info;

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
    /// The certificate authority.
    #[error("the certificate authority")]
    Authority(#[from] CaError),
    /// A record or a name in it.
    #[error("{0}")]
    Wrong(String),
}

/// What the data directory holds.
pub struct Home {
    /// The store.
    pub store: Arc<dyn Store>,
    sled: Arc<SledStore>,
    /// Signs certificates.
    pub authority: Arc<Authority>,
    /// Which fleet this is.
    pub fleet: FleetId,
    /// The leader's epoch. One hub on sled is always the same leader: restarting changes nothing in any cluster.
    pub term: Term,
    /// Whether this start made it.
    pub first_start: bool,
}

impl Home {
    /// Opens `dir`, making on the first start what is missing.
    ///
    /// # Errors
    /// [`HomeError`] names what and where.
    pub async fn open(dir: &Path, now: Timestamp) -> Result<Self, HomeError> {
        make_private(dir)?;
        // Opening replays a log and blocks.
        let options = SledOptions::new(dir.join("store"));
        let opened = tokio::task::spawn_blocking(move || SledStore::open(&options)).await;
        let sled = Arc::new(opened.map_err(|error| HomeError::Wrong(error.to_string()))??);
        let store: Arc<dyn Store> = sled.clone();
        let (record, first_start) = fleet(store.as_ref()).await?;
        let authority_dir = dir.join("ca");
        make_private(&authority_dir)?;
        let authority = Arc::new(Authority::load_or_create(&authority_dir, now)?);
        Ok(Self {
            store,
            sled,
            authority,
            fleet: record.fleet,
            term: record.term,
            first_start,
        })
    }

    /// Lets go of the directory when everything is written.
    pub async fn close(&self) {
        self.sled.close().await;
    }
}

/// Reads what this store is, or writes it with the tiers a new hub starts with.
async fn fleet(store: &dyn Store) -> Result<(FleetRecord, bool), HomeError> {
    let key = berth_control::keys::fleet();
    if let Some(entry) = store.get(&key).await? {
        let record = berth_wire::record::decode_fleet(&entry.value)
            .map_err(|error| HomeError::Wrong(error.to_string()))?;
        return Ok((record, false));
    }
    let short = uuid::Uuid::new_v4().simple().to_string();
    let fleet_id = FleetId::new(format!("fleet-{}", &short[..12]))
        .map_err(|error| HomeError::Wrong(error.to_string()))?;
    let record = FleetRecord {
        fleet: fleet_id,
        term: Term(1),
    };
    let mut txn = Txn::new()
        .if_absent(key.clone())
        .put(key, berth_wire::record::encode_fleet(&record));
    for (name, spec) in catalogue::tiers().map_err(|error| HomeError::Wrong(error.to_string()))? {
        let uid = Uid::new(uuid::Uuid::new_v4().to_string())
            .map_err(|error| HomeError::Wrong(error.to_string()))?;
        let tier = Tier {
            name: name.clone(),
            uid,
            generation: Generation(1),
            revision: Revision(0),
            spec,
        };
        txn = txn.put(
            berth_control::keys::tier(&name),
            berth_wire::record::encode_tier(&tier),
        );
    }
    store.txn(txn).await?;
    info!(fleet = %record.fleet, "a new fleet");
    Ok((record, true))
}

/// Writes the admin's context when there is none, or when it is of another authority or has expired.
///
/// # Errors
/// [`HomeError`] names the file.
pub fn admin_context(dir: &Path, home: &Home, server: &str, now: Timestamp) -> Result<PathBuf, HomeError> {
    let path = dir.join("admin.yaml");
    if let Ok(text) = std::fs::read_to_string(&path)
        && let Ok(mut context) = berth_wire::context::Context::parse(&text)
        && context.ca_pem == home.authority.certificate_pem()
        && berth_identity::certificate::validity(&context.certificate_pem)
            .is_ok_and(|validity| !validity.expired(now))
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
        .issue_client(&home.fleet, "admin", now, ca::LONG_LIFETIME)?;
    let context = berth_wire::context::Context {
        server: server.to_owned(),
        ca_pem: home.authority.certificate_pem().to_owned(),
        certificate_pem,
        key_pem: key_pem.to_string(),
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
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| HomeError::File {
            operation: "create directory",
            path: dir.to_owned(),
            source,
        })
}

/// Writes a file only its owner reads, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), HomeError> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let file = |operation| {
        let path = path.to_owned();
        move |source| HomeError::File {
            operation,
            path,
            source,
        }
    };
    let beside = path.with_extension("yaml.new");
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(file("create"))?;
    out.write_all(text.as_bytes()).map_err(file("write"))?;
    out.sync_all().map_err(file("write"))?;
    std::fs::rename(&beside, path).map_err(file("rename to"))
}
