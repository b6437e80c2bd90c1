//! Evidence of isolation as the hub takes it: believed only when the key that speaks in the session has signed it, and it speaks of
//! that cluster.
//!
//! Of what is believed, the findings are kept in memory, and what was signed in the store: when the findings change, and at
//! [`KEPT_FOR`] at the latest, so that a quiet fleet writes next to nothing and a restarted hub still knows.

use std::time::Duration;

use berth_identity::{certificate, certificate::CertificateError, seal};
use berth_model::{ClusterName, Evidence, TenantId, Timestamp};
use berth_plan::view::Probed;
use berth_wire::{
    evidence::{self, EvidenceError, Sealed},
    record::{self, EvidenceRecord},
};
use tracing::warn;

/// What is in the store is replaced by the same findings of later when it is older than this.
pub const KEPT_FOR: Duration = Duration::from_secs(3600);

/// Evidence that is believed.
#[derive(Clone, Debug)]
pub struct Proven {
    /// What it says.
    pub evidence: Evidence,
    /// What was signed.
    pub sealed: Sealed,
    /// By whom.
    pub certificate_pem: String,
}

/// Why evidence is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Disbelief {
    /// It is no evidence.
    #[error(transparent)]
    Unreadable(#[from] EvidenceError),
    /// The session's certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Somebody else signed, or something else.
    #[error("the signature is not by this agent's key over this statement")]
    Signature,
    /// It speaks of another cluster.
    #[error("it speaks of cluster {0}")]
    OtherCluster(ClusterName),
}

/// Whether the agent of `cluster` that showed that certificate (DER) has said this.
///
/// # Errors
/// [`Disbelief`].
pub fn believe(sealed: Sealed, certificate_der: &[u8], cluster: &ClusterName) -> Result<Proven, Disbelief> {
    let statement = evidence::unpack(&sealed.statement_zstd)?;
    if !seal::verifies(certificate_der, &statement, &sealed.signature)? {
        return Err(Disbelief::Signature);
    }
    let evidence = evidence::read_statement(&statement)?;
    if evidence.cluster != *cluster {
        return Err(Disbelief::OtherCluster(evidence.cluster));
    }
    Ok(Proven {
        evidence,
        sealed,
        certificate_pem: certificate::to_pem(certificate_der),
    })
}

/// Evidence that was kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it says.
    pub evidence: Evidence,
    /// The record.
    pub record: EvidenceRecord,
    /// The document that was signed.
    pub statement: Vec<u8>,
}

/// Reads a record with what is in it; none when it cannot be read, which is no reason to stop: it will be proven anew.
pub(crate) fn kept(tenant: &TenantId, value: &[u8]) -> Option<Kept> {
    let read = || -> Result<Kept, Box<dyn std::error::Error>> {
        let record = record::decode_evidence(value)?;
        let statement = evidence::unpack(&record.sealed.statement_zstd)?;
        let evidence = evidence::read_statement(&statement)?;
        Ok(Kept {
            evidence,
            record,
            statement,
        })
    };
    match read() {
        Ok(kept) if kept.evidence.tenant == *tenant && kept.evidence.uid == kept.record.tenant_uid => {
            Some(kept)
        }
        Ok(_) => {
            warn!(%tenant, "the evidence that is kept is another tenant's");
            None
        }
        Err(error) => {
            warn!(%tenant, %error, "the evidence that is kept cannot be read");
            None
        }
    }
}

/// The record of what is proven.
pub(crate) fn to_record(proven: &Proven, probed_at: Timestamp) -> EvidenceRecord {
    EvidenceRecord {
        tenant_uid: proven.evidence.uid.clone(),
        cluster: proven.evidence.cluster.clone(),
        sealed: proven.sealed.clone(),
        certificate_pem: proven.certificate_pem.clone(),
        probed_at,
    }
}

/// What the planner needs of evidence.
pub(crate) fn probed(evidence: &Evidence, at: Timestamp) -> Probed {
    Probed {
        uid: evidence.uid.clone(),
        cluster: evidence.cluster.clone(),
        generation: evidence.generation,
        digest: evidence.digest.clone(),
        findings: evidence.findings(),
        at,
        believed_for: evidence.believed_for(),
    }
}

/// The later one.
pub(crate) fn latest(a: Option<Probed>, b: Option<Probed>) -> Option<Probed> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if (b.generation, b.at) > (a.generation, a.at) {
            b
        } else {
            a
        }),
        (a, b) => a.or(b),
    }
}

/// Whether `proven` is worth a write over what is kept.
pub(crate) fn worth_keeping(proven: &Proven, at: Timestamp, kept: Option<&Kept>) -> bool {
    let Some(kept) = kept else { return true };
    let age = Duration::try_from(at.duration_since(kept.record.probed_at)).unwrap_or_default();
    !kept.evidence.found_the_same(&proven.evidence) || age >= KEPT_FOR
}
