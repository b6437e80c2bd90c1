//! How to reach a local cluster: address, certificate authority and credentials, and the kubeconfig made of them.

use std::fmt;

/// What a client needs to talk to one cluster as its administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `https://host:port` of the Kubernetes API.
    pub url: String,
    /// The certificate authority of the API's serving certificate, PEM.
    pub ca_pem: String,
    /// Who the client is.
    pub credentials: Credentials,
}

/// Proof of who a client is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A client certificate and its key, PEM.
    Certificate {
        /// The certificate, PEM.
        certificate_pem: String,
        /// Its private key, PEM (PKCS#8).
        key_pem: String,
    },
    /// A bearer token.
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate { .. } => "Certificate(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

impl Access {
    /// The kubeconfig that plain `kubectl --kubeconfig` understands; cluster, user and context are all called `name`.
    #[must_use]
    pub fn kubeconfig(&self, name: &str) -> String {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let user = match &self.credentials {
            Credentials::Certificate {
                certificate_pem,
                key_pem,
            } => format!(
                "    client-certificate-data: {}\n    client-key-data: {}\n",
                STANDARD.encode(certificate_pem),
                STANDARD.encode(key_pem)
            ),
            Credentials::Token(token) => format!("    token: {token}\n"),
        };
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    server: {url}\n    certificate-authority-data: {ca}\ncontexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\nusers:\n- name: {name}\n  user:\n{user}",
            url = self.url,
            ca = STANDARD.encode(&self.ca_pem),
        )
    }
}
