//! Whether the records of a store can be read, each by its key: what a start of the control loop would stop at.

use berth_model::Revision;
use berth_wire::record;

use crate::{
    evidence, keys,
    load::{self, RecordProblem},
};

/// Why the record under `key` cannot be read; none when it can, or when there are no records under such keys.
///
/// # Errors
/// [`RecordProblem`].
pub fn check(key: &str, value: &[u8], revision: Revision) -> Result<(), RecordProblem> {
    let under = |shelf: &str| key.strip_prefix(shelf);
    if key == keys::FLEET {
        load::fleet_record(value)?;
    } else if key == keys::RESTORE {
        record::decode_restore(value)?;
    } else if let Some(id) = under(keys::TENANTS) {
        load::id(id)?;
        load::tenant(value, revision)?;
    } else if under(keys::TIERS).is_some() {
        load::tier(value, revision)?;
    } else if under(keys::ORGANISATIONS).is_some() {
        load::organisation(value, revision)?;
    } else if under(keys::ROLE_BINDINGS).is_some() {
        load::role_binding(value, revision)?;
    } else if let Some(rest) = under(keys::BUNDLES) {
        load::bundle_id(rest)?;
        load::bundle_header(value, revision)?;
    } else if under(keys::CLUSTERS).is_some() {
        load::cluster(value, revision)?;
    } else if under(keys::JOIN_TOKENS).is_some() {
        load::token(value)?;
    } else if under(keys::API_KEYS).is_some() {
        load::api_key(value)?;
    } else if under(keys::PLACEMENTS).is_some() {
        load::placed(value)?;
    } else if under(keys::ASSIGNMENTS).is_some() {
        load::assigned(value)?;
    } else if under(keys::INFRA).is_some() {
        load::infra(value)?;
    } else if under(keys::BREAKERS).is_some() {
        load::breaker(value)?;
    } else if under(keys::STATUS).is_some() {
        record::decode_status(value)?;
    } else if let Some(id) = under(keys::EVIDENCE) {
        let id = load::id(id)?;
        if evidence::kept(&id, value).is_none() {
            return Err(RecordProblem::Missing("the signed evidence is unreadable".into()));
        }
    }
    Ok(())
}
