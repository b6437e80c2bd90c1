//! HubService: how this hub is, and what an operator decides about it. Every hub answers, also one that follows.

use std::{pin::Pin, sync::Arc};

use berth_control::{Difference, Standing, sessions::Fence};
use berth_identity::key_backup::{self, Recipient};
use berth_model::Violation;
use berth_proto::v1::{self, hub_service_server::HubService};
use berth_store::snapshot::{self, About, Piece};
use berth_wire::{names, time};
use futures::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status};
use tracing::warn;

use super::{
    Api,
    error::{invalid, refused, status, store},
};
use crate::{
    command::{self, CommandError},
    gate::{fenced, not_leader},
    home::Home,
    lead::{Leading, Restored},
    upkeep::Upkeep,
};

/// The service.
pub struct Hubs {
    /// What the services share.
    pub api: Api,
    /// The store.
    pub home: Arc<Home>,
    /// To whom keys in backups are encrypted, unless the request says.
    pub recipient: Option<Recipient>,
    /// What follows when the authority changes.
    pub upkeep: Arc<Upkeep>,
}

#[tonic::async_trait]
impl HubService for Hubs {
    async fn get_hub(&self, _: Request<v1::GetHubRequest>) -> Result<Response<v1::GetHubResponse>, Status> {
        // A store that does not answer is said in the standing. Asked first: who leads may change meanwhile.
        let store_revision = self.home.store.revision().await.map_or(0, |revision| revision.0);
        let lead = &self.api.lead;
        let leading = lead.leading();
        let (standing, message) = match &leading {
            Some(leading) => words(&leading.fleet.standing()),
            None => ("", String::new()),
        };
        let hub = v1::Hub {
            fleet: self.api.fleet_id.to_string(),
            instance: lead.candidate.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: if leading.is_some() { "leading" } else { "following" }.to_owned(),
            term: leading.as_ref().map_or(0, |leading| leading.term.0),
            leader: match (&leading, lead.elsewhere()) {
                (Some(_), _) => lead.candidate.api_url.clone(),
                (None, other) => other.map(|other| other.api_url).unwrap_or_default(),
            },
            standing: standing.to_owned(),
            message,
            highest_term: self.api.sessions.highest_term().0,
            restored: leading.as_ref().and_then(|leading| restored(leading)),
            store: self.home.kind.to_owned(),
            store_revision,
            connected_agents: i32::try_from(self.api.sessions.connected()).unwrap_or(i32::MAX),
        };
        Ok(Response::new(v1::GetHubResponse { hub: Some(hub) }))
    }

    async fn get_difference(
        &self,
        _: Request<v1::GetDifferenceRequest>,
    ) -> Result<Response<v1::GetDifferenceResponse>, Status> {
        let leading = self.leading()?;
        let Some(difference) = leading.fleet.difference().await else {
            return Err(not_leader(&self.api.lead));
        };
        Ok(Response::new(v1::GetDifferenceResponse {
            difference: Some(shown(difference)),
        }))
    }

    async fn take_command(
        &self,
        request: Request<v1::TakeCommandRequest>,
    ) -> Result<Response<v1::TakeCommandResponse>, Status> {
        let request = request.into_inner();
        let leading = self.leading()?;
        if request.expected_term != 0 && request.expected_term != leading.term.0 {
            return Err(refused(
                Code::Aborted,
                "OTHER_TERM",
                format!("the hub is in term {} by now; look again", leading.term),
            ));
        }
        let taken = command::take(&self.home, &self.api.sessions, &leading, self.api.clock.now()).await;
        let term = taken.map_err(|error| self.not_taken(&error))?;
        warn!(%term, reason = %request.reason, "an operator lets this hub take command");
        Ok(Response::new(v1::TakeCommandResponse { term: term.0 }))
    }

    async fn get_authority(
        &self,
        _: Request<v1::GetAuthorityRequest>,
    ) -> Result<Response<v1::GetAuthorityResponse>, Status> {
        Ok(Response::new(v1::GetAuthorityResponse {
            authority: Some(self.authority().await?),
        }))
    }

    async fn rotate_authority(
        &self,
        request: Request<v1::RotateAuthorityRequest>,
    ) -> Result<Response<v1::RotateAuthorityResponse>, Status> {
        self.rotate(&request.into_inner()).await?;
        Ok(Response::new(v1::RotateAuthorityResponse {
            authority: Some(self.authority().await?),
        }))
    }

