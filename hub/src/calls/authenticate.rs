//! Ways to prove who calls.

use async_trait::async_trait;
use berth_identity::{Caller, Peer, PeerInfo};
use http::request::Parts;
use tonic::Code;

/// Why a credential that was shown is not good. Never repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// UNAUTHENTICATED; UNAVAILABLE when whoever could vouch for it cannot be asked.
    pub code: Code,
    /// One word in `UPPER_SNAKE_CASE`.
    pub reason: &'static str,
    /// For people, with the next step.
    pub message: String,
}

impl Refusal {
    /// The credential is not good.
    #[must_use]
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Code::Unauthenticated,
            reason,
            message: message.into(),
        }
    }
}

/// One way to prove who calls.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who calls; none when nothing of this kind was shown.
    ///
    /// # Errors
    /// Something was shown and is not good; nobody else is asked.
    async fn caller(&self, request: &Parts) -> Result<Option<Caller>, Refusal>;
}

/// By a client certificate of the fleet's authority.
#[derive(Clone, Copy, Debug)]
pub struct Certificates;

#[async_trait]
impl Authenticator for Certificates {
    async fn caller(&self, request: &Parts) -> Result<Option<Caller>, Refusal> {
        let Some(info) = request.extensions.get::<PeerInfo>() else {
            return Ok(None);
        };
        match &info.peer {
            Some(Peer::User { name }) => {
                let certificate = info.certificate.as_deref().unwrap_or_default();
                Ok(Some(Caller::certificate(
                    name,
                    &berth_identity::certificate::fingerprint(certificate),
                )))
            }
            // An agent has the link and nothing else.
            Some(Peer::Agent { .. }) => Err(Refusal::new(
                "AGENT_CERTIFICATE",
                "agents' certificates do not open the API; sign in as a user",
            )),
            None => Ok(None),
        }
    }
}
