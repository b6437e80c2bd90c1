//! The command line's context file: where a hub is and with what to speak to it. The hub writes one for its admin; `berth` reads it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::file::API_VERSION;

/// The `kind` of a context file.
pub const KIND: &str = "Context";

/// How to reach a hub. Holds a private key: files with it are for their owner alone (0600).
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    /// `https://host:port` of the API.
    pub server: String,
    /// Further hubs of the same fleet, asked when that one does not answer.
    pub servers: Vec<String>,
    /// The hub's certificate authority, PEM.
    pub ca_pem: String,
    /// The client certificate, PEM.
    pub certificate_pem: String,
    /// Its private key, PEM.
    pub key_pem: String,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Why a text is no context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Not YAML, or fields are missing or unknown.
    #[error("read context: {0}")]
    Yaml(String),
    /// Another kind of file.
    #[error(
        "read context: apiVersion {api_version:?} and kind {kind:?} instead of {API_VERSION:?} and {KIND:?}"
    )]
    Kind {
        /// What it said.
        api_version: String,
        /// What it said.
        kind: String,
    },
    /// The address is not one.
    #[error("read context: server {0:?} does not start with https://")]
    Server(String),
    /// It cannot be written.
    #[error("write context: {0}")]
    Write(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    api_version: String,
    kind: String,
    server: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    servers: Vec<String>,
    ca_pem: String,
    certificate_pem: String,
    key_pem: String,
}

impl Context {
    /// Reads the text of a context file.
    ///
    /// # Errors
    /// [`ContextError`]; none of its messages shows the key.
    pub fn parse(text: &str) -> Result<Self, ContextError> {
        // Without snippets: they would put the lines around a mistake, the key's among them, into the error.
        let options = serde_saphyr::options! { with_snippet: false };
        let file: File = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| ContextError::Yaml(error.to_string()))?;
        if file.api_version != API_VERSION || file.kind != KIND {
            return Err(ContextError::Kind {
                api_version: file.api_version,
                kind: file.kind,
            });
        }
        for server in std::iter::once(&file.server).chain(&file.servers) {
            if !server.starts_with("https://") {
                return Err(ContextError::Server(server.clone()));
            }
        }
        Ok(Self {
            server: file.server,
            servers: file.servers,
            ca_pem: file.ca_pem,
            certificate_pem: file.certificate_pem,
            key_pem: file.key_pem,
        })
    }

    /// The text of a context file.
    ///
    /// # Errors
    /// [`ContextError::Write`], which plain text cannot cause.
    pub fn to_yaml(&self) -> Result<String, ContextError> {
        let file = File {
            api_version: API_VERSION.into(),
            kind: KIND.into(),
            server: self.server.clone(),
            servers: self.servers.clone(),
            ca_pem: self.ca_pem.clone(),
            certificate_pem: self.certificate_pem.clone(),
            key_pem: self.key_pem.clone(),
        };
        serde_saphyr::to_string(&file).map_err(|error| ContextError::Write(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            server: "https://127.0.0.1:7443".into(),
            servers: vec!["https://127.0.0.1:8443".into()],
            ca_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            certificate_pem: "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n".into(),
            key_pem: "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n".into(),
        }
    }

    #[test]
    fn a_context_survives() {
        assert_eq!(Context::parse(&context().to_yaml().unwrap()).unwrap(), context());
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_key() {
        assert!(!format!("{:?}", context()).contains("SECRET"));
        let text = context().to_yaml().unwrap();
        for broken in [
            text.replace("server:", "sever:"),
            format!("{text}extra: 1\n"),
            format!("{text}more: [\n"),
        ] {
            let error = Context::parse(&broken).unwrap_err().to_string();
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn another_kind_of_file_and_a_server_without_tls_are_refused() {
        let text = context().to_yaml().unwrap();
        assert!(matches!(
            Context::parse(&text.replace("kind: Context", "kind: Tenant")),
            Err(ContextError::Kind { .. })
        ));
        assert!(matches!(
            Context::parse(&text.replace("https://", "http://")),
            Err(ContextError::Server(_))
        ));
    }
}
