//! Records of the store as the view and the API need them, and the view built of all of them.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use berth_model::{
    AcceptedGaps, Bundle, BundleName, BundleVersion, Cluster, ClusterFacts, ClusterName, FleetId, InvalidId,
    Organisation, Revision, RoleBinding, Tenant, TenantId, Term, Tier, Timestamp, Uid,
    breaker::BreakerMemory, cluster::ClusterPurpose,
};
use berth_plan::{
    Changes,
    view::{Assigned, Placed, Settings, View},
};
use berth_store::{Entry, Key, Page, Store, StoreError, Txn};
use berth_wire::{
    objects::{self as content, ObjectsError},
    record::{
        self, ApiKeyRecord, AssignmentRecord, ClusterRecord, InfraRecord, JoinTokenRecord, PlacementRecord,
        RecordError, StatusRecord, TenantRecord,
    },
};
use bytes::Bytes;
use tracing::warn;

use crate::{event, fleet::FleetError, keys, objects, sessions::Sessions};

/// A bundle's manifests are never larger than this when unpacked.
const LARGEST_MANIFESTS: usize = 16 << 20;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordProblem {
    /// Its bytes.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its key.
    #[error(transparent)]
    Key(#[from] InvalidId),
    /// Its content in parts.
    #[error(transparent)]
    Content(#[from] ObjectsError),
    /// A part of it is missing.
    #[error("{0}")]
    Missing(String),
    /// One of many that were read.
    #[error("the record {key} in the store cannot be read: {problem}")]
    Of {
        /// Its key.
        key: String,
        /// Why not.
        problem: Box<RecordProblem>,
    },
}

impl RecordProblem {
    /// The same, saying of which record.
    pub(crate) fn of(self, key: &Key) -> Self {
        Self::Of {
            key: key.to_string(),
            problem: Box::new(self),
        }
    }
}

/// The view and the revision it is of.
pub(crate) struct Loaded {
    pub(crate) view: View,
    pub(crate) revision: Revision,
}

/// A tenant with the requests that made it.
pub(crate) struct StoredTenant {
    pub(crate) tenant: Tenant,
    pub(crate) request_ids: Vec<String>,
}

pub(crate) fn id(text: &str) -> Result<TenantId, RecordProblem> {
    Ok(TenantId::new(text)?)
}

pub(crate) fn name<T: FromStr<Err = InvalidId>>(text: &str) -> Result<T, RecordProblem> {
    Ok(text.parse()?)
}

pub(crate) fn bundle_id(rest: &str) -> Result<(BundleName, BundleVersion), RecordProblem> {
    let (name, version) = rest
        .split_once('/')
        .ok_or_else(|| RecordProblem::Missing(format!("bundle key {rest:?} has no version")))?;
    Ok((BundleName::new(name)?, BundleVersion::new(version)?))
}

pub(crate) fn tenant(value: &[u8], revision: Revision) -> Result<Tenant, RecordProblem> {
    Ok(record::decode_tenant(value, revision)?.tenant)
}

pub(crate) fn stored_tenant(value: &[u8], revision: Revision) -> Result<StoredTenant, RecordProblem> {
    let TenantRecord { tenant, request_ids } = record::decode_tenant(value, revision)?;
    Ok(StoredTenant { tenant, request_ids })
}

pub(crate) fn encode_tenant(tenant: &Tenant, request_ids: Vec<String>) -> Vec<u8> {
    record::encode_tenant(&TenantRecord {
        tenant: tenant.clone(),
        request_ids,
    })
}

pub(crate) fn tier(value: &[u8], revision: Revision) -> Result<Tier, RecordProblem> {
    Ok(record::decode_tier(value, revision)?)
}

pub(crate) fn encode_tier(tier: &Tier) -> Vec<u8> {
    record::encode_tier(tier)
}

pub(crate) fn organisation(value: &[u8], revision: Revision) -> Result<Organisation, RecordProblem> {
    Ok(record::decode_organisation(value, revision)?)
}

pub(crate) fn encode_organisation(organisation: &Organisation) -> Vec<u8> {
    record::encode_organisation(organisation)
}

pub(crate) fn role_binding(value: &[u8], revision: Revision) -> Result<RoleBinding, RecordProblem> {
    Ok(record::decode_role_binding(value, revision)?)
}

pub(crate) fn encode_role_binding(binding: &RoleBinding) -> Vec<u8> {
    record::encode_role_binding(binding)
}

/// What is written where something begins to be used: only its revision matters.
pub(crate) const fn use_mark() -> &'static [u8] {
    b"used"
}

pub(crate) fn cluster(value: &[u8], revision: Revision) -> Result<Cluster, RecordProblem> {
    Ok(record::decode_cluster(value, revision)?.cluster)
}

pub(crate) fn stored_cluster(value: &[u8], revision: Revision) -> Result<(Cluster, String), RecordProblem> {
    let ClusterRecord {
        cluster,
        certificate_key_sha256,
    } = record::decode_cluster(value, revision)?;
    Ok((cluster, certificate_key_sha256))
}

pub(crate) fn encode_cluster(cluster: &Cluster, key_sha256: &str) -> Vec<u8> {
    record::encode_cluster(&ClusterRecord {
        cluster: cluster.clone(),
        certificate_key_sha256: key_sha256.to_owned(),
    })
}

/// The record of a cluster that is to be made for one tenant.
pub(crate) fn dedicated(
    name: ClusterName,
    tenant: TenantId,
    uid: Uid,
    region: String,
    now: Timestamp,
) -> Cluster {
    Cluster {
        name,
        // It lives and dies with the tenant, and so shares its uid.
        uid: uid.clone(),
        revision: Revision(0),
        created_at: now,
        labels: BTreeMap::new(),
        cordoned: false,
        purpose: ClusterPurpose::Dedicated { tenant, uid },
        region,
        cloud_name: String::new(),
        facts: None,
        accepted_gaps: AcceptedGaps::new(),
        joined_at: None,
        kubernetes_uid: String::new(),
        awaiting_acceptance: false,
        revoked: None,
    }
}

pub(crate) fn placed(value: &[u8]) -> Result<(Uid, Placed), RecordProblem> {
    let record = record::decode_placement(value)?;
    let placed = Placed {
        placement: record.placement,
        reserved: record.reserved,
        namespaces: record.namespaces,
        generation: record.generation,
        decided_at: record.decided_at,
        reason: record.reason,
        accepted_gaps: record.accepted_gaps,
    };
    Ok((record.tenant_uid, placed))
}

pub(crate) fn encode_placed(uid: &Uid, placed: &Placed) -> Vec<u8> {
    record::encode_placement(&PlacementRecord {
        tenant_uid: uid.clone(),
        placement: placed.placement.clone(),
        reserved: placed.reserved,
        namespaces: placed.namespaces,
        generation: placed.generation,
        decided_at: placed.decided_at,
        reason: placed.reason.clone(),
        accepted_gaps: placed.accepted_gaps.clone(),
    })
}

pub(crate) fn assigned(value: &[u8]) -> Result<(Uid, Assigned), RecordProblem> {
    let record = record::decode_assignment(value)?;
    let assigned = Assigned {
        cluster: record.cluster,
        generation: record.generation,
        digest: record.digest,
        term: record.term,
        tenant_generation: record.tenant_generation,
        withdrawing: record.withdrawing,
        withdrawn: record.withdrawn,
    };
    Ok((record.tenant_uid, assigned))
}

pub(crate) fn encode_assigned(uid: &Uid, assigned: &Assigned) -> Vec<u8> {
    record::encode_assignment(&AssignmentRecord {
        tenant_uid: uid.clone(),
        cluster: assigned.cluster.clone(),
        generation: assigned.generation,
        digest: assigned.digest.clone(),
        term: assigned.term,
        tenant_generation: assigned.tenant_generation,
        withdrawing: assigned.withdrawing,
        withdrawn: assigned.withdrawn,
    })
}

/// What the store is.
pub(crate) fn fleet_record(value: &[u8]) -> Result<record::FleetRecord, RecordProblem> {
    Ok(record::decode_fleet(value)?)
}

pub(crate) fn infra(value: &[u8]) -> Result<InfraRecord, RecordProblem> {
    Ok(record::decode_infra(value)?)
}

pub(crate) fn breaker(value: &[u8]) -> Result<BreakerMemory, RecordProblem> {
    Ok(record::decode_breaker(value)?)
}

pub(crate) fn encode_breaker(memory: &BreakerMemory) -> Vec<u8> {
    record::encode_breaker(memory)
}

pub(crate) fn token(value: &[u8]) -> Result<JoinTokenRecord, RecordProblem> {
    Ok(record::decode_join_token(value)?)
}

pub(crate) fn encode_token(token: &JoinTokenRecord) -> Vec<u8> {
    record::encode_join_token(token)
}

pub(crate) fn api_key(value: &[u8]) -> Result<ApiKeyRecord, RecordProblem> {
    Ok(record::decode_api_key(value)?)
}

pub(crate) fn encode_api_key(key: &ApiKeyRecord) -> Vec<u8> {
    record::encode_api_key(key)
}

/// A bundle version without its manifests.
pub(crate) fn bundle_header(value: &[u8], revision: Revision) -> Result<Bundle, RecordProblem> {
    Ok(record::decode_bundle(value, revision)?)
}

/// Content in parts, each under its key.
type Parts = Vec<(Key, Bytes)>;

/// A bundle version as it is written: the header, and the parts of its manifests.
pub(crate) fn encode_bundle(bundle: &Bundle) -> Result<(Vec<u8>, Parts), RecordProblem> {
    let compressed = content::compress(&content::encode_manifests(&bundle.spec.manifests)?)?;
    let mut header = bundle.clone();
    header.spec.manifests.clear();
    let parts = compressed
        .chunks(keys::PART_BYTES)
        .enumerate()
        .map(|(part, bytes)| {
            (
                keys::bundle_part(&bundle.name, &bundle.version, part),
                Bytes::copy_from_slice(bytes),
            )
        })
        .collect();
    Ok((record::encode_bundle(&header), parts))
}

/// A whole bundle version; none when there is none.
pub(crate) async fn bundle(
    store: &dyn Store,
    name: &BundleName,
    version: &BundleVersion,
) -> Result<Option<Bundle>, LoadError> {
    let Some(entry) = store.get(&keys::bundle(name, version)).await? else {
        return Ok(None);
    };
    let mut bundle = bundle_header(&entry.value, entry.revision)?;
    let Some(compressed) = objects::joined(store, &keys::bundle_parts(name, version)).await? else {
        return Err(
            RecordProblem::Missing(format!("the manifests of bundle {name} {version} are missing")).into(),
        );
    };
    let lines = content::decompress(&compressed, LARGEST_MANIFESTS).map_err(RecordProblem::from)?;
    bundle.spec.manifests = content::decode_manifests(&lines).map_err(RecordProblem::from)?;
    Ok(Some(bundle))
}

/// Why something in several records cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordProblem),
}

