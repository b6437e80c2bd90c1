//! Evidence of isolation as the API shows it.

use berth_model::{Evidence, Probe, ProbeOutcome, TenantId, Timestamp};
use berth_proto::v1;

use crate::{names, time};

/// When evidence was found, and what proves it.
#[derive(Clone, Debug)]
pub struct EvidenceView {
    /// When the same was last found, by the hub's clock.
    pub probed_at: Timestamp,
    /// Until when it is believed.
    pub believed_until: Timestamp,
    /// What was signed; none in lists.
    pub proof: Option<v1::EvidenceProof>,
}

/// The evidence; with its probes only where there is a proof to go with them.
#[must_use]
pub fn evidence_to_proto(tenant: &TenantId, evidence: &Evidence, view: EvidenceView) -> v1::Evidence {
    let findings = evidence.findings();
    let whole = view.proof.is_some();
    let probes = evidence
        .probes
        .iter()
        .filter(|_| whole)
        .map(probe_to_proto)
        .collect();
    let policies = evidence.policies.iter().filter(|_| whole);
    let policies = policies.map(|(name, policy)| v1::EvidencePolicy {
        name: name.clone(),
        uid: policy.uid.clone(),
        generation: policy.generation,
    });
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    v1::Evidence {
        name: names::evidence(tenant),
        tenant_uid: evidence.uid.to_string(),
        cluster: evidence.cluster.to_string(),
        result: findings.verdict.as_str().to_owned(),
        message: findings.told,
        passed: count(findings.passed),
        failed: count(findings.failed),
        not_tried: count(findings.not_tried),
        probe_time: Some(time::to_proto(view.probed_at)),
        expire_time: Some(time::to_proto(view.believed_until)),
        generation: evidence.generation.0,
        digest: evidence.digest.to_string(),
        agent_version: evidence.agent_version.clone(),
        kubernetes_version: evidence.kubernetes_version.clone(),
        refused_attempts: evidence.refused_attempts,
        probes,
        policies: policies.collect(),
        proof: view.proof,
    }
}

fn probe_to_proto(probe: &Probe) -> v1::EvidenceProbe {
    let (result, message) = match &probe.outcome {
        ProbeOutcome::Passed => ("Passed", ""),
        ProbeOutcome::Failed { hole } => ("Failed", hole.as_str()),
        ProbeOutcome::NotTried { reason } => ("NotTried", reason.as_str()),
    };
    v1::EvidenceProbe {
        name: probe.name.clone(),
        what: probe.what.clone(),
        expected: probe.expected.clone(),
        seen: probe.seen.clone(),
        result: result.to_owned(),
        message: message.to_owned(),
        required: probe.required,
    }
}
