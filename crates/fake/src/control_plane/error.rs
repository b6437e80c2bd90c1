//! What can go wrong with a control plane, always with the end of the log that explains it.

use std::path::PathBuf;

use super::Binary;

/// Why a control plane could not be started or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that the options ask for is not there.
    #[error("there is no {binary} among the control plane's binaries; run `cargo xtask control-plane`")]
    Missing {
        /// The program.
        binary: Binary,
    },
    /// The data directory, a certificate or a log could not be read or written.
    #[error("{operation} `{}`", path.display())]
    Files {
        /// What was tried.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The data directory holds something else than what an earlier control plane left.
    #[error("read the state of the control plane in `{}`; remove the directory to start anew", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another control plane, of this or another process, runs on the same data.
    #[error("the data in `{}` are in use by another control plane", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The certificates could not be made.
    #[error("make the certificates of the control plane")]
    Certificates(#[from] rcgen::Error),
    /// A process could not be started.
    #[error("start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A process ended that should run.
    #[error("{binary} has stopped ({status}); the end of its log:\n{log}")]
    Stopped {
        /// The program.
        binary: Binary,
        /// Its exit status.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// A process runs but does not do its work.
    #[error("{binary} was not ready within {seconds} s; the end of its log:\n{log}")]
    NotReady {
        /// The program.
        binary: Binary,
        /// How long was waited.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// A signal could not be sent.
    #[error("send a signal to {binary}")]
    Signal {
        /// The program.
        binary: Binary,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A client could not be made from the access.
    #[error("make a client for {url}")]
    Client {
        /// The API's URL.
        url: String,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The metrics could not be read.
    #[error("read the metrics of {url}")]
    Metrics {
        /// The API's URL.
        url: String,
        /// What is wrong.
        source: Box<kube::Error>,
    },
}

impl Error {
    /// For `map_err` on a file operation.
    pub(super) fn files(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files {
            operation,
            path,
            source,
        }
    }
}
