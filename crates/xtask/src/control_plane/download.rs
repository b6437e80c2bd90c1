//! Downloads that end: each is checked against its published SHA-256, continues where the last attempt stopped, and gives
//! up when nothing arrives. A file without a checksum, or with another one, is never installed.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use ureq::http::StatusCode;

use super::programs::{Platform, Program, Source};
use crate::run::say;

/// A machine without a way out must notice soon, as building from source is next.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const STALLED_AFTER: Duration = Duration::from_secs(20);
const CHUNK: usize = 64 * 1024;
const MIB: u64 = 1024 * 1024;
const MIB_PER_LINE: u64 = 20;
/// A checksum file is small; anything longer is something else.
const CHECKSUMS_LIMIT: u64 = MIB;

/// Why a program was not downloaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("ask for {url}")]
    Request { url: String, source: Box<ureq::Error> },
    #[error("{url} answers {status}")]
    Refused { url: String, status: StatusCode },
    #[error("{url} names no SHA-256 for {file}")]
    NoChecksum { url: String, file: String },
    #[error("{url} sends nothing any more")]
    Stalled { url: String },
    #[error("receive {url}")]
    Receive { url: String, source: std::io::Error },
    #[error("{url} has the SHA-256 {actual}, its makers say {expected}; it was thrown away")]
    WrongChecksum {
        url: String,
        expected: String,
        actual: String,
    },
    #[error("{operation} `{path}`")]
    Files {
        operation: &'static str,
        path: String,
        source: std::io::Error,
    },
}

/// Downloads programs from their makers or from a mirror.
#[derive(Debug)]
pub(crate) struct Downloader {
    agent: ureq::Agent,
    mirror: Option<String>,
    platform: Platform,
    stalled_after: Duration,
}

impl Downloader {
    pub(crate) fn new(mirror: Option<&str>, platform: Platform) -> Self {
        // The system's certificates, as mirrors and proxies of companies are signed by their own authorities.
        let tls = ureq::tls::TlsConfig::builder()
            .root_certs(ureq::tls::RootCerts::PlatformVerifier)
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_resolve(Some(CONNECT_WITHIN))
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_recv_response(Some(STALLED_AFTER))
            .http_status_as_error(false)
            .build()
            .into();
        Self {
            agent,
            mirror: mirror.map(str::to_owned),
            platform,
            stalled_after: STALLED_AFTER,
        }
    }

    /// Puts a program into `target`, complete and executable.
    pub(crate) fn install(&self, program: Program, target: &Path) -> Result<(), Error> {
        let source = program.source(self.platform, self.mirror.as_deref());
        say(format!("downloading {}", source.url));
        let expected = self.checksum(&source)?;
        let part = target.join(format!(".{}.part", program.name()));
        self.fetch(&source.url, &part)?;
        let actual = sha256(&part)?;
        if actual != expected {
            std::fs::remove_file(&part).map_err(files("remove", &part))?;
            return Err(Error::WrongChecksum {
                url: source.url,
                expected,
                actual,
            });
        }
        let complete = match &source.member {
            None => part.clone(),
            Some(member) => {
                let unpacked = target.join(format!(".{}.unpacked", program.name()));
                unpack(&part, member, &unpacked)?;
                std::fs::remove_file(&part).map_err(files("remove", &part))?;
                unpacked
            }
        };
        make_executable(&complete)?;
        let path = target.join(program.name());
        std::fs::rename(&complete, &path).map_err(files("move the download to", &path))
    }

    fn checksum(&self, source: &Source) -> Result<String, Error> {
        let url = &source.checksum_url;
        let request = |error| Error::Request {
            url: url.clone(),
            source: Box::new(error),
        };
        let mut answer = self.agent.get(url).call().map_err(request)?;
        if !answer.status().is_success() {
            return Err(Error::Refused {
                url: url.clone(),
                status: answer.status(),
            });
        }
        let text = answer
            .body_mut()
            .with_config()
            .limit(CHECKSUMS_LIMIT)
            .read_to_string()
            .map_err(request)?;
        let file = source.url.rsplit('/').next().unwrap_or_default();
        find_checksum(&text, file).ok_or_else(|| Error::NoChecksum {
            url: url.clone(),
            file: file.to_owned(),
        })
    }

