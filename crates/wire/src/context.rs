//! The command line's context file: where a hub is and with what to speak to it. The hub writes one for its admin; `berth` reads it.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::file::API_VERSION;

/// The `kind` of a context file.
pub const KIND: &str = "Context";

/// How to reach a hub, and with which credential: a client certificate, a token in a file, or a person's sign-in; one of them or
/// none. May hold a private key: files with it are for their owner alone (0600).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// `https://host:port` of the API.
    pub server: String,
    /// Further hubs of the same fleet, asked when that one does not answer.
    pub servers: Vec<String>,
    /// The hub's certificate authority, PEM.
    pub ca_pem: String,
    /// The client certificate, PEM; empty without one.
    pub certificate_pem: String,
    /// Its private key, PEM; empty without one.
    pub key_pem: String,
    /// A file with an API key or a ServiceAccount's token, read for every call.
    pub token_file: Option<PathBuf>,
    /// The cluster whose ServiceAccount's token it is; empty for an API key.
    pub token_cluster: String,
    /// Where people sign in. Their tokens are in a file beside this one.
    pub oidc: Option<SignIn>,
}

/// An OpenID provider that people sign in at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignIn {
    /// Its issuer.
    pub issuer: String,
    /// The public client that the command line is.
    pub client_id: String,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Who signs the provider's certificate, PEM; empty where the system's authorities do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ca_pem: String,
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
    /// Half a credential, or more than one.
    #[error("read context: {0}")]
    Credential(&'static str),
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
    #[serde(default, skip_serializing_if = "String::is_empty")]
    certificate_pem: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    key_pem: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    token_cluster: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oidc: Option<SignIn>,
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
        if file.certificate_pem.is_empty() != file.key_pem.is_empty() {
            return Err(ContextError::Credential(
                "certificatePem and keyPem belong together",
            ));
        }
        let credentials = [
            !file.key_pem.is_empty(),
            file.token_file.is_some(),
            file.oidc.is_some(),
        ];
        if credentials.iter().filter(|there| **there).count() > 1 {
            return Err(ContextError::Credential(
                "keyPem, tokenFile and oidc exclude each other",
            ));
        }
        Ok(Self {
            server: file.server,
            servers: file.servers,
            ca_pem: file.ca_pem,
            certificate_pem: file.certificate_pem,
            key_pem: file.key_pem,
            token_file: file.token_file,
            token_cluster: file.token_cluster,
            oidc: file.oidc,
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
            token_file: self.token_file.clone(),
            token_cluster: self.token_cluster.clone(),
            oidc: self.oidc.clone(),
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
            ..Context::default()
        }
    }

    #[test]
    fn a_context_survives() {
        let bare = Context {
            certificate_pem: String::new(),
            key_pem: String::new(),
            ..context()
        };
        let token = Context {
            token_file: Some("/var/run/secrets/berth/token".into()),
            token_cluster: "eu-1".into(),
            ..bare.clone()
        };
        let oidc = Context {
            oidc: Some(SignIn {
                issuer: "https://id.example.com".into(),
                client_id: "berth-cli".into(),
                scopes: vec!["openid".into()],
                ca_pem: String::new(),
            }),
            ..bare.clone()
        };
        for context in [context(), bare, token, oidc] {
            assert_eq!(Context::parse(&context.to_yaml().unwrap()).unwrap(), context);
        }
    }

    #[test]
    fn half_a_credential_and_two_at_once_are_refused() {
        let half = Context {
            key_pem: String::new(),
            ..context()
        };
        let two = Context {
            token_file: Some("token".into()),
            ..context()
        };
        for wrong in [half, two] {
            assert!(matches!(
                Context::parse(&wrong.to_yaml().unwrap()),
                Err(ContextError::Credential(_))
            ));
        }
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
