//! Whether an agent may speak for its cluster: what its certificate says against what is on record.

use std::{net::IpAddr, sync::Arc};

use berth_control::{Registry, RegistryError};
use berth_identity::{Peer, PeerInfo};
use berth_model::{Cluster, ClusterFacts, ClusterName, Uid};
use tonic::{Code, Request, Status};
use tracing::warn;

use super::super::error::{refused, status};

/// What an agent has shown, and proved to have the key of.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its cluster.
    pub cluster: ClusterName,
    /// What tells that from an earlier cluster of the name; none in certificates of the first version.
    pub uid: Option<Uid>,
    /// SHA-256 of its public key, hexadecimal.
    pub key_sha256: String,
    /// Its certificate, DER.
    pub certificate: Arc<[u8]>,
    /// Pin of the authority that issued it; empty when that is not known.
    pub issuer_pin: String,
}

/// What the agent that calls has shown.
pub(super) fn shown<T>(request: &Request<T>) -> Result<Shown, Status> {
    let info = request.extensions().get::<PeerInfo>();
    let Some(PeerInfo {
        peer: Some(Peer::Agent {
            cluster,
            uid,
            key_sha256,
        }),
        certificate,
        ..
    }) = info
    else {
        return Err(refused(
            Code::Unauthenticated,
            "NO_CERTIFICATE",
            "join first: this call needs an agent's certificate",
        ));
    };
    Ok(Shown {
        cluster: cluster.clone(),
        uid: uid.clone(),
        key_sha256: key_sha256.clone(),
        certificate: certificate.clone().unwrap_or_default(),
        issuer_pin: String::new(),
    })
}

/// Whether the key that was shown speaks for the cluster; the cluster's record.
pub(super) async fn check(registry: &Registry, shown: &Shown) -> Result<Cluster, Status> {
    let cluster = &shown.cluster;
    let known = registry.identity(cluster).await.map_err(|error| match error {
        RegistryError::NotFound { .. } => denied(
            cluster,
            "NOT_IN_FLEET",
            format!("cluster {cluster} is not in this fleet (any more); join it again with berth token create {cluster}"),
        ),
        other => status(other),
    })?;
    if shown.uid.as_ref().is_some_and(|uid| *uid != known.cluster.uid) {
        return Err(denied(
            cluster,
            "OTHER_CLUSTER",
            format!(
                "this identity is of an earlier cluster {cluster}, which was taken out of the fleet; join again with berth token create {cluster} --rejoin"
            ),
        ));
    }
    if let Some(revoked) = &known.cluster.revoked {
        return Err(denied(
            cluster,
            "REVOKED",
            format!(
                "the identity of cluster {cluster} was revoked at {:.0}; delete the Secret berth-agent-identity and join again with berth token create {cluster} --rejoin",
                revoked.at
            ),
        ));
    }
    if known.key_sha256 != shown.key_sha256 {
        return Err(denied(
            cluster,
            "KEY_REPLACED",
            format!("cluster {cluster} has joined again with another key; this agent's identity is void"),
        ));
    }
    Ok(known.cluster)
}

/// Whether the agent is still in the Kubernetes cluster that joined. One that does not say, or whose cluster joined by a hub that did not
/// ask, is believed.
pub(super) fn same_kubernetes(known: &Cluster, facts: &ClusterFacts) -> Result<(), Status> {
    in_kubernetes(&known.name, &known.kubernetes_uid, &facts.kubernetes_uid)
}

pub(super) fn in_kubernetes(cluster: &ClusterName, joined: &str, said: &str) -> Result<(), Status> {
    if joined.is_empty() || said.is_empty() || joined == said {
        return Ok(());
    }
    Err(denied(
        cluster,
        "OTHER_KUBERNETES",
        format!("cluster {cluster} joined from another Kubernetes cluster than this agent speaks of"),
    ))
}

/// Refuses an agent for what it is or says, and says so once.
pub(super) fn denied(cluster: &ClusterName, reason: &'static str, message: String) -> Status {
    warn!(%cluster, reason, message, "an agent was refused");
    refused(Code::PermissionDenied, reason, message)
}

/// Where a request comes from.
pub(super) fn remote<T>(request: &Request<T>) -> Option<IpAddr> {
    let info = request.extensions().get::<PeerInfo>();
    info.map(|info| info.remote.ip().to_canonical())
}

/// The same for people, with the port.
pub(in crate::grpc) fn remote_text<T>(request: &Request<T>) -> String {
    let info = request.extensions().get::<PeerInfo>();
    info.map_or_else(|| "unknown".into(), |info| info.remote.to_string())
}