impl From<LoadError> for crate::RegistryError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => Self::Store(error),
            LoadError::Record(problem) => Self::Record(problem),
        }
    }
}

/// All entries under `prefix`, and the revision of the first page: a watch from there misses nothing.
pub(crate) async fn all(store: &dyn Store, prefix: &str) -> Result<(Vec<Entry>, Revision), StoreError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut first = None;
    let mut page = Page::first();
    loop {
        let listing = store.list(prefix, page).await?;
        first.get_or_insert(listing.revision);
        let more = listing.more;
        entries.extend(listing.entries);
        match entries.last() {
            Some(last) if more => page = Page::after(last.key.clone()),
            _ => return Ok((entries, first.unwrap_or(listing.revision))),
        }
    }
}

/// The view of everything stored, as a start or a lost watch needs it.
pub(crate) async fn view(
    store: &dyn Store,
    sessions: &Sessions,
    now: Timestamp,
    fleet: FleetId,
    term: Term,
    settings: Settings,
) -> Result<Loaded, FleetError> {
    // Before anything is listed: what is written meanwhile comes by the watch again, and is the same.
    let revision = store.revision().await?;
    let mut view = View::new(now, fleet, term, settings);
    let mut changes = Changes::default();
    for shelf in [
        keys::TIERS,
        keys::ORGANISATIONS,
        keys::BUNDLES,
        keys::CLUSTERS,
        keys::TENANTS,
        keys::PLACEMENTS,
        keys::ASSIGNMENTS,
        keys::INFRA,
        keys::FLEET,
        keys::BREAKERS,
        keys::EVIDENCE,
    ] {
        for entry in all(store, shelf).await?.0 {
            let key = entry.key.as_str();
            event::try_take(
                &mut view,
                sessions,
                &mut changes,
                key,
                Some(&entry.value),
                entry.revision,
            )
            .map_err(FleetError::record(key))?;
        }
    }
    // The watch shows no change that was made before it: another term may have begun meanwhile.
    if let Some(entry) = store.get(&keys::fleet()).await? {
        let now = fleet_record(&entry.value)
            .map_err(FleetError::record(&entry.key))?
            .term;
        if now != term {
            return Err(FleetError::OtherTerm { now });
        }
    }
    for entry in all(store, keys::STATUS).await?.0 {
        let (Ok(id), Ok(status)) = (id(entry.key.name()), record::decode_status(&entry.value)) else {
            // Conditions follow from everything else; only since when they are so is lost.
            warn!(key = %entry.key, "kept conditions cannot be read and are found anew");
            continue;
        };
        if let Some(known) = view.tenants.get_mut(&id)
            && known.tenant.uid == status.tenant_uid
        {
            known.conditions = status.conditions;
        }
    }
    for known in view.tenants.values_mut() {
        if let Some(assigned) = &known.assigned {
            known.report = sessions.evidence(&assigned.cluster, &known.tenant.id);
        }
    }
    Ok(Loaded { view, revision })
}

