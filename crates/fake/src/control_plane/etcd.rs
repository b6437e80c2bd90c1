//! One etcd process, for one control plane or for several.
//!
//! It listens on a socket file in a directory only its owner can enter: no port to race for, and no way in for others on
//! the machine although it speaks without TLS.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;

use super::guard::Guard;
use super::home::{make_directory, temporary};
use super::process::Process;
use super::{Binaries, Binary, Error};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// An etcd that control planes can share, each under a prefix of its own. It ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct SharedEtcd {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    process: Mutex<Process>,
    url: String,
    /// Holds the socket, and the data when they are not kept.
    _directory: tempfile::TempDir,
}

impl SharedEtcd {
    /// Starts etcd with its data in `data_dir`, or in a temporary directory. `durable`: acknowledged writes are on the
    /// disk; without it etcd is faster and a power failure loses data.
    ///
    /// # Errors
    /// There is no etcd, or it does not start.
    pub async fn start(binaries: &Binaries, data_dir: Option<&Path>, durable: bool) -> Result<Self, Error> {
        let program = binaries.require(Binary::Etcd)?;
        // Socket paths are limited to about 100 bytes, so a data directory of any depth cannot hold them.
        let directory = temporary()?;
        let data = data_dir.map_or_else(|| directory.path().join("data"), Path::to_owned);
        make_directory(&data)?;
        let socket = directory.path().join("client");
        let url = format!("unix://{}", socket.display());
        let mut arguments = vec![
            format!("--data-dir={}", data.join("member-data").display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!(
                "--listen-peer-urls=unix://{}",
                directory.path().join("peer").display()
            ),
            "--auto-compaction-mode=periodic".to_owned(),
            "--auto-compaction-retention=10m".to_owned(),
        ];
        if !durable {
            arguments.push("--unsafe-no-fsync".to_owned());
        }
        let guard = Arc::new(Guard::start(Some(directory.path()))?);
        let mut process = Process::spawn(Binary::Etcd, program, arguments, &data, &guard)?;
        let ready = tokio::time::timeout(READY_WITHIN, async {
            while UnixStream::connect(&socket).await.is_err() {
                process.ensure_running()?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, Error>(())
        });
        match ready.await {
            Ok(result) => result?,
            Err(_) => return Err(process.not_ready(READY_WITHIN)),
        }
        Ok(Self {
            inner: Arc::new(Inner {
                process: Mutex::new(process),
                url,
                _directory: directory,
            }),
        })
    }

    /// What `--etcd-servers` takes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    pub(super) fn resident_memory(&self) -> Option<u64> {
        self.inner
            .process
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .resident_memory()
    }

    /// Gives the handle back; the last one ends etcd in order.
    pub(super) async fn release(self) {
        if let Some(inner) = Arc::into_inner(self.inner) {
            inner
                .process
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .terminate(super::GRACE)
                .await;
        }
    }
}
