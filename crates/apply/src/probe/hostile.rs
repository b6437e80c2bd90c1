//! Objects that are tried by dry runs, as the tenant's own deployer: an ordinary one of each sort, which has to be taken, and
//! hostile ones, each different from it in one thing. Pure.

mod objects;
mod pods;

use berth_model::Probe;
use serde_json::Value;

use super::{
    Aim,
    refusal::{Wall, wall},
};
use crate::request::RequestError;

pub(super) use objects::probes;

/// A sort of objects; what refuses the ordinary one says nothing about the hostile ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Pod,
    Service,
    Claim,
    /// Without an ordinary one.
    Alone,
}

/// Which walls are meant to refuse an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// None: it is ordinary.
    Nothing,
    /// One of Berth's admission policies.
    Policy,
    /// Pod security or one of Berth's policies.
    PodSecurity,
    /// One of Berth's policies, or a quota of none.
    NoQuota,
    /// The deployer's own rights.
    Rights,
}

/// One dry run.
#[derive(Clone, Debug)]
pub(super) struct DryRun {
    pub(super) sort: Sort,
    pub(super) meant: Meant,
    aim: Aim,
    pub(super) namespace: String,
    /// `/api/v1/namespaces/t-acme/pods`.
    pub(super) collection: String,
    pub(super) body: Value,
}

impl DryRun {
    pub(super) fn aim(&self) -> Aim {
        self.aim.clone()
    }

    pub(super) fn is_ordinary(&self) -> bool {
        self.meant == Meant::Nothing
    }

    /// What comes of it.
    pub(super) fn judge(&self, answer: &Result<(), RequestError>) -> Probe {
        let aim = self.aim.clone();
        let error = match answer {
            Ok(()) if self.is_ordinary() => return aim.passed("taken"),
            Ok(()) => {
                let hole = format!("the API server takes {}", aim.what);
                return aim.failed("taken", hole);
            }
            Err(error) => error,
        };
        let RequestError::Refused(status) = error else {
            return aim.open(error.to_string());
        };
        let plural = self.collection.rsplit('/').next().unwrap_or_default();
        let wall = wall(status, plural);
        let seen = format!("refused by {wall}");
        match (self.meant, &wall) {
            // It passed every other wall before.
            (Meant::Nothing, Wall::Quota) => aim.aside("the quota is used up"),
            (Meant::Nothing, Wall::Other) => aim.open(format!("not judged: {}", status.message)),
            (Meant::Nothing, _) => aim.failed(seen, format!("ordinary work is refused: {}", status.message)),
            (Meant::PodSecurity, Wall::PodSecurity)
            | (Meant::NoQuota, Wall::Quota)
            | (Meant::Rights, Wall::Rights) => aim.passed(seen),
            (Meant::Policy | Meant::PodSecurity | Meant::NoQuota, wall) if wall.is_ours() => aim.passed(seen),
            _ => aim.open(format!(
                "{seen}, before the wall that is meant: {}",
                status.message
            )),
        }
    }

    /// What comes of it where the ordinary one of its sort is refused too.
    pub(super) fn unproven(&self) -> Probe {
        self.aim
            .clone()
            .open("an ordinary one is refused too, so that a refusal proves nothing")
    }
}
