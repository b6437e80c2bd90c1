//! Clients for an [`Access`]. They carry no retry of their own, so that whoever asks sees what the API said.

use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Error;
use crate::access::Access;

/// A client of its own connections for this access; must be called on the runtime that will drive them.
///
/// # Errors
/// The certificates or the URL cannot be used.
pub async fn client(access: &Access) -> Result<Client, Error> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Client {
        url: access.url.clone(),
        source,
    };
    let kubeconfig =
        Kubeconfig::from_yaml(&access.kubeconfig("berth")).map_err(|error| failed(error.into()))?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| failed(error.into()))?;
    // While an API starts it answers 503; a retry behind our back would only slow the look at it.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| failed(error.into()))
}

/// The body of a plain GET.
pub(super) async fn get_text(client: &Client, path: &str) -> Result<String, kube::Error> {
    let request = Request::get(path)
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}
