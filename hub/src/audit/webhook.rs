//! Sending the log somewhere else, line by line as it is, so that whoever has this machine does not have the only copy.
//!
//! Nobody waits for it. It reads the segments behind the writer, remembers on disk how far the other side has confirmed, and sends what
//! follows until that is confirmed too: every line comes at least once, and in order.

use std::{
    fs,
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use berth_identity::audit::{Line, segments};
use berth_runtime::{CancellationToken, Clock};
use reqwest::{
    Certificate, Client, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::Audit;
use crate::config;

/// Lines of a batch together, in bytes, unless one alone is longer.
const BATCH: u64 = 1 << 20;
/// How long the other side may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses after a failure: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const CURSOR: &str = "webhook.cursor";

/// Why the webhook cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Its address.
    #[error("audit.webhook.url {0:?} must be an https:// URL, or http:// to this machine")]
    Url(String),
    /// A file.
    #[error("read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificate of its authority, or TLS.
    #[error("set up TLS for audit.webhook")]
    Tls(#[source] reqwest::Error),
}

/// How far the other side has confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    log: String,
    segment: u64,
    offset: u64,
    seq: u64,
}

/// What sends the log.
pub struct Webhook {
    url: Url,
    headers: Option<PathBuf>,
    client: Client,
    audit: Audit,
    clock: Arc<dyn Clock>,
    cursor: Cursor,
}

/// Some lines, and where the next ones begin.
struct Batch {
    lines: Vec<u8>,
    next: Cursor,
}

impl Webhook {
    /// As `config` has it, going on where it was.
    ///
    /// # Errors
    /// [`WebhookError`] names the setting.
    pub fn new(config: &config::Webhook, audit: Audit, clock: Arc<dyn Clock>) -> Result<Self, WebhookError> {
        let wrong = || WebhookError::Url(config.url.clone());
        let url: Url = config.url.parse().map_err(|_| wrong())?;
        let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if !(url.scheme() == "https" || url.scheme() == "http" && local) {
            return Err(wrong());
        }
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| WebhookError::File { path, source }
        };
        let mut client = Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &config.ca_file {
            let pem = fs::read(path).map_err(file(path))?;
            let trusted = Certificate::from_pem_bundle(&pem).map_err(WebhookError::Tls)?;
            client = client.tls_certs_only(trusted);
        }
        let cursor = fs::read(audit.dir().join(CURSOR))
            .ok()
            .and_then(|text| serde_json::from_slice::<Cursor>(&text).ok())
            .filter(|cursor| cursor.log == audit.id())
            .unwrap_or_else(|| Cursor {
                log: audit.id().to_owned(),
                ..Cursor::default()
            });
        audit.sent.store(cursor.seq, Ordering::Relaxed);
        Ok(Self {
            url,
            headers: config.header_file.clone(),
            client: client.build().map_err(WebhookError::Tls)?,
            audit,
            clock,
            cursor,
        })
    }

    /// Sends what is there and what comes, until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut changes = self.audit.changes();
        let mut pause = FIRST_PAUSE;
        let mut failing = false;
        loop {
            let last = changes.borrow_and_update().last;
            let sent = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                sent = self.send(last) => sent,
            };
            match sent {
                Ok(true) => {
                    if std::mem::take(&mut failing) {
                        info!("the audit log's webhook takes lines again");
                    }
                    pause = FIRST_PAUSE;
                }
                Ok(false) => {
                    tokio::select! {
                        biased;
                        () = cancel.cancelled() => return,
                        changed = changes.changed() => if changed.is_err() { return },
                    }
                }
                Err(problem) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(%problem, url = %self.url.host_str().unwrap_or_default(), "the audit log's webhook does not take lines; trying again until it does");
                    }
                    if cancel
                        .run_until_cancelled(self.clock.sleep(pause))
                        .await
                        .is_none()
                    {
                        return;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Sends the next lines up to `last`; false when there are none.
    async fn send(&mut self, last: u64) -> Result<bool, String> {
        if self.cursor.seq >= last {
            return Ok(false);
        }
        let (dir, cursor) = (self.audit.dir(), self.cursor.clone());
        let read = tokio::task::spawn_blocking(move || next(&dir, &cursor, last)).await;
        let batch = read
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        let Some(Batch { lines, next }) = batch else {
            return Ok(false);
        };
        let request = self
            .client
            .post(self.url.clone())
            .headers(self.headers()?)
            .header("content-type", "application/x-ndjson")
            .header("berth-audit-log", self.audit.id())
            .body(lines);
        let response = request
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        if !response.status().is_success() {
            return Err(format!("it answers {}", response.status()));
        }
        self.cursor = next;
        self.audit.sent.store(self.cursor.seq, Ordering::Relaxed);
        // A cursor that cannot be kept means that lines come twice after a restart.
        if let Err(error) = keep(&self.audit.dir(), &self.cursor) {
            warn!(%error, "how far the webhook has come cannot be kept");
        }
        Ok(true)
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let Some(path) = &self.headers else {
            return Ok(headers);
        };
        let text = fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            // Never says what stands there: it is a secret.
            let wrong = || format!("{} has a line that is not `Name: value`", path.display());
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
            let mut value: HeaderValue = value.trim().parse().map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

/// The lines behind the cursor, up to line `last`.
fn next(dir: &Path, cursor: &Cursor, last: u64) -> io::Result<Option<Batch>> {
    for segment in segments(dir)? {
        if segment.number < cursor.segment {
            continue;
        }
        let offset = if segment.number == cursor.segment {
            cursor.offset
        } else {
            0
        };
        let mut file = fs::File::open(&segment.path)?;
        file.seek(io::SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(BATCH).read_to_end(&mut bytes)?;
        let (mut taken, mut seq) = (0, cursor.seq);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(text) = line.strip_suffix(b"\n") else {
                break;
            };
            // What cannot be read is sent as it is: that is for the other side to see.
            let number = Line::parse(text).map_or(seq, |line| line.seq);
            if number > last {
                break;
            }
            seq = number;
            taken += line.len();
        }
        if taken > 0 {
            bytes.truncate(taken);
            let next = Cursor {
                log: cursor.log.clone(),
                segment: segment.number,
                offset: offset + taken as u64,
                seq,
            };
            return Ok(Some(Batch { lines: bytes, next }));
        }
    }
    Ok(None)
}

fn keep(dir: &Path, cursor: &Cursor) -> io::Result<()> {
    let beside = dir.join("webhook.cursor.new");
    fs::write(&beside, serde_json::to_vec(cursor).unwrap_or_default())?;
    fs::rename(&beside, dir.join(CURSOR))
}
