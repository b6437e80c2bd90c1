//! Operations, and the candidates of an explanation.

use berth_model::{
    ClusterName,
    operation::{Operation, Outcome},
};
use berth_proto::v1;

use crate::{names, time};

/// The operation as the API shows it.
#[must_use]
pub fn operation_to_proto(operation: &Operation) -> v1::Operation {
    let (done, error, waiting_for) = match &operation.outcome {
        Outcome::Running { waiting_for } => (false, None, waiting_for.clone()),
        Outcome::Succeeded => (true, None, String::new()),
        Outcome::Failed { reason, message } => (
            true,
            Some(v1::OperationError {
                reason: reason.clone(),
                message: message.clone(),
            }),
            String::new(),
        ),
    };
    v1::Operation {
        name: names::operation(&operation.id),
        target: names::tenant(&operation.tenant),
        verb: operation.verb.as_str().into(),
        create_time: Some(time::to_proto(operation.started_at)),
        done,
        error,
        waiting_for,
    }
}

/// A cluster that was looked at for a tenant.
#[derive(Clone, Copy, Debug)]
pub struct CandidateView<'a> {
    /// The cluster.
    pub cluster: &'a ClusterName,
    /// Whether the tenant could be there.
    pub fits: bool,
    /// Whether it is, or would be, there.
    pub chosen: bool,
    /// The first constraint that failed, CamelCase; empty when it fits.
    pub constraint: &'a str,
    /// With numbers.
    pub detail: &'a str,
}

/// The candidate as the API shows it.
#[must_use]
pub fn candidate_to_proto(candidate: CandidateView<'_>) -> v1::Candidate {
    v1::Candidate {
        cluster: candidate.cluster.to_string(),
        fits: candidate.fits,
        chosen: candidate.chosen,
        constraint: candidate.constraint.into(),
        detail: candidate.detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use berth_model::{Generation, TenantId, Timestamp, Uid, operation::OperationVerb};

    use super::*;

    #[test]
    fn an_operation_is_done_when_it_succeeded_or_failed() {
        let of = |outcome| {
            operation_to_proto(&Operation {
                id: "acme.reconcile.1".into(),
                tenant: TenantId::new("acme").unwrap(),
                uid: Uid::new("u").unwrap(),
                verb: OperationVerb::Reconcile,
                generation: Generation(1),
                started_at: Timestamp::UNIX_EPOCH,
                outcome,
            })
        };
        let running = of(Outcome::Running {
            waiting_for: "nodes".into(),
        });
        assert_eq!((running.done, running.waiting_for.as_str()), (false, "nodes"));
        assert_eq!(
            (running.name.as_str(), running.target.as_str()),
            ("operations/acme.reconcile.1", "tenants/acme")
        );
        let failed = of(Outcome::Failed {
            reason: "NoCloud".into(),
            message: "none".into(),
        });
        assert!(failed.done && failed.error.is_some_and(|error| error.reason == "NoCloud"));
        let succeeded = of(Outcome::Succeeded);
        assert!(succeeded.done && succeeded.error.is_none());
    }
}
