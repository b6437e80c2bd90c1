//! What a hub answers that does not lead, or leads and may not act: who leads, or what to do first.
//!
//! It knows calls by their path alone. Reads of a hub that leads pass, whatever keeps it from acting.

use std::{collections::HashMap, sync::Arc};

use berth_control::{Standing, sessions::Fence};
use berth_wire::call;
use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    calls::{Next, Step},
    lead::{Lead, Leading},
};

/// Services that every hub answers.
const EVERY_HUB: [&str; 2] = ["/berth.v1.HubService/", "/berth.v1.LoginService/"];
/// Services of Berth; health and reflection are everybody's.
const OURS: &str = "/berth.";
/// What is done at once, whatever else waits: to cut off an agent that was taken over, and with it what it says of other hubs.
const AT_ONCE: &str = "/berth.v1.ClusterService/RevokeCluster";

/// Lets calls pass where they may be answered.
#[derive(Clone)]
pub struct Gate {
    lead: Lead,
}

impl Gate {
    /// A gate that asks `lead`.
    #[must_use]
    pub const fn new(lead: Lead) -> Self {
        Self { lead }
    }
}

impl Step for Gate {
    async fn around<N: Next>(self, mut next: N, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        let reads = call::reads(path);
        let leading = match admits(&self.lead, path) {
            Ok(leading) => leading,
            Err(status) => return status.into_http(),
        };
        let answer = next.go(request).await;
        match leading {
            // It was read after another hub may have begun to lead; a change was compared with the election by the store.
            Some(leading) if reads && !self.lead.led_by(&leading) => not_leader(&self.lead).into_http(),
            _ => answer,
        }
    }
}

/// The period of leading that the call is answered in; none where every hub answers.
fn admits(lead: &Lead, path: &str) -> Result<Option<Arc<Leading>>, Box<Status>> {
    if EVERY_HUB.iter().any(|service| path.starts_with(service)) || !path.starts_with(OURS) {
        return Ok(None);
    }
    let Some(leading) = lead.leading() else {
        return Err(Box::new(not_leader(lead)));
    };
    if path != AT_ONCE && !call::reads(path) {
        may_change(&leading.fleet.standing()).map_err(Box::new)?;
    }
    Ok(Some(leading))
}

/// UNAVAILABLE: another hub has to be asked; where it is known, its address is in the details.
pub(crate) fn not_leader(lead: &Lead) -> Status {
    let leader = lead.elsewhere().map(|leader| leader.api_url);
    let message = match &leader {
        Some(leader) => format!("this hub does not lead; ask {leader}"),
        None => "no hub leads at the moment; ask again in a few seconds".to_owned(),
    };
    let metadata: HashMap<String, String> = leader
        .map(|leader| ("leader".to_owned(), leader))
        .into_iter()
        .collect();
    let details = ErrorDetails::with_error_info("NOT_LEADER", "berth.dev", metadata);
    Status::with_error_details(Code::Unavailable, message, details)
}

/// What is changed in a hub that does not act would be lost to the one that does, or surprise whoever decides.
///
/// # Errors
/// FAILED_PRECONDITION says why it does not act, and what to do.
pub fn may_change(standing: &Standing) -> Result<(), Status> {
    let refused = |reason, message: String| {
        let details = ErrorDetails::with_error_info(reason, "berth.dev", HashMap::new());
        Err(Status::with_error_details(
            Code::FailedPrecondition,
            message,
            details,
        ))
    };
    if standing.observing {
        return refused(
            "OBSERVING",
            "the hub's store was restored, so it only observes: look at berth fleet difference, then berth fleet take-command".into(),
        );
    }
    match &standing.fence {
        Some(fence @ (Fence::HigherTerm { .. } | Fence::TakenOver { .. })) => {
            refused("FENCED", fenced(fence))
        }
        Some(fence @ Fence::SetBack { .. }) => refused("SET_BACK", fenced(fence)),
        None => Ok(()),
    }
}

/// Why a hub does not act, and what to do.
pub(crate) fn fenced(fence: &Fence) -> String {
    let next = match fence {
        Fence::HigherTerm { .. } | Fence::TakenOver { .. } => {
            "stop one of them, or look at berth fleet difference and then berth fleet take-command"
        }
        Fence::SetBack { .. } => {
            "restore a newer backup, or look at berth fleet difference and then berth fleet take-command"
        }
    };
    format!("{fence}: {next} (an agent that lies is cut off by berth revoke cluster)")
}

#[cfg(test)]
mod tests {
    use berth_model::{ClusterName, Revision, StorePoint, Term};
    use berth_store::Candidate;
    use tokio::sync::watch;
    use tonic_types::StatusExt as _;

    use super::*;

    fn follower(leader: Option<&str>) -> (Lead, watch::Sender<Option<Candidate>>) {
        let candidate = |id: &str| Candidate {
            id: id.into(),
            api_url: format!("https://{id}:1"),
            agent_url: String::new(),
        };
        let known = watch::Sender::new(leader.map(candidate));
        (Lead::new(candidate("me"), known.subscribe()), known)
    }

    #[test]
    fn a_hub_that_does_not_lead_names_the_one_that_does() {
        let (lead, _known) = follower(Some("other"));
        let status = admits(&lead, "/berth.v1.TenantService/ListTenants")
            .err()
            .unwrap();
        assert_eq!(status.code(), Code::Unavailable);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "NOT_LEADER");
        assert_eq!(info.metadata["leader"], "https://other:1");
        let (lead, _known) = follower(None);
        let status = admits(&lead, "/berth.v1.TenantService/ListTenants")
            .err()
            .unwrap();
        assert!(status.get_details_error_info().unwrap().metadata.is_empty());
    }

    #[test]
    fn every_hub_says_how_it_is() {
        let (lead, _known) = follower(None);
        for path in ["/berth.v1.HubService/GetHub", "/grpc.health.v1.Health/Check"] {
            assert!(admits(&lead, path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_hub_that_may_not_act_takes_no_changes() {
        assert!(may_change(&Standing::default()).is_ok());
        let reason = |standing| {
            let status = may_change(&standing).unwrap_err();
            status.get_details_error_info().unwrap().reason
        };
        let observing = Standing {
            observing: true,
            ..Standing::default()
        };
        assert_eq!(reason(observing), "OBSERVING");
        let fenced = Standing {
            fence: Some(Fence::HigherTerm {
                cluster: ClusterName::new("eu-1").unwrap(),
                term: Term(9),
            }),
            ..Standing::default()
        };
        assert_eq!(reason(fenced), "FENCED");
        let set_back = Standing {
            fence: Some(Fence::SetBack {
                cluster: ClusterName::new("eu-1").ok(),
                told: StorePoint {
                    revision: Revision(9),
                    ..StorePoint::default()
                },
                ours: StorePoint::default(),
            }),
            ..Standing::default()
        };
        assert_eq!(reason(set_back), "SET_BACK");
    }
}