    type BackupStream = Pin<Box<dyn Stream<Item = Result<v1::BackupResponse, Status>> + Send>>;

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let keys = self.keys(&request.into_inner().recipient)?;
        let about = About {
            fleet: Some(self.api.fleet_id.to_string()),
            incarnation: self.home.incarnation().to_owned(),
            created_at: self.api.clock.now(),
        };
        let pieces = snapshot::stream(self.home.store.clone(), about);
        let parts = pieces.filter_map(|piece| {
            std::future::ready(match piece {
                Ok(Piece::Bytes(part)) => Some(Ok(v1::BackupResponse {
                    part: part.into(),
                    encrypted_keys: Vec::new(),
                })),
                // The last piece of the file says the same.
                Ok(Piece::Summary(_)) => None,
                Err(error) => {
                    warn!(%error, "a backup broke off");
                    Some(Err(refused(Code::Unavailable, "BACKUP", error.to_string())))
                }
            })
        });
        let last = keys.map(|encrypted_keys| {
            Ok(v1::BackupResponse {
                part: Vec::new(),
                encrypted_keys,
            })
        });
        Ok(Response::new(Box::pin(parts.chain(futures::stream::iter(last)))))
    }
}

impl Hubs {
    /// The hub's keys for a backup, encrypted; none when nobody is named.
    fn keys(&self, recipient: &str) -> Result<Option<Vec<u8>>, Status> {
        let asked = match recipient {
            "" => None,
            text => Some(text.parse::<Recipient>().map_err(|error| {
                invalid(vec![Violation::new(
                    "recipient",
                    error.to_string(),
                    "make a key pair with age-keygen, and keep its secret half away from the backups",
                )])
            })?),
        };
        let (Some(recipient), Some(dir)) = (asked.or_else(|| self.recipient.clone()), &self.home.keys) else {
            return Ok(None);
        };
        key_backup::seal(dir, &recipient).map(Some).map_err(|error| {
            warn!(%error, "the keys cannot be taken into a backup");
            refused(Code::Internal, "KEYS", error.to_string())
        })
    }

    fn leading(&self) -> Result<Arc<Leading>, Status> {
        self.api.lead.leading().ok_or_else(|| not_leader(&self.api.lead))
    }

    fn not_taken(&self, error: &CommandError) -> Status {
        let code = match error {
            CommandError::Acting(_) => (Code::FailedPrecondition, "ACTING"),
            CommandError::NoFleet => (Code::DataLoss, "NO_FLEET"),
            CommandError::Unreadable(problem) => {
                return refused(Code::DataLoss, "RECORD_UNREADABLE", problem.to_string());
            }
            CommandError::Contended => {
                return status(berth_control::RegistryError::Precondition {
                    reason: "CONTENDED",
                    message: error.to_string(),
                });
            }
            CommandError::NotLeading => return not_leader(&self.api.lead),
            CommandError::Store(error) => return store(error),
        };
        refused(code.0, code.1, error.to_string())
    }
}

fn words(standing: &Standing) -> (&'static str, String) {
    if let Some(problem) = &standing.trouble {
        return ("waiting", format!("{problem}; it is tried again until it works"));
    }
    if standing.observing {
        let message = "the store was restored: look at berth fleet difference, then let the hub act with berth fleet take-command";
        return ("observing", message.to_owned());
    }
    match &standing.fence {
        Some(fence @ (Fence::HigherTerm { .. } | Fence::TakenOver { .. })) => ("fenced", fenced(fence)),
        Some(fence @ Fence::SetBack { .. }) => ("set-back", fenced(fence)),
        None => ("acting", unreadable(standing)),
    }
}

/// What cannot be read any more; empty when all can.
fn unreadable(standing: &Standing) -> String {
    let Some((key, problem)) = standing.unreadable.first_key_value() else {
        return String::new();
    };
    format!(
        "the record {key} was overwritten with something that cannot be read ({problem}){}; this hub goes on with what it knew, and no hub can start: put the record back (`etcdctl get --rev` still has it), or take a backup of before to another store",
        match standing.unreadable.len() {
            1 => String::new(),
            more => format!(" and {} more", more - 1),
        }
    )
}

fn restored(leading: &Leading) -> Option<v1::Restored> {
    let Restored(read) = leading.restored.as_ref()?;
    Some(
        read.as_ref()
            .map_or_else(v1::Restored::default, |record| v1::Restored {
                source: record.source.clone(),
                snapshot_time: Some(time::to_proto(record.snapshot_at)),
                restore_time: Some(time::to_proto(record.restored_at)),
                revision: record.revision.0,
            }),
    )
}

fn shown(difference: Difference) -> v1::Difference {
    v1::Difference {
        tenants: difference
            .tenants
            .iter()
            .map(|differs| v1::TenantDifference {
                cluster: names::cluster(&differs.cluster),
                tenant: names::tenant(&differs.tenant),
                kind: differs.kind.as_str().to_owned(),
                effect: differs.kind.effect().to_owned(),
                desired_generation: differs.desired.map_or(0, |generation| generation.0),
                held_generation: differs.held.map_or(0, |generation| generation.0),
            })
            .collect(),
        equal: i32::try_from(difference.equal).unwrap_or(i32::MAX),
        silent_clusters: difference.silent.iter().map(names::cluster).collect(),
        highest_term: difference.highest_term.0,
    }
}
