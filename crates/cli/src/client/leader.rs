//! Finding the hub that leads, where there are several: each one says how it is, and a follower says who leads.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use berth_proto::v1::{self, hub_service_client::HubServiceClient};
use berth_wire::{context::Context, status};
use tonic::{Code, Status};

use super::{
    Hub, Wire,
    wire::{PAUSE, Place},
};
use crate::{
    context::Loaded,
    exit::{Exit, Failure},
};

/// How long one hub is waited for.
const LONGEST_ASK: Duration = Duration::from_secs(3);

/// What a hub said when it was asked whether it leads.
enum Said {
    /// It does, or is too old to know of others.
    Leads,
    /// Another one does, there.
    Elsewhere(String),
    /// Nobody does at the moment.
    Nobody,
    /// It does not answer.
    Nothing,
}

/// Finds the hub that leads among those of the context and those that they name, `hint` first; waits while none does. None when
/// none answers at all.
pub(super) async fn look(
    loaded: &Loaded,
    timeout: Duration,
    hint: Option<String>,
) -> Result<Option<Place>, Failure> {
    let mut hint = hint;
    loop {
        let mut anybody = false;
        let mut to_ask: VecDeque<String> = hint.take().into_iter().collect();
        to_ask.extend(servers(&loaded.context).map(str::to_owned));
        let mut asked = BTreeSet::new();
        while let Some(server) = to_ask.pop_front() {
            if !asked.insert(server.clone()) {
                continue;
            }
            let place = Place::at(loaded, &server, timeout)?;
            match says(&place, loaded).await? {
                Said::Leads => return Ok(Some(place)),
                Said::Elsewhere(leader) => {
                    anybody = true;
                    // It may have lost the lead since, or not be reachable from here.
                    to_ask.push_front(leader);
                }
                Said::Nobody => anybody = true,
                Said::Nothing => {}
            }
        }
        if !anybody {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn servers(context: &Context) -> impl Iterator<Item = &str> {
    std::iter::once(context.server.as_str()).chain(context.servers.iter().map(String::as_str))
}

/// What there is to say while no hub leads.
pub(super) fn nobody(context: &Context) -> Status {
    let asked: Vec<&str> = servers(context).collect();
    let message = format!(
        "no hub leads, or the one that does is not reached from here (asked {}); see berth fleet status",
        asked.join(", ")
    );
    status::reasoned(Code::Unavailable, "NOT_LEADER", message, &[])
}

impl Hub {
    /// Speaks to the hub that leads, whichever of the context's was asked, and follows the lead from there; waits while none leads.
    /// When none answers at all, the first one stays, and the next call says why.
    pub(crate) async fn leading(loaded: &Loaded, timeout: Duration) -> Result<Self, Failure> {
        let found = tokio::time::timeout(timeout, look(loaded, timeout, None)).await;
        let place = match found {
            Ok(Ok(Some(place))) => place,
            Ok(Ok(None)) => Place::at(loaded, &loaded.context.server, timeout)?,
            Ok(Err(failure)) => return Err(failure),
            Err(_) => return Err(Failure::new(Exit::Unavailable, nobody(&loaded.context).message())),
        };
        let wire = Wire::new(loaded, timeout, place, true);
        Ok(Self::over(loaded, wire, timeout))
    }

    /// How the context's own hub is, whether it leads or not.
    pub(crate) fn hubs(&self) -> HubServiceClient<Wire> {
        HubServiceClient::new(self.channel.clone())
    }
}

/// A hub that hangs must not keep anybody from the one that leads.
async fn says(place: &Place, loaded: &Loaded) -> Result<Said, Failure> {
    loaded.bearer.fresh().await?;
    let mut hubs = HubServiceClient::new(place.channel.clone());
    let Ok(answer) = tokio::time::timeout(LONGEST_ASK, hubs.get_hub(v1::GetHubRequest {})).await else {
        return Ok(Said::Nothing);
    };
    Ok(match answer {
        Ok(answer) => {
            let hub = answer.into_inner().hub.unwrap_or_default();
            match (hub.role.as_str(), hub.leader) {
                ("following", leader) if leader.is_empty() => Said::Nobody,
                ("following", leader) => Said::Elsewhere(leader),
                _ => Said::Leads,
            }
        }
        // It was reached, and who vouches for the caller is where the leader is, or away.
        Err(status) if status.code() == Code::Unavailable && status::reason(&status).is_some() => {
            match status::detail(&status, "leader") {
                Some(leader) => Said::Elsewhere(leader),
                None if status::reason(&status).as_deref() == Some("NOT_LEADER") => Said::Nobody,
                None => Said::Leads,
            }
        }
        Err(status) if status.code() == Code::Unavailable => Said::Nothing,
        // Older than this question, or it refuses: the call itself shows which.
        Err(_) => Said::Leads,
    })
}
