//! How an agent whose certificate has expired gets another: it proves that it still has the key that joined.

use std::net::IpAddr;

use berth_identity::{
    ca,
    recovery::{ChallengeError, Statement},
};
use berth_model::{ClusterName, Uid, Violation};
use berth_proto::agent;
use tonic::{Code, Status};
use tracing::info;

use super::{
    super::error::{invalid, refused},
    Agents, bad_request,
    standing::{Shown, check, denied, in_kubernetes},
};

impl Agents {
    pub(super) fn give_challenge(&self) -> Result<agent::ChallengeResponse, Status> {
        self.api.leading()?;
        let challenge = self.challenges.give(self.api.clock.now());
        Ok(agent::ChallengeResponse {
            challenge: challenge
                .map_err(|error| refused(Code::Unavailable, "NO_RANDOMNESS", error.to_string()))?,
        })
    }

    pub(super) async fn prove(
        &self,
        request: &agent::RecoverRequest,
        remote: Option<IpAddr>,
    ) -> Result<agent::RecoverResponse, Status> {
        self.api.leading()?;
        let field = |field: &str, problem: &dyn std::fmt::Display| {
            invalid(vec![Violation::new(field, problem.to_string(), "")])
        };
        let cluster = ClusterName::new(request.cluster.as_str()).map_err(|error| field("cluster", &error))?;
        let uid = Uid::new(request.cluster_uid.as_str()).map_err(|error| field("cluster_uid", &error))?;
        let key_sha256 = ca::key_sha256(&request.csr_der).map_err(bad_request)?;
        // Nothing is looked up for a stranger who has no challenge and no signature of his own.
        let now = self.api.clock.now();
        self.challenges
            .check(&request.challenge, now)
            .map_err(challenged)?;
        let statement = Statement {
            fleet: &self.api.fleet_id,
            uid: &uid,
            challenge: &request.challenge,
            csr_der: &request.csr_der,
        };
        if !statement.is_signed(&request.signature).map_err(bad_request)? {
            return Err(denied(
                &cluster,
                "BAD_PROOF",
                "the signature is not by the key of the request over the challenge".to_owned(),
            ));
        }
        let shown = Shown {
            cluster,
            uid: Some(uid),
            key_sha256,
            certificate: std::sync::Arc::default(),
            issuer_pin: String::new(),
        };
        let known = check(&self.api.registry, &shown).await?;
        in_kubernetes(&known.name, &known.kubernetes_uid, &request.kubernetes_uid)?;
        self.challenges
            .spend(&request.challenge, now)
            .map_err(challenged)?;
        let certificate_pem = self.issue((&known.name, &known.uid), &request.csr_der)?;
        info!(cluster = %known.name, ?remote, "an agent has proved itself again");
        Ok(agent::RecoverResponse {
            certificate_pem,
            ca_pem: self.api.authority.trust().pem,
        })
    }
}

/// Another challenge, or another moment, helps.
fn challenged(error: ChallengeError) -> Status {
    let code = match error {
        ChallengeError::TooMany => Code::ResourceExhausted,
        ChallengeError::Foreign | ChallengeError::Expired | ChallengeError::Spent => Code::Aborted,
    };
    refused(code, "CHALLENGE", format!("{error}; ask for another"))
}
