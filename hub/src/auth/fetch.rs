//! Small documents over https: bounded in size and time, and redirected nowhere.

use std::time::Duration;

use berth_identity::oidc::{InvalidDiscovery, InvalidKeys};
use reqwest::{Certificate, Client, redirect::Policy};

/// The longest document.
const LONGEST: usize = 1 << 20;
/// The longest wait for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a document could not be fetched or used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// It did not come.
    #[error("{0}")]
    Http(String),
    /// It came with another status than 200.
    #[error("{url} answers with status {status}")]
    Status {
        /// Where.
        url: String,
        /// What.
        status: u16,
    },
    /// It is too long.
    #[error("{0} is longer than 1 MiB")]
    TooLong(String),
    /// It is no provider's configuration.
    #[error(transparent)]
    Discovery(#[from] InvalidDiscovery),
    /// They are no keys.
    #[error(transparent)]
    Keys(#[from] InvalidKeys),
    /// There are no keys that can be used.
    #[error("it has no key of a kind that is taken")]
    NoKeys,
}

/// Fetches from one provider.
pub(super) struct Fetcher(Client);

impl Fetcher {
    /// For what is at and around `base`, whose certificate is signed by `ca_pem`, or by the system's authorities when that is empty.
    pub(super) fn new(base: &str, ca_pem: &str) -> Result<Self, String> {
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            .user_agent(concat!("berth-hub/", env!("CARGO_PKG_VERSION")));
        if base.starts_with("http://") {
            // Loopback alone, which no proxy reaches.
            builder = builder.no_proxy();
        }
        if !ca_pem.is_empty() {
            let certificates =
                Certificate::from_pem_bundle(ca_pem.as_bytes()).map_err(|error| innermost(&error))?;
            if certificates.is_empty() {
                return Err("its caFile has no certificate".into());
            }
            builder = builder.tls_certs_only(certificates);
        }
        builder.build().map(Self).map_err(|error| innermost(&error))
    }

    pub(super) async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let failed = |error: reqwest::Error| FetchError::Http(format!("get {url}: {}", innermost(&error)));
        let mut response = self.0.get(url).send().await.map_err(failed)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status {
                url: url.to_owned(),
                status: response.status().as_u16(),
            });
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if document.len() + chunk.len() > LONGEST {
                return Err(FetchError::TooLong(url.to_owned()));
            }
            document.extend_from_slice(&chunk);
        }
        Ok(document)
    }
}

/// The library's own words say only that something failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
