//! Who makes the clusters a fake EKS hands out.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::access::{Access, Credentials};

/// Any failure of a backend.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Judges a bearer token: name and groups of its owner, if it is good.
pub type Check = Arc<dyn Fn(&str) -> Option<(String, Vec<String>)> + Send + Sync>;

/// How a cluster can find out who presents an EKS bearer token.
#[derive(Clone)]
pub struct Authenticator {
    /// TokenReview webhook, for a real kube-apiserver.
    pub webhook_url: String,
    /// The certificate authority of the webhook, PEM.
    pub webhook_ca_pem: String,
    /// The same as a function, for an API in this process.
    pub check: Check,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authenticator({})", self.webhook_url)
    }
}

/// Makes clusters.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Starts the cluster called `name`, or finds it running, and returns when its API answers.
    async fn start_cluster(
        &self,
        name: &str,
        version: &str,
        authenticator: Authenticator,
    ) -> Result<Access, BoxError>;

    /// Ends the cluster and forgets its objects; fine when there is none.
    async fn stop_cluster(&self, name: &str) -> Result<(), BoxError>;

    /// A client for writing Node objects; none when nobody will see them.
    async fn client(&self, _name: &str, access: &Access) -> Result<Option<kube::Client>, BoxError> {
        let kubeconfig = Kubeconfig::from_yaml(&access.kubeconfig("fake-eks"))?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Some(kube::Client::try_from(config)?))
    }
}

/// Makes no clusters: an address that leads nowhere is handed out. For tests of whoever speaks to EKS only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoClusters;

#[async_trait]
impl Backend for NoClusters {
    async fn start_cluster(&self, name: &str, _: &str, _: Authenticator) -> Result<Access, BoxError> {
        Ok(Access {
            url: format!("https://{name}.fake-eks.invalid"),
            ca_pem: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".to_owned(),
            credentials: Credentials::Token(String::new()),
        })
    }

    async fn stop_cluster(&self, _: &str) -> Result<(), BoxError> {
        Ok(())
    }

    async fn client(&self, _: &str, _: &Access) -> Result<Option<kube::Client>, BoxError> {
        Ok(None)
    }
}