/// The write that keeps what a cluster reported; none when what is kept is still true.
pub(crate) async fn with_facts(
    store: &dyn Store,
    name: &ClusterName,
    facts: &ClusterFacts,
) -> Result<Option<Txn>, FleetError> {
    let key = keys::cluster(name);
    let Some(entry) = store.get(&key).await? else {
        return Ok(None);
    };
    let (mut cluster, key_sha256) =
        stored_cluster(&entry.value, entry.revision).map_err(FleetError::record(&entry.key))?;
    // Everybody's namespaces come and go with every tenant: not worth a write.
    let kept = cluster.facts.as_ref().map(|kept| ClusterFacts {
        namespaces: facts.namespaces,
        ..kept.clone()
    });
    if kept.as_ref() == Some(facts) {
        return Ok(None);
    }
    cluster.facts = Some(facts.clone());
    let value = encode_cluster(&cluster, &key_sha256);
    Ok(Some(
        Txn::new()
            .if_revision(key.clone(), entry.revision)
            .put(key, value),
    ))
}

/// The write that keeps the conditions of `tenants`.
pub(crate) fn conditions(view: &View, tenants: &[TenantId]) -> Txn {
    let mut txn = Txn::new();
    for id in tenants {
        let Some(known) = view.tenants.get(id) else {
            continue;
        };
        let value = record::encode_status(&StatusRecord {
            tenant_uid: known.tenant.uid.clone(),
            conditions: known.conditions.clone(),
            observed_generation: known.tenant.generation,
        });
        txn = txn.if_exists(keys::tenant(id)).put(keys::status(id), value);
    }
    txn
}

/// The tier as the view holds it.
pub(crate) fn shared_tier(value: &[u8], revision: Revision) -> Result<Arc<Tier>, RecordProblem> {
    tier(value, revision).map(Arc::new)
}
