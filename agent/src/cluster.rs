//! The cluster an agent lives in: how it is reached, and who it is.

use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::error::Error;

/// No request to the API server takes longer to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A cluster as the agent reaches it.
#[derive(Clone)]
pub struct Cluster {
    /// Its API. Without retries of its own: whoever asks owns the deadline and the tries.
    pub client: Client,
    /// Where the API is.
    pub api_url: String,
    /// Its certificate authority, PEM; empty when the system's roots serve.
    pub api_ca_pem: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("api_url", &self.api_url)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// By the kubeconfig, or without one by the pod's account or the usual kubeconfig.
    ///
    /// # Errors
    /// [`Error::Access`].
    pub async fn connect(kubeconfig: Option<&Path>) -> Result<Self, Error> {
        let access = |error: &dyn std::fmt::Display| Error::Access(error.to_string());
        let mut config = match kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(|e| access(&e))?;
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(|e| access(&e))?
            }
            None => Config::infer().await.map_err(|e| access(&e))?,
        };
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let api_url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let api_ca_pem = match (&config.root_cert_file, &config.root_cert) {
            (Some(path), _) => std::fs::read_to_string(path).unwrap_or_default(),
            (None, Some(certificates)) => certificates.iter().map(|der| pem(der)).collect(),
            (None, None) => String::new(),
        };
        let client = Client::try_from(config).map_err(|e| access(&e))?;
        #[cfg(feature = "failpoints")]
        let client = crate::failing::client(client);
        Ok(Self {
            client,
            api_url,
            api_ca_pem,
        })
    }

    /// What tells this cluster from every other: the uid of `kube-system`.
    pub(crate) async fn uid(&self) -> Result<String, Error> {
        let namespace = Api::<Namespace>::all(self.client.clone())
            .get("kube-system")
            .await
            .map_err(Error::kubernetes("read", "Namespace kube-system"))?;
        Ok(namespace.metadata.uid.unwrap_or_default())
    }
}

fn pem(der: &[u8]) -> String {
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let encoded = STANDARD.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_written_in_lines_of_64() {
        let text = pem(&[7; 100]);
        assert!(text.lines().all(|line| line.len() <= 64));
        let inner: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(STANDARD.decode(inner).unwrap(), [7; 100]);
    }
}
