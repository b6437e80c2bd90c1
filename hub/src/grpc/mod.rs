//! The hub's gRPC services: thin; they read requests, ask [`berth_control`], and write answers.

pub mod agent;
pub mod bundle;
pub mod cluster;
mod error;
pub mod join_token;
pub mod operation;
mod paging;
pub mod tenant;
pub mod tier;
mod watch;

use std::sync::Arc;

use berth_control::{Board, Registry, Sessions, fleet::FleetHandle};
use berth_identity::Authority;
use berth_model::FleetId;
use berth_runtime::{CancellationToken, Clock};

/// What the services share.
#[derive(Clone)]
pub struct Api {
    /// Specs.
    pub registry: Registry,
    /// Statuses.
    pub board: Board,
    /// Agents.
    pub sessions: Sessions,
    /// The loop.
    pub fleet: FleetHandle,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Signs certificates.
    pub authority: Arc<Authority>,
    /// Which fleet.
    pub fleet_id: FleetId,
    /// Where agents dial.
    pub hub_urls: Vec<String>,
    /// The hub is to end: what waits or streams ends too.
    pub cancel: CancellationToken,
    /// Of this start: watch tokens of another start begin a new snapshot.
    pub incarnation: String,
}
