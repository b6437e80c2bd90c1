//! What a control plane is asked to be.

use std::path::PathBuf;

use super::SharedEtcd;

/// Which processes a control plane consists of and where it keeps its data.
#[derive(Clone, Debug)]
pub struct Options {
    /// Objects, certificates and the port are kept here, so that a second start continues where the first ended. `None`:
    /// a temporary directory that is removed at the end; its etcd does not wait for the disk.
    pub data_dir: Option<PathBuf>,
    /// Start kube-controller-manager: quotas are counted, namespaces deleted, workloads turned into pods.
    pub controller_manager: bool,
    /// Start kube-scheduler: pods get nodes.
    pub scheduler: bool,
    /// Start kwok: every node becomes ready and runs its pods. A pod whose image has the tag `broken` or comes from
    /// `registry.invalid` waits with the reason `ImagePullBackOff` instead.
    pub kwok: bool,
    /// Who judges bearer tokens that the API itself did not issue.
    pub token_webhook: Option<TokenWebhook>,
    /// Keep the objects in this etcd, under a prefix of their own. `None`: the control plane starts one for itself.
    pub etcd: Option<SharedEtcd>,
    /// More arguments for kube-apiserver; a later argument wins over an earlier one.
    pub apiserver_args: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_dir: None,
            controller_manager: true,
            scheduler: true,
            kwok: true,
            token_webhook: None,
            etcd: None,
            apiserver_args: Vec::new(),
        }
    }
}

/// An HTTPS service that answers `authentication.k8s.io/v1` TokenReviews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenWebhook {
    /// Where TokenReviews are posted to.
    pub url: String,
    /// The certificate authority of the service's certificate, PEM.
    pub ca_pem: String,
}
