//! Gets a certificate after the last one has expired: the hub gives a challenge, and the key that joined signs it.

use std::time::Duration;

use berth_identity::{certificate, key, peer, recovery::Statement, tls};
use berth_proto::agent::{ChallengeRequest, RecoverRequest, RecoverResponse};
use berth_runtime::{
    clock::Clock,
    retry::{Failure, Policy, RetryError, retry},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{Identity, assemble, may_trust};
use crate::{error::Error, link::Hubs};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const TRIES: Policy = Policy::new(Duration::from_millis(250), Duration::from_secs(15));

/// Why there is no certificate.
#[derive(Debug)]
pub(super) enum Unproven {
    /// Another try, or another hub, may help.
    Away(String),
    /// The hub has decided.
    Refused(String),
}

impl Unproven {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Away(problem) | Self::Refused(problem) => problem,
        }
    }
}

impl From<Error> for Unproven {
    fn from(error: Error) -> Self {
        Self::Refused(error.message())
    }
}

/// Tries on while no hub can be reached; ends with why a hub refuses.
pub(super) async fn until_decided(
    identity: &Identity,
    hubs: &Hubs,
    clock: &dyn Clock,
    shutdown: &CancellationToken,
) -> Result<Identity, String> {
    let attempt = || async {
        once(identity, hubs).await.map_err(|unproven| match unproven {
            Unproven::Away(problem) => {
                tracing::warn!(problem, "cannot prove who this is yet; trying again");
                Failure::retry(problem)
            }
            Unproven::Refused(problem) => Failure::Stop(problem),
        })
    };
    let answer = retry(&TRIES, clock, shutdown, attempt)
        .await
        .map_err(|error| match error {
            RetryError::Stopped(problem) | RetryError::Exhausted { last: problem, .. } => problem,
            RetryError::Cancelled { .. } => "the agent was stopped before a hub answered".to_owned(),
        })?;
    let recovered = || -> Result<Identity, Error> {
        may_trust(&identity.ca_pem, &answer.ca_pem)?;
        assemble(
            identity.cluster.as_str(),
            answer.certificate_pem,
            answer.ca_pem,
            (&identity.credential.key_pem, &identity.kubernetes_uid),
        )
    };
    recovered().map_err(|error| error.message())
}

/// One try, at the hub whose turn it is.
pub(super) async fn once(identity: &Identity, hubs: &Hubs) -> Result<RecoverResponse, Unproven> {
    let certificate = certificate::first(&identity.credential.certificate_pem).map_err(Error::from)?;
    let Some((fleet, uid)) = peer::cluster_of(&certificate) else {
        return Err(Unproven::Refused(
            "the certificate is of a version that cannot be recovered".to_owned(),
        ));
    };
    let config = tls::anonymous_client(&identity.ca_pem).map_err(Error::from)?;
    let address = hubs.next();
    let away = |problem: String| Unproven::Away(format!("hub {address}: {problem}"));
    let mut client = hubs
        .dial(&address, config.into())
        .await
        .map_err(|error| away(error.to_string()))?;
    let answered = |status: Status| match status.code() {
        Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument | Code::Unimplemented => {
            Unproven::Refused(status.message().to_owned())
        }
        _ => away(status.message().to_owned()),
    };
    let mut ask = tonic::Request::new(ChallengeRequest {});
    ask.set_timeout(ANSWER_TIMEOUT);
    let challenge = client
        .challenge(ask)
        .await
        .map_err(answered)?
        .into_inner()
        .challenge;
    let csr_der = key::signing_request(&identity.credential.key_pem).map_err(Error::from)?;
    let statement = Statement {
        fleet: &fleet,
        uid: &uid,
        challenge: &challenge,
        csr_der: &csr_der,
    };
    let signature = statement
        .sign(&identity.credential.key_pem)
        .map_err(Error::from)?;
    let mut ask = tonic::Request::new(RecoverRequest {
        cluster: identity.cluster.to_string(),
        cluster_uid: uid.to_string(),
        kubernetes_uid: identity.kubernetes_uid.clone(),
        challenge,
        csr_der,
        signature,
    });
    ask.set_timeout(ANSWER_TIMEOUT);
    let answer = client.recover(ask).await.map_err(answered)?.into_inner();
    if !key::belongs_to(&identity.credential.key_pem, &answer.certificate_pem) {
        return Err(Unproven::Refused(
            "the certificate is not for this agent's key".to_owned(),
        ));
    }
    Ok(answer)
}
