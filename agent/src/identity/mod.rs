//! Who this agent is: its key, its certificate and the hub's authority, kept in a Secret of its own namespace.
//!
//! The key is written before the hub is asked to sign it, so that a crash in between keeps it and the same token works again.
//! Getting an identity is [`join`]'s business, keeping it [`secret`]'s and [`keeper`]'s, making it last [`renew`]'s, and getting it back
//! after it has expired [`recover`]'s.

pub(crate) mod join;
pub(crate) mod keeper;
mod recover;
pub(crate) mod renew;
pub(crate) mod secret;

use std::{path::PathBuf, sync::Arc};

use berth_identity::{CaPins, Credential, certificate, key, tls};
use berth_model::ClusterName;
use berth_runtime::clock::Clock;
use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{cluster::Cluster, error::Error, link::Hubs};
use secret::{IdentitySecret, Kept};

/// A complete identity. The key is wiped when the last copy is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: ClusterName,
    pub(crate) credential: Credential,
    /// The authorities to trust; the first is the one that signs.
    pub(crate) ca_pem: String,
    /// UID of the `kube-system` it is for.
    pub(crate) kubernetes_uid: String,
}

impl Identity {
    /// TLS with this identity.
    pub(crate) fn tls(&self) -> Result<Arc<ClientConfig>, Error> {
        Ok(Arc::new(tls::client(&self.ca_pem, &self.credential)?))
    }
}

/// What the first start needs.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) pins: Option<CaPins>,
}

/// The identity kept in the cluster; where there is none, joins for one.
pub(crate) async fn obtain(
    cluster: &Cluster,
    secret: &IdentitySecret,
    hubs: &Hubs,
    joining: &Joining,
    clock: &dyn Clock,
    shutdown: &CancellationToken,
) -> Result<Identity, Error> {
    let uid = cluster.uid().await?;
    let kept = match secret.read().await? {
        Some(kept) => kept,
        None => {
            joining.check()?;
            secret
                .create(&Kept {
                    key_pem: key::generate()?,
                    kubernetes_uid: uid.clone(),
                    identity: None,
                    joined_by: None,
                })
                .await?
        }
    };
    if kept.kubernetes_uid != uid {
        return Err(Error::CopiedIdentity {
            secret: secret.to_string(),
            theirs: kept.kubernetes_uid,
            ours: uid,
        });
    }
    if let Some(identity) = kept.identity {
        // It may have died between keeping the identity and deleting what it got it by. Another token is left for whoever brought it.
        if let (Some(used), Ok((token, _))) = (&kept.joined_by, join::token_of(joining).await)
            && used == token.id()
        {
            secret.delete_token().await;
        }
        if !key::belongs_to(&kept.key_pem, &identity.credential.certificate_pem) {
            let problem = "its certificate is not for its key".to_owned();
            return Err(Error::DamagedIdentity {
                secret: secret.to_string(),
                problem,
            });
        }
        let validity = certificate::validity(&identity.credential.certificate_pem)?;
        if !validity.expired(clock.now()) {
            return Ok(identity);
        }
        tracing::info!(cluster = %identity.cluster, at = %validity.not_after, "the certificate has expired; proving with its key who this is");
        match recover::until_decided(&identity, hubs, clock, shutdown).await {
            Ok(recovered) => {
                secret.write(&recovered).await?;
                return Ok(recovered);
            }
            Err(problem) if joining.token_file.is_none() => {
                return Err(Error::Expired {
                    cluster: identity.cluster.to_string(),
                    at: validity.not_after,
                    problem,
                });
            }
            Err(problem) => tracing::warn!(problem, "joining again with the token that is there"),
        }
    }
    let (token, pins) = join::token_of(joining).await?;
    let identity = join::join(hubs, (&token, pins), (&kept.key_pem, &uid), clock, shutdown).await?;
    secret.write_joined(&identity, token.id()).await?;
    tracing::info!(cluster = %identity.cluster, "joined");
    // It is used up; whoever can read Secrets here need not find it.
    secret.delete_token().await;
    Ok(identity)
}

impl Joining {
    fn check(&self) -> Result<(), Error> {
        if self.token_file.is_none() || self.pins.is_none() {
            Err(Error::NoToken)
        } else {
            Ok(())
        }
    }
}

/// Puts a signed certificate and the kept key together; refuses a certificate that is for another key.
pub(crate) fn assemble(
    cluster: &str,
    certificate_pem: String,
    ca_pem: String,
    (key_pem, kubernetes_uid): (&Zeroizing<String>, &str),
) -> Result<Identity, Error> {
    if !key::belongs_to(key_pem, &certificate_pem) {
        return Err(Error::BadAnswer(
            "the certificate is not for this agent's key".into(),
        ));
    }
    let cluster = ClusterName::new(cluster).map_err(|e| Error::BadAnswer(e.to_string()))?;
    Ok(Identity {
        cluster,
        credential: Credential {
            certificate_pem,
            key_pem: key_pem.clone(),
        },
        ca_pem,
        kubernetes_uid: kubernetes_uid.to_owned(),
    })
}

/// Whether whoever is trusted now may say whom to trust from now on: they have one authority in common, or it is another hub.
pub(crate) fn may_trust(now: &str, next: &str) -> Result<CaPins, Error> {
    let (now, next) = (CaPins::of_pem(now)?, CaPins::of_pem(next)?);
    if next.iter().any(|pin| now.contains(pin)) {
        return Ok(next);
    }
    Err(Error::BadAnswer(
        "none of its certificate authorities is one that is trusted here".into(),
    ))
}
