//! Finding the hub that leads, where there are several: each one says how it is, and a follower says who leads.

use std::time::Duration;

use berth_proto::v1::{self, hub_service_client::HubServiceClient};
use berth_wire::status;
use tonic::Code;

use super::{Hub, Wire};
use crate::{
    context::Loaded,
    exit::{Exit, Failure},
};

/// Between two rounds while nobody leads.
const PAUSE: Duration = Duration::from_millis(300);

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

impl Hub {
    /// Speaks to the hub that leads, whichever of the context's was asked; waits while none does. When none answers at all, the
    /// first one stays, and the next call says why.
    pub(crate) async fn leading(loaded: &Loaded, timeout: Duration) -> Result<Self, Failure> {
        let context = &loaded.context;
        let servers: Vec<&str> = std::iter::once(context.server.as_str())
            .chain(context.servers.iter().map(String::as_str))
            .collect();
        let looking = async {
            loop {
                let mut anybody = false;
                for server in &servers {
                    let hub = Self::at(loaded, server, timeout)?;
                    match hub.says().await? {
                        Said::Leads => return Ok(hub),
                        Said::Elsewhere(leader) => {
                            anybody = true;
                            let hub = Self::at(loaded, &leader, timeout)?;
                            // It may have lost the lead since, or not be reachable from here.
                            if matches!(hub.says().await?, Said::Leads) {
                                return Ok(hub);
                            }
                        }
                        Said::Nobody => anybody = true,
                        Said::Nothing => {}
                    }
                }
                if !anybody {
                    return Self::new(loaded, timeout);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(timeout, looking).await.unwrap_or_else(|_| {
            Err(Failure::new(
                Exit::Unavailable,
                format!(
                    "no hub leads, or the one that does is not reached from here (asked {}); see berth fleet status",
                    servers.join(", ")
                ),
            ))
        })
    }

    /// How the context's own hub is, whether it leads or not.
    pub(crate) fn hubs(&self) -> HubServiceClient<Wire> {
        HubServiceClient::new(self.channel.clone())
    }

    /// A hub that hangs must not keep anybody from the one that leads.
    async fn says(&self) -> Result<Said, Failure> {
        self.bearer.fresh().await?;
        let mut hubs = self.hubs();
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
}
