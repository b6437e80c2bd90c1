//! The hub's gRPC services: thin; they read requests, ask [`berth_control`], and write answers.

pub mod access;
pub mod agent;
pub mod api_key;
pub mod audit;
pub mod bundle;
pub mod cluster;
mod credential;
pub(crate) mod error;
pub mod evidence;
pub mod hub;
pub mod join_token;
pub mod login;
pub mod operation;
pub mod organisation;
mod paging;
pub mod tenant;
pub mod tier;
mod watch;

use std::sync::Arc;

use berth_control::{Authorizer, Board, Registry, Sessions};
use berth_identity::Authority;
use berth_model::FleetId;
use berth_runtime::Clock;
use tonic::Status;

use crate::{
    gate::not_leader,
    lead::{Lead, Leading},
};

/// What the services share.
#[derive(Clone)]
pub struct Api {
    /// Specs.
    pub registry: Registry,
    /// Who may do what.
    pub authorizer: Authorizer,
    /// Statuses.
    pub board: Board,
    /// Agents.
    pub sessions: Sessions,
    /// Whether this hub leads, and the loop while it does.
    pub lead: Lead,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Signs certificates.
    pub authority: Arc<Authority>,
    /// Which fleet.
    pub fleet_id: FleetId,
    /// Where agents dial.
    pub hub_urls: Vec<String>,
}

impl Api {
    /// The period of leading under way.
    pub(crate) fn leading(&self) -> Result<Arc<Leading>, Status> {
        self.lead.leading().ok_or_else(|| not_leader(&self.lead))
    }
}
