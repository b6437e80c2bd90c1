//! Exchanges a join token for a certificate: the only talk with the hub before there is an identity.

use std::time::Duration;

use berth_identity::{CaPins, JoinToken, key, tls};
use berth_proto::agent::{JoinRequest, JoinResponse};
use berth_runtime::{
    clock::Clock,
    retry::{Failure, Policy, RetryError, retry},
};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use zeroize::Zeroizing;

use super::{Identity, Joining, assemble};
use crate::{
    error::Error,
    link::{ConnectError, Hubs},
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const TRIES: Policy = Policy::new(Duration::from_millis(250), Duration::from_secs(15));

/// The token in the file, and which authorities its hub may have.
pub(super) async fn token_of(joining: &Joining) -> Result<(JoinToken, &CaPins), Error> {
    let (Some(path), Some(pins)) = (&joining.token_file, &joining.pins) else {
        return Err(Error::NoToken);
    };
    let text = tokio::fs::read_to_string(path).await.map(Zeroizing::new);
    let text = text.map_err(|source| Error::TokenFile {
        path: path.clone(),
        source,
    })?;
    let token = text.parse().map_err(|problem| Error::BadToken {
        path: path.clone(),
        problem,
    })?;
    Ok((token, pins))
}

/// Joins with the token; tries on while the hub cannot be reached, and ends when it refuses.
pub(super) async fn join(
    hubs: &Hubs,
    (token, pins): (&JoinToken, &CaPins),
    (key_pem, kubernetes_uid): (&Zeroizing<String>, &str),
    clock: &dyn Clock,
    shutdown: &CancellationToken,
) -> Result<Identity, Error> {
    let request = JoinRequest {
        token: token.expose().to_string(),
        csr_der: key::signing_request(key_pem)?,
        kubernetes_uid: kubernetes_uid.to_owned(),
        agent_version: crate::VERSION.to_owned(),
    };
    let attempt = || ask(hubs, pins, request.clone());
    let answer = retry(&TRIES, clock, shutdown, attempt)
        .await
        .map_err(|error| match error {
            RetryError::Stopped(error) | RetryError::Exhausted { last: error, .. } => error,
            RetryError::Cancelled { .. } => Error::BadAnswer("none before the agent was stopped".into()),
        })?;
    // The chain was checked against the pin; so is what is trusted from now on.
    if !CaPins::of_pem(&answer.ca_pem)?
        .iter()
        .any(|pin| pins.contains(pin))
    {
        return Err(Error::BadAnswer(
            "its certificate authority is not the pinned one".into(),
        ));
    }
    assemble(
        &answer.cluster,
        answer.certificate_pem,
        answer.ca_pem,
        (key_pem, kubernetes_uid),
    )
}

async fn ask(hubs: &Hubs, pins: &CaPins, request: JoinRequest) -> Result<JoinResponse, Failure<Error>> {
    let config = tls::joining_client(pins.clone()).map_err(|e| Failure::Stop(Error::Tls(e)))?;
    let address = hubs.next();
    let mut client = match hubs.dial(&address, config.into()).await {
        Ok(client) => client,
        Err(ConnectError::OtherAuthority) => {
            return Err(Failure::Stop(Error::WrongPin {
                hub: address.to_string(),
                pin: pins.to_string(),
            }));
        }
        Err(error) => {
            tracing::warn!(hub = %address, %error, "cannot reach the hub to join; trying again");
            return Err(Failure::retry(Error::BadAnswer(format!(
                "hub {address} cannot be reached: {error}"
            ))));
        }
    };
    let mut request = tonic::Request::new(request);
    request.set_timeout(ANSWER_TIMEOUT);
    match client.join(request).await {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) => match status.code() {
            Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition => {
                Err(Failure::Stop(Error::TokenRefused(status.message().to_owned())))
            }
            _ => {
                tracing::warn!(hub = %address, code = ?status.code(), message = status.message(), "join did not work; trying again");
                Err(Failure::retry(Error::BadAnswer(status.message().to_owned())))
            }
        },
    }
}
