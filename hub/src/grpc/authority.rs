//! The fleet's certificate authority as HubService shows it and rolls it over.

use std::collections::BTreeSet;

use berth_control::keys;
use berth_identity::{CaError, Stage};
use berth_model::{Cluster, ClusterName};
use berth_proto::v1;
use berth_store::{StoreError, Txn};
use berth_wire::{names, record};
use tonic::{Code, Status};
use tracing::warn;

use super::{
    error::{invalid, refused, status, store},
    hub::Hubs,
};

/// Clusters that are named as holding a step back.
const MOST_NAMED: usize = 100;

/// What the agents say, against what is to be.
struct Standing {
    clusters: usize,
    /// Do not trust everything that is trusted here, as far as known.
    not_trusting: BTreeSet<ClusterName>,
    /// Have no certificate of the authority that signs, as far as known.
    not_using: BTreeSet<ClusterName>,
}

impl Hubs {
    pub(super) async fn authority(&self) -> Result<v1::Authority, Status> {
        self.api.leading()?;
        let authority = &self.home.authority;
        let (trust, stage) = (authority.trust(), authority.stage());
        let standing = self.standing().await?;
        let (word, next_pin, old_pin, waiting, message) = match stage {
            Stage::Single => (
                "single",
                String::new(),
                String::new(),
                BTreeSet::new(),
                String::new(),
            ),
            Stage::Announced { next } => (
                "announced",
                next.to_string(),
                String::new(),
                standing.not_trusting.clone(),
                if standing.not_trusting.is_empty() {
                    "every agent trusts the next authority: let it sign with berth fleet rotate-authority --finish"
                } else {
                    "agents that are connected are told to trust the next authority; those that are away are told when they come back"
                }
                .to_owned(),
            ),
            Stage::Switched { old } => (
                "switched",
                String::new(),
                old.to_string(),
                standing.not_using.clone(),
                if standing.not_using.is_empty() {
                    "no agent uses the old authority any more: retire it with berth fleet rotate-authority --retire, after every context file has the new one (berth fleet authority --update-context)"
                } else {
                    "agents renew their certificates; those that are away do so when they come back"
                }
                .to_owned(),
            ),
        };
        let count = |all: usize, less: usize| i32::try_from(all.saturating_sub(less)).unwrap_or(i32::MAX);
        Ok(v1::Authority {
            stage: word.to_owned(),
            pin: authority.pin().to_string(),
            next_pin,
            old_pin,
            trust_pem: trust.pem,
            clusters: count(standing.clusters, 0),
            trusting: count(standing.clusters, standing.not_trusting.len()),
            using_current: count(standing.clusters, standing.not_using.len()),
            waiting_for: waiting.iter().take(MOST_NAMED).map(names::cluster).collect(),
            message,
        })
    }

    pub(super) async fn rotate(&self, request: &v1::RotateAuthorityRequest) -> Result<(), Status> {
        self.api.leading()?;
        let (authority, now) = (&self.home.authority, self.api.clock.now());
        let force = request.force;
        let done = match request.step.as_str() {
            "begin" => authority.begin_rotation(now),
            "abort" => authority.abort_rotation(now),
            "finish" => {
                let Stage::Announced { next } = authority.stage() else {
                    return Err(other_stage(
                        "there is no next authority; make one with berth fleet rotate-authority",
                    ));
                };
                let next = next.to_string();
                if !force {
                    self.may_finish(&next).await?;
                }
                self.record(&next).await?;
                authority.finish_rotation(now)
            }
            "retire" => {
                if !force {
                    let standing = self.standing().await?;
                    held_back(
                        &standing.not_using,
                        "have no certificate of the new authority yet",
                    )?;
                }
                authority.retire_old(now)
            }
            other => {
                return Err(invalid(vec![berth_model::Violation::new(
                    "step",
                    format!("{other:?} is no step"),
                    "begin, finish, retire or abort",
                )]));
            }
        };
        done.map_err(|error| match error {
            CaError::Stage(problem) => other_stage(problem),
            error => refused(Code::Internal, "AUTHORITY", chain(&error)),
        })?;
        warn!(step = request.step, force, pins = %authority.trust().pins, "the certificate authority is rolled over");
        self.upkeep
            .refresh()
            .map_err(|error| refused(Code::Internal, "AUTHORITY", chain(&error)))
    }