    /// Fetches into `part`, behind what an earlier attempt left there.
    fn fetch(&self, url: &str, part: &Path) -> Result<(), Error> {
        let have = std::fs::metadata(part).map_or(0, |metadata| metadata.len());
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header("range", format!("bytes={have}-"));
        }
        let answer = request.call().map_err(|error| Error::Request {
            url: url.to_owned(),
            source: Box::new(error),
        })?;
        let status = answer.status();
        let mut options = OpenOptions::new();
        let (mut file, mut done) = match status {
            StatusCode::PARTIAL_CONTENT => (options.append(true).open(part), have),
            // Nothing is left to send: the checksum will tell whether it is the right thing.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(()),
            status if status.is_success() => (File::create(part), 0),
            status => {
                return Err(Error::Refused {
                    url: url.to_owned(),
                    status,
                });
            }
        };
        let file = file
            .as_mut()
            .map_err(|error| std::io::Error::from(error.kind()))
            .map_err(files("open", part))?;

        let (sender, receiver) = sync_channel(16);
        let mut body = answer.into_body().into_with_config().limit(u64::MAX).reader();
        // A read has no time limit of its own; a thread that waits in one is given up and ends with its connection.
        std::thread::spawn(move || {
            let mut buffer = vec![0; CHUNK];
            loop {
                let read = body
                    .read(&mut buffer)
                    .map(|length| buffer.get(..length).unwrap_or_default().to_vec());
                let last = !matches!(&read, Ok(chunk) if !chunk.is_empty());
                if sender.send(read).is_err() || last {
                    return;
                }
            }
        });
        let mut next_line = done / MIB + MIB_PER_LINE;
        loop {
            let chunk = match receiver.recv_timeout(self.stalled_after) {
                Ok(chunk) => chunk.map_err(|source| Error::Receive {
                    url: url.to_owned(),
                    source,
                })?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(Error::Stalled { url: url.to_owned() });
                }
            };
            if chunk.is_empty() {
                return file.sync_all().map_err(files("write", part));
            }
            file.write_all(&chunk).map_err(files("write", part))?;
            done += chunk.len() as u64;
            if done / MIB >= next_line {
                say(format!("  {} MiB", done / MIB));
                next_line += MIB_PER_LINE;
            }
        }
    }
}

/// Finds the checksum of `file` in a text that is one checksum, or lines of `checksum  file`.
fn find_checksum(text: &str, file: &str) -> Option<String> {
    let mut lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.find_map(|words| match words.as_slice() {
        [checksum] => Some((*checksum).to_owned()),
        [checksum, name] if name.trim_start_matches('*') == file => Some((*checksum).to_owned()),
        _ => None,
    })?;
    (found.len() == 64 && found.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| found.to_ascii_lowercase())
}

fn sha256(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(files("open", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer).map_err(files("read", path))? {
            0 => return Ok(hex::encode(hasher.finalize())),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

/// Takes one file out of a `.tar.gz`.
fn unpack(archive: &Path, member: &str, to: &Path) -> Result<(), Error> {
    let failed = || files("unpack", archive);
    let file = File::open(archive).map_err(failed())?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries().map_err(failed())? {
        let mut entry = entry.map_err(failed())?;
        if entry.path().map_err(failed())? == Path::new(member) {
            let mut out = File::create(to).map_err(files("create", to))?;
            std::io::copy(&mut entry, &mut out).map_err(failed())?;
            return out.sync_all().map_err(files("write", to));
        }
    }
    Err(failed()(std::io::Error::new(
        std::io::ErrorKind::NotFound,
        format!("there is no {member} in it"),
    )))
}

fn make_executable(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .map_err(files("make executable", path))
}

fn files(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Files {
        operation,
        path,
        source,
    }
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