    /// Whether nobody is lost when the next authority signs.
    async fn may_finish(&self, next: &str) -> Result<(), Status> {
        if self.home.shared() {
            return Err(refused(
                Code::FailedPrecondition,
                "OTHER_HUBS",
                "other hubs may share this store, each with a ca/ directory of its own: copy ca/ from this hub to all of them, restart them, and repeat with --force",
            ));
        }
        let standing = self.standing().await?;
        held_back(&standing.not_trusting, "do not trust the next authority yet")?;
        let tokens = self.api.registry.tokens_without_pin(next).await.map_err(status)?;
        let Some(last) = tokens.iter().max_by_key(|token| token.expires_at) else {
            return Ok(());
        };
        Err(refused(
            Code::FailedPrecondition,
            "TOKENS_WITHOUT_PIN",
            format!(
                "{} join token(s) were made before the next authority, and whoever joins by them would refuse it: wait until {:.0}, delete them (berth get tokens), or repeat with --force",
                tokens.len(),
                last.expires_at
            ),
        ))
    }

    /// Every joined cluster that is not revoked, against what its agent said.
    async fn standing(&self) -> Result<Standing, Status> {
        let authority = &self.home.authority;
        let wanted: Vec<String> = authority.trust().pins.iter().map(ToString::to_string).collect();
        let current = authority.pin().to_string();
        let known = self.api.sessions.trusting();
        let mut standing = Standing {
            clusters: 0,
            not_trusting: BTreeSet::new(),
            not_using: BTreeSet::new(),
        };
        for cluster in self.clusters().await? {
            if cluster.joined_at.is_none() || cluster.revoked.is_some() {
                continue;
            }
            standing.clusters += 1;
            let said = known.get(&cluster.name);
            if !said.is_some_and(|said| wanted.iter().all(|pin| said.trusts.contains(pin))) {
                standing.not_trusting.insert(cluster.name.clone());
            }
            if said.is_none_or(|said| said.issuer != current) {
                standing.not_using.insert(cluster.name);
            }
        }
        Ok(standing)
    }

    async fn clusters(&self) -> Result<Vec<Cluster>, Status> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.api.registry.clusters(after.as_deref(), 1000, None).await;
            let page = page.map_err(status)?;
            all.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Writes which authority the fleet has from now on, before anything is signed by it.
    async fn record(&self, pin: &str) -> Result<(), Status> {
        let key = keys::fleet();
        let read = self.home.store.get(&key).await.map_err(|error| store(&error))?;
        let entry =
            read.ok_or_else(|| refused(Code::DataLoss, "NO_FLEET", "the store has no fleet record"))?;
        let mut fleet = record::decode_fleet(&entry.value)
            .map_err(|error| refused(Code::DataLoss, "RECORD_UNREADABLE", error.to_string()))?;
        pin.clone_into(&mut fleet.ca_pin);
        let txn = Txn::new()
            .if_revision(key.clone(), entry.revision)
            .put(key, record::encode_fleet(&fleet));
        match self.home.store.txn(txn).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => Err(refused(
                Code::Aborted,
                "CONTENDED",
                "the fleet's record has just changed; look at berth fleet authority and repeat",
            )),
            Err(error) => Err(store(&error)),
        }
    }
}

fn held_back(clusters: &BTreeSet<ClusterName>, why: &str) -> Result<(), Status> {
    let Some(first) = clusters.first() else {
        return Ok(());
    };
    Err(refused(
        Code::FailedPrecondition,
        "AGENTS_NOT_READY",
        format!(
            "{} cluster(s), such as {first}, {why} (berth fleet authority shows them): wait for their agents, revoke what does not come back, or repeat with --force and let those join again",
            clusters.len()
        ),
    ))
}

fn other_stage(problem: &str) -> Status {
    refused(
        Code::FailedPrecondition,
        "OTHER_STAGE",
        format!("{problem} (berth fleet authority shows where it stands)"),
    )
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
